//! The queue's error.

use core::fmt;

use sequential_storage::Error as StorageError;

use crate::read_back::ReadBackError;

/// Why an operation of the queue failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueError<E> {
    /// There is no room, and nothing was stored. Check [`SaleQueue::has_room_for`](crate::SaleQueue::has_room_for)
    /// beforehand.
    Full,
    /// The number is not the next one.
    NotNext,
    /// The frame is empty, or larger than [`MAX_FRAME`](comptoir_wire::MAX_FRAME).
    TooLarge,
    /// The range is unsuitable. It must be aligned to pages, with at least four pages and at most the type's `PAGES`
    /// plus two for the notes.
    Range,
    /// The contents of the flash are damaged beyond repair, and nothing was stored. Format the queue once its events are acked.
    Corrupted,
    /// No attempt to write read back correctly, and nothing was stored.
    Worn,
    /// The flash failed.
    Flash(E),
}

impl<E: fmt::Debug> fmt::Display for QueueError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the queue is full"),
            Self::NotNext => f.write_str("not the queue's next number"),
            Self::TooLarge => f.write_str("the event is empty or too large"),
            Self::Range => f.write_str("unsuitable flash range"),
            Self::Corrupted => f.write_str("the flash contents are damaged"),
            Self::Worn => f.write_str("the flash is worn out"),
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
