//! Errors of Kafka operations.

use std::fmt;
use std::time::Duration;

use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

use super::{Deviation, RejectedRecord, Settings};

/// Why a Kafka operation failed. `act` completes the sentence "Kafka did not …".
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Another producer has taken over our transactional id.
    #[error(
        "fenced: another gateway with the same `store` has taken over; give each gateway its own store name, \
         for example paris-2"
    )]
    Fenced,
    /// `read_committed` consumers cannot get past that offset, and our newest watermark may lie behind it.
    #[error(
        "a transaction stays open on {topic} at offset {stable}: if this lasts, find it with \
         `kafka-transactions.sh find-hanging` and end it with `kafka-transactions.sh abort`"
    )]
    Undecided { topic: String, stable: i64 },
    #[error("{0}")]
    TooLarge(Box<RejectedRecord>),
    /// The clocks of this machine and of the Kafka broker differ too much.
    #[error("{0}")]
    WrongTime(Box<RejectedRecord>),
    /// A topic's settings would make the bridge send events twice.
    #[error("{0}")]
    Topic(Box<Deviation>),
    #[error(
        "Kafka does not let this gateway use {resource}: its user needs the right {right}. Give it, for example, with \
         kafka-acls.sh --add --allow-principal User:NAME --operation {right} {}", .resource.option()
    )]
    MissingRight { right: &'static str, resource: Resource },
    /// Kafka is unreachable; `reason` is the newest error that librdkafka logged.
    #[error("Kafka did not {act}: {reason}")]
    Unreachable { act: &'static str, reason: String },
    #[error("Kafka did not {act} within {} s", .within.as_secs())]
    TimedOut { act: &'static str, within: Duration },
    /// librdkafka gave up before Kafka replied.
    #[error("Kafka did not {act}: {problem}")]
    NoAnswer { act: &'static str, problem: String },
    #[error("Kafka did not {act}: {problem}")]
    Failed { act: &'static str, problem: String },
}

/// The resource that a Kafka ACL applies to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    Topic(String),
    /// One of this gateway's topics; Kafka does not name it.
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
    /// The option of `kafka-acls.sh` that selects this resource.
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
    /// Adds information that the failed call lacks: why Kafka is unreachable, and the name of the denied resource.
    pub fn explained(self, settings: &Settings) -> Self {
        match self {
            Error::TimedOut { act, within } => match settings.connection_errors.last() {
                Some(reason) => Error::Unreachable { act, reason },
                None => Error::TimedOut { act, within },
            },
            Error::NoAnswer { act, problem } => match settings.connection_errors.last() {
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

    /// Whether Kafka has not replied at all.
    pub fn is_silence(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::NoAnswer { .. }
        )
    }

    /// Converts librdkafka's error; `act` names the operation that failed.
    pub(super) fn of(act: &'static str) -> impl Fn(KafkaError) -> Error {
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
                // Errors of librdkafka itself: no broker has replied.
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

/// The missing right that Kafka reports with this error code.
fn missing_right(code: RDKafkaErrorCode) -> Option<(&'static str, Resource)> {
    Some(match code {
        // WRITE, because a consumer without READ names its topic itself.
        RDKafkaErrorCode::TopicAuthorizationFailed => ("WRITE", Resource::SomeTopic),
        RDKafkaErrorCode::GroupAuthorizationFailed => ("READ", Resource::Group(None)),
        RDKafkaErrorCode::TransactionalIdAuthorizationFailed => ("WRITE", Resource::TransactionalId(None)),
        RDKafkaErrorCode::ClusterAuthorizationFailed => ("IDEMPOTENT_WRITE", Resource::Cluster),
        _ => return None,
    })
}
