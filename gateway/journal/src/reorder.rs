//! A reorder buffer: holds events of binary tills that arrived before an earlier one, until the gap closes.
//!
//! MQTT keeps the order within a topic, and a till publishes on three. A broker that alternates between topics (rumqttd
//! does) would make nearly every event arrive too early, so that the till would send it again. Nothing in the buffer is
//! acked, so nothing is lost with it: tills send again whatever is not acked.

use std::collections::{BTreeMap, HashMap};

use super::Submission;
use super::streams::StreamKey;

/// Maximum number of events of one stream: more than a till has in flight.
const MAX_OF_STREAM: usize = 256;
/// Maximum number of events of all streams.
const MAX_EVENTS: usize = 16_384;
/// Maximum size of all payloads.
const MAX_BYTES: usize = 8 << 20;

#[derive(Default)]
pub(super) struct ReorderBuffer {
    streams: HashMap<StreamKey, BTreeMap<u32, Submission>>,
    events: usize,
    bytes: usize,
}

impl ReorderBuffer {
    /// Keeps an event until its turn, or drops it if its stream has too many.
    pub fn put(&mut self, key: StreamKey, seq: u32, submission: Submission) {
        if self.events >= MAX_EVENTS || self.bytes >= MAX_BYTES {
            // The events before these will never arrive. Whatever is still wanted will be sent again.
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

    /// Removes the event `seq`, whose turn has come. Drops the events of the stream before it.
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
