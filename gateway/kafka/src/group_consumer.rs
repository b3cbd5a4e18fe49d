//! A member of a consumer group whose positions are stored outside Kafka, together with the results of processing.
//!
//! Kafka only distributes the partitions among the members. Each time a partition is assigned, its position is read
//! from the caller's [`PositionStore`]. So a member that takes over a partition continues exactly where the last stored
//! batch ended. A position belongs to a topic id: a recreated topic is read from its beginning. The group's own offsets
//! are committed only for monitoring tools and autoscaling.

mod context;
mod lost_ranges;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use comptoir_core::position::Position;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::types::RDKafkaErrorCode;
use tracing::debug;

use super::consumer::{BorrowedRecord, FetchSize, config, reader};
use super::undecodable::is_undecodable;
use super::{Error, Settings};
pub use context::{AssignedPartition, PositionStore};
use context::{Context, REQUEST_TIMEOUT};
pub use lost_ranges::LostRange;

/// A topic's full name, and a partition.
pub type TopicPartition = (String, i32);

/// How long Kafka may wait for records before it replies.
const LONGEST_POLL: Duration = Duration::from_millis(500);
const REWIND: &str = "continue at the stored positions";

/// A `read_committed` member of a consumer group. Its calls block.
pub struct GroupConsumer {
    consumer: BaseConsumer<Context>,
    settings: Settings,
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

    fn context(&self) -> &Arc<Context> {
        self.consumer.context()
    }
}
