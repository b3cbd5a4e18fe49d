//! The newest entries, in memory: what the bridge and the projection want next is nearly always here.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Entry, Offset};

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
