//! The flash of a simulated till: in memory, or in a file that survives a kill.

mod file;
mod memory;

use std::path::Path;
use std::sync::Arc;

use comptoir_queue::{Memory, RamError, RamFlash};

use file::FlashFile;
pub use file::FlashFileError;
use memory::SparseMemory;

/// Bytes of an erase page. Small pages save memory, because even a till that sells little uses two of them; large pages save
/// time, because the queue sometimes looks at all of them.
pub const PAGE: usize = 8 * 1024;
/// Number of pages: 4 MiB, enough for some ten thousand typical events.
pub const PAGES: usize = 512;
/// Pages for events; the queue uses two for its notes.
pub const EVENT_PAGES: usize = PAGES - 2;
/// Size of the flash in bytes.
#[expect(clippy::cast_possible_truncation, reason = "4 MiB")]
pub const SIZE: u32 = (PAGES * PAGE) as u32;

/// A till's flash.
pub type Flash = RamFlash<Medium, PAGE>;

/// Where the flash's contents are.
#[derive(Debug)]
pub enum Medium {
    /// In memory.
    Memory(SparseMemory),
    /// In a file.
    File(FlashFile),
}

/// New flash in memory, which a kill destroys.
pub fn in_memory() -> Flash {
    Flash::new(Medium::Memory(SparseMemory::new()))
}

/// The flash in the file at `path`, which is created if it does not exist. Blocks.
///
/// # Errors
/// The file cannot be used, is in use, or is not a till's flash. It is not modified then.
pub fn in_file(path: &Path) -> Result<Flash, FlashFileError> {
    Ok(Flash::new(Medium::File(FlashFile::open(path)?)))
}

impl Medium {
    /// The file to sync before a sale counts. `None` if nothing was written since the last call, or there is no file.
    pub fn unsynced(&mut self) -> Option<Arc<std::fs::File>> {
        match self {
            Self::Memory(_) => None,
            Self::File(file) => file.unsynced(),
        }
    }

    /// The position of a random bit, among those in use if that is known.
    pub fn used_bit(&self, random: u64) -> u64 {
        match self {
            Self::Memory(memory) => memory.used_bit(random),
            Self::File(_) => random,
        }
    }

    /// The file's last error.
    pub fn last_error(&self) -> Option<String> {
        match self {
            Self::Memory(_) => None,
            Self::File(file) => file.last_error(),
        }
    }
}

impl Memory for Medium {
    fn size(&self) -> usize {
        PAGES * PAGE
    }

    fn load(&self, at: usize, bytes: &mut [u8]) -> Result<(), RamError> {
        match self {
            Self::Memory(memory) => memory.load(at, bytes),
            Self::File(file) => file.load(at, bytes),
        }
    }

    fn store(&mut self, at: usize, bytes: &[u8]) -> Result<(), RamError> {
        match self {
            Self::Memory(memory) => memory.store(at, bytes),
            Self::File(file) => file.store(at, bytes),
        }
    }

    fn clear(&mut self, at: usize, len: usize) -> Result<(), RamError> {
        match self {
            Self::Memory(memory) => memory.clear(at, len),
            Self::File(file) => file.clear(at, len),
        }
    }
}
