//! The queue itself: sequential-storage's queue for the events, beside them the notes.

use core::ops::{ControlFlow, Range};
use core::{fmt, mem};

use comptoir_wire::MAX_FRAME;
use embedded_storage_async::nor_flash::MultiwriteNorFlash;
use sequential_storage::Error as StorageError;
use sequential_storage::cache::page_pointers::ArrayPagePointers;
use sequential_storage::cache::page_states::ArrayPageStates;
use sequential_storage::cache::{Cache, Uncached};
use sequential_storage::queue::{QueueConfig, QueueStorage};

use crate::notes::{self, Notes};
use crate::part::{Assembly, ITEM, LONGEST, PART, PartHeader, checksum, count};
use crate::read_back::{ReadBack, ReadBackError, Trace};

/// How often a write is tried: each time at another place.
pub(crate) const ATTEMPTS: u32 = 8;

type Events<F, const PAGES: usize> =
    QueueStorage<ReadBack<F>, Cache<ArrayPageStates<PAGES>, ArrayPagePointers<PAGES>, Uncached>>;

/// Why the queue could not do what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueError<E> {
    /// There is no room; nothing was kept. [`SaleQueue::has_room_for`] says so before.
    Full,
    /// The number is not the next one.
    NotNext,
    /// The frame is larger than any may be.
    TooLarge,
    /// The flash is too small, or not aligned to its pages: at least four pages, and as many as the type says
    /// at most.
    Range,
    /// What is on the flash makes no sense, and repairing did not help. Nothing is confirmed. Once what is held
    /// is acked, format.
    Corrupted,
    /// The flash did not keep what was written, again and again. The event is not confirmed.
    Worn,
    /// The flash itself.
    Flash(E),
}

impl<E: fmt::Debug> fmt::Display for QueueError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the queue is full"),
            Self::NotNext => f.write_str("not the queue's next number"),
            Self::TooLarge => f.write_str("the event is larger than a frame may be"),
            Self::Range => f.write_str("the flash range does not suit the queue"),
            Self::Corrupted => f.write_str("the flash makes no sense"),
            Self::Worn => f.write_str("the flash does not keep what is written"),
            Self::Flash(error) => write!(f, "flash: {error:?}"),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for QueueError<E> {}

impl<E> From<StorageError<ReadBackError<E>>> for QueueError<E> {
    fn from(error: StorageError<ReadBackError<E>>) -> Self {
        match error {
            StorageError::Storage { value, .. } => value.into(),
            StorageError::FullStorage => Self::Full,
            StorageError::ItemTooBig => Self::TooLarge,
            _ => Self::Corrupted,
        }
    }
}

impl<E> From<ReadBackError<E>> for QueueError<E> {
    fn from(error: ReadBackError<E>) -> Self {
        match error {
            ReadBackError::Flash(error) => Self::Flash(error),
            ReadBackError::Differs => Self::Worn,
        }
    }
}

/// What opening found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// A queue with its epoch.
    Found,
    /// None: the flash was new, or made no sense. It is formatted now, with the epoch that was given.
    Formatted,
}

/// A queue on pages of `F`, at most `PAGES` of them for the events.
pub struct SaleQueue<F: MultiwriteNorFlash, const PAGES: usize> {
    events: Events<F, PAGES>,
    notes: Notes,
    epoch: u32,
    /// All up to here are deleted.
    acked: u32,
    /// The highest number given.
    newest: u32,
    /// Where the last item ends that a reader is known to come to; `None`: nobody has looked.
    reached: Option<u32>,
    /// Bytes that are free at least: deletions only add to them.
    room: u32,
}

impl<F: MultiwriteNorFlash, const PAGES: usize> SaleQueue<F, PAGES> {
    /// Opens the queue on `range` of the flash. `epoch` is random: it is used if there is no queue yet.
    ///
    /// # Errors
    /// The range does not suit, or the flash fails. Never for what is on it.
    pub async fn open(
        flash: F,
        range: Range<u32>,
        epoch: u32,
    ) -> Result<(Self, Opened), QueueError<F::Error>> {
        let mut queue = Self::assume_empty(flash, range.clone(), epoch)?;
        match queue.recover().await {
            Ok(true) => Ok((queue, Opened::Found)),
            Err(QueueError::Flash(error)) => Err(QueueError::Flash(error)),
            _ => Ok((
                Self::format(queue.close(), range, epoch).await?,
                Opened::Formatted,
            )),
        }
    }

    /// Deletes everything and begins a new epoch. `epoch` is random; 0, which no terminal has, counts as 1.
    ///
    /// # Errors
    /// The range does not suit, or the flash fails.
    pub async fn format(flash: F, range: Range<u32>, epoch: u32) -> Result<Self, QueueError<F::Error>> {
        let mut queue = Self::assume_empty(flash, range, epoch)?;
        // A cut anywhere here leaves the old epoch whole, or the new one, or nothing: never the old epoch
        // with lower numbers. So the note changes first, and older notes go at the end, oldest first.
        queue.note().await?;
        queue.events.erase_all().await?;
        queue.notes.forget(queue.events.flash()).await?;
        queue.note().await?;
        Ok(queue)
    }

    /// Keeps the event's frame. When this returns, it is kept for good.
    ///
    /// # Errors
    /// `seq` is not [`next_seq`](Self::next_seq), the frame is too large, there is no room, or the flash.
    /// The event may be found after a restart if the flash failed, and only then.
    pub async fn push(&mut self, seq: u32, frame: &[u8]) -> Result<(), QueueError<F::Error>> {
        if self.next_seq() != Some(seq) {
            return Err(QueueError::NotNext);
        }
        if frame.is_empty() || frame.len() > MAX_FRAME {
            return Err(QueueError::TooLarge);
        }
        if !self.has_room_for(frame.len()).await? {
            return Err(QueueError::Full);
        }
        self.append(seq, frame).await?;
        self.newest = seq;
        // Damaged notes can go: the event just kept tells epoch and number.
        self.note().await
    }

    /// Writes an event behind all others, where a reader comes to it.
    async fn append(&mut self, seq: u32, frame: &[u8]) -> Result<(), QueueError<F::Error>> {
        let room = self.room.saturating_sub(Self::needed(count(frame.len()))?);
        // Both hold again once all went well: a write that failed took more room, and left who knows what.
        self.room = 0;
        let mut reached = self.reached.take();
        let (crc, mut item) = (checksum(frame), [0; LONGEST]);
        // At most 33, by the bound of frames.
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
            reached = reached.and_then(|end| self.follows(end));
        }
        let end = self.events.flash().trace.run.end;
        if mem::take(&mut self.events.flash().failed) {
            reached = None;
        }
        if reached.is_none() && !self.holds(seq, crc, &mut item).await? {
            return Err(QueueError::Corrupted);
        }
        (self.reached, self.room) = (Some(end), room);
        Ok(())
    }

    /// Whether a reader that came to the item ending at `end` comes to the one written last: where that one ends.
    ///
    /// Readers go through a page item by item, then to the next page. So they do if it stands right behind the
    /// other, or first on the page after it, and no page but that one was erased on the way.
    fn follows(&mut self, end: u32) -> Option<u32> {
        let range = self.events.flash_range();
        let page = u32::try_from(F::ERASE_SIZE).ok()?;
        let Trace { run, erases, erased } = self.events.flash().trace.clone();
        let after = end.next_multiple_of(page);
        let next = if after == range.end { range.start } else { after };
        let here = run.start == end && erases == 0;
        let there = run.start == next && (erases == 0 || (erases == 1 && erased == next));
        (here || there).then_some(run.end)
    }

    /// Whether a reader will find that event. Pages whose marks are damaged take items that no reader comes to:
    /// such an event must not be confirmed. Goes through all that is held; [`follows`](Self::follows) spares that.
    async fn holds(
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
            if header.epoch == epoch && header.seq >= seq && assembly.is_whole(header, part) {
                // The first whole one is what a reader takes.
                return Ok((header.seq, header.crc) == (seq, crc));
            }
        }
        Ok(false)
    }

    /// What was written and could not be read is passed over, here and by every reader.
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

    /// Deletes all events up to and including `seq`; how many that were. Numbers never given are not deleted.
    ///
    /// # Errors
    /// The flash. The events are not read any more; a restart may find some of them again.
    pub async fn delete_through(&mut self, seq: u32) -> Result<u32, QueueError<F::Error>> {
        let seq = seq.min(self.newest);
        let deleted = seq.saturating_sub(self.acked);
        if deleted == 0 {
            return Ok(0);
        }
        self.acked = seq;
        if self.is_empty() {
            // From here on only the notes know the number: were there one, its damage would bring the one before
            // back, and a number would be given twice.
            self.note().await?;
        }
        self.sweep().await?;
        Ok(deleted)
    }

    /// Gives the events from `from` on to `sink`, oldest first, with their numbers, until it breaks. `buffer`
    /// holds one frame: [`MAX_FRAME`] bytes always suffice, and larger ones are passed over.
    ///
    /// A number may be missing: its event was damaged beyond repair.
    ///
    /// # Errors
    /// The flash.
    pub async fn read(
        &mut self,
        from: u32,
        buffer: &mut [u8],
        mut sink: impl FnMut(u32, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), QueueError<F::Error>> {
        let from = from.max(self.acked + 1);
        let (epoch, mut item, mut assembly) = (self.epoch, [0; LONGEST], Assembly::default());
        let mut next = from;
        let mut items = self.events.iter().await?;
        while let Some(entry) = items.next(&mut item).await? {
            let Some((header, part)) = PartHeader::read(&entry) else {
                continue;
            };
            if header.epoch != epoch || header.seq < next {
                continue;
            }
            if let Some(len) = assembly.take_into(header, part, buffer) {
                next = header.seq.saturating_add(1);
                if sink(header.seq, &buffer[..len]).is_break() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Copies the event with this number to the start of `buffer`; its length. `None` if it is not there:
    /// deleted, not yet given, or damaged beyond repair.
    ///
    /// # Errors
    /// The flash.
    pub async fn get(&mut self, seq: u32, buffer: &mut [u8]) -> Result<Option<usize>, QueueError<F::Error>> {
        let mut found = None;
        self.read(seq, buffer, |number, frame| {
            found = (number == seq).then_some(frame.len());
            ControlFlow::Break(())
        })
        .await?;
        Ok(found)
    }

    /// Whether an event of `len` bytes is sure to find room now.
    ///
    /// # Errors
    /// The flash.
    pub async fn has_room_for(&mut self, len: usize) -> Result<bool, QueueError<F::Error>> {
        self.has_room_for_all([len]).await
    }

    /// Whether events of so many bytes each are sure to find room, one after another.
    ///
    /// # Errors
    /// The flash.
    pub async fn has_room_for_all(
        &mut self,
        lens: impl IntoIterator<Item = usize>,
    ) -> Result<bool, QueueError<F::Error>> {
        self.has_room_for_items(lens.into_iter().map(count).sum()).await
    }

    async fn has_room_for_items(&mut self, items: usize) -> Result<bool, QueueError<F::Error>> {
        let needed = Self::needed(items)?;
        if self.room < needed {
            self.events.flash().headers_only = true;
            let room = self.events.space_left().await;
            self.events.flash().headers_only = false;
            self.room = room?;
        }
        Ok(self.room >= needed)
    }

    /// Bytes that so many items take at most, with what they waste at the ends of pages.
    fn needed(items: usize) -> Result<u32, QueueError<F::Error>> {
        let word = u32::try_from(F::WRITE_SIZE.max(F::READ_SIZE)).map_err(|_| QueueError::Range)?;
        let item = Events::<F, PAGES>::item_overhead_size()
            + u32::try_from(ITEM)
                .map_err(|_| QueueError::Range)?
                .next_multiple_of(word);
        let items = u32::try_from(items).unwrap_or(u32::MAX);
        let page = u32::try_from(F::ERASE_SIZE).map_err(|_| QueueError::Range)?;
        // Each page that is touched may waste what is smaller than an item at its end.
        let pages = items.saturating_mul(item) / (page - item) + 2;
        Ok(items.saturating_add(pages).saturating_mul(item))
    }

    /// Of all the events.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// All up to here are deleted.
    pub fn acked(&self) -> u32 {
        self.acked
    }

    /// The highest number given; 0 if none was.
    pub fn newest(&self) -> u32 {
        self.newest
    }

    /// The number of the next event. `None` once all are used up: format, which begins a new epoch.
    pub fn next_seq(&self) -> Option<u32> {
        self.newest.checked_add(1).filter(|&seq| seq < u32::MAX)
    }

    /// Events held.
    pub fn len(&self) -> u32 {
        self.newest - self.acked
    }

    /// Whether all is acked.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The flash, for what the queue has no part in: its measures, its faults in tests.
    pub fn flash(&mut self) -> &mut F {
        &mut self.events.flash().flash
    }

    /// Gives the flash back.
    pub fn close(self) -> F {
        self.events.destroy().0.flash
    }

    /// The range cut in two, and a queue on it that has looked at nothing yet.
    fn assume_empty(flash: F, range: Range<u32>, epoch: u32) -> Result<Self, QueueError<F::Error>> {
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
            reached: None,
            room: 0,
        })
    }

    /// Finds epoch and numbers on the flash; `false` if there is no queue.
    async fn recover(&mut self) -> Result<bool, QueueError<F::Error>> {
        let noted = self.notes.read(self.events.flash()).await?;
        let (mut item, mut assembly) = ([0; LONGEST], Assembly::default());
        let (mut epoch, mut whole) = (noted.map(|(epoch, _)| epoch), None::<(u32, u32)>);
        let mut items = self.events.iter().await?;
        while let Some(entry) = items.next(&mut item).await? {
            let Some((header, part)) = PartHeader::read(&entry) else {
                continue;
            };
            // Without a note, the events say which epoch it is.
            if header.epoch != *epoch.get_or_insert(header.epoch) {
                continue;
            }
            // An event cut off among its parts was not confirmed, and its number is free.
            if assembly.is_whole(header, part) {
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
        // What a cut left of a format or of a deletion.
        self.sweep().await?;
        Ok(true)
    }

    /// Deletes from the front what is acked, of another epoch, or no event.
    async fn sweep(&mut self) -> Result<(), QueueError<F::Error>> {
        let (epoch, held, mut item) = (self.epoch, self.acked + 1..=self.newest, [0; LONGEST]);
        let mut items = self.events.iter().await?;
        while let Some(entry) = items.next(&mut item).await? {
            if PartHeader::read(&entry)
                .is_some_and(|(part, _)| part.epoch == epoch && held.contains(&part.seq))
            {
                break;
            }
            match entry.pop().await.map_err(QueueError::from) {
                // It stays in the way, which costs room and nothing else.
                Ok(_) | Err(QueueError::Worn) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn note(&mut self) -> Result<(), QueueError<F::Error>> {
        let (epoch, newest) = (self.epoch, self.newest);
        self.notes.store(self.events.flash(), epoch, newest).await
    }
}
