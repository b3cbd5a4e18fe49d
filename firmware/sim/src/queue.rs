//! The events a terminal holds until the gateway has them: in memory, or in a file that survives a kill.
//!
//! A sale counts once [`SaleQueue::commit`] has returned; an event leaves only by [`SaleQueue::remove`].

mod file;

use std::collections::VecDeque;
use std::path::Path;

use bytes::Bytes;
use comptoir_wire::topic::{Kind, Name};

use self::file::QueueFile;

/// Why a terminal's queue cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The operating system refused.
    #[error("{act} the queue {path}: {source}")]
    Io {
        /// What was tried.
        act: &'static str,
        /// The file.
        path: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// The file is not a queue, or of another format.
    #[error("{path} is not a queue of a terminal; it was left as it is")]
    Foreign {
        /// The file.
        path: String,
    },
    /// A record is whole, its checksum right, and yet it is not what a queue holds.
    #[error("the queue {path} is damaged at byte {at}: {what}; it was left as it is")]
    Damaged {
        /// The file.
        path: String,
        /// Where the record begins.
        at: u64,
        /// What is wrong.
        what: String,
    },
}

/// An event not yet acked.
#[derive(Debug)]
pub struct Held {
    /// Its number.
    pub seq: u32,
    /// Which topic it belongs on.
    pub kind: Kind,
    /// Its frame, as it was when it was sold.
    pub frame: Bytes,
    /// When this process first published it, in microseconds of its clock; 0: not yet.
    pub published: u64,
}

/// What a terminal holds, oldest first, without holes.
#[derive(Debug)]
pub struct SaleQueue {
    epoch: u32,
    /// All up to here are acked.
    acked: u32,
    held: VecDeque<Held>,
    /// Events at the end that are not yet committed.
    uncommitted: usize,
    file: Option<QueueFile>,
}

impl SaleQueue {
    /// An empty queue that a kill destroys.
    pub fn in_memory(epoch: u32) -> Self {
        Self {
            epoch,
            acked: 0,
            held: VecDeque::new(),
            uncommitted: 0,
            file: None,
        }
    }

    /// The queue of a terminal in `directory`; made, with `epoch`, if it is not there. An existing one keeps
    /// its own epoch and goes on with its next number. Blocks.
    ///
    /// # Errors
    /// The directory or file cannot be used, or the file is not a queue; it is then left as it is.
    pub fn on_disk(
        directory: &Path,
        store: Name<'_>,
        device: Name<'_>,
        epoch: u32,
    ) -> Result<Self, QueueError> {
        // No name has an underscore, so no two terminals share a file.
        let path = directory.join(format!("{store}_{device}.queue"));
        let (file, epoch, acked, frames) = QueueFile::open(path, epoch)?;
        let held = (acked + 1..)
            .zip(frames)
            .map(|(seq, (kind, frame))| Held {
                seq,
                kind,
                frame,
                published: 0,
            })
            .collect();
        Ok(Self {
            epoch,
            acked,
            held,
            uncommitted: 0,
            file: Some(file),
        })
    }

    /// Of all its events.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The highest number acked.
    pub fn acked(&self) -> u32 {
        self.acked
    }

    /// The highest number given.
    pub fn newest(&self) -> u32 {
        self.held.back().map_or(self.acked, |held| held.seq)
    }

    /// Events held.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether all is acked.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Adds the event with the next number. It is not sold before [`commit`](Self::commit).
    pub fn push(&mut self, seq: u32, kind: Kind, frame: Bytes) {
        debug_assert_eq!(seq, self.newest() + 1, "without holes");
        if let Some(file) = &mut self.file {
            file.append(&frame);
        }
        self.held.push_back(Held {
            seq,
            kind,
            frame,
            published: 0,
        });
        self.uncommitted += 1;
    }

    /// Makes what was pushed as durable as this queue is; how many events that were.
    ///
    /// # Errors
    /// The file could not be written; nothing is sold then, and the queue is not to be used any more.
    pub async fn commit(&mut self) -> Result<usize, QueueError> {
        if self.uncommitted > 0
            && let Some(file) = &mut self.file
        {
            file.sync().await?;
        }
        Ok(std::mem::take(&mut self.uncommitted))
    }

    /// The event with this number, if it is held.
    pub fn get_mut(&mut self, seq: u32) -> Option<&mut Held> {
        let at = seq.checked_sub(self.acked + 1)?;
        self.held.get_mut(at as usize)
    }

    /// Takes the oldest event out: the gateway has it.
    pub fn remove(&mut self) -> Option<Held> {
        let held = self.held.pop_front()?;
        self.acked = held.seq;
        Some(held)
    }

    /// Notes what was removed. It goes to the disk with the next sale, or with [`close`](Self::close): an ack
    /// that a kill makes forgotten costs a second sending, nothing else.
    ///
    /// # Errors
    /// The file could not be written.
    pub async fn removed(&mut self) -> Result<(), QueueError> {
        match &mut self.file {
            Some(file) => {
                file.acked(self.acked, self.held.iter().map(|held| &held.frame))
                    .await
            }
            None => Ok(()),
        }
    }

    /// Writes what is noted and not yet on disk.
    ///
    /// # Errors
    /// The file could not be written.
    pub async fn close(mut self) -> Result<(), QueueError> {
        match &mut self.file {
            Some(file) => file.sync().await,
            None => Ok(()),
        }
    }

    /// The events held, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Held> {
        self.held.iter()
    }
}
