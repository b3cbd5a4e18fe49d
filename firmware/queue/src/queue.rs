//! The queue: sequential-storage's queue for the events, and the notes beside it.

mod append;
mod recovery;
mod room;

use core::ops::{ControlFlow, Range};

use comptoir_wire::MAX_FRAME;
use embedded_storage_async::nor_flash::MultiwriteNorFlash;
use sequential_storage::cache::page_pointers::ArrayPagePointers;
use sequential_storage::cache::page_states::ArrayPageStates;
use sequential_storage::cache::{Cache, Uncached};
use sequential_storage::queue::QueueStorage;

use crate::error::QueueError;
use crate::notes::Notes;
use crate::part::{Assembly, LONGEST, PartHeader};
use crate::read_back::ReadBack;

pub(crate) use append::ATTEMPTS;

type Events<F, const PAGES: usize> =
    QueueStorage<ReadBack<F>, Cache<ArrayPageStates<PAGES>, ArrayPagePointers<PAGES>, Uncached>>;

/// The result of opening a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenOutcome {
    /// The flash holds a queue, which continues with its epoch.
    Found,
    /// The flash was new or unusable, and was formatted with the given epoch.
    Formatted,
}

/// A queue on flash `F` with at most `PAGES` pages for events.
pub struct SaleQueue<F: MultiwriteNorFlash, const PAGES: usize> {
    events: Events<F, PAGES>,
    notes: Notes,
    epoch: u32,
    /// Events up to this number are deleted.
    acked: u32,
    /// The highest number given out.
    newest: u32,
    /// End of the last item that a reader is known to find; `None` if that was not checked.
    reachable_end: Option<u32>,
    /// Lower bound of the free bytes; deletions only increase them.
    min_free: u32,
}

impl<F: MultiwriteNorFlash, const PAGES: usize> SaleQueue<F, PAGES> {
    /// Opens the queue on `range` of the flash. `epoch` is a random number for a new queue.
    ///
    /// # Errors
    /// The range is unsuitable, or the flash fails. The contents of the flash never cause an error.
    pub async fn open(
        flash: F,
        range: Range<u32>,
        epoch: u32,
    ) -> Result<(Self, OpenOutcome), QueueError<F::Error>> {
        let mut queue = Self::assume_empty(flash, range.clone(), epoch)?;
        match queue.recover().await {
            Ok(true) => Ok((queue, OpenOutcome::Found)),
            Err(QueueError::Flash(error)) => Err(QueueError::Flash(error)),
            _ => Ok((
                Self::format(queue.close(), range, epoch).await?,
                OpenOutcome::Formatted,
            )),
        }
    }

    /// Deletes everything and begins a new epoch. `epoch` is a random number; 0 is the gateway's own epoch and counts
    /// as 1.
    ///
    /// # Errors
    /// The range is unsuitable, or the flash fails.
    pub async fn format(flash: F, range: Range<u32>, epoch: u32) -> Result<Self, QueueError<F::Error>> {
        let mut queue = Self::assume_empty(flash, range, epoch)?;
        // A power cut at any point here must leave the complete old epoch, the new epoch, or nothing, but never the old
        // epoch with lower numbers. So the new note comes first, and older notes are removed last, oldest first.
        queue.note().await?;
        queue.events.erase_all().await?;
        queue.notes.clear(queue.events.flash()).await?;
        queue.note().await?;
        Ok(queue)
    }

    /// Stores an event's frame, which is durable when this returns.
    ///
    /// # Errors
    /// `seq` is not [`next_seq`](Self::next_seq), the frame is too large, there is no room, or the flash failed. Only
    /// after a failure of the flash may a restart find the event.
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
        // Damaged notes may be erased here, because the new event contains the epoch and the number.
        self.note().await
    }

    /// Deletes all events up to and including `seq`; returns their number. A `seq` above the newest counts as the newest.
    ///
    /// # Errors
    /// The flash failed. The events are not read any more, but a restart may find some of them again.
    pub async fn delete_through(&mut self, seq: u32) -> Result<u32, QueueError<F::Error>> {
        let seq = seq.min(self.newest);
        let deleted = seq.saturating_sub(self.acked);
        if deleted == 0 {
            return Ok(0);
        }
        self.acked = seq;
        if self.is_empty() {
            // Once the queue is empty, only the notes have the number. A second, identical note protects it: if the
            // last note were damaged, the one before it would restore a lower number, which would then be reused.
            self.note().await?;
        }
        self.sweep().await?;
        Ok(deleted)
    }

    /// Passes the events from `from` on to `sink` with their numbers, oldest first, until `sink` breaks. `buffer` holds one
    /// frame; [`MAX_FRAME`] bytes always suffice, and frames that do not fit are skipped.
    ///
    /// A number is missing if its event is damaged beyond repair.
    ///
    /// # Errors
    /// The flash failed.
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
            if let Some(len) = assembly.add_into(header, part, buffer) {
                next = header.seq.saturating_add(1);
                if sink(header.seq, &buffer[..len]).is_break() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Copies the event with that number to the start of `buffer`, and returns its length. `None` if the event is deleted, does
    /// not exist yet, or is damaged beyond repair.
    ///
    /// # Errors
    /// The flash failed.
    pub async fn get(&mut self, seq: u32, buffer: &mut [u8]) -> Result<Option<usize>, QueueError<F::Error>> {
        let mut found = None;
        self.read(seq, buffer, |number, frame| {
            found = (number == seq).then_some(frame.len());
            ControlFlow::Break(())
        })
        .await?;
        Ok(found)
    }

    /// The epoch of all events.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Events up to this number are deleted.
    pub fn acked(&self) -> u32 {
        self.acked
    }

    /// The highest number given out; 0 if there was no event yet.
    pub fn newest(&self) -> u32 {
        self.newest
    }

    /// The number of the next event. `None` once the epoch's numbers are used up: format the queue, which begins a new epoch.
    pub fn next_seq(&self) -> Option<u32> {
        self.newest.checked_add(1).filter(|&seq| seq < u32::MAX)
    }

    /// Number of unacked events.
    pub fn len(&self) -> u32 {
        self.newest - self.acked
    }

    /// Whether everything is acked.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The flash, for measurements and for fault injection in tests.
    pub fn flash(&mut self) -> &mut F {
        &mut self.events.flash().flash
    }

    /// Closes the queue and returns the flash.
    pub fn close(self) -> F {
        self.events.destroy().0.flash
    }

    async fn note(&mut self) -> Result<(), QueueError<F::Error>> {
        let (epoch, newest) = (self.epoch, self.newest);
        self.notes.store(self.events.flash(), epoch, newest).await
    }
}
