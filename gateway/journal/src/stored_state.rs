//! The state stored in the journal's file: its identity, its fill level, its devices and streams.

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Connection, Row};

use super::pending::Pending;
use super::state::Parent;
use super::stream::Stream;
use super::streams::{Device, StreamKey, StreamTable};
use super::{Encoding, Identity, Offset, Signing, State, chain, schema};
use comptoir_core::chain::ChainHash;
use comptoir_core::event::DeviceId;

/// How many of the gateway's own numbers a branch skips, because its parent may still assign them: far more than a
/// gateway assigns between a copy and the end of the original.
const OWN_NUMBERS_APART: u32 = 1 << 24;

/// The journal's state according to the file.
pub(super) struct StoredState {
    pub state: State,
    pub read_from: i64,
    pub streams: StreamTable,
    /// The hash of the last entry.
    pub chain_head: ChainHash,
}

/// Reads the identity; assigns one to a new journal.
pub(super) async fn identity(connection: &mut SqliteConnection) -> Result<Identity, sqlx::Error> {
    sqlx::query("INSERT OR IGNORE INTO journal (id, uuid, created) VALUES (1, ?, ?)")
        .bind(uuid::Uuid::new_v4().to_string())
        .bind(jiff::Timestamp::now().as_millisecond())
        .execute(&mut *connection)
        .await?;
    let row = sqlx::query("SELECT uuid, parent, parent_upto, own_floor FROM journal")
        .fetch_one(connection)
        .await?;
    let parent: Option<String> = row.get("parent");
    Ok(Identity {
        uuid: row.get("uuid"),
        parent: parent.map(|uuid| Parent {
            uuid,
            upto: Offset(row.get::<i64, _>("parent_upto") as u64),
        }),
        own_floor: row.get::<i64, _>("own_floor") as u32,
    })
}

/// Which records in Kafka may lack a valid signature.
pub(super) async fn signing(connection: &mut SqliteConnection) -> Result<Signing, sqlx::Error> {
    let row = sqlx::query(
        "SELECT secret, unsigned_upto, coalesce(signed_since, created) AS since,
                coalesce((SELECT unsigned FROM watermark), 1) AS unsigned
         FROM journal",
    )
    .fetch_one(connection)
    .await?;
    let unsigned_upto = Offset(row.get::<i64, _>("unsigned_upto") as u64);
    Ok(Signing {
        secret: row.get("secret"),
        unsigned_upto,
        since: row.get("since"),
        accepts_unsigned_watermark: unsigned_upto > Offset(0) && row.get::<i64, _>("unsigned") == 1,
    })
}

/// Records the secret that signs the journal's records from now on.
pub(super) async fn bind_secret(connection: &mut SqliteConnection, secret: &str) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE journal SET secret = ?")
        .bind(secret)
        .execute(connection)
        .await
        .map(|_| ())
}

/// Like [`bind_secret`], replacing a lost secret: records that it signed count as unsigned from now on. `last` is the
/// journal's last entry.
pub(super) async fn replace_secret(
    connection: &mut SqliteConnection,
    secret: &str,
    last: Offset,
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    bind_secret(&mut transaction, secret).await?;
    sqlx::query("UPDATE journal SET unsigned_upto = ?, signed_since = ?")
        .bind(last.0 as i64)
        .bind(jiff::Timestamp::now().as_millisecond())
        .execute(&mut *transaction)
        .await?;
    sqlx::query("UPDATE watermark SET unsigned = 1")
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}

/// Gives the journal a new identity. `upto` is the last entry shared with its former identity, `own` the highest of the
/// gateway's own numbers.
pub(super) async fn branch_off(
    connection: &mut SqliteConnection,
    upto: Offset,
    own: u32,
) -> Result<Identity, sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::query(
        "UPDATE journal SET parent = uuid, parent_upto = ?, uuid = ?,
         own_floor = min((max(own_floor, ?) / ? + 1) * ?, ?)",
    )
    .bind(upto.0 as i64)
    .bind(uuid::Uuid::new_v4().to_string())
    .bind(i64::from(own))
    .bind(i64::from(OWN_NUMBERS_APART))
    .bind(i64::from(OWN_NUMBERS_APART))
    .bind(i64::from(u32::MAX))
    .execute(&mut *transaction)
    .await?;
    schema::mark(&mut transaction, schema::JOURNAL).await?;
    transaction.commit().await?;
    identity(connection).await
}

pub(super) async fn load(connection: &mut SqliteConnection) -> Result<StoredState, sqlx::Error> {
    let (watermark, payments, read_from): (i64, i64, i64) =
        sqlx::query_as("SELECT offset, payments, read_from FROM watermark")
            .fetch_optional(&mut *connection)
            .await?
            .unwrap_or((0, 0, 0));
    // Two statements: SQLite answers min or max alone from the edge of the b-tree, but not both at once.
    let first: Option<i64> = sqlx::query_scalar("SELECT min(offset) FROM entry")
        .fetch_one(&mut *connection)
        .await?;
    let last: Option<i64> = sqlx::query_scalar("SELECT max(offset) FROM entry")
        .fetch_one(&mut *connection)
        .await?;
    let dead_letters = count_dead_letters(connection).await?;
    let own_records = count_own_records(connection, Offset(0)).await?;
    let own_stored = count_own_records(connection, Offset(watermark as u64)).await?;
    // Only entries that are in Kafka are pruned. So if the last entries are gone, the watermark shows where they ended.
    let last = last.unwrap_or(0).max(watermark) as u64;
    let first = first.map_or(last + 1, |first| first as u64);
    let streams = load_streams(connection).await?;
    Ok(StoredState {
        state: State {
            first: Offset(first),
            last: Offset(last),
            watermark: Offset(watermark as u64),
            // The file may have lost its last entries. Other events will get their offsets.
            payments: Offset((payments.max(watermark) as u64).min(last)),
            dead_letters,
            own_records,
            own_stored,
            lost: streams.lost(),
            ..State::default()
        },
        read_from,
        streams,
        chain_head: chain::load(connection, Offset(last)).await?,
    })
}

async fn load_streams(connection: &mut SqliteConnection) -> Result<StreamTable, sqlx::Error> {
    let mut table = StreamTable::default();
    let (highest_row, forgotten): (Option<i64>, i64) =
        sqlx::query_as("SELECT max(id), coalesce(sum(forgotten), 0) FROM device")
            .fetch_one(&mut *connection)
            .await?;
    table.highest_row = highest_row.unwrap_or(0);
    table.forgotten_devices = forgotten as usize;
    let devices = sqlx::query("SELECT id, store, device, encoding FROM device WHERE forgotten = 0")
        .fetch_all(&mut *connection)
        .await?;
    for row in &devices {
        let id = DeviceId::stored(row.get("store"), row.get("device"))
            .map_err(|error| sqlx::Error::Decode(error.into()))?;
        let device = Device {
            row: row.get("id"),
            encoding: Encoding::from_code(row.get("encoding")),
        };
        table.insert_device(id, device);
    }
    let with_dormant: Vec<i64> =
        sqlx::query_scalar("SELECT DISTINCT device FROM stream INDEXED BY stream_dormant WHERE dormant = 1")
            .fetch_all(&mut *connection)
            .await?;
    table.with_dormant = with_dormant.into_iter().collect();
    if !table.with_dormant.is_empty() {
        let own: Option<i64> =
            sqlx::query_scalar("SELECT max(upto) FROM stream WHERE epoch = 0 AND dormant = 1")
                .fetch_one(&mut *connection)
                .await?;
        table.dormant_own = own.unwrap_or(0) as u32;
    }
    let sql = format!("SELECT device, epoch, {STREAM_COLUMNS} FROM stream WHERE dormant = 0");
    let streams = sqlx::query(AssertSqlSafe(sql)).fetch_all(connection).await?;
    for row in &streams {
        let key = StreamKey {
            device: row.get("device"),
            epoch: row.get::<i64, _>("epoch") as u32,
        };
        table.insert_stream(key, Stream::from_row(row)?);
    }
    Ok(table)
}

/// The columns that [`Stream::from_row`] reads.
pub(super) const STREAM_COLUMNS: &str = "upto, ahead, stored, elsewhere, in_kafka, gone, lost, reused,
     pending_bytes, pending_dead_letters, pending_dead_letter_bytes, pending_failed_sign_in_bytes";

impl Stream {
    /// Reads a row of the table `stream`, without its key.
    pub(super) fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let ranges =
            |column| serde_json::from_str(row.get(column)).map_err(|error| sqlx::Error::Decode(error.into()));
        let number = |column| row.get::<i64, _>(column) as u64;
        let upto = row.get::<i64, _>("upto") as u32;
        let mut stream = Stream::restore(upto, ranges("ahead")?, ranges("gone")?, ranges("lost")?);
        stream.stored = number("stored");
        stream.elsewhere = number("elsewhere");
        stream.in_kafka = number("in_kafka");
        stream.reused = number("reused");
        stream.pending = Pending {
            bytes: number("pending_bytes"),
            dead_letters: number("pending_dead_letters"),
            dead_letter_bytes: number("pending_dead_letter_bytes"),
            failed_sign_in_bytes: number("pending_failed_sign_in_bytes"),
        };
        Ok(stream)
    }
}

pub(super) async fn count_dead_letters(connection: &mut SqliteConnection) -> Result<u64, sqlx::Error> {
    let count: i64 =
        sqlx::query_scalar("SELECT count(*) FROM entry INDEXED BY entry_dead_letter WHERE kind = 3")
            .fetch_one(connection)
            .await?;
    Ok(count as u64)
}

/// The number of the gateway's own records after `after`: entries of the audit log, and closings.
pub(super) async fn count_own_records(
    connection: &mut SqliteConnection,
    after: Offset,
) -> Result<u64, sqlx::Error> {
    let count: i64 = sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM entry INDEXED BY entry_audit WHERE kind IN (4, 5) AND offset > ?1)
              + (SELECT count(*) FROM closing JOIN entry USING (offset) WHERE offset > ?1)",
    )
    .bind(after.0 as i64)
    .fetch_one(connection)
    .await?;
    Ok(count as u64)
}

/// Bytes of the pages in use. Free pages do not count, because SQLite reuses them before the file grows.
pub(super) async fn used_bytes(connection: &mut SqliteConnection) -> Result<u64, sqlx::Error> {
    let bytes: i64 = sqlx::query_scalar(
        "SELECT (pages.page_count - free.freelist_count) * size.page_size
         FROM pragma_page_count pages, pragma_freelist_count free, pragma_page_size size",
    )
    .fetch_one(connection)
    .await?;
    Ok(bytes as u64)
}
