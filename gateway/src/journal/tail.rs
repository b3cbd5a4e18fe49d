//! The newest entries, in memory: what the bridge and the projection want next is nearly always here.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Entry, Offset};
use crate::event::EventName;

/// Bytes kept of what has just come: some tenths of a second of a flood. Who falls behind it reads from disk, which
/// costs several times as much, and so falls further behind.
const MAX_BYTES: usize = 8 << 20;
/// Bytes kept of what is older than [`FRESH`]: who follows has read it.
const KEPT_BYTES: usize = 1 << 20;
const FRESH: Duration = Duration::from_secs(1);

struct Pushed {
    at: Instant,
    entry: Arc<Entry>,
}

#[derive(Default)]
struct Kept {
    entries: VecDeque<Pushed>,
    bytes: usize,
}

#[derive(Default)]
pub(super) struct Tail(Mutex<Kept>);

impl Tail {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        // A panic elsewhere leaves the queue whole: every change below is complete at once.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds what was committed at `now`. Offsets go on without a hole, or the tail starts anew.
    pub fn push(&self, entries: impl IntoIterator<Item = Arc<Entry>>, now: Instant) {
        let mut kept = self.lock();
        for entry in entries {
            let follows = kept
                .entries
                .back()
                .is_none_or(|last| last.entry.offset.0 + 1 == entry.offset.0);
            if !follows {
                *kept = Kept::default();
            }
            kept.bytes += size(&entry);
            kept.entries.push_back(Pushed { at: now, entry });
        }
        while let Some(first) = kept.entries.front() {
            let most = match now.duration_since(first.at) < FRESH {
                true => MAX_BYTES,
                false => KEPT_BYTES,
            };
            if kept.bytes <= most {
                break;
            }
            kept.bytes -= size(&first.entry);
            kept.entries.pop_front();
        }
    }

    /// Those of the events that are here.
    pub fn named(&self, names: &[EventName]) -> HashMap<EventName, Arc<Entry>> {
        let wanted: HashSet<&EventName> = names.iter().collect();
        let kept = self.lock();
        let entries = kept.entries.iter().map(|pushed| &pushed.entry);
        let found = entries.filter(|entry| wanted.contains(&entry.name));
        found
            .map(|entry| (entry.name.clone(), Arc::clone(entry)))
            .collect()
    }

    /// Up to `count` entries and about `bytes` after `after`; `None` if their beginning is not here.
    pub fn after(&self, after: Offset, count: usize, bytes: usize) -> Option<Vec<Arc<Entry>>> {
        let kept = self.lock();
        let first = kept.entries.front()?.entry.offset.0;
        let skip = usize::try_from((after.0 + 1).checked_sub(first)?).ok()?;
        if skip >= kept.entries.len() {
            return None;
        }
        let mut taken = 0;
        Some(
            kept.entries
                .range(skip..)
                .map(|pushed| &pushed.entry)
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
    use crate::event::{DeviceId, EventName, Kind};

    /// Entries of a kilobyte.
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
    fn a_flood_is_kept_for_a_second_and_within_bounds() {
        let (tail, begun) = (Tail::default(), Instant::now());
        tail.push(entries(1..=4_000), begun);
        assert_eq!(oldest(&tail), 1);
        tail.push(entries(4_001..=10_000), begun);
        assert_eq!(oldest(&tail), 10_001 - (MAX_BYTES / 1_024) as u64);
        // The fresh ones alone are within the bounds of the older.
        tail.push(entries(10_001..=10_010), begun + FRESH);
        assert_eq!(oldest(&tail), 10_011 - (KEPT_BYTES / 1_024) as u64);
    }

    #[test]
    fn what_follows_is_given_in_order_or_not_at_all() {
        let (tail, now) = (Tail::default(), Instant::now());
        assert!(tail.after(Offset(0), 10, 1 << 20).is_none());
        tail.push(entries(5..=9), now);
        let given = |after, count, bytes| -> Option<Vec<u64>> {
            let entries = tail.after(Offset(after), count, bytes)?;
            Some(entries.iter().map(|entry| entry.offset.0).collect())
        };
        assert_eq!(given(3, 10, 1 << 20), None, "4 is not here");
        assert_eq!(given(4, 10, 1 << 20), Some(vec![5, 6, 7, 8, 9]));
        assert_eq!(given(6, 2, 1 << 20), Some(vec![7, 8]));
        assert_eq!(given(4, 10, 1_025), Some(vec![5, 6]), "about so many bytes");
        assert_eq!(given(9, 10, 1 << 20), None, "nothing follows");
        tail.push(entries(20..=20), now);
        assert_eq!(given(4, 10, 1 << 20), None, "a hole: it begins anew");
        assert_eq!(given(19, 10, 1 << 20), Some(vec![20]));
    }
}
