//! Which of the two languages of terminals one speaks. The till, its queue and its link know only postcard; JSON is
//! made of it on the way out, and acks are made postcard on the way in.

use std::borrow::Cow;

use comptoir_wire::Ack;

use crate::json::{JsonError, read_ack, write_event};

/// How a terminal writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// As the firmware does.
    Postcard,
    /// As other people's terminals do.
    Json,
}

impl Dialect {
    /// What is published for a payload of the link: an event, or a status, which is the same in both.
    ///
    /// # Errors
    /// The event cannot be read.
    pub fn outgoing(self, payload: &[u8]) -> Result<Cow<'_, [u8]>, JsonError> {
        // Versions of the wire format are below 0x20, words are not.
        let is_event = payload.first().is_some_and(|&version| version < 0x20);
        match self {
            Self::Json if is_event => {
                let mut text = Vec::with_capacity(2 * payload.len());
                write_event(payload, &mut text)?;
                Ok(Cow::Owned(text))
            }
            _ => Ok(Cow::Borrowed(payload)),
        }
    }

    /// What the link is to hear for a payload that came: acks in JSON as postcard, all else as it is.
    pub fn incoming<'p>(self, payload: &'p [u8], buffer: &'p mut [u8; Ack::MAX_BYTES]) -> &'p [u8] {
        match (self, payload.first()) {
            (Self::Json, Some(b'{')) => match read_ack(payload).map(|ack| ack.encode(buffer)) {
                Ok(Ok(ack)) => ack,
                // A command, or nothing that makes sense.
                _ => payload,
            },
            _ => payload,
        }
    }
}
