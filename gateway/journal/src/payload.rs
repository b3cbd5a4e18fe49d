//! The content of an entry, shared without copying.

use std::ops::Deref;
use std::sync::Arc;

/// The bytes of an entry. Reference-counted, so that the writer, the tail and the relay share one copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// The JSON of an event or of an audit entry.
    Json(Arc<str>),
    /// A dead letter, as it arrived.
    Bytes(Arc<[u8]>),
}

impl Payload {
    /// The JSON of an event, or an empty object for a dead letter.
    pub fn json(&self) -> &str {
        match self {
            Payload::Json(json) => json,
            Payload::Bytes(_) => "{}",
        }
    }
}

impl Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Payload::Json(json) => json.as_bytes(),
            Payload::Bytes(bytes) => bytes,
        }
    }
}
