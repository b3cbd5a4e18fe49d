//! Reading Kafka, always `read_committed`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message as _};
use rdkafka::statistics::Statistics;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};
use tracing::{debug, warn};

use super::{Error, Quiet, Settings, at_most};

/// Where to begin in a partition that the reader has no position of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Where the group was, else at the beginning.
    Group,
    /// At the reader's own positions, else at the beginning.
    Positions,
}

/// One partition, as last seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Partition {
    pub topic: String,
    pub partition: i32,
    /// The next offset to be read.
    pub position: i64,
    /// One past the last offset in Kafka, when known.
    pub end: Option<i64>,
    /// Offsets before `end` that are still to be read, when known.
    pub lag: Option<i64>,
}

#[derive(Default)]
struct Seen {
    positions: HashMap<(String, i32), i64>,
    ends: HashMap<(String, i32), End>,
}

/// Of a partition, as librdkafka's statistics say.
#[derive(Clone, Copy)]
struct End {
    end: i64,
    /// One past the last record that was handed to us, and past the ends of transactions behind it: those are records,
    /// too, but nobody is handed them, so that the position alone would never reach the end.
    handed: i64,
}

/// Which partitions have been read how far; shared with whoever shows it.
#[derive(Clone, Default)]
pub struct Positions(Arc<Mutex<Seen>>);

impl Positions {
    pub fn new(positions: HashMap<(String, i32), i64>) -> Self {
        Self(Arc::new(Mutex::new(Seen {
            positions,
            ..Seen::default()
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        // A panic elsewhere leaves the maps whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// By topic and partition.
    pub fn partitions(&self) -> Vec<Partition> {
        let seen = self.lock();
        let mut partitions: Vec<_> = seen
            .positions
            .iter()
            .map(|(key, &position)| {
                let end = seen.ends.get(key);
                Partition {
                    topic: key.0.clone(),
                    partition: key.1,
                    position,
                    end: end.map(|end| end.end),
                    lag: end.map(|end| (end.end - position.max(end.handed)).max(0)),
                }
            })
            .collect();
        partitions.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        partitions
    }
}

struct Context {
    start: Start,
    positions: Positions,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        super::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        debug!(%error, reason, "kafka consumer");
    }

    fn stats(&self, statistics: Statistics) {
        let mut seen = self.positions.lock();
        for (topic, of_topic) in statistics.topics {
            for (partition, of_partition) in of_topic.partitions {
                if partition >= 0 && of_partition.hi_offset >= 0 {
                    let end = End {
                        end: of_partition.hi_offset.max(of_partition.ls_offset),
                        handed: of_partition.app_offset,
                    };
                    seen.ends.insert((topic.clone(), partition), end);
                }
            }
        }
    }
}

impl ConsumerContext for Context {
    /// Assigns at our own positions: they were committed together with what was read.
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        error: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let done = if error == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            if self.start == Start::Positions {
                let mut seen = self.positions.lock();
                let assigned: Vec<(String, i32)> = partitions
                    .elements()
                    .iter()
                    .map(|element| (element.topic().to_owned(), element.partition()))
                    .collect();
                for key in assigned {
                    let position = seen.positions.entry(key.clone()).or_insert(0);
                    let offset = Offset::Offset(*position);
                    if let Err(error) = partitions.set_partition_offset(&key.0, key.1, offset) {
                        warn!(%error, topic = key.0, partition = key.1, "assignment");
                    }
                }
            }
            consumer.assign(partitions)
        } else {
            consumer.unassign()
        };
        if let Err(error) = done {
            warn!(%error, "assignment of partitions");
        }
    }
}

/// A member of a consumer group.
pub struct Consumer {
    consumer: BaseConsumer<Context>,
    topics: Vec<String>,
}

/// The client of a group's member.
pub(super) fn create<C: ConsumerContext>(
    settings: &Settings,
    group: &str,
    context: C,
) -> Result<BaseConsumer<C>, KafkaError> {
    let mut config = settings.client();
    config
        .set("group.id", format!("{}{group}", settings.transactional_id()))
        .set("isolation.level", "read_committed")
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.offset.store", "false")
        .set("auto.commit.interval.ms", "1000")
        .set("session.timeout.ms", "10000")
        .set("heartbeat.interval.ms", "2000")
        .set("statistics.interval.ms", "2000")
        .set("topic.metadata.refresh.interval.ms", "10000")
        .set("partition.assignment.strategy", "range")
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

impl Consumer {
    /// Joins `group` (its full name is made of ours). Returns at once; Kafka need not be there.
    pub fn join(
        settings: &Settings,
        group: &str,
        topics: &[&str],
        start: Start,
        positions: Positions,
    ) -> Result<Self, Error> {
        let act = "take a consumer";
        let consumer = create(settings, group, Context { start, positions }).map_err(Error::of(act))?;
        let topics: Vec<String> = topics.iter().map(|name| settings.topic(name)).collect();
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        consumer.subscribe(&names).map_err(Error::of(act))?;
        Ok(Self { consumer, topics })
    }

    /// The next record, if one comes in time.
    pub fn poll(&self, within: Duration) -> Option<Result<Message<'_>, Error>> {
        match self.consumer.poll(within)? {
            Ok(message) => Some(Ok(Message(message))),
            Err(KafkaError::PartitionEOF(_)) => None,
            Err(error) => Some(Err(Error::of("give a record")(error))),
        }
    }

    /// The records up to here have been dealt with: the group goes on behind them after a restart.
    pub fn done(&self, topic: &str, partition: i32, offset: i64) {
        self.consumer
            .context()
            .positions
            .lock()
            .positions
            .insert((topic.to_owned(), partition), offset + 1);
        if let Err(error) = self.consumer.store_offset(topic, partition, offset) {
            // Revoked meanwhile: whoever has the partition now goes on by its own positions.
            debug!(%error, topic, partition, "offset not stored");
        }
    }

    /// Asks Kafka for its metadata: whether it is there and answers.
    pub fn probe(&self, within: Duration) -> Result<(), Error> {
        let topic = self.topics.first().map(String::as_str);
        let metadata = self
            .consumer
            .client()
            .fetch_metadata(topic, within)
            .map_err(Error::of("answer"))?;
        if metadata.brokers().is_empty() {
            return Err(Error::Failed {
                act: "answer",
                problem: "no Kafka broker is alive".to_owned(),
            });
        }
        Ok(())
    }
}

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
