//! The only place that names the Kafka client.
//!
//! librdkafka's calls block, so everything here is synchronous and belongs on a thread of its own.

mod consumer;
mod examine;
mod inquiry;
mod memory;
#[cfg(target_env = "gnu")]
mod monotonic;
mod patience;
mod positions;
mod producer;
mod properties;
mod reader;
mod reasons;
mod rules;
mod topics;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, ClientContext};
use tracing::debug;

use crate::config::Secret;
pub use consumer::{Consumer, Message, OwnedRecord, Start};
pub use examine::examine;
pub use memory::{InMemoryKafka, Switch};
pub use patience::Patience;
pub use positions::{Partition, Position, PositionTable, Positions, TopicId};
pub use producer::{Record, Refusal, RefusedRecord, TransactionalProducer};
pub use properties::{Refused, check};
pub use reader::{Ends, end_of, read_to_end};
pub use reasons::Reasons;
use topics::describe;
pub use topics::{Deviation, Limits, Mode, Outcome, Report, TopicInspector};

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
    /// What all clients meet on their way to Kafka.
    pub reasons: Reasons,
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

    /// A consumer group's full name.
    pub fn group(&self, end: &str) -> String {
        format!("{}{end}", self.transactional_id())
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
    #[error(
        "Kafka does not let this gateway use {resource}: its user needs the right {right}. Give it, for example, with \
         kafka-acls.sh --add --allow-principal User:NAME --operation {right} {}", .resource.option()
    )]
    MissingRight { right: &'static str, resource: Resource },
    /// The last reason that librdkafka met on the way.
    #[error("Kafka did not {act}: {reason}")]
    Unreachable { act: &'static str, reason: String },
    #[error("Kafka did not {act} within {} s", .within.as_secs())]
    TimedOut { act: &'static str, within: Duration },
    #[error("Kafka did not {act}: {problem}")]
    NoAnswer { act: &'static str, problem: String },
    #[error("Kafka did not {act}: {problem}")]
    Failed { act: &'static str, problem: String },
}

/// What an access list of Kafka's is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    Topic(String),
    /// One of this gateway's topics; Kafka does not say which.
    SomeTopic,
    Group(Option<String>),
    TransactionalId(Option<String>),
    Cluster,
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Resource::Topic(name) => write!(f, "the topic {name}"),
            Resource::SomeTopic => write!(f, "one of its topics (`gateway check` says which)"),
            Resource::Group(Some(name)) => write!(f, "the group {name}"),
            Resource::Group(None) => write!(f, "its group"),
            Resource::TransactionalId(Some(name)) => write!(f, "the transactional id {name}"),
            Resource::TransactionalId(None) => write!(f, "its transactional id"),
            Resource::Cluster => write!(f, "the cluster"),
        }
    }
}

impl Resource {
    /// Of `kafka-acls.sh`.
    fn option(&self) -> String {
        let named = |name: &Option<String>| name.clone().unwrap_or_else(|| "NAME".to_owned());
        match self {
            Resource::Topic(name) => format!("--topic {name}"),
            Resource::SomeTopic => "--topic NAME".to_owned(),
            Resource::Group(name) => format!("--group {}", named(name)),
            Resource::TransactionalId(name) => format!("--transactional-id {}", named(name)),
            Resource::Cluster => "--cluster".to_owned(),
        }
    }
}

impl Error {
    /// With what the gateway knows beyond the call that failed: why Kafka was not reached, and the names of what it does not allow.
    pub fn explained(self, settings: &Settings) -> Self {
        match self {
            Error::TimedOut { act, within } => match settings.reasons.last() {
                Some(reason) => Error::Unreachable { act, reason },
                None => Error::TimedOut { act, within },
            },
            Error::NoAnswer { act, problem } => match settings.reasons.last() {
                Some(reason) => Error::Unreachable { act, reason },
                None => Error::Failed { act, problem },
            },
            Error::MissingRight {
                right,
                resource: Resource::TransactionalId(None),
            } => Error::MissingRight {
                right,
                resource: Resource::TransactionalId(Some(settings.transactional_id())),
            },
            error => error,
        }
    }

    fn of(act: &'static str) -> impl Fn(KafkaError) -> Error {
        move |error| {
            let code = match &error {
                KafkaError::AdminOp(code) => Some(*code),
                KafkaError::Transaction(error) => Some(error.code()),
                error => error.rdkafka_error_code(),
            };
            if let Some((right, resource)) = code.and_then(missing_right) {
                return Error::MissingRight { right, resource };
            }
            match code {
                Some(
                    RDKafkaErrorCode::Fenced
                    | RDKafkaErrorCode::ProducerFenced
                    | RDKafkaErrorCode::InvalidProducerEpoch,
                ) => Error::Fenced,
                // Of librdkafka itself: it has no answer.
                Some(
                    RDKafkaErrorCode::OperationTimedOut
                    | RDKafkaErrorCode::BrokerTransportFailure
                    | RDKafkaErrorCode::AllBrokersDown
                    | RDKafkaErrorCode::Resolve
                    | RDKafkaErrorCode::Authentication
                    | RDKafkaErrorCode::SSL,
                ) => Error::NoAnswer {
                    act,
                    problem: error.to_string(),
                },
                _ => Error::Failed {
                    act,
                    problem: error.to_string(),
                },
            }
        }
    }
}

/// The right that is missing where Kafka answers with this code.
fn missing_right(code: RDKafkaErrorCode) -> Option<(&'static str, Resource)> {
    Some(match code {
        // Reading says itself which topic it may not read.
        RDKafkaErrorCode::TopicAuthorizationFailed => ("WRITE", Resource::SomeTopic),
        RDKafkaErrorCode::GroupAuthorizationFailed => ("READ", Resource::Group(None)),
        RDKafkaErrorCode::TransactionalIdAuthorizationFailed => ("WRITE", Resource::TransactionalId(None)),
        RDKafkaErrorCode::ClusterAuthorizationFailed => ("IDEMPOTENT_WRITE", Resource::Cluster),
        _ => return None,
    })
}
