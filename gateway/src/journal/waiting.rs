//! Events of binary terminals that came before an earlier one: they wait here, in memory, for the gap to
//! close.
//!
//! MQTT keeps the order of one topic, and a terminal publishes on three. Without this, a broker that takes
//! turns between topics (rumqttd does) would make nearly every event come too early, and be sent again.
//! Nothing here is acked, so nothing is lost with it: the terminal sends again what is not acked.

use std::collections::{BTreeMap, HashMap};

use super::Submission;
use super::group::StreamKey;

/// Of one stream: more than a terminal has on its way.
const MAX_OF_STREAM: usize = 256;
/// Of all streams, and their bytes.
const MAX_EVENTS: usize = 16_384;
const MAX_BYTES: usize = 8 << 20;

#[derive(Default)]
pub(super) struct Waiting {
    streams: HashMap<StreamKey, BTreeMap<u32, Submission>>,
    events: usize,
    bytes: usize,
}

impl Waiting {
    /// Keeps an event until its turn, or forgets it where there is no room.
    pub fn put(&mut self, key: StreamKey, seq: u32, submission: Submission) {
        if self.events >= MAX_EVENTS || self.bytes >= MAX_BYTES {
            // Somebody numbers what never comes. All is sent again that is still wanted.
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

    /// The event whose turn it is. Those before it are not wanted any more.
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
