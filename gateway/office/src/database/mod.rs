//! PostgreSQL: the tables, their monthly partitions, and the positions in Kafka.

mod figures;
mod maintenance;
mod retention;
mod server;
mod write;

use std::io;
use std::str::FromStr as _;
use std::sync::LazyLock;
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

pub use figures::{QUARTER_SECONDS, quarter_of};
pub use maintenance::maintain;
pub use retention::expire;
pub use server::{ServerError, check_server};
pub use write::{Advance, WriteError, WriteSummary, write};

pub static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| comptoir_migrate::embedded!());

/// Connections for reading Kafka, alerts, commands and maintenance, so that requests cannot delay these.
const OWN_CONNECTIONS: u32 = 6;
/// Connections for requests.
const REQUEST_CONNECTIONS: u32 = 8;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Timeout of a request's statement. PostgreSQL ends the statement even if the client has gone away.
const STATEMENT_TIMEOUT: &str = "15s";
/// Timeout of one query.
const TIMEOUT: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(500);

/// The connections to PostgreSQL.
#[derive(Debug, Clone)]
pub struct Pools {
    /// For the office itself.
    pub own: PgPool,
    /// For requests. Their statements are limited in time.
    pub requests: PgPool,
}

/// Creates the pool, which connects on first use.
///
/// # Errors
/// `url` is not an address of PostgreSQL.
pub fn pools(url: &Secret) -> Result<Pools, sqlx::Error> {
    let url = url.reveal();
    if !["postgres://", "postgresql://"]
        .iter()
        .any(|scheme| url.starts_with(scheme))
    {
        return Err(sqlx::Error::Configuration("not an address of PostgreSQL".into()));
    }
    let options = PgConnectOptions::from_str(url)?.application_name("comptoir-office");
    let limited = options
        .clone()
        .options([("statement_timeout", STATEMENT_TIMEOUT)]);
    let pool = |connections, options| {
        PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(CONNECT_TIMEOUT)
            .connect_lazy_with(options)
    };
    Ok(Pools {
        own: pool(OWN_CONNECTIONS, options),
        requests: pool(REQUEST_CONNECTIONS, limited),
    })
}

/// Limits the time of an operation on PostgreSQL, because a server that has vanished never replies.
///
/// # Errors
/// The errors of `work`, and [`sqlx::Error::Io`] after the timeout.
pub async fn within<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    let silent = || io::Error::new(io::ErrorKind::TimedOut, "PostgreSQL has not replied for 15 s");
    let result = tokio::time::timeout(TIMEOUT, work).await;
    result.unwrap_or_else(|_| Err(sqlx::Error::Io(silent())))
}

/// The stored positions, for the member of the consumer group.
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
            let result = tokio::select! {
                () = self.stop.cancelled() => return None,
                result = within(positions(&self.pool, partitions)) => result,
            };
            match result {
                Ok(positions) => return Some(positions),
                Err(error) if !is_logged => {
                    warn!(%error, "the positions cannot be read from PostgreSQL; the office tries again");
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

/// Records that these partitions have been read up to everything that Kafka had at this time.
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
    let update = sqlx::query(
        "UPDATE position SET as_of = greatest(as_of, $3) WHERE (topic, partition) IN \
         (SELECT * FROM unnest($1::text[], $2::int[]))",
    )
    .bind(topics)
    .bind(numbers)
    .bind(as_of.to_sqlx())
    .execute(pool);
    within(update).await.map(drop)
}

/// Moves the position to where records can be read again, and records the lost range. Changes nothing if another
/// replica has already done it.
///
/// # Errors
/// PostgreSQL does not reply.
pub async fn skip_lost(pool: &PgPool, lost: &LostRange) -> Result<(), sqlx::Error> {
    within(skip_range(pool, lost)).await
}

async fn skip_range(pool: &PgPool, lost: &LostRange) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let (topic, partition) = &lost.partition;
    // A partition that was never read has no row.
    let moved = sqlx::query(
        "INSERT INTO position AS stored (topic, partition, next, as_of) VALUES ($1, $2, $4, to_timestamp(0)) \
         ON CONFLICT (topic, partition) DO UPDATE SET next = excluded.next WHERE stored.next = $3",
    )
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

/// Removes all positions, so that the topics are read again from the beginning. Events that are already stored are
/// recognised. A running replica fails to write its next batch, and continues at the beginning.
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
