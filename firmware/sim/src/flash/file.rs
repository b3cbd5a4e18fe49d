//! Flash in a file.
//!
//! ```text
//! file   magic(8) size of the flash(4) size of a page(4), zeros up to 4096, then the flash with each bit inverted
//! ```
//!
//! Numbers are little-endian. The bits are inverted so that a hole in the file reads as erased flash. Writes go to the
//! operating system at once, so they survive a kill of the process. A sale counts only after the file is synced, so it
//! survives a power cut of the machine.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use comptoir_queue::{Memory, RamError};

use super::{PAGE, PAGES, SIZE};

const MAGIC: &[u8; 8] = b"TILLFL\0\x01";
const HEADER: u64 = 4096;
/// Bytes inverted at a time.
const STEP: usize = 256;

/// Why a till's flash file cannot be used. The file is not modified.
#[derive(Debug, thiserror::Error)]
pub enum FlashFileError {
    /// The operating system refused.
    #[error("{act} the queue {path}: {source}")]
    Io {
        /// The operation.
        act: &'static str,
        /// The file.
        path: String,
        /// The operating system's error.
        source: io::Error,
    },
    /// The file is not a till's flash, or belongs to another version.
    #[error(
        "{path} is not a till's flash, or belongs to another version of pos-sim; it was not modified. Use another \
         directory for --queue"
    )]
    Foreign {
        /// The file.
        path: String,
    },
    /// Another process uses the file.
    #[error("the queue {path} is in use by another pos-sim")]
    InUse {
        /// The file.
        path: String,
    },
}

#[derive(Debug)]
pub struct FlashFile {
    path: PathBuf,
    file: Arc<File>,
    is_unsynced: bool,
    /// The last error, because `RamError` has no room for it.
    last_error: Mutex<Option<io::Error>>,
}

impl FlashFile {
    pub fn open(path: &Path) -> Result<Self, FlashFileError> {
        let failed = |act, source| FlashFileError::Io {
            act,
            path: path.display().to_string(),
            source,
        };
        let foreign = || FlashFileError::Foreign {
            path: path.display().to_string(),
        };
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create(path).map_err(|error| failed("create", error))?
            }
            Err(error) => return Err(failed("open", error)),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(FlashFileError::InUse {
                    path: path.display().to_string(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(failed("lock", error)),
        }
        let mut found = [0; 16];
        match file.read_exact_at(&mut found, 0) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(foreign()),
            Err(error) => return Err(failed("read", error)),
        }
        let len = file.metadata().map_err(|error| failed("read", error))?.len();
        if found != header() || len != HEADER + u64::from(SIZE) {
            return Err(foreign());
        }
        Ok(Self {
            path: path.to_owned(),
            file: Arc::new(file),
            is_unsynced: false,
            last_error: Mutex::new(None),
        })
    }

    pub fn unsynced(&mut self) -> Option<Arc<File>> {
        std::mem::take(&mut self.is_unsynced).then(|| Arc::clone(&self.file))
    }

    pub fn last_error(&self) -> Option<String> {
        let last_error = self
            .last_error
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        last_error
            .as_ref()
            .map(|error| format!("{}: {error}", self.path.display()))
    }

    /// Keeps an I/O error for [`last_error`](Self::last_error).
    fn record(&self, result: io::Result<()>) -> Result<(), RamError> {
        result.map_err(|error| {
            *self
                .last_error
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(error);
            RamError::Memory
        })
    }
}

fn header() -> [u8; 16] {
    let mut header = [0; 16];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&SIZE.to_le_bytes());
    header[12..].copy_from_slice(&u32::try_from(PAGE).unwrap_or(0).to_le_bytes());
    header
}

/// Creates the file under a temporary name and renames it, so that a crash leaves no incomplete file.
fn create(path: &Path) -> io::Result<File> {
    let temporary = path.with_extension("new");
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&temporary)?;
    file.write_all_at(&header(), 0)?;
    file.set_len(HEADER + u64::from(SIZE))?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    // A rename is durable once the directory is synced.
    File::open(directory)?.sync_all()?;
    Ok(file)
}

fn place(at: usize) -> u64 {
    HEADER + at as u64
}

impl Memory for FlashFile {
    fn size(&self) -> usize {
        PAGES * PAGE
    }

    fn load(&self, at: usize, bytes: &mut [u8]) -> Result<(), RamError> {
        self.record(self.file.read_exact_at(bytes, place(at)))?;
        bytes.iter_mut().for_each(|byte| *byte = !*byte);
        Ok(())
    }

    fn store(&mut self, at: usize, bytes: &[u8]) -> Result<(), RamError> {
        self.is_unsynced = true;
        for (part, at) in bytes.chunks(STEP).zip((at..).step_by(STEP)) {
            let mut inverted = [0; STEP];
            for (inverted, byte) in inverted.iter_mut().zip(part) {
                *inverted = !byte;
            }
            self.record(self.file.write_all_at(&inverted[..part.len()], place(at)))?;
        }
        Ok(())
    }

    fn clear(&mut self, at: usize, len: usize) -> Result<(), RamError> {
        self.is_unsynced = true;
        for from in (at..at + len).step_by(PAGE) {
            let zeros = &[0; PAGE][..PAGE.min(at + len - from)];
            self.record(self.file.write_all_at(zeros, place(from)))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_bytes_persist_and_the_rest_is_erased() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep").join("a_b.flash");
        let mut file = FlashFile::open(&path).unwrap();
        assert!(file.unsynced().is_none());
        file.store(3 * PAGE - 2, &[1, 2, 3, 4]).unwrap();
        assert!(file.unsynced().is_some() && file.unsynced().is_none());
        drop(file);
        let mut file = FlashFile::open(&path).unwrap();
        let mut read = [0; 6];
        file.load(3 * PAGE - 3, &mut read).unwrap();
        assert_eq!(read, [0xff, 1, 2, 3, 4, 0xff]);
        file.clear(3 * PAGE, PAGE).unwrap();
        file.load(3 * PAGE - 3, &mut read).unwrap();
        assert_eq!(read, [0xff, 1, 2, 0xff, 0xff, 0xff]);
    }

    #[test]
    fn a_foreign_file_is_named_and_not_modified() {
        let directory = tempfile::tempdir().unwrap();
        for content in [
            "my holiday notes, longer than a header",
            "short",
            "TILLQ\0\0\x01 the old format",
        ] {
            let path = directory.path().join("a_b.flash");
            fs::write(&path, content).unwrap();
            let error = FlashFile::open(&path).unwrap_err();
            assert!(matches!(error, FlashFileError::Foreign { .. }), "{error}");
            assert!(error.to_string().contains("a_b.flash"), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
    }

    #[test]
    fn only_one_process_can_use_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a_b.flash");
        let first = FlashFile::open(&path).unwrap();
        assert!(matches!(
            FlashFile::open(&path),
            Err(FlashFileError::InUse { .. })
        ));
        drop(first);
        FlashFile::open(&path).unwrap();
    }
}
