//! Decides which partitions a consumer reads, and from which offsets.
//!
//! The consumer asks Kafka about its topics at an interval, without blocking: first for the brokers, then one of them
//! for the topics. When ids or partition counts have changed, or a position is out of range, it reassigns all
//! partitions.

use std::collections::HashMap;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use comptoir_core::position::{Position, TopicId};
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use tracing::{debug, info, warn};

use super::super::admin_request::{AdminRequest, Right, TopicDescription};
use super::super::positions::PartitionPosition;
use super::super::reader::with_retries;
use super::super::{Error, Resource};
use super::{Consumer, Context, InitialPosition, drop_in_background};

/// Interval between descriptions of the topics while one is absent.
const DESCRIBE_ABSENT_EVERY: Duration = Duration::from_millis(300);
/// Number of descriptions at that interval. A topic that is still absent then may stay absent.
const DESCRIBE_ABSENT: u32 = 40;
/// Interval between descriptions while Kafka does not reply. Short on a metered uplink too: without a connection a
/// request transfers nothing, and the gateway shows Kafka as unreachable until a reply arrives.
const DESCRIBE_UNREACHABLE_EVERY: Duration = Duration::from_secs(1);
/// Timeout of each request. A healthy Kafka replies much sooner.
const REPLY_TIMEOUT: Duration = Duration::from_secs(3);
const ASSIGN: &str = "assign the partitions";

/// A request to Kafka whose reply is outstanding.
pub(super) enum PendingRequest {
    /// The ids of all brokers. Runs on its own thread, because the call blocks.
    Brokers(mpsc::Receiver<Result<Vec<i32>, KafkaError>>),
    Topics(AdminRequest<Context>),
}

/// An assigned topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AssignedTopic {
    /// `None` if the Kafka brokers have no topic ids.
    pub id: Option<TopicId>,
    pub partitions: i32,
}

/// The offsets that a partition holds.
#[derive(Debug, Clone, Copy)]
struct OffsetRange {
    /// Offset of the first record.
    low: i64,
    /// One past the last record that a `read_committed` consumer receives.
    high: i64,
}

impl Consumer {
    /// When due, asks Kafka about the topics; when the reply arrives, assigns their partitions. Does not wait: `None`
    /// if nothing is due or the reply is outstanding.
    ///
    /// # Errors
    /// Kafka does not reply, or denies a right that the consumer needs.
    pub fn refresh_assignment(&mut self) -> Option<Result<(), Error>> {
        let answer = match &self.pending {
            None => {
                if Instant::now() >= self.refresh_at.get() {
                    self.pending = Some(self.ask());
                }
                return None;
            }
            Some(PendingRequest::Brokers(brokers)) => match brokers.try_recv() {
                Err(mpsc::TryRecvError::Empty) => return None,
                Err(mpsc::TryRecvError::Disconnected) => Ok(Vec::new()),
                Ok(answer) => answer,
            }
            .and_then(|brokers| match brokers.is_empty() {
                true => Err(KafkaError::Global(RDKafkaErrorCode::AllBrokersDown)),
                false => Ok(brokers),
            })
            .map(|brokers| {
                self.brokers = brokers;
                None
            }),
            Some(PendingRequest::Topics(request)) => request.described(Duration::ZERO)?.map(Some),
        };
        let is_about_topics = matches!(self.pending, Some(PendingRequest::Topics(_)));
        self.pending = None;
        let assigned = match answer {
            Ok(Some(topics)) => {
                self.settings.connection_errors.clear_bootstrap();
                self.unanswered = 0;
                self.assign(topics)
            }
            // The brokers are now known; the next call asks one of them about the topics.
            Ok(None) => return None,
            Err(error) => {
                let asked = self.brokers.len();
                self.brokers.clear();
                self.unanswered += 1;
                // Perhaps only that broker is unreachable, so ask another one at once.
                if is_about_topics && self.unanswered < asked {
                    return None;
                }
                Err(Error::of("describe its topics")(error))
            }
        };
        self.incomplete = match self.assigned.len() == self.topics.len() {
            true => 0,
            false => self.incomplete.saturating_add(1),
        };
        let interval = match self.incomplete {
            _ if assigned.as_ref().is_err_and(Error::is_silence) => DESCRIBE_UNREACHABLE_EVERY,
            1..=DESCRIBE_ABSENT => DESCRIBE_ABSENT_EVERY,
            _ => self.settings.uplink.describe_every(),
        };
        self.refresh_at.set(Instant::now() + interval);
        Some(assigned)
    }

    fn ask(&self) -> PendingRequest {
        if let Some(&broker) = self.brokers.get(self.unanswered % self.brokers.len().max(1)) {
            return PendingRequest::Topics(AdminRequest::topics(
                &self.admin,
                broker,
                &self.topics,
                REPLY_TIMEOUT,
            ));
        }
        let (answer, brokers) = mpsc::channel();
        let consumer = Arc::clone(&self.admin);
        let topic = self.topics.first().cloned();
        let thread = std::thread::Builder::new().name("kafka-brokers".to_owned());
        // If the thread cannot start, its sender is dropped, which counts as a reply without brokers.
        let _ = thread.spawn(move || {
            let metadata = consumer.fetch_metadata(topic.as_deref(), REPLY_TIMEOUT);
            let ids = metadata.map(|metadata| metadata.brokers().iter().map(|broker| broker.id()).collect());
            // Fails if the consumer has been closed.
            let _ = answer.send(ids);
        });
        PendingRequest::Brokers(brokers)
    }

    /// Assigns all partitions of the described topics if anything has changed.
    fn assign(&mut self, topics: Vec<TopicDescription>) -> Result<(), Error> {
        let mut found = HashMap::new();
        let mut denied = None;
        for topic in topics {
            match topic.error {
                None if topic.allows(Right::Read) => {
                    let assigned = AssignedTopic {
                        id: topic.id,
                        partitions: topic.partitions,
                    };
                    found.insert(topic.name, assigned);
                }
                None | Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
                    denied.get_or_insert(topic.name);
                }
                Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                    self.absent.insert(topic.name);
                }
                // For example, it has no leader now. Its assignment stays.
                Some(error) => {
                    debug!(%error, topic = topic.name, "Kafka cannot describe the topic at the moment");
                    if let Some(before) = self.assigned.remove(&topic.name) {
                        found.insert(topic.name, before);
                    }
                }
            }
        }
        if found != self.assigned || self.out_of_range.get() {
            // In a recreated topic librdkafka may continue at the old offset or not at all, and a new partition would
            // wait for the end of the current poll. A new client does neither.
            if !self.assigned.is_empty() {
                let new = self.client()?;
                drop_in_background(std::mem::replace(&mut self.consumer, Arc::new(new)));
            }
            self.assign_partitions(&found)?;
            self.assignments += 1;
            self.assigned = found;
            self.out_of_range.set(false);
        }
        match denied {
            None => Ok(()),
            Some(topic) => Err(Error::MissingRight {
                right: "READ",
                resource: Resource::Topic(topic),
            }),
        }
    }

    /// Assigns all partitions of these topics, each at its position, to a client that has read nothing yet.
    ///
    /// librdkafka sends one fetch request at a time to a broker, and a partition that becomes readable a moment later
    /// waits until that request ends, which may be a long poll. So the client first learns the partitions' leaders and
    /// every offset, and its first request includes all of them.
    fn assign_partitions(&self, topics: &HashMap<String, AssignedTopic>) -> Result<(), Error> {
        let mut assignment = TopicPartitionList::new();
        for (topic, &assigned) in topics {
            let positions = self.positions_in(topic, assigned)?;
            for at in &positions {
                let next = match at.position.next {
                    0 => self.range(topic, at.partition)?.low,
                    next => next,
                };
                assignment
                    .add_partition_offset(topic, at.partition, Offset::Offset(next))
                    .map_err(Error::of(ASSIGN))?;
            }
            // Without a reply the client asks again by itself.
            let _ = self.consumer.fetch_metadata(Some(topic), REPLY_TIMEOUT);
            self.positions.replace(topic, &positions);
        }
        let assigned = match assignment.count() {
            0 => self.consumer.unassign(),
            _ => self.consumer.assign(&assignment),
        };
        assigned.map_err(Error::of(ASSIGN))
    }

    fn positions_in(&self, topic: &str, assigned: AssignedTopic) -> Result<Vec<PartitionPosition>, Error> {
        let AssignedTopic { id, partitions } = assigned;
        let at = |partition, next| PartitionPosition {
            partition,
            position: Position { next, topic_id: id },
        };
        let mut positions = Vec::new();
        let mut unknown = Vec::new();
        for partition in 0..partitions {
            let next = match self.positions.get(topic, partition) {
                None => {
                    unknown.push(partition);
                    continue;
                }
                Some(before) if before.topic_id.is_some() && before.topic_id != id => {
                    info!(
                        topic,
                        partition, "the topic was recreated: reading it from its beginning"
                    );
                    0
                }
                Some(before) if self.out_of_range.get() || before.topic_id.is_none() => {
                    self.within_range(topic, partition, before)?
                }
                Some(before) => before.next,
            };
            positions.push(at(partition, next));
        }
        if unknown.is_empty() {
            return Ok(positions);
        }
        // A topic or partition created while this consumer runs has no earlier records.
        let is_new = self.absent.contains(topic) || self.positions.has_topic(topic, id);
        let starts = match self.start {
            InitialPosition::Since(since) if !is_new => self.since(topic, &unknown, since, false)?,
            InitialPosition::GroupOrSince(since) if !is_new => self.since(topic, &unknown, since, true)?,
            _ => vec![0; unknown.len()],
        };
        let starts = unknown.into_iter().zip(starts);
        positions.extend(starts.map(|(partition, next)| at(partition, next)));
        Ok(positions)
    }

    /// The position, moved into the range of offsets that Kafka holds.
    fn within_range(&self, topic: &str, partition: i32, position: Position) -> Result<i64, Error> {
        let OffsetRange { low, high } = self.range(topic, partition)?;
        let next = position.next;
        if next > high && position.topic_id.is_none() {
            info!(
                topic,
                partition, "the topic seems to have been recreated: reading it from its beginning"
            );
            return Ok(low);
        }
        if next > high {
            warn!(
                topic,
                partition,
                position = next,
                end = high,
                "Kafka has lost records that this gateway had read: reading continues at the end"
            );
        } else if next < low && next > 0 {
            warn!(
                topic,
                partition,
                position = next,
                beginning = low,
                "Kafka has deleted records that this gateway had not read: reading continues at the beginning"
            );
        }
        Ok(next.clamp(low, high))
    }

    fn range(&self, topic: &str, partition: i32) -> Result<OffsetRange, Error> {
        // A newly created partition may not have a leader yet.
        let deadline = Instant::now() + REPLY_TIMEOUT;
        let act = "return the offset range of a partition";
        let ask = || self.admin.fetch_watermarks(topic, partition, REPLY_TIMEOUT);
        with_retries(deadline, act, ask).map(|(low, high)| OffsetRange { low, high })
    }

    /// Looks up the offsets for an [`InitialPosition`]. `with_group` prefers the group's committed offsets.
    fn since(
        &self,
        topic: &str,
        partitions: &[i32],
        since: i64,
        with_group: bool,
    ) -> Result<Vec<i64>, Error> {
        let list = |offset: Offset| {
            let mut list = TopicPartitionList::new();
            for partition in partitions {
                list.add_partition_offset(topic, *partition, offset)
                    .map_err(Error::of(ASSIGN))?;
            }
            Ok(list)
        };
        // Read before the lookup by time: a record that arrives in between lies beyond `high` and is not skipped.
        let mut ranges = Vec::new();
        for &partition in partitions {
            ranges.push(self.range(topic, partition)?);
        }
        let committed = match with_group {
            false => TopicPartitionList::new(),
            true => self
                .admin
                .committed_offsets(list(Offset::Invalid)?, REPLY_TIMEOUT)
                .map_err(Error::of("return the group's offsets"))?,
        };
        let later = self
            .admin
            .offsets_for_times(list(Offset::Offset(since))?, REPLY_TIMEOUT)
            .map_err(Error::of("return the offsets for a time"))?;
        let offset_in = |list: &TopicPartitionList, partition| match list.find_partition(topic, partition) {
            Some(found) => match found.offset() {
                Offset::Offset(offset) => Some(offset),
                _ => None,
            },
            None => None,
        };
        let mut starts = Vec::new();
        for (&partition, OffsetRange { low, high }) in partitions.iter().zip(ranges) {
            let start = match offset_in(&committed, partition) {
                // The group's offsets may belong to an older topic of this name.
                Some(committed) if committed <= high => committed.max(low),
                Some(_) => low,
                None => offset_in(&later, partition).unwrap_or(high),
            };
            debug!(topic, partition, start, "no stored position: starting here");
            starts.push(start);
        }
        Ok(starts)
    }
}
