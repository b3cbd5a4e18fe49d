//! The newest entries, in memory: what the bridge and the projection want next is nearly always here.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Entry, Offset};

/// Bytes of payload and key kept. Enough for some tens of thousands of events a second; small enough to
/// be nothing beside the rest of the process.
const MAX_BYTES: usize = 2 << 20;

#[derive(Default)]
struct Kept {
    entries: VecDeque<Arc<Entry>>,
    bytes: usize,
}

#[derive(Default)]
pub(super) struct Tail(Mutex<Kept>);

impl Tail {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        // A panic elsewhere leaves the queue whole: every change below is complete at once.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds what was just committed. Offsets go on without a hole, or the tail starts anew.
    pub fn push(&self, entries: impl IntoIterator<Item = Arc<Entry>>) {
        let mut kept = self.lock();
        for entry in entries {
            let follows = kept
                .entries
                .back()
                .is_none_or(|last| last.offset.0 + 1 == entry.offset.0);
            if !follows {
                *kept = Kept::default();
            }
            kept.bytes += size(&entry);
            kept.entries.push_back(entry);
        }
        while kept.bytes > MAX_BYTES
            && let Some(first) = kept.entries.pop_front()
        {
            kept.bytes -= size(&first);
        }
    }

    /// Up to `count` entries and about `bytes` after `after`; `None` if their beginning is not here.
    pub fn after(&self, after: Offset, count: usize, bytes: usize) -> Option<Vec<Arc<Entry>>> {
        let kept = self.lock();
        let first = kept.entries.front()?.offset.0;
        let skip = usize::try_from((after.0 + 1).checked_sub(first)?).ok()?;
        if skip >= kept.entries.len() {
            return None;
        }
        let mut taken = 0;
        Some(
            kept.entries
                .range(skip..)
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
