//! The contents of the next group commit: admits and numbers events, all in memory.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::sync::Arc;

use super::chain::Link;
use super::pending::{Kept, Pending, Quota};
use super::reused::{Digests, SeqKey, StoredDigest, Suspect};
use super::stream::{Admission, Stream};
use super::streams::{Device, StreamKey, StreamTable};
use super::{
    DeviceAck, Encoding, Entry, EntryKind, Numbering, Offset, Outcome, Payload, Receipt, Refusal, Submission,
};
use comptoir_core::event::{DeviceId, EventName, GATEWAY_EPOCH};

/// The contents of a group commit. The [`StreamTable`] changes only after the commit.
#[derive(Default)]
pub(super) struct Group {
    /// The journal's last offset before this group.
    pub after: Offset,
    pub entries: Vec<Arc<Entry>>,
    /// The place of each entry in the chain; empty until the group is complete.
    pub links: Vec<Link>,
    /// The row id of each entry's device.
    pub rows: Vec<i64>,
    /// Streams changed by the group.
    pub streams: HashMap<StreamKey, Stream>,
    /// Live streams that become dormant.
    pub demoted: Vec<StreamKey>,
    /// Number of new epochs, by device.
    pub new_epochs: HashMap<i64, usize>,
    /// Pending room taken by the group's events, by device.
    pub pending: HashMap<i64, Pending>,
    pub quota: Quota,
    /// Devices that are new or have changed their encoding.
    pub devices: HashMap<DeviceId, Device>,
    /// Fingerprints of new entries, and of earlier entries that this group's submissions may repeat.
    pub fingerprints: HashMap<[u8; 16], Offset>,
    /// The gateway's own numbers begin above this one.
    pub own_floor: u32,
    /// Digests of new events numbered by JSON devices.
    pub digests: Digests,
    /// Events that arrived under used numbers. See [`super::reused`].
    pub suspects: Vec<Suspect>,
    pub duplicates: u64,
    pub reused: u64,
    pub dead_letters: u64,
    pub own_records: u64,
    /// One per admitted batch.
    pub receipts: Vec<Receipt>,
}

impl StreamTable {
    /// Decides which events of a batch are new, numbers them, and prepares the batch's receipt.
    pub fn admit(&mut self, batch: Vec<Submission>, group: &mut Group) {
        let mut receipt = Receipt::default();
        let mut acked: Vec<(StreamKey, DeviceId, Encoding)> = Vec::new();
        for mut submission in batch {
            let key = match self.stream_of(&submission, group) {
                Ok(key) => key,
                Err(refusal) => {
                    self.refusals.note(&submission.device, refusal);
                    receipt.outcomes.push(Outcome::Refused(refusal));
                    continue;
                }
            };
            if let Some(encoding) = submission.encoding
                && !acked.iter().any(|(other, ..)| *other == key)
            {
                acked.push((key, submission.device.clone(), encoding));
            }
            match self.check_quota(key, &submission, group) {
                Ok(Kept::Whole) => {}
                Ok(_) => {
                    self.refusals.note(&submission.device, Refusal::DeadLetters);
                    truncate(&mut submission);
                    receipt.truncated += 1;
                }
                // Acked if it is stored already, because the ack covers all numbers of its stream.
                Err(refusal) => {
                    // The audit log keeps its entries and reports this itself; no till has to wait.
                    if !submission.kind.is_own_record() {
                        self.refusals.note(&submission.device, refusal);
                    }
                    receipt.outcomes.push(Outcome::Refused(refusal));
                    continue;
                }
            }
            let is_own = submission.kind.is_own_record();
            let numbering = submission.numbering;
            let outcome = match (group.number(key, numbering), numbering) {
                (Ok(seq), _) => {
                    let outcome = group.push(key, seq, submission);
                    receipt.after_gap += self.close_gap(key, group);
                    outcome
                }
                (Err(Outcome::AheadOfGap), Numbering::Till { seq, .. }) => {
                    self.reorder.put(key, seq, submission);
                    Outcome::AheadOfGap
                }
                (Err(Outcome::Duplicate), Numbering::Till { seq, .. }) => {
                    group.suspects.push(Suspect {
                        receipt: group.receipts.len(),
                        outcome: receipt.outcomes.len(),
                        key: SeqKey { stream: key, seq },
                        submission,
                    });
                    Outcome::Duplicate
                }
                (Err(outcome), _) => outcome,
            };
            group.duplicates += u64::from(outcome == Outcome::Duplicate && !is_own);
            receipt.outcomes.push(outcome);
        }
        // The MQTT broker retains a device's last ack, which must be for one of the device's own epochs.
        acked.sort_by_key(|(key, ..)| key.epoch != GATEWAY_EPOCH);
        receipt.acks = acked
            .into_iter()
            .filter_map(|(key, device, encoding)| {
                let seq = group.streams.get(&key)?.upto();
                Some(DeviceAck {
                    device,
                    encoding,
                    epoch: key.epoch,
                    seq,
                })
            })
            .collect();
        group.receipts.push(receipt);
    }

    /// Whether the device may have another event pending, and how much of a dead letter is kept.
    ///
    /// A device keeps a numbered message until the ack, so refusing it loses nothing. A message without a number would
    /// be lost. The MQTT broker must get its PUBACK anyway: the gateway has one session for all tills, and
    /// unacknowledged messages of one till would fill its window for the others.
    fn check_quota(&self, key: StreamKey, submission: &Submission, group: &Group) -> Result<Kept, Refusal> {
        let pending = self.pending_of(key.device, group);
        let size = Pending::of_parts(submission.kind, &submission.key, &submission.payload);
        if let EntryKind::Audit(_) = submission.kind {
            return match group.quota.has_room_for_audit(pending, size) {
                true => Ok(Kept::Whole),
                false => Err(Refusal::PendingBytes),
            };
        }
        if submission.kind == EntryKind::DeadLetter {
            let kept = group.quota.dead_letter(pending, self.pending_of_all(group));
            match (kept, submission.numbering) {
                (Kept::Whole, _) => {}
                (Kept::Digest, Numbering::Gateway { .. }) => return Ok(Kept::Digest),
                _ => return Err(Refusal::DeadLetters),
            }
        }
        match pending.bytes + size.bytes > group.quota.of_device() {
            true => Err(Refusal::PendingBytes),
            false => Ok(Kept::Whole),
        }
    }

    /// Moves buffered events whose turn has come into the group. Returns their number.
    fn close_gap(&mut self, key: StreamKey, group: &mut Group) -> u64 {
        let mut moved = 0;
        while let Some(next) = group
            .streams
            .get(&key)
            .map(|stream| stream.upto().saturating_add(1))
            && let Some(submission) = self.reorder.take(key, next)
            && let Ok(seq) = group.number(key, submission.numbering)
        {
            group.push(key, seq, submission);
            moved += 1;
        }
        moved
    }
}

impl Group {
    fn next(&self) -> Offset {
        Offset(self.after.0 + self.entries.len() as u64 + 1)
    }

    /// The event's number, or the outcome if the event is not stored.
    pub fn number(&mut self, key: StreamKey, numbering: Numbering) -> Result<u32, Outcome> {
        let offset = self.next();
        let stream = self.streams.entry(key).or_default();
        match numbering {
            Numbering::Till {
                seq,
                oldest,
                discipline,
                digest,
                ..
            } => match stream.admit(seq, oldest, discipline) {
                Admission::New => {
                    if let Some(digest) = digest {
                        let key = SeqKey { stream: key, seq };
                        self.digests.insert(key, StoredDigest { digest, offset });
                    }
                    Ok(seq)
                }
                Admission::Duplicate => Err(Outcome::Duplicate),
                Admission::AheadOfGap => Err(Outcome::AheadOfGap),
            },
            Numbering::Gateway { fingerprint } => {
                if let Some(hash) = fingerprint {
                    match self.fingerprints.entry(hash) {
                        Slot::Occupied(_) => return Err(Outcome::Duplicate),
                        Slot::Vacant(slot) => slot.insert(offset),
                    };
                }
                Ok(stream.number(self.own_floor))
            }
        }
    }

    /// The payload of an event that this group is about to write.
    pub fn payload_of(&self, key: SeqKey) -> Option<&Payload> {
        let mut entries = self.rows.iter().zip(&self.entries);
        let (_, entry) = entries.find(|(row, entry)| {
            **row == key.stream.device && entry.name.seq == key.seq && entry.name.epoch == key.stream.epoch
        })?;
        Some(&entry.payload)
    }

    /// Adds a numbered event.
    pub fn push(&mut self, key: StreamKey, seq: u32, submission: Submission) -> Outcome {
        let name = EventName {
            device: submission.device,
            epoch: key.epoch,
            seq,
        };
        let offset = self.next();
        let pending = Pending::of_parts(submission.kind, &submission.key, &submission.payload);
        *self.pending.entry(key.device).or_default() += pending;
        if let Some(stream) = self.streams.get_mut(&key) {
            stream.pending += pending;
        }
        self.dead_letters += u64::from(submission.kind == EntryKind::DeadLetter);
        self.own_records += u64::from(submission.kind.is_own_record());
        self.rows.push(key.device);
        self.entries.push(Arc::new(Entry {
            offset,
            kind: submission.kind,
            name: name.clone(),
            time: submission.time,
            key: submission.key,
            payload: submission.payload,
            reason: submission.reason,
        }));
        Outcome::Stored(offset, name)
    }
}

/// Bytes kept of a dead letter if there is no room for the whole.
const DIGEST_BYTES: usize = 1_024;

/// Keeps only the beginning of a dead letter. Its reason records the original length and hash.
fn truncate(submission: &mut Submission) {
    let hash = blake3::hash(&submission.payload).to_hex();
    let length = submission.payload.len();
    let reason = submission.reason.take().unwrap_or_default();
    let kept = length.min(DIGEST_BYTES);
    submission.payload = Payload::Bytes(submission.payload[..kept].into());
    let note = format!("{reason} (the first {kept} of {length} bytes are kept; BLAKE3 {hash})");
    submission.reason = Some(note.into());
}
