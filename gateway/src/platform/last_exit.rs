//! How the previous run of the gateway ended, from a file next to the journal: `journal.db` has `journal-run.json`.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tracing::warn;

use super::state_file;

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
        let path = state_file::beside(journal, "run");
        let last_exit = match state_file::read::<RunFile>(&path, "how the last run ended cannot be read") {
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
        if let Err(error) = state_file::write(&self.path, &run) {
            warn!(%error, file = %self.path.display(), "how this run ends cannot be recorded");
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
