//! The streams of the newest events. The ack file lists these, because only the newest events can be lost.

use std::collections::HashMap;

use super::ack_snapshot::{AckSnapshot, AckedStream, MAX_STREAMS};
use super::streams::{StreamKey, StreamTable};
use comptoir_core::event::DeviceId;

/// Bounded and cheap: a group commit touches few streams.
#[derive(Debug, Default)]
pub(super) struct RecentStreams {
    /// The last commit that changed each stream.
    streams: HashMap<StreamKey, u64>,
    commits: u64,
}

impl RecentStreams {
    /// Starts with the streams of the previous run, then adds others.
    pub fn new(previous: AckSnapshot, table: &StreamTable) -> Self {
        let previous = previous.streams.iter().filter_map(|stream| {
            let device = table.devices.get(&DeviceId::parse_stored(&stream.device).ok()?)?;
            Some(StreamKey {
                device: device.row,
                epoch: stream.epoch,
            })
        });
        let others = table.streams.keys().copied();
        let mut recent = Self::default();
        for key in previous.chain(others) {
            if recent.streams.len() == MAX_STREAMS {
                break;
            }
            recent.streams.entry(key).or_insert(0);
        }
        recent
    }

    /// Records the streams that a commit has changed.
    pub fn note_commit(&mut self, changed: impl Iterator<Item = StreamKey>) {
        self.commits += 1;
        self.streams.extend(changed.map(|key| (key, self.commits)));
        if self.streams.len() > 2 * MAX_STREAMS {
            let mut commits: Vec<u64> = self.streams.values().copied().collect();
            commits.sort_unstable_by(|a, b| b.cmp(a));
            let oldest = commits[MAX_STREAMS - 1];
            self.streams.retain(|_, commit| *commit >= oldest);
        }
    }

    /// At most [`MAX_STREAMS`] streams, newest first.
    pub fn acked(&self, table: &StreamTable) -> Vec<AckedStream> {
        let devices: HashMap<i64, _> = table
            .devices
            .iter()
            .map(|(id, device)| (device.row, (id, device.encoding.code())))
            .collect();
        let mut keys: Vec<_> = self.streams.iter().collect();
        keys.sort_unstable_by(|a, b| b.1.cmp(a.1));
        keys.iter()
            .take(MAX_STREAMS)
            .filter_map(|(key, _)| {
                let (id, encoding) = devices.get(&key.device)?;
                let stream = table.streams.get(*key)?;
                Some(AckedStream::new(id, *encoding, key.epoch, stream))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Encoding;
    use super::super::stream::{Discipline, Stream};
    use super::super::streams::Device;
    use super::*;

    #[test]
    fn the_streams_of_the_newest_events_are_kept() {
        let key = |device| StreamKey { device, epoch: 7 };
        let mut table = StreamTable::default();
        for row in 1..=2_000 {
            let id = DeviceId::new("paris-1", &format!("till-{row}")).unwrap();
            let encoding = Encoding::Json;
            table.insert_device(id, Device { row, encoding });
            let mut stream = Stream::default();
            stream.admit(1, 0, Discipline::AnyOrder);
            table.insert_stream(key(row), stream);
        }
        let mut recent = RecentStreams::new(AckSnapshot::default(), &table);
        assert_eq!(recent.acked(&table).len(), MAX_STREAMS);
        for row in 1..=2_000 {
            recent.note_commit([key(row)].into_iter());
            assert!(recent.streams.len() <= 2 * MAX_STREAMS);
        }
        let names: Vec<_> = recent
            .acked(&table)
            .into_iter()
            .map(|stream| stream.device)
            .collect();
        assert_eq!(names.len(), MAX_STREAMS);
        assert_eq!(
            (&*names[0], &*names[255]),
            ("paris-1/till-2000", "paris-1/till-1745")
        );
    }
}
