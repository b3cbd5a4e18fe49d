//! A member of a consumer group whose positions are stored outside Kafka, together with the results of processing.
//!
//! Kafka only distributes the partitions among the members. Each time a partition is assigned, its position is read
//! from the caller's [`PositionStore`]. So a member that takes over a partition continues exactly where the last stored
//! batch ended. A position belongs to a topic id: a recreated topic is read from its beginning. The group's own offsets
//! are committed only for monitoring tools and autoscaling.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use comptoir_core::position::{Position, TopicId};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::statistics::Statistics;
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use tracing::{debug, warn};

use super::connection_errors::ConnectionErrors;
use super::consumer::{BorrowedRecord, FetchSize, config, reader};
use super::describe::describe_topics;
use super::settings::{self, LogOnlyContext};
use super::undecodable::{first_readable, is_undecodable};
use super::{Error, Settings};

/// A topic's full name, and a partition.
pub type TopicPartition = (String, i32);

/// Timeout of one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// How long Kafka may wait for records before it replies.
const LONGEST_POLL: Duration = Duration::from_millis(500);
/// Interval between warnings of the same error.
const WARN_EVERY: Duration = Duration::from_secs(300);
const REWIND: &str = "continue at the stored positions";

/// The store of the positions.
pub trait PositionStore: Send + Sync {
    /// The positions of the partitions, in the same order; `None` for a partition that was never read. Waits until the
    /// store replies. Returns `None` at the stop.
    fn load(&self, partitions: &[TopicPartition]) -> Option<Vec<Option<Position>>>;
}

/// The stored position of an assigned partition, and the id of the topic that is read.
#[derive(Debug, Clone, Copy)]
pub struct AssignedPartition {
    /// The position where reading started, or the last one stored.
    pub stored: Option<Position>,
    /// The id of the topic that is being read. `None` if the Kafka brokers have no topic ids or did not reply.
    pub topic_id: Option<TopicId>,
}

impl AssignedPartition {
    /// Whether the stored position belongs to a former topic of the same name.
    fn is_of_former_topic(&self) -> bool {
        let stored = self.stored.and_then(|stored| stored.topic_id);
        stored
            .zip(self.topic_id)
            .is_some_and(|(stored, present)| stored != present)
    }
}

/// Callbacks of the client, which run on the polling thread.
struct Context {
    store: Box<dyn PositionStore>,
    /// The client for requests about the topics.
    admin: Arc<BaseConsumer<LogOnlyContext>>,
    partitions: Mutex<HashMap<TopicPartition, AssignedPartition>>,
    /// Whether Kafka has no record at one of the positions.
    is_out_of_range: AtomicBool,
    /// Whether a batch of records cannot be decoded.
    is_undecodable: AtomicBool,
    /// When each error was last logged.
    warned: Mutex<HashMap<Option<i32>, Instant>>,
    connection_errors: ConnectionErrors,
}

impl Context {
    fn partitions(&self) -> MutexGuard<'_, HashMap<TopicPartition, AssignedPartition>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs an error, but rarely the same one, because librdkafka keeps retrying.
    fn warn(&self, error: &KafkaError, reason: &str) {
        let now = Instant::now();
        let code = error.rdkafka_error_code().map(|code| code as i32);
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        let last = warned.get(&code);
        if last.is_none_or(|last| now.duration_since(*last) >= WARN_EVERY) {
            warned.insert(code, now);
            warn!(%error, reason, "Kafka does not give what was asked for; the consumer tries again");
        }
    }

    /// The ids of the existing topics.
    fn topic_ids(&self, topics: &[String]) -> Result<HashMap<String, TopicId>, Error> {
        let described = describe_topics(&self.admin, topics)?;
        let ids = described
            .into_iter()
            .filter_map(|topic| Some((topic.name, topic.id?)));
        Ok(ids.collect())
    }

    /// Sets the stored positions in the list. Returns `false` at the stop.
    fn load_into(&self, list: &mut TopicPartitionList) -> bool {
        let partitions = partitions_of(list);
        let mut topics: Vec<String> = partitions.iter().map(|(topic, _)| topic.clone()).collect();
        topics.sort_unstable();
        topics.dedup();
        let ids = self.topic_ids(&topics).unwrap_or_else(|error| {
            // `has_new_topic` detects the ids later.
            debug!(%error, "the ids of the topics are not known");
            HashMap::new()
        });
        let Some(stored) = self.store.load(&partitions) else {
            return false;
        };
        for (partition, stored) in partitions.into_iter().zip(stored) {
            let assigned = AssignedPartition {
                stored,
                topic_id: ids.get(&partition.0).copied(),
            };
            let offset = match stored {
                Some(_) if assigned.is_of_former_topic() => {
                    warn!(
                        topic = partition.0,
                        partition = partition.1,
                        "this topic was recreated: it is read from its beginning"
                    );
                    Offset::Beginning
                }
                Some(stored) => Offset::Offset(stored.next),
                None => Offset::Beginning,
            };
            // The list contains the partition.
            let _ = list.set_partition_offset(&partition.0, partition.1, offset);
            self.partitions().insert(partition, assigned);
        }
        true
    }
}

fn partitions_of(list: &TopicPartitionList) -> Vec<TopicPartition> {
    let elements = list.elements();
    elements
        .iter()
        .map(|element| (element.topic().to_owned(), element.partition()))
        .collect()
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.connection_errors.note(message);
        settings::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.connection_errors.note(reason);
        self.warn(&error, reason);
    }

    // Otherwise rdkafka would log the statistics.
    fn stats(&self, _: Statistics) {}
}

impl ConsumerContext for Context {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, event: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let result = match event {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => match self.load_into(list) {
                true => consumer.incremental_assign(list),
                // Nothing is being read any more.
                false => Ok(()),
            },
            _ => {
                for partition in partitions_of(list) {
                    self.partitions().remove(&partition);
                }
                consumer.incremental_unassign(list)
            }
        };
        match result {
            Ok(()) => debug!(?event, partitions = ?partitions_of(list), "partitions assigned or taken away"),
            Err(error) => warn!(%error, "the assignment of partitions failed"),
        }
    }

    fn commit_callback(&self, result: Result<(), KafkaError>, _: &TopicPartitionList) {
        if let Err(error) = result {
            debug!(%error, "could not commit the group's offsets, which only monitoring tools read");
        }
    }
}

/// A `read_committed` member of a consumer group. Its calls block.
pub struct GroupConsumer {
    consumer: BaseConsumer<Context>,
    settings: Settings,
}

/// Records that can no longer be read, although nobody has read them: Kafka has deleted them, or they are in a batch
/// that cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostRange {
    pub partition: TopicPartition,
    /// The stored position.
    pub from: i64,
    /// The first readable offset. Below `from` if the partition was truncated, for example after the brokers lost their
    /// disks.
    pub to: i64,
}

impl GroupConsumer {
    /// Joins the group (full name) and subscribes to the topics (full names). A topic that does not exist yet is read
    /// once it does.
    ///
    /// # Errors
    /// librdkafka rejects the settings.
    pub fn join(
        settings: &Settings,
        group: &str,
        topics: &[String],
        store: Box<dyn PositionStore>,
    ) -> Result<Self, Error> {
        let accepted = Error::of("accept the consumer");
        // This client sees open transactions.
        let admin = reader(settings, "read_uncommitted", FetchSize::Default).map_err(&accepted)?;
        let context = Context {
            store,
            admin: Arc::new(admin),
            partitions: Mutex::default(),
            is_out_of_range: AtomicBool::default(),
            is_undecodable: AtomicBool::default(),
            warned: Mutex::default(),
            connection_errors: settings.connection_errors.clone(),
        };
        let mut config = config(settings, "", LONGEST_POLL);
        config
            .set("group.id", group)
            // A member keeps its partitions while other members come and go.
            .set("partition.assignment.strategy", "cooperative-sticky")
            // How soon new topics and partitions are noticed.
            .set("topic.metadata.refresh.interval.ms", "10000")
            // The shortest timeout within the brokers' default limits, so that a dead member is replaced quickly.
            .set("session.timeout.ms", "6000")
            .set("heartbeat.interval.ms", "1500");
        let consumer: BaseConsumer<Context> = config.create_with_context(context).map_err(accepted)?;
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        consumer
            .subscribe(&topics)
            .map_err(Error::of("accept the subscription"))?;
        Ok(Self {
            consumer,
            settings: settings.clone(),
        })
    }

    /// The next record, if one arrives within the timeout. Assignments change only inside this call.
    pub fn poll(&self, within: Duration) -> Option<BorrowedRecord<'_>> {
        match self.consumer.poll(within)? {
            Ok(message) => Some(BorrowedRecord(message)),
            Err(error) => {
                let context = self.context();
                match error.rdkafka_error_code() {
                    Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                        context.is_out_of_range.store(true, Ordering::Relaxed);
                    }
                    Some(code) if is_undecodable(code) => {
                        context.is_undecodable.store(true, Ordering::Relaxed);
                    }
                    _ => {
                        let reason = context.connection_errors.last().unwrap_or_default();
                        context.warn(&error, &reason);
                    }
                }
                None
            }
        }
    }

    /// The state of a partition; `None` if this member does not read it.
    pub fn assigned(&self, partition: &TopicPartition) -> Option<AssignedPartition> {
        self.context().partitions().get(partition).copied()
    }

    /// The partitions that this member reads.
    pub fn partitions(&self) -> Vec<TopicPartition> {
        self.context().partitions().keys().cloned().collect()
    }

    /// Records that this position is stored.
    pub fn stored(&self, partition: &TopicPartition, position: Position) {
        if let Some(assigned) = self.context().partitions().get_mut(partition) {
            assigned.stored = Some(position);
        }
        let (topic, number) = partition;
        if let Err(error) = self.consumer.store_offset(topic, *number, position.next - 1) {
            debug!(%error, ?partition, "offset not stored");
        }
    }

    /// Returns to the stored positions in all assigned partitions, and drops the records in the client's buffer.
    ///
    /// # Errors
    /// The assignment is changing; try again.
    pub fn rewind(&self) -> Result<(), Error> {
        let failed = Error::of(REWIND);
        // Covers more than the present assignment: an earlier attempt may have stopped halfway.
        let mut list = TopicPartitionList::new();
        for (topic, partition) in self.partitions() {
            list.add_partition(&topic, partition);
        }
        if list.count() == 0 || !self.context().load_into(&mut list) {
            return Ok(());
        }
        // Not by seeking, which librdkafka refuses in a partition whose position was out of range.
        let assigned = self.consumer.assignment().map_err(&failed)?;
        if assigned.count() > 0 {
            self.consumer.incremental_unassign(&assigned).map_err(&failed)?;
        }
        self.consumer.incremental_assign(&list).map_err(failed)
    }

    /// Whether a topic being read has been recreated, or its id has become known. If so, call [`Self::rewind`].
    ///
    /// # Errors
    /// Kafka does not reply.
    pub fn has_new_topic(&self) -> Result<bool, Error> {
        let read = self.context().partitions().clone();
        let mut topics: Vec<String> = read.keys().map(|(topic, _)| topic.clone()).collect();
        topics.sort_unstable();
        topics.dedup();
        if topics.is_empty() {
            return Ok(false);
        }
        let present = self.context().topic_ids(&topics)?;
        let is_new = |((topic, _), assigned): (&TopicPartition, &AssignedPartition)| {
            present
                .get(topic)
                .is_some_and(|id| assigned.topic_id != Some(*id))
        };
        Ok(read.iter().any(is_new))
    }

    /// Whether everything that a partition's leader has was read and stored, and no open transaction holds records
    /// back. Never true for a partition that ends with a transaction marker.
    ///
    /// # Errors
    /// The leader does not reply.
    pub fn is_at_end(&self, partition: &TopicPartition) -> Result<bool, Error> {
        let Some(assigned) = self.assigned(partition) else {
            return Ok(false);
        };
        let failed = Error::of("return the ends of a partition");
        let (topic, partition) = partition;
        let (first, stable) = self
            .consumer
            .fetch_watermarks(topic, *partition, REQUEST_TIMEOUT)
            .map_err(&failed)?;
        let (_, end) = self
            .context()
            .admin
            .fetch_watermarks(topic, *partition, REQUEST_TIMEOUT)
            .map_err(failed)?;
        let stored = assigned.stored.filter(|_| !assigned.is_of_former_topic());
        Ok(stable >= end && stored.map_or(first, |stored| stored.next.max(first)) >= end)
    }

    /// Whether a batch could not be decoded since the last call. [`Self::undecodable_ranges`] finds it.
    pub fn is_undecodable(&self) -> bool {
        self.context().is_undecodable.swap(false, Ordering::Relaxed)
    }

    /// The ranges after the stored positions that cannot be decoded. librdkafka fetches such a batch over and over, and
    /// reads nothing after it. Anyone who may write to a topic can create one, for example of zeros that decompress to
    /// gigabytes.
    ///
    /// # Errors
    /// Kafka does not reply.
    pub fn undecodable_ranges(&self) -> Result<Vec<LostRange>, Error> {
        let assigned = self.context().partitions().clone();
        let mut ranges = Vec::new();
        for (partition, assigned) in assigned {
            let (first, end) = self
                .consumer
                .fetch_watermarks(&partition.0, partition.1, REQUEST_TIMEOUT)
                .map_err(Error::of("return the ends of a partition"))?;
            let stored = assigned.stored.filter(|_| !assigned.is_of_former_topic());
            let from = stored.map_or(first, |stored| stored.next.max(first));
            let readable = first_readable(&self.settings, &partition, from, end)?;
            if let Some(to) = readable {
                ranges.push(LostRange { partition, from, to });
            }
        }
        Ok(ranges)
    }

    /// Whether Kafka had no record at one of the positions since the last call. [`Self::lost_ranges`] returns the
    /// affected partitions.
    pub fn is_out_of_range(&self) -> bool {
        self.context().is_out_of_range.swap(false, Ordering::Relaxed)
    }

    /// The assigned partitions whose position is outside the range of offsets that Kafka has.
    ///
    /// # Errors
    /// Kafka does not reply.
    pub fn lost_ranges(&self) -> Result<Vec<LostRange>, Error> {
        let assigned = self.context().partitions().clone();
        let mut lost = Vec::new();
        for (partition, assigned) in assigned {
            let Some(stored) = assigned.stored.filter(|_| !assigned.is_of_former_topic()) else {
                continue;
            };
            let (low, high) = self
                .consumer
                .fetch_watermarks(&partition.0, partition.1, REQUEST_TIMEOUT)
                .map_err(Error::of("return the ends of a partition"))?;
            if stored.next < low || stored.next > high {
                lost.push(LostRange {
                    partition,
                    from: stored.next,
                    to: low,
                });
            }
        }
        Ok(lost)
    }

    fn context(&self) -> &Arc<Context> {
        self.consumer.context()
    }
}
