//! Archives that the gateway writes by itself (`archive.path`): after each closing, and before the journal is pruned. Nothing
//! is pruned that is in no archive; if an archive cannot be written, the journal fills, and the gateway says so.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use comptoir_journal::{AppendError, Journal, Offset, ReadError};
use jiff::tz::TimeZone;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::write::{ArchiveError, Range, Request, write};
use crate::platform::closing_key::ClosingKey;

/// Interval between two looks at the journal.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Most entries of an archive that no closing ends.
const MAX_ENTRIES: u64 = 500_000;

/// How far the journal is archived.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Archived {
    /// Everything up to this entry is in an archive.
    pub upto: Offset,
    /// Why no archive can be written now.
    pub problem: Option<String>,
}

/// [`Archived`], shared with those who show it.
#[derive(Debug, Default)]
pub struct ArchiveStatus(Mutex<Archived>);

impl ArchiveStatus {
    pub fn new(upto: Offset) -> Self {
        Self(Mutex::new(Archived { upto, problem: None }))
    }

    pub fn get(&self) -> Archived {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn has_problem(&self) -> bool {
        self.get().problem.is_some()
    }

    fn set_upto(&self, upto: Offset) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).upto = upto;
    }

    /// Returns the former problem.
    fn set_problem(&self, problem: Option<String>) -> Option<String> {
        std::mem::replace(
            &mut self.0.lock().unwrap_or_else(PoisonError::into_inner).problem,
            problem,
        )
    }
}

/// Why an archive was not written.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the shop's secret is missing, and archives are signed with it")]
    NoKey,
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Write(#[from] ArchiveError),
    #[error(transparent)]
    Mark(#[from] AppendError),
}

/// Writes the archives.
pub struct Archiver {
    pub journal: Journal,
    /// `archive.path`
    pub folder: PathBuf,
    pub store: String,
    pub time_zone: TimeZone,
    pub key: Option<Arc<ClosingKey>>,
    pub status: Arc<ArchiveStatus>,
}

impl Archiver {
    /// Runs until the stop. An archive that is being written then is dropped, and begun again at the next start.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                result = self.archive_due() => self.note(result),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    fn note(&self, result: Result<(), Failure>) {
        let problem = result.err().map(|failure| failure.to_string());
        let before = self.status.set_problem(problem.clone());
        match problem {
            Some(problem) if before.as_ref() != Some(&problem) => {
                error!(
                    problem,
                    "no archive can be written, so the journal is not pruned: archive.path"
                );
            }
            None if before.is_some() => info!("archives are written again"),
            _ => {}
        }
    }

    /// Writes what is due.
    async fn archive_due(&self) -> Result<(), Failure> {
        let mut archived = self.status.get().upto;
        while let Some(upto) = self.due(archived).await? {
            let key = self.key.as_deref().ok_or(Failure::NoKey)?;
            let name = format!("{}-{:012}-{:012}.tar", self.store, archived.0 + 1, upto.0);
            let request = Request {
                journal: self.journal.path(),
                store: &self.store,
                range: Range::Entries {
                    after: archived,
                    upto,
                },
                time_zone: self.time_zone.clone(),
                key,
                file: &self.folder.join(&name),
            };
            let manifest = write(&request, |_, _| {}).await?;
            self.journal.mark_archived(upto).await?;
            self.status.set_upto(upto);
            info!(
                name,
                entries = manifest.entries,
                closings = manifest.closings,
                "archived"
            );
            archived = upto;
        }
        Ok(())
    }

    /// The last entry of the next archive: the newest closing, or what may be pruned when the journal fills.
    async fn due(&self, archived: Offset) -> Result<Option<Offset>, ReadError> {
        let closing = self.journal.newest_closing().await?;
        if let Some(closing) = closing.filter(|closing| closing.offset > archived) {
            return Ok(Some(closing.offset));
        }
        let state = self.journal.state();
        // Pruning starts at four fifths.
        if state.bytes < state.max_bytes / 10 * 7 {
            return Ok(None);
        }
        let upto = state
            .watermark
            .min(self.journal.folded())
            .min(Offset(archived.0.max(state.first.0) + MAX_ENTRIES));
        Ok((upto > archived).then_some(upto))
    }
}
