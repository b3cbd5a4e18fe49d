//! What an entry carries.

use std::ops::Deref;
use std::sync::Arc;

/// The bytes of an entry. Shared, so that what writes them, keeps them and sends them need not copy them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// Of an event: JSON.
    Json(Arc<str>),
    /// Of a dead letter: as they came.
    Bytes(Arc<[u8]>),
}

impl Payload {
    /// The JSON of an event; of a dead letter, which has none, an empty object.
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
