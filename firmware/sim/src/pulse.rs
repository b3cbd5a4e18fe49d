//! Whether a connection is alive: when to ping, and when it counts as lost.

use comptoir_link::Millis;

use crate::session::KEEP_ALIVE;

/// Milliseconds of silence after which a terminal pings.
const SILENCE: Millis = KEEP_ALIVE as Millis * 1000;
/// Milliseconds of silence after which a connection counts as lost.
pub const DEAD: Millis = 2 * SILENCE;

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
}

impl Pulse {
    /// Of a connection that was made now.
    pub fn new(now: Millis) -> Self {
        Self {
            heard: now,
            spoke: now,
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
        if now >= self.heard + DEAD {
            Feel::Dead
        } else if now >= self.spoke + SILENCE {
            Feel::Quiet
        } else {
            Feel::Well
        }
    }

    /// When that changes, if nothing is heard or said until then.
    pub fn deadline(&self) -> Millis {
        (self.heard + DEAD).min(self.spoke + SILENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_broken_before_the_mqtt_broker_loses_patience() {
        // It waits one and a half times the keep-alive.
        let patience = 3 * SILENCE / 2;
        let (mut pulse, mut pings) = (Pulse::new(0), Vec::new());
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
        assert_eq!(pings.len(), 3);
        assert!(
            pings.windows(2).all(|two| two[1] - two[0] < patience),
            "{pings:?}"
        );
        assert_eq!(pulse.deadline(), 4 * SILENCE);
    }

    #[test]
    fn who_never_answers_is_not_there() {
        let mut pulse = Pulse::new(0);
        pulse.spoke(SILENCE);
        assert_eq!(pulse.feel(DEAD - 1), Feel::Well);
        assert_eq!(pulse.feel(DEAD), Feel::Dead);
    }
}
