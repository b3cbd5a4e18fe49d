//! A wrapper around the flash that reads every write back, and corrects bit flips in every read.
//!
//! Worn or damaged cells report no error: a write to them succeeds, and a read returns something else. An event must not be
//! confirmed after such a write.
//!
//! Bits that flip later are corrected in memory when they are read, because flash cannot be corrected in place.
//! sequential-storage reads an item's header, then perhaps its data. This wrapper reads the data together with the header,
//! since the header may need the correction. Data that cannot be corrected is returned as it is, and sequential-storage
//! skips the item.
//!
//! The wrapper also records where writes went, from which the queue concludes that readers will find a new item: see
//! `Trace`.

use core::ops::Range;

use embedded_storage_async::nor_flash::{
    ErrorType, MultiwriteNorFlash, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};

use crate::ecc::{self, Correction, HEADER};

/// Bytes read at a time: a multiple of all word sizes up to 32 bytes.
const STEP: usize = 64;

/// A checksum with at most this many one bits is taken for that of a deleted item (0) with bit flips. Only one valid
/// checksum in ten million has so few.
const DELETED: u32 = 2;

/// Flash with verified writes and corrected reads.
pub struct ReadBack<F> {
    pub flash: F,
    pub trace: Trace,
    /// Whether something failed since the caller last reset this. After a failure sequential-storage examines the flash
    /// again, and may repair it.
    pub has_failed: bool,
    /// The caller sets this if it reads only headers, whose data is then not verified. Otherwise counting the free
    /// space would have to read all data.
    pub headers_only: bool,
    /// The offset of the data that belongs to the last header, and the correction of that data.
    item: Option<(u32, Correction)>,
}

impl<F> ReadBack<F> {
    pub fn new(flash: F) -> Self {
        Self {
            flash,
            trace: Trace::default(),
            has_failed: false,
            headers_only: false,
            item: None,
        }
    }

    fn record<E>(&mut self, result: Result<(), E>) -> Result<(), ReadBackError<E>> {
        self.has_failed |= result.is_err();
        result.map_err(ReadBackError::Flash)
    }
}

/// Where the last writes went, since the trace was created.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// The last contiguous run of writes. Each page begins a new run.
    pub run: Range<u32>,
    /// Number of erases, and the offset of the last one.
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

/// Why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadBackError<E> {
    /// The flash reported an error.
    Flash(E),
    /// The flash reported success, but the data read back differs from the data written.
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
    /// sequential-storage's alignment: the larger of the read and write sizes.
    const WORD: usize = if F::WRITE_SIZE > F::READ_SIZE {
        F::WRITE_SIZE
    } else {
        F::READ_SIZE
    };

    /// Whether a read may be for a header: it has a header's length and lies between the words that mark a page.
    fn may_be_header(offset: u32, len: usize) -> bool {
        let place = offset as usize % F::ERASE_SIZE;
        let end = F::ERASE_SIZE - Self::WORD;
        len == HEADER.next_multiple_of(Self::WORD) && place >= Self::WORD && place + len <= end
    }

    /// Corrects a header, and notes the correction of its data.
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
        let mut correction = Correction::default();
        // Deleted items are checked in any case, because their space may be reused.
        let nearly_deleted = stored.count_ones() <= DELETED;
        if stored != 0 && (nearly_deleted || !self.headers_only) {
            let most = if nearly_deleted { 1 } else { 2 };
            match ecc::locate(self.sum(at, len).await?, stored, len, most) {
                Some(found) => correction = found,
                None if nearly_deleted => correction.stored = stored,
                None => {}
            }
        }
        stored ^= correction.stored;
        let [s0, s1, s2, s3] = stored.to_le_bytes();
        let [l0, l1, l2, l3] = length.to_le_bytes();
        *header = [s0, s1, s2, s3, l0, l1, l2, l3];
        self.item = Some((at, correction));
        Ok(())
    }

    /// The checksum of `len` bytes on flash.
    async fn sum(&mut self, mut at: u32, mut len: usize) -> Result<u32, ReadBackError<F::Error>> {
        let (mut digest, mut read) = (ecc::digest(), [0; STEP]);
        while len > 0 {
            let part = &mut read[..STEP.min(len.next_multiple_of(Self::WORD))];
            let result = self.flash.read(at, part).await;
            self.record(result)?;
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
        let result = self.flash.read(offset, bytes).await;
        self.record(result)?;
        match self.item {
            Some((at, correction)) if at == offset => {
                for (at, mask) in correction.data.into_iter().flatten() {
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
        let result = self.flash.erase(from, to).await;
        self.record(result)
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        self.trace.write(offset, bytes.len(), F::ERASE_SIZE);
        self.item = None;
        let result = self.flash.write(offset, bytes).await;
        self.record(result)?;
        let mut read = [0; STEP];
        for (part, at) in bytes.chunks(read.len()).zip((offset..).step_by(read.len())) {
            let read = &mut read[..part.len()];
            let result = self.flash.read(at, read).await;
            self.record(result)?;
            if read != part {
                self.has_failed = true;
                return Err(ReadBackError::Differs);
            }
        }
        Ok(())
    }
}

impl<F: MultiwriteNorFlash> MultiwriteNorFlash for ReadBack<F> {}
