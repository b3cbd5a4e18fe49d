//! A member of a consumer group whose positions are stored elsewhere, together with what is made of the records.
//!
//! Kafka only distributes the partitions among the members. Where a partition continues is read from the caller's
//! [`PositionStore`] each time it is assigned, so a member that takes a partition over continues exactly where the last
//! stored batch ended. A position belongs to a topic's id: a topic that was recreated is read from its beginning. The
//! group's own offsets are committed for monitoring tools and autoscaling only.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use comptoir_core::position::{Position, TopicId};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::statistics::Statistics;
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use tracing::{debug, warn};

use super::admin_request::AdminRequest;
use super::connection_errors::ConnectionErrors;
use super::consumer::{BorrowedRecord, FetchSize, config, reader};
use super::settings::{self, LogOnlyContext};
use super::{Error, Settings};

/// A topic's full name, and a partition.
pub type TopicPartition = (String, i32);

/// Timeout of one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// How long Kafka may wait for records before it replies.
const LONGEST_POLL: Duration = Duration::from_millis(500);
const DESCRIBE: &str = "describe its topics";
const REWIND: &str = "continue at the stored positions";

/// Where the positions are stored.
pub trait PositionStore: Send + Sync {
    /// The position of each partition, in this order; `None` for a partition that was never read. Waits until the store
    /// replies. `None` at the stop.
    fn load(&self, partitions: &[TopicPartition]) -> Option<Vec<Option<Position>>>;
}

/// The stored position of an assigned partition, and the id of the topic that is read.
#[derive(Debug, Clone, Copy)]
pub struct AssignedPartition {
    /// Where reading started, or what was stored last.
    pub stored: Option<Position>,
    /// Of the topic that is read. `None` if the Kafka brokers have no topic ids, or did not reply.
    pub topic_id: Option<TopicId>,
}

impl AssignedPartition {
    /// Whether the stored position is one of another topic of this name.
    fn is_of_former_topic(&self) -> bool {
        let stored = self.stored.and_then(|stored| stored.topic_id);
        stored
            .zip(self.topic_id)
            .is_some_and(|(stored, present)| stored != present)
    }
}

/// Callbacks of the client. They run on the thread that polls.
struct Context {
    store: Box<dyn PositionStore>,
    /// Asks about the topics.
    admin: Arc<BaseConsumer<LogOnlyContext>>,
    partitions: Mutex<HashMap<TopicPartition, AssignedPartition>>,
    /// Kafka has no record at one of the positions.
    is_out_of_range: AtomicBool,
    connection_errors: ConnectionErrors,
}

impl Context {
    fn partitions(&self) -> MutexGuard<'_, HashMap<TopicPartition, AssignedPartition>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ids of the topics that exist.
    fn topic_ids(&self, topics: &[String]) -> Result<HashMap<String, TopicId>, Error> {
        let failed = Error::of(DESCRIBE);
        let first = topics.first().map(String::as_str);
        let metadata = self
            .admin
            .fetch_metadata(first, REQUEST_TIMEOUT)
            .map_err(&failed)?;
        let mut result = Err(KafkaError::Global(RDKafkaErrorCode::AllBrokersDown));
        for broker in metadata.brokers() {
            let request = AdminRequest::topics(&self.admin, broker.id(), topics, REQUEST_TIMEOUT);
            // Longer than the request's own timeout, after which its reply is an error.
            let reply = request.described(REQUEST_TIMEOUT + REQUEST_TIMEOUT);
            result = reply.unwrap_or(Err(KafkaError::Global(RDKafkaErrorCode::OperationTimedOut)));
            if result.is_ok() {
                break;
            }
        }
        let described = result.map_err(failed)?;
        let ids = described
            .into_iter()
            .filter_map(|topic| Some((topic.name, topic.id?)));
        Ok(ids.collect())
    }

    /// Sets the stored positions in the list. `false` at the stop.
    fn load_into(&self, list: &mut TopicPartitionList) -> bool {
        let partitions = partitions_of(list);
        let mut topics: Vec<String> = partitions.iter().map(|(topic, _)| topic.clone()).collect();
        topics.sort_unstable();
        topics.dedup();
        let ids = self.topic_ids(&topics).unwrap_or_else(|error| {
            // `has_new_topic` finds out later.
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
        debug!(%error, reason, "kafka group");
    }

    // Otherwise rdkafka would log them.
    fn stats(&self, _: Statistics) {}
}

impl ConsumerContext for Context {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, event: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let result = match event {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => match self.load_into(list) {
                true => consumer.incremental_assign(list),
                // Nothing is read any more.
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

/// A member of a consumer group, `read_committed`. Its calls block.
pub struct GroupConsumer {
    consumer: BaseConsumer<Context>,
}

/// Records that Kafka no longer has, although nobody has read them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostRange {
    pub partition: TopicPartition,
    /// The stored position.
    pub from: i64,
    /// The first offset that Kafka has. Below `from` if the partition was cut off, as after a loss of the brokers' disks.
    pub to: i64,
}

impl GroupConsumer {
    /// Joins the group (full name) and subscribes to the topics (full names). Topics that do not exist are read once they do.
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
        // It sees open transactions.
        let admin = reader(settings, "read_uncommitted", FetchSize::Default).map_err(&accepted)?;
        let context = Context {
            store,
            admin: Arc::new(admin),
            partitions: Mutex::default(),
            is_out_of_range: AtomicBool::default(),
            connection_errors: settings.connection_errors.clone(),
        };
        let mut config = config(settings, "", LONGEST_POLL);
        config
            .set("group.id", group)
            // A member keeps its partitions while others come and go.
            .set("partition.assignment.strategy", "cooperative-sticky")
            // How soon a topic or partition that is new is noticed.
            .set("topic.metadata.refresh.interval.ms", "10000")
            // A member that died is replaced as soon as the brokers' default limits allow.
            .set("session.timeout.ms", "6000")
            .set("heartbeat.interval.ms", "1500");
        let consumer: BaseConsumer<Context> = config.create_with_context(context).map_err(accepted)?;
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        consumer
            .subscribe(&topics)
            .map_err(Error::of("accept the subscription"))?;
        Ok(Self { consumer })
    }

    /// The next record, if one arrives within the timeout. Assignments change only inside this call.
    pub fn poll(&self, within: Duration) -> Option<BorrowedRecord<'_>> {
        match self.consumer.poll(within)? {
            Ok(message) => Some(BorrowedRecord(message)),
            Err(error) => {
                if let Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) =
                    error.rdkafka_error_code()
                {
                    self.context().is_out_of_range.store(true, Ordering::Relaxed);
                }
                debug!(%error, "kafka group");
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

    /// Notes that this position is stored.
    pub fn stored(&self, partition: &TopicPartition, position: Position) {
        if let Some(assigned) = self.context().partitions().get_mut(partition) {
            assigned.stored = Some(position);
        }
        let (topic, number) = partition;
        if let Err(error) = self.consumer.store_offset(topic, *number, position.next - 1) {
            debug!(%error, ?partition, "offset not stored");
        }
    }

    /// Continues at the stored positions in all assigned partitions. Forgets the records in the client's buffer.
    ///
    /// # Errors
    /// The assignment changes at this moment. Try again.
    pub fn rewind(&self) -> Result<(), Error> {
        let failed = Error::of(REWIND);
        // Not only what is assigned: an attempt before may have ended in the middle.
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

    /// Whether a topic that is read was recreated since, or its id has become known: call [`Self::rewind`] then.
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

    /// Whether everything that the leader of a partition has can be read: no open transaction holds it back.
    ///
    /// # Errors
    /// The leader does not reply.
    pub fn is_settled(&self, (topic, partition): &TopicPartition) -> Result<bool, Error> {
        let failed = Error::of("return the ends of a partition");
        let (_, stable) = self
            .consumer
            .fetch_watermarks(topic, *partition, REQUEST_TIMEOUT)
            .map_err(&failed)?;
        let (_, end) = self
            .context()
            .admin
            .fetch_watermarks(topic, *partition, REQUEST_TIMEOUT)
            .map_err(failed)?;
        Ok(stable >= end)
    }

    /// Whether Kafka had no record at one of the positions since the last call. [`Self::lost_ranges`] says at which.
    pub fn is_out_of_range(&self) -> bool {
        self.context().is_out_of_range.swap(false, Ordering::Relaxed)
    }

    /// The assigned partitions whose position is outside of what Kafka has.
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
