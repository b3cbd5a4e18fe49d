//! Copies of the journal, made while the gateway runs.

use std::fs::File;
use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::{Journal, OpenError, ReadError, schema};

/// Why a command could not copy or read a journal beside the running gateway.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("{} exists already and was not changed; choose another name", .0.display())]
    Exists(PathBuf),
    #[error("{copy} could not be written: {problem}")]
    Write { copy: PathBuf, problem: std::io::Error },
}

impl Journal {
    /// Makes a consistent copy of the journal at `path`, while events continue to be written.
    ///
    /// # Errors
    ///
    /// `copy` already exists or cannot be written, or the journal cannot be read.
    pub async fn backup(path: &Path, copy: &Path) -> Result<(), BackupError> {
        if copy.exists() {
            return Err(BackupError::Exists(copy.to_owned()));
        }
        let journal = schema::open_for_reading(path).await?;
        let mut part = copy.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let failed = |problem: std::io::Error| BackupError::Write {
            copy: copy.to_owned(),
            problem,
        };
        if part.exists() {
            std::fs::remove_file(&part).map_err(failed)?;
        }
        sqlx::query("VACUUM INTO ?")
            .bind(part.to_string_lossy())
            .execute(&journal)
            .await
            .map_err(|error| failed(std::io::Error::other(error)))?;
        journal.close().await;
        mark_as_copy(&part)
            .await
            .map_err(|error| failed(std::io::Error::other(error)))?;
        File::open(&part)
            .and_then(|file| file.sync_all())
            .and_then(|()| std::fs::rename(&part, copy))
            .map_err(failed)
    }
}

/// Marks the file as a copy, so that a gateway that opens it branches off instead of continuing the original's
/// numbering.
async fn mark_as_copy(copy: &Path) -> Result<(), sqlx::Error> {
    let mut connection = SqliteConnectOptions::new().filename(copy).connect().await?;
    schema::mark(&mut connection, schema::COPY).await?;
    connection.close().await
}
