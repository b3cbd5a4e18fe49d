//! A simulated terminal's queue: the firmware's, and in memory the frames that the link asks for next.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use comptoir_link::Frames;
use comptoir_queue::{Opened, QueueError as FlashQueueError, RamError, SaleQueue, block_on};
use comptoir_wire::MAX_FRAME;
use comptoir_wire::topic::Name;

use crate::flash::{EVENT_PAGES, Flash, FlashFileError, SIZE, in_file, in_memory};

/// What the queue says that went wrong with its flash.
pub type FlashError = FlashQueueError<RamError>;

/// Why a terminal's queue cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// Its file.
    #[error(transparent)]
    File(#[from] FlashFileError),
    /// Its flash, for good.
    #[error("{terminal}: {what}")]
    Flash {
        /// `{store}/{device}`.
        terminal: String,
        /// What is wrong.
        what: String,
    },
    /// The file took what was written and could not be synced; nothing is sold then.
    #[error("{terminal}: sync the queue: {source}")]
    Sync {
        /// `{store}/{device}`.
        terminal: String,
        /// The system's error.
        source: std::io::Error,
    },
}

/// The flash queue, and what of it is kept in memory.
pub struct Queue {
    flash: SaleQueue<Flash, EVENT_PAGES>,
    recent: Recent,
    scratch: BytesMut,
}

/// Frames one after another without holes: those that the link is at.
///
/// A real terminal has as much, or reads its flash. What is not here is read from there, so many at a time that
/// the walk through the flash costs each of them little.
struct Recent {
    first: u32,
    frames: VecDeque<Bytes>,
    most: usize,
}

impl Recent {
    fn add(&mut self, seq: u32, frame: Bytes) {
        if self.frames.is_empty() {
            self.first = seq;
        }
        if self.frames.len() < self.most && self.next() == seq {
            self.frames.push_back(frame);
        }
    }

    fn next(&self) -> u32 {
        // At most `most` of them, and numbers end before u32 does.
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
    /// The queue on new flash in memory, or in the terminal's file in `directory`. `epoch` is used if there is none
    /// yet. Keeps up to `most` frames in memory. Blocks.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn open(
        directory: Option<&Path>,
        store: Name<'_>,
        device: Name<'_>,
        epoch: u32,
        most: usize,
    ) -> Result<(Self, Opened), QueueError> {
        let flash = match directory {
            None => in_memory(),
            // No name has an underscore, so no two terminals share a file.
            Some(directory) => in_file(&directory.join(format!("{store}_{device}.queue")))?,
        };
        let terminal = format!("{store}/{device}");
        let (flash, opened) = block_on(SaleQueue::open(flash, 0..SIZE, epoch))
            .map_err(|error| failed(&terminal, None, error))?;
        Ok((Self::with(flash, most), opened))
    }

    fn with(flash: SaleQueue<Flash, EVENT_PAGES>, most: usize) -> Self {
        Self {
            flash,
            recent: Recent {
                first: 1,
                frames: VecDeque::new(),
                most: most.max(1),
            },
            scratch: BytesMut::new(),
        }
    }

    /// The firmware's queue.
    pub fn flash_queue(&self) -> &SaleQueue<Flash, EVENT_PAGES> {
        &self.flash
    }

    /// The flash itself, for faults.
    pub fn flash(&mut self) -> &mut Flash {
        self.flash.flash()
    }

    /// As after a power cut: what was in memory is gone, and the flash is all there is.
    ///
    /// # Errors
    /// The flash.
    pub fn restart(self, epoch: u32) -> Result<(Self, Opened), FlashError> {
        let most = self.recent.most;
        let mut flash = self.flash.close();
        flash.restore_power();
        let (flash, opened) = block_on(SaleQueue::open(flash, 0..SIZE, epoch))?;
        Ok((Self::with(flash, most), opened))
    }

    /// Deletes everything and begins another epoch.
    ///
    /// # Errors
    /// The flash.
    pub fn format(self, epoch: u32) -> Result<Self, FlashError> {
        let most = self.recent.most;
        let flash = block_on(SaleQueue::format(self.flash.close(), 0..SIZE, epoch))?;
        Ok(Self::with(flash, most))
    }

    /// Whether events of so many bytes would all find room.
    ///
    /// # Errors
    /// The flash.
    pub fn has_room_for_all(&mut self, lens: impl Iterator<Item = usize>) -> Result<bool, FlashError> {
        block_on(self.flash.has_room_for_all(lens))
    }

    /// Keeps an event; for good once what [`sync`](Self::sync) gives was synced.
    ///
    /// # Errors
    /// As [`SaleQueue::push`].
    pub fn push(&mut self, seq: u32, frame: &[u8]) -> Result<(), FlashError> {
        block_on(self.flash.push(seq, frame))?;
        self.scratch.extend_from_slice(frame);
        self.recent.add(seq, self.scratch.split().freeze());
        Ok(())
    }

    /// The file that is to be synced now, if there is one.
    pub fn sync(&mut self) -> Option<std::sync::Arc<std::fs::File>> {
        self.flash.flash().memory_mut().unsynced()
    }

    /// Deletes all events through `seq`.
    ///
    /// # Errors
    /// The flash.
    pub fn delete_through(&mut self, seq: u32) -> Result<(), FlashError> {
        self.recent.forget_through(seq);
        block_on(self.flash.delete_through(seq)).map(drop)
    }

    /// Gives all events from `from` on to `sink`, oldest first.
    ///
    /// # Errors
    /// The flash.
    pub fn read(&mut self, from: u32, mut sink: impl FnMut(u32, &[u8])) -> Result<(), FlashError> {
        let mut buffer = vec![0; MAX_FRAME];
        block_on(self.flash.read(from, &mut buffer, |seq, frame| {
            sink(seq, frame);
            ControlFlow::Continue(())
        }))
    }

    /// Fills the memory with what begins at `seq`.
    fn recall(&mut self, seq: u32) -> Result<(), FlashError> {
        let Self {
            flash,
            recent,
            scratch,
        } = self;
        recent.frames.clear();
        recent.first = seq;
        let mut buffer = vec![0; MAX_FRAME];
        block_on(flash.read(seq, &mut buffer, |number, frame| {
            // After a damaged event there is a hole, and what is behind it is asked for later.
            if number != recent.next() || recent.frames.len() == recent.most {
                return ControlFlow::Break(());
            }
            scratch.extend_from_slice(frame);
            recent.add(number, scratch.split().freeze());
            ControlFlow::Continue(())
        }))
    }
}

impl Frames for Queue {
    type Error = RamError;

    async fn frame(&mut self, seq: u32, buffer: &mut [u8]) -> Result<Option<usize>, FlashError> {
        if self.recent.get(seq).is_none() && seq <= self.flash.newest() {
            self.recall(seq)?;
        }
        let Some(frame) = self.recent.get(seq) else {
            return Ok(None);
        };
        let Some(room) = buffer.get_mut(..frame.len()) else {
            return Ok(None);
        };
        room.copy_from_slice(frame);
        Ok(Some(frame.len()))
    }
}

/// What a flash that failed for good means for the run.
pub fn failed(terminal: &str, flash: Option<&mut Flash>, error: FlashError) -> QueueError {
    let why = flash.and_then(|flash| flash.memory().trouble());
    QueueError::Flash {
        terminal: terminal.to_owned(),
        what: why.unwrap_or_else(|| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use comptoir_queue::QueueError as Flashed;

    fn queue(most: usize) -> Queue {
        let (store, device) = (Name::new("s").unwrap(), Name::new("d").unwrap());
        Queue::open(None, store, device, 7, most).unwrap().0
    }

    fn frame(seq: u32) -> Vec<u8> {
        vec![seq.to_le_bytes()[0]; 200 + seq as usize % 100]
    }

    fn got(queue: &mut Queue, seq: u32) -> Option<Vec<u8>> {
        let mut buffer = vec![0; MAX_FRAME];
        let len = block_on(queue.frame(seq, &mut buffer)).unwrap()?;
        Some(buffer[..len].to_vec())
    }

    #[test]
    fn what_memory_has_not_the_flash_has() {
        let mut queue = queue(10);
        (1..=100).for_each(|seq| queue.push(seq, &frame(seq)).unwrap());
        for seq in [1, 10, 11, 50, 51, 3, 100, 99] {
            assert_eq!(got(&mut queue, seq), Some(frame(seq)), "{seq}");
        }
        assert_eq!(got(&mut queue, 101), None);
        queue.delete_through(40).unwrap();
        assert_eq!(got(&mut queue, 40), None);
        let (mut queue, opened) = queue.restart(8).unwrap();
        assert_eq!((opened, queue.flash_queue().epoch()), (Opened::Found, 7));
        (41..=100).for_each(|seq| assert_eq!(got(&mut queue, seq), Some(frame(seq))));
    }

    #[test]
    fn ten_thousand_typical_events_find_room() {
        let mut queue = queue(1);
        let mut seq = 0;
        while queue.has_room_for_all([MAX_FRAME].into_iter()).unwrap() {
            seq += 1;
            queue.push(seq, &vec![1; 330]).unwrap();
        }
        assert!(seq > 10_000, "{seq}");
        assert_eq!(queue.push(seq + 2, &[1]), Err(Flashed::NotNext));
    }
}
