//! Recovery: what the flash holds after a restart.

use core::ops::Range;

use embedded_storage_async::nor_flash::MultiwriteNorFlash;
use sequential_storage::cache::page_pointers::ArrayPagePointers;
use sequential_storage::cache::page_states::ArrayPageStates;
use sequential_storage::cache::{Cache, Uncached};
use sequential_storage::queue::{QueueConfig, QueueStorage};

use super::SaleQueue;
use crate::error::QueueError;
use crate::notes::{self, Notes};
use crate::part::{Assembly, LONGEST, PartHeader};
use crate::read_back::ReadBack;

impl<F: MultiwriteNorFlash, const PAGES: usize> SaleQueue<F, PAGES> {
    /// A queue on the range that has not read anything yet.
    pub(super) fn assume_empty(
        flash: F,
        range: Range<u32>,
        epoch: u32,
    ) -> Result<Self, QueueError<F::Error>> {
        let page = u32::try_from(F::ERASE_SIZE).map_err(|_| QueueError::Range)?;
        let pages = range.end.saturating_sub(range.start) / page;
        let fits = pages >= notes::PAGES + 2 && (pages - notes::PAGES) as usize <= PAGES;
        if !fits || F::ERASE_SIZE < 2 * LONGEST || !range.start.is_multiple_of(page) {
            return Err(QueueError::Range);
        }
        let middle = range.start + notes::PAGES * page;
        let config = QueueConfig::try_new(middle..range.end).map_err(|_| QueueError::Range)?;
        let cache = Cache::new(ArrayPageStates::new(), ArrayPagePointers::new(), Uncached);
        Ok(Self {
            events: QueueStorage::new(ReadBack::new(flash), config, cache),
            notes: Notes::new(range.start..middle),
            epoch: epoch.max(1),
            acked: 0,
            newest: 0,
            reachable_end: None,
            min_free: 0,
        })
    }

    /// Determines the epoch and the numbers from the flash; `false` if there is no queue.
    pub(super) async fn recover(&mut self) -> Result<bool, QueueError<F::Error>> {
        let noted = self.notes.read(self.events.flash()).await?;
        let (mut item, mut assembly) = ([0; LONGEST], Assembly::default());
        let (mut epoch, mut whole) = (noted.map(|(epoch, _)| epoch), None::<(u32, u32)>);
        let mut items = self.events.iter().await?;
        while let Some(entry) = items.next(&mut item).await? {
            let Some((header, part)) = PartHeader::read(&entry) else {
                continue;
            };
            // Without a note, the first event determines the epoch.
            if header.epoch != *epoch.get_or_insert(header.epoch) {
                continue;
            }
            // An incomplete event was not confirmed, and its number is free.
            if assembly.completes(header, part) {
                let (oldest, newest) = whole.unwrap_or((header.seq, header.seq));
                whole = Some((oldest.min(header.seq), newest.max(header.seq)));
            }
        }
        let Some(epoch) = epoch else {
            return Ok(false);
        };
        let noted = noted.map_or(0, |(_, newest)| newest);
        self.epoch = epoch;
        self.newest = whole.map_or(noted, |(_, newest)| newest.max(noted));
        self.acked = whole.map_or(noted, |(oldest, _)| oldest - 1);
        // Finishes a format or a deletion that a power cut interrupted.
        self.sweep().await?;
        Ok(true)
    }

    /// Deletes items from the front that are acked, of another epoch, or not part of an event.
    pub(super) async fn sweep(&mut self) -> Result<(), QueueError<F::Error>> {
        let (epoch, unacked, mut item) = (self.epoch, self.acked + 1..=self.newest, [0; LONGEST]);
        let mut items = self.events.iter().await?;
        while let Some(entry) = items.next(&mut item).await? {
            if PartHeader::read(&entry)
                .is_some_and(|(part, _)| part.epoch == epoch && unacked.contains(&part.seq))
            {
                break;
            }
            match entry.pop().await.map_err(QueueError::from) {
                // The item stays, which costs only space.
                Ok(_) | Err(QueueError::Worn) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
