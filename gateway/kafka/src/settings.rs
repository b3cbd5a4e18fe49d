//! How to reach Kafka, and the configuration that all clients share.

use std::collections::BTreeMap;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, ClientContext};
use tracing::debug;

use super::{ConnectionErrors, Traffic, Uplink};
use comptoir_core::Secret;

/// How to reach Kafka, and the names to use there.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `bootstrap.servers`, for example `kafka-1:9092,kafka-2:9092`.
    pub brokers: String,
    /// Prefix of all topics, groups and the transactional id. May be empty.
    pub prefix: String,
    /// The store. Part of the transactional id, the group names and the client ids.
    pub identity: String,
    /// For topics that the gateway creates. `None`: the brokers' default.
    pub replication_factor: Option<i32>,
    /// For topics that the gateway creates. `None`: 3.
    pub partitions: Option<i32>,
    /// `kafka.uplink`
    pub uplink: Uplink,
    /// The owner's librdkafka properties, which override ours.
    pub properties: BTreeMap<String, Secret>,
    /// All clients record here why they cannot connect.
    pub connection_errors: ConnectionErrors,
    /// The clients count their bytes here.
    pub traffic: Traffic,
}

impl Settings {
    /// The full name of a topic that all stores share.
    pub fn topic(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The full name of a topic that belongs to this store alone.
    pub fn shop_topic(&self, name: &str) -> String {
        format!("{}{name}.{}", self.prefix, self.identity)
    }

    /// One per store, so that a second gateway of the same store is fenced.
    pub fn transactional_id(&self) -> String {
        format!("{}comptoir-{}", self.prefix, self.identity)
    }

    /// A consumer group's full name.
    pub fn group(&self, suffix: &str) -> String {
        format!("{}{suffix}", self.transactional_id())
    }

    pub(super) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", format!("comptoir-{}", self.identity))
            // A hanging broker is detected within 10 s; the default is a minute.
            .set("socket.timeout.ms", "10000")
            .set("socket.connection.setup.timeout.ms", "5000")
            .set("reconnect.backoff.max.ms", "5000")
            .set("socket.nagle.disable", "true")
            .set("log_level", "3")
            .set_log_level(RDKafkaLogLevel::Error);
        config
    }

    /// Applies the owner's properties. Call it last, so that they override ours.
    pub(super) fn finish(&self, config: &mut ClientConfig) {
        for (name, value) in &self.properties {
            config.set(canonical(name), value.reveal());
        }
        at_least(config, "reconnect.backoff.max.ms", "reconnect.backoff.ms");
    }
}

/// librdkafka's aliases of properties that we set too. If both names of a property were set, either could win.
const ALIASES: &[(&str, &str)] = &[
    ("queue.buffering.max.ms", "linger.ms"),
    ("compression.codec", "compression.type"),
    ("delivery.timeout.ms", "message.timeout.ms"),
];

/// The name under which we set a property.
pub(super) fn canonical(name: &str) -> &str {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == name);
    alias.map_or(name, |(_, canonical)| canonical)
}

/// Raises a number to the value of the property `least`. Leaves absent or non-numeric values to librdkafka.
fn at_least(config: &mut ClientConfig, name: &str, least: &str) {
    if let (Some(value), Some(least)) = (number(config, name), number(config, least)) {
        config.set(name, value.max(least).to_string());
    }
}

/// Lowers a number to the value of the property `most`.
pub(super) fn at_most(config: &mut ClientConfig, name: &str, most: &str) {
    if let Some(most) = number(config, most) {
        lower(config, name, most);
    }
}

/// Limits a number to at most `most`.
pub(super) fn lower(config: &mut ClientConfig, name: &str, most: u64) {
    if let Some(value) = number(config, name) {
        config.set(name, value.min(most).to_string());
    }
}

fn number(config: &ClientConfig, name: &str) -> Option<u64> {
    config.get(name)?.trim().parse().ok()
}

/// Context for clients whose calls return every error. librdkafka's own messages go to the debug log.
pub(super) struct LogOnlyContext;

impl ClientContext for LogOnlyContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        debug!(%error, reason, "kafka");
    }
}

impl ConsumerContext for LogOnlyContext {}

/// Writes a line of librdkafka's log to ours.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    debug!(?level, facility, message, "librdkafka");
}
