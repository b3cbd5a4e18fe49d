//! Reading the journal: entries in order, dead letters, devices, backups.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use futures::TryStreamExt;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row};

use super::{DeviceAck, Encoding, Entry, EntryKind, Journal, Offset, OpenError, Payload, ReadError, schema};
use crate::event::{DeviceId, EventName};

const COLUMNS: &str = "entry.offset, entry.kind, device.store, device.device, entry.epoch, entry.seq, entry.time, entry.key, entry.payload, entry.reason";

/// A dead letter, whole.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    pub entry: Entry,
    /// When it was taken in after all, Unix ms.
    pub retried: Option<i64>,
}

/// What the journal knows of one epoch of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamReport {
    pub epoch: u32,
    /// The highest number received.
    pub received: u32,
    pub stored: u64,
    pub in_kafka: u64,
    /// Settled without this journal: the terminal says that it no longer holds them.
    pub elsewhere: u64,
    /// Events that came under a number that had been used for another sale, and were kept.
    pub reused: u64,
    /// Numbers up to `received` whose events are not here, as inclusive ranges.
    pub missing: Vec<(u32, u32)>,
    /// Of those missing, the ones that were acked and then lost with a part of the journal's files.
    pub lost: Vec<(u32, u32)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceReport {
    pub device: DeviceId,
    /// The latest epochs, newest last.
    pub streams: Vec<StreamReport>,
}

impl Journal {
    /// The entries after `after`, oldest first: at most `count`, and not much more than `bytes`.
    pub async fn read(
        &self,
        after: Offset,
        count: usize,
        bytes: usize,
    ) -> Result<Vec<Arc<Entry>>, ReadError> {
        if after >= self.state.borrow().last {
            return Ok(Vec::new());
        }
        if let Some(entries) = self.tail.after(after, count, bytes) {
            return Ok(entries);
        }
        let sql = format!(
            "SELECT {COLUMNS} FROM entry JOIN device ON device.id = entry.device
             WHERE entry.offset > ? ORDER BY entry.offset LIMIT ?"
        );
        let read = async |pool: SqlitePool| {
            let mut rows = sqlx::query(AssertSqlSafe(sql))
                .bind(after.0 as i64)
                .bind(count as i64)
                .fetch(&pool);
            let mut entries = Vec::new();
            let mut taken = 0;
            while taken < bytes
                && let Some(row) = rows.try_next().await?
            {
                let read = entry(&row);
                taken += read.as_ref().map_or(0, |entry| entry.payload.len());
                entries.push(read.map(Arc::new));
            }
            Ok(entries)
        };
        self.readers.read(read).await?.into_iter().collect()
    }

    /// One entry, if it is still here.
    pub async fn entry(&self, offset: Offset) -> Result<Option<Arc<Entry>>, ReadError> {
        let Some(before) = offset.0.checked_sub(1) else {
            return Ok(None);
        };
        let entries = self.read(Offset(before), 1, 1).await?;
        Ok(entries.into_iter().find(|entry| entry.offset == offset))
    }

    /// Those of the entries that are still here.
    pub async fn entries(&self, offsets: &[Offset]) -> Result<HashMap<Offset, Arc<Entry>>, ReadError> {
        if offsets.is_empty() {
            return Ok(HashMap::new());
        }
        let wanted: Vec<u64> = offsets.iter().map(|offset| offset.0).collect();
        let sql = format!(
            "SELECT {COLUMNS} FROM json_each(?) wanted
             CROSS JOIN entry ON entry.offset = wanted.value
             JOIN device ON device.id = entry.device"
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(serde_json::json!(wanted).to_string());
        let rows = self.readers.fetch_all(query).await?;
        rows.iter()
            .map(|row| entry(row).map(|entry| (entry.offset, Arc::new(entry))))
            .collect()
    }

    /// When the oldest event that waits for Kafka happened, Unix ms.
    pub async fn oldest_pending(&self) -> Result<Option<i64>, ReadError> {
        let next = self.read(self.state().watermark, 1, 1).await?;
        Ok(next.first().map(|entry| entry.time))
    }

    /// Dead letters, newest first, below `before`.
    pub async fn dead_letters(
        &self,
        before: Option<Offset>,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, ReadError> {
        let read = async |pool: SqlitePool| dead_letter_rows(&pool, before, limit).await;
        self.readers.read(read).await?.iter().map(dead_letter).collect()
    }

    /// How each device of a store encodes, by name. At most `limit` of them.
    pub async fn encodings(&self, store: &str, limit: usize) -> Result<Vec<(DeviceId, Encoding)>, ReadError> {
        let query =
            sqlx::query("SELECT store, device, encoding FROM device WHERE store = ? ORDER BY device LIMIT ?")
                .bind(store)
                .bind(limit as i64);
        let rows = self.readers.fetch_all(query).await?;
        rows.iter()
            .map(|row| Ok((device(row, 0)?, Encoding::from_code(row.get(2)))))
            .collect()
    }

    /// How a device encodes, if it has ever sent something.
    pub async fn encoding(&self, device: &DeviceId) -> Result<Option<Encoding>, ReadError> {
        let query = sqlx::query("SELECT encoding FROM device WHERE store = ? AND device = ?")
            .bind(device.store())
            .bind(device.device());
        let rows = self.readers.fetch_all(query).await?;
        Ok(rows.first().map(|row| Encoding::from_code(row.get(0))))
    }

    /// The current ack of each epoch of a device, of at most `limit` epochs. What the gateway numbers itself comes first.
    ///
    /// # Errors
    /// The journal's file cannot be read.
    pub async fn acks(&self, device: &DeviceId, limit: u32) -> Result<Vec<DeviceAck>, ReadError> {
        let query = sqlx::query(
            "SELECT device.encoding, epoch, upto FROM device JOIN stream ON stream.device = device.id
             WHERE store = ? AND device.device = ? AND upto > 0 ORDER BY epoch LIMIT ?",
        )
        .bind(device.store())
        .bind(device.device())
        .bind(limit);
        let rows = self.readers.fetch_all(query).await?;
        let acks = rows.iter().map(|row| DeviceAck {
            device: device.clone(),
            encoding: Encoding::from_code(row.get(0)),
            epoch: row.get::<i64, _>(1) as u32,
            seq: row.get::<i64, _>(2) as u32,
        });
        Ok(acks.collect())
    }

    /// What is known of each device, by name. At most `limit` of them.
    pub async fn devices(&self, limit: u32) -> Result<Vec<DeviceReport>, ReadError> {
        let query = sqlx::query(
            "SELECT store, device.device, epoch, upto, ahead, stored, elsewhere, in_kafka, gone, lost, reused
             FROM (SELECT * FROM device ORDER BY store, device LIMIT ?) device
             JOIN stream ON stream.device = device.id
             ORDER BY store, device.device, epoch",
        )
        .bind(limit);
        let rows = self.readers.fetch_all(query).await?;
        let mut reports: Vec<DeviceReport> = Vec::new();
        for row in rows {
            let device = device(&row, 0)?;
            let ranges = |column| {
                serde_json::from_str(row.get(column)).map_err(|_| ReadError::Damaged {
                    offset: 0,
                    what: "ranges of numbers",
                })
            };
            let upto = row.get::<i64, _>("upto") as u32;
            let stream =
                super::stream::Stream::restore(upto, ranges("ahead")?, ranges("gone")?, ranges("lost")?);
            let report = StreamReport {
                epoch: row.get::<i64, _>("epoch") as u32,
                received: stream.highest(),
                stored: row.get::<i64, _>("stored") as u64,
                in_kafka: row.get::<i64, _>("in_kafka") as u64,
                elsewhere: row.get::<i64, _>("elsewhere") as u64,
                reused: row.get::<i64, _>("reused") as u64,
                missing: stream.missing(),
                lost: stream.lost().to_vec(),
            };
            match reports.last_mut() {
                Some(last) if last.device == device => last.streams.push(report),
                _ => reports.push(DeviceReport {
                    device,
                    streams: vec![report],
                }),
            }
        }
        Ok(reports)
    }

    /// A consistent copy, while events go on being written.
    pub async fn backup(path: &Path, copy: &Path) -> Result<(), BackupError> {
        if copy.exists() {
            return Err(BackupError::Exists(copy.to_owned()));
        }
        let journal = schema::open_for_reading(path).await?;
        let mut part = copy.as_os_str().to_owned();
        part.push(".part");
        let part = std::path::PathBuf::from(part);
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
        std::fs::File::open(&part)
            .and_then(|file| file.sync_all())
            .and_then(|()| std::fs::rename(&part, copy))
            .map_err(failed)
    }
}

/// Who goes on with it must not take it for the journal itself.
async fn mark_as_copy(copy: &Path) -> Result<(), sqlx::Error> {
    let mut connection = SqliteConnectOptions::new().filename(copy).connect().await?;
    schema::mark(&mut connection, schema::COPY).await?;
    connection.close().await
}

/// Dead letters of a journal that may be open elsewhere.
pub async fn dead_letters_of(
    path: &Path,
    before: Option<Offset>,
    limit: u32,
) -> Result<Vec<DeadLetter>, BackupError> {
    let journal = schema::open_for_reading(path).await?;
    let rows = dead_letter_rows(&journal, before, limit)
        .await
        .map_err(ReadError::from)?;
    Ok(rows.iter().map(dead_letter).collect::<Result<_, _>>()?)
}

#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("{} exists already; it was left as it is", .0.display())]
    Exists(std::path::PathBuf),
    #[error("{copy} could not be written: {problem}")]
    Write {
        copy: std::path::PathBuf,
        problem: std::io::Error,
    },
}

async fn dead_letter_rows(
    journal: &SqlitePool,
    before: Option<Offset>,
    limit: u32,
) -> Result<Vec<SqliteRow>, sqlx::Error> {
    let sql = format!(
        "SELECT {COLUMNS}, retried.at FROM entry INDEXED BY entry_dead_letter
         JOIN device ON device.id = entry.device
         LEFT JOIN retried ON retried.offset = entry.offset
         WHERE entry.kind = 3 AND entry.offset < ? ORDER BY entry.offset DESC LIMIT ?"
    );
    let before = before.map_or(i64::MAX, |before| before.0 as i64);
    sqlx::query(AssertSqlSafe(sql))
        .bind(before)
        .bind(limit)
        .fetch_all(journal)
        .await
}

fn dead_letter(row: &SqliteRow) -> Result<DeadLetter, ReadError> {
    Ok(DeadLetter {
        entry: entry(row)?,
        retried: row.get(10),
    })
}

fn device(row: &SqliteRow, column: usize) -> Result<DeviceId, ReadError> {
    DeviceId::new(row.get(column), row.get(column + 1)).map_err(|_| ReadError::Damaged {
        offset: 0,
        what: "device",
    })
}

/// Reads a row of [`COLUMNS`].
fn entry(row: &SqliteRow) -> Result<Entry, ReadError> {
    let offset = row.get::<i64, _>(0) as u64;
    let damaged = |what| ReadError::Damaged { offset, what };
    let kind = EntryKind::from_code(row.get(1)).ok_or_else(|| damaged("known kind"))?;
    let payload = match kind {
        EntryKind::Event(_) => Payload::Json(row.try_get::<&str, _>(8)?.into()),
        EntryKind::DeadLetter => Payload::Bytes(row.try_get::<&[u8], _>(8)?.into()),
    };
    Ok(Entry {
        offset: Offset(offset),
        kind,
        name: EventName {
            device: device(row, 2)?,
            epoch: row.get::<i64, _>(4) as u32,
            seq: row.get::<i64, _>(5) as u32,
        },
        time: row.get(6),
        key: row.get::<&str, _>(7).into(),
        payload,
        reason: row.get::<Option<&str>, _>(9).map(Into::into),
    })
}
