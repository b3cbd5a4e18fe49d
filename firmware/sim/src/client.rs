//! The MQTT client of a simulated till: the session, the till's encoding, and the faults injected between the two.

use bytes::Bytes;
use comptoir_link::Millis;
use comptoir_mqtt::Session;
use comptoir_wire::Ack;
use embedded_svc::mqtt::client::asynch::{Client as Subscribe, Publish};
use embedded_svc::mqtt::client::{ErrorType, MessageId, QoS};

use crate::dialect::Dialect;
use crate::faults::{Dice, Fate, Kind};
use crate::pulse::DEAD;
use crate::session::SessionError;
use crate::tally::Tally;

/// Longest delay of a publish, in milliseconds.
const MAX_DELAY_MS: u64 = 100;
/// Longest duration of most hangs of the link, in milliseconds.
const SHORT_HANG_MS: u64 = 500;
/// Shortest duration of the other hangs, in milliseconds. Both sides give up the connection before that.
const LONG_HANG_MS: u64 = DEAD + 5_000;

/// A publish that an injected fault holds back.
struct DelayedPublish {
    until: Millis,
    topic: Bytes,
    payload: Bytes,
}

/// One connection of a till.
pub struct Client<'t> {
    session: Session,
    dialect: Dialect,
    dice: Dice,
    tally: &'t Tally,
    /// Set by [`turn`](Self::turn).
    now: Millis,
    delayed: Vec<DelayedPublish>,
    /// Nothing passes until then.
    hangs_until: Millis,
}

impl<'t> Client<'t> {
    pub fn new(session: Session, dialect: Dialect, dice: Dice, tally: &'t Tally) -> Self {
        Self {
            session,
            dialect,
            dice,
            tally,
            now: 0,
            delayed: Vec::new(),
            hangs_until: 0,
        }
    }

    /// Sets the time, and sends the publishes that were delayed until then.
    ///
    /// # Errors
    /// A packet is larger than the broker accepts.
    pub fn turn(&mut self, now: Millis) -> Result<(), SessionError> {
        self.now = now;
        if self.delayed.is_empty() || self.is_hung() {
            return Ok(());
        }
        for publish in std::mem::take(&mut self.delayed) {
            if publish.until <= now && self.session.has_room() {
                self.session.publish(publish.topic, publish.payload, false)?;
            } else {
                self.delayed.push(publish);
            }
        }
        Ok(())
    }

    /// Whether the link hangs, so that nothing may be read.
    pub fn is_hung(&self) -> bool {
        self.now < self.hangs_until
    }

    /// The time at which [`turn`](Self::turn) has something to do.
    pub fn deadline(&self) -> Option<Millis> {
        let delayed = self.delayed.iter().map(|publish| publish.until);
        delayed
            .chain([self.hangs_until])
            .filter(|&at| at > self.now)
            .min()
    }

    /// Whether another publish may be added now.
    pub fn has_room(&self) -> bool {
        !self.is_hung() && self.session.has_room()
    }

    pub fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    pub fn into_session(self) -> Session {
        self.session
    }

    /// Writes as many bytes as the socket takes. Returns `false` if there were none, it took none, or the link hangs.
    ///
    /// # Errors
    /// The connection is lost.
    pub fn write(&mut self) -> Result<bool, SessionError> {
        if self.is_hung() {
            return Ok(false);
        }
        Ok(self.session.write()?)
    }

    /// Passes the next message to `then`. Its payload is in postcard, which the link expects. Returns `None` if there
    /// is no message.
    ///
    /// # Errors
    /// Same as [`Session::next_publish`].
    pub fn received<T>(&mut self, then: impl FnOnce(&str, &[u8]) -> T) -> Result<Option<T>, SessionError> {
        while !self.is_hung()
            && let Some(publish) = self.session.next_publish()?
        {
            if self.dice.strikes(Kind::Drop) {
                self.tally.struck(Kind::Drop);
                continue;
            }
            let mut buffer = [0; Ack::MAX_BYTES];
            let payload = self.dialect.incoming(&publish.payload, &mut buffer);
            // All topics of a till are UTF-8; the uplink ignores an empty one.
            let topic = std::str::from_utf8(&publish.topic).unwrap_or_default();
            return Ok(Some(then(topic, payload)));
        }
        Ok(None)
    }

    fn inject(&mut self, fate: Fate, topic: &Bytes, payload: &Bytes) {
        let kind = match fate {
            Fate::Arrives => return,
            Fate::Lost => Kind::Drop,
            Fate::Twice => Kind::Duplicate,
            Fate::Late => {
                self.delayed.push(DelayedPublish {
                    until: self.now + 1 + self.dice.draw() % MAX_DELAY_MS,
                    topic: topic.clone(),
                    payload: payload.clone(),
                });
                Kind::Delay
            }
            Fate::Hangs => {
                self.hangs_until = self.now + self.dice.hang(SHORT_HANG_MS, LONG_HANG_MS);
                Kind::Hang
            }
            Fate::Breaks => Kind::Break,
        };
        self.tally.struck(kind);
    }
}

impl ErrorType for Client<'_> {
    type Error = SessionError;
}

impl Subscribe for Client<'_> {
    async fn subscribe(&mut self, topic: &str, _: QoS) -> Result<MessageId, SessionError> {
        Ok(self.session.subscribe(topic)?.into())
    }

    async fn unsubscribe(&mut self, topic: &str) -> Result<MessageId, SessionError> {
        Ok(self.session.unsubscribe(topic)?.into())
    }
}

/// Always at QoS 1, the only one that tills use.
impl Publish for Client<'_> {
    async fn publish(
        &mut self,
        topic: &str,
        _: QoS,
        retain: bool,
        payload: &[u8],
    ) -> Result<MessageId, SessionError> {
        if !self.has_room() {
            return Err(SessionError::Busy);
        }
        let payload = self.dialect.outgoing(payload)?;
        let (topic, payload) = (
            Bytes::copy_from_slice(topic.as_bytes()),
            Bytes::from(payload.into_owned()),
        );
        // Faults are injected into events only; a status is retained.
        let fate = if retain { Fate::Arrives } else { self.dice.fate() };
        self.inject(fate, &topic, &payload);
        match fate {
            Fate::Breaks => {
                // Earlier publishes are still sent.
                self.session.write()?;
                return Err(SessionError::Cut);
            }
            Fate::Lost | Fate::Late | Fate::Hangs => return Ok(0),
            Fate::Twice => _ = self.session.publish(topic.clone(), payload.clone(), retain)?,
            Fate::Arrives => {}
        }
        Ok(self.session.publish(topic, payload, retain)?.into())
    }
}
