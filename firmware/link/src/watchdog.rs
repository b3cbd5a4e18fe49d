//! Notices a link that is alive and gets nothing done.

use crate::Millis;

/// Expires when events wait and none is acked for too long.
///
/// Only the gateway's ack feeds it. What a stuck link can do by itself (connecting, pinging, publishing,
/// receiving PUBACKs) does not: so whatever hangs, the terminal ends up restarting its network, or itself. A
/// gateway that is away looks the same. A new connection then costs nothing, the events are on flash; a restart costs
/// what is at the till (cart, order that is being paid, deliveries), so it has to wait until nothing is.
#[derive(Clone, Copy, Debug)]
pub struct Watchdog {
    patience: Millis,
    fed: Millis,
}

impl Watchdog {
    /// Expires after `patience` milliseconds without an ack.
    pub const fn new(patience: Millis, now: Millis) -> Self {
        Self { patience, fed: now }
    }

    /// An ack made events safe.
    pub fn feed(&mut self, now: Millis) {
        self.fed = now;
    }

    /// Whether it is time for a restart of the link. `unacked` events wait: with none there is nothing to ack.
    pub fn expired(&mut self, now: Millis, unacked: u32) -> bool {
        if unacked == 0 {
            self.fed = now;
        }
        now.saturating_sub(self.fed) >= self.patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_acks_and_idleness_feed_it() {
        let mut watchdog = Watchdog::new(1000, 50);
        assert!(!watchdog.expired(1049, 1));
        assert!(watchdog.expired(1050, 1));
        watchdog.feed(1050);
        assert!(!watchdog.expired(2049, 7));
        assert!(!watchdog.expired(9000, 0));
        assert!(!watchdog.expired(9999, 1));
        assert!(watchdog.expired(10_000, 1));
    }
}
