//! Reads a journal with its hash chain, for the commands that archive and verify it beside a running gateway.

use std::path::{Path, PathBuf};

use sqlx::sqlite::{Sqlite, SqliteRow};
use sqlx::{AssertSqlSafe, Row, Transaction};

use super::chain::{self, ChainPoint, ChainedEntry};
use super::closings::{StoredClosing, closing};
use super::read::{COLUMNS, entry};
use super::{Offset, OpenError, ReadError, schema};

/// The schema since which a journal has a chain.
const FIRST_SCHEMA: i64 = 12;

/// Most entries that [`ChainReader::entries_after`] returns at a time. An entry has less than 1 MB, and rarely more than 1 KB.
const ENTRIES: i64 = 64;

/// Why a journal could not be read with its chain.
#[derive(Debug, thiserror::Error)]
pub enum ChainReaderError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("{} was written by an earlier version and has no hash chain; start this version of the gateway on it once", .0.display())]
    NoChain(PathBuf),
}

impl From<sqlx::Error> for ChainReaderError {
    fn from(error: sqlx::Error) -> Self {
        Self::Read(error.into())
    }
}

/// What a journal and its chain consist of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainSummary {
    /// The journal's UUID.
    pub journal: String,
    /// The chain begins after this point. Entries up to it have no hash, or were pruned.
    pub start: ChainPoint,
    /// The oldest entry, if there is one.
    pub first: Option<Offset>,
    /// The newest entry, if there is one.
    pub last: Option<Offset>,
}

/// A journal as it is at one moment.
pub struct ChainReader {
    snapshot: Transaction<'static, Sqlite>,
}

impl ChainReader {
    /// Opens the journal read-only. A gateway may be running on it.
    ///
    /// # Errors
    ///
    /// The file is not a journal, has no chain, or cannot be read.
    pub async fn open(path: &Path) -> Result<Self, ChainReaderError> {
        let pool = schema::open_for_reading(path).await?;
        let mut snapshot = pool.begin().await?;
        let version: Option<i64> = sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations")
            .fetch_one(&mut *snapshot)
            .await?;
        match version {
            Some(version) if version >= FIRST_SCHEMA => Ok(Self { snapshot }),
            _ => Err(ChainReaderError::NoChain(path.to_owned())),
        }
    }

    /// # Errors
    ///
    /// The file cannot be read.
    pub async fn summary(&mut self) -> Result<ChainSummary, ChainReaderError> {
        let row = sqlx::query(
            "SELECT journal.uuid, chain.offset, chain.hash, (SELECT min(offset) FROM entry) AS first,
                    (SELECT max(offset) FROM entry) AS last
             FROM journal, chain",
        )
        .fetch_optional(&mut *self.snapshot)
        .await?;
        let damaged = || ReadError::DamagedTable {
            table: "the chain",
            what: "start",
        };
        let row = row.ok_or_else(damaged)?;
        let offset = |column| {
            row.get::<Option<i64>, _>(column)
                .map(|offset| Offset(offset as u64))
        };
        Ok(ChainSummary {
            journal: row.get("uuid"),
            start: ChainPoint {
                offset: offset("offset").unwrap_or_default(),
                hash: chain::hash(row.get("hash")).ok_or_else(damaged)?,
            },
            first: offset("first"),
            last: offset("last"),
        })
    }

    /// The first and the last of the entries whose time is in this period, in Unix milliseconds.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub async fn entries_of(
        &mut self,
        from: i64,
        to: i64,
    ) -> Result<Option<(Offset, Offset)>, ChainReaderError> {
        let row: (Option<i64>, Option<i64>) =
            sqlx::query_as("SELECT min(offset), max(offset) FROM entry WHERE time >= ? AND time < ?")
                .bind(from)
                .bind(to)
                .fetch_one(&mut *self.snapshot)
                .await?;
        Ok(match row {
            (Some(first), Some(last)) => Some((Offset(first as u64), Offset(last as u64))),
            _ => None,
        })
    }

    /// The hash of the newest entry up to and including `offset`. `None` if that entry has no hash.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub async fn point(&mut self, offset: Offset) -> Result<Option<ChainPoint>, ChainReaderError> {
        let row =
            sqlx::query("SELECT offset, hash FROM entry WHERE offset <= ? ORDER BY offset DESC LIMIT 1")
                .bind(offset.0 as i64)
                .fetch_optional(&mut *self.snapshot)
                .await?;
        if let Some(row) = row {
            let offset = Offset(row.get::<i64, _>("offset") as u64);
            if let Some(hash) = chain::hash(row.get("hash")) {
                return Ok(Some(ChainPoint { offset, hash }));
            }
        }
        let start = self.summary().await?.start;
        Ok((start.offset <= offset).then_some(start))
    }

    /// Some entries after `after`, up to and including `upto`, oldest first. Empty if there are none.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or an entry in it is damaged.
    pub async fn entries_after(
        &mut self,
        after: Offset,
        upto: Offset,
    ) -> Result<Vec<ChainedEntry>, ChainReaderError> {
        let sql = format!(
            "SELECT {COLUMNS}, entry.salt, entry.content, entry.hash
             FROM entry JOIN device ON device.id = entry.device
             WHERE entry.offset > ? AND entry.offset <= ? ORDER BY entry.offset LIMIT {ENTRIES}"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(after.0 as i64)
            .bind(upto.0 as i64)
            .fetch_all(&mut *self.snapshot)
            .await?;
        let mut entries = Vec::with_capacity(rows.len());
        for row in &rows {
            entries.push(chained(row)?);
        }
        Ok(entries)
    }

    /// All closings, oldest first.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub async fn closings(&mut self) -> Result<Vec<StoredClosing>, ChainReaderError> {
        let rows = sqlx::query("SELECT * FROM closing ORDER BY offset")
            .fetch_all(&mut *self.snapshot)
            .await?;
        Ok(rows.iter().map(closing).collect())
    }
}

fn chained(row: &SqliteRow) -> Result<ChainedEntry, ReadError> {
    let entry = entry(row)?;
    let damaged = |what| ReadError::DamagedEntry {
        offset: entry.offset.0,
        what,
    };
    let hash = |column, what| match row.get::<Option<&[u8]>, _>(column) {
        None => Ok(None),
        bytes => chain::hash(bytes).map(Some).ok_or_else(|| damaged(what)),
    };
    let salt = match row.get::<Option<&[u8]>, _>("salt") {
        None => None,
        Some(bytes) => Some(bytes.try_into().map_err(|_| damaged("salt"))?),
    };
    Ok(ChainedEntry {
        salt,
        content: hash("content", "content hash")?,
        hash: hash("hash", "hash")?,
        entry,
    })
}
