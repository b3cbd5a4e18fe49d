//! A transactional producer: all of a transaction's records are in Kafka, or none is.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use tracing::debug;

use super::{Error, Settings};

/// A record to send. Borrowed: librdkafka copies it.
///
/// It has no time of its own and gets the present: Kafka refuses a time in the future, as a terminal's
/// clock may have it, and soon deletes one that is long past. The event's time is in its headers.
pub struct Record<'a> {
    /// Full name.
    pub topic: &'a str,
    pub key: &'a [u8],
    pub payload: &'a [u8],
    pub headers: &'a [(&'a str, &'a [u8])],
}

#[derive(Default)]
pub(super) struct Context {
    /// A record of the open transaction was refused for its size.
    too_large: AtomicBool,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        super::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // What matters comes back from the calls; this says which broker it was about.
        debug!(%error, reason, "kafka producer");
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = ();
    // A record that was not delivered fails its transaction's commit, so nothing else is kept of it.
    fn delivery(&self, result: &DeliveryResult<'_>, _: Self::DeliveryOpaque) {
        if let Err((error, _)) = result
            && error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageSizeTooLarge)
        {
            self.too_large.store(true, Ordering::Relaxed);
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
    pub fn connect(settings: &Settings, within: Duration) -> Result<Self, Error> {
        let act = "open the transactional producer";
        let producer = create(settings).map_err(Error::of(act))?;
        let deadline = Instant::now() + within;
        loop {
            match producer.init_transactions(remaining(deadline)) {
                Ok(()) => return Ok(Self { producer }),
                Err(KafkaError::Transaction(error)) if error.is_retriable() && Instant::now() < deadline => {}
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
    pub fn send(&self, record: &Record<'_>, deadline: Instant) -> Result<(), Error> {
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
        let begun = Instant::now();
        loop {
            match self.producer.send(message) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if Instant::now() < deadline =>
                {
                    message = back;
                    self.pause(begun);
                }
                Err((error, _)) => return Err(Error::of("take a record")(error)),
            }
        }
    }

    /// Commits what was sent since [`TransactionalProducer::begin`]. After an error nobody knows whether it
    /// is committed: make a new producer, which settles it, and look.
    pub fn commit(&self, deadline: Instant, within: Duration) -> Result<(), Error> {
        let act = "commit a transaction";
        // The binding's own flush polls in steps of 100 ms, which would be every transaction's length; and its
        // poll spins through the last millisecond of every wait.
        let begun = Instant::now();
        while self.producer.in_flight_count() > 0 {
            if Instant::now() >= deadline {
                return Err(Error::TimedOut { act, within });
            }
            self.pause(begun);
        }
        if self.producer.context().too_large.load(Ordering::Relaxed) {
            return Err(Error::TooLarge);
        }
        loop {
            match self.producer.commit_transaction(remaining(deadline)) {
                Ok(()) => return Ok(()),
                Err(KafkaError::Transaction(error)) if error.is_retriable() && Instant::now() < deadline => {}
                Err(error) => return Err(Error::of(act)(error)),
            }
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
        // Same key, same partition as for Java's producers.
        .set("partitioner", "murmur2_random")
        .set("delivery.report.only.error", "true")
        // The Kafka brokers' limits count; see `topics`.
        .set("message.max.bytes", "8388608");
    settings.finish(&mut config);
    config.create_with_context(Context::default())
}

fn remaining(deadline: Instant) -> Duration {
    deadline
        .saturating_duration_since(Instant::now())
        .max(Duration::from_millis(1))
}
