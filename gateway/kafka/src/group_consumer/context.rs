//! The callbacks of a [`GroupConsumer`](super::GroupConsumer)'s client: they assign partitions at their stored positions,
//! and log errors.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use comptoir_core::position::{Position, TopicId};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::statistics::Statistics;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use tracing::{debug, warn};

use super::TopicPartition;
use crate::Error;
use crate::connection_errors::ConnectionErrors;
use crate::describe::describe_topics;
use crate::settings::{self, LogOnlyContext};

/// Timeout of one request.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Interval between warnings of the same error.
const WARN_EVERY: Duration = Duration::from_secs(300);

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
    pub(super) fn is_of_former_topic(&self) -> bool {
        let stored = self.stored.and_then(|stored| stored.topic_id);
        stored
            .zip(self.topic_id)
            .is_some_and(|(stored, present)| stored != present)
    }
}

/// Callbacks of the client, which run on the polling thread.
pub(super) struct Context {
    pub(super) store: Box<dyn PositionStore>,
    /// The client for requests about the topics.
    pub(super) admin: Arc<BaseConsumer<LogOnlyContext>>,
    pub(super) partitions: Mutex<HashMap<TopicPartition, AssignedPartition>>,
    /// Whether Kafka has no record at one of the positions.
    pub(super) is_out_of_range: AtomicBool,
    /// Whether a batch of records cannot be decoded.
    pub(super) is_undecodable: AtomicBool,
    /// When each error was last logged.
    pub(super) warned: Mutex<HashMap<Option<i32>, Instant>>,
    pub(super) connection_errors: ConnectionErrors,
}

impl Context {
    pub(super) fn partitions(&self) -> MutexGuard<'_, HashMap<TopicPartition, AssignedPartition>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs an error, but rarely the same one, because librdkafka keeps retrying.
    pub(super) fn warn(&self, error: &KafkaError, reason: &str) {
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
    pub(super) fn topic_ids(&self, topics: &[String]) -> Result<HashMap<String, TopicId>, Error> {
        let described = describe_topics(&self.admin, topics)?;
        let ids = described
            .into_iter()
            .filter_map(|topic| Some((topic.name, topic.id?)));
        Ok(ids.collect())
    }

    /// Sets the stored positions in the list. Returns `false` at the stop.
    pub(super) fn load_into(&self, list: &mut TopicPartitionList) -> bool {
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
