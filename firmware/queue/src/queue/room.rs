//! Free space, as a conservative lower bound.

use embedded_storage_async::nor_flash::MultiwriteNorFlash;

use super::{Events, SaleQueue};
use crate::error::QueueError;
use crate::part::{ITEM, count};

impl<F: MultiwriteNorFlash, const PAGES: usize> SaleQueue<F, PAGES> {
    /// Whether there is certainly room for an event of `len` bytes.
    ///
    /// # Errors
    /// The flash failed.
    pub async fn has_room_for(&mut self, len: usize) -> Result<bool, QueueError<F::Error>> {
        self.has_room_for_all([len]).await
    }

    /// Whether there is certainly room for events of all the given sizes in bytes.
    ///
    /// # Errors
    /// The flash failed.
    pub async fn has_room_for_all(
        &mut self,
        lens: impl IntoIterator<Item = usize>,
    ) -> Result<bool, QueueError<F::Error>> {
        self.has_room_for_items(lens.into_iter().map(count).sum()).await
    }

    async fn has_room_for_items(&mut self, items: usize) -> Result<bool, QueueError<F::Error>> {
        let needed = Self::needed(items)?;
        if self.min_free < needed {
            self.events.flash().headers_only = true;
            let free = self.events.space_left().await;
            self.events.flash().headers_only = false;
            self.min_free = free?;
        }
        Ok(self.min_free >= needed)
    }

    /// Upper bound of the bytes for a number of items, including the space wasted at the ends of pages.
    pub(super) fn needed(items: usize) -> Result<u32, QueueError<F::Error>> {
        let word = u32::try_from(F::WRITE_SIZE.max(F::READ_SIZE)).map_err(|_| QueueError::Range)?;
        let item = Events::<F, PAGES>::item_overhead_size()
            + u32::try_from(ITEM)
                .map_err(|_| QueueError::Range)?
                .next_multiple_of(word);
        let items = u32::try_from(items).unwrap_or(u32::MAX);
        let page = u32::try_from(F::ERASE_SIZE).map_err(|_| QueueError::Range)?;
        // Each page may waste less than an item at its end.
        let pages = items.saturating_mul(item) / (page - item) + 2;
        Ok(items.saturating_add(pages).saturating_mul(item))
    }
}
