//! The closings of days, and what a closing needs to know about the entries that it covers.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Row};

use super::read::{COLUMNS, entry};
use super::{Entry, EntryKind, Journal, Offset, ReadError, SeqRange, chain};
use comptoir_core::chain::ChainHash;
use comptoir_core::event::{DeviceId, GATEWAY_EPOCH};

/// A closing as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredClosing {
    /// Of its entry.
    pub offset: Offset,
    /// 1, 2, 3 …
    pub number: u64,
    /// `YYYY-MM-DD`
    pub date: String,
    /// The last entry that it counts.
    pub upto: Offset,
    /// Kafka's value: a JSON object.
    pub payload: Box<str>,
}

/// The numbers of a device and epoch that no closing has covered yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UncoveredNumbers {
    pub device: DeviceId,
    pub epoch: u32,
    /// The number after the last one that a closing covers.
    pub from: u32,
    /// The highest number in the journal.
    pub to: u32,
    /// Those of them that the journal does not have, or only as dead letters; ascending.
    pub missing: Vec<SeqRange>,
}

impl Journal {
    /// The newest closing.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub async fn newest_closing(&self) -> Result<Option<StoredClosing>, ReadError> {
        let query = sqlx::query("SELECT * FROM closing ORDER BY offset DESC LIMIT 1");
        Ok(self.readers.fetch_all(query).await?.first().map(closing))
    }

    /// The closing of a day, `YYYY-MM-DD`.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub async fn closing_of(&self, date: &str) -> Result<Option<StoredClosing>, ReadError> {
        let query = sqlx::query("SELECT * FROM closing WHERE date = ? ORDER BY offset LIMIT 1").bind(date);
        Ok(self.readers.fetch_all(query).await?.first().map(closing))
    }

    /// The hash of the entry at `offset` in the journal's chain. `None` if the entry is older than the chain, or pruned.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub async fn hash_at(&self, offset: Offset) -> Result<Option<ChainHash>, ReadError> {
        let query = sqlx::query("SELECT hash FROM entry WHERE offset = ?").bind(offset.0 as i64);
        let rows = self.readers.fetch_all(query).await?;
        Ok(rows.first().and_then(|row| chain::hash(row.get("hash"))))
    }

    /// The newest closing of a day up to and including `date`, `YYYY-MM-DD`.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub async fn newest_closing_upto(&self, date: &str) -> Result<Option<StoredClosing>, ReadError> {
        let query =
            sqlx::query("SELECT * FROM closing WHERE date <= ? ORDER BY offset DESC LIMIT 1").bind(date);
        Ok(self.readers.fetch_all(query).await?.first().map(closing))
    }

    /// The numbers of the events and own records after `after`, up to and including `upto`, that no closing covers: at most `most`
    /// devices and epochs, and `most` missing ranges. The second value is false if there are more.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub async fn uncovered_numbers(
        &self,
        after: Offset,
        upto: Offset,
        most: usize,
    ) -> Result<(Vec<UncoveredNumbers>, bool), ReadError> {
        let numbers = "SELECT entry.device, entry.epoch, entry.seq, coalesce(closed.upto, 0) AS covered
             FROM entry LEFT JOIN closed_number closed
                  ON closed.device = entry.device AND closed.epoch = entry.epoch
             WHERE entry.offset > ? AND entry.offset <= ? AND entry.seq > coalesce(closed.upto, 0)
                   AND entry.kind <> 3";
        let devices = format!(
            "SELECT device.store, device.device, n.epoch, n.device AS row, n.covered, max(n.seq) AS highest
             FROM ({numbers}) n JOIN device ON device.id = n.device
             GROUP BY n.device, n.epoch ORDER BY device.store, device.device, n.epoch LIMIT ?"
        );
        let gaps = format!(
            "SELECT device, epoch, before + 1 AS first, seq - 1 AS last FROM
                 (SELECT device, epoch, seq,
                         lag(seq, 1, covered) OVER (PARTITION BY device, epoch ORDER BY seq) AS before
                  FROM ({numbers}))
             WHERE seq > before + 1 LIMIT ?"
        );
        let bound = |sql: String| {
            sqlx::query(AssertSqlSafe(sql))
                .bind(after.0 as i64)
                .bind(upto.0 as i64)
                .bind(most as i64 + 1)
        };
        let mut devices = self.readers.fetch_all(bound(devices)).await?;
        let mut gaps = self.readers.fetch_all(bound(gaps)).await?;
        let is_complete = devices.len() <= most && gaps.len() <= most;
        devices.truncate(most);
        gaps.truncate(most);
        // Numbers that a copy of this journal may have given away.
        let own_floor = self.identity.borrow().own_floor;
        let mut missing: BTreeMap<(i64, i64), Vec<SeqRange>> = BTreeMap::new();
        for gap in &gaps {
            let [device, epoch, first, last] =
                ["device", "epoch", "first", "last"].map(|name| gap.get::<i64, _>(name));
            let first = match epoch == i64::from(GATEWAY_EPOCH) {
                true => first.max(i64::from(own_floor) + 1),
                false => first,
            };
            if first <= last {
                missing
                    .entry((device, epoch))
                    .or_default()
                    .push((first as u32, last as u32));
            }
        }
        let mut uncovered = Vec::with_capacity(devices.len());
        for row in &devices {
            let (epoch, covered) = (row.get::<i64, _>("epoch"), row.get::<i64, _>("covered"));
            let device = DeviceId::stored(row.get("store"), row.get("device"));
            uncovered.push(UncoveredNumbers {
                device: device.map_err(|_| ReadError::DamagedTable {
                    table: "devices",
                    what: "name",
                })?,
                epoch: epoch as u32,
                from: covered as u32 + 1,
                to: row.get::<i64, _>("highest") as u32,
                missing: missing.remove(&(row.get("row"), epoch)).unwrap_or_default(),
            });
        }
        Ok((uncovered, is_complete))
    }

    /// The payments among the entries after `after`, up to and including `upto`, that happened before `time` (Unix
    /// milliseconds): the first `most` in the order of the journal.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or an entry in it is damaged.
    pub async fn payments_before(
        &self,
        time: i64,
        after: Offset,
        upto: Offset,
        most: usize,
    ) -> Result<Vec<Arc<Entry>>, ReadError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM entry JOIN device ON device.id = entry.device
             WHERE entry.offset > ? AND entry.offset <= ? AND entry.kind = 1 AND entry.time < ?
             ORDER BY entry.offset LIMIT ?"
        );
        let query = sqlx::query(AssertSqlSafe(sql))
            .bind(after.0 as i64)
            .bind(upto.0 as i64)
            .bind(time)
            .bind(most as i64);
        let rows = self.readers.fetch_all(query).await?;
        rows.iter().map(|row| entry(row).map(Arc::new)).collect()
    }
}

pub(super) fn closing(row: &SqliteRow) -> StoredClosing {
    StoredClosing {
        offset: Offset(row.get::<i64, _>("offset") as u64),
        number: row.get::<i64, _>("number") as u64,
        date: row.get("date"),
        upto: Offset(row.get::<i64, _>("upto") as u64),
        payload: row.get::<&str, _>("payload").into(),
    }
}

/// Writes the rows of the closings among `entries`, in the transaction of the entries.
pub(super) async fn write(
    transaction: &mut SqliteConnection,
    entries: &[Arc<Entry>],
) -> Result<(), sqlx::Error> {
    let closings = entries.iter().filter(|entry| entry.kind == EntryKind::Closing);
    for closing in closings {
        sqlx::query(
            "INSERT INTO closing (offset, number, date, upto, payload)
             SELECT ?1, ?2 ->> 'number', ?2 ->> 'date', ?2 ->> 'upto', ?2",
        )
        .bind(closing.offset.0 as i64)
        .bind(closing.payload.json())
        .execute(&mut *transaction)
        .await?;
        sqlx::query(
            "INSERT OR REPLACE INTO closed_number (device, epoch, upto)
             SELECT device.id, value ->> 2, value ->> 3 FROM json_each(?)
             JOIN device ON device.store = value ->> 0 AND device.device = value ->> 1",
        )
        .bind(covered(closing.payload.json()).to_string())
        .execute(&mut *transaction)
        .await?;
    }
    Ok(())
}

/// The part of a closing that says which numbers it covers.
#[derive(Deserialize)]
struct Covering<'a> {
    #[serde(borrow)]
    store: Cow<'a, str>,
    #[serde(borrow)]
    numbers: Vec<Covered<'a>>,
}

#[derive(Deserialize)]
struct Covered<'a> {
    /// `STORE/TILL` for a till of another store.
    #[serde(borrow)]
    device: Cow<'a, str>,
    epoch: u32,
    to: u32,
}

/// `[[store, device, epoch, to], …]`; empty for a JSON that is not a closing.
fn covered(json: &str) -> Value {
    let Ok(closing) = serde_json::from_str::<Covering<'_>>(json) else {
        return json!([]);
    };
    let numbers = closing.numbers.iter().map(|covered| {
        let (store, device) = covered
            .device
            .split_once('/')
            .unwrap_or((&closing.store, &covered.device));
        json!([store, device, covered.epoch, covered.to])
    });
    numbers.collect()
}

#[cfg(test)]
mod tests;
