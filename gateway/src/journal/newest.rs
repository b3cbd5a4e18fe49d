//! Which streams the newest events are of: those whose loss has to be told exactly.

use std::collections::HashMap;

use super::acked::{Acked, AckedStream, MAX_STREAMS};
use super::group::{Known, StreamKey};
use crate::event::DeviceId;

/// Bounded, and cheap: a group commit touches few streams.
#[derive(Debug, Default)]
pub(super) struct Newest {
    /// The commit that touched them last.
    streams: HashMap<StreamKey, u64>,
    commits: u64,
}

impl Newest {
    /// Those that the last run knew, then any others.
    pub fn of(acked: Acked, known: &Known) -> Self {
        let former = acked.streams.iter().filter_map(|stream| {
            let device = known.devices.get(&stream.device.parse::<DeviceId>().ok()?)?;
            Some((device.row, stream.epoch))
        });
        let others = known.streams.keys().copied();
        let mut newest = Self::default();
        for key in former.chain(others) {
            if newest.streams.len() == MAX_STREAMS {
                break;
            }
            newest.streams.entry(key).or_insert(0);
        }
        newest
    }

    pub fn note(&mut self, touched: impl Iterator<Item = StreamKey>) {
        self.commits += 1;
        self.streams.extend(touched.map(|key| (key, self.commits)));
        if self.streams.len() > 2 * MAX_STREAMS {
            let mut commits: Vec<u64> = self.streams.values().copied().collect();
            commits.sort_unstable_by(|a, b| b.cmp(a));
            let oldest = commits[MAX_STREAMS - 1];
            self.streams.retain(|_, commit| *commit >= oldest);
        }
    }

    /// Newest first.
    pub fn streams(&self, known: &Known) -> Vec<AckedStream> {
        let rows: HashMap<i64, _> = known
            .devices
            .iter()
            .map(|(id, device)| (device.row, (id, device.encoding.code())))
            .collect();
        let mut keys: Vec<_> = self.streams.iter().collect();
        keys.sort_unstable_by(|a, b| b.1.cmp(a.1));
        keys.iter()
            .take(MAX_STREAMS)
            .filter_map(|(key, _)| {
                let (id, encoding) = rows.get(&key.0)?;
                Some(AckedStream::of(id, *encoding, key.1, known.streams.get(*key)?))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Encoding;
    use super::super::group::Device;
    use super::super::stream::{Discipline, Stream};
    use super::*;

    #[test]
    fn the_streams_of_the_newest_events_are_kept() {
        let mut known = Known::default();
        for row in 1..=2_000 {
            let id = DeviceId::new("paris-1", &format!("till-{row}")).unwrap();
            let encoding = Encoding::Json;
            known.devices.insert(id, Device { row, encoding });
            let mut stream = Stream::default();
            stream.admit(1, 0, Discipline::AnyOrder);
            known.streams.insert((row, 7), stream);
        }
        let mut newest = Newest::of(Acked::default(), &known);
        assert_eq!(newest.streams(&known).len(), MAX_STREAMS);
        for row in 1..=2_000 {
            newest.note([(row, 7)].into_iter());
            assert!(newest.streams.len() <= 2 * MAX_STREAMS);
        }
        let names: Vec<_> = newest
            .streams(&known)
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
