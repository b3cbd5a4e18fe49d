//! Kafka → PostgreSQL: reads batches as a member of the consumer group, and writes each together with the positions
//! after it.
//!
//! There is one rule for every failure: drop the batch, and continue at the positions stored in PostgreSQL.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::{Duration, Instant};

use comptoir_core::sale;
use comptoir_kafka::{GATEWAYS, GroupConsumer, LostRange, Position, Settings, TopicPartition};
use prometheus::IntCounter;
use sqlx::PgPool;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::database::{self, Advance, Positions, WriteError};
use crate::health::Health;
use crate::metrics::Metrics;
use crate::record::{CheckedRecord, Checker, Place, topics};

/// Most records and bytes in a batch.
const MAX_RECORDS: usize = 2_000;
const MAX_BYTES: usize = 4 << 20;
/// How long a batch is gathered after its first record. Short, because pages show it only afterwards.
const GATHER: Duration = Duration::from_millis(20);
const POLL: Duration = Duration::from_millis(500);
/// How often the office checks whether a topic was recreated, whether records are unreadable, and whether everything
/// has been read.
const CHECK_EVERY: Duration = Duration::from_secs(15);
/// Why records were not read.
const DELETED: &str = "Kafka no longer had them";
const UNDECODABLE: &str = "their batch cannot be decoded";
/// Pause after a failure.
const PAUSE: Duration = Duration::from_millis(500);

/// Reads Kafka and writes PostgreSQL. [`Ingest::run`] blocks and must run on its own thread.
pub struct Ingest {
    pub kafka: Settings,
    /// Full name of the consumer group.
    pub group: String,
    pub pool: PgPool,
    pub checker: Arc<Checker>,
    pub metrics: Arc<Metrics>,
    pub health: Arc<Health>,
    pub runtime: Handle,
    pub stop: CancellationToken,
}

/// Records that were read together, in order within each partition.
#[derive(Default)]
struct Batch {
    records: Vec<CheckedRecord>,
    bytes: usize,
}

impl Ingest {
    /// Runs until the stop.
    ///
    /// # Errors
    /// librdkafka rejects the settings.
    pub fn run(self) -> Result<(), comptoir_kafka::Error> {
        let positions = Positions {
            pool: self.pool.clone(),
            runtime: self.runtime.clone(),
            stop: self.stop.clone(),
        };
        let consumer = GroupConsumer::join(
            &self.kafka,
            &self.group,
            &topics(&self.kafka.prefix),
            Box::new(positions),
        )?;
        let mut needs_rewind = false;
        let mut checked = Instant::now();
        let mut most = MAX_RECORDS;
        while !self.stop.is_cancelled() {
            if needs_rewind {
                match consumer.rewind() {
                    Ok(()) => needs_rewind = false,
                    Err(error) => {
                        debug!(%error, "the office cannot continue at its positions yet");
                        self.pause();
                    }
                }
            }
            let batch = self.gather(&consumer, most);
            self.health.reading(consumer.partitions().len());
            let (is_out_of_range, is_undecodable) = (consumer.is_out_of_range(), consumer.is_undecodable());
            let is_due = is_out_of_range || is_undecodable || checked.elapsed() >= CHECK_EVERY;
            let has_new_topic = is_due.then(|| has_new_topic(&consumer)).flatten();
            needs_rewind |= is_out_of_range || has_new_topic == Some(true);
            if is_out_of_range && has_new_topic == Some(false) {
                self.skip(consumer.lost_ranges(), &self.metrics.lost_ranges, DELETED);
            }
            // A failed rewind has left old records in the client's buffer.
            if !batch.records.is_empty() && !needs_rewind {
                let size = batch.records.len();
                needs_rewind = match self.store(&consumer, batch.records) {
                    StoreOutcome::All => {
                        most = MAX_RECORDS.min(most * 2);
                        false
                    }
                    StoreOutcome::NotAll => true,
                    // A slow database would not manage the same records next time either.
                    StoreOutcome::TooSlow => {
                        most = (size / 2).max(1);
                        true
                    }
                };
            }
            if is_due {
                checked = Instant::now();
                if is_undecodable && !needs_rewind {
                    self.skip(
                        consumer.undecodable_ranges(),
                        &self.metrics.undecodable,
                        UNDECODABLE,
                    );
                    needs_rewind = true;
                }
                if has_new_topic == Some(false) && !needs_rewind {
                    self.note_read(&consumer);
                }
            }
        }
        Ok(())
    }

    fn gather(&self, consumer: &GroupConsumer, most: usize) -> Batch {
        let mut batch = Batch::default();
        let mut until = None;
        while batch.records.len() < most && batch.bytes < MAX_BYTES {
            let wait = match until {
                None => POLL,
                Some(until) => Instant::saturating_duration_since(&until, Instant::now()),
            };
            let Some(record) = consumer.poll(wait) else { break };
            until.get_or_insert_with(|| Instant::now() + GATHER);
            batch.bytes += record.key().len() + record.payload().len();
            batch.records.push(self.checker.check(&record));
        }
        batch
    }

    /// Writes the records. If PostgreSQL rejects one of them, or they would take too much memory, writes them in
    /// halves; a single rejected record is kept apart.
    fn store(&self, consumer: &GroupConsumer, mut records: Vec<CheckedRecord>) -> StoreOutcome {
        if self.stop.is_cancelled() {
            return StoreOutcome::NotAll;
        }
        let started = Instant::now();
        let positions = positions_behind(consumer, &records);
        let result = self
            .runtime
            .block_on(database::write(&self.pool, &records, &positions));
        match result {
            Ok(written) => {
                self.metrics
                    .batch_seconds
                    .observe(started.elapsed().as_secs_f64());
                for (partition, advance) in &positions {
                    consumer.stored(partition, advance.to);
                }
                self.health.database_works();
                self.metrics.note(&written);
                debug!(?written, "written");
                StoreOutcome::All
            }
            Err(WriteError::Unstorable(_) | WriteError::TooLarge) if records.len() > 1 => {
                let second = records.split_off(records.len() / 2);
                match self.store(consumer, records) {
                    StoreOutcome::All => self.store(consumer, second),
                    other => other,
                }
            }
            Err(WriteError::Unstorable(error)) => match records.pop() {
                Some(record) if !matches!(record, CheckedRecord::Apart(_)) => {
                    let place = record.place();
                    warn!(%error, ?place, "PostgreSQL cannot store this record: it is kept apart");
                    self.store(consumer, vec![CheckedRecord::Apart(record.into_unstorable())])
                }
                _ => {
                    self.database_failed(&error);
                    StoreOutcome::NotAll
                }
            },
            Err(WriteError::Overtaken(partition)) => {
                info!(
                    topic = partition.0,
                    partition = partition.1,
                    "another replica has read this partition since: nothing was written"
                );
                self.metrics.overtaken.inc();
                StoreOutcome::NotAll
            }
            Err(error) => {
                let is_slow = matches!(error, WriteError::TimedOut);
                self.database_failed(&error);
                match is_slow {
                    true => StoreOutcome::TooSlow,
                    false => StoreOutcome::NotAll,
                }
            }
        }
    }

    fn database_failed(&self, error: &dyn std::error::Error) {
        self.health.database_failed(error);
        self.metrics.database_failures.inc();
        self.pause();
    }

    /// Records which partitions of the states topic have been read completely.
    fn note_read(&self, consumer: &GroupConsumer) {
        let states = self.kafka.topic(GATEWAYS);
        // Before the question to Kafka.
        let now = sale::now();
        let mut read = consumer.partitions();
        read.retain(|partition| {
            partition.0 == states
                && consumer.is_at_end(partition).unwrap_or_else(|error| {
                    debug!(%error, ?partition, "whether everything was read is not known");
                    false
                })
        });
        match self.runtime.block_on(database::note_read(&self.pool, &read, now)) {
            Ok(()) => self.health.database_works(),
            Err(error) => self.health.database_failed(&error),
        }
    }

    /// Moves the positions past records that cannot be read.
    fn skip(
        &self,
        ranges: Result<Vec<LostRange>, comptoir_kafka::Error>,
        counter: &IntCounter,
        reason: &'static str,
    ) {
        let ranges = match ranges {
            Ok(ranges) => ranges,
            Err(error) => {
                debug!(%error, "Kafka does not say which records can be read");
                self.pause();
                return;
            }
        };
        for range in ranges {
            error!(
                topic = range.partition.0,
                partition = range.partition.1,
                from = range.from,
                to = range.to,
                reason,
                "records cannot be read: the office continues behind them"
            );
            counter.inc();
            if let Err(error) = self.runtime.block_on(database::skip_lost(&self.pool, &range)) {
                self.health.database_failed(&error);
            }
        }
    }

    fn pause(&self) {
        self.runtime.block_on(async {
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(PAUSE) => {}
            }
        });
    }
}

/// The outcome of writing a batch.
enum StoreOutcome {
    All,
    /// Nothing or only a part was written; PostgreSQL knows which.
    NotAll,
    /// The same, because PostgreSQL took too long.
    TooSlow,
}

/// The steps from the stored positions to the positions after these records.
fn positions_behind(
    consumer: &GroupConsumer,
    records: &[CheckedRecord],
) -> BTreeMap<TopicPartition, Advance> {
    let mut positions = BTreeMap::new();
    for record in records {
        let place = record.place();
        match positions.entry((place.topic.clone(), place.partition)) {
            Entry::Occupied(mut known) => {
                let known: &mut Advance = known.get_mut();
                known.to.next = place.offset + 1;
                known.as_of = place.appended.max(known.as_of);
            }
            Entry::Vacant(new) => {
                let advance = advance(consumer, new.key(), place);
                new.insert(advance);
            }
        }
    }
    positions
}

/// Whether a topic was recreated. `None` if Kafka does not reply.
fn has_new_topic(consumer: &GroupConsumer) -> Option<bool> {
    let result = consumer.has_new_topic();
    if let Err(error) = &result {
        debug!(%error, "Kafka does not describe the topics");
    }
    result.ok()
}

/// The step from the stored position of a partition to the position after this record.
fn advance(consumer: &GroupConsumer, partition: &TopicPartition, record: &Place) -> Advance {
    let assigned = consumer.assigned(partition);
    Advance {
        from: assigned.and_then(|assigned| Some(assigned.stored?.next)),
        to: Position {
            next: record.offset + 1,
            topic_id: assigned.and_then(|assigned| assigned.topic_id),
        },
        as_of: record.appended,
    }
}
