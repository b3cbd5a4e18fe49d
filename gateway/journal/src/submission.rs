//! Events on their way into the journal, and the writer's answers.

use std::sync::Arc;

use super::{Discipline, Encoding, EntryKind, Offset, Payload, Refusal};
use comptoir_core::event::{DeviceId, EventName};

/// Who numbers an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbering {
    /// The till. `oldest` is the lowest number that it still holds, or 0 if unknown.
    Till {
        epoch: u32,
        seq: u32,
        oldest: u32,
        discipline: Discipline,
        /// The hash of a JSON event without its number and its oldest number. It distinguishes a redelivery from
        /// another sale under a reused number. `None` for an event of a binary till.
        digest: Option<i64>,
    },
    /// The gateway, because the event arrived without a number. A second event with the same fingerprint is a
    /// duplicate.
    Gateway { fingerprint: Option<[u8; 16]> },
}

/// An event on its way into the journal.
#[derive(Debug, Clone)]
pub struct Submission {
    pub device: DeviceId,
    /// `None` if no till sent the event: then no ack is sent.
    pub encoding: Option<Encoding>,
    pub numbering: Numbering,
    pub kind: EntryKind,
    /// Unix milliseconds.
    pub time: i64,
    pub key: Arc<str>,
    pub payload: Payload,
    /// Why a dead letter could not be decoded.
    pub reason: Option<Box<str>>,
}

/// The outcome of one [`Submission`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Stored(Offset, EventName),
    /// The journal already had an event with this name or fingerprint.
    Duplicate,
    /// Not stored yet, because earlier numbers are missing. The event is buffered in memory and not acked.
    AheadOfGap,
    /// Not stored and not acked, because the device has used up its share. Events of other devices are stored.
    Refused(Refusal),
}

/// All numbers of a device's epoch up to and including `seq` are safe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceAck {
    pub device: DeviceId,
    pub encoding: Encoding,
    pub epoch: u32,
    pub seq: u32,
}

/// The answer to one [`Journal::append`](super::Journal::append), given only after commit and fsync.
#[derive(Debug, Clone, Default)]
pub struct Receipt {
    /// In the order of the batch.
    pub outcomes: Vec<Outcome>,
    /// Number of buffered events of earlier batches that are now stored because this batch closed their gap.
    pub after_gap: u64,
    /// Number of dead letters that were truncated.
    pub truncated: u64,
    /// One per device and epoch of the batch whose till expects an ack.
    pub acks: Vec<DeviceAck>,
}

/// Why a batch was not stored. None of it is in the journal, unless the variant says otherwise.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    #[error(
        "the journal is full ({bytes} of {max_bytes} bytes), and none of it can be pruned until it is in Kafka"
    )]
    Full { bytes: u64, max_bytes: u64 },
    #[error("the journal could not be written: {0}")]
    Storage(Arc<sqlx::Error>),
    /// COMMIT itself failed: the batch may turn out to be in the journal when it is opened again.
    #[error("the journal did not confirm the write: {0}; the events may have been stored")]
    InDoubt(Arc<sqlx::Error>),
    #[error("the journal is closed")]
    Closed,
    /// The batch may be in the journal.
    #[error("the journal was closed before it confirmed the write")]
    Unanswered,
}
