//! The transaction of a group commit.

use std::sync::{Arc, LazyLock};

use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;

use super::group::Group;
use super::stored::used_bytes;
use super::stream::Stream;
use super::{Payload, Relayed};
use crate::rows::Rows;
use crate::sqlite::is_failed_write;

static INSERT: LazyLock<Rows> = LazyLock::new(|| {
    let columns = "(offset, kind, device, epoch, seq, time, key, payload, reason)";
    Rows::new(&format!("INSERT INTO entry {columns} VALUES"), 9, "")
});

static REMEMBER: LazyLock<Rows> =
    LazyLock::new(|| Rows::new("INSERT INTO fingerprint (hash, offset) VALUES", 2, ""));

/// A transaction that failed.
pub(super) struct Failed {
    /// COMMIT failed at its end: all of it may be in the WAL, and be there after the next recovery.
    pub in_doubt: bool,
    pub error: sqlx::Error,
}

static NUMBERED: LazyLock<Rows> = LazyLock::new(|| {
    let columns = "(device, epoch, seq, digest, offset)";
    Rows::new(
        &format!("INSERT OR REPLACE INTO numbered {columns} VALUES"),
        5,
        "",
    )
});

/// The transaction. Returns the bytes in use after it.
pub(super) async fn write(
    connection: &mut SqliteConnection,
    group: &Group,
    report: Option<&Relayed>,
) -> Result<u64, Failed> {
    let failed = |error| Failed {
        in_doubt: false,
        error,
    };
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    let bytes = fill(&mut transaction, group, report).await.map_err(failed)?;
    transaction.commit().await.map_err(|error| Failed {
        in_doubt: !is_failed_write(&error),
        error,
    })?;
    Ok(bytes)
}

async fn fill(
    transaction: &mut SqliteConnection,
    group: &Group,
    report: Option<&Relayed>,
) -> Result<u64, sqlx::Error> {
    for (id, device) in &group.devices {
        sqlx::query(
            "INSERT INTO device (id, store, device, encoding) VALUES (?, ?, ?, ?)
             ON CONFLICT (id) DO UPDATE SET encoding = excluded.encoding",
        )
        .bind(device.row)
        .bind(id.store())
        .bind(id.device())
        .bind(device.encoding.code())
        .execute(&mut *transaction)
        .await?;
    }
    for (range, mut query) in INSERT.queries(group.entries.len()) {
        for (entry, device) in group.entries[range.clone()].iter().zip(&group.rows[range]) {
            query = query
                .bind(entry.offset.0 as i64)
                .bind(entry.kind.code())
                .bind(device)
                .bind(i64::from(entry.name.epoch))
                .bind(i64::from(entry.name.seq))
                .bind(entry.time)
                .bind(Arc::clone(&entry.key));
            query = match &entry.payload {
                Payload::Json(json) => query.bind(Arc::clone(json)),
                Payload::Bytes(bytes) => query.bind(&**bytes),
            };
            query = query.bind(entry.reason.as_deref());
        }
        query.execute(&mut *transaction).await?;
    }
    let streams: Vec<_> = group
        .streams
        .iter()
        .map(|((device, epoch), stream)| {
            let Stream {
                stored,
                elsewhere,
                in_kafka,
                reused,
                ..
            } = stream;
            let ahead = serde_json::json!(stream.ahead()).to_string();
            let gone = serde_json::json!(stream.gone()).to_string();
            let lost = serde_json::json!(stream.lost()).to_string();
            let upto = stream.upto();
            serde_json::json!([
                device, epoch, upto, ahead, stored, elsewhere, in_kafka, gone, lost, reused
            ])
        })
        .collect();
    if !streams.is_empty() {
        sqlx::query(
            "INSERT OR REPLACE INTO stream
             (device, epoch, upto, ahead, stored, elsewhere, in_kafka, gone, lost, reused)
             SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6,
                    value ->> 7, value ->> 8, value ->> 9
             FROM json_each(?)",
        )
        .bind(serde_json::Value::from(streams).to_string())
        .execute(&mut *transaction)
        .await?;
    }
    let mut new: Vec<_> = group.fingerprints.iter().collect();
    new.retain(|(_, offset)| **offset > group.after);
    for (range, mut query) in REMEMBER.queries(new.len()) {
        for (hash, offset) in &new[range] {
            query = query.bind(hash.to_vec()).bind(offset.0 as i64);
        }
        query.execute(&mut *transaction).await?;
    }
    let mut numbered: Vec<_> = group.numbered.iter().collect();
    numbered.sort_unstable_by_key(|(number, _)| **number);
    for (range, mut query) in NUMBERED.queries(numbered.len()) {
        for (((device, epoch), seq), (digest, offset)) in &numbered[range] {
            query = query
                .bind(device)
                .bind(i64::from(*epoch))
                .bind(i64::from(*seq))
                .bind(digest)
                .bind(offset.0 as i64);
        }
        query.execute(&mut *transaction).await?;
    }
    if let Some(report) = report {
        sqlx::query("INSERT OR REPLACE INTO watermark (id, offset, read_from) VALUES (1, ?, ?)")
            .bind(report.upto.0 as i64)
            .bind(report.read_from)
            .execute(&mut *transaction)
            .await?;
    }
    used_bytes(transaction).await
}
