//! Reading Kafka, always `read_committed`.
//!
//! A reader assigns its partitions itself and goes on at its own positions. It is no member of a consumer group: Kafka
//! forgets a group's offsets after a while, and a group's protocol, its sessions and its coordinator would stand between
//! the reader and the records. The positions are committed under the group's name all the same, for tools to see.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message as _};
use rdkafka::statistics::Statistics;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::inquiry::{Inquiry, Right, TopicDescription};
use super::positions::{Position, PositionTable, Positions, TopicId};
use super::reasons::Reasons;
use super::{Error, Quiet, Resource, Settings, at_most};

/// How often Kafka is asked whether the topics are still those that are read.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The same while there is nothing to read yet.
const LOOK_SOON: Duration = Duration::from_millis(300);
/// For each question. A Kafka that is well has long answered.
const PATIENCE: Duration = Duration::from_secs(3);
/// How soon an answer is noticed.
const ANSWER: Duration = Duration::from_millis(20);
/// Between two looks for an answer that is waited for.
const CONFIRM: Duration = Duration::from_millis(2);
/// A consumer that is closed leaves Kafka in order. One that hangs is left behind.
const CLOSE: Duration = Duration::from_secs(1);

/// Where to begin in a partition of which the reader has no position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    Beginning,
    /// Where the group was, else at the first record since this time (Unix ms). A topic or a partition that appears while
    /// the reader looks on is read from its beginning.
    GroupOrSince(i64),
}

pub(super) struct Context {
    positions: Positions,
    reasons: Reasons,
}

impl Context {
    /// Of a client that reads nothing.
    pub fn of(settings: &Settings) -> Self {
        Self {
            positions: Positions::default(),
            reasons: settings.reasons.clone(),
        }
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.reasons.note(message);
        super::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.reasons.note(reason);
        debug!(%error, reason, "kafka consumer");
    }

    fn stats(&self, statistics: Statistics) {
        self.positions.note_ends(statistics);
    }
}

impl ConsumerContext for Context {
    fn commit_callback(&self, result: Result<(), KafkaError>, _: &TopicPartitionList) {
        if let Err(error) = result {
            debug!(%error, "the group's offsets, which are for tools, are not committed");
        }
    }
}

/// Reads some topics, from the reader's own positions.
pub struct Consumer {
    consumer: Arc<BaseConsumer<Context>>,
    settings: Settings,
    group: String,
    positions: Positions,
    topics: Vec<String>,
    start: Start,
    question: Option<Question>,
    look_at: Cell<Instant>,
    /// Whom to ask for the topics, in turn.
    brokers: Vec<i32>,
    /// Questions since the last answer about the topics.
    unanswered: usize,
    /// What is read, by topic: its id and the number of its partitions.
    assigned: HashMap<String, (Option<TopicId>, i32)>,
    /// Topics that were not there at the first look, or since.
    absent: HashSet<String>,
    /// Kafka has no record at a position.
    out_of_range: Cell<bool>,
    /// How often the partitions have been assigned.
    assignments: u64,
}

fn client(settings: &Settings, group: &str, positions: &Positions) -> Result<BaseConsumer<Context>, Error> {
    let context = Context {
        positions: positions.clone(),
        reasons: settings.reasons.clone(),
    };
    create(settings, group, context).map_err(Error::of("take a consumer"))
}

/// What Kafka has been asked.
enum Question {
    /// Which brokers there are. On a thread of its own, for that call blocks.
    Brokers(mpsc::Receiver<Result<Vec<i32>, KafkaError>>),
    Topics(Inquiry<Context>),
}

/// The client of a reader with a group's name.
pub(super) fn create<C: ConsumerContext>(
    settings: &Settings,
    group: &str,
    context: C,
) -> Result<BaseConsumer<C>, KafkaError> {
    let mut config = settings.client();
    config
        .set("group.id", settings.group(group))
        .set("isolation.level", "read_committed")
        // What is not there any more is the reader's to decide.
        .set("auto.offset.reset", "error")
        .set("enable.auto.commit", "true")
        .set("enable.auto.offset.store", "false")
        .set("auto.commit.interval.ms", "1000")
        .set("statistics.interval.ms", "2000")
        .set("topic.metadata.refresh.interval.ms", "10000")
        .set("fetch.wait.max.ms", "100")
        .set("fetch.error.backoff.ms", "50")
        // Bounds what lies unread here: it is read as fast as it comes.
        .set("queued.max.messages.kbytes", "2048")
        .set("fetch.max.bytes", "262144");
    finish(settings, &mut config);
    config.create_with_context(context)
}

/// With the owner's properties, and without the size of the records that he sends: to a consumer it says nothing but that
/// it must fetch as much at a time, and a larger record is fetched all the same.
fn finish(settings: &Settings, config: &mut ClientConfig) {
    settings.finish(config);
    config.set("message.max.bytes", "262144");
    at_most(config, "message.max.bytes", "fetch.max.bytes");
}

/// A record as it lies in librdkafka's buffer.
pub struct Message<'a>(pub(super) BorrowedMessage<'a>);

impl Message<'_> {
    /// Full name.
    pub fn topic(&self) -> &str {
        self.0.topic()
    }

    pub fn partition(&self) -> i32 {
        self.0.partition()
    }

    pub fn offset(&self) -> i64 {
        self.0.offset()
    }

    pub fn key(&self) -> &[u8] {
        self.0.key().unwrap_or_default()
    }

    pub fn payload(&self) -> &[u8] {
        self.0.payload().unwrap_or_default()
    }

    /// Unix ms, if the producer or the broker gave one.
    pub fn timestamp(&self) -> Option<i64> {
        self.0.timestamp().to_millis()
    }

    /// Calls with every header that has a value.
    pub fn headers<'m>(&'m self, mut each: impl FnMut(&'m str, &'m [u8])) {
        if let Some(headers) = self.0.headers() {
            for header in headers.iter() {
                each(header.key, header.value.unwrap_or_default());
            }
        }
    }
}

/// A record that no longer needs librdkafka's buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedRecord {
    /// Full name.
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub key: Vec<u8>,
    pub payload: Vec<u8>,
}

impl From<&Message<'_>> for OwnedRecord {
    fn from(message: &Message<'_>) -> Self {
        Self {
            topic: message.topic().to_owned(),
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().to_vec(),
            payload: message.payload().to_vec(),
        }
    }
}

impl Consumer {
    /// A reader of these topics, without Kafka yet: see [`Consumer::look`]. `group` is the end of its group's name.
    ///
    /// # Errors
    /// librdkafka does not take the settings.
    pub fn new(
        settings: &Settings,
        group: &str,
        topics: &[&str],
        start: Start,
        positions: Positions,
    ) -> Result<Self, Error> {
        let consumer = client(settings, group, &positions)?;
        Ok(Self {
            consumer: Arc::new(consumer),
            settings: settings.clone(),
            group: group.to_owned(),
            positions,
            topics: topics.iter().map(|name| settings.topic(name)).collect(),
            start,
            question: None,
            brokers: Vec::new(),
            unanswered: 0,
            look_at: Cell::new(Instant::now()),
            assigned: HashMap::new(),
            absent: HashSet::new(),
            out_of_range: Cell::new(false),
            assignments: 0,
        })
    }

    /// Asks Kafka, now and then, which partitions there are, and reads those. Does not wait for the answer: `None` where
    /// none is due or there is none yet.
    ///
    /// # Errors
    /// Kafka does not answer, or it does not allow what the reader needs.
    pub fn look(&mut self) -> Option<Result<(), Error>> {
        let answer = match &self.question {
            None => {
                if Instant::now() >= self.look_at.get() {
                    self.question = Some(self.ask());
                }
                return None;
            }
            Some(Question::Brokers(brokers)) => match brokers.try_recv() {
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
            Some(Question::Topics(inquiry)) => inquiry.described(Duration::ZERO)?.map(Some),
        };
        let is_about_topics = matches!(self.question, Some(Question::Topics(_)));
        self.question = None;
        let found = match answer {
            Ok(Some(topics)) => {
                self.settings.reasons.reached();
                self.unanswered = 0;
                self.assign(topics)
            }
            // Now those can be asked.
            Ok(None) => return None,
            Err(error) => {
                let asked = self.brokers.len();
                self.brokers.clear();
                self.unanswered += 1;
                // Perhaps it is only that broker: another one is asked at once.
                if is_about_topics && self.unanswered < asked {
                    return None;
                }
                Err(Error::of("describe its topics")(error))
            }
        };
        let complete = self.assigned.len() == self.topics.len();
        self.look_at
            .set(Instant::now() + if complete { LOOK_EVERY } else { LOOK_SOON });
        Some(found)
    }

    fn ask(&self) -> Question {
        if let Some(&broker) = self.brokers.get(self.unanswered % self.brokers.len().max(1)) {
            return Question::Topics(Inquiry::topics(&self.consumer, broker, &self.topics, PATIENCE));
        }
        let (answer, brokers) = mpsc::channel();
        let consumer = Arc::clone(&self.consumer);
        let topic = self.topics.first().cloned();
        let ask = std::thread::Builder::new().name("kafka-brokers".to_owned());
        // Without a thread the answer is that there are none, and it is asked again.
        let _ = ask.spawn(move || {
            let metadata = consumer.fetch_metadata(topic.as_deref(), PATIENCE);
            let ids = metadata.map(|metadata| metadata.brokers().iter().map(|broker| broker.id()).collect());
            // The reader may have been closed meanwhile.
            let _ = answer.send(ids);
        });
        Question::Brokers(brokers)
    }

    /// Reads all partitions of what was described.
    fn assign(&mut self, topics: Vec<TopicDescription>) -> Result<(), Error> {
        let mut found = HashMap::new();
        let mut denied = None;
        for topic in topics {
            match topic.error {
                None if topic.allows(Right::Read) => {
                    found.insert(topic.name, (topic.id, topic.partitions));
                }
                None | Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
                    denied.get_or_insert(topic.name);
                }
                Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                    self.absent.insert(topic.name);
                }
                // It has no leader at the moment, say. What is read of it goes on.
                Some(error) => {
                    debug!(%error, topic = topic.name, "a topic that cannot be described now");
                    if let Some(before) = self.assigned.remove(&topic.name) {
                        found.insert(topic.name, before);
                    }
                }
            }
        }
        if found != self.assigned || self.out_of_range.get() {
            // librdkafka may go on in the new topic where it was in the old one, or not at all: a new client knows none.
            let is_anew = |(topic, (id, _)): (&String, &(Option<TopicId>, i32))| {
                let before = self.assigned.get(topic);
                before.is_some_and(|(before, _)| before != id)
            };
            if found.iter().any(is_anew) {
                let new = client(&self.settings, &self.group, &self.positions)?;
                leave(std::mem::replace(&mut self.consumer, Arc::new(new)));
            }
            self.go_on_in(&found)?;
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

    /// Reads these topics, each partition from where its position is found to be.
    fn go_on_in(&self, topics: &HashMap<String, (Option<TopicId>, i32)>) -> Result<(), Error> {
        let mut assignment = TopicPartitionList::new();
        for (topic, &(id, partitions)) in topics {
            let positions = self.positions_in(topic, id, partitions)?;
            for (partition, position) in &positions {
                let offset = match position.next {
                    0 => Offset::Beginning,
                    next => Offset::Offset(next),
                };
                assignment
                    .add_partition_offset(topic, *partition, offset)
                    .map_err(Error::of(ASSIGN))?;
            }
            self.positions.replace(topic, &positions);
        }
        let assigned = match assignment.count() {
            0 => self.consumer.unassign(),
            _ => self.consumer.assign(&assignment),
        };
        assigned.map_err(Error::of(ASSIGN))
    }

    fn positions_in(
        &self,
        topic: &str,
        id: Option<TopicId>,
        partitions: i32,
    ) -> Result<Vec<(i32, Position)>, Error> {
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
                        partition, "the topic was made anew: it is read from its beginning"
                    );
                    0
                }
                Some(before) if self.out_of_range.get() || before.topic_id.is_none() => {
                    self.within_range(topic, partition, before)?
                }
                Some(before) => before.next,
            };
            positions.push((partition, Position { next, topic_id: id }));
        }
        if unknown.is_empty() {
            return Ok(positions);
        }
        // A partition that was added, or a topic that was made, while somebody looked on.
        let is_new = self.absent.contains(topic) || self.positions.has_topic(topic, id);
        let starts = match self.start {
            Start::GroupOrSince(since) if !is_new => self.group_or_since(topic, &unknown, since)?,
            _ => vec![0; unknown.len()],
        };
        let starts = unknown.into_iter().zip(starts);
        positions.extend(starts.map(|(partition, next)| (partition, Position { next, topic_id: id })));
        Ok(positions)
    }

    /// The position, or the next one that Kafka has.
    fn within_range(&self, topic: &str, partition: i32, position: Position) -> Result<i64, Error> {
        let (low, high) = self.range(topic, partition)?;
        let next = position.next;
        if next > high && position.topic_id.is_none() {
            info!(
                topic,
                partition, "the topic seems to be made anew: it is read from its beginning"
            );
            return Ok(low);
        }
        if next > high {
            warn!(
                topic,
                partition,
                position = next,
                end = high,
                "Kafka has lost records that were read here: reading goes on at the end"
            );
        } else if next < low && next > 0 {
            warn!(
                topic,
                partition,
                position = next,
                beginning = low,
                "Kafka has deleted records before they were read here: reading goes on at the beginning"
            );
        }
        Ok(next.clamp(low, high))
    }

    fn range(&self, topic: &str, partition: i32) -> Result<(i64, i64), Error> {
        self.consumer
            .fetch_watermarks(topic, partition, PATIENCE)
            .map_err(Error::of("give the range of its offsets"))
    }

    /// See [`Start::GroupOrSince`].
    fn group_or_since(&self, topic: &str, partitions: &[i32], since: i64) -> Result<Vec<i64>, Error> {
        let list = |offset: Offset| {
            let mut list = TopicPartitionList::new();
            for partition in partitions {
                list.add_partition_offset(topic, *partition, offset)
                    .map_err(Error::of(ASSIGN))?;
            }
            Ok(list)
        };
        // First, so that a record that comes meanwhile lies behind the end.
        let mut ranges = Vec::new();
        for &partition in partitions {
            ranges.push(self.range(topic, partition)?);
        }
        let committed = self
            .consumer
            .committed_offsets(list(Offset::Invalid)?, PATIENCE)
            .map_err(Error::of("give the group's offsets"))?;
        let later = self
            .consumer
            .offsets_for_times(list(Offset::Offset(since))?, PATIENCE)
            .map_err(Error::of("give the offsets of a time"))?;
        let offset_in = |list: &TopicPartitionList, partition| match list.find_partition(topic, partition) {
            Some(found) => match found.offset() {
                Offset::Offset(offset) => Some(offset),
                _ => None,
            },
            None => None,
        };
        let mut starts = Vec::new();
        for (&partition, (low, high)) in partitions.iter().zip(ranges) {
            let start = match offset_in(&committed, partition) {
                // The group's offsets may be older than the topic.
                Some(committed) if committed <= high => committed.max(low),
                Some(_) => low,
                None => offset_in(&later, partition).unwrap_or(high),
            };
            debug!(topic, partition, start, "there was no position");
            starts.push(start);
        }
        Ok(starts)
    }

    /// The next record, if one comes in time.
    pub fn poll(&self, within: Duration) -> Option<Message<'_>> {
        let within = match self.question {
            None => within,
            // Its answer is not to wait for a record.
            Some(_) => within.min(ANSWER),
        };
        match self.consumer.poll(within)? {
            Ok(message) => return Some(Message(message)),
            Err(KafkaError::PartitionEOF(_)) => {}
            Err(error) => {
                match error.rdkafka_error_code() {
                    Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                        self.out_of_range.set(true);
                        self.look_at.set(Instant::now());
                    }
                    Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                        self.look_at.set(Instant::now());
                    }
                    _ => {}
                }
                debug!(%error, "kafka consumer");
            }
        }
        None
    }

    /// The records up to here have been dealt with. Gives the position behind them.
    pub fn done(&self, topic: &str, partition: i32, offset: i64) -> Position {
        let position = Position {
            next: offset + 1,
            topic_id: self.topic_id(topic),
        };
        self.positions.advance(topic, partition, position);
        if let Err(error) = self.consumer.store_offset(topic, partition, offset) {
            debug!(%error, topic, partition, "offset not stored");
        }
        position
    }

    /// All of the reader's positions.
    pub fn positions(&self) -> PositionTable {
        self.positions.table()
    }

    /// Of a topic that is read.
    pub fn topic_id(&self, topic: &str) -> Option<TopicId> {
        self.assigned.get(topic)?.0
    }

    /// The next records: one if it comes in time, and those that are there with it.
    pub fn batch(&self, most: usize, within: Duration) -> Vec<OwnedRecord> {
        let mut batch = Vec::new();
        let mut wait = within;
        while batch.len() < most
            && let Some(message) = self.poll(wait)
        {
            batch.push(OwnedRecord::from(&message));
            wait = Duration::ZERO;
        }
        batch
    }

    /// Whether what was read up to now is of the topics that are there now: a topic that is made anew may have a record at
    /// the position that the one before had. `None` where it is told to stop before Kafka has answered. Otherwise it is to
    /// be read again: see [`Consumer::look`].
    pub fn confirm(
        &mut self,
        stop: &CancellationToken,
        mut looked: impl FnMut(&Result<(), Error>),
    ) -> Option<bool> {
        let assignments = self.assignments;
        // One that was asked before says nothing of what has been read since.
        self.question = None;
        self.look_at.set(Instant::now());
        while !stop.is_cancelled() {
            if let Some(result) = self.look() {
                looked(&result);
                if result.is_ok() {
                    return Some(self.assignments == assignments);
                }
            }
            std::thread::sleep(CONFIRM);
        }
        None
    }

    /// Leaves Kafka in order, if that does not take long.
    pub fn close(self) {
        let (closed, done) = mpsc::channel::<()>();
        let close = std::thread::Builder::new().name("kafka-close".to_owned());
        let spawned = close.spawn(move || {
            drop(self);
            drop(closed);
        });
        if spawned.is_ok() {
            // An error says that it is closed.
            let _ = done.recv_timeout(CLOSE);
        }
    }
}

/// Lets a client end by itself: that may take as long as Kafka hangs.
fn leave(consumer: Arc<BaseConsumer<Context>>) {
    let leave = std::thread::Builder::new().name("kafka-close".to_owned());
    // Without a thread it has ended here.
    let _ = leave.spawn(move || drop(consumer));
}

const ASSIGN: &str = "assign the partitions";

/// The client that reads a partition and joins no group.
pub(super) fn reader(settings: &Settings, isolation: &str) -> Result<BaseConsumer<Quiet>, KafkaError> {
    let mut config = settings.client();
    config
        .set("group.id", format!("{}-watermark", settings.transactional_id()))
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "earliest")
        .set("fetch.wait.max.ms", "20")
        .set("isolation.level", isolation);
    finish(settings, &mut config);
    config.create_with_context(Quiet)
}
