//! Dormant streams and forgotten devices: they are only in the file, so they take no room among the live ones.
//!
//! A stream that has stored events keeps its settled numbers forever, because an event that is sent again must not be
//! stored twice. But most devices use only their latest epoch. The others become dormant, and are read again when an
//! event of theirs arrives. The same applies to devices forgotten with `gateway forget`.

use std::collections::HashSet;

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection as _, Row as _};

use super::ack_snapshot::AckSnapshot;
use super::stored_state::STREAM_COLUMNS;
use super::stream::Stream;
use super::streams::{Device, StreamKey, StreamTable};
use super::{AppendError, Encoding, Numbering, Submission, Writer};
use comptoir_core::event::{DeviceId, GATEWAY_EPOCH};

/// The result of [`Journal::forget`](super::Journal::forget).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Epochs that had stored nothing and were removed.
    pub removed: u64,
    /// Epochs whose settled numbers are now only in the file.
    pub dormant: u64,
    /// Epochs left unchanged, because some of their events are not in Kafka yet.
    pub pending: u64,
}

/// Loads the forgotten devices and dormant streams that the batches need.
pub(super) async fn revive(
    connection: &mut SqliteConnection,
    table: &mut StreamTable,
    batches: &[Vec<Submission>],
) -> Result<(), sqlx::Error> {
    table.returning.clear();
    if table.forgotten_devices > 0 {
        let unknown = batches.iter().flatten().map(|submission| &submission.device);
        let unknown: HashSet<&DeviceId> = unknown.filter(|id| !table.devices.contains_key(*id)).collect();
        let found = forgotten(connection, unknown.into_iter()).await?;
        table.returning.extend(found);
    }
    if table.with_dormant.is_empty() {
        return Ok(());
    }
    let mut wanted = HashSet::new();
    for submission in batches.iter().flatten() {
        let id = &submission.device;
        let Some(device) = table.devices.get(id).or_else(|| table.returning.get(id)) else {
            continue;
        };
        if !table.with_dormant.contains(&device.row) {
            continue;
        }
        // An event under a reused number gets one of the gateway's own numbers.
        let epochs = match submission.numbering {
            Numbering::Till { epoch, .. } => [epoch, GATEWAY_EPOCH],
            Numbering::Gateway { .. } => [GATEWAY_EPOCH; 2],
        };
        wanted.extend(epochs.map(|epoch| StreamKey {
            device: device.row,
            epoch,
        }));
    }
    wanted.retain(|key| !table.streams.contains_key(key));
    for (key, stream) in dormant(connection, wanted.into_iter()).await? {
        table.insert_stream(key, stream);
    }
    Ok(())
}

/// Loads the dormant streams that the ack file lists, so that their numbers do not count as lost.
pub(super) async fn revive_acked(
    connection: &mut SqliteConnection,
    table: &mut StreamTable,
    acks: &AckSnapshot,
) -> Result<(), sqlx::Error> {
    let ids: Vec<(DeviceId, u32)> = acks
        .streams
        .iter()
        .filter_map(|stream| Some((stream.device.parse().ok()?, stream.epoch)))
        .collect();
    if table.forgotten_devices > 0 {
        let unknown = ids.iter().map(|(id, _)| id);
        let unknown: HashSet<&DeviceId> = unknown.filter(|id| !table.devices.contains_key(*id)).collect();
        for (id, device) in forgotten(connection, unknown.into_iter()).await? {
            table.insert_device(id, device);
        }
    }
    let keys = ids.iter().filter_map(|(id, epoch)| {
        let key = StreamKey {
            device: table.devices.get(id)?.row,
            epoch: *epoch,
        };
        (!table.streams.contains_key(&key)).then_some(key)
    });
    let keys: Vec<StreamKey> = keys.collect();
    for (key, stream) in dormant(connection, keys.into_iter()).await? {
        table.insert_stream(key, stream);
    }
    Ok(())
}

async fn forgotten(
    connection: &mut SqliteConnection,
    ids: impl Iterator<Item = &DeviceId>,
) -> Result<Vec<(DeviceId, Device)>, sqlx::Error> {
    let wanted = ids.map(|id| serde_json::json!([id.store(), id.device()]));
    let wanted: Vec<_> = wanted.collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(
        "SELECT device.id, device.store, device.device, device.encoding FROM json_each(?) wanted
         CROSS JOIN device ON device.store = wanted.value ->> 0 AND device.device = wanted.value ->> 1
         WHERE device.forgotten = 1",
    )
    .bind(serde_json::Value::from(wanted).to_string())
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            let id = DeviceId::stored(row.get("store"), row.get("device"))
                .map_err(|error| sqlx::Error::Decode(error.into()))?;
            let device = Device {
                row: row.get("id"),
                encoding: Encoding::from_code(row.get("encoding")),
            };
            Ok((id, device))
        })
        .collect()
}

async fn dormant(
    connection: &mut SqliteConnection,
    keys: impl Iterator<Item = StreamKey>,
) -> Result<Vec<(StreamKey, Stream)>, sqlx::Error> {
    let wanted: Vec<_> = keys
        .map(|key| serde_json::json!([key.device, key.epoch]))
        .collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT stream.device, stream.epoch, {STREAM_COLUMNS} FROM json_each(?) wanted
         CROSS JOIN stream ON stream.device = wanted.value ->> 0 AND stream.epoch = wanted.value ->> 1
         WHERE stream.dormant = 1"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(serde_json::Value::from(wanted).to_string())
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            let key = StreamKey {
                device: row.get("device"),
                epoch: row.get::<i64, _>("epoch") as u32,
            };
            Ok((key, Stream::from_row(row)?))
        })
        .collect()
}

impl Writer {
    /// Frees a device's room in the journal: see [`Journal::forget`](super::Journal::forget).
    pub(super) async fn forget(&mut self, id: &DeviceId) -> Result<Option<Forgotten>, AppendError> {
        let Some(device) = self.streams.devices.get(id).copied() else {
            self.streams.refusals.forget(id);
            return self.was_forgotten(id).await;
        };
        if let Some(outage) = &self.outage {
            return Err(AppendError::Storage(std::sync::Arc::clone(&outage.error)));
        }
        let keys = self.streams.streams_of(device.row);
        let stream = |key: &StreamKey| &self.streams.streams[key];
        let (empty, used): (Vec<_>, Vec<_>) = keys
            .into_iter()
            .partition(|key| stream(key).stored == 0 && stream(key).lost().is_empty());
        let (pending, idle): (Vec<_>, Vec<_>) =
            used.into_iter().partition(|key| stream(key).pending.bytes > 0);
        let forgotten = Forgotten {
            removed: empty.len() as u64,
            dormant: idle.len() as u64,
            pending: pending.len() as u64,
        };
        let is_gone = pending.is_empty();
        let written = match self.connection.get().await {
            Ok(connection) => write(connection, device.row, &empty, &idle, is_gone).await,
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            return Err(AppendError::Storage(self.begin_outage(error).await));
        }
        for key in empty {
            self.streams.discard(key);
        }
        for key in idle {
            self.streams.set_dormant(key);
        }
        self.streams.reorder.forget(device.row);
        self.streams.reset_ration(device.row);
        self.streams.refusals.forget(id);
        if is_gone {
            self.streams.set_forgotten(id);
        }
        Ok(Some(forgotten))
    }

    /// The result for a device that is already forgotten: nothing to do. `None` if the journal does not know the
    /// device.
    async fn was_forgotten(&mut self, id: &DeviceId) -> Result<Option<Forgotten>, AppendError> {
        let found = match self.connection.get().await {
            Ok(connection) => forgotten(connection, std::iter::once(id)).await,
            Err(error) => Err(error),
        };
        match found {
            Ok(found) => Ok((!found.is_empty()).then(Forgotten::default)),
            Err(error) => Err(AppendError::Storage(self.begin_outage(error).await)),
        }
    }
}

async fn write(
    connection: &mut SqliteConnection,
    device: i64,
    empty: &[StreamKey],
    idle: &[StreamKey],
    is_gone: bool,
) -> Result<(), sqlx::Error> {
    let epochs = |keys: &[StreamKey]| {
        let epochs = keys.iter().map(|key| serde_json::Value::from(key.epoch));
        serde_json::Value::from_iter(epochs).to_string()
    };
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    for (statement, keys) in [
        (
            "DELETE FROM stream WHERE device = ? AND epoch IN (SELECT value FROM json_each(?))",
            empty,
        ),
        (
            "UPDATE stream SET dormant = 1 WHERE device = ? AND epoch IN (SELECT value FROM json_each(?))",
            idle,
        ),
    ] {
        sqlx::query(statement)
            .bind(device)
            .bind(epochs(keys))
            .execute(&mut *transaction)
            .await?;
    }
    if is_gone {
        sqlx::query("UPDATE device SET forgotten = 1 WHERE id = ?")
            .bind(device)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await
}
