//! The note of the epoch and the newest number: a sequential-storage map with one item.

use core::mem;
use core::ops::Range;

use embedded_storage_async::nor_flash::{MultiwriteNorFlash, NorFlash as _};
use sequential_storage::Error as StorageError;
use sequential_storage::cache::Cache;
use sequential_storage::cache::key_pointers::ArrayKeyPointers;
use sequential_storage::cache::page_pointers::ArrayPagePointers;
use sequential_storage::cache::page_states::ArrayPageStates;
use sequential_storage::map::{MapConfig, MapStorage};

use crate::error::QueueError;
use crate::queue::ATTEMPTS;
use crate::read_back::ReadBack;

/// Pages for the notes. Two is the minimum for a map, which writes one page while it keeps the other.
pub const PAGES: u32 = 2;
/// The key of the note, and the buffer that a read or write needs.
const NOTE: u8 = 1;
const NOTE_BYTES: usize = 64;

/// Without the cache, each write would first read all notes on the page.
type NoteCache = Cache<
    ArrayPageStates<{ PAGES as usize }>,
    ArrayPagePointers<{ PAGES as usize }>,
    ArrayKeyPointers<u8, 1>,
    u8,
>;

type Map<'f, F> = MapStorage<u8, &'f mut ReadBack<F>, NoteCache>;

/// The notes' range on flash, and the cached state of their pages.
pub struct Notes {
    range: Range<u32>,
    cache: NoteCache,
}

impl Notes {
    /// Notes in this range of the flash.
    pub fn new(range: Range<u32>) -> Self {
        Self {
            range,
            cache: empty(),
        }
    }

    /// Opens the map, which takes the cache. [`MapStorage::destroy`] returns the cache; an empty one is correct too,
    /// only slower.
    fn open<'f, F: MultiwriteNorFlash>(
        &mut self,
        flash: &'f mut ReadBack<F>,
    ) -> Result<Map<'f, F>, QueueError<F::Error>> {
        let config = MapConfig::try_new(self.range.clone()).map_err(|_| QueueError::Range)?;
        Ok(MapStorage::new(
            flash,
            config,
            mem::replace(&mut self.cache, empty()),
        ))
    }

    /// Stores a note. If damaged notes prevent that, erases them and tries again.
    pub async fn store<F: MultiwriteNorFlash>(
        &mut self,
        flash: &mut ReadBack<F>,
        epoch: u32,
        newest: u32,
    ) -> Result<(), QueueError<F::Error>> {
        let note = (u64::from(newest) << 32) | u64::from(epoch);
        let stored = self.try_store(flash, note).await;
        if self.erase_if_damaged(flash, &stored).await? {
            return self.try_store(flash, note).await;
        }
        stored
    }

    async fn try_store<F: MultiwriteNorFlash>(
        &mut self,
        flash: &mut ReadBack<F>,
        note: u64,
    ) -> Result<(), QueueError<F::Error>> {
        let mut map = self.open(flash)?;
        let mut stored = Err(QueueError::Worn);
        for _ in 0..ATTEMPTS {
            stored = map
                .store_item(&mut [0; NOTE_BYTES], &NOTE, &note)
                .await
                .map_err(QueueError::from);
            if !matches!(stored, Err(QueueError::Worn)) {
                break;
            }
        }
        self.cache = map.destroy().1;
        stored
    }

    /// Removes all notes, oldest first.
    pub async fn clear<F: MultiwriteNorFlash>(
        &mut self,
        flash: &mut ReadBack<F>,
    ) -> Result<(), QueueError<F::Error>> {
        let mut map = self.open(flash)?;
        let removed = map.remove_all_items(&mut [0; NOTE_BYTES]).await;
        self.cache = map.destroy().1;
        let removed = removed.map_err(QueueError::from);
        self.erase_if_damaged(flash, &removed).await.map(|_| ())
    }

    /// The epoch and the newest number of the last note.
    pub async fn read<F: MultiwriteNorFlash>(
        &mut self,
        flash: &mut ReadBack<F>,
    ) -> Result<Option<(u32, u32)>, QueueError<F::Error>> {
        let mut map = self.open(flash)?;
        let fetched = map.fetch_item::<u64>(&mut [0; NOTE_BYTES], &NOTE).await;
        self.cache = map.destroy().1;
        let note = match fetched {
            Ok(note) => note,
            Err(StorageError::Storage { value, .. }) => return Err(value.into()),
            // The events contain the numbers too.
            Err(_) => None,
        };
        Ok(note
            .map(|note| (note as u32, (note >> 32) as u32))
            .filter(|&(epoch, _)| epoch != 0))
    }

    /// Erases the notes if the error is due to their contents; returns whether it was.
    async fn erase_if_damaged<F: MultiwriteNorFlash>(
        &mut self,
        flash: &mut ReadBack<F>,
        result: &Result<(), QueueError<F::Error>>,
    ) -> Result<bool, QueueError<F::Error>> {
        match result {
            Ok(()) | Err(QueueError::Flash(_)) => Ok(false),
            Err(_) => {
                flash.erase(self.range.start, self.range.end).await?;
                self.cache = empty();
                Ok(true)
            }
        }
    }
}

fn empty() -> NoteCache {
    Cache::new(
        ArrayPageStates::new(),
        ArrayPagePointers::new(),
        ArrayKeyPointers::new(),
    )
}
