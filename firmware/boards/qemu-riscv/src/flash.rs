//! CFI01 NOR flash: bank 1 of the virt machine, two 16-bit chips side by side.
//!
//! QEMU keeps it in a file (`-drive if=pflash,unit=1`), so it survives a reset and a killed emulator.

use embedded_storage_async::nor_flash::{
    ErrorType, MultiwriteNorFlash, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};

const BASE: usize = 0x2200_0000;
const SIZE: usize = 0x0200_0000;
/// Bytes of a sector, both chips together.
pub const SECTOR: usize = 256 * 1024;
const WORD: usize = 4;

/// Commands, repeated for each chip.
const READ_ARRAY: u32 = 0x00ff_00ff;
const PROGRAM: u32 = 0x0040_0040;
const ERASE: u32 = 0x0020_0020;
const CONFIRM: u32 = 0x00d0_00d0;
const CLEAR_STATUS: u32 = 0x0050_0050;
const READY: u32 = 0x0080;
/// Status bits: an erase or a write failed, the voltage is too low, or the block is locked.
const FAILED: u32 = 0x003a;

/// Why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlashError {
    /// Offset or length is not a multiple of a word or sector.
    NotAligned,
    /// Outside the bank.
    OutOfBounds,
    /// The chip reports a failure: its status register.
    Failed(u32),
}

impl NorFlashError for FlashError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::NotAligned => NorFlashErrorKind::NotAligned,
            Self::OutOfBounds => NorFlashErrorKind::OutOfBounds,
            Self::Failed(_) => NorFlashErrorKind::Other,
        }
    }
}

/// The only bank; [`Flash::take`] is its only constructor.
pub struct Flash(());

impl Flash {
    /// The bank, in read mode.
    ///
    /// # Safety
    /// Call it once: two owners would interleave their commands.
    pub unsafe fn take() -> Self {
        let flash = Self(());
        flash.put(0, READ_ARRAY);
        flash
    }

    /// Reads a word. The callers check that `offset` is below [`SIZE`] and aligned.
    fn at(&self, offset: usize) -> u32 {
        // SAFETY: within the bank, which is mapped.
        unsafe { ((BASE + offset) as *const u32).read_volatile() }
    }

    fn put(&self, offset: usize, value: u32) {
        // SAFETY: within the bank, where no memory of the program lies.
        unsafe { ((BASE + offset) as *mut u32).write_volatile(value) }
    }

    /// Waits until the chips are done.
    fn finish(&self, offset: usize) -> Result<(), FlashError> {
        let status = loop {
            let status = self.at(offset);
            if status & READY != 0 {
                break status;
            }
        };
        self.put(offset, CLEAR_STATUS);
        self.put(offset, READ_ARRAY);
        if status & FAILED == 0 {
            Ok(())
        } else {
            Err(FlashError::Failed(status))
        }
    }

    fn check(offset: u32, len: usize, align: usize) -> Result<usize, FlashError> {
        let start = offset as usize;
        if !start.is_multiple_of(align) || !len.is_multiple_of(align) {
            return Err(FlashError::NotAligned);
        }
        match start.checked_add(len) {
            Some(end) if end <= SIZE => Ok(start),
            _ => Err(FlashError::OutOfBounds),
        }
    }
}

impl ErrorType for Flash {
    type Error = FlashError;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = WORD;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        let start = Self::check(offset, bytes.len(), WORD)?;
        for (word, at) in bytes.chunks_mut(WORD).zip((start..).step_by(WORD)) {
            word.copy_from_slice(&self.at(at).to_le_bytes());
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        SIZE
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = SECTOR;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        let len = to.checked_sub(from).ok_or(FlashError::OutOfBounds)? as usize;
        let start = Self::check(from, len, SECTOR)?;
        for sector in (start..start + len).step_by(SECTOR) {
            self.put(sector, ERASE);
            self.put(sector, CONFIRM);
            self.finish(sector)?;
        }
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        let start = Self::check(offset, bytes.len(), WORD)?;
        for (word, at) in bytes.chunks(WORD).zip((start..).step_by(WORD)) {
            let mut padded = [0xff; WORD];
            padded[..word.len()].copy_from_slice(word);
            // Real cells only change from one to zero; the emulated ones take any value.
            let value = u32::from_le_bytes(padded) & self.at(at);
            self.put(at, PROGRAM);
            self.put(at, value);
            self.finish(at)?;
        }
        Ok(())
    }
}

impl MultiwriteNorFlash for Flash {}
