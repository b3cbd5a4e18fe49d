//! Detects a broker that answers pings but no longer acknowledges publishes.
//!
//! Every message behind the oldest unacknowledged publish would get stuck. A broker answers packets in order, so a slow
//! reader on this side is not mistaken for such a broker.

#[derive(Default)]
pub struct PubAckWatch {
    /// Packet id of the oldest unacknowledged publish when the last ping was answered.
    oldest: Option<u16>,
    pings: u32,
}

impl PubAckWatch {
    /// Called when a ping was answered while `oldest` was the packet id of the oldest unacknowledged publish. Returns
    /// for how many pings it has been the oldest.
    pub fn ping_answered(&mut self, oldest: Option<u16>) -> u32 {
        self.pings = match oldest {
            Some(_) if oldest == self.oldest => self.pings + 1,
            _ => 0,
        };
        self.oldest = oldest;
        self.pings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publish_that_stays_unacknowledged_is_noticed() {
        let mut watch = PubAckWatch::default();
        let mut answered = |oldest| watch.ping_answered(oldest);
        assert_eq!([answered(None), answered(None)], [0, 0], "nothing is in flight");
        assert_eq!(
            [answered(Some(1)), answered(Some(1)), answered(Some(1))],
            [0, 1, 2]
        );
        assert_eq!(answered(Some(3)), 0, "another publish is the oldest");
    }
}
