//! What the file says at the start.

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Row};

use super::group::{Device, Known};
use super::stream::Stream;
use super::{Encoding, Identity, Offset, State, schema};
use crate::event::DeviceId;

/// Numbers of the gateway's own that are left to a journal's copies: it is hardly ever given more of them between a copy
/// and its own end.
const ROOM: u32 = 1 << 24;

pub(super) async fn identity(connection: &mut SqliteConnection) -> Result<Identity, sqlx::Error> {
    sqlx::query("INSERT OR IGNORE INTO journal (id, uuid, created) VALUES (1, ?, ?)")
        .bind(uuid::Uuid::new_v4().to_string())
        .bind(jiff::Timestamp::now().as_millisecond())
        .execute(&mut *connection)
        .await?;
    let row = sqlx::query("SELECT uuid, parent, parent_upto, own_floor FROM journal")
        .fetch_one(connection)
        .await?;
    let parent: Option<String> = row.get(1);
    Ok(Identity {
        uuid: row.get(0),
        parent: parent.map(|uuid| (uuid, Offset(row.get::<i64, _>(2) as u64))),
        own_floor: row.get::<i64, _>(3) as u32,
    })
}

/// Makes this another journal, which up to and including `upto` is the one that it was. `own` is the highest of the
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
    .bind(i64::from(ROOM))
    .bind(i64::from(ROOM))
    .bind(i64::from(u32::MAX))
    .execute(&mut *transaction)
    .await?;
    schema::mark(&mut transaction, schema::JOURNAL).await?;
    transaction.commit().await?;
    identity(connection).await
}

/// Where the journal stands.
pub(super) struct Loaded {
    pub state: State,
    pub read_from: i64,
    pub known: Known,
}

pub(super) async fn load(connection: &mut SqliteConnection) -> Result<Loaded, sqlx::Error> {
    let (watermark, read_from): (i64, i64) = sqlx::query_as("SELECT offset, read_from FROM watermark")
        .fetch_optional(&mut *connection)
        .await?
        .unwrap_or((0, 0));
    // Two statements: SQLite answers min or max alone from the b-tree's edge, but not both at once.
    let first: Option<i64> = sqlx::query_scalar("SELECT min(offset) FROM entry")
        .fetch_one(&mut *connection)
        .await?;
    let last: Option<i64> = sqlx::query_scalar("SELECT max(offset) FROM entry")
        .fetch_one(&mut *connection)
        .await?;
    let dead_letters: i64 =
        sqlx::query_scalar("SELECT count(*) FROM entry INDEXED BY entry_dead_letter WHERE kind = 3")
            .fetch_one(&mut *connection)
            .await?;
    // Only what is in Kafka is pruned, so the watermark stands in for entries that are gone.
    let last = last.unwrap_or(0).max(watermark) as u64;
    let first = first.map_or(last + 1, |first| first as u64);
    let mut loaded = Loaded {
        state: State {
            first: Offset(first),
            last: Offset(last),
            watermark: Offset(watermark as u64),
            dead_letters: dead_letters as u64,
            ..State::default()
        },
        read_from,
        known: Known::default(),
    };
    for row in sqlx::query("SELECT id, store, device, encoding FROM device")
        .fetch_all(&mut *connection)
        .await?
    {
        let name =
            DeviceId::new(row.get(1), row.get(2)).map_err(|error| sqlx::Error::Decode(error.into()))?;
        let encoding = Encoding::from_code(row.get(3));
        let row = row.get(0);
        loaded.known.devices.insert(name, Device { row, encoding });
    }
    for row in sqlx::query(
        "SELECT device, epoch, upto, ahead, stored, elsewhere, in_kafka, gone, lost, reused FROM stream",
    )
    .fetch_all(connection)
    .await?
    {
        let ranges =
            |column| serde_json::from_str(row.get(column)).map_err(|error| sqlx::Error::Decode(error.into()));
        let upto = row.get::<i64, _>("upto") as u32;
        let mut stream = Stream::restore(upto, ranges("ahead")?, ranges("gone")?, ranges("lost")?);
        stream.stored = row.get::<i64, _>("stored") as u64;
        stream.elsewhere = row.get::<i64, _>("elsewhere") as u64;
        stream.in_kafka = row.get::<i64, _>("in_kafka") as u64;
        stream.reused = row.get::<i64, _>("reused") as u64;
        let epoch = row.get::<i64, _>("epoch") as u32;
        loaded.known.streams.insert((row.get("device"), epoch), stream);
    }
    loaded.state.lost = loaded.known.lost();
    Ok(loaded)
}

/// Bytes of the pages in use: what is free in the file will be used again before it grows.
pub(super) async fn used_bytes(connection: &mut SqliteConnection) -> Result<u64, sqlx::Error> {
    let bytes: i64 = sqlx::query_scalar(
        "SELECT (pages.page_count - free.freelist_count) * size.page_size
         FROM pragma_page_count pages, pragma_freelist_count free, pragma_page_size size",
    )
    .fetch_one(connection)
    .await?;
    Ok(bytes as u64)
}
