//! A transactional producer: either all records of a transaction get into Kafka, or none.

mod context;
mod rejection;

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::settings::{at_most, lower};
use super::{Deadline, Error, RecordSizeLimits, Settings};
use context::Context;
pub use rejection::{RejectedRecord, Rejection};

/// A record to send. Borrowed, because librdkafka copies it.
///
/// It has no timestamp: Kafka rejects times in the future, which a till's wrong clock may produce, and soon deletes
/// records with times long past. The event's time is in its headers.
pub struct Record<'a> {
    /// Full name.
    pub topic: &'a str,
    /// If `None`, the key determines the partition.
    pub partition: Option<i32>,
    pub key: &'a [u8],
    pub payload: &'a [u8],
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The caller's number for this record, returned in its [`Delivery`].
    pub id: usize,
}

/// For which records of a transaction Kafka's replies are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryReports {
    /// Only for rejected ones, which costs less.
    Rejected,
    /// For all: [`TransactionalProducer::commit`] returns the place of each record.
    All,
}

/// The place of a record in a committed transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// [`Record::id`].
    pub id: usize,
    pub partition: i32,
    pub offset: i64,
}

/// A producer registered under the store's transactional id. After any error, drop it and connect a new one.
pub struct TransactionalProducer {
    producer: BaseProducer<Context>,
}

/// If a producer dies, Kafka aborts its open transaction after this time.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(30);

impl TransactionalProducer {
    /// Connects and fences: afterwards, any open transaction of an earlier producer with this transactional id is
    /// resolved, either committed or aborted.
    ///
    /// # Errors
    /// Kafka does not reply before the deadline, or rejects the producer.
    pub fn connect(
        settings: &Settings,
        limits: &RecordSizeLimits,
        reports: DeliveryReports,
        deadline: &Deadline<'_>,
    ) -> Result<Self, Error> {
        let act = "open the transactional producer";
        let producer = create_for(settings, limits.clone(), reports).map_err(Error::of(act))?;
        loop {
            match producer.init_transactions(deadline.step()) {
                Ok(()) => return Ok(Self { producer }),
                Err(KafkaError::Transaction(error)) if error.is_retriable() && !deadline.is_over() => {
                    // Serves librdkafka's log, which names connection errors.
                    producer.poll(Duration::ZERO);
                }
                Err(error) => return Err(Error::of(act)(error)),
            }
        }
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// The producer was fenced or has failed before.
    pub fn begin(&self) -> Result<(), Error> {
        self.producer
            .begin_transaction()
            .map_err(Error::of("begin a transaction"))
    }

    /// Queues a record for the open transaction. Blocks while librdkafka's queue is full.
    ///
    /// # Errors
    /// A record of the transaction is rejected, or the queue stays full until the deadline.
    pub fn send(&self, record: &Record<'_>, deadline: &Deadline<'_>) -> Result<(), Error> {
        let mut message = BaseRecord::with_opaque_to(record.topic, record.id)
            .key(record.key)
            .payload(record.payload)
            .headers(owned_headers(record.headers));
        message.partition = record.partition;
        let begun = Instant::now();
        loop {
            match self.producer.send(message) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if !deadline.is_over() =>
                {
                    message = back;
                    self.pause(begun);
                }
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge), _)) => {
                    return Err(self.producer.context().too_large(record).error());
                }
                Err((error, _)) => return Err(self.rejection_or(Error::of("accept a record")(error))),
            }
        }
    }

    /// Commits the records sent since [`TransactionalProducer::begin`]. Returns their places, if the producer requests
    /// all [`DeliveryReports`]. A record whose place Kafka did not report is absent.
    ///
    /// # Errors
    /// A record was rejected, or Kafka does not reply before the deadline. It is then unknown whether the transaction
    /// is committed: connect a new producer, which resolves it, and read the watermark.
    pub fn commit(&self, deadline: &Deadline<'_>) -> Result<Vec<Delivery>, Error> {
        let act = "commit a transaction";
        // The binding's own flush does not fit: it polls in steps of 100 ms, which would become the length of every
        // transaction, and its poll spins through the last millisecond of every wait.
        let begun = Instant::now();
        while self.producer.in_flight_count() > 0 {
            if deadline.is_over() {
                let within = deadline.within;
                return Err(self.rejection_or(Error::TimedOut { act, within }));
            }
            self.pause(begun);
        }
        if let Some(record) = self.producer.context().take_rejected() {
            return Err(record.error());
        }
        loop {
            match self.producer.commit_transaction(deadline.step()) {
                Ok(()) => return Ok(self.producer.context().take_delivered()),
                Err(KafkaError::Transaction(error)) if error.is_retriable() && !deadline.is_over() => {}
                Err(error) => return Err(Error::of(act)(error)),
            }
        }
    }

    /// The rejected record of this transaction as an error, if there is one; otherwise `error`. A rejected record fails
    /// its transaction, and so every later record. Only the first cause tells the relay how to proceed.
    fn rejection_or(&self, error: Error) -> Error {
        self.producer.poll(Duration::ZERO);
        match self.producer.context().take_rejected() {
            Some(record) => record.error(),
            None => error,
        }
    }

    /// Serves callbacks, then sleeps so that librdkafka's threads can work: for an eighth of the time since `begun`,
    /// but 0.25 to 5 ms. So a long wait does not poll hundreds of times.
    fn pause(&self, begun: Instant) {
        self.producer.poll(Duration::ZERO);
        let wait = (begun.elapsed() / 8).clamp(Duration::from_micros(250), Duration::from_millis(5));
        std::thread::sleep(wait);
    }

    /// Waits until the bytes of this producer are counted in [`Settings::traffic`], about a second, or until the deadline.
    pub fn count_traffic(&self, deadline: &Deadline<'_>) {
        let before = self.producer.context().traffic_counts();
        while self.producer.context().traffic_counts() == before && !deadline.is_over() {
            self.producer.poll(Duration::from_millis(50));
        }
    }

    /// Serves callbacks while there is nothing to send.
    pub fn idle(&self) {
        self.producer.poll(Duration::ZERO);
    }
}

/// Converts a record's headers for librdkafka.
pub(super) fn owned_headers(headers: &[(&str, &[u8])]) -> OwnedHeaders {
    headers.iter().fold(
        OwnedHeaders::new_with_capacity(headers.len()),
        |headers, (key, value)| {
            headers.insert(Header {
                key,
                value: Some(*value),
            })
        },
    )
}

/// Creates the client without waiting for a connection.
pub(super) fn create(settings: &Settings) -> Result<BaseProducer<Context>, KafkaError> {
    create_for(settings, RecordSizeLimits::default(), DeliveryReports::Rejected)
}

fn create_for(
    settings: &Settings,
    limits: RecordSizeLimits,
    reports: DeliveryReports,
) -> Result<BaseProducer<Context>, KafkaError> {
    let mut config = config(settings);
    if reports == DeliveryReports::All {
        config.set("delivery.report.only.error", "false");
    }
    // Otherwise Kafka could reject a batch of small records because the batch exceeds a topic's limit.
    if let Some(smallest) = limits.smallest() {
        lower(&mut config, "batch.size", smallest);
    }
    config.create_with_context(Context::new(settings, limits))
}

pub(super) fn config(settings: &Settings) -> ClientConfig {
    let mut config = settings.client();
    config
        .set("transactional.id", settings.transactional_id())
        .set(
            "transaction.timeout.ms",
            TRANSACTION_TIMEOUT.as_millis().to_string(),
        )
        .set("compression.type", settings.uplink.compression())
        // A single event leaves at once; a backlog fills batches faster than this.
        .set("linger.ms", "1")
        .set("batch.size", "262144")
        .set("statistics.interval.ms", "1000")
        .set("queue.buffering.max.kbytes", "16384")
        // The gateway recreates a deleted topic itself, with its own settings. Kafka brokers would use their defaults.
        .set("allow.auto.create.topics", "false")
        // The Java producers' partitioner, so that the same key goes to the same partition.
        .set("partitioner", "murmur2_random")
        .set("delivery.report.only.error", "true")
        // The topics' own limits apply; see `topics`.
        .set("message.max.bytes", "8388608");
    settings.finish(&mut config);
    // librdkafka rejects a request or record timeout above the transaction timeout. Common values (its own defaults are
    // 60 s and 300 s) exceed ours.
    for name in ["socket.timeout.ms", "message.timeout.ms"] {
        at_most(&mut config, name, "transaction.timeout.ms");
    }
    config
}
