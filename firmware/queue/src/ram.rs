//! Simulated flash with the faults of real flash, for simulated tills and for tests.

use embedded_storage_async::nor_flash::{
    ErrorType, MultiwriteNorFlash, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};

/// Why an operation on simulated flash failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RamError {
    /// Offset or length is not a multiple of a word or page.
    NotAligned,
    /// Outside the memory.
    OutOfBounds,
    /// The power was cut. Nothing works until [`RamFlash::restore_power`].
    NoPower,
    /// The memory behind the flash failed.
    Memory,
}

impl NorFlashError for RamError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::NotAligned => NorFlashErrorKind::NotAligned,
            Self::OutOfBounds => NorFlashErrorKind::OutOfBounds,
            Self::NoPower | Self::Memory => NorFlashErrorKind::Other,
        }
    }
}

/// The memory behind a [`RamFlash`]: bytes that are initially 0xFF. Offsets are below [`size`](Self::size).
pub trait Memory {
    /// Size in bytes; it never changes.
    fn size(&self) -> usize;

    /// Copies the bytes from `at` on to `bytes`.
    ///
    /// # Errors
    /// The memory failed ([`RamError::Memory`]).
    fn load(&self, at: usize, bytes: &mut [u8]) -> Result<(), RamError>;

    /// Replaces the bytes from `at` on.
    ///
    /// # Errors
    /// Same as [`load`](Self::load).
    fn store(&mut self, at: usize, bytes: &[u8]) -> Result<(), RamError>;

    /// Sets `len` bytes to 0xFF.
    ///
    /// # Errors
    /// Same as [`load`](Self::load).
    fn clear(&mut self, at: usize, len: usize) -> Result<(), RamError> {
        for start in (at..at + len).step_by(STEP) {
            self.store(start, &[0xff; STEP][..STEP.min(at + len - start)])?;
        }
        Ok(())
    }
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> Memory for B {
    fn size(&self) -> usize {
        self.as_ref().len()
    }

    fn load(&self, at: usize, bytes: &mut [u8]) -> Result<(), RamError> {
        let there = self
            .as_ref()
            .get(at..at + bytes.len())
            .ok_or(RamError::OutOfBounds)?;
        bytes.copy_from_slice(there);
        Ok(())
    }

    fn store(&mut self, at: usize, bytes: &[u8]) -> Result<(), RamError> {
        let there = self
            .as_mut()
            .get_mut(at..at + bytes.len())
            .ok_or(RamError::OutOfBounds)?;
        there.copy_from_slice(bytes);
        Ok(())
    }
}

/// A planned power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PowerCut {
    /// Number of writes and erases that succeed before it.
    pub after: u32,
    /// Determines how much of the interrupted operation is done.
    pub seed: u32,
}

/// Operations on the flash since it was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wear {
    /// Number of writes.
    pub writes: u64,
    /// Number of erased pages.
    pub erases: u64,
    /// Number of bytes written.
    pub bytes: u64,
}

/// Simulated NOR flash with words of 4 bytes and pages of `PAGE` bytes.
#[derive(Clone, Debug)]
pub struct RamFlash<B, const PAGE: usize = 4096> {
    memory: B,
    planned_cut: Option<PowerCut>,
    is_powered: bool,
    wear: Wear,
}

const WORD: usize = 4;
/// Bytes changed at a time.
const STEP: usize = 64;

impl<B: Memory, const PAGE: usize> RamFlash<B, PAGE> {
    /// Flash with the memory's contents. New flash is all 0xFF.
    pub fn new(memory: B) -> Self {
        Self {
            memory,
            planned_cut: None,
            is_powered: true,
            wear: Wear::default(),
        }
    }

    /// Plans a power cut.
    pub fn cut_power(&mut self, cut: PowerCut) {
        self.planned_cut = Some(cut);
    }

    /// Whether a power cut is planned.
    pub fn is_doomed(&self) -> bool {
        self.planned_cut.is_some()
    }

    /// Restores the power, and cancels a planned power cut. Returns whether the power was cut.
    pub fn restore_power(&mut self) -> bool {
        self.planned_cut = None;
        !core::mem::replace(&mut self.is_powered, true)
    }

    /// Flips one bit, numbered from the start of the memory; numbers wrap around at its end.
    pub fn flip_bit(&mut self, bit: u64) {
        let Some(at) = (bit / 8).checked_rem(self.memory.size() as u64) else {
            return;
        };
        let (at, mut byte) = (usize::try_from(at).unwrap_or_default(), [0]);
        // An error of the memory shows at the next access.
        if self.memory.load(at, &mut byte).is_ok() {
            byte[0] ^= 1 << (bit % 8);
            let _ = self.memory.store(at, &byte);
        }
    }

    /// The operations so far.
    pub fn wear(&self) -> Wear {
        self.wear
    }

    /// The memory.
    pub fn memory(&self) -> &B {
        &self.memory
    }

    /// The memory, for changes that bypass the flash.
    pub fn memory_mut(&mut self) -> &mut B {
        &mut self.memory
    }

    /// Counts an operation of `len` words. If the planned power cut strikes it, returns the number of words done.
    fn operate(&mut self, len: usize) -> Result<Option<usize>, RamError> {
        if !self.is_powered {
            return Err(RamError::NoPower);
        }
        match &mut self.planned_cut {
            Some(PowerCut { after: 0, seed }) => {
                let done = *seed as usize % (len + 1);
                self.is_powered = false;
                Ok(Some(done))
            }
            Some(cut) => {
                cut.after -= 1;
                Ok(None)
            }
            None => Ok(None),
        }
    }

    /// Writes as NOR flash does: bits only change from one to zero.
    fn program(&mut self, at: usize, bytes: &[u8]) -> Result<(), RamError> {
        for (bytes, at) in bytes.chunks(STEP).zip((at..).step_by(STEP)) {
            let mut cells = [0; STEP];
            let cells = &mut cells[..bytes.len()];
            self.memory.load(at, cells)?;
            for (cell, byte) in cells.iter_mut().zip(bytes) {
                *cell &= byte;
            }
            self.memory.store(at, cells)?;
        }
        Ok(())
    }

    fn check(&self, offset: u32, len: usize, align: usize) -> Result<core::ops::Range<usize>, RamError> {
        let start = offset as usize;
        let end = start.checked_add(len).ok_or(RamError::OutOfBounds)?;
        if !start.is_multiple_of(align) || !len.is_multiple_of(align) {
            Err(RamError::NotAligned)
        } else if end > self.memory.size() {
            Err(RamError::OutOfBounds)
        } else {
            Ok(start..end)
        }
    }
}

impl<B, const PAGE: usize> ErrorType for RamFlash<B, PAGE> {
    type Error = RamError;
}

impl<B: Memory, const PAGE: usize> ReadNorFlash for RamFlash<B, PAGE> {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), RamError> {
        if !self.is_powered {
            return Err(RamError::NoPower);
        }
        let range = self.check(offset, bytes.len(), 1)?;
        self.memory.load(range.start, bytes)
    }

    fn capacity(&self) -> usize {
        self.memory.size()
    }
}

impl<B: Memory, const PAGE: usize> NorFlash for RamFlash<B, PAGE> {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = PAGE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), RamError> {
        let len = to.checked_sub(from).ok_or(RamError::OutOfBounds)?;
        let range = self.check(from, len as usize, PAGE)?;
        for start in range.step_by(PAGE) {
            let cut = self.operate(PAGE / WORD)?;
            let done = cut.map_or(PAGE, |words| words * WORD);
            self.memory.clear(start, done)?;
            if cut.is_some() {
                return Err(RamError::NoPower);
            }
            self.wear.erases += 1;
        }
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), RamError> {
        let range = self.check(offset, bytes.len(), WORD)?;
        let cut = self.operate(bytes.len() / WORD)?;
        let done = cut.map_or(bytes.len(), |words| words * WORD);
        self.program(range.start, &bytes[..done])?;
        if cut.is_some() {
            // Any of the zeros of the interrupted word may have been written.
            let mask = self
                .planned_cut
                .map_or(0, |cut| cut.seed)
                .rotate_left(13)
                .to_le_bytes();
            let mut word = [0xff; WORD];
            for ((cell, byte), mask) in word.iter_mut().zip(&bytes[done..]).zip(mask) {
                *cell = byte | mask;
            }
            let rest = (bytes.len() - done).min(WORD);
            self.program(range.start + done, &word[..rest])?;
            return Err(RamError::NoPower);
        }
        self.wear.writes += 1;
        self.wear.bytes += bytes.len() as u64;
        Ok(())
    }
}

impl<B: Memory, const PAGE: usize> MultiwriteNorFlash for RamFlash<B, PAGE> {}
