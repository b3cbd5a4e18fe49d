//! Dead letters, newest first.

use std::path::Path;

use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{AssertSqlSafe, Row};

use super::read::{COLUMNS, entry};
use super::{BackupError, Entry, Journal, Offset, ReadError, schema};
use comptoir_core::event::{DeviceId, EventName};

/// Bytes of the payload in a summary: most messages are shorter, and a list of hundreds stays small.
pub const SUMMARY_BYTES: usize = 512;
/// Characters of the topic and of the reason in a summary. A topic may have 65,535 bytes.
const SUMMARY_CHARACTERS: i64 = 512;

#[derive(Debug, Clone)]
pub struct DeadLetter {
    pub entry: Entry,
    /// When a retry stored it as an event, in Unix milliseconds.
    pub retried: Option<i64>,
}

/// A dead letter in a list, without most of its payload, which may be megabytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetterSummary {
    pub offset: Offset,
    pub name: EventName,
    /// The beginning of the topic.
    pub topic: String,
    /// The beginning of the reason.
    pub reason: String,
    /// When it arrived, in Unix milliseconds.
    pub time: i64,
    /// When a retry stored it as an event, in Unix milliseconds.
    pub retried: Option<i64>,
    /// The length of the whole payload.
    pub bytes: u64,
    /// The beginning of the payload: at most [`SUMMARY_BYTES`].
    pub beginning: Vec<u8>,
}

impl Journal {
    /// At most `limit` dead letters, newest first; only those before `before`, if given.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or an entry in it is damaged.
    pub async fn dead_letters(
        &self,
        before: Option<Offset>,
        limit: u32,
    ) -> Result<Vec<DeadLetterSummary>, ReadError> {
        let read = async |pool: SqlitePool| summaries(&pool, before, limit).await;
        self.readers.read(read).await?.iter().map(summary).collect()
    }

    /// The whole dead letter at `offset`, if there is one.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or the entry is damaged.
    pub async fn dead_letter(&self, offset: Offset) -> Result<Option<DeadLetter>, ReadError> {
        let read = async |pool: SqlitePool| whole(&pool, offset).await;
        self.readers
            .read(read)
            .await?
            .as_ref()
            .map(dead_letter)
            .transpose()
    }
}

/// The dead letters of the journal at `path`, which a running gateway may have open. See [`Journal::dead_letters`].
///
/// # Errors
///
/// The file is not a journal, or cannot be read.
pub async fn dead_letters_of(
    path: &Path,
    before: Option<Offset>,
    limit: u32,
) -> Result<Vec<DeadLetterSummary>, BackupError> {
    let journal = schema::open_for_reading(path).await?;
    let rows = summaries(&journal, before, limit)
        .await
        .map_err(ReadError::from)?;
    Ok(rows.iter().map(summary).collect::<Result<_, _>>()?)
}

/// The dead letter at `offset` of the journal at `path`. See [`Journal::dead_letter`].
///
/// # Errors
///
/// The file is not a journal, or cannot be read.
pub async fn dead_letter_of(path: &Path, offset: Offset) -> Result<Option<DeadLetter>, BackupError> {
    let journal = schema::open_for_reading(path).await?;
    let row = whole(&journal, offset).await.map_err(ReadError::from)?;
    Ok(row.as_ref().map(dead_letter).transpose()?)
}

async fn whole(journal: &SqlitePool, offset: Offset) -> Result<Option<SqliteRow>, sqlx::Error> {
    // SQLite has no larger numbers, so there is no such entry.
    let offset = i64::try_from(offset.0).unwrap_or(i64::MAX);
    let sql = format!(
        "SELECT {COLUMNS}, retried.at AS retried_at FROM entry
         JOIN device ON device.id = entry.device
         LEFT JOIN retried ON retried.offset = entry.offset
         WHERE entry.kind = 3 AND entry.offset = ?"
    );
    sqlx::query(AssertSqlSafe(sql))
        .bind(offset)
        .fetch_optional(journal)
        .await
}

async fn summaries(
    journal: &SqlitePool,
    before: Option<Offset>,
    limit: u32,
) -> Result<Vec<SqliteRow>, sqlx::Error> {
    let sql = "SELECT entry.offset, device.store, device.device, entry.epoch, entry.seq, entry.time,
         substr(entry.key, 1, ?) AS topic, substr(entry.reason, 1, ?) AS reason,
         octet_length(entry.payload) AS bytes, substr(entry.payload, 1, ?) AS beginning,
         retried.at AS retried_at FROM entry INDEXED BY entry_dead_letter
         JOIN device ON device.id = entry.device
         LEFT JOIN retried ON retried.offset = entry.offset
         WHERE entry.kind = 3 AND entry.offset < ? ORDER BY entry.offset DESC LIMIT ?";
    let before = before.map_or(i64::MAX, |before| before.0 as i64);
    sqlx::query(sql)
        .bind(SUMMARY_CHARACTERS)
        .bind(SUMMARY_CHARACTERS)
        .bind(SUMMARY_BYTES as i64)
        .bind(before)
        .bind(limit)
        .fetch_all(journal)
        .await
}

fn dead_letter(row: &SqliteRow) -> Result<DeadLetter, ReadError> {
    Ok(DeadLetter {
        entry: entry(row)?,
        retried: row.get("retried_at"),
    })
}

fn summary(row: &SqliteRow) -> Result<DeadLetterSummary, ReadError> {
    let offset = row.get::<i64, _>("offset") as u64;
    let damaged = |what| ReadError::DamagedEntry { offset, what };
    Ok(DeadLetterSummary {
        offset: Offset(offset),
        name: EventName {
            device: DeviceId::stored(row.get("store"), row.get("device")).map_err(|_| damaged("device"))?,
            epoch: row.get::<i64, _>("epoch") as u32,
            seq: row.get::<i64, _>("seq") as u32,
        },
        topic: row.get("topic"),
        reason: row.get::<Option<String>, _>("reason").unwrap_or_default(),
        time: row.get("time"),
        retried: row.get("retried_at"),
        bytes: row.get::<i64, _>("bytes") as u64,
        beginning: row.get("beginning"),
    })
}
