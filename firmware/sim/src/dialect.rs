//! The encoding of a simulated till's messages. Its queue and uplink know only postcard; events are converted to JSON on the
//! way out, and acks to postcard on the way in.

use std::borrow::Cow;

use comptoir_wire::Ack;

use crate::json::{JsonError, read_ack, write_event};

/// The encoding of a till's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// The firmware's encoding.
    Postcard,
    /// The encoding of third-party tills.
    Json,
}

impl Dialect {
    /// Converts a payload of the uplink: an event, or a status, which is the same in both encodings.
    ///
    /// # Errors
    /// The event cannot be decoded.
    pub fn outgoing(self, payload: &[u8]) -> Result<Cow<'_, [u8]>, JsonError> {
        // Versions of the wire format are below 0x20, letters are not.
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

    /// Converts a received payload for the uplink: a JSON ack to postcard, everything else unchanged.
    pub fn incoming<'p>(self, payload: &'p [u8], buffer: &'p mut [u8; Ack::MAX_BYTES]) -> &'p [u8] {
        match (self, payload.first()) {
            (Self::Json, Some(b'{')) => match read_ack(payload).map(|ack| ack.encode(buffer)) {
                Ok(Ok(ack)) => ack,
                // A command, or malformed.
                _ => payload,
            },
            _ => payload,
        }
    }
}
