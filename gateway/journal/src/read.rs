//! Reads entries in journal order.

use std::collections::HashMap;
use std::sync::Arc;

use futures::TryStreamExt;
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{AssertSqlSafe, Row};

use super::{Entry, EntryKind, Journal, Offset, Payload};
use comptoir_core::event::{DeviceId, EventName};

/// The columns that [`entry`] reads.
pub(super) const COLUMNS: &str = "entry.offset, entry.kind, device.store, device.device, entry.epoch, entry.seq, entry.time, entry.key, entry.payload, entry.reason";

/// How many entries, and about how many bytes, [`Journal::oldest_pending`] reads at a time. Usually the first entry is
/// an event.
const PENDING_ENTRIES: usize = 64;
const PENDING_BYTES: usize = 1 << 14;

/// Why the journal could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("the journal could not be read: {0}")]
    Storage(#[from] sqlx::Error),
    #[error("entry {offset} of the journal has no valid {what}")]
    DamagedEntry { offset: u64, what: &'static str },
    #[error("the table of {table} in the journal has a row without valid {what}")]
    DamagedTable { table: &'static str, what: &'static str },
}

impl Journal {
    /// The entries after `after`, oldest first: at most `count`, and about `bytes` bytes.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or an entry in it is damaged.
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

    /// The entry at `offset`, unless it has been pruned.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or the entry is damaged.
    pub async fn entry(&self, offset: Offset) -> Result<Option<Arc<Entry>>, ReadError> {
        let Some(before) = offset.0.checked_sub(1) else {
            return Ok(None);
        };
        let entries = self.read(Offset(before), 1, 1).await?;
        Ok(entries.into_iter().find(|entry| entry.offset == offset))
    }

    /// The entries at `offsets`, without those that have been pruned.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or an entry in it is damaged.
    pub async fn entries(&self, offsets: &[Offset]) -> Result<HashMap<Offset, Arc<Entry>>, ReadError> {
        let mut found = self.tail.at(offsets);
        let wanted: Vec<u64> = offsets
            .iter()
            .filter(|offset| !found.contains_key(offset))
            .map(|offset| offset.0)
            .collect();
        if wanted.is_empty() {
            return Ok(found);
        }
        let sql = format!(
            "SELECT {COLUMNS} FROM json_each(?) wanted
             CROSS JOIN entry ON entry.offset = wanted.value
             JOIN device ON device.id = entry.device"
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(serde_json::json!(wanted).to_string());
        for row in self.readers.fetch_all(query).await? {
            let entry = entry(&row)?;
            found.insert(entry.offset, Arc::new(entry));
        }
        Ok(found)
    }

    /// The lengths of the payloads at `offsets`, in bytes, without reading them. Omits pruned entries.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub async fn payload_sizes(&self, offsets: &[Offset]) -> Result<HashMap<Offset, usize>, ReadError> {
        if offsets.is_empty() {
            return Ok(HashMap::new());
        }
        let wanted: Vec<u64> = offsets.iter().map(|offset| offset.0).collect();
        let query = sqlx::query(
            "SELECT entry.offset, octet_length(entry.payload) AS bytes FROM json_each(?) wanted
             CROSS JOIN entry ON entry.offset = wanted.value",
        )
        .bind(serde_json::json!(wanted).to_string());
        let rows = self.readers.fetch_all(query).await?;
        let sizes = rows.iter().map(|row| {
            let offset = Offset(row.get::<i64, _>("offset") as u64);
            (offset, row.get::<i64, _>("bytes") as usize)
        });
        Ok(sizes.collect())
    }

    /// The time of the oldest event or dead letter that is not in Kafka yet, in Unix milliseconds.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or the entry is damaged.
    pub async fn oldest_pending(&self) -> Result<Option<i64>, ReadError> {
        let state = self.state();
        let mut after = state.watermark;
        loop {
            let entries = self.read(after, PENDING_ENTRIES, PENDING_BYTES).await?;
            let is_pending = |entry: &&Arc<Entry>| match entry.kind {
                EntryKind::Event(kind) => entry.offset > state.in_kafka_upto(kind),
                EntryKind::DeadLetter => true,
                EntryKind::Audit(_) | EntryKind::Closing => false,
            };
            if let Some(entry) = entries.iter().find(is_pending) {
                return Ok(Some(entry.time));
            }
            match entries.last() {
                Some(last) => after = last.offset,
                None => return Ok(None),
            }
        }
    }
}

/// Reads a row of [`COLUMNS`].
pub(super) fn entry(row: &SqliteRow) -> Result<Entry, ReadError> {
    let offset = row.get::<i64, _>("offset") as u64;
    let damaged = |what| ReadError::DamagedEntry { offset, what };
    let kind = EntryKind::from_code(row.get("kind")).ok_or_else(|| damaged("kind"))?;
    let payload = match kind {
        EntryKind::Event(_) | EntryKind::Audit(_) | EntryKind::Closing => {
            Payload::Json(row.try_get::<&str, _>("payload")?.into())
        }
        EntryKind::DeadLetter => Payload::Bytes(row.try_get::<&[u8], _>("payload")?.into()),
    };
    Ok(Entry {
        offset: Offset(offset),
        kind,
        name: EventName {
            device: DeviceId::stored(row.get("store"), row.get("device")).map_err(|_| damaged("device"))?,
            epoch: row.get::<i64, _>("epoch") as u32,
            seq: row.get::<i64, _>("seq") as u32,
        },
        time: row.get("time"),
        key: row.get::<&str, _>("key").into(),
        payload,
        reason: row.get::<Option<&str>, _>("reason").map(Into::into),
    })
}
