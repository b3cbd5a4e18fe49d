//! Follows the tail of topics: a `read_committed` consumer without a group and without stored positions, for what is
//! happening now.
//!
//! It starts a while before the end, and notices new partitions and recreated topics, which it reads from their
//! beginning. Nothing that somebody writes to a topic ends it: it continues behind batches that cannot be decoded.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use comptoir_core::position::TopicId;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::statistics::Statistics;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use tracing::{debug, warn};

use super::admin_request::TopicDescription;
use super::consumer::{BorrowedRecord, FetchSize, config, reader};
use super::describe::describe_topics;
use super::settings::{self, LogOnlyContext};
use super::undecodable::{first_readable, is_undecodable};
use super::{Error, Settings};

/// Timeout of one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// How long Kafka may wait for records before it replies. A partition that becomes readable waits for that reply.
const LONGEST_POLL: Duration = Duration::from_millis(100);
const ASSIGN: &str = "assign the partitions";

/// The result of [`TailConsumer::refresh`]. A later variant takes precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TailChange {
    Unchanged,
    /// The consumer reads more partitions, and has missed nothing.
    Extended,
    /// Records were skipped.
    Skipped,
    /// A topic was recreated or deleted: its offsets begin again.
    Recreated,
}

/// The client's callbacks.
struct Context;

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        settings::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        debug!(%error, reason, "kafka tail");
    }

    // Otherwise rdkafka would log the statistics.
    fn stats(&self, _: Statistics) {}
}

impl ConsumerContext for Context {}

/// A topic and the next offset in each of its partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
struct FollowedTopic {
    /// `None` if the Kafka brokers have no topic ids.
    id: Option<TopicId>,
    next: BTreeMap<i32, i64>,
}

/// A consumer of the tail of topics. Its calls block.
pub struct TailConsumer {
    consumer: BaseConsumer<Context>,
    /// For requests about the topics, which would wait behind a long poll for records.
    admin: Arc<BaseConsumer<LogOnlyContext>>,
    settings: Settings,
    /// Full name. The consumer does not join it, but librdkafka asks Kafka for its coordinator.
    group: String,
    /// Full names.
    topics: Vec<String>,
    /// How far before the end it starts.
    since: Duration,
    followed: HashMap<String, FollowedTopic>,
    /// Topics that were absent at some time since the start.
    absent: HashSet<String>,
    /// Whether Kafka has no record at a position, or a batch cannot be decoded.
    is_stuck: bool,
}

impl TailConsumer {
    /// Creates a consumer of these topics (full names). [`Self::refresh`] connects it. `group` is the full name of a
    /// group that this client may read; it neither joins the group nor commits.
    ///
    /// # Errors
    /// librdkafka rejects the settings.
    pub fn new(
        settings: &Settings,
        group: &str,
        topics: Vec<String>,
        since: Duration,
    ) -> Result<Self, Error> {
        let accepted = Error::of("accept the consumer");
        let admin = reader(settings, "read_committed", FetchSize::Default).map_err(&accepted)?;
        Ok(Self {
            consumer: client(settings, group).map_err(accepted)?,
            admin: Arc::new(admin),
            settings: settings.clone(),
            group: group.to_owned(),
            topics,
            since,
            followed: HashMap::new(),
            absent: HashSet::new(),
            is_stuck: false,
        })
    }

    /// The next record, if one arrives within the timeout.
    pub fn poll(&mut self, within: Duration) -> Option<BorrowedRecord<'_>> {
        match self.consumer.poll(within)? {
            Ok(message) => {
                let record = BorrowedRecord(message);
                let topic = self.followed.get_mut(record.topic());
                if let Some(next) = topic.and_then(|topic| topic.next.get_mut(&record.partition())) {
                    *next = record.offset() + 1;
                }
                Some(record)
            }
            Err(error) => {
                self.is_stuck |= match error.rdkafka_error_code() {
                    Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => true,
                    Some(code) => is_undecodable(code),
                    None => false,
                };
                debug!(%error, "kafka tail");
                None
            }
        }
    }

    /// Whether reading cannot continue until [`Self::refresh`] is called.
    pub fn is_stuck(&self) -> bool {
        self.is_stuck
    }

    /// Asks Kafka for the topics and partitions, and adapts the assignment. Call it before the first poll, then every
    /// few seconds, and when [`Self::is_stuck`].
    ///
    /// # Errors
    /// Kafka does not reply.
    pub fn refresh(&mut self) -> Result<TailChange, Error> {
        let (found, mut change) = self.find()?;
        let found = match self.is_stuck {
            true => {
                let (readable, has_skipped) = self.behind_unreadable(found)?;
                if has_skipped {
                    change = change.max(TailChange::Skipped);
                }
                readable
            }
            false => found,
        };
        if found != self.followed || self.is_stuck {
            // A client that has read a recreated topic may continue at the old offset, or not at all.
            let is_first = self.followed.is_empty();
            if !is_first {
                self.consumer = client(&self.settings, &self.group).map_err(Error::of(ASSIGN))?;
            }
            assign(&self.consumer, &found)?;
            self.followed = found;
            self.is_stuck = false;
        }
        Ok(change)
    }

    /// The topics that exist now, with the position in each of their partitions.
    fn find(&mut self) -> Result<(HashMap<String, FollowedTopic>, TailChange), Error> {
        let mut found = HashMap::new();
        let mut change = TailChange::Unchanged;
        for topic in describe_topics(&self.admin, &self.topics)? {
            match topic.error {
                None => {
                    let (name, followed, topics_change) = self.follow(topic)?;
                    change = change.max(topics_change);
                    found.insert(name, followed);
                }
                Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                    if self.followed.contains_key(&topic.name) {
                        change = TailChange::Recreated;
                    }
                    self.absent.insert(topic.name);
                }
                // For example, it has no leader now, or this client may not read it yet.
                Some(error) => {
                    debug!(%error, topic = topic.name, "Kafka cannot describe the topic at the moment");
                    if let Some(before) = self.followed.get(&topic.name) {
                        found.insert(topic.name, before.clone());
                    }
                }
            }
        }
        Ok((found, change))
    }

    fn follow(&self, topic: TopicDescription) -> Result<(String, FollowedTopic, TailChange), Error> {
        let TopicDescription {
            name, id, partitions, ..
        } = topic;
        let before = self.followed.get(&name);
        let known = before.filter(|before| before.id == id);
        let mut change = match (before, known) {
            (Some(_), None) => TailChange::Recreated,
            (None, _) => TailChange::Extended,
            (Some(_), Some(_)) => TailChange::Unchanged,
        };
        let is_first = before.is_none() && !self.absent.contains(&name);
        let mut next = BTreeMap::new();
        for partition in 0..partitions {
            let at = match known.and_then(|known| known.next.get(&partition)) {
                Some(at) => *at,
                None if is_first => self.recent(&name, partition)?,
                // It was created while this consumer runs.
                None => {
                    change = change.max(TailChange::Extended);
                    self.range(&name, partition)?.0
                }
            };
            next.insert(partition, at);
        }
        Ok((name, FollowedTopic { id, next }, change))
    }

    /// The offset of the first record of the last while.
    fn recent(&self, topic: &str, partition: i32) -> Result<i64, Error> {
        // Read before the lookup by time: a record that arrives in between lies beyond `end` and is not skipped.
        let (_, end) = self.range(topic, partition)?;
        let failed = Error::of("return the offsets for a time");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let since = now.saturating_sub(self.since).as_millis();
        let mut times = TopicPartitionList::new();
        let since = Offset::Offset(i64::try_from(since).unwrap_or_default());
        times
            .add_partition_offset(topic, partition, since)
            .map_err(&failed)?;
        let found = self
            .admin
            .offsets_for_times(times, REQUEST_TIMEOUT)
            .map_err(failed)?;
        let found = found.find_partition(topic, partition).map(|found| found.offset());
        Ok(match found {
            Some(Offset::Offset(offset)) => offset.min(end),
            _ => end,
        })
    }

    /// The first offset and the end that a `read_committed` consumer sees.
    fn range(&self, topic: &str, partition: i32) -> Result<(i64, i64), Error> {
        let range = self.admin.fetch_watermarks(topic, partition, REQUEST_TIMEOUT);
        range.map_err(Error::of("return the ends of a partition"))
    }

    /// The topics with positions at records that can be read, and whether that skips any.
    fn behind_unreadable(
        &self,
        mut topics: HashMap<String, FollowedTopic>,
    ) -> Result<(HashMap<String, FollowedTopic>, bool), Error> {
        let mut has_skipped = false;
        for (topic, followed) in &mut topics {
            for (partition, next) in &mut followed.next {
                let (first, end) = self.range(topic, *partition)?;
                let mut at = (*next).clamp(first, end);
                let place = (topic.clone(), *partition);
                if let Some(readable) = first_readable(&self.settings, &place, at, end)? {
                    at = readable;
                }
                if at != *next {
                    warn!(
                        topic,
                        partition,
                        from = *next,
                        to = at,
                        "records cannot be shown live"
                    );
                    has_skipped = true;
                    *next = at;
                }
            }
        }
        Ok((topics, has_skipped))
    }
}

fn client(settings: &Settings, group: &str) -> Result<BaseConsumer<Context>, KafkaError> {
    let mut config = config(settings, "", LONGEST_POLL);
    config
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("statistics.interval.ms", "0");
    config.create_with_context(Context)
}

fn assign(consumer: &BaseConsumer<Context>, topics: &HashMap<String, FollowedTopic>) -> Result<(), Error> {
    let failed = Error::of(ASSIGN);
    let mut assignment = TopicPartitionList::new();
    for (topic, followed) in topics {
        for (partition, next) in &followed.next {
            assignment
                .add_partition_offset(topic, *partition, Offset::Offset(*next))
                .map_err(&failed)?;
        }
    }
    let assigned = match assignment.count() {
        0 => consumer.unassign(),
        _ => consumer.assign(&assignment),
    };
    assigned.map_err(failed)
}
