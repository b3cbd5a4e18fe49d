//! The transaction of a group commit.

use std::sync::{Arc, LazyLock};

use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;

use super::batch_statement::BatchStatement;
use super::group::Group;
use super::sqlite::is_failed_write;
use super::stored_state::used_bytes;
use super::{Payload, RelayReport, SeqRange, closings};

static INSERT_ENTRY: LazyLock<BatchStatement> = LazyLock::new(|| {
    let columns = "(offset, kind, device, epoch, seq, time, key, payload, reason, salt, hash)";
    BatchStatement::new(&format!("INSERT INTO entry {columns} VALUES"), 11, "")
});

static INSERT_FINGERPRINT: LazyLock<BatchStatement> =
    LazyLock::new(|| BatchStatement::new("INSERT INTO fingerprint (hash, offset) VALUES", 2, ""));

static PUT_DIGEST: LazyLock<BatchStatement> = LazyLock::new(|| {
    let columns = "(device, epoch, seq, digest, offset)";
    BatchStatement::new(
        &format!("INSERT OR REPLACE INTO numbered {columns} VALUES"),
        5,
        "",
    )
});

/// Why a transaction failed.
pub(super) struct CommitError {
    /// COMMIT itself failed: the whole transaction may be in the WAL and reappear after the next recovery.
    pub is_in_doubt: bool,
    pub error: sqlx::Error,
}

impl From<sqlx::Error> for CommitError {
    /// An error before COMMIT.
    fn from(error: sqlx::Error) -> Self {
        Self {
            is_in_doubt: false,
            error,
        }
    }
}

/// Writes and commits the group. Returns the bytes in use afterwards.
pub(super) async fn write(
    connection: &mut SqliteConnection,
    group: &Group,
    report: Option<&RelayReport>,
) -> Result<u64, CommitError> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    write_devices(&mut transaction, group).await?;
    write_entries(&mut transaction, group).await?;
    closings::write(&mut transaction, &group.entries).await?;
    write_streams(&mut transaction, group).await?;
    demote_streams(&mut transaction, group).await?;
    write_fingerprints(&mut transaction, group).await?;
    write_digests(&mut transaction, group).await?;
    if let Some(report) = report {
        write_watermark(&mut transaction, report).await?;
    }
    let bytes = used_bytes(&mut transaction).await?;
    transaction.commit().await.map_err(|error| CommitError {
        is_in_doubt: !is_failed_write(&error),
        error,
    })?;
    Ok(bytes)
}

async fn write_devices(transaction: &mut SqliteConnection, group: &Group) -> Result<(), sqlx::Error> {
    for (id, device) in &group.devices {
        sqlx::query(
            "INSERT INTO device (id, store, device, encoding) VALUES (?, ?, ?, ?)
             ON CONFLICT (id) DO UPDATE SET encoding = excluded.encoding, forgotten = 0",
        )
        .bind(device.row)
        .bind(id.store())
        .bind(id.device())
        .bind(device.encoding.code())
        .execute(&mut *transaction)
        .await?;
    }
    Ok(())
}

async fn write_entries(transaction: &mut SqliteConnection, group: &Group) -> Result<(), sqlx::Error> {
    for (range, mut query) in INSERT_ENTRY.queries(group.entries.len()) {
        let entries = group.entries[range.clone()].iter();
        for ((entry, device), link) in entries.zip(&group.rows[range.clone()]).zip(&group.links[range]) {
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
            query = query
                .bind(entry.reason.as_deref())
                .bind(link.salt.as_slice())
                .bind(link.hash.0.as_slice());
        }
        query.execute(&mut *transaction).await?;
    }
    Ok(())
}

async fn write_streams(transaction: &mut SqliteConnection, group: &Group) -> Result<(), sqlx::Error> {
    if group.streams.is_empty() {
        return Ok(());
    }
    let streams = group.streams.iter().map(|(key, stream)| {
        let ranges = |ranges: &[SeqRange]| serde_json::json!(ranges).to_string();
        serde_json::json!([
            key.device,
            key.epoch,
            stream.upto(),
            ranges(stream.ahead()),
            stream.stored,
            stream.elsewhere,
            stream.in_kafka,
            ranges(stream.gone()),
            ranges(stream.lost()),
            stream.reused,
            stream.pending.bytes,
            stream.pending.dead_letters,
            stream.pending.dead_letter_bytes,
            stream.pending.failed_sign_in_bytes,
        ])
    });
    sqlx::query(
        "INSERT OR REPLACE INTO stream
         (device, epoch, upto, ahead, stored, elsewhere, in_kafka, gone, lost, reused, pending_bytes,
          pending_dead_letters, pending_dead_letter_bytes, pending_failed_sign_in_bytes)
         SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6,
                value ->> 7, value ->> 8, value ->> 9, value ->> 10, value ->> 11, value ->> 12,
                value ->> 13
         FROM json_each(?)",
    )
    .bind(serde_json::Value::from_iter(streams).to_string())
    .execute(transaction)
    .await
    .map(|_| ())
}

async fn demote_streams(transaction: &mut SqliteConnection, group: &Group) -> Result<(), sqlx::Error> {
    if group.demoted.is_empty() {
        return Ok(());
    }
    let demoted = group.demoted.iter();
    let demoted = demoted.map(|key| serde_json::json!([key.device, key.epoch]));
    sqlx::query(
        "UPDATE stream SET dormant = 1 FROM json_each(?) demoted
         WHERE stream.device = demoted.value ->> 0 AND stream.epoch = demoted.value ->> 1",
    )
    .bind(serde_json::Value::from_iter(demoted).to_string())
    .execute(transaction)
    .await
    .map(|_| ())
}

async fn write_fingerprints(transaction: &mut SqliteConnection, group: &Group) -> Result<(), sqlx::Error> {
    let mut new: Vec<_> = group.fingerprints.iter().collect();
    new.retain(|(_, offset)| **offset > group.after);
    for (range, mut query) in INSERT_FINGERPRINT.queries(new.len()) {
        for (hash, offset) in &new[range] {
            query = query.bind(hash.to_vec()).bind(offset.0 as i64);
        }
        query.execute(&mut *transaction).await?;
    }
    Ok(())
}

async fn write_digests(transaction: &mut SqliteConnection, group: &Group) -> Result<(), sqlx::Error> {
    let mut digests: Vec<_> = group.digests.iter().collect();
    // In table order, so that each page is touched only once.
    digests.sort_unstable_by_key(|(key, _)| **key);
    for (range, mut query) in PUT_DIGEST.queries(digests.len()) {
        for (key, stored) in &digests[range] {
            query = query
                .bind(key.stream.device)
                .bind(i64::from(key.stream.epoch))
                .bind(i64::from(key.seq))
                .bind(stored.digest)
                .bind(stored.offset.0 as i64);
        }
        query.execute(&mut *transaction).await?;
    }
    Ok(())
}

async fn write_watermark(
    transaction: &mut SqliteConnection,
    report: &RelayReport,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT OR REPLACE INTO watermark (id, offset, payments, read_from, unsigned) VALUES (1, ?, ?, ?, 0)",
    )
    .bind(report.upto.0 as i64)
    .bind(report.payments.0 as i64)
    .bind(report.read_from)
    .execute(transaction)
    .await
    .map(|_| ())
}
