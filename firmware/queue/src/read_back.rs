//! Flash that is believed only what can be read again.
//!
//! Worn or damaged cells do not say so: a write to them succeeds, and something else is there. An event must
//! not be confirmed on such a write.

use embedded_storage_async::nor_flash::{
    ErrorType, MultiwriteNorFlash, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};

/// Flash whose writes are read back.
pub struct ReadBack<F>(pub F);

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadBackError<E> {
    /// The flash says so itself.
    Flash(E),
    /// It did not, but something else was read than was written.
    Differs,
}

impl<E: NorFlashError> NorFlashError for ReadBackError<E> {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::Flash(error) => error.kind(),
            Self::Differs => NorFlashErrorKind::Other,
        }
    }
}

impl<F: ErrorType> ErrorType for ReadBack<F> {
    type Error = ReadBackError<F::Error>;
}

impl<F: ReadNorFlash> ReadNorFlash for ReadBack<F> {
    const READ_SIZE: usize = F::READ_SIZE;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        self.0.read(offset, bytes).await.map_err(ReadBackError::Flash)
    }

    fn capacity(&self) -> usize {
        self.0.capacity()
    }
}

impl<F: NorFlash> NorFlash for ReadBack<F> {
    const WRITE_SIZE: usize = F::WRITE_SIZE;
    const ERASE_SIZE: usize = F::ERASE_SIZE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), Self::Error> {
        self.0.erase(from, to).await.map_err(ReadBackError::Flash)
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        self.0.write(offset, bytes).await.map_err(ReadBackError::Flash)?;
        let mut read = [0; 64];
        for (part, at) in bytes.chunks(read.len()).zip((offset..).step_by(read.len())) {
            let read = &mut read[..part.len()];
            self.0.read(at, read).await.map_err(ReadBackError::Flash)?;
            if read != part {
                return Err(ReadBackError::Differs);
            }
        }
        Ok(())
    }
}

impl<F: MultiwriteNorFlash> MultiwriteNorFlash for ReadBack<F> {}
