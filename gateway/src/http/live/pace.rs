//! Paces the packets to a client.
//!
//! Engine.IO pings each client every [`PING_INTERVAL`] and closes the connection if the client's buffer is full at that
//! moment. A slow client's buffer is nearly always full. So a slow client gets no packets for some seconds before a
//! ping: it works through the queued packets, and the buffer has room for the ping.

use std::time::{Duration, Instant};

use super::PING_INTERVAL;

/// Backoff before retrying a client whose buffer is full: shortest and longest.
const MIN_WAIT: Duration = Duration::from_millis(10);
const MAX_WAIT: Duration = Duration::from_millis(160);
/// How long to pause before a ping. A client that reads nothing in this time is considered gone.
const REST: Duration = Duration::from_secs(5);
/// How late a ping may be.
const PING_DELAY: Duration = Duration::from_millis(200);

pub struct Pace {
    /// Approximate start of the connection. Engine.IO counts from the handshake, one round trip earlier.
    start: Instant,
    /// When the buffer was last full.
    full_at: Option<Instant>,
    wait: Duration,
}

impl Pace {
    pub fn new(start: Instant) -> Self {
        Self {
            start,
            full_at: None,
            wait: MIN_WAIT,
        }
    }

    /// Resets the backoff after the buffer has accepted a packet.
    pub fn accepted(&mut self) {
        self.wait = MIN_WAIT;
    }

    /// Records that the buffer is full, and returns how long to wait.
    pub fn full(&mut self, now: Instant) -> Duration {
        self.full_at = Some(now);
        let wait = self.wait;
        self.wait = (wait * 2).min(MAX_WAIT);
        wait
    }

    /// How long to pause before the next packet.
    pub fn rest(&self, now: Instant) -> Duration {
        let full_at = match self.full_at {
            Some(full_at) => full_at,
            None => return Duration::ZERO,
        };
        // From the start of the connection to its first rest.
        let shift = PING_INTERVAL - REST;
        let since = now.saturating_duration_since(self.start + shift);
        let begin = now - Duration::from_nanos((since.as_nanos() % PING_INTERVAL.as_nanos()) as u64);
        let end = begin + REST + PING_DELAY;
        // The buffer was full when the rest began, or has filled up since.
        let is_slow = full_at + MAX_WAIT * 2 >= begin;
        match now >= self.start + shift && is_slow {
            true => end.saturating_duration_since(now),
            false => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_sent_to_a_slow_client_before_a_ping() {
        let start = Instant::now();
        let at = |seconds: f64| start + Duration::from_secs_f64(seconds);
        let mut pace = Pace::new(start);
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
        assert_eq!(
            pace.rest(at(22.6)),
            Duration::from_millis(2_600),
            "full since the rest began"
        );
    }

    #[test]
    fn a_client_that_takes_nothing_is_tried_less_often() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        let waits: Vec<_> = (0..6).map(|_| pace.full(now).as_millis()).collect();
        assert_eq!(waits, [10, 20, 40, 80, 160, 160]);
        pace.accepted();
        assert_eq!(pace.full(now), MIN_WAIT);
    }
}
