//! The name of an event in the journal: the device's number, or a fingerprint of the bytes.

use std::collections::BTreeMap;

use serde::Deserialize;

use comptoir_core::event::GATEWAY_EPOCH;
use comptoir_core::sale::draft::FieldError;
use comptoir_core::sale::repair;
use comptoir_journal::{Discipline, Encoding, Numbering};
use comptoir_wire as wire;

/// The number that a device assigned to an event.
#[derive(Clone, Copy)]
pub struct EventNumber {
    epoch: u32,
    seq: u32,
    /// The oldest number that the device still holds; 0 if unknown.
    oldest: u32,
}

impl From<wire::Header> for EventNumber {
    fn from(header: wire::Header) -> Self {
        Self {
            epoch: header.epoch,
            seq: header.seq,
            oldest: header.oldest,
        }
    }
}

impl EventNumber {
    pub fn numbering(self, encoding: Encoding, topic: &str, payload: &[u8]) -> Numbering {
        let (discipline, digest) = match encoding {
            Encoding::Postcard { .. } => (Discipline::InOrder, None),
            Encoding::Json => (Discipline::AnyOrder, Some(digest(topic, payload))),
        };
        Numbering::Till {
            epoch: self.epoch,
            seq: self.seq,
            oldest: self.oldest,
            discipline,
            digest,
        }
    }
}

/// The fields that number a JSON event. All are absent if the device does not number its events.
#[derive(Deserialize)]
pub struct NumberFields {
    epoch: Option<u32>,
    seq: Option<u32>,
    oldest: Option<u32>,
}

impl NumberFields {
    /// The number, if the fields have one.
    ///
    /// # Errors
    /// The fields are inconsistent, or the epoch is the gateway's.
    pub fn check(self) -> Result<Option<EventNumber>, FieldError> {
        let Some(seq) = self.seq else {
            return Ok(None);
        };
        let epoch = self
            .epoch
            .ok_or_else(|| FieldError::new("epoch", "missing: a seq counts within an epoch"))?;
        if epoch == GATEWAY_EPOCH {
            return Err(FieldError::new("epoch", "0 is reserved for the gateway"));
        }
        if seq == 0 {
            return Err(FieldError::new("seq", "counts from 1"));
        }
        let oldest = self.oldest.unwrap_or(0);
        if oldest > seq {
            return Err(FieldError::new("oldest", "must not be above seq"));
        }
        Ok(Some(EventNumber { epoch, seq, oldest }))
    }
}

/// A digest that detects two different events with the same number. For a numbered JSON event it depends on the fields
/// but not on their formatting. It leaves out `oldest`, which changes from one delivery to the next. The journal stores
/// the digest, so it must be the same in all versions.
fn digest(topic: &str, payload: &[u8]) -> i64 {
    let payload = repair::trimmed(payload);
    let mut fields: BTreeMap<String, serde_json::Value> = serde_json::from_slice(payload)
        .or_else(|_| serde_json::from_str(&repair::readable(payload)))
        .unwrap_or_else(|_| BTreeMap::from([(String::new(), String::from_utf8_lossy(payload).into())]));
    fields.retain(|name, _| !matches!(name.as_str(), "epoch" | "seq" | "oldest"));
    let mut hasher = blake3::Hasher::new();
    hasher.update(topic.as_bytes());
    hasher.update(&[0]);
    hasher.update(serde_json::json!(fields).to_string().as_bytes());
    let mut digest = [0; 8];
    hasher.finalize_xof().fill(&mut digest);
    i64::from_be_bytes(digest)
}

/// For an event without a number: the same bytes on the same topic are the same event.
pub fn by_content(topic: &str, payload: &[u8]) -> Numbering {
    let mut hasher = blake3::Hasher::new();
    // The topic's length comes first, so that different pairs of topic and payload never yield the same bytes.
    hasher.update(&(topic.len() as u64).to_be_bytes());
    hasher.update(topic.as_bytes());
    hasher.update(payload);
    let mut fingerprint = [0; 16];
    hasher.finalize_xof().fill(&mut fingerprint);
    Numbering::Gateway {
        fingerprint: Some(fingerprint),
    }
}
