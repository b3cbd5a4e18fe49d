//! Reports on each device: its encoding, its acks and its numbers.

use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row};

use super::stored_state::STREAM_COLUMNS;
use super::stream::{SeqRange, Stream};
use super::{DeviceAck, Encoding, Journal, ReadError};
use comptoir_core::event::DeviceId;

/// The numbers of one epoch of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamReport {
    pub epoch: u32,
    /// The highest number received.
    pub received: u32,
    pub stored: u64,
    pub in_kafka: u64,
    /// Numbers settled without this journal: the till reports that it no longer holds them.
    pub elsewhere: u64,
    /// Events that arrived under another sale's number and were stored under a new one.
    pub reused: u64,
    /// Numbers up to `received` whose events are not here, as inclusive ranges.
    pub missing: Vec<SeqRange>,
    /// The part of `missing` that was acked and then lost with a part of the journal's files.
    pub lost: Vec<SeqRange>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceReport {
    pub device: DeviceId,
    /// Bytes of the device's events that are not in Kafka yet.
    pub pending_bytes: u64,
    /// The latest epochs, newest last.
    pub streams: Vec<StreamReport>,
}

impl Journal {
    /// The encodings of at most `limit` devices of a store, sorted by name.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub async fn encodings(&self, store: &str, limit: usize) -> Result<Vec<(DeviceId, Encoding)>, ReadError> {
        let query =
            sqlx::query("SELECT store, device, encoding FROM device WHERE store = ? AND forgotten = 0 AND device <> '_gateway' ORDER BY device LIMIT ?")
                .bind(store)
                .bind(limit as i64);
        let rows = self.readers.fetch_all(query).await?;
        rows.iter()
            .map(|row| Ok((device(row)?, Encoding::from_code(row.get("encoding")))))
            .collect()
    }

    /// The encoding of a device, if it has ever sent an event.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub async fn encoding(&self, device: &DeviceId) -> Result<Option<Encoding>, ReadError> {
        let query = sqlx::query("SELECT encoding FROM device WHERE store = ? AND device = ?")
            .bind(device.store())
            .bind(device.device());
        let rows = self.readers.fetch_all(query).await?;
        Ok(rows.first().map(|row| Encoding::from_code(row.get("encoding"))))
    }

    /// The current acks of at most `limit` epochs of a device. The gateway's own epoch comes first.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub async fn acks(&self, device: &DeviceId, limit: u32) -> Result<Vec<DeviceAck>, ReadError> {
        let query = sqlx::query(
            "SELECT device.encoding, epoch, upto FROM device JOIN stream ON stream.device = device.id
             WHERE store = ? AND device.device = ? AND upto > 0 AND dormant = 0 ORDER BY epoch LIMIT ?",
        )
        .bind(device.store())
        .bind(device.device())
        .bind(limit);
        let rows = self.readers.fetch_all(query).await?;
        let acks = rows.iter().map(|row| DeviceAck {
            device: device.clone(),
            encoding: Encoding::from_code(row.get("encoding")),
            epoch: row.get::<i64, _>("epoch") as u32,
            seq: row.get::<i64, _>("upto") as u32,
        });
        Ok(acks.collect())
    }

    /// The numbers of a stream that were acked and then lost with a part of the journal's files, ascending.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub async fn lost_numbers(&self, device: &DeviceId, epoch: u32) -> Result<Vec<SeqRange>, ReadError> {
        let sql = format!(
            "SELECT {STREAM_COLUMNS} FROM device JOIN stream ON stream.device = device.id
             WHERE store = ? AND device.device = ? AND epoch = ?"
        );
        let query = sqlx::query(AssertSqlSafe(sql))
            .bind(device.store())
            .bind(device.device())
            .bind(i64::from(epoch));
        let rows = self.readers.fetch_all(query).await?;
        match rows.first() {
            Some(row) => Ok(stream(row)?.lost().to_vec()),
            None => Ok(Vec::new()),
        }
    }

    /// Reports on at most `limit` devices, sorted by name.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub async fn devices(&self, limit: u32) -> Result<Vec<DeviceReport>, ReadError> {
        let sql = format!(
            "SELECT store, device.device, epoch, {STREAM_COLUMNS}
             FROM (SELECT * FROM device WHERE forgotten = 0 AND device <> '_gateway' ORDER BY store, device LIMIT ?) device
             JOIN stream ON stream.device = device.id AND stream.dormant = 0
             ORDER BY store, device.device, epoch"
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(limit);
        let rows = self.readers.fetch_all(query).await?;
        let mut reports: Vec<DeviceReport> = Vec::new();
        for row in &rows {
            let device = device(row)?;
            let stream = stream(row)?;
            let report = StreamReport {
                epoch: row.get::<i64, _>("epoch") as u32,
                received: stream.highest(),
                stored: stream.stored,
                in_kafka: stream.in_kafka,
                elsewhere: stream.elsewhere,
                reused: stream.reused,
                missing: stream.missing(),
                lost: stream.lost().to_vec(),
            };
            match reports.last_mut() {
                Some(last) if last.device == device => {
                    last.pending_bytes += stream.pending.bytes;
                    last.streams.push(report);
                }
                _ => reports.push(DeviceReport {
                    device,
                    pending_bytes: stream.pending.bytes,
                    streams: vec![report],
                }),
            }
        }
        Ok(reports)
    }
}

fn stream(row: &SqliteRow) -> Result<Stream, ReadError> {
    Stream::from_row(row).map_err(|_| ReadError::DamagedTable {
        table: "streams",
        what: "ranges of numbers",
    })
}

fn device(row: &SqliteRow) -> Result<DeviceId, ReadError> {
    DeviceId::stored(row.get("store"), row.get("device")).map_err(|_| ReadError::DamagedTable {
        table: "devices",
        what: "names",
    })
}
