//! The flash of a simulated terminal: in memory, or in a file that survives a kill.

mod file;
mod memory;

use std::path::Path;
use std::sync::Arc;

use comptoir_queue::{Memory, RamError, RamFlash};

use file::FlashFile;
pub use file::FlashFileError;
use memory::Sparse;

/// Bytes that are erased together. Small, since a terminal that sells little fills two of them; large, since the
/// queue looks at all of them now and then.
pub const PAGE: usize = 8 * 1024;
/// Of them: 4 MiB, which hold some ten thousand typical events.
pub const PAGES: usize = 512;
/// Pages of events; the queue keeps two for its notes.
pub const EVENT_PAGES: usize = PAGES - 2;
/// The whole, in bytes.
#[expect(clippy::cast_possible_truncation, reason = "4 MiB")]
pub const SIZE: u32 = (PAGES * PAGE) as u32;

/// A terminal's flash.
pub type Flash = RamFlash<Medium, PAGE>;

/// What a flash is made of.
#[derive(Debug)]
pub enum Medium {
    /// Memory.
    Memory(Sparse),
    /// A file.
    File(FlashFile),
}

/// New flash that a kill destroys.
pub fn in_memory() -> Flash {
    Flash::new(Medium::Memory(Sparse::new()))
}

/// The flash in the file at `path`, which is made if it is not there. Blocks.
///
/// # Errors
/// The file cannot be used, is in use, or is none of ours; it is then left as it is.
pub fn in_file(path: &Path) -> Result<Flash, FlashFileError> {
    Ok(Flash::new(Medium::File(FlashFile::open(path)?)))
}

impl Medium {
    /// The file whose contents are to be synced before a sale counts; `None` if nothing was written since this was
    /// last asked, or there is no file.
    pub fn unsynced(&mut self) -> Option<Arc<std::fs::File>> {
        match self {
            Self::Memory(_) => None,
            Self::File(file) => file.unsynced(),
        }
    }

    /// A bit, drawn among those that are in use where that is known.
    pub fn used_bit(&self, random: u64) -> u64 {
        match self {
            Self::Memory(memory) => memory.used_bit(random),
            Self::File(_) => random,
        }
    }

    /// What the file's last failure was, for people.
    pub fn trouble(&self) -> Option<String> {
        match self {
            Self::Memory(_) => None,
            Self::File(file) => file.trouble(),
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
