//! Small JSON files next to the journal, which the gateway also works without: `journal.db` has `journal-run.json`.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::warn;

/// The path of the file with this name, for example `run`.
pub fn beside(journal: &Path, name: &str) -> PathBuf {
    let stem = journal.file_stem().unwrap_or_default().to_string_lossy();
    journal.with_file_name(format!("{stem}-{name}.json"))
}

/// The content; `None` if there is no file or if it is damaged. `lost` says in the log what is unknown if it cannot be
/// read.
pub fn read<T: DeserializeOwned>(path: &Path, lost: &str) -> Option<T> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).ok(),
        Err(error) => {
            if error.kind() != ErrorKind::NotFound {
                warn!(%error, file = %path.display(), "{lost}");
            }
            None
        }
    }
}

/// Replaces the file at once, so that it is whole after a power cut.
///
/// # Errors
/// The disk cannot be written.
pub fn write<T: Serialize>(path: &Path, content: &T) -> io::Result<()> {
    let next = path.with_extension("json.new");
    fs::write(&next, serde_json::to_vec(content)?)?;
    fs::File::open(&next)?.sync_all()?;
    fs::rename(&next, path)
}
