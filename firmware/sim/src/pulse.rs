//! Keep-alive of a connection: when to ping, and when the connection counts as lost.

use comptoir_link::Millis;

use crate::session::KEEP_ALIVE;

/// Milliseconds of silence after which a till pings.
const SILENCE: Millis = KEEP_ALIVE as Millis * 1000;
/// Milliseconds of silence after which a connection counts as lost.
pub const DEAD: Millis = 2 * SILENCE;
/// Lower limit for that silence, however short the MQTT broker's keep-alive is.
const MIN_DEAD: Millis = 5_000;

/// The state of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// Nothing to do.
    Alive,
    /// Ping, before the keep-alive expires.
    NeedsPing,
    /// The MQTT broker does not answer.
    Lost,
}

/// When a connection last received and last sent something.
#[derive(Clone, Copy, Debug)]
pub struct Pulse {
    received_at: Millis,
    sent_at: Millis,
    silence: Millis,
    dead: Millis,
}

impl Pulse {
    /// A connection made now, to an MQTT broker with a keep-alive of that many seconds.
    pub fn new(now: Millis, keep_alive: u16) -> Self {
        let silence = match keep_alive {
            KEEP_ALIVE.. => SILENCE,
            less => Millis::from(less) * 1000 / 2,
        };
        Self {
            received_at: now,
            sent_at: now,
            silence,
            dead: MIN_DEAD.max(2 * silence),
        }
    }

    /// Notes that something was received.
    pub fn on_received(&mut self, now: Millis) {
        self.received_at = now;
    }

    /// Notes that something was sent, or will be as soon as the network accepts it.
    pub fn on_sent(&mut self, now: Millis) {
        self.sent_at = now;
    }

    /// The connection's state.
    pub fn check(&self, now: Millis) -> Liveness {
        if now >= self.received_at + self.dead {
            Liveness::Lost
        } else if now >= self.sent_at + self.silence {
            Liveness::NeedsPing
        } else {
            Liveness::Alive
        }
    }

    /// When the state changes, if nothing is received or sent until then.
    pub fn deadline(&self) -> Millis {
        (self.received_at + self.dead).min(self.sent_at + self.silence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_connection_pings_before_the_brokers_keep_alive_expires() {
        for keep_alive in [1, 2, 5, 29, KEEP_ALIVE, 600] {
            // The broker waits one and a half times the keep-alive.
            let limit = Millis::from(keep_alive) * 1500;
            let (mut pulse, mut pings) = (Pulse::new(0, keep_alive), Vec::new());
            for now in (0..4 * SILENCE).step_by(200) {
                match pulse.check(now) {
                    Liveness::Alive => {}
                    Liveness::NeedsPing => {
                        pulse.on_sent(now);
                        pulse.on_received(now);
                        pings.push(now);
                    }
                    Liveness::Lost => panic!("dead at {now}"),
                }
            }
            assert!(pings.len() >= 3);
            assert!(
                pings.windows(2).all(|two| two[1] - two[0] < limit),
                "{keep_alive}: {pings:?}"
            );
        }
    }

    #[test]
    fn a_broker_that_never_answers_counts_as_lost() {
        let mut pulse = Pulse::new(0, KEEP_ALIVE);
        pulse.on_sent(SILENCE);
        assert_eq!(pulse.check(DEAD - 1), Liveness::Alive);
        assert_eq!(pulse.check(DEAD), Liveness::Lost);
    }
}
