//! A simulated till's queue: the firmware's queue, with the frames that the uplink needs next cached in memory.

use std::collections::VecDeque;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use comptoir_link::{EncodedEvent, Frames, StoredEvent, Uplink};
use comptoir_queue::{OpenOutcome, QueueError as FlashQueueError, RamError, SaleQueue, block_on};
use comptoir_wire::MAX_FRAME;
use comptoir_wire::topic::Name;

use crate::flash::{EVENT_PAGES, Flash, FlashFileError, SIZE, in_file, in_memory};

/// An error of the flash queue.
pub type FlashError = FlashQueueError<RamError>;

/// Why a till's queue cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// Its file cannot be used.
    #[error(transparent)]
    File(#[from] FlashFileError),
    /// Its flash failed for good.
    #[error("{till}: {reason}")]
    Flash {
        /// `{store}/{device}`.
        till: String,
        /// What is wrong.
        reason: String,
    },
    /// The file was written but could not be synced. Nothing is sold then.
    #[error("{till}: sync the queue: {source}")]
    Sync {
        /// `{store}/{device}`.
        till: String,
        /// The operating system's error.
        source: io::Error,
    },
}

/// The flash queue with a cache.
pub struct Queue {
    flash: SaleQueue<Flash, EVENT_PAGES>,
    cache: FrameCache,
    scratch: BytesMut,
}

/// An event that was pushed, but that a power cut of this machine may still undo. [`Queue::sync`] turns it into a
/// [`StoredEvent`].
#[derive(Debug)]
#[must_use = "the event is not sent until the queue is synced"]
pub struct UnsyncedEvent(StoredEvent);

/// Consecutive frames, which the uplink is about to send.
///
/// A real till has as much memory, or reads its flash. Frames that are not cached are read from the flash, many at a
/// time, so that the scan of the flash costs little per frame.
struct FrameCache {
    first: u32,
    frames: VecDeque<Bytes>,
    capacity: usize,
}

impl FrameCache {
    /// Adds a frame if it is the next one and there is room.
    fn add(&mut self, seq: u32, frame: Bytes) {
        if self.frames.is_empty() {
            self.first = seq;
        }
        if self.frames.len() < self.capacity && self.next() == seq {
            self.frames.push_back(frame);
        }
    }

    fn next(&self) -> u32 {
        // No overflow: the last number of an epoch is far below u32::MAX minus the capacity.
        self.first + u32::try_from(self.frames.len()).unwrap_or(0)
    }

    fn get(&self, seq: u32) -> Option<&Bytes> {
        self.frames.get(seq.checked_sub(self.first)? as usize)
    }

    fn forget_through(&mut self, seq: u32) {
        while self.first <= seq && self.frames.pop_front().is_some() {
            self.first += 1;
        }
    }
}

impl Queue {
    /// The queue on new flash in memory, or in the till's file in `directory`. A new queue gets the given epoch. Caches up to
    /// `capacity` frames. Blocks.
    ///
    /// # Errors
    /// The file cannot be used, or the flash fails.
    pub fn open(
        directory: Option<&Path>,
        store: Name<'_>,
        device: Name<'_>,
        epoch: u32,
        capacity: usize,
    ) -> Result<(Self, OpenOutcome), QueueError> {
        let flash = match directory {
            None => in_memory(),
            // Names contain no underscore, so no two tills share a file.
            Some(directory) => in_file(&directory.join(format!("{store}_{device}.queue")))?,
        };
        let till = format!("{store}/{device}");
        let (flash, outcome) =
            block_on(SaleQueue::open(flash, 0..SIZE, epoch)).map_err(|error| failed(&till, None, error))?;
        Ok((Self::with(flash, capacity), outcome))
    }

    fn with(flash: SaleQueue<Flash, EVENT_PAGES>, capacity: usize) -> Self {
        Self {
            flash,
            cache: FrameCache {
                first: 1,
                frames: VecDeque::new(),
                capacity: capacity.max(1),
            },
            scratch: BytesMut::new(),
        }
    }

    /// The firmware's queue.
    pub fn flash_queue(&self) -> &SaleQueue<Flash, EVENT_PAGES> {
        &self.flash
    }

    /// The flash, for fault injection.
    pub fn flash(&mut self) -> &mut Flash {
        self.flash.flash()
    }

    /// Opens the queue again after a power cut: memory is lost, only the flash remains.
    ///
    /// # Errors
    /// The flash failed.
    pub fn restart(self, epoch: u32) -> Result<(Self, OpenOutcome), FlashError> {
        let capacity = self.cache.capacity;
        let mut flash = self.flash.close();
        flash.restore_power();
        let (flash, outcome) = block_on(SaleQueue::open(flash, 0..SIZE, epoch))?;
        Ok((Self::with(flash, capacity), outcome))
    }

    /// Deletes everything and begins another epoch.
    ///
    /// # Errors
    /// The flash failed.
    pub fn format(self, epoch: u32) -> Result<Self, FlashError> {
        let capacity = self.cache.capacity;
        let flash = block_on(SaleQueue::format(self.flash.close(), 0..SIZE, epoch))?;
        Ok(Self::with(flash, capacity))
    }

    /// Whether there is room for frames of all the given sizes in bytes.
    ///
    /// # Errors
    /// The flash failed.
    pub fn has_room_for_all(&mut self, sizes: impl Iterator<Item = usize>) -> Result<bool, FlashError> {
        block_on(self.flash.has_room_for_all(sizes))
    }

    /// Writes an event to the queue.
    ///
    /// # Errors
    /// Same as [`SaleQueue::push`].
    pub fn push(&mut self, event: EncodedEvent<'_>) -> Result<UnsyncedEvent, FlashError> {
        let frame = event.frame();
        let stored = block_on(event.push(&mut self.flash))?;
        self.scratch.extend_from_slice(frame);
        self.cache.add(stored.seq(), self.scratch.split().freeze());
        Ok(UnsyncedEvent(stored))
    }

    /// Makes everything written so far durable, including `events`, and only then lets the uplink send these events.
    /// `till` is `{store}/{device}`, for the error.
    ///
    /// # Errors
    /// The file cannot be synced: none of the events is durable, and none is sent.
    pub async fn sync_and_release(
        &mut self,
        events: Vec<UnsyncedEvent>,
        uplink: &mut Uplink,
        till: &str,
    ) -> Result<(), QueueError> {
        self.sync().await.map_err(|source| QueueError::Sync {
            till: till.to_owned(),
            source,
        })?;
        for UnsyncedEvent(stored) in events {
            uplink.release(stored);
        }
        Ok(())
    }

    /// Without a file there is nothing to do.
    async fn sync(&mut self) -> io::Result<()> {
        match self.flash.flash().memory_mut().unsynced() {
            None => Ok(()),
            Some(file) => tokio::task::spawn_blocking(move || file.sync_data())
                .await
                .unwrap_or_else(|error| Err(io::Error::other(error))),
        }
    }

    /// Deletes all events up to and including `seq`.
    ///
    /// # Errors
    /// The flash failed.
    pub fn delete_through(&mut self, seq: u32) -> Result<(), FlashError> {
        self.cache.forget_through(seq);
        block_on(self.flash.delete_through(seq)).map(drop)
    }

    /// Passes all events from `from` on to `sink`, oldest first.
    ///
    /// # Errors
    /// The flash failed.
    pub fn read(&mut self, from: u32, mut sink: impl FnMut(u32, &[u8])) -> Result<(), FlashError> {
        let mut buffer = vec![0; MAX_FRAME];
        block_on(self.flash.read(from, &mut buffer, |seq, frame| {
            sink(seq, frame);
            ControlFlow::Continue(())
        }))
    }

    /// Fills the cache from the flash, beginning at `seq`.
    fn fill_cache(&mut self, seq: u32) -> Result<(), FlashError> {
        let Self {
            flash,
            cache,
            scratch,
        } = self;
        cache.frames.clear();
        cache.first = seq;
        let mut buffer = vec![0; MAX_FRAME];
        block_on(flash.read(seq, &mut buffer, |number, frame| {
            // A damaged event leaves a gap; the frames beyond it are read when the uplink gets there.
            if number != cache.next() || cache.frames.len() == cache.capacity {
                return ControlFlow::Break(());
            }
            scratch.extend_from_slice(frame);
            cache.add(number, scratch.split().freeze());
            ControlFlow::Continue(())
        }))
    }
}

impl Frames for Queue {
    type Error = RamError;

    async fn frame(&mut self, seq: u32, buffer: &mut [u8]) -> Result<Option<usize>, FlashError> {
        if self.cache.get(seq).is_none() && seq <= self.flash.newest() {
            self.fill_cache(seq)?;
        }
        let Some(frame) = self.cache.get(seq) else {
            return Ok(None);
        };
        let Some(target) = buffer.get_mut(..frame.len()) else {
            return Ok(None);
        };
        target.copy_from_slice(frame);
        Ok(Some(frame.len()))
    }
}

/// Turns a permanent failure of the flash into an error with the till's name and the file's own error, if there is one.
pub fn failed(till: &str, flash: Option<&mut Flash>, error: FlashError) -> QueueError {
    let file_error = flash.and_then(|flash| flash.memory().last_error());
    QueueError::Flash {
        till: till.to_owned(),
        reason: file_error.unwrap_or_else(|| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use comptoir_link::{Draft, Settings, Uplink};
    use comptoir_wire::{Currency, Event, Lines, Order, OrderStatus};

    use super::*;

    struct Till {
        queue: Queue,
        uplink: Uplink,
    }

    impl Till {
        fn new(capacity: usize) -> Self {
            let (store, device) = (Name::new("s").unwrap(), Name::new("d").unwrap());
            let queue = Queue::open(None, store, device, 7, capacity).unwrap().0;
            let uplink = Uplink::new(store, device, queue.flash_queue(), Settings::default());
            Self { queue, uplink }
        }

        /// Stores an order whose texts have about `len` bytes; returns its frame.
        fn sell(&mut self, len: usize) -> Vec<u8> {
            let draft = Draft::new(self.queue.flash_queue(), &self.uplink).unwrap();
            let order_id = draft.seq().to_string();
            let event = Event::Order(Order {
                order_id: &order_id,
                customer_name: &"n".repeat(len.min(96)),
                customer_email: Some(&"e".repeat(len.saturating_sub(96).min(128))),
                product: "",
                currency: Currency::EUR,
                amount: 0,
                status: OrderStatus::Pending,
                address: Some(&"a".repeat(len.saturating_sub(224).min(192))),
                lines: Lines::from_slice(&[]),
            });
            let mut buffer = vec![0; MAX_FRAME];
            let encoded = draft.encode(&event, 0, &mut buffer).unwrap();
            let frame = encoded.frame().to_vec();
            let UnsyncedEvent(stored) = self.queue.push(encoded).unwrap();
            self.uplink.release(stored);
            frame
        }

        fn frame(&mut self, seq: u32) -> Option<Vec<u8>> {
            let mut buffer = vec![0; MAX_FRAME];
            let len = block_on(self.queue.frame(seq, &mut buffer)).unwrap()?;
            Some(buffer[..len].to_vec())
        }
    }

    #[test]
    fn frames_that_are_not_cached_are_read_from_flash() {
        let mut till = Till::new(10);
        let frames: Vec<_> = (0..100).map(|at| till.sell(180 + at)).collect();
        for seq in [1, 10, 11, 50, 51, 3, 100, 99] {
            assert_eq!(till.frame(seq).as_ref(), Some(&frames[seq as usize - 1]), "{seq}");
        }
        assert_eq!(till.frame(101), None);
        till.queue.delete_through(40).unwrap();
        assert_eq!(till.frame(40), None);
        let (queue, outcome) = till.queue.restart(8).unwrap();
        assert_eq!((outcome, queue.flash_queue().epoch()), (OpenOutcome::Found, 7));
        till.queue = queue;
        for seq in 41..=100 {
            assert_eq!(till.frame(seq).as_ref(), Some(&frames[seq as usize - 1]));
        }
    }

    #[test]
    fn the_flash_holds_ten_thousand_typical_events() {
        let mut till = Till::new(1);
        let mut sold = 0;
        while till.queue.has_room_for_all([MAX_FRAME].into_iter()).unwrap() {
            assert!(till.sell(300).len() >= 320);
            sold += 1;
        }
        assert!(sold > 10_000, "{sold}");
    }
}
