//! The only place that names the Kafka client.
//!
//! librdkafka's calls block, so everything here is synchronous and belongs on a thread of its own.

mod consumer;
mod memory;
mod patience;
mod producer;
mod properties;
mod reader;
mod topics;

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, ClientContext};
use tracing::debug;

use crate::config::Secret;
pub use consumer::{Consumer, Message, Partition, Positions, Start};
pub use memory::{InMemoryKafka, Switch};
pub use patience::Patience;
pub use producer::{Record, Refusal, RefusedRecord, TransactionalProducer};
pub use properties::{Refused, check};
pub use reader::{Ends, end_of, read_to_end};
pub use topics::{Deviation, Limits, Mode, Outcome, Report, TopicInspector, describe};

/// Where dead letters go; see the contract's section 3.
pub const DEAD_LETTERS: &str = "dead-letters";
/// What head office sends to the terminals.
pub const COMMANDS: &str = "commands";
/// The bridge's own record of how far it is: compacted, one partition.
pub const WATERMARKS: &str = "comptoir-watermarks";

/// How to reach Kafka, and as whom.
#[derive(Debug, Clone)]
pub struct Settings {
    pub brokers: String,
    pub prefix: String,
    /// The store: names the transaction, the groups and the clients.
    pub identity: String,
    pub replication_factor: Option<i32>,
    pub partitions: Option<i32>,
    pub properties: BTreeMap<String, Secret>,
}

impl Settings {
    /// A topic's full name.
    pub fn topic(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// What fences a second gateway of the same store.
    pub fn transactional_id(&self) -> String {
        format!("{}comptoir-{}", self.prefix, self.identity)
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", format!("comptoir-{}", self.identity))
            // A peer that hangs is noticed within this time; the default is a minute.
            .set("socket.timeout.ms", "10000")
            .set("socket.connection.setup.timeout.ms", "5000")
            .set("reconnect.backoff.max.ms", "5000")
            .set("socket.nagle.disable", "true")
            .set("log_level", "3")
            .set_log_level(RDKafkaLogLevel::Error);
        config
    }

    /// The owner's properties come last, so that they count.
    fn finish(&self, config: &mut ClientConfig) {
        for (name, value) in &self.properties {
            config.set(canonical(name), value.reveal());
        }
        at_least(config, "reconnect.backoff.max.ms", "reconnect.backoff.ms");
    }
}

/// librdkafka's second names of properties that we set, too. Of two names for one thing it takes either.
const ALIASES: &[(&str, &str)] = &[
    ("queue.buffering.max.ms", "linger.ms"),
    ("compression.codec", "compression.type"),
    ("delivery.timeout.ms", "message.timeout.ms"),
];

fn canonical(name: &str) -> &str {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == name);
    alias.map_or(name, |(_, canonical)| canonical)
}

/// Raises a number to another. What is absent, or no number, is librdkafka's to judge.
fn at_least(config: &mut ClientConfig, name: &str, least: &str) {
    if let (Some(value), Some(least)) = (number(config, name), number(config, least)) {
        config.set(name, value.max(least).to_string());
    }
}

/// Lowers a number to another.
fn at_most(config: &mut ClientConfig, name: &str, most: &str) {
    if let Some(most) = number(config, most) {
        lower(config, name, most);
    }
}

/// Lowers a number to `most`.
fn lower(config: &mut ClientConfig, name: &str, most: u64) {
    if let Some(value) = number(config, name) {
        config.set(name, value.min(most).to_string());
    }
}

fn number(config: &ClientConfig, name: &str) -> Option<u64> {
    config.get(name)?.trim().parse().ok()
}

/// For clients whose calls say everything: librdkafka's own words go to the debug log.
struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        debug!(%error, reason, "kafka");
    }
}

impl ConsumerContext for Quiet {}

fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    debug!(?level, facility, message, "librdkafka");
}

/// Why Kafka did not do it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Another producer has taken our transactional id.
    #[error("fenced: another gateway runs with this store's name")]
    Fenced,
    /// Nobody who reads committed records gets past it; and what it hides may be our newest watermark.
    #[error(
        "a transaction stays open on {topic} at offset {stable}: if this lasts, \
         `kafka-transactions.sh find-hanging` names it and `abort` ends it"
    )]
    Undecided { topic: String, stable: i64 },
    #[error("{0}")]
    TooLarge(Box<RefusedRecord>),
    /// The clocks of this machine and of the Kafka broker are apart.
    #[error("{0}")]
    WrongTime(Box<RefusedRecord>),
    /// A topic is not as it must be, and going on could send events twice.
    #[error("{0}")]
    Topic(Box<Deviation>),
    #[error("Kafka does not let the gateway use {resource}: its user needs the right {right}")]
    MissingRight { right: &'static str, resource: String },
    #[error("Kafka did not {act} within {} s", .within.as_secs())]
    TimedOut { act: &'static str, within: Duration },
    #[error("Kafka did not {act}: {problem}")]
    Failed { act: &'static str, problem: String },
}

impl Error {
    fn of(act: &'static str) -> impl Fn(KafkaError) -> Error {
        move |error| {
            let code = match &error {
                KafkaError::Transaction(error) => Some(error.code()),
                error => error.rdkafka_error_code(),
            };
            match code {
                Some(
                    RDKafkaErrorCode::Fenced
                    | RDKafkaErrorCode::ProducerFenced
                    | RDKafkaErrorCode::InvalidProducerEpoch,
                ) => Error::Fenced,
                _ => Error::Failed {
                    act,
                    problem: error.to_string(),
                },
            }
        }
    }
}
