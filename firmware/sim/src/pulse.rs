//! Whether a connection is alive: when to ping, and when it counts as lost.

use comptoir_link::Millis;

use crate::session::KEEP_ALIVE;

/// Milliseconds of silence after which a terminal pings.
const SILENCE: Millis = KEEP_ALIVE as Millis * 1000;
/// Milliseconds of silence after which a connection counts as lost.
pub const DEAD: Millis = 2 * SILENCE;
/// And at least, however early the MQTT broker wants its pings.
const LEAST_DEAD: Millis = 5_000;

/// What silence means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feel {
    /// Nothing yet.
    Well,
    /// The MQTT broker wants to hear something: ping.
    Quiet,
    /// Nobody is there.
    Dead,
}

/// When a connection was heard last, and used last.
#[derive(Clone, Copy, Debug)]
pub struct Pulse {
    heard: Millis,
    spoke: Millis,
    silence: Millis,
    dead: Millis,
}

impl Pulse {
    /// Of a connection that was made now, to an MQTT broker that wants a sign of life every `keep_alive` seconds.
    pub fn new(now: Millis, keep_alive: u16) -> Self {
        let silence = match keep_alive {
            KEEP_ALIVE.. => SILENCE,
            less => Millis::from(less) * 1000 / 2,
        };
        Self {
            heard: now,
            spoke: now,
            silence,
            dead: LEAST_DEAD.max(2 * silence),
        }
    }

    /// Something arrived.
    pub fn heard(&mut self, now: Millis) {
        self.heard = now;
    }

    /// Something was written, or will be as soon as the network takes it.
    pub fn spoke(&mut self, now: Millis) {
        self.spoke = now;
    }

    /// What is to be done now.
    pub fn feel(&self, now: Millis) -> Feel {
        if now >= self.heard + self.dead {
            Feel::Dead
        } else if now >= self.spoke + self.silence {
            Feel::Quiet
        } else {
            Feel::Well
        }
    }

    /// When that changes, if nothing is heard or said until then.
    pub fn deadline(&self) -> Millis {
        (self.heard + self.dead).min(self.spoke + self.silence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_broken_before_the_mqtt_broker_loses_patience() {
        for keep_alive in [1, 2, 5, 29, KEEP_ALIVE, 600] {
            // It waits one and a half times the keep-alive.
            let patience = Millis::from(keep_alive) * 1500;
            let (mut pulse, mut pings) = (Pulse::new(0, keep_alive), Vec::new());
            for now in (0..4 * SILENCE).step_by(200) {
                match pulse.feel(now) {
                    Feel::Well => {}
                    Feel::Quiet => {
                        pulse.spoke(now);
                        pulse.heard(now);
                        pings.push(now);
                    }
                    Feel::Dead => panic!("dead at {now}"),
                }
            }
            assert!(pings.len() >= 3);
            assert!(
                pings.windows(2).all(|two| two[1] - two[0] < patience),
                "{keep_alive}: {pings:?}"
            );
        }
    }

    #[test]
    fn who_never_answers_is_not_there() {
        let mut pulse = Pulse::new(0, KEEP_ALIVE);
        pulse.spoke(SILENCE);
        assert_eq!(pulse.feel(DEAD - 1), Feel::Well);
        assert_eq!(pulse.feel(DEAD), Feel::Dead);
    }
}
