//! Callbacks of the producer's client: record rejected records, and why Kafka is unreachable.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::{ClientContext, Statistics};
use tracing::debug;

use super::super::traffic::ClientTraffic;
use super::super::{ConnectionErrors, RecordSizeLimits, Settings, settings};
use super::{Delivery, Record, RejectedRecord, Rejection};

/// Callbacks of the producer's client.
pub(in super::super) struct Context {
    /// The rejected record to report: the first of the open transaction, or the largest of those that are too large.
    rejected: Mutex<Option<RejectedRecord>>,
    /// The places of the open transaction's records, if requested.
    delivered: Mutex<Vec<Delivery>>,
    limits: RecordSizeLimits,
    brokers: String,
    connection_errors: ConnectionErrors,
    traffic: ClientTraffic,
}

impl Context {
    pub(super) fn new(settings: &Settings, limits: RecordSizeLimits) -> Self {
        Self {
            rejected: Mutex::default(),
            delivered: Mutex::default(),
            limits,
            brokers: settings.brokers.clone(),
            connection_errors: settings.connection_errors.clone(),
            traffic: settings.traffic.of_client(),
        }
    }

    fn rejected(&self) -> MutexGuard<'_, Option<RejectedRecord>> {
        // A panic elsewhere leaves the value consistent.
        self.rejected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often this client's bytes were counted.
    pub(super) fn traffic_counts(&self) -> u64 {
        self.traffic.counts()
    }

    /// Removes and returns the rejected record.
    pub(super) fn take_rejected(&self) -> Option<RejectedRecord> {
        self.rejected().take()
    }

    /// Removes and returns the places of the records.
    pub(super) fn take_delivered(&self) -> Vec<Delivery> {
        std::mem::take(&mut self.delivered())
    }

    fn delivered(&self) -> MutexGuard<'_, Vec<Delivery>> {
        // A panic elsewhere leaves the list consistent.
        self.delivered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, record: RejectedRecord) {
        let mut rejected = self.rejected();
        // Kafka rejects a batch as a whole, and then every later record.
        let is_worse = rejected.as_ref().is_none_or(|first| {
            let both = first.rejection == Rejection::TooLarge && record.rejection == Rejection::TooLarge;
            both && record.bytes > first.bytes
        });
        if is_worse {
            *rejected = Some(record);
        }
    }

    /// `None` if the record failed only because its transaction did.
    fn rejection(message: &BorrowedMessage<'_>, error: &KafkaError) -> Option<Rejection> {
        match error.rdkafka_error_code()? {
            RDKafkaErrorCode::MessageSizeTooLarge => Some(Rejection::TooLarge),
            RDKafkaErrorCode::InvalidTimestamp => Some(Rejection::WrongTime(message.timestamp().to_millis())),
            _ => None,
        }
    }

    fn describe(&self, message: &BorrowedMessage<'_>, rejection: Rejection) -> RejectedRecord {
        let mut bytes = message.key_len() + message.payload_len();
        let mut name = None;
        for header in message.headers().into_iter().flat_map(Headers::iter) {
            let value = header.value.unwrap_or_default();
            bytes += header.key.len() + value.len();
            if header.key == "ce_id" {
                name = std::str::from_utf8(value).ok().map(str::to_owned);
            }
        }
        RejectedRecord {
            topic: message.topic().to_owned(),
            name,
            bytes,
            rejection,
            limit: self.limits.of(message.topic()),
            brokers: self.brokers.clone(),
        }
    }

    /// Describes a record that librdkafka refused because of its size.
    pub(super) fn too_large(&self, record: &Record<'_>) -> RejectedRecord {
        let headers = record.headers.iter();
        let name = headers.clone().find(|(key, _)| *key == "ce_id");
        let header_bytes: usize = headers.map(|(key, value)| key.len() + value.len()).sum();
        RejectedRecord {
            topic: record.topic.to_owned(),
            name: name.map(|(_, value)| String::from_utf8_lossy(value).into_owned()),
            bytes: record.key.len() + record.payload.len() + header_bytes,
            rejection: Rejection::TooLargeForClient,
            limit: self.limits.of(record.topic),
            brokers: self.brokers.clone(),
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
        // The calls return the relevant errors; this line names the broker.
        debug!(%error, reason, "kafka producer");
    }

    fn stats(&self, statistics: Statistics) {
        self.traffic.note(&statistics);
    }
}

impl ProducerContext for Context {
    /// [`Record::id`].
    type DeliveryOpaque = usize;
    // A record that is not delivered also fails its transaction's commit.
    fn delivery(&self, result: &DeliveryResult<'_>, id: Self::DeliveryOpaque) {
        match result {
            // Kafka does not report the offset of a batch that it had already received.
            Ok(message) if message.offset() >= 0 => self.delivered().push(Delivery {
                id,
                partition: message.partition(),
                offset: message.offset(),
            }),
            Ok(_) => {}
            Err((error, message)) => {
                if let Some(rejection) = Self::rejection(message, error) {
                    self.note(self.describe(message, rejection));
                }
            }
        }
    }
}
