//! A group commit in the making: which events are new, and under which names. All in memory.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::sync::Arc;

use tracing::warn;

use super::reused::{Numbered, Suspect};
use super::stream::{Admission, Stream};
use super::waiting::Waiting;
use super::{
    DeviceAck, Encoding, Entry, EntryKind, Numbering, Offset, Outcome, Payload, Receipt, Relayed, Submission,
};
use crate::event::{DeviceId, EventName, GATEWAY_EPOCH};

/// Devices, and epochs of devices, that are remembered: for ever, so they are bounded.
const MAX_STREAMS: usize = 65_536;

/// A device's row in the file, and one of its epochs.
pub(super) type StreamKey = (i64, u32);

#[derive(Debug, Clone, Copy)]
pub(super) struct Device {
    pub row: i64,
    pub encoding: Encoding,
}

/// What is committed, as far as admission needs it, and what waits for its turn.
#[derive(Default)]
pub(super) struct Known {
    pub devices: HashMap<DeviceId, Device>,
    pub streams: HashMap<StreamKey, Stream>,
    pub waiting: Waiting,
    /// [`MAX_STREAMS`] was reached, and it was said.
    pub overrun: bool,
}

/// What a group commit is about to write. [`Known`] changes only when it is committed.
#[derive(Default)]
pub(super) struct Group {
    /// The journal's last offset before it.
    pub after: Offset,
    pub entries: Vec<Arc<Entry>>,
    /// The entries' devices.
    pub rows: Vec<i64>,
    pub streams: HashMap<StreamKey, Stream>,
    /// New ones, and those that have changed their encoding.
    pub devices: HashMap<DeviceId, Device>,
    pub fingerprints: HashMap<[u8; 16], Offset>,
    /// The gateway's own numbers begin above it.
    pub own_floor: u32,
    /// Of JSON devices.
    pub numbered: Numbered,
    /// Came under used numbers: see [`super::reused`].
    pub suspects: Vec<Suspect>,
    pub duplicates: u64,
    pub reused: u64,
    pub dead_letters: u64,
    pub receipts: Vec<Receipt>,
}

impl Known {
    /// Decides what of a batch is new, numbers it, and answers.
    pub fn admit(&mut self, batch: Vec<Submission>, group: &mut Group) {
        let mut receipt = Receipt::default();
        let mut acked: Vec<(StreamKey, DeviceId, Encoding)> = Vec::new();
        for submission in batch {
            let Some(key) = self.stream_of(&submission, group) else {
                if !std::mem::replace(&mut self.overrun, true) {
                    let device = submission.device.to_string();
                    warn!(
                        device,
                        "more devices or epochs than can be remembered: new ones are not taken in"
                    );
                }
                // As one ahead of a gap: not taken, not acked, sent again.
                receipt.outcomes.push(Outcome::AheadOfGap);
                continue;
            };
            if let Some(encoding) = submission.encoding
                && !acked.iter().any(|(other, ..)| *other == key)
            {
                acked.push((key, submission.device.clone(), encoding));
            }
            let numbering = submission.numbering;
            let outcome = match (group.number(key, numbering), numbering) {
                (Ok(seq), _) => {
                    let outcome = group.take(key, seq, submission);
                    receipt.after_gap += self.close_gap(key, group);
                    outcome
                }
                (Err(Outcome::AheadOfGap), Numbering::Terminal { seq, .. }) => {
                    self.waiting.put(key, seq, submission);
                    Outcome::AheadOfGap
                }
                (Err(Outcome::Duplicate), Numbering::Terminal { seq, .. }) => {
                    group.suspects.push(Suspect {
                        receipt: group.receipts.len(),
                        outcome: receipt.outcomes.len(),
                        key,
                        seq,
                        submission,
                    });
                    Outcome::Duplicate
                }
                (Err(outcome), _) => outcome,
            };
            group.duplicates += u64::from(outcome == Outcome::Duplicate);
            receipt.outcomes.push(outcome);
        }
        // A device's own epochs last: the last one is what the MQTT broker retains.
        acked.sort_by_key(|((_, epoch), ..)| *epoch != GATEWAY_EPOCH);
        receipt.acks = acked
            .into_iter()
            .filter_map(|(key, device, encoding)| {
                let seq = group.streams.get(&key)?.upto();
                let epoch = key.1;
                Some(DeviceAck {
                    device,
                    encoding,
                    epoch,
                    seq,
                })
            })
            .collect();
        group.receipts.push(receipt);
    }

    /// Takes those whose turn has come, and counts them.
    fn close_gap(&mut self, key: StreamKey, group: &mut Group) -> u64 {
        let mut taken = 0;
        while let Some(next) = group
            .streams
            .get(&key)
            .map(|stream| stream.upto().saturating_add(1))
            && let Some(submission) = self.waiting.take(key, next)
            && let Ok(seq) = group.number(key, submission.numbering)
        {
            group.take(key, seq, submission);
            taken += 1;
        }
        taken
    }

    /// The highest number of the gateway's own.
    pub fn highest_own(&self) -> u32 {
        let own = self
            .streams
            .iter()
            .filter(|((_, epoch), _)| *epoch == GATEWAY_EPOCH);
        own.map(|(_, stream)| stream.highest()).max().unwrap_or(0)
    }

    /// Numbers that were acked and whose events have been lost.
    pub fn lost(&self) -> u64 {
        let ranges = self.streams.values().flat_map(Stream::lost);
        ranges.map(|(from, to)| u64::from(to - from) + 1).sum()
    }

    /// Counts what the bridge has brought into Kafka.
    pub fn count_relayed(&self, report: &Relayed, group: &mut Group) {
        for ((device, epoch), count) in &report.counts {
            let Some(device) = self.devices.get(device) else {
                continue;
            };
            let key = (device.row, *epoch);
            if let Some(stream) = self.streams.get(&key) {
                let stream = group.streams.entry(key).or_insert_with(|| stream.clone());
                stream.in_kafka += count;
            }
        }
    }

    /// The group is committed.
    pub fn adopt(&mut self, group: &mut Group) {
        self.devices.extend(group.devices.drain());
        self.streams.extend(group.streams.drain());
    }

    /// The submission's stream, copied into the group. `None` when too many are remembered already.
    fn stream_of(&self, submission: &Submission, group: &mut Group) -> Option<StreamKey> {
        let row = self.row_of(submission, group)?;
        let epoch = match submission.numbering {
            Numbering::Terminal { epoch, .. } => epoch,
            Numbering::Gateway { .. } => GATEWAY_EPOCH,
        };
        let key = (row, epoch);
        self.load(key, group).then_some(key)
    }

    /// Copies a stream into the group. False when too many are remembered already.
    pub(super) fn load(&self, key: StreamKey, group: &mut Group) -> bool {
        let streams = self.streams.len() + group.streams.len();
        if let Slot::Vacant(slot) = group.streams.entry(key) {
            let stream = match self.streams.get(&key) {
                Some(stream) => stream.clone(),
                None if streams < MAX_STREAMS => Stream::default(),
                None => return false,
            };
            slot.insert(stream);
        }
        true
    }

    fn row_of(&self, submission: &Submission, group: &mut Group) -> Option<i64> {
        let known = group.devices.get(&submission.device);
        let known = known.or_else(|| self.devices.get(&submission.device)).copied();
        let device = match (known, submission.encoding) {
            (Some(device), None) => return Some(device.row),
            (Some(device), Some(encoding)) if device.encoding == encoding => return Some(device.row),
            (Some(device), Some(encoding)) => Device { encoding, ..device },
            (None, encoding) => {
                let new = group.devices.keys().filter(|id| !self.devices.contains_key(*id));
                let count = self.devices.len() + new.count();
                if count >= MAX_STREAMS {
                    return None;
                }
                Device {
                    row: count as i64 + 1,
                    encoding: encoding.unwrap_or(Encoding::Json),
                }
            }
        };
        group.devices.insert(submission.device.clone(), device);
        Some(device.row)
    }
}

impl Group {
    fn next(&self) -> Offset {
        Offset(self.after.0 + self.entries.len() as u64 + 1)
    }

    /// The event's number, or why it is not taken.
    pub(super) fn number(&mut self, key: StreamKey, numbering: Numbering) -> Result<u32, Outcome> {
        let next = self.next();
        let stream = self.streams.entry(key).or_default();
        match numbering {
            Numbering::Terminal {
                seq,
                oldest,
                discipline,
                digest,
                ..
            } => match stream.admit(seq, oldest, discipline) {
                Admission::New => {
                    if let Some(digest) = digest {
                        self.numbered.insert((key, seq), (digest, next));
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
                        Slot::Vacant(slot) => slot.insert(next),
                    };
                }
                Ok(stream.number(self.own_floor))
            }
        }
    }

    /// Of an event that this group is about to write.
    pub(super) fn payload_of(&self, (row, epoch): StreamKey, seq: u32) -> Option<&Payload> {
        let named = self.rows.iter().zip(&self.entries);
        let mut named =
            named.filter(|(of, entry)| **of == row && entry.name.seq == seq && entry.name.epoch == epoch);
        named.next().map(|(_, entry)| &entry.payload)
    }

    pub(super) fn take(&mut self, (row, epoch): StreamKey, seq: u32, submission: Submission) -> Outcome {
        let name = EventName {
            device: submission.device,
            epoch,
            seq,
        };
        let offset = self.next();
        self.dead_letters += u64::from(submission.kind == EntryKind::DeadLetter);
        self.rows.push(row);
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
