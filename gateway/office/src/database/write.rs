//! Writes one batch of records and the positions after it in one transaction.

mod sales;
mod shops;

use std::collections::BTreeMap;
use std::time::Duration;

use comptoir_kafka::{Position, TopicPartition};
use jiff::Timestamp;
use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx as _};
use sqlx::{PgConnection, PgPool};

use self::sales::{MAX_LOADED, fold_sales, insert_events, remove_expired};
use self::shops::{keep_states, lock_shops, note_sales};
use crate::record::{ApartRecord, CheckedRecord, Reason};

/// Timeout of one batch.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Most records that one transaction keeps apart; further ones are only counted. Anyone who may write to a topic can
/// send many.
const MAX_APART: usize = 100;

/// Why a batch was not written. None of it was.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Another replica has read this partition in the meantime.
    #[error("another replica has read {0:?} since")]
    Overtaken(TopicPartition),
    /// PostgreSQL rejects these values, and always will.
    #[error("PostgreSQL cannot store a record: {0}")]
    Unstorable(sqlx::Error),
    /// The sales that the records change do not fit into the memory for one transaction.
    #[error("the sales that the records change have more than {MAX_LOADED} bytes")]
    TooLarge,
    #[error("PostgreSQL has not replied for {} s", TIMEOUT.as_secs())]
    TimedOut,
    #[error(transparent)]
    Database(sqlx::Error),
}

impl From<sqlx::Error> for WriteError {
    fn from(error: sqlx::Error) -> Self {
        // The error classes that depend only on the values: data exception, integrity constraint violation, program
        // limit exceeded.
        const OF_VALUES: [&str; 3] = ["22", "23", "54"];
        let code = error.as_database_error().and_then(|error| error.code());
        match code {
            Some(code) if OF_VALUES.iter().any(|class| code.starts_with(class)) => Self::Unstorable(error),
            _ => Self::Database(error),
        }
    }
}

/// The changes made by a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WriteSummary {
    /// Number of new events.
    pub events: usize,
    /// Number of events that were already stored.
    pub repeated: usize,
    /// Number of events of a time whose sales the retention has deleted.
    pub expired: usize,
    pub states: usize,
    pub apart: BTreeMap<Reason, usize>,
}

/// The position of a partition before and after the batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advance {
    /// `None` if the partition was never read.
    pub from: Option<i64>,
    pub to: Position,
    /// When Kafka appended the last record.
    pub as_of: Timestamp,
}

/// Writes the records and advances the positions atomically. The records of a partition are in order.
///
/// # Errors
/// See [`WriteError`]. If PostgreSQL does not reply in time, everything may have been written.
pub async fn write(
    pool: &PgPool,
    records: &[CheckedRecord],
    positions: &BTreeMap<TopicPartition, Advance>,
) -> Result<WriteSummary, WriteError> {
    // A server that has vanished never replies, so a timeout is needed.
    let write = write_batch(pool, records, positions);
    tokio::time::timeout(TIMEOUT, write)
        .await
        .unwrap_or(Err(WriteError::TimedOut))
}

async fn write_batch(
    pool: &PgPool,
    records: &[CheckedRecord],
    positions: &BTreeMap<TopicPartition, Advance>,
) -> Result<WriteSummary, WriteError> {
    let mut transaction = pool.begin().await?;
    let connection = &mut *transaction;
    // First, so that a replica that was overtaken does no further work.
    for (partition, advance) in positions {
        advance_position(connection, partition, advance).await?;
    }
    let (mut events, mut states, mut apart) = (Vec::new(), Vec::new(), Vec::new());
    for record in records {
        match record {
            CheckedRecord::Event(event) => events.push(&**event),
            CheckedRecord::State(state) => states.push(state),
            CheckedRecord::Apart(record) => apart.push(record),
        }
    }
    let expired = remove_expired(connection, &mut events).await?;
    let fresh = insert_events(connection, &events).await?;
    let mut written = WriteSummary {
        events: fresh.len(),
        repeated: events.len() - fresh.len(),
        expired,
        states: states.len(),
        ..WriteSummary::default()
    };
    let changes = fold_sales(connection, &fresh).await?;
    let known = lock_shops(connection, &fresh, &states).await?;
    changes.store(connection).await?;
    note_sales(connection, &fresh).await?;
    keep_states(connection, states, known).await?;
    for record in &apart {
        *written.apart.entry(record.reason).or_default() += 1;
    }
    apart.truncate(MAX_APART);
    keep_apart(connection, &apart).await?;
    transaction.commit().await?;
    Ok(written)
}

async fn advance_position(
    connection: &mut PgConnection,
    (topic, partition): &TopicPartition,
    advance: &Advance,
) -> Result<(), WriteError> {
    let query = match advance.from {
        Some(_) => sqlx::query(
            "UPDATE position SET next = $3, topic_id = coalesce($5, topic_id), as_of = greatest(as_of, $6) \
             WHERE topic = $1 AND partition = $2 AND next = $4",
        ),
        None => sqlx::query(
            "INSERT INTO position (topic, partition, next, topic_id, as_of) SELECT $1, $2, $3, $5, $6 WHERE $4::bigint IS NULL \
             ON CONFLICT DO NOTHING",
        ),
    };
    let changed = query
        .bind(topic)
        .bind(partition)
        .bind(advance.to.next)
        .bind(advance.from)
        .bind(advance.to.topic_id.map(|id| id.to_bytes().to_vec()))
        .bind(advance.as_of.to_sqlx())
        .execute(connection)
        .await?;
    match changed.rows_affected() {
        1 => Ok(()),
        _ => Err(WriteError::Overtaken((topic.clone(), *partition))),
    }
}

async fn keep_apart(connection: &mut PgConnection, apart: &[&ApartRecord]) -> Result<(), sqlx::Error> {
    if apart.is_empty() {
        return Ok(());
    }
    let texts = |of: fn(&ApartRecord) -> &str| apart.iter().map(|record| of(record)).collect::<Vec<_>>();
    let bytes = |of: fn(&ApartRecord) -> &[u8]| apart.iter().map(|record| of(record)).collect::<Vec<_>>();
    let times: Vec<SqlTimestamp> = apart
        .iter()
        .map(|record| record.place.appended.to_sqlx())
        .collect();
    sqlx::query(
        "INSERT INTO kept_apart (topic, partition, record_offset, appended, reason, name, key, value) \
         SELECT * FROM unnest($1::text[], $2::int[], $3::bigint[], $4::timestamptz[], $5::text[], $6::text[], \
         $7::bytea[], $8::bytea[]) ON CONFLICT DO NOTHING",
    )
    .bind(texts(|record| &record.place.topic))
    .bind(apart.iter().map(|record| record.place.partition).collect::<Vec<_>>())
    .bind(apart.iter().map(|record| record.place.offset).collect::<Vec<_>>())
    .bind(times)
    .bind(texts(|record| record.reason.as_str()))
    .bind(texts(|record| &record.name))
    .bind(bytes(|record| &record.key))
    .bind(bytes(|record| &record.value))
    .execute(&mut *connection)
    .await?;
    Ok(())
}
