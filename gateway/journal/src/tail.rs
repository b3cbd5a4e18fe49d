//! The newest entries, in memory. The bridge and the projection find nearly every entry that they read next here.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Entry, Offset, Rewrite};
use comptoir_core::event::EventName;

/// Most bytes of fresh entries: some tenths of a second at full load. A reader that falls behind must read from disk,
/// which costs several times as much, so it falls further behind.
const MAX_BYTES: usize = 8 << 20;
/// Most bytes once the oldest entry is no longer fresh: readers that keep up have read it by then.
const SETTLED_BYTES: usize = 1 << 20;
/// How long an entry is fresh.
const FRESH: Duration = Duration::from_secs(1);

struct TailEntry {
    committed_at: Instant,
    entry: Arc<Entry>,
}

#[derive(Default)]
struct TailBuffer {
    entries: VecDeque<TailEntry>,
    /// Sum of [`size`].
    bytes: usize,
}

#[derive(Default)]
pub(super) struct Tail(Mutex<TailBuffer>);

impl Tail {
    fn lock(&self) -> MutexGuard<'_, TailBuffer> {
        // A panic elsewhere leaves the buffer consistent: no change below can panic halfway.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the entries that were committed at `now`. Starts over if their offsets do not continue the tail's.
    pub fn push(&self, entries: impl IntoIterator<Item = Arc<Entry>>, now: Instant) {
        let mut buffer = self.lock();
        for entry in entries {
            let follows = buffer
                .entries
                .back()
                .is_none_or(|last| last.entry.offset.0 + 1 == entry.offset.0);
            if !follows {
                *buffer = TailBuffer::default();
            }
            buffer.bytes += size(&entry);
            buffer.entries.push_back(TailEntry {
                committed_at: now,
                entry,
            });
        }
        while let Some(first) = buffer.entries.front() {
            let limit = match now.duration_since(first.committed_at) < FRESH {
                true => MAX_BYTES,
                false => SETTLED_BYTES,
            };
            if buffer.bytes <= limit {
                break;
            }
            buffer.bytes -= size(&first.entry);
            buffer.entries.pop_front();
        }
    }

    /// The events among `names` that are in the tail.
    pub fn named(&self, names: &[EventName]) -> HashMap<EventName, Arc<Entry>> {
        let wanted: HashSet<&EventName> = names.iter().collect();
        let buffer = self.lock();
        let entries = buffer.entries.iter().map(|item| &item.entry);
        let found = entries.filter(|entry| wanted.contains(&entry.name));
        found
            .map(|entry| (entry.name.clone(), Arc::clone(entry)))
            .collect()
    }

    /// Replaces the content of entries.
    pub fn rewrite(&self, entries: &HashMap<Offset, Rewrite>) {
        let mut buffer = self.lock();
        let mut changed: isize = 0;
        for item in &mut buffer.entries {
            if let Some(Rewrite { payload, reason }) = entries.get(&item.entry.offset) {
                let mut entry = Entry::clone(&item.entry);
                entry.payload = payload.clone();
                entry.reason = reason.clone();
                changed = changed + size(&entry) as isize - size(&item.entry) as isize;
                item.entry = Arc::new(entry);
            }
        }
        buffer.bytes = buffer.bytes.saturating_add_signed(changed);
    }

    /// The entries at `offsets` that are in the tail.
    pub fn at(&self, offsets: &[Offset]) -> HashMap<Offset, Arc<Entry>> {
        let buffer = self.lock();
        let Some(first) = buffer.entries.front().map(|item| item.entry.offset.0) else {
            return HashMap::new();
        };
        let found = offsets.iter().filter_map(|offset| {
            let index = usize::try_from(offset.0.checked_sub(first)?).ok()?;
            let entry = &buffer.entries.get(index)?.entry;
            Some((*offset, Arc::clone(entry)))
        });
        found.collect()
    }

    /// At most `count` entries and about `bytes` bytes after `after`. `None` if the first of them is not in the tail.
    pub fn after(&self, after: Offset, count: usize, bytes: usize) -> Option<Vec<Arc<Entry>>> {
        let buffer = self.lock();
        let first = buffer.entries.front()?.entry.offset.0;
        let skip = usize::try_from((after.0 + 1).checked_sub(first)?).ok()?;
        if skip >= buffer.entries.len() {
            return None;
        }
        let mut taken = 0;
        Some(
            buffer
                .entries
                .range(skip..)
                .map(|item| &item.entry)
                .take(count)
                .take_while(|entry| {
                    let fits = taken < bytes;
                    taken += size(entry);
                    fits
                })
                .cloned()
                .collect(),
        )
    }
}

fn size(entry: &Entry) -> usize {
    std::mem::size_of::<Entry>() + entry.payload.len() + entry.key.len()
}

#[cfg(test)]
mod tests {
    use super::super::{EntryKind, Payload};
    use super::*;
    use comptoir_core::event::{DeviceId, EventName, Kind};

    /// Entries of one kilobyte.
    fn entries(offsets: std::ops::RangeInclusive<u64>) -> Vec<Arc<Entry>> {
        let device = DeviceId::new("paris-1", "till-1").unwrap();
        let entry = |offset| Entry {
            offset: Offset(offset),
            kind: EntryKind::Event(Kind::Order),
            name: EventName {
                device: device.clone(),
                epoch: 1,
                seq: 1,
            },
            time: 0,
            key: "o".into(),
            payload: Payload::Json("x".repeat(1_023 - size_of::<Entry>()).into()),
            reason: None,
        };
        offsets.map(|offset| Arc::new(entry(offset))).collect()
    }

    fn oldest(tail: &Tail) -> u64 {
        tail.lock().entries.front().unwrap().entry.offset.0
    }

    #[test]
    fn a_burst_is_kept_for_a_second_within_bounds() {
        let (tail, begun) = (Tail::default(), Instant::now());
        tail.push(entries(1..=4_000), begun);
        assert_eq!(oldest(&tail), 1);
        tail.push(entries(4_001..=10_000), begun);
        assert_eq!(oldest(&tail), 10_001 - (MAX_BYTES / 1_024) as u64);
        // The fresh entries alone are smaller than the lower limit.
        tail.push(entries(10_001..=10_010), begun + FRESH);
        assert_eq!(oldest(&tail), 10_011 - (SETTLED_BYTES / 1_024) as u64);
    }

    #[test]
    fn entries_are_returned_in_sequence_or_not_at_all() {
        let (tail, now) = (Tail::default(), Instant::now());
        assert!(tail.after(Offset(0), 10, 1 << 20).is_none());
        tail.push(entries(5..=9), now);
        let read = |after, count, bytes| -> Option<Vec<u64>> {
            let entries = tail.after(Offset(after), count, bytes)?;
            Some(entries.iter().map(|entry| entry.offset.0).collect())
        };
        assert_eq!(read(3, 10, 1 << 20), None, "4 is missing");
        assert_eq!(read(4, 10, 1 << 20), Some(vec![5, 6, 7, 8, 9]));
        assert_eq!(read(6, 2, 1 << 20), Some(vec![7, 8]));
        assert_eq!(read(4, 10, 1_025), Some(vec![5, 6]), "about 1025 bytes");
        assert_eq!(read(9, 10, 1 << 20), None, "nothing follows");
        tail.push(entries(20..=20), now);
        assert_eq!(read(4, 10, 1 << 20), None, "a hole: the tail starts over");
        assert_eq!(read(19, 10, 1 << 20), Some(vec![20]));
    }
}
