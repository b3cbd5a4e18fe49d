//! Deadlines of blocking calls.

use std::cell::OnceCell;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

/// Timeout of one librdkafka transaction call. After a timeout the same call can be repeated and then continues, so a
/// long wait consists of short calls.
const STEP: Duration = Duration::from_millis(500);
/// How long a call may continue after the stop. A healthy Kafka replies within it; a hanging one must not delay the
/// exit.
const GRACE: Duration = Duration::from_secs(1);

/// A deadline that moves to one second from now when the gateway begins to stop.
pub struct Deadline<'a> {
    /// The total time allowed, for error messages.
    pub within: Duration,
    at: Instant,
    stop: &'a CancellationToken,
    /// When this deadline first saw the stop.
    stopped: OnceCell<Instant>,
}

impl<'a> Deadline<'a> {
    /// Starts now.
    pub fn new(within: Duration, stop: &'a CancellationToken) -> Self {
        Self {
            within,
            at: Instant::now() + within,
            stop,
            stopped: OnceCell::new(),
        }
    }

    pub fn is_over(&self) -> bool {
        let now = Instant::now();
        let stopped = self.stop.is_cancelled() && now >= *self.stopped.get_or_init(|| now) + GRACE;
        stopped || now >= self.at
    }

    /// Timeout of the next call.
    pub fn step(&self) -> Duration {
        let left = self.at.saturating_duration_since(Instant::now());
        // librdkafka reads 0 as "no timeout" in some calls and as "do not wait" in others.
        left.clamp(Duration::from_millis(1), STEP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_over_in_time_or_shortly_after_the_stop() {
        let stop = CancellationToken::new();
        assert!(Deadline::new(Duration::ZERO, &stop).is_over());
        let deadline = Deadline::new(Duration::from_secs(3_600), &stop);
        assert!(!deadline.is_over());
        assert_eq!(deadline.step(), STEP);
        stop.cancel();
        assert!(!deadline.is_over(), "a call in progress may finish");
        let begun = Instant::now();
        while !deadline.is_over() {
            assert!(begun.elapsed() < 10 * GRACE);
            std::thread::yield_now();
        }
    }
}
