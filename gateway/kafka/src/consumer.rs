//! Consumes Kafka, always as `read_committed`.
//!
//! A consumer assigns its own partitions and continues at its own positions; see [`assignment`]. It is not a member of
//! a consumer group: Kafka deletes a group's offsets after a while, and records would depend on the group's protocol,
//! sessions and coordinator. The positions are still committed under the group's name, for monitoring tools.

mod assignment;
mod record;

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use comptoir_core::position::{Position, PositionTable, TopicId};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::statistics::Statistics;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, ClientContext, TopicPartitionList};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::connection_errors::ConnectionErrors;
use super::positions::Positions;
use super::settings::{self, LogOnlyContext, at_most};
use super::traffic::ClientTraffic;
use super::{Error, Settings};
use assignment::{AssignedTopic, PendingRequest};
pub use record::{BorrowedRecord, OwnedRecord};

/// Longest wait for a record while a reply is outstanding, so that the reply is noticed quickly.
const POLL_WHILE_PENDING: Duration = Duration::from_millis(20);
/// How often [`Consumer::confirm`] polls for a reply.
const CONFIRM_EVERY: Duration = Duration::from_millis(2);
/// How long closing may take. A client that hangs is abandoned.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Where to start in a partition without a stored position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitialPosition {
    Beginning,
    /// At the first record since this time (Unix ms). Topics and partitions created while the consumer runs are read
    /// from their beginning.
    Since(i64),
    /// At the group's committed offset, or else at the first record since this time (Unix ms). New topics and
    /// partitions are treated as with [`InitialPosition::Since`].
    GroupOrSince(i64),
}

/// Callbacks of a consumer's client.
pub(super) struct Context {
    positions: Positions,
    connection_errors: ConnectionErrors,
    traffic: ClientTraffic,
    /// Set when a connection fails.
    has_connection_failed: Arc<AtomicBool>,
}

impl Context {
    /// A context for a client that reads no records.
    pub fn of(settings: &Settings) -> Self {
        Self {
            positions: Positions::default(),
            connection_errors: settings.connection_errors.clone(),
            traffic: settings.traffic.of_client(),
            has_connection_failed: Arc::default(),
        }
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.connection_errors.note(message);
        settings::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.connection_errors.note(reason);
        self.has_connection_failed.store(true, Ordering::Relaxed);
        debug!(%error, reason, "kafka consumer");
    }

    fn stats(&self, statistics: Statistics) {
        self.traffic.note(&statistics);
        self.positions.note_ends(statistics);
    }
}

impl ConsumerContext for Context {
    fn commit_callback(&self, result: Result<(), KafkaError>, _: &TopicPartitionList) {
        if let Err(error) = result {
            debug!(%error, "could not commit the group's offsets, which only monitoring tools read");
        }
    }
}

/// Consumes topics from the consumer's own positions.
pub struct Consumer {
    consumer: Arc<BaseConsumer<Context>>,
    /// Requests about the topics use this client. On the connections of `consumer` they would wait behind a long poll
    /// for records.
    admin: Arc<BaseConsumer<Context>>,
    has_connection_failed: Arc<AtomicBool>,
    settings: Settings,
    /// Suffix of the group's name.
    group: String,
    positions: Positions,
    /// Full names.
    topics: Vec<String>,
    start: InitialPosition,
    /// How long Kafka may wait for records before it replies.
    longest_poll: Duration,
    pending: Option<PendingRequest>,
    /// When the next description of the topics is due.
    refresh_at: Cell<Instant>,
    /// Brokers that can describe the topics, asked in turn. If empty, the brokers are requested first.
    brokers: Vec<i32>,
    /// Failed requests since the topics were last described.
    unanswered: usize,
    /// By topic.
    assigned: HashMap<String, AssignedTopic>,
    /// Topics that were absent at some time since this consumer started.
    absent: HashSet<String>,
    /// How many times in a row a topic was found absent.
    incomplete: u32,
    /// Whether Kafka has no record at one of the positions.
    out_of_range: Cell<bool>,
    /// Number of assignments so far.
    assignments: u64,
}

impl Consumer {
    fn client(&self) -> Result<BaseConsumer<Context>, Error> {
        client(
            &self.settings,
            &self.group,
            self.longest_poll,
            &self.positions,
            &self.has_connection_failed,
        )
    }
}

fn client(
    settings: &Settings,
    group: &str,
    longest_poll: Duration,
    positions: &Positions,
    has_connection_failed: &Arc<AtomicBool>,
) -> Result<BaseConsumer<Context>, Error> {
    let context = Context {
        positions: positions.clone(),
        connection_errors: settings.connection_errors.clone(),
        traffic: settings.traffic.of_client(),
        has_connection_failed: Arc::clone(has_connection_failed),
    };
    create(settings, group, longest_poll, context).map_err(Error::of("accept the consumer"))
}

/// Creates the client of a [`Consumer`]. `group` is the suffix of the group's name.
pub(super) fn create<C: ConsumerContext>(
    settings: &Settings,
    group: &str,
    longest_poll: Duration,
    context: C,
) -> Result<BaseConsumer<C>, KafkaError> {
    config(settings, group, longest_poll).create_with_context(context)
}

/// The configuration of a long-running consumer's client. `group` is the suffix of the group's name.
pub(super) fn config(settings: &Settings, group: &str, longest_poll: Duration) -> ClientConfig {
    let mut config = settings.client();
    config
        .set("group.id", settings.group(group))
        .set("isolation.level", "read_committed")
        // The consumer handles positions without a record itself.
        .set("auto.offset.reset", "error")
        .set("enable.auto.commit", "true")
        .set("enable.auto.offset.store", "false")
        .set("auto.commit.interval.ms", "1000")
        .set("statistics.interval.ms", "2000")
        // Kafka replies as soon as there is a record; the wait only limits how often an idle consumer polls.
        .set("fetch.wait.max.ms", longest_poll.as_millis().to_string())
        .set("fetch.error.backoff.ms", "50")
        // Bounds the memory of the prefetch buffer. Records are consumed as they arrive.
        .set("queued.max.messages.kbytes", "2048")
        .set("fetch.max.bytes", "262144");
    finish(settings, &mut config);
    config
}

/// Applies the owner's properties, except `message.max.bytes`, which is meant for records that the gateway sends. A
/// consumer only uses it as a lower bound of the fetch size, and fetches larger records anyway.
fn finish(settings: &Settings, config: &mut ClientConfig) {
    settings.finish(config);
    config.set("message.max.bytes", "262144");
    at_most(config, "message.max.bytes", "fetch.max.bytes");
}

impl Consumer {
    /// Creates a consumer of these topics (full names). It connects later: see [`Consumer::refresh_assignment`].
    /// `group` is the suffix of the group's name.
    ///
    /// # Errors
    /// librdkafka rejects the settings.
    pub fn new(
        settings: &Settings,
        group: &str,
        topics: Vec<String>,
        start: InitialPosition,
        longest_poll: Duration,
        positions: Positions,
    ) -> Result<Self, Error> {
        let has_connection_failed = Arc::default();
        let consumer = client(settings, group, longest_poll, &positions, &has_connection_failed)?;
        let admin = client(
            settings,
            group,
            longest_poll,
            &Positions::default(),
            &has_connection_failed,
        )?;
        Ok(Self {
            consumer: Arc::new(consumer),
            admin: Arc::new(admin),
            has_connection_failed,
            settings: settings.clone(),
            group: group.to_owned(),
            positions,
            topics,
            longest_poll,
            start,
            pending: None,
            brokers: Vec::new(),
            unanswered: 0,
            refresh_at: Cell::new(Instant::now()),
            assigned: HashMap::new(),
            absent: HashSet::new(),
            incomplete: 0,
            out_of_range: Cell::new(false),
            assignments: 0,
        })
    }

    /// The next record, if one arrives within the timeout.
    pub fn poll(&self, within: Duration) -> Option<BorrowedRecord<'_>> {
        if self.has_connection_failed.swap(false, Ordering::Relaxed) {
            // Finds out soon whether Kafka is unreachable, instead of at the next interval.
            self.refresh_at.set(Instant::now().min(self.refresh_at.get()));
        }
        // Serves the log of the other client, which names connection errors.
        let _ = self.admin.poll(Duration::ZERO);
        let within = match self.pending {
            None => within,
            Some(_) => within.min(POLL_WHILE_PENDING),
        };
        match self.consumer.poll(within)? {
            Ok(message) => return Some(BorrowedRecord(message)),
            Err(KafkaError::PartitionEOF(_)) => {}
            Err(error) => {
                match error.rdkafka_error_code() {
                    Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                        self.out_of_range.set(true);
                        self.refresh_at.set(Instant::now());
                    }
                    Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                        self.refresh_at.set(Instant::now());
                    }
                    _ => {}
                }
                debug!(%error, "kafka consumer");
            }
        }
        None
    }

    /// Marks the records of a partition up to `offset` as processed. Returns the position after them.
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

    /// The positions in all partitions.
    pub fn positions(&self) -> PositionTable {
        self.positions.table()
    }

    /// The id of an assigned topic.
    pub fn topic_id(&self, topic: &str) -> Option<TopicId> {
        self.assigned.get(topic)?.id
    }

    /// Waits for one record, and returns it with the buffered ones that follow it, at most `most` in total.
    pub fn batch(&self, most: usize, within: Duration) -> Vec<OwnedRecord> {
        let mut batch = Vec::new();
        let mut wait = within;
        while batch.len() < most
            && let Some(record) = self.poll(wait)
        {
            batch.push(OwnedRecord::from(&record));
            wait = Duration::ZERO;
        }
        batch
    }

    /// Asks Kafka whether the records read so far belong to the present topics: a recreated topic may have a record at
    /// the old topic's position. `Some(false)` if the topics have changed, so the records must be read again. `None` if
    /// the stop came before Kafka replied. `report` gets each result of [`Consumer::refresh_assignment`].
    pub fn confirm(
        &mut self,
        stop: &CancellationToken,
        mut report: impl FnMut(&Result<(), Error>),
    ) -> Option<bool> {
        let assignments = self.assignments;
        // The reply to an older request proves nothing about records read since.
        self.pending = None;
        self.refresh_at.set(Instant::now());
        while !stop.is_cancelled() {
            if let Some(result) = self.refresh_assignment() {
                report(&result);
                if result.is_ok() {
                    return Some(self.assignments == assignments);
                }
            }
            std::thread::sleep(CONFIRM_EVERY);
        }
        None
    }

    /// Closes the client, which commits the group's offsets. Waits at most one second for that.
    pub fn close(self) {
        let (closed, done) = mpsc::channel::<()>();
        let thread = std::thread::Builder::new().name("kafka-close".to_owned());
        let spawned = thread.spawn(move || {
            drop(self);
            drop(closed);
        });
        if spawned.is_ok() {
            // Fails once the client is closed.
            let _ = done.recv_timeout(CLOSE_TIMEOUT);
        }
    }
}

/// Drops a client on its own thread, because dropping blocks as long as Kafka hangs.
fn drop_in_background(consumer: Arc<BaseConsumer<Context>>) {
    let thread = std::thread::Builder::new().name("kafka-close".to_owned());
    // If the thread cannot start, the client is dropped here.
    let _ = thread.spawn(move || drop(consumer));
}

/// How much a client fetches from a partition at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FetchSize {
    /// As much as the client has room for.
    Default,
    /// As little as possible: one batch, without prefetching more.
    OneBatch,
}

/// A client for bounded reads: its partitions are assigned manually, it commits nothing, and it reports the end of a
/// partition.
pub(super) fn reader(
    settings: &Settings,
    isolation: &str,
    fetch_size: FetchSize,
) -> Result<BaseConsumer<LogOnlyContext>, KafkaError> {
    let mut config = settings.client();
    config
        .set("group.id", format!("{}-watermark", settings.transactional_id()))
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "earliest")
        .set("fetch.wait.max.ms", "20")
        .set("isolation.level", isolation);
    if fetch_size == FetchSize::OneBatch {
        config
            .set("max.partition.fetch.bytes", "1024")
            .set("queued.min.messages", "1");
    }
    finish(settings, &mut config);
    config.create_with_context(LogOnlyContext)
}
