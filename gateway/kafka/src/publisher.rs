//! A producer without transactions.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};
use tracing::debug;

use super::producer::{Record, owned_headers};
use super::{Deadline, Error, Settings, settings};

const ACT: &str = "accept a record";
/// How often Kafka's reply is polled for.
const PAUSE: Duration = Duration::from_millis(20);

/// Sends records and waits for Kafka's replies.
pub struct Publisher {
    producer: BaseProducer<Context>,
}

impl Publisher {
    /// Creates the producer without waiting for a connection.
    ///
    /// # Errors
    /// librdkafka rejects the configuration.
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        // A duplicate record does no harm: only the newest record of a key counts.
        Self::create(settings, false)
    }

    /// As [`Publisher::new`], but a lost reply makes this producer write no record twice.
    ///
    /// # Errors
    /// librdkafka rejects the configuration.
    pub fn idempotent(settings: &Settings) -> Result<Self, Error> {
        Self::create(settings, true)
    }

    fn create(settings: &Settings, is_idempotent: bool) -> Result<Self, Error> {
        let mut config = settings.client();
        config
            .set("enable.idempotence", is_idempotent.to_string())
            .set("linger.ms", "0")
            .set("message.timeout.ms", "15000")
            .set("allow.auto.create.topics", "false")
            // A topic that does not exist is an error soon: other records wait for the reply.
            .set("topic.metadata.propagation.max.ms", "2000")
            .set("partitioner", "murmur2_random")
            // lz4 saves next to nothing on a single JSON record. The level stays at the default: a higher one would
            // make zstd take 47 MB for a moment.
            .set("compression.type", "zstd");
        settings.finish(&mut config);
        let producer = config
            .create_with_context(Context::default())
            .map_err(Error::of(ACT))?;
        Ok(Self { producer })
    }

    /// Sends a record and waits until Kafka has it.
    ///
    /// # Errors
    /// Kafka rejects the record, or does not reply before the deadline; then the record may still get into Kafka.
    pub fn publish(&self, record: &Record<'_>, deadline: &Deadline<'_>) -> Result<(), Error> {
        let mut results = self.publish_all(std::slice::from_ref(record), deadline);
        results.pop().unwrap_or(Ok(()))
    }

    /// Sends records that do not depend on each other, and waits until Kafka has replied to all. Returns a result for each,
    /// in their order; [`Publisher::publish`] lists the errors. After a timeout, drop the publisher: a late reply would be
    /// taken for that to a later record.
    pub fn publish_all(&self, records: &[Record<'_>], deadline: &Deadline<'_>) -> Vec<Result<(), Error>> {
        let context = self.producer.context();
        context.take();
        let mut results: BTreeMap<usize, Result<(), Error>> = BTreeMap::new();
        for (index, record) in records.iter().enumerate() {
            let mut message = BaseRecord::with_opaque_to(record.topic, index)
                .key(record.key)
                .payload(record.payload)
                .headers(owned_headers(record.headers));
            message.partition = record.partition;
            if let Err((error, _)) = self.producer.send(message) {
                results.insert(index, Err(Error::of(ACT)(error)));
            }
        }
        while results.len() < records.len() {
            self.producer.poll(PAUSE);
            let replies = context.take().into_iter();
            results.extend(replies.map(|(index, reply)| (index, reply.map_err(Error::of(ACT)))));
            if deadline.is_over() {
                break;
            }
        }
        let within = deadline.within;
        (0..records.len())
            .map(|index| {
                results
                    .remove(&index)
                    .unwrap_or(Err(Error::TimedOut { act: ACT, within }))
            })
            .collect()
    }
}

/// Kafka's replies, by the index of the record.
type Replies = Vec<(usize, Result<(), KafkaError>)>;

/// Callbacks of the client: keep Kafka's replies.
#[derive(Default)]
struct Context(Mutex<Replies>);

impl Context {
    fn take(&self) -> Replies {
        // A panic elsewhere leaves the value consistent.
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        settings::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        debug!(%error, reason, "kafka publisher");
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, index: Self::DeliveryOpaque) {
        let result = match result {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(error.clone()),
        };
        let mut replies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        replies.push((index, result));
    }
}
