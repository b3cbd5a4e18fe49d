//! A producer of single records, without transactions.

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

/// Sends records one at a time.
pub struct Publisher {
    producer: BaseProducer<Context>,
}

impl Publisher {
    /// Creates the producer without waiting for a connection.
    ///
    /// # Errors
    /// librdkafka rejects the configuration.
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        let mut config = settings.client();
        // A duplicate record does no harm: only the newest record of a key counts.
        config
            .set("linger.ms", "0")
            .set("message.timeout.ms", "15000")
            .set("allow.auto.create.topics", "false")
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
        let context = self.producer.context();
        context.take();
        let mut message = BaseRecord::to(record.topic)
            .key(record.key)
            .payload(record.payload)
            .headers(owned_headers(record.headers));
        message.partition = record.partition;
        self.producer
            .send(message)
            .map_err(|(error, _)| Error::of(ACT)(error))?;
        loop {
            self.producer.poll(PAUSE);
            match context.take() {
                Some(result) => return result.map_err(Error::of(ACT)),
                None if deadline.is_over() => {
                    let within = deadline.within;
                    return Err(Error::TimedOut { act: ACT, within });
                }
                None => {}
            }
        }
    }
}

/// Callbacks of the client: keep Kafka's reply to the record.
#[derive(Default)]
struct Context(Mutex<Option<Result<(), KafkaError>>>);

impl Context {
    fn take(&self) -> Option<Result<(), KafkaError>> {
        // A panic elsewhere leaves the value consistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
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
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): Self::DeliveryOpaque) {
        let result = match result {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(error.clone()),
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
    }
}
