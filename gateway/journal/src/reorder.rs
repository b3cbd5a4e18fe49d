//! A reorder buffer: holds events of binary tills that arrived ahead of a gap, until the gap closes.
//!
//! MQTT keeps the order within a topic, but a till publishes on three. With a broker that alternates between topics, as
//! rumqttd does, nearly every event would arrive too early, and the till would have to send it again. Nothing in the
//! buffer is acked, so losing it loses nothing: tills resend everything that is not acked.

use std::collections::{BTreeMap, HashMap};

use super::Submission;
use super::streams::StreamKey;

/// Most events of one stream: more than a till has in flight.
const MAX_OF_STREAM: usize = 256;
/// Most events of all streams.
const MAX_EVENTS: usize = 16_384;
/// Most bytes of all payloads.
const MAX_BYTES: usize = 8 << 20;

#[derive(Default)]
pub(super) struct ReorderBuffer {
    streams: HashMap<StreamKey, BTreeMap<u32, Submission>>,
    events: usize,
    bytes: usize,
}

impl ReorderBuffer {
    /// Buffers an event until its turn, or drops it if its stream has too many.
    pub fn put(&mut self, key: StreamKey, seq: u32, submission: Submission) {
        if self.events >= MAX_EVENTS || self.bytes >= MAX_BYTES {
            // The gaps before these events will never close. Events that are still wanted will be sent again.
            *self = Self::default();
        }
        let stream = self.streams.entry(key).or_default();
        if stream.len() >= MAX_OF_STREAM {
            return;
        }
        self.events += 1;
        self.bytes += submission.payload.len();
        if let Some(same) = stream.insert(seq, submission) {
            self.events -= 1;
            self.bytes -= same.payload.len();
        }
    }

    /// Drops the events of a device.
    pub fn forget(&mut self, device: i64) {
        let (events, bytes) = (&mut self.events, &mut self.bytes);
        self.streams.retain(|key, waiting| {
            if key.device == device {
                *events -= waiting.len();
                *bytes -= waiting.values().map(|event| event.payload.len()).sum::<usize>();
            }
            key.device != device
        });
    }

    /// Removes the event `seq`, whose turn has come. Drops earlier events of the stream.
    pub fn take(&mut self, key: StreamKey, seq: u32) -> Option<Submission> {
        let stream = self.streams.get_mut(&key)?;
        let mut found = None;
        while let Some(first) = stream.first_entry()
            && *first.key() <= seq
        {
            let (number, submission) = first.remove_entry();
            self.events -= 1;
            self.bytes -= submission.payload.len();
            if number == seq {
                found = Some(submission);
            }
        }
        if stream.is_empty() {
            self.streams.remove(&key);
        }
        found
    }
}
