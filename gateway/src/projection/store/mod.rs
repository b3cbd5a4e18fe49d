//! The projection's file. It can always be rebuilt, so it favours speed over durability: after a power cut the last
//! seconds are folded again, and a damaged file is deleted.
//!
//! * [`changes`]: rows that change after they were indexed.
//! * [`personal`]: erases personal data from rows.
//! * [`reindex`]: rows of which words must be removed from the index.
//! * [`rows`]: reads and writes rows in batches.
//! * [`search`]: the search index.
//! * [`sweep`]: deletes rows that can no longer be shown.

mod changes;
mod personal;
mod reindex;
mod rows;
mod search;
mod sweep;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use sqlx::Row as _;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use tracing::warn;

use super::interner::Interner;
use super::kind_code;
use super::ledger::Ledger;
use super::shops::OtherShops;
use super::totals::Totals;
use comptoir_core::event::Kind;
use comptoir_journal::Offset;
use comptoir_journal::sqlite::{Readers, WriteConnection, is_damage, is_damaged, is_disk_error};
use comptoir_kafka::{Position, PositionTable, TopicId};
pub(super) use reindex::Reason;
pub(super) use rows::{EntryPlace, FlushBatch, read_correction};
use search::Blocks;
pub(super) use search::{BLOCK, sale_key};
use sweep::Sweep;

static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| comptoir_migrate::embedded!());

/// The layout of the rows' content. Since 2 each row names its store and device. Since 3 the totals, and the rows with
/// `home`, cover only this shop.
pub(super) const LAYOUT: i64 = 3;

pub(super) struct Store {
    path: PathBuf,
    connection: WriteConnection,
    pub readers: Readers,
    interner: Interner,
    sweep: Sweep,
    blocks: Blocks,
    /// Blocks of the search index that have rows but no words any more.
    emptied: HashSet<u64>,
}

/// The progress of the projection.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// [`LAYOUT`], or an older layout that [`super::upgrade`] is about to upgrade.
    pub layout: i64,
    /// The last folded journal entry.
    pub folded: Offset,
    pub totals: Totals,
    /// `None` in a file of a version without closings, and in a new one.
    pub ledger: Option<Ledger>,
    /// The totals of other shops.
    pub others: OtherShops,
    /// Positions of the read-back consumer.
    pub positions: PositionTable,
    /// The number of the next new row.
    pub next_seq: u64,
}

impl Store {
    /// Opens the projection's file for a journal whose last entry is `last`. Starts a new file if the old one is
    /// damaged, belongs to another journal, or contains entries that the journal does not have.
    pub async fn open(path: &Path, journal: &str, last: Offset) -> Result<(Self, Progress), sqlx::Error> {
        let mut opened = Self::try_open(path, journal, last).await;
        if opened
            .as_ref()
            .is_err_and(|error| is_damage(error) || is_disk_error(error))
        {
            // A read error can be transient.
            opened = Self::try_open(path, journal, last).await;
        }
        match opened {
            Ok(Some(opened)) => return Ok(opened),
            Ok(None) => {}
            Err(error) if is_damage(&error) || is_disk_error(&error) || is_of_other_schema(&error) => {
                warn!(%error, path = %path.display(), "the projection's file is rebuilt");
            }
            // A full disk or a missing permission does not mean that the file is damaged.
            Err(error) => return Err(error),
        }
        Self::begin(path, journal).await
    }

    /// Deletes the file, if it exists, and starts a new one.
    pub async fn begin(path: &Path, journal: &str) -> Result<(Self, Progress), sqlx::Error> {
        remove(path)?;
        Self::try_open(path, journal, Offset(0))
            .await?
            .ok_or_else(|| sqlx::Error::Protocol("a new file must not belong to a journal".into()))
    }

    /// `None` if the file does not match the journal.
    async fn try_open(
        path: &Path,
        journal: &str,
        last: Offset,
    ) -> Result<Option<(Self, Progress)>, sqlx::Error> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .busy_timeout(Duration::from_secs(5));
        let connection = options
            .clone()
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .pragma("wal_autocheckpoint", "2000")
            .pragma("journal_size_limit", "16777216")
            .pragma("cache_size", "-4096")
            .thread_name(|_| "projection".to_owned());
        let mut connection = WriteConnection::open(connection).await?;
        let progress = match read_progress(connection.get().await?, journal, last).await {
            Ok(Some(progress)) => progress,
            other => {
                // The file is about to be deleted.
                let _ = connection.close().await;
                return other.map(|_| None);
            }
        };
        let options = options
            .read_only(true)
            .pragma("cache_size", "-1024")
            .thread_name(|n| format!("projection-read-{n}"));
        let store = Self {
            path: path.to_owned(),
            connection,
            readers: Readers::open(2, options).await?,
            interner: Interner::default(),
            sweep: Sweep {
                is_wanted: true,
                ..Sweep::default()
            },
            blocks: Blocks::new(),
            emptied: HashSet::new(),
        };
        Ok(Some((store, progress)))
    }

    /// Whether the file is damaged. False if it merely could not be read now.
    pub async fn is_damaged(&mut self) -> bool {
        match self.connection.get().await {
            Ok(connection) => is_damaged(connection).await,
            Err(_) => false,
        }
    }

    /// The connection, for statements without a method of their own.
    pub async fn connection(&mut self) -> Result<&mut SqliteConnection, sqlx::Error> {
        self.connection.get().await
    }

    /// Closes the file.
    pub async fn close(mut self) -> Result<(), sqlx::Error> {
        self.readers.close().await;
        self.connection.close().await
    }

    /// Deletes the file.
    pub async fn remove(mut self) -> Result<(), sqlx::Error> {
        self.readers.close().await;
        // The file is deleted, so an error while closing is harmless.
        let _ = self.connection.close().await;
        remove(&self.path)
    }
}

/// Checks the file, migrates it and reads its progress. `None` if the file does not match the journal.
async fn read_progress(
    connection: &mut SqliteConnection,
    journal: &str,
    last: Offset,
) -> Result<Option<Progress>, sqlx::Error> {
    let verdict: String = sqlx::query_scalar("PRAGMA quick_check(1)")
        .fetch_one(&mut *connection)
        .await?;
    if verdict != "ok" {
        return Err(sqlx::Error::Decode(verdict.into()));
    }
    MIGRATIONS.run(&mut *connection).await?;
    let stored = sqlx::query("SELECT journal, folded, totals, layout, ledger FROM progress")
        .fetch_optional(&mut *connection)
        .await?;
    let mut progress = Progress {
        layout: LAYOUT,
        next_seq: 1,
        ..Progress::default()
    };
    if let Some(row) = stored {
        progress.folded = Offset(row.get::<i64, _>("folded") as u64);
        if row.get::<&str, _>("journal") != journal {
            return Ok(None);
        }
        if progress.folded > last {
            warn!(
                folded = progress.folded.0,
                last = last.0,
                "the projection's file contains events that the journal does not have: it is rebuilt"
            );
            return Ok(None);
        }
        progress.layout = row.get("layout");
        progress.totals =
            serde_json::from_str(row.get("totals")).map_err(|error| sqlx::Error::Decode(error.into()))?;
        let ledger = row.get::<Option<&str>, _>("ledger").map(Ledger::from_json);
        progress.ledger = ledger
            .transpose()
            .map_err(|error| sqlx::Error::Decode(error.into()))?;
        // One query per kind: SQLite answers it from the edge of the b-tree.
        for kind in Kind::ALL {
            let highest: Option<i64> = sqlx::query_scalar("SELECT max(seq) FROM sale WHERE kind = ?")
                .bind(kind_code(kind))
                .fetch_one(&mut *connection)
                .await?;
            progress.next_seq = progress.next_seq.max(highest.unwrap_or(0) as u64 + 1);
        }
        progress.others = read_shops(connection).await?;
        for row in sqlx::query("SELECT topic, partition, next, topic_id FROM position")
            .fetch_all(&mut *connection)
            .await?
        {
            let topic_id: Option<&[u8]> = row.get("topic_id");
            let position = Position {
                next: row.get("next"),
                topic_id: topic_id.and_then(TopicId::from_bytes),
            };
            progress
                .positions
                .insert((row.get("topic"), row.get("partition")), position);
        }
    }
    Ok(Some(progress))
}

async fn read_shops(connection: &mut SqliteConnection) -> Result<OtherShops, sqlx::Error> {
    let rows = sqlx::query("SELECT store, totals FROM shop")
        .fetch_all(connection)
        .await?;
    let read = rows.iter().map(|row| {
        let totals =
            serde_json::from_str(row.get("totals")).map_err(|error| sqlx::Error::Decode(error.into()))?;
        Ok((row.get::<&str, _>("store").into(), totals))
    });
    Ok(OtherShops::stored(read.collect::<Result<_, sqlx::Error>>()?))
}

/// Whether the file's schema belongs neither to this version nor to an earlier one.
fn is_of_other_schema(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Migrate(_))
}

fn remove(path: &Path) -> Result<(), sqlx::Error> {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match std::fs::remove_file(PathBuf::from(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(sqlx::Error::Io(error));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
