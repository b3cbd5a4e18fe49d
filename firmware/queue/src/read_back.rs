//! Flash that is believed only what can be read again.
//!
//! Worn or damaged cells do not say so: a write to them succeeds, and something else is there. An event must
//! not be confirmed on such a write.
//!
//! What was written where is remembered for the queue's proof that a reader comes by: see `Trace`.

use core::ops::Range;

use embedded_storage_async::nor_flash::{
    ErrorType, MultiwriteNorFlash, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};

/// Flash whose writes are read back.
pub struct ReadBack<F> {
    pub flash: F,
    pub trace: Trace,
    /// Something failed since this was last asked for. sequential-storage then looks at the flash anew, and may
    /// repair it.
    pub failed: bool,
}

impl<F> ReadBack<F> {
    pub fn new(flash: F) -> Self {
        Self {
            flash,
            trace: Trace::default(),
            failed: false,
        }
    }

    fn told<E>(&mut self, result: Result<(), E>) -> Result<(), ReadBackError<E>> {
        self.failed |= result.is_err();
        result.map_err(ReadBackError::Flash)
    }
}

/// Where the last writes went, since it was made.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// The last run of writes, each of which began where the one before ended. A page begins a new run.
    pub run: Range<u32>,
    /// Erases, and the first byte of what was erased last.
    pub erases: u32,
    pub erased: u32,
}

impl Trace {
    fn write(&mut self, from: u32, len: usize, page: usize) {
        let end = from.saturating_add(u32::try_from(len).unwrap_or(u32::MAX));
        if from != self.run.end || (from as usize).is_multiple_of(page) {
            self.run.start = from;
        }
        self.run.end = end;
    }
}

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
        let read = self.flash.read(offset, bytes).await;
        self.told(read)
    }

    fn capacity(&self) -> usize {
        self.flash.capacity()
    }
}

impl<F: NorFlash> NorFlash for ReadBack<F> {
    const WRITE_SIZE: usize = F::WRITE_SIZE;
    const ERASE_SIZE: usize = F::ERASE_SIZE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), Self::Error> {
        self.trace.erases = self.trace.erases.saturating_add(1);
        self.trace.erased = from;
        let erased = self.flash.erase(from, to).await;
        self.told(erased)
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        self.trace.write(offset, bytes.len(), F::ERASE_SIZE);
        let written = self.flash.write(offset, bytes).await;
        self.told(written)?;
        let mut read = [0; 64];
        for (part, at) in bytes.chunks(read.len()).zip((offset..).step_by(read.len())) {
            let read = &mut read[..part.len()];
            let done = self.flash.read(at, read).await;
            self.told(done)?;
            if read != part {
                self.failed = true;
                return Err(ReadBackError::Differs);
            }
        }
        Ok(())
    }
}

impl<F: MultiwriteNorFlash> MultiwriteNorFlash for ReadBack<F> {}
