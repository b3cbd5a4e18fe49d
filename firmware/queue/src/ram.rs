//! Flash in memory, with the faults of real flash: for simulated terminals and for tests.

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
}

impl NorFlashError for RamError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::NotAligned => NorFlashErrorKind::NotAligned,
            Self::OutOfBounds => NorFlashErrorKind::OutOfBounds,
            Self::NoPower => NorFlashErrorKind::Other,
        }
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

/// NOR flash on memory of whatever kind: words of 4 bytes, pages of `PAGE` bytes.
#[derive(Clone, Debug)]
pub struct RamFlash<B, const PAGE: usize = 4096> {
    memory: B,
    fault: Option<Fault>,
    powered: bool,
    wear: Wear,
}

const WORD: usize = 4;

impl<B: AsRef<[u8]> + AsMut<[u8]>, const PAGE: usize> RamFlash<B, PAGE> {
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

    /// The power is back; no fault is planned. Whether it had gone.
    pub fn restore_power(&mut self) -> bool {
        self.fault = None;
        !core::mem::replace(&mut self.powered, true)
    }

    /// Turns one bit, counted from the start of the memory and around its end.
    pub fn flip_bit(&mut self, bit: u64) {
        let memory = self.memory.as_mut();
        let len = memory.len() as u64;
        if let Some(byte) = (bit / 8)
            .checked_rem(len)
            .and_then(|at| memory.get_mut(usize::try_from(at).unwrap_or_default()))
        {
            *byte ^= 1 << (bit % 8);
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

    fn check(&self, offset: u32, len: usize, align: usize) -> Result<core::ops::Range<usize>, RamError> {
        let start = offset as usize;
        let end = start.checked_add(len).ok_or(RamError::OutOfBounds)?;
        if !start.is_multiple_of(align) || !len.is_multiple_of(align) {
            Err(RamError::NotAligned)
        } else if end > self.memory.as_ref().len() {
            Err(RamError::OutOfBounds)
        } else {
            Ok(start..end)
        }
    }
}

impl<B, const PAGE: usize> ErrorType for RamFlash<B, PAGE> {
    type Error = RamError;
}

impl<B: AsRef<[u8]> + AsMut<[u8]>, const PAGE: usize> ReadNorFlash for RamFlash<B, PAGE> {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), RamError> {
        if !self.powered {
            return Err(RamError::NoPower);
        }
        let range = self.check(offset, bytes.len(), 1)?;
        bytes.copy_from_slice(&self.memory.as_ref()[range]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.memory.as_ref().len()
    }
}

impl<B: AsRef<[u8]> + AsMut<[u8]>, const PAGE: usize> NorFlash for RamFlash<B, PAGE> {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = PAGE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), RamError> {
        let len = to.checked_sub(from).ok_or(RamError::OutOfBounds)?;
        let range = self.check(from, len as usize, PAGE)?;
        for start in range.step_by(PAGE) {
            let cut = self.operate(PAGE / WORD)?;
            let done = cut.map_or(PAGE, |words| words * WORD);
            self.memory.as_mut()[start..start + done].fill(0xff);
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
        let seed = self.fault.map_or(0, |fault| fault.seed);
        let memory = &mut self.memory.as_mut()[range];
        for (cell, byte) in memory.iter_mut().zip(&bytes[..done]) {
            // Writing only ever turns ones into zeros.
            *cell &= byte;
        }
        if cut.is_some() {
            // Of the word at which it was cut, any of the zeros may have been written.
            let mask = seed.rotate_left(13).to_le_bytes();
            for ((cell, byte), mask) in memory[done..].iter_mut().zip(&bytes[done..]).zip(mask) {
                *cell &= byte | mask;
            }
            return Err(RamError::NoPower);
        }
        self.wear.writes += 1;
        self.wear.bytes += bytes.len() as u64;
        Ok(())
    }
}

impl<B: AsRef<[u8]> + AsMut<[u8]>, const PAGE: usize> MultiwriteNorFlash for RamFlash<B, PAGE> {}
