//! Flash that is believed only what can be read again, and whose turned bits are corrected.
//!
//! Worn or damaged cells do not say so: a write to them succeeds, and something else is there. An event must
//! not be confirmed on such a write.
//!
//! Bits that turn later are corrected as they are read, in memory: flash cannot be corrected in place. sequential-storage
//! reads an item's header, then maybe its data. At the header, the data is looked at here first, since it is the header
//! that the correction may concern. What cannot be corrected is read as it is, and sequential-storage passes it over.
//!
//! What was written where is remembered for the queue's proof that a reader comes by: see `Trace`.

use core::ops::Range;

use embedded_storage_async::nor_flash::{
    ErrorType, MultiwriteNorFlash, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};

use crate::ecc::{self, HEADER, Turned};

/// Bytes that are read at a time: whole words, of 32 bytes at most.
const STEP: usize = 64;

/// Bits of a deleted item's checksum that may turn. Of the checksums that are no zero bits but so few, there is one in ten
/// million.
const DELETED: u32 = 2;

/// Flash whose writes are read back, and whose items are corrected.
pub struct ReadBack<F> {
    pub flash: F,
    pub trace: Trace,
    /// Something failed since this was last asked for. sequential-storage then looks at the flash anew, and may
    /// repair it.
    pub failed: bool,
    /// Data is not read next: headers are believed what they say of it. Counting what is free would have to read all
    /// of it otherwise.
    pub headers_only: bool,
    /// Of the header read last: where its data is, and what has turned there.
    item: Option<(u32, Turned)>,
}

impl<F> ReadBack<F> {
    pub fn new(flash: F) -> Self {
        Self {
            flash,
            trace: Trace::default(),
            failed: false,
            headers_only: false,
            item: None,
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

impl<F: NorFlash> ReadBack<F> {
    /// The larger of the words that are read and written: sequential-storage aligns to them.
    const WORD: usize = if F::WRITE_SIZE > F::READ_SIZE {
        F::WRITE_SIZE
    } else {
        F::READ_SIZE
    };

    /// Whether it is as long as a header, and where items are: between the words that mark a page.
    fn may_be_header(offset: u32, len: usize) -> bool {
        let place = offset as usize % F::ERASE_SIZE;
        let end = F::ERASE_SIZE - Self::WORD;
        len == HEADER.next_multiple_of(Self::WORD) && place >= Self::WORD && place + len <= end
    }

    /// Corrects a header that was read, and notes what has turned in its data.
    async fn examine(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), ReadBackError<F::Error>> {
        self.item = None;
        let data = offset as usize + bytes.len();
        let room = F::ERASE_SIZE - Self::WORD - data % F::ERASE_SIZE;
        let Some((header, _)) = bytes.split_first_chunk_mut::<HEADER>() else {
            return Ok(());
        };
        let &mut [s0, s1, s2, s3, l0, l1, l2, l3] = header;
        let mut stored = u32::from_le_bytes([s0, s1, s2, s3]);
        let Some(length) = ecc::length(u32::from_le_bytes([l0, l1, l2, l3])) else {
            return Ok(());
        };
        let len = (length & 0xffff) as usize;
        let (Ok(at), true) = (u32::try_from(data), len.next_multiple_of(Self::WORD) <= room) else {
            return Ok(());
        };
        let mut turned = Turned::default();
        // Whether it is deleted counts in any case: space may be given out on it.
        let nearly_deleted = stored.count_ones() <= DELETED;
        if stored != 0 && (nearly_deleted || !self.headers_only) {
            let most = if nearly_deleted { 1 } else { 2 };
            match ecc::locate(self.sum(at, len).await?, stored, len, most) {
                Some(found) => turned = found,
                None if nearly_deleted => turned.stored = stored,
                None => {}
            }
        }
        stored ^= turned.stored;
        let [s0, s1, s2, s3] = stored.to_le_bytes();
        let [l0, l1, l2, l3] = length.to_le_bytes();
        *header = [s0, s1, s2, s3, l0, l1, l2, l3];
        self.item = Some((at, turned));
        Ok(())
    }

    /// The checksum of what is there.
    async fn sum(&mut self, mut at: u32, mut len: usize) -> Result<u32, ReadBackError<F::Error>> {
        let (mut digest, mut read) = (ecc::digest(), [0; STEP]);
        while len > 0 {
            let part = &mut read[..STEP.min(len.next_multiple_of(Self::WORD))];
            let done = self.flash.read(at, part).await;
            self.told(done)?;
            digest.update(&read[..STEP.min(len)]);
            len = len.saturating_sub(STEP);
            at = at.saturating_add(STEP as u32);
        }
        Ok(digest.finalize())
    }
}

impl<F: NorFlash> ReadNorFlash for ReadBack<F> {
    const READ_SIZE: usize = F::READ_SIZE;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        let read = self.flash.read(offset, bytes).await;
        self.told(read)?;
        match self.item {
            Some((at, turned)) if at == offset => {
                for (at, mask) in turned.data.into_iter().flatten() {
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= mask;
                    }
                }
            }
            _ if Self::may_be_header(offset, bytes.len()) => self.examine(offset, bytes).await?,
            _ => {}
        }
        Ok(())
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
        self.item = None;
        let erased = self.flash.erase(from, to).await;
        self.told(erased)
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        self.trace.write(offset, bytes.len(), F::ERASE_SIZE);
        self.item = None;
        let written = self.flash.write(offset, bytes).await;
        self.told(written)?;
        let mut read = [0; STEP];
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
