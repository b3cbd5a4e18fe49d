//! Sends the stored commands to Kafka: each at least once, and the next one of a shop only after the one before.
//!
//! The number of a delivery is in PostgreSQL before its record is sent. So a record that is sent again, because the reply or
//! the note of it was lost, has the same number, and the gateway recognises it.

use std::sync::Arc;
use std::time::Duration;

use comptoir_core::command::{CommandNumber, NUMBER_HEADER};
use comptoir_kafka::{COMMANDS, Deadline, Error, Publisher, Record, Settings};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Row as _};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::content::record_key;
use crate::database::within;
use crate::health::Health;
use crate::metrics::Metrics;

/// How often the outbox is read. Another replica may have accepted a command.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long Kafka may take for the records of a round. Longer than the producer's own timeout, so that every record has a
/// result.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Most records of a round, each of another shop.
const AT_ONCE: i64 = 200;
/// Key of the advisory lock: one replica at a time sends.
const LOCK: i64 = 0x636f_6d6d_616e_6473;

/// Sends commands.
pub struct Sender {
    pub pool: PgPool,
    pub kafka: Settings,
    pub metrics: Arc<Metrics>,
    pub health: Arc<Health>,
    /// Notified when a command was stored.
    pub stored: Arc<Notify>,
}

/// A record to send.
struct DueCommand {
    command: i64,
    store: String,
    /// The target as it is stored.
    target: String,
    value: String,
    number: CommandNumber,
    /// How often it has failed.
    attempts: i32,
}

impl Sender {
    /// Runs until the stop.
    pub async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.send_all(&stop)).await;
    }

    async fn send_all(&self, stop: &CancellationToken) {
        // The tables are made at the first start.
        while !self.health.is_prepared() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let (mut publisher, mut has_failed) = (None, false);
        loop {
            match self.round(&mut publisher, stop).await {
                // There may be a next one for the same shops.
                Ok(sent) if sent > 0 => {
                    has_failed = false;
                    continue;
                }
                Ok(_) => has_failed = false,
                Err(error) => {
                    if !has_failed {
                        warn!(%error, "the commands to send cannot be read or noted; the office tries again");
                    }
                    has_failed = true;
                }
            }
            // The result does not matter: either way, it looks.
            let _ = tokio::time::timeout(LOOK_EVERY, self.stored.notified()).await;
        }
    }

    /// Sends the oldest command of each shop. Returns how many Kafka has.
    async fn round(
        &self,
        publisher: &mut Option<Publisher>,
        stop: &CancellationToken,
    ) -> Result<usize, sqlx::Error> {
        // Held until the end of the round. If this replica dies, PostgreSQL releases it.
        let mut lock = within(self.pool.begin()).await?;
        let is_ours = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)").bind(LOCK);
        if !within(is_ours.fetch_one(&mut *lock)).await? {
            return Ok(0);
        }
        let due = within(self.number_due()).await?;
        if due.is_empty() {
            return Ok(0);
        }
        let (due, results) = self.publish(due, publisher, stop).await;
        let mut sent = 0;
        for (due, result) in due.iter().zip(results) {
            match result {
                Ok(()) => {
                    within(self.note_sent(due)).await?;
                    self.metrics.commands_sent.inc();
                    sent += 1;
                }
                Err(error) => {
                    self.metrics.commands_failed.inc();
                    match due.attempts {
                        0 => warn!(store = due.store, command = due.command, %error,
                            "a command could not be sent; the office tries again"),
                        attempts => debug!(store = due.store, command = due.command, attempts, %error,
                            "a command could not be sent"),
                    }
                    within(self.note_failed(due)).await?;
                }
            }
        }
        Ok(sent)
    }

    /// The oldest unsent delivery of each shop, with its number, which is stored when this returns.
    async fn number_due(&self) -> Result<Vec<DueCommand>, sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        let rows = sqlx::query(
            "SELECT stream.store, stream.epoch AS stream_epoch, stream.next, stream.attempts, delivery.command, \
             delivery.epoch, delivery.seq, command.target, command.value::text AS value, coalesce(\
             shop.commands_epoch = stream.epoch AND shop.commands_last >= stream.next, false) AS is_beyond \
             FROM command_stream AS stream CROSS JOIN LATERAL (SELECT * FROM command_delivery \
             WHERE store = stream.store AND sent IS NULL ORDER BY command LIMIT 1) AS delivery \
             JOIN command ON command.id = delivery.command LEFT JOIN shop ON shop.store = stream.store \
             WHERE stream.next_attempt <= now() ORDER BY stream.next_attempt LIMIT $1 FOR UPDATE OF stream",
        )
        .bind(AT_ONCE)
        .fetch_all(&mut *transaction)
        .await?;
        let mut due = Vec::new();
        for row in &rows {
            due.push(number(&mut transaction, row).await?);
        }
        transaction.commit().await?;
        Ok(due)
    }

    /// Writes the records to Kafka. Returns them with a result for each.
    async fn publish(
        &self,
        due: Vec<DueCommand>,
        publisher: &mut Option<Publisher>,
        stop: &CancellationToken,
    ) -> (Vec<DueCommand>, Vec<Result<(), Error>>) {
        let (settings, stop, kept) = (self.kafka.clone(), stop.clone(), publisher.take());
        let send = move || {
            let publisher = match kept.map_or_else(|| Publisher::idempotent(&settings), Ok) {
                Ok(publisher) => publisher,
                Err(error) => {
                    let results = due.iter().map(|_| Err(error.clone())).collect();
                    return (due, results, None);
                }
            };
            let results = publish_with(&publisher, &settings, &due, &stop);
            // Its late replies would be taken for those to other records.
            let is_sound = results.iter().all(Result::is_ok);
            (due, results, is_sound.then_some(publisher))
        };
        match tokio::task::spawn_blocking(send).await {
            Ok((due, results, kept)) => {
                *publisher = kept;
                (due, results)
            }
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    async fn note_sent(&self, due: &DueCommand) -> Result<(), sqlx::Error> {
        sqlx::query(
            "WITH noted AS (UPDATE command_delivery SET sent = now() WHERE command = $1 AND store = $2) \
             UPDATE command_stream SET attempts = 0, next_attempt = now() WHERE store = $2",
        )
        .bind(due.command)
        .bind(&due.store)
        .execute(&self.pool)
        .await
        .map(drop)
    }

    /// The next attempt is in 2 s, 4 s, 8 s … five minutes.
    async fn note_failed(&self, due: &DueCommand) -> Result<(), sqlx::Error> {
        sqlx::query(
            "UPDATE command_stream SET attempts = attempts + 1, \
             next_attempt = now() + least(2 * 2 ^ least(attempts, 10), 300) * interval '1 second' WHERE store = $1",
        )
        .bind(&due.store)
        .execute(&self.pool)
        .await
        .map(drop)
    }
}

/// Gives a delivery its number, unless it has one from an earlier attempt.
async fn number(connection: &mut PgConnection, row: &PgRow) -> Result<DueCommand, sqlx::Error> {
    let (command, store): (i64, String) = (row.try_get("command")?, row.try_get("store")?);
    let known: Option<(i64, i64)> = row
        .try_get::<Option<i64>, _>("epoch")?
        .zip(row.try_get::<Option<i64>, _>("seq")?);
    let number = match known {
        Some((epoch, seq)) => (epoch, seq),
        None => {
            let (epoch, next): (i64, i64) = (row.try_get("stream_epoch")?, row.try_get("next")?);
            // Whether the gateway's state has a number that was not given yet.
            let number = match row.try_get("is_beyond")? {
                false => (epoch, next),
                true => {
                    error!(
                        store,
                        "the gateway has handled commands that this database does not have: it is an old copy, or somebody \
                         else has sent them; the numbers of this shop begin anew"
                    );
                    (new_epoch(connection).await?, 1)
                }
            };
            sqlx::query(
                "WITH numbered AS (UPDATE command_delivery SET epoch = $3, seq = $4 WHERE command = $1 AND store = $2) \
                 UPDATE command_stream SET epoch = $3, next = $4 + 1 WHERE store = $2",
            )
            .bind(command)
            .bind(&store)
            .bind(number.0)
            .bind(number.1)
            .execute(connection)
            .await?;
            number
        }
    };
    let narrow = |number: i64| u32::try_from(number).map_err(|error| sqlx::Error::Decode(error.into()));
    Ok(DueCommand {
        command,
        target: row.try_get("target")?,
        value: row.try_get("value")?,
        number: CommandNumber {
            epoch: narrow(number.0)?,
            seq: narrow(number.1)?,
        },
        attempts: row.try_get("attempts")?,
        store,
    })
}

async fn new_epoch(connection: &mut PgConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT 1 + floor(random() * 4294967295)::bigint")
        .fetch_one(connection)
        .await
}

fn publish_with(
    publisher: &Publisher,
    settings: &Settings,
    due: &[DueCommand],
    stop: &CancellationToken,
) -> Vec<Result<(), Error>> {
    let texts: Vec<(String, String)> = due
        .iter()
        .map(|due| {
            let topic = settings.topic(&format!("{COMMANDS}.{}", due.store));
            (topic, due.number.to_string())
        })
        .collect();
    let headers: Vec<[(&str, &[u8]); 1]> = texts
        .iter()
        .map(|(_, number)| [(NUMBER_HEADER, number.as_bytes())])
        .collect();
    let records = due.iter().zip(&texts).zip(&headers);
    let records: Vec<Record<'_>> = records
        .map(|((due, (topic, _)), headers)| Record {
            topic,
            partition: None,
            key: record_key(&due.target, &due.store).as_bytes(),
            payload: due.value.as_bytes(),
            headers,
            id: 0,
        })
        .collect();
    publisher.publish_all(&records, &Deadline::new(TIMEOUT, stop))
}
