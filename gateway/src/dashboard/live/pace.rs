//! How fast a client is sent to.
//!
//! Engine.IO asks each client every [`PING`] whether it lives, and takes one whose buffer is full at that moment for
//! dead. A slow client's buffer is full nearly always. So it is left alone for some seconds before it is asked: what
//! waits keeps it busy meanwhile, and there is room for the question.

use std::time::{Duration, Instant};

use super::PING;

/// A client whose buffer is full is tried again after this time, at first and at last.
const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_millis(160);
/// How long it is left alone before it is asked. Who takes nothing in this time is as good as gone.
const BEFORE: Duration = Duration::from_secs(5);
/// The question may come a little late.
const LATE: Duration = Duration::from_millis(200);

pub struct Pace {
    /// About when the connection began: Engine.IO counts from the handshake, a round trip before.
    begun: Instant,
    /// When its buffer was last found full.
    full: Option<Instant>,
    wait: Duration,
}

impl Pace {
    pub fn new(begun: Instant) -> Self {
        Self {
            begun,
            full: None,
            wait: SHORTEST,
        }
    }

    /// The buffer has taken a packet.
    pub fn took(&mut self) {
        self.wait = SHORTEST;
    }

    /// The buffer is full: how long to wait.
    pub fn full(&mut self, now: Instant) -> Duration {
        self.full = Some(now);
        let wait = self.wait;
        self.wait = (wait * 2).min(LONGEST);
        wait
    }

    /// How long to leave the client alone before the next packet.
    pub fn rest(&self, now: Instant) -> Duration {
        let full = match self.full {
            Some(full) => full,
            None => return Duration::ZERO,
        };
        // From the beginning of the time before a question to the next one's.
        let shift = PING - BEFORE;
        let since = now.saturating_duration_since(self.begun + shift);
        let begin = now - Duration::from_nanos((since.as_nanos() % PING.as_nanos()) as u64);
        let end = begin + BEFORE + LATE;
        // Slow: the buffer was full when this time began, or has become so.
        let slow = full + LONGEST * 2 >= begin;
        match now >= self.begun + shift && slow {
            true => end.saturating_duration_since(now),
            false => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_client_is_left_alone_before_it_is_asked() {
        let begun = Instant::now();
        let at = |seconds: f64| begun + Duration::from_secs_f64(seconds);
        let mut pace = Pace::new(begun);
        assert_eq!(pace.rest(at(21.0)), Duration::ZERO, "never full");
        pace.full(at(10.0));
        assert_eq!(pace.rest(at(10.1)), Duration::ZERO);
        assert_eq!(pace.rest(at(21.0)), Duration::ZERO, "full long ago");
        for round in [0.0, 25.0, 250.0] {
            pace.full(at(round + 19.9));
            assert_eq!(pace.rest(at(round + 19.95)), Duration::ZERO);
            assert_eq!(pace.rest(at(round + 21.0)), Duration::from_millis(4_200));
            assert_eq!(pace.rest(at(round + 25.1)), Duration::from_millis(100));
            assert_eq!(pace.rest(at(round + 25.3)), Duration::ZERO);
            assert_eq!(pace.rest(at(round + 46.0)), Duration::ZERO);
        }
        pace.full(at(22.5));
        assert_eq!(pace.rest(at(22.6)), Duration::from_millis(2_600), "full only now");
    }

    #[test]
    fn who_takes_nothing_is_asked_less_often() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        let waits: Vec<_> = (0..6).map(|_| pace.full(now).as_millis()).collect();
        assert_eq!(waits, [10, 20, 40, 80, 160, 160]);
        pace.took();
        assert_eq!(pace.full(now), SHORTEST);
    }
}
