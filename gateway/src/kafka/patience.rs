//! How long a call that blocks may take.

use std::cell::OnceCell;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

/// librdkafka's transaction calls may be made again where they timed out, and go on. So they are made in steps.
const STEP: Duration = Duration::from_millis(500);
/// A Kafka that is well has long answered; for one that hangs the gateway's end is not held up.
const GRACE: Duration = Duration::from_secs(1);

/// A deadline, which comes earlier when the gateway is told to stop.
pub struct Patience<'a> {
    pub within: Duration,
    deadline: Instant,
    stop: &'a CancellationToken,
    stopped: OnceCell<Instant>,
}

impl<'a> Patience<'a> {
    /// Begins now.
    pub fn new(within: Duration, stop: &'a CancellationToken) -> Self {
        Self {
            within,
            deadline: Instant::now() + within,
            stop,
            stopped: OnceCell::new(),
        }
    }

    pub fn is_over(&self) -> bool {
        let now = Instant::now();
        let stopped = self.stop.is_cancelled() && now >= *self.stopped.get_or_init(|| now) + GRACE;
        stopped || now >= self.deadline
    }

    /// Of the next call.
    pub fn step(&self) -> Duration {
        let left = self.deadline.saturating_duration_since(Instant::now());
        // 0 would be for ever, or not at all.
        left.clamp(Duration::from_millis(1), STEP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_at_the_deadline_or_soon_after_the_stop() {
        let stop = CancellationToken::new();
        assert!(Patience::new(Duration::ZERO, &stop).is_over());
        let patience = Patience::new(Duration::from_secs(3_600), &stop);
        assert!(!patience.is_over());
        assert_eq!(patience.step(), STEP);
        stop.cancel();
        assert!(!patience.is_over(), "what is under way may end");
        let begun = Instant::now();
        while !patience.is_over() {
            assert!(begun.elapsed() < 10 * GRACE);
            std::thread::yield_now();
        }
    }
}
