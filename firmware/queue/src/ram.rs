//! Flash in memory or in a file, with the faults of real flash: for simulated terminals and for tests.

use embedded_storage_async::nor_flash::{
    ErrorType, MultiwriteNorFlash, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RamError {
    /// Not aligned to words or pages.
    NotAligned,
    /// Outside of the memory.
    OutOfBounds,
    /// The power is gone. Nothing works until [`RamFlash::restore_power`].
    NoPower,
    /// What the flash is made of cannot be used.
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

/// What a [`RamFlash`] is made of: bytes, 0xFF where nothing was stored yet. The places are within
/// [`size`](Self::size).
pub trait Memory {
    /// Bytes of it; never changes.
    fn size(&self) -> usize;

    /// Copies what is there from `at` on.
    ///
    /// # Errors
    /// It cannot be used ([`RamError::Memory`]).
    fn load(&self, at: usize, bytes: &mut [u8]) -> Result<(), RamError>;

    /// Replaces what is there from `at` on.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    fn store(&mut self, at: usize, bytes: &[u8]) -> Result<(), RamError>;

    /// Makes `len` bytes 0xFF.
    ///
    /// # Errors
    /// As [`load`](Self::load).
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

/// A power cut to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Writes and erases that go well before it.
    pub after: u32,
    /// Draws how far the one that is cut off came.
    pub seed: u32,
}

/// What was done to the flash since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wear {
    /// Write operations.
    pub writes: u64,
    /// Pages erased.
    pub erases: u64,
    /// Bytes written.
    pub bytes: u64,
}

/// NOR flash on [`Memory`] of whatever kind: words of 4 bytes, pages of `PAGE` bytes.
#[derive(Clone, Debug)]
pub struct RamFlash<B, const PAGE: usize = 4096> {
    memory: B,
    fault: Option<Fault>,
    powered: bool,
    wear: Wear,
}

const WORD: usize = 4;
/// Bytes that are changed at a time.
const STEP: usize = 64;

impl<B: Memory, const PAGE: usize> RamFlash<B, PAGE> {
    /// Flash with whatever the memory holds: all 0xFF if it is to be new.
    pub fn new(memory: B) -> Self {
        Self {
            memory,
            fault: None,
            powered: true,
            wear: Wear::default(),
        }
    }

    /// The power goes at that write or erase.
    pub fn cut_power(&mut self, fault: Fault) {
        self.fault = Some(fault);
    }

    /// Whether a power cut is to come.
    pub fn is_doomed(&self) -> bool {
        self.fault.is_some()
    }

    /// The power is back; no fault is planned. Whether it had gone.
    pub fn restore_power(&mut self) -> bool {
        self.fault = None;
        !core::mem::replace(&mut self.powered, true)
    }

    /// Turns one bit, counted from the start of the memory and around its end.
    pub fn flip_bit(&mut self, bit: u64) {
        let Some(at) = (bit / 8).checked_rem(self.memory.size() as u64) else {
            return;
        };
        let (at, mut byte) = (usize::try_from(at).unwrap_or_default(), [0]);
        // Memory that cannot be used says so at the next access.
        if self.memory.load(at, &mut byte).is_ok() {
            byte[0] ^= 1 << (bit % 8);
            let _ = self.memory.store(at, &byte);
        }
    }

    /// What was done to it.
    pub fn wear(&self) -> Wear {
        self.wear
    }

    /// The memory.
    pub fn memory(&self) -> &B {
        &self.memory
    }

    /// The memory, to be changed behind the flash's back.
    pub fn memory_mut(&mut self) -> &mut B {
        &mut self.memory
    }

    /// Counts an operation; how much of it is still done if the power goes at it. `len` in words.
    fn operate(&mut self, len: usize) -> Result<Option<usize>, RamError> {
        if !self.powered {
            return Err(RamError::NoPower);
        }
        match &mut self.fault {
            Some(Fault { after: 0, seed }) => {
                let done = *seed as usize % (len + 1);
                self.powered = false;
                Ok(Some(done))
            }
            Some(fault) => {
                fault.after -= 1;
                Ok(None)
            }
            None => Ok(None),
        }
    }

    /// Writing only ever turns ones into zeros.
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
        if !self.powered {
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
            // Of the word at which it was cut, any of the zeros may have been written.
            let mask = self
                .fault
                .map_or(0, |fault| fault.seed)
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
