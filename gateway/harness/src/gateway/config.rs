//! The configuration file of a gateway under test.

use std::path::PathBuf;

use serde_json::Value;

use crate::scratch::Scratch;

/// The content of the gateway's configuration file, and how the process is started.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    pub store: String,
    pub mqtt_url: String,
    /// `None`: the gateway buffers.
    pub kafka_brokers: Option<String>,
    pub topic_prefix: String,
    /// `None`: in the gateway's scratch folder, where it survives restarts.
    pub journal_path: Option<PathBuf>,
    pub max_bytes: Option<u64>,
    /// With port 0, each start gets another free port.
    pub http_listen: String,
    /// Whether the gateway works without sign-in. Tests of sign-in set it to false.
    pub open: bool,
    /// Whether the gateway makes up what a `POST` leaves out.
    pub invent: bool,
    /// Additional TOML with dotted keys: `kafka.properties."linger.ms" = "5"`.
    pub extra: String,
    pub env: Vec<(String, String)>,
    /// Additional arguments of `gateway run`.
    pub args: Vec<String>,
    /// A program with arguments that starts the gateway, such as `["strace", "-D"]`, and ends with it.
    pub wrapper: Vec<String>,
}

impl GatewayConfig {
    /// A configuration without Kafka and without sign-in, whose gateway makes up what a `POST` leaves out, with the
    /// gateway's defaults for all other keys.
    pub fn new(store: &str, mqtt_url: &str) -> Self {
        Self {
            store: store.to_owned(),
            mqtt_url: mqtt_url.to_owned(),
            kafka_brokers: None,
            topic_prefix: String::new(),
            journal_path: None,
            max_bytes: None,
            http_listen: "127.0.0.1:0".to_owned(),
            open: true,
            invent: true,
            extra: String::new(),
            env: Vec::new(),
            args: Vec::new(),
            wrapper: Vec::new(),
        }
    }

    /// Adds Kafka.
    #[must_use]
    pub fn kafka(mut self, brokers: &str, topic_prefix: &str) -> Self {
        self.kafka_brokers = Some(brokers.to_owned());
        self.topic_prefix = topic_prefix.to_owned();
        self
    }

    /// Adds a line to the configuration file.
    #[must_use]
    pub fn with(mut self, line: &str) -> Self {
        self.extra.push_str(line);
        self.extra.push('\n');
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
            ("http.open", self.open.to_string()),
            ("demo.invent", self.invent.to_string()),
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

/// Quotes a string for TOML. JSON strings are valid TOML basic strings.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

pub(super) fn port_file(scratch: &Scratch) -> PathBuf {
    scratch.join("http.port")
}
