//! How the previous run of the gateway ended, from a file next to the journal: `journal.db` has `journal-run.json`.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tracing::warn;

/// An id that the operating system draws at each boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// How the previous run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LastExit {
    /// There was no previous run, or its end is unknown.
    Unknown,
    /// It was stopped in order.
    Stopped,
    /// The program crashed or was killed while the system kept running.
    Crashed,
    /// The system went down without stopping the gateway: the power was cut, or the system crashed.
    Power,
}

/// The content of the file.
#[derive(Debug, Serialize, Deserialize)]
struct RunFile {
    boot_id: String,
    is_stopped: bool,
}

/// Marks the present run.
#[derive(Debug)]
pub struct RunMarker {
    path: PathBuf,
    boot_id: String,
}

impl RunMarker {
    /// Reads how the previous run of this journal ended, and records the start of a new one. The gateway also works
    /// without a readable file.
    pub fn begin(journal: &Path) -> (Self, LastExit) {
        let boot_id = fs::read_to_string(BOOT_ID).unwrap_or_default().trim().to_owned();
        Self::begin_at(journal, boot_id)
    }

    fn begin_at(journal: &Path, boot_id: String) -> (Self, LastExit) {
        let stem = journal.file_stem().unwrap_or_default().to_string_lossy();
        let path = journal.with_file_name(format!("{stem}-run.json"));
        let last_exit = match read(&path) {
            Some(run) if run.is_stopped => LastExit::Stopped,
            Some(run) if run.boot_id == boot_id => LastExit::Crashed,
            Some(_) => LastExit::Power,
            None => LastExit::Unknown,
        };
        let marker = Self { path, boot_id };
        marker.note(false);
        (marker, last_exit)
    }

    /// Records that the run was stopped in order.
    pub fn end(self) {
        self.note(true);
    }

    fn note(&self, is_stopped: bool) {
        let run = RunFile {
            boot_id: self.boot_id.clone(),
            is_stopped,
        };
        if let Err(error) = self.write(&run) {
            warn!(%error, file = %self.path.display(), "how this run ends cannot be recorded");
        }
    }

    fn write(&self, run: &RunFile) -> io::Result<()> {
        let next = self.path.with_extension("json.new");
        fs::write(&next, serde_json::to_vec(run)?)?;
        fs::File::open(&next)?.sync_all()?;
        fs::rename(&next, &self.path)
    }
}

fn read(path: &Path) -> Option<RunFile> {
    match fs::read(path) {
        // A damaged file counts as unknown.
        Ok(bytes) => serde_json::from_slice(&bytes).ok(),
        Err(error) => {
            if error.kind() != ErrorKind::NotFound {
                warn!(%error, file = %path.display(), "how the last run ended cannot be read");
            }
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_a_crash_and_a_power_cut_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("journal.db");
        let begin = |boot: &str| RunMarker::begin_at(&journal, boot.to_owned());
        let (first, exit) = begin("monday");
        assert_eq!(exit, LastExit::Unknown);
        first.end();
        let (_crashed, exit) = begin("monday");
        assert_eq!(exit, LastExit::Stopped);
        let (_unplugged, exit) = begin("monday");
        assert_eq!(exit, LastExit::Crashed);
        let (_, exit) = begin("tuesday");
        assert_eq!(exit, LastExit::Power);
        fs::write(folder.path().join("journal-run.json"), "{").unwrap();
        assert_eq!(begin("tuesday").1, LastExit::Unknown);
    }
}
