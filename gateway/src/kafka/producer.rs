//! A transactional producer: all of a transaction's records are in Kafka, or none is.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::{ClientConfig, ClientContext};
use tracing::debug;

use super::topics::set_command;
use super::{Error, Limits, Patience, Reasons, Settings, at_most, lower};

/// A record to send. Borrowed: librdkafka copies it.
///
/// It has no time of its own: Kafka refuses a time in the future, as a till's clock may have it, and soon deletes one that
/// is long past. The event's time is in its headers.
pub struct Record<'a> {
    /// Full name.
    pub topic: &'a str,
    /// `None`: by the key.
    pub partition: Option<i32>,
    pub key: &'a [u8],
    pub payload: &'a [u8],
    pub headers: &'a [(&'a str, &'a [u8])],
}

/// A record that Kafka has refused, or that librdkafka has not even sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRecord {
    /// Full name.
    pub topic: String,
    /// Its `ce_id`; the bridge's own records have none.
    pub name: Option<String>,
    /// Key, value and headers.
    pub bytes: usize,
    pub refusal: Refusal,
    /// `max.message.bytes` of the topic, where it is known.
    limit: Option<u64>,
    /// For the commands that would help.
    brokers: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// By the Kafka broker.
    TooLarge,
    /// By the owner's `message.max.bytes`.
    TooLargeForClient,
    /// Its time, given by this machine (Unix ms).
    WrongTime(Option<i64>),
}

impl RefusedRecord {
    fn error(self) -> Error {
        match &self.refusal {
            Refusal::TooLarge | Refusal::TooLargeForClient => Error::TooLarge(Box::new(self)),
            Refusal::WrongTime(_) => Error::WrongTime(Box::new(self)),
        }
    }
}

impl fmt::Display for RefusedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, bytes, .. } = self;
        let name = self.name.as_deref().unwrap_or("the gateway's own watermark");
        let command = |setting: &str| set_command(&self.brokers, topic, setting);
        match &self.refusal {
            Refusal::TooLarge => {
                let limit = self.limit.map(|limit| format!("={limit}")).unwrap_or_default();
                // With room for what Kafka adds.
                let enough = (bytes + 4_096).max(1_048_588);
                write!(
                    f,
                    "{name} has {bytes} bytes, more than the Kafka topic {topic} takes (max.message.bytes{limit}); it and \
                     everything after it wait. Run: {}",
                    command(&format!("max.message.bytes={enough}"))
                )
            }
            Refusal::TooLargeForClient => write!(
                f,
                "{name} has {bytes} bytes, more than kafka.properties.\"message.max.bytes\" allows; it and everything \
                 after it wait. Raise that setting or remove it"
            ),
            Refusal::WrongTime(time) => {
                let time = time.and_then(|ms| Timestamp::from_millisecond(ms).ok());
                let time = time.unwrap_or_else(Timestamp::now);
                write!(
                    f,
                    "Kafka refuses the time {time:.0}, which this machine gave {name}, on the topic {topic} \
                     (INVALID_TIMESTAMP): the clocks of this machine and of the Kafka broker are too far apart. Set the \
                     clock (NTP), or run: {}",
                    command("message.timestamp.type=LogAppendTime")
                )
            }
        }
    }
}

pub(super) struct Context {
    /// Of the open transaction: the first that was refused, or the largest of those that were too large.
    refused: Mutex<Option<RefusedRecord>>,
    limits: Limits,
    brokers: String,
    reasons: Reasons,
}

impl Context {
    fn refused(&self) -> MutexGuard<'_, Option<RefusedRecord>> {
        // A panic elsewhere leaves it whole.
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, record: RefusedRecord) {
        let mut refused = self.refused();
        // A batch is refused as a whole, and the records after a refused one only follow it.
        let is_worse = refused.as_ref().is_none_or(|first| {
            let both = first.refusal == Refusal::TooLarge && record.refusal == Refusal::TooLarge;
            both && record.bytes > first.bytes
        });
        if is_worse {
            *refused = Some(record);
        }
    }

    /// `None` where the record only shares its transaction's fate.
    fn refusal(message: &BorrowedMessage<'_>, error: &KafkaError) -> Option<Refusal> {
        match error.rdkafka_error_code()? {
            RDKafkaErrorCode::MessageSizeTooLarge => Some(Refusal::TooLarge),
            RDKafkaErrorCode::InvalidTimestamp => Some(Refusal::WrongTime(message.timestamp().to_millis())),
            _ => None,
        }
    }

    fn describe(&self, message: &BorrowedMessage<'_>, refusal: Refusal) -> RefusedRecord {
        let mut bytes = message.key_len() + message.payload_len();
        let mut name = None;
        for header in message.headers().into_iter().flat_map(Headers::iter) {
            let value = header.value.unwrap_or_default();
            bytes += header.key.len() + value.len();
            if header.key == "ce_id" {
                name = std::str::from_utf8(value).ok().map(str::to_owned);
            }
        }
        RefusedRecord {
            topic: message.topic().to_owned(),
            name,
            bytes,
            refusal,
            limit: self.limits.of(message.topic()),
            brokers: self.brokers.clone(),
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
        // What matters comes back from the calls; this says which broker it was about.
        debug!(%error, reason, "kafka producer");
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = ();
    // A record that was not delivered fails its transaction's commit.
    fn delivery(&self, result: &DeliveryResult<'_>, _: Self::DeliveryOpaque) {
        if let Err((error, message)) = result
            && let Some(refusal) = Self::refusal(message, error)
        {
            self.note(self.describe(message, refusal));
        }
    }
}

pub struct TransactionalProducer {
    producer: BaseProducer<Context>,
}

/// The open transaction of a producer whose process died is aborted by Kafka after this time.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(30);

impl TransactionalProducer {
    /// Connects and fences: whatever an earlier producer of this identity had open is settled afterwards,
    /// committed or aborted.
    ///
    /// # Errors
    /// Kafka does not answer in time, or refuses.
    pub fn connect(settings: &Settings, limits: &Limits, patience: &Patience<'_>) -> Result<Self, Error> {
        let act = "open the transactional producer";
        let producer = create_for(settings, limits.clone()).map_err(Error::of(act))?;
        loop {
            match producer.init_transactions(patience.step()) {
                Ok(()) => return Ok(Self { producer }),
                Err(KafkaError::Transaction(error)) if error.is_retriable() && !patience.is_over() => {
                    // What was met on the way is in the log, which is served here.
                    producer.poll(Duration::ZERO);
                }
                Err(error) => return Err(Error::of(act)(error)),
            }
        }
    }

    pub fn begin(&self) -> Result<(), Error> {
        self.producer
            .begin_transaction()
            .map_err(Error::of("begin a transaction"))
    }

    /// Queues a record for the open transaction.
    pub fn send(&self, record: &Record<'_>, patience: &Patience<'_>) -> Result<(), Error> {
        let headers = record.headers.iter().fold(
            OwnedHeaders::new_with_capacity(record.headers.len()),
            |headers, (key, value)| {
                headers.insert(Header {
                    key,
                    value: Some(*value),
                })
            },
        );
        let mut message = BaseRecord::to(record.topic)
            .key(record.key)
            .payload(record.payload)
            .headers(headers);
        message.partition = record.partition;
        let begun = Instant::now();
        loop {
            match self.producer.send(message) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if !patience.is_over() =>
                {
                    message = back;
                    self.pause(begun);
                }
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge), _)) => {
                    return Err(self.too_large(record).error());
                }
                Err((error, _)) => return Err(self.or_refused(Error::of("take a record")(error))),
            }
        }
    }

    /// Commits what was sent since [`TransactionalProducer::begin`]. After an error nobody knows whether it
    /// is committed: make a new producer, which settles it, and look.
    pub fn commit(&self, patience: &Patience<'_>) -> Result<(), Error> {
        let act = "commit a transaction";
        // The binding's own flush polls in steps of 100 ms, which would be every transaction's length; and its
        // poll spins through the last millisecond of every wait.
        let begun = Instant::now();
        while self.producer.in_flight_count() > 0 {
            if patience.is_over() {
                let within = patience.within;
                return Err(self.or_refused(Error::TimedOut { act, within }));
            }
            self.pause(begun);
        }
        if let Some(record) = self.producer.context().refused().take() {
            return Err(record.error());
        }
        loop {
            match self.producer.commit_transaction(patience.step()) {
                Ok(()) => return Ok(()),
                Err(KafkaError::Transaction(error)) if error.is_retriable() && !patience.is_over() => {}
                Err(error) => return Err(Error::of(act)(error)),
            }
        }
    }

    /// A record that is refused fails its transaction, and then every later record of it is refused for that: what
    /// happened first is what must be known, or the same would be tried for ever.
    fn or_refused(&self, error: Error) -> Error {
        self.producer.poll(Duration::ZERO);
        match self.producer.context().refused().take() {
            Some(record) => record.error(),
            None => error,
        }
    }

    fn too_large(&self, record: &Record<'_>) -> RefusedRecord {
        let headers = record.headers.iter();
        let name = headers.clone().find(|(key, _)| *key == "ce_id");
        let of_headers: usize = headers.map(|(key, value)| key.len() + value.len()).sum();
        let context = self.producer.context();
        RefusedRecord {
            topic: record.topic.to_owned(),
            name: name.map(|(_, value)| String::from_utf8_lossy(value).into_owned()),
            bytes: record.key.len() + record.payload.len() + of_headers,
            refusal: Refusal::TooLargeForClient,
            limit: context.limits.of(record.topic),
            brokers: context.brokers.clone(),
        }
    }

    /// Serves callbacks, and lets librdkafka's own threads work: for a moment, or for an eighth of what the wait has
    /// taken since it was `begun`. What takes long is then not looked at a hundred times.
    fn pause(&self, begun: Instant) {
        self.producer.poll(Duration::ZERO);
        let wait = (begun.elapsed() / 8).clamp(Duration::from_micros(250), Duration::from_millis(5));
        std::thread::sleep(wait);
    }

    /// Serves callbacks while idle.
    pub fn idle(&self) {
        self.producer.poll(Duration::ZERO);
    }
}

/// The client. Nobody is waited for yet.
pub(super) fn create(settings: &Settings) -> Result<BaseProducer<Context>, KafkaError> {
    create_for(settings, Limits::default())
}

fn create_for(settings: &Settings, limits: Limits) -> Result<BaseProducer<Context>, KafkaError> {
    let mut config = config(settings);
    // A batch of many small records must not be refused for being larger than a topic takes.
    if let Some(smallest) = limits.smallest() {
        lower(&mut config, "batch.size", smallest);
    }
    config.create_with_context(Context {
        refused: Mutex::default(),
        limits,
        brokers: settings.brokers.clone(),
        reasons: settings.reasons.clone(),
    })
}

pub(super) fn config(settings: &Settings) -> ClientConfig {
    let mut config = settings.client();
    config
        .set("transactional.id", settings.transactional_id())
        .set(
            "transaction.timeout.ms",
            TRANSACTION_TIMEOUT.as_millis().to_string(),
        )
        .set("compression.type", "lz4")
        // A lone event goes at once; a backlog fills batches faster than this.
        .set("linger.ms", "1")
        .set("batch.size", "262144")
        .set("queue.buffering.max.kbytes", "16384")
        // A topic that somebody has deleted is made anew by us, with its settings, and not by the Kafka brokers with theirs.
        .set("allow.auto.create.topics", "false")
        // Same key, same partition as for Java's producers.
        .set("partitioner", "murmur2_random")
        .set("delivery.report.only.error", "true")
        // The Kafka brokers' limits count; see `topics`.
        .set("message.max.bytes", "8388608");
    settings.finish(&mut config);
    // librdkafka refuses to wait longer for a request or a record than for their transaction. Waits that are usual
    // elsewhere (its own defaults are 60 s and 300 s) are longer than ours lasts.
    for name in ["socket.timeout.ms", "message.timeout.ms"] {
        at_most(&mut config, name, "transaction.timeout.ms");
    }
    config
}
