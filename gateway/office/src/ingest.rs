//! Kafka → PostgreSQL: reads batches as a member of the consumer group, and writes each with the positions behind it.
//!
//! There is one rule for everything that goes wrong: forget the batch, and continue at the positions that PostgreSQL has.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use comptoir_core::sale;
use comptoir_kafka::{GATEWAYS, GroupConsumer, Position, Settings, TopicPartition};
use sqlx::PgPool;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::database::{self, Advance, Positions, WriteError, Written};
use crate::health::Health;
use crate::metrics::Metrics;
use crate::record::{CheckedRecord, Checker, Place, topics};

/// Records and bytes of a batch, at most.
const MAX_RECORDS: usize = 2_000;
const MAX_BYTES: usize = 4 << 20;
/// How long a batch gathers after its first record: short, because pages show it afterwards.
const GATHER: Duration = Duration::from_millis(20);
const POLL: Duration = Duration::from_millis(500);
/// Interval at which the office looks whether a topic was recreated.
const CHECK_TOPICS_EVERY: Duration = Duration::from_secs(15);
/// A partition of which no record has come for so long, while Kafka replies, has no more.
const QUIET: Duration = Duration::from_secs(5);
/// Pause after a failure.
const PAUSE: Duration = Duration::from_millis(500);

/// Everything that reads Kafka and writes PostgreSQL. [`Ingest::run`] blocks and belongs on a thread of its own.
pub struct Ingest {
    pub kafka: Settings,
    /// Full name of the consumer group.
    pub group: String,
    pub pool: PgPool,
    pub checker: Checker,
    pub metrics: Arc<Metrics>,
    pub health: Arc<Health>,
    pub runtime: Handle,
    pub stop: CancellationToken,
}

/// Records that were read together.
#[derive(Default)]
struct Batch {
    records: Vec<CheckedRecord>,
    positions: BTreeMap<TopicPartition, Advance>,
    bytes: usize,
}

impl Batch {
    /// Whether more records may wait.
    fn is_full(&self) -> bool {
        self.records.len() >= MAX_RECORDS || self.bytes >= MAX_BYTES
    }
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
        let mut topics_checked = Instant::now();
        // When the newest record of each partition was read.
        let mut newest = HashMap::new();
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
            let batch = self.gather(&consumer);
            let now = Instant::now();
            newest.extend(batch.positions.keys().map(|partition| (partition.clone(), now)));
            self.health.reading(consumer.partitions().len());
            let is_out_of_range = consumer.is_out_of_range();
            if is_out_of_range || topics_checked.elapsed() >= CHECK_TOPICS_EVERY {
                topics_checked = Instant::now();
                let has_new_topic = has_new_topic(&consumer);
                needs_rewind |= is_out_of_range || has_new_topic == Some(true);
                match has_new_topic {
                    Some(false) if is_out_of_range => self.skip_lost(&consumer),
                    Some(false) if !batch.is_full() => self.note_read(&consumer, &newest),
                    _ => {}
                }
            }
            // A failed rewind has left old records in the client's buffer.
            if batch.records.is_empty() || needs_rewind {
                continue;
            }
            needs_rewind = !self.store(&consumer, batch);
        }
        Ok(())
    }

    fn gather(&self, consumer: &GroupConsumer) -> Batch {
        let mut batch = Batch::default();
        let mut until = None;
        while !batch.is_full() {
            let wait = match until {
                None => POLL,
                Some(until) => Instant::saturating_duration_since(&until, Instant::now()),
            };
            let Some(record) = consumer.poll(wait) else { break };
            until.get_or_insert_with(|| Instant::now() + GATHER);
            batch.bytes += record.key().len() + record.payload().len();
            let checked = self.checker.check(&record);
            let place = checked.place();
            let partition = (place.topic.clone(), place.partition);
            match batch.positions.entry(partition) {
                Entry::Occupied(mut known) => {
                    let known = known.get_mut();
                    known.to.next = place.offset + 1;
                    known.as_of = place.appended.max(known.as_of);
                }
                Entry::Vacant(new) => {
                    let advance = advance(consumer, new.key(), place);
                    new.insert(advance);
                }
            }
            batch.records.push(checked);
        }
        batch
    }

    /// Writes the batch. `false` if nothing of it was written, or perhaps all.
    fn store(&self, consumer: &GroupConsumer, batch: Batch) -> bool {
        let started = Instant::now();
        let result = self
            .runtime
            .block_on(database::write(&self.pool, &batch.records, &batch.positions));
        match result {
            Ok(written) => {
                self.metrics
                    .batch_seconds
                    .observe(started.elapsed().as_secs_f64());
                self.note(consumer, &batch.positions, &written);
                true
            }
            Err(WriteError::Unstorable(error)) => self.store_one_by_one(consumer, batch, &error),
            Err(WriteError::Overtaken(partition)) => {
                info!(
                    topic = partition.0,
                    partition = partition.1,
                    "another replica has read this partition since: nothing was written"
                );
                self.metrics.overtaken.inc();
                false
            }
            Err(error) => {
                self.health.database_failed(&error);
                self.metrics.database_failures.inc();
                self.pause();
                false
            }
        }
    }

    /// Writes each record in a transaction of its own, and keeps those apart that PostgreSQL cannot store.
    fn store_one_by_one(&self, consumer: &GroupConsumer, batch: Batch, error: &sqlx::Error) -> bool {
        debug!(%error, records = batch.records.len(), "a record cannot be stored");
        for record in batch.records {
            let place = record.place().clone();
            let partition = (place.topic.clone(), place.partition);
            let advance = advance(consumer, &partition, &place);
            let positions = BTreeMap::from([(partition, advance)]);
            let write = |record: &CheckedRecord| {
                let records = std::slice::from_ref(record);
                self.runtime
                    .block_on(database::write(&self.pool, records, &positions))
            };
            let result = match write(&record) {
                Err(WriteError::Unstorable(error)) => {
                    warn!(%error, ?place, "PostgreSQL cannot store this record: it is kept apart");
                    write(&CheckedRecord::Apart(record.into_unstorable()))
                }
                result => result,
            };
            match result {
                Ok(written) => self.note(consumer, &positions, &written),
                Err(error) => {
                    error!(%error, ?place, "this record was not written");
                    self.pause();
                    return false;
                }
            }
        }
        true
    }

    fn note(
        &self,
        consumer: &GroupConsumer,
        positions: &BTreeMap<TopicPartition, Advance>,
        written: &Written,
    ) {
        for (partition, advance) in positions {
            consumer.stored(partition, advance.to);
        }
        self.health.database_works();
        self.metrics.note(written);
        debug!(?written, "written");
    }

    /// Notes the partitions of states of which everything was read: no record has come for a while although there was room, and
    /// the leader has nothing that cannot be read yet. `newest`: when the newest record of each partition was read.
    fn note_read(&self, consumer: &GroupConsumer, newest: &HashMap<TopicPartition, Instant>) {
        let states = self.kafka.topic(GATEWAYS);
        let now = sale::now();
        let mut read = consumer.partitions();
        read.retain(|partition| {
            partition.0 == states
                && newest.get(partition).is_none_or(|read| read.elapsed() >= QUIET)
                && consumer.is_settled(partition).unwrap_or_else(|error| {
                    debug!(%error, ?partition, "whether everything was read is not known");
                    false
                })
        });
        match self.runtime.block_on(database::note_read(&self.pool, &read, now)) {
            Ok(()) => self.health.database_works(),
            Err(error) => self.health.database_failed(&error),
        }
    }

    /// Moves the positions to what Kafka has.
    fn skip_lost(&self, consumer: &GroupConsumer) {
        let lost = match consumer.lost_ranges() {
            Ok(lost) => lost,
            Err(error) => {
                debug!(%error, "Kafka does not say which records it has");
                return;
            }
        };
        for range in lost {
            error!(
                topic = range.partition.0,
                partition = range.partition.1,
                from = range.from,
                to = range.to,
                "Kafka no longer has the records at this position: the office continues where it has some"
            );
            self.metrics.lost_ranges.inc();
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

/// Whether a topic was recreated. `None` if Kafka does not reply.
fn has_new_topic(consumer: &GroupConsumer) -> Option<bool> {
    let result = consumer.has_new_topic();
    if let Err(error) = &result {
        debug!(%error, "Kafka does not describe the topics");
    }
    result.ok()
}

/// The step from the stored position of a partition to behind this record.
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
