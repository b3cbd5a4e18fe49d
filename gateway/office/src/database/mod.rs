//! PostgreSQL: the tables, their months, and where reading continues.

mod maintenance;
mod write;

use std::str::FromStr as _;
use std::time::Duration;

use comptoir_core::Secret;
use comptoir_kafka::{LostRange, Position, PositionStore, TopicId, TopicPartition};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgPool, Row as _};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tracing::warn;

pub use maintenance::maintain;
pub use write::{Advance, WriteError, Written, write};

pub static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// One writes, the others answer requests.
const CONNECTIONS: u32 = 8;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Of one query.
const TIMEOUT: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(500);

/// Connects when it is first used.
///
/// # Errors
/// `url` is not an address of PostgreSQL.
pub fn pool(url: &Secret) -> Result<PgPool, sqlx::Error> {
    let url = url.reveal();
    if !["postgres://", "postgresql://"]
        .iter()
        .any(|scheme| url.starts_with(scheme))
    {
        return Err(sqlx::Error::Configuration("not an address of PostgreSQL".into()));
    }
    let options = PgConnectOptions::from_str(url)?.application_name("comptoir-office");
    Ok(PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(CONNECT_TIMEOUT)
        .connect_lazy_with(options))
}

/// The positions, for the member of the consumer group.
pub struct Positions {
    pub pool: PgPool,
    pub runtime: Handle,
    pub stop: CancellationToken,
}

impl PositionStore for Positions {
    fn load(&self, partitions: &[TopicPartition]) -> Option<Vec<Option<Position>>> {
        self.runtime.block_on(self.load_until_stopped(partitions))
    }
}

impl Positions {
    async fn load_until_stopped(&self, partitions: &[TopicPartition]) -> Option<Vec<Option<Position>>> {
        let mut is_logged = false;
        loop {
            let asked = tokio::time::timeout(TIMEOUT, positions(&self.pool, partitions));
            let result = tokio::select! {
                () = self.stop.cancelled() => return None,
                result = asked => result.unwrap_or(Err(sqlx::Error::PoolTimedOut)),
            };
            match result {
                Ok(positions) => return Some(positions),
                Err(error) if !is_logged => {
                    warn!(%error, "PostgreSQL does not say where to continue; the office tries again");
                    is_logged = true;
                }
                Err(_) => {}
            }
            tokio::select! {
                () = self.stop.cancelled() => return None,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }
}

async fn positions(
    pool: &PgPool,
    partitions: &[TopicPartition],
) -> Result<Vec<Option<Position>>, sqlx::Error> {
    let (topics, numbers): (Vec<&str>, Vec<i32>) = partitions
        .iter()
        .map(|(topic, partition)| (topic.as_str(), *partition))
        .unzip();
    let rows = sqlx::query(
        "SELECT next, topic_id FROM unnest($1::text[], $2::int[]) WITH ORDINALITY AS asked (topic, partition, place) \
         LEFT JOIN position USING (topic, partition) ORDER BY place",
    )
    .bind(topics)
    .bind(numbers)
    .fetch_all(pool)
    .await?;
    let read = |row: &sqlx::postgres::PgRow| {
        let next: Option<i64> = row.try_get("next")?;
        let topic_id: Option<Vec<u8>> = row.try_get("topic_id")?;
        let topic_id = topic_id.as_deref().and_then(TopicId::from_bytes);
        Ok(next.map(|next| Position { next, topic_id }))
    };
    rows.iter().map(read).collect()
}

/// Notes that everything that Kafka had at this time was read from these partitions.
///
/// # Errors
/// PostgreSQL does not reply.
pub async fn note_read(
    pool: &PgPool,
    partitions: &[TopicPartition],
    as_of: Timestamp,
) -> Result<(), sqlx::Error> {
    let (topics, numbers): (Vec<&str>, Vec<i32>) = partitions
        .iter()
        .map(|(topic, partition)| (topic.as_str(), *partition))
        .unzip();
    sqlx::query(
        "UPDATE position SET as_of = greatest(as_of, $3) WHERE (topic, partition) IN \
         (SELECT * FROM unnest($1::text[], $2::int[]))",
    )
    .bind(topics)
    .bind(numbers)
    .bind(as_of.to_sqlx())
    .execute(pool)
    .await?;
    Ok(())
}

/// Continues where Kafka has records again, and notes what is lost. Changes nothing if another replica has done it.
///
/// # Errors
/// PostgreSQL does not reply.
pub async fn skip_lost(pool: &PgPool, lost: &LostRange) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let (topic, partition) = &lost.partition;
    let moved =
        sqlx::query("UPDATE position SET next = $4 WHERE topic = $1 AND partition = $2 AND next = $3")
            .bind(topic)
            .bind(partition)
            .bind(lost.from)
            .bind(lost.to)
            .execute(&mut *transaction)
            .await?;
    if moved.rows_affected() == 1 {
        sqlx::query(
            "INSERT INTO lost_records (topic, partition, from_offset, to_offset) VALUES ($1, $2, $3, $4) \
             ON CONFLICT DO NOTHING",
        )
        .bind(topic)
        .bind(partition)
        .bind(lost.from)
        .bind(lost.to)
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await
}

/// Lets everything be read again from the beginning of the topics. Events that are there are recognised. A replica that runs
/// writes nothing of its next batch, and continues at the beginning.
///
/// # Errors
/// PostgreSQL does not reply.
pub async fn reread(pool: &PgPool) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin().await?;
    for table in ["DELETE FROM position", "DELETE FROM kept_apart"] {
        sqlx::query(table).execute(&mut *transaction).await?;
    }
    transaction.commit().await
}
