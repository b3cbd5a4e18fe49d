//! The configuration file of a gateway under test.

use std::path::PathBuf;

use serde_json::Value;

use crate::scratch::Scratch;

/// What goes into the gateway's configuration file.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    pub store: String,
    pub mqtt_url: String,
    /// Without it the gateway buffers.
    pub kafka_brokers: Option<String>,
    pub topic_prefix: String,
    /// None: in the gateway's own scratch folder, kept over its restarts.
    pub journal_path: Option<PathBuf>,
    pub max_bytes: Option<u64>,
    /// Port 0: a free one, another at each start.
    pub http_listen: String,
    /// More TOML, with dotted keys only: `kafka.properties."linger.ms" = "5"`.
    pub extra: String,
    pub env: Vec<(String, String)>,
    /// More arguments of `gateway run`.
    pub args: Vec<String>,
    /// Program and arguments that start the gateway in their turn: `["strace", "-D"]`. It must end with it.
    pub wrapper: Vec<String>,
}

impl GatewayConfig {
    /// Without Kafka, and with the gateway's own defaults where it has any.
    pub fn new(store: &str, mqtt_url: &str) -> Self {
        Self {
            store: store.to_owned(),
            mqtt_url: mqtt_url.to_owned(),
            kafka_brokers: None,
            topic_prefix: String::new(),
            journal_path: None,
            max_bytes: None,
            http_listen: "127.0.0.1:0".to_owned(),
            extra: String::new(),
            env: Vec::new(),
            args: Vec::new(),
            wrapper: Vec::new(),
        }
    }

    /// With Kafka.
    #[must_use]
    pub fn kafka(mut self, brokers: &str, topic_prefix: &str) -> Self {
        self.kafka_brokers = Some(brokers.to_owned());
        self.topic_prefix = topic_prefix.to_owned();
        self
    }

    pub(super) fn toml(&self, scratch: &Scratch) -> String {
        let journal = self.journal_path(scratch).display().to_string();
        let port_file = port_file(scratch).display().to_string();
        let mut lines = vec![
            ("store", quoted(&self.store)),
            ("mqtt.url", quoted(&self.mqtt_url)),
            ("kafka.topic_prefix", quoted(&self.topic_prefix)),
            ("journal.path", quoted(&journal)),
            ("http.listen", quoted(&self.http_listen)),
            ("http.port_file", quoted(&port_file)),
        ];
        lines.extend(
            self.kafka_brokers
                .as_ref()
                .map(|brokers| ("kafka.brokers", quoted(brokers))),
        );
        lines.extend(
            self.max_bytes
                .map(|bytes| ("journal.max_bytes", bytes.to_string())),
        );
        let lines: String = lines
            .iter()
            .map(|(key, value)| format!("{key} = {value}\n"))
            .collect();
        lines + &self.extra + "\n"
    }

    pub(super) fn journal_path(&self, scratch: &Scratch) -> PathBuf {
        self.journal_path
            .clone()
            .unwrap_or_else(|| scratch.join("journal.db"))
    }
}

/// JSON's strings are TOML's basic strings.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

pub(super) fn port_file(scratch: &Scratch) -> PathBuf {
    scratch.join("http.port")
}
