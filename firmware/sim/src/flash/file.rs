//! Flash in a file.
//!
//! ```text
//! file   magic(8) size of the flash(4) size of a page(4), zeros up to 4096, then the flash, each bit turned
//! ```
//!
//! Numbers are little-endian. The bits are turned so that what was never written is a hole of the file, which reads
//! as erased. Writes go to the operating system at once, and so survive a kill of the process; a sale counts once
//! the file was synced, and so survives a power cut of the machine.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use comptoir_queue::{Memory, RamError};

use super::{PAGE, PAGES, SIZE};

const MAGIC: &[u8; 8] = b"TILLFL\0\x01";
const HEADER: u64 = 4096;
/// Bytes that are turned at a time.
const STEP: usize = 256;

/// Why a terminal's flash file cannot be used. It is left as it is.
#[derive(Debug, thiserror::Error)]
pub enum FlashFileError {
    /// The operating system refused.
    #[error("{act} the queue {path}: {source}")]
    Io {
        /// What was tried.
        act: &'static str,
        /// The file.
        path: String,
        /// The system's error.
        source: io::Error,
    },
    /// The file is not a terminal's flash, or of another version.
    #[error("{path} is not the flash of a terminal (or of another version of pos-sim); it was left as it is")]
    Foreign {
        /// The file.
        path: String,
    },
    /// Another process has it.
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
    unsynced: bool,
    /// The last failure: the flash itself can only say that there was one.
    trouble: Mutex<Option<io::Error>>,
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
                make(path).map_err(|error| failed("make", error))?
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
            unsynced: false,
            trouble: Mutex::new(None),
        })
    }

    pub fn unsynced(&mut self) -> Option<Arc<File>> {
        std::mem::take(&mut self.unsynced).then(|| Arc::clone(&self.file))
    }

    pub fn trouble(&self) -> Option<String> {
        let trouble = self
            .trouble
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        trouble
            .as_ref()
            .map(|error| format!("{}: {error}", self.path.display()))
    }

    fn told(&self, result: io::Result<()>) -> Result<(), RamError> {
        result.map_err(|error| {
            *self
                .trouble
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

/// Makes the file under another name and renames it: under its own there is never half of one.
fn make(path: &Path) -> io::Result<File> {
    let aside = path.with_extension("new");
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&aside)?;
    file.write_all_at(&header(), 0)?;
    file.set_len(HEADER + u64::from(SIZE))?;
    file.sync_all()?;
    fs::rename(&aside, path)?;
    // The name is durable once its directory is.
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
        self.told(self.file.read_exact_at(bytes, place(at)))?;
        bytes.iter_mut().for_each(|byte| *byte = !*byte);
        Ok(())
    }

    fn store(&mut self, at: usize, bytes: &[u8]) -> Result<(), RamError> {
        self.unsynced = true;
        for (part, at) in bytes.chunks(STEP).zip((at..).step_by(STEP)) {
            let mut turned = [0; STEP];
            for (turned, byte) in turned.iter_mut().zip(part) {
                *turned = !byte;
            }
            self.told(self.file.write_all_at(&turned[..part.len()], place(at)))?;
        }
        Ok(())
    }

    fn clear(&mut self, at: usize, len: usize) -> Result<(), RamError> {
        self.unsynced = true;
        for from in (at..at + len).step_by(PAGE) {
            let zeros = &[0; PAGE][..PAGE.min(at + len - from)];
            self.told(self.file.write_all_at(zeros, place(from)))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(path: &Path) -> Result<FlashFile, FlashFileError> {
        FlashFile::open(path)
    }

    #[test]
    fn holds_what_is_stored_and_is_erased_where_nothing_was() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep").join("a_b.flash");
        let mut file = opened(&path).unwrap();
        assert!(file.unsynced().is_none());
        file.store(3 * PAGE - 2, &[1, 2, 3, 4]).unwrap();
        assert!(file.unsynced().is_some() && file.unsynced().is_none());
        drop(file);
        let mut file = opened(&path).unwrap();
        let mut read = [0; 6];
        file.load(3 * PAGE - 3, &mut read).unwrap();
        assert_eq!(read, [0xff, 1, 2, 3, 4, 0xff]);
        file.clear(3 * PAGE, PAGE).unwrap();
        file.load(3 * PAGE - 3, &mut read).unwrap();
        assert_eq!(read, [0xff, 1, 2, 0xff, 0xff, 0xff]);
    }

    #[test]
    fn a_foreign_file_is_named_and_left_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        for content in [
            "my holiday notes, longer than a header",
            "short",
            "TILLQ\0\0\x01 the old format",
        ] {
            let path = directory.path().join("a_b.flash");
            fs::write(&path, content).unwrap();
            let error = opened(&path).unwrap_err();
            assert!(matches!(error, FlashFileError::Foreign { .. }), "{error}");
            assert!(error.to_string().contains("a_b.flash"), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
    }

    #[test]
    fn two_at_a_time_cannot_have_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a_b.flash");
        let first = opened(&path).unwrap();
        assert!(matches!(opened(&path), Err(FlashFileError::InUse { .. })));
        drop(first);
        opened(&path).unwrap();
    }
}
