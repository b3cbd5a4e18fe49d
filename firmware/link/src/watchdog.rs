//! Detects a link that is alive but makes no progress.

use crate::Millis;

/// Expires when events wait and none is acked for too long.
///
/// Only the gateway's ack feeds it. Connecting, pinging, publishing and receiving PUBACKs do not, because a stuck link
/// can do all of that. So whatever hangs, the till ends up restarting its network, or itself. An unreachable gateway
/// looks the same. Then a new connection costs nothing, since the events are on flash. A restart of the board loses the
/// state of the till (cart, order being paid, deliveries), so it has to wait until the till is idle.
#[derive(Clone, Copy, Debug)]
pub struct Watchdog {
    timeout: Millis,
    fed_at: Millis,
}

impl Watchdog {
    /// Expires after `timeout` milliseconds without an ack.
    pub const fn new(timeout: Millis, now: Millis) -> Self {
        Self { timeout, fed_at: now }
    }

    /// An ack made events safe.
    pub fn feed(&mut self, now: Millis) {
        self.fed_at = now;
    }

    /// Whether to restart the link. `unacked` is the number of waiting events; with none there is no ack to expect.
    pub fn has_expired(&mut self, now: Millis, unacked: u32) -> bool {
        if unacked == 0 {
            self.fed_at = now;
        }
        now.saturating_sub(self.fed_at) >= self.timeout
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_acks_and_an_empty_queue_feed_the_watchdog() {
        let mut watchdog = Watchdog::new(1000, 50);
        assert!(!watchdog.has_expired(1049, 1));
        assert!(watchdog.has_expired(1050, 1));
        watchdog.feed(1050);
        assert!(!watchdog.has_expired(2049, 7));
        assert!(!watchdog.has_expired(9000, 0));
        assert!(!watchdog.has_expired(9999, 1));
        assert!(watchdog.has_expired(10_000, 1));
    }
}
