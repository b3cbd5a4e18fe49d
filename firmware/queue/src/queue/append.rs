//! Appending: writes an event's parts, and checks that readers will find them.

use core::mem;

use embedded_storage_async::nor_flash::MultiwriteNorFlash;

use super::SaleQueue;
use crate::error::QueueError;
use crate::part::{Assembly, LONGEST, PART, PartHeader, checksum, count};
use crate::read_back::Trace;

/// Maximum number of attempts to write an item or a note, each at another place.
pub(crate) const ATTEMPTS: u32 = 8;

impl<F: MultiwriteNorFlash, const PAGES: usize> SaleQueue<F, PAGES> {
    /// Writes an event after all others, and makes sure that a reader will find it.
    pub(super) async fn append(&mut self, seq: u32, frame: &[u8]) -> Result<(), QueueError<F::Error>> {
        let min_free = self.min_free.saturating_sub(Self::needed(count(frame.len()))?);
        // Both are restored on success. A failed write occupies more space, and leaves unknown contents.
        self.min_free = 0;
        let mut reachable_end = self.reachable_end.take();
        let (crc, mut item) = (checksum(frame), [0; LONGEST]);
        // At most 33, because the size of a frame is bounded.
        let count = u8::try_from(count(frame.len())).map_err(|_| QueueError::TooLarge)?;
        for (part, index) in frame.chunks(PART).zip(0..) {
            let header = PartHeader {
                epoch: self.epoch,
                seq,
                crc,
                index,
                count,
            };
            let len = header.write(part, &mut item);
            self.push_item(&item[..len]).await?;
            reachable_end = reachable_end.and_then(|end| self.end_if_adjacent(end));
        }
        let end = self.events.flash().trace.run.end;
        if mem::take(&mut self.events.flash().has_failed) {
            reachable_end = None;
        }
        if reachable_end.is_none() && !self.can_read(seq, crc, &mut item).await? {
            return Err(QueueError::Corrupted);
        }
        (self.reachable_end, self.min_free) = (Some(end), min_free);
        Ok(())
    }

    /// Returns the end of the item written last, if a reader that finds the item ending at `end` also finds this one.
    ///
    /// Readers go through a page item by item, then to the next page. So they find an item that directly follows the
    /// other one, or that is the first on the next page, provided that no other page was erased in between.
    fn end_if_adjacent(&mut self, end: u32) -> Option<u32> {
        let range = self.events.flash_range();
        let page = u32::try_from(F::ERASE_SIZE).ok()?;
        let Trace { run, erases, erased } = self.events.flash().trace.clone();
        let after = end.next_multiple_of(page);
        let next = if after == range.end { range.start } else { after };
        let here = run.start == end && erases == 0;
        let there = run.start == next && (erases == 0 || (erases == 1 && erased == next));
        (here || there).then_some(run.end)
    }

    /// Reads the whole queue to check whether a reader will find that event. A page with damaged marks accepts items
    /// that no reader finds; such an event must not be confirmed. [`end_if_adjacent`](Self::end_if_adjacent) usually
    /// makes this unnecessary.
    async fn can_read(
        &mut self,
        seq: u32,
        crc: u32,
        item: &mut [u8; LONGEST],
    ) -> Result<bool, QueueError<F::Error>> {
        let (epoch, mut assembly) = (self.epoch, Assembly::default());
        let mut items = self.events.iter().await?;
        while let Some(entry) = items.next(&mut item[..]).await? {
            let Some((header, part)) = PartHeader::read(&entry) else {
                continue;
            };
            if header.epoch == epoch && header.seq >= seq && assembly.completes(header, part) {
                // Readers take the first complete event with a number.
                return Ok((header.seq, header.crc) == (seq, crc));
            }
        }
        Ok(false)
    }

    /// Writes an item. If it does not read back, writes it again at the next place; readers skip the failed one.
    async fn push_item(&mut self, item: &[u8]) -> Result<(), QueueError<F::Error>> {
        let mut pushed = Err(QueueError::Worn);
        for _ in 0..ATTEMPTS {
            self.events.flash().trace = Trace::default();
            self.events.flash().headers_only = true;
            pushed = self.events.push(item, false).await.map_err(QueueError::from);
            self.events.flash().headers_only = false;
            if !matches!(pushed, Err(QueueError::Worn)) {
                break;
            }
        }
        pushed
    }
}
