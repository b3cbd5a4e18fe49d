//! The MQTT client that a simulated terminal's link speaks through: a session, the terminal's language, and what is
//! made to go wrong between the two.

use bytes::Bytes;
use comptoir_link::Millis;
use comptoir_wire::Ack;
use embedded_svc::mqtt::client::asynch::{Client as Subscribe, Publish};
use embedded_svc::mqtt::client::{ErrorType, MessageId, QoS};

use crate::dialect::Dialect;
use crate::faults::{Dice, Fate, Kind};
use crate::pulse::DEAD;
use crate::session::{Session, SessionError};
use crate::tally::Tally;

/// Milliseconds by which a publish is late, at most; for which a link hangs, mostly at most; and sometimes at least: more
/// than either side takes for a sign of life to come.
const LATE: u64 = 100;
const HANG: u64 = 500;
const LONG_HANG: u64 = DEAD + 5_000;

/// One connection of a terminal.
pub struct Client<'t> {
    session: Session,
    dialect: Dialect,
    dice: Dice,
    tally: &'t Tally,
    /// Set by [`turn`](Self::turn).
    now: Millis,
    /// Publishes that are late, and until when.
    late: Vec<(Millis, Bytes, Bytes)>,
    /// Nothing passes until then.
    hangs: Millis,
}

impl<'t> Client<'t> {
    pub fn new(session: Session, dialect: Dialect, dice: Dice, tally: &'t Tally) -> Self {
        Self {
            session,
            dialect,
            dice,
            tally,
            now: 0,
            late: Vec::new(),
            hangs: 0,
        }
    }

    /// It is `now`: what was late goes out.
    ///
    /// # Errors
    /// A packet cannot be written.
    pub fn turn(&mut self, now: Millis) -> Result<(), SessionError> {
        self.now = now;
        if self.late.is_empty() || self.is_hung() {
            return Ok(());
        }
        for (until, topic, payload) in std::mem::take(&mut self.late) {
            if until <= now && self.session.has_room() {
                self.session.publish(topic, payload, false)?;
            } else {
                self.late.push((until, topic, payload));
            }
        }
        Ok(())
    }

    /// Whether the link hangs: then nothing is to be read.
    pub fn is_hung(&self) -> bool {
        self.now < self.hangs
    }

    /// When [`turn`](Self::turn) has something to do.
    pub fn deadline(&self) -> Option<Millis> {
        let late = self.late.iter().map(|&(until, ..)| until);
        late.chain([self.hangs]).filter(|&at| at > self.now).min()
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

    /// Writes what there is to write, as far as it goes; `true` if something went.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn write(&mut self) -> Result<bool, SessionError> {
        if self.is_hung() {
            return Ok(false);
        }
        self.session.write()
    }

    /// Gives the next message that arrived to `then`, as the link wants to hear it. `None`: there is none.
    ///
    /// # Errors
    /// As [`Session::received`].
    pub fn received<T>(&mut self, then: impl FnOnce(&str, &[u8]) -> T) -> Result<Option<T>, SessionError> {
        while !self.is_hung()
            && let Some(publish) = self.session.received()?
        {
            if self.dice.strikes(Kind::Drop) {
                self.tally.struck(Kind::Drop);
                continue;
            }
            let mut buffer = [0; Ack::MAX_BYTES];
            let payload = self.dialect.incoming(&publish.payload, &mut buffer);
            // A topic that is no text is none of ours.
            let topic = std::str::from_utf8(&publish.topic).unwrap_or_default();
            return Ok(Some(then(topic, payload)));
        }
        Ok(None)
    }

    fn strike(&mut self, fate: Fate, topic: &Bytes, payload: &Bytes) {
        let kind = match fate {
            Fate::Arrives => return,
            Fate::Lost => Kind::Drop,
            Fate::Twice => Kind::Duplicate,
            Fate::Late => {
                let until = self.now + 1 + self.dice.draw() % LATE;
                self.late.push((until, topic.clone(), payload.clone()));
                Kind::Delay
            }
            Fate::Hangs => {
                self.hangs = self.now + self.dice.hang(HANG, LONG_HANG);
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
        self.session.subscribe(topic).map(MessageId::from)
    }

    async fn unsubscribe(&mut self, topic: &str) -> Result<MessageId, SessionError> {
        self.session.unsubscribe(topic).map(MessageId::from)
    }
}

/// At QoS 1, whatever is asked for: terminals know no other.
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
        // Faults strike events; a status is retained.
        let fate = if retain { Fate::Arrives } else { self.dice.fate() };
        self.strike(fate, &topic, &payload);
        match fate {
            Fate::Breaks => {
                // What was published before is on its way.
                self.session.write()?;
                return Err(SessionError::Cut);
            }
            Fate::Lost | Fate::Late | Fate::Hangs => return Ok(0),
            Fate::Twice => _ = self.session.publish(topic.clone(), payload.clone(), retain)?,
            Fate::Arrives => {}
        }
        self.session.publish(topic, payload, retain).map(MessageId::from)
    }
}
