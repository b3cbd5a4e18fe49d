//! The configuration: defaults, then the file, then the environment (`COMPTOIR_SECTION__KEY`), the later
//! over the earlier. Checked once, at the start; a key that is not known is refused.

#[cfg(test)]
mod environment_tests;
mod keys;
mod last_good;
mod problem;
mod read;
mod sources;
mod values;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use figment::Figment;
use serde::Deserialize;
use tracing_subscriber::EnvFilter;

use crate::event::DeviceId;
use crate::kafka;
use crate::sale::Currency;
use crate::tls::Certificate;
pub use last_good::keep_as_last_good;
pub use problem::{ConfigError, read_report};
use sources::settings;
pub use values::{MqttUrl, Secret};
use values::{
    brokers, currency, is_host, maybe_path, maybe_socket_address, path, properties, socket_address,
};

/// Where the packaged gateway has its file. Used when it is there and no other is named.
pub const DEFAULT_FILE: &str = "/etc/comptoir/gateway.toml";

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// This shop: names the gateway towards Kafka, and the sales that are made at the gateway itself.
    pub store: String,
    /// Of amounts that name no currency, and of the revenue. ISO 4217.
    #[serde(deserialize_with = "currency")]
    pub currency: Currency,
    pub mqtt: Mqtt,
    pub kafka: Kafka,
    pub journal: JournalConfig,
    pub http: Http,
    pub log: Log,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mqtt {
    /// `mqtt://[user:password@]host[:1883]` or `mqtts://…[:8883]`.
    pub url: MqttUrl,
    /// Listen address of the built-in MQTT broker; none by default. With it, `url` may be left out.
    #[serde(deserialize_with = "maybe_socket_address")]
    pub embedded: Option<SocketAddr>,
    /// Default: `comptoir-{store}`.
    pub client_id: Option<String>,
    /// Whose terminals are heard. Default: every store's.
    pub stores: Option<Vec<String>>,
}

#[derive(Debug, Clone, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Kafka {
    /// `host:port,…`. Without it the gateway works and buffers.
    #[serde(deserialize_with = "brokers")]
    pub brokers: Option<String>,
    /// Stands before every topic's name, and before the names of the transaction and the group.
    pub topic_prefix: String,
    /// Of topics that are made at start. Default: the Kafka brokers' own.
    pub replication_factor: Option<i32>,
    /// Of the topics of events that are made at start. Default: 3.
    pub partitions: Option<i32>,
    /// Handed to librdkafka as they are: TLS, SASL, compression.
    #[serde(deserialize_with = "properties")]
    pub properties: BTreeMap<String, Secret>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JournalConfig {
    #[serde(deserialize_with = "path")]
    pub path: PathBuf,
    /// At this size the gateway stops accepting until Kafka has drained it.
    pub max_bytes: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    #[serde(deserialize_with = "socket_address")]
    pub listen: SocketAddr,
    /// The bound port is written here: for whoever started the gateway on port 0.
    #[serde(deserialize_with = "maybe_path")]
    pub port_file: Option<PathBuf>,
    /// The pages are found under this name with `.local` behind it (mDNS); empty: not announced.
    pub mdns: String,
    /// Host names under which browsers may use the pages, besides addresses, `.local` and the like: a reverse proxy's.
    pub hosts: Vec<String>,
    /// PEM files: with both, the port speaks TLS.
    #[serde(deserialize_with = "maybe_path")]
    pub tls_cert: Option<PathBuf>,
    #[serde(deserialize_with = "maybe_path")]
    pub tls_key: Option<PathBuf>,
    /// Whoever asks for pages, API or Socket.IO must say it, with any user name (HTTP Basic). None by default.
    pub password: Option<Secret>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    pub format: LogFormat,
    /// As in `RUST_LOG`: `info`, `comptoir_gateway=debug`.
    pub filter: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            store: "shop-1".to_owned(),
            currency: Currency::EUR,
            mqtt: Mqtt::default(),
            kafka: Kafka::default(),
            journal: JournalConfig::default(),
            http: Http::default(),
            log: Log::default(),
        }
    }
}

impl Default for Mqtt {
    fn default() -> Self {
        Self {
            url: MqttUrl {
                host: "localhost".to_owned(),
                port: 1883,
                tls: false,
                credentials: None,
            },
            embedded: None,
            client_id: None,
            stores: None,
        }
    }
}

impl Default for JournalConfig {
    fn default() -> Self {
        Self {
            path: PathBuf::from("journal.db"),
            max_bytes: 2 << 30,
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([0, 0, 0, 0], 8080)),
            port_file: None,
            mdns: "comptoir".to_owned(),
            hosts: Vec::new(),
            tls_cert: None,
            tls_key: None,
            password: None,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            // The built-in MQTT broker calls every client that leaves an error.
            filter: "info,rumqttd=off".to_owned(),
        }
    }
}

/// Smallest `journal.max_bytes`: below it one group commit might not fit.
const MIN_JOURNAL_BYTES: u64 = 1 << 20;

impl Config {
    /// Reads the named file, or [`DEFAULT_FILE`] if it is there, and the environment.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        if let Some(file) = file.filter(|file| !file.is_file()) {
            let message = match file.exists() {
                true => "is not a file",
                false => "no such file",
            };
            return Err(ConfigError {
                place: Some(file.display().to_string()),
                key: None,
                message: message.to_owned(),
            });
        }
        Self::from_figment(settings(file))
    }

    /// Reads and checks.
    pub fn from_figment(figment: Figment) -> Result<Self, ConfigError> {
        let config: Config = read::read(&figment)?;
        config.check().map_err(|error| error.found_in(&figment))?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        store_name("store", &self.store)?;
        if self.journal.max_bytes < MIN_JOURNAL_BYTES {
            return Err(ConfigError::not(
                "journal.max_bytes",
                &self.journal.max_bytes.to_string(),
                &format!("is too small; write {MIN_JOURNAL_BYTES} or more"),
            ));
        }
        if self
            .kafka
            .brokers
            .as_deref()
            .is_some_and(|brokers| brokers.trim().is_empty())
        {
            return Err(ConfigError::of(
                "kafka.brokers",
                "empty; leave it out to buffer without Kafka",
            ));
        }
        let label = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.http.mdns.len() > 63 || !self.http.mdns.chars().all(label) {
            return Err(ConfigError::not(
                "http.mdns",
                &self.http.mdns,
                "is not a name to announce; write a-z, 0-9 and '-' without .local, or nothing to announce none",
            ));
        }
        if let Some(host) = self.http.hosts.iter().find(|host| !is_host(host)) {
            return Err(ConfigError::not(
                "http.hosts",
                host,
                "is not a host name; write it without scheme and port",
            ));
        }
        Certificate::of(&self.http)?;
        let password = self.http.password.as_ref();
        if password.is_some_and(|password| password.reveal().is_empty()) {
            return Err(ConfigError::of(
                "http.password",
                "empty; leave it out to ask for none",
            ));
        }
        if self.mqtt.client_id.as_deref() == Some("") {
            // The MQTT broker would give another name each time, and with it another session.
            return Err(ConfigError::of(
                "mqtt.client_id",
                "empty; leave it out for comptoir- and the store",
            ));
        }
        if let Some(stores) = &self.mqtt.stores {
            if stores.is_empty() {
                return Err(ConfigError::of(
                    "mqtt.stores",
                    "empty; leave it out for all stores",
                ));
            }
            for store in stores {
                store_name("mqtt.stores", store)?;
            }
        }
        let replication = self.kafka.replication_factor;
        if replication.is_some_and(|factor| factor != -1 && factor < 1) {
            return Err(ConfigError::not(
                "kafka.replication_factor",
                &replication.unwrap_or_default().to_string(),
                "is not a replication factor; write 1 or more, or -1 for what the Kafka brokers have set",
            ));
        }
        if let Some(partitions) = self.kafka.partitions.filter(|&partitions| partitions < 1) {
            return Err(ConfigError::not(
                "kafka.partitions",
                &partitions.to_string(),
                "is not a number of partitions; write 1 or more",
            ));
        }
        let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if !self.kafka.topic_prefix.chars().all(valid) {
            return Err(ConfigError::not(
                "kafka.topic_prefix",
                &self.kafka.topic_prefix,
                "is not the beginning of a topic's name; write a-z, A-Z, 0-9, '.', '_' and '-'",
            ));
        }
        if let Err(refused) = kafka::check(&self.kafka.properties) {
            let property = refused.property.map(|property| format!(".{property}"));
            return Err(ConfigError::of(
                format!("kafka.properties{}", property.unwrap_or_default()),
                refused.why,
            ));
        }
        log_filter(&self.log.filter)
    }

    /// The client id towards the MQTT broker.
    pub fn mqtt_client_id(&self) -> String {
        self.mqtt
            .client_id
            .clone()
            .unwrap_or_else(|| format!("comptoir-{}", self.store))
    }
}

fn store_name(key: &str, name: &str) -> Result<(), ConfigError> {
    let wrong = "is not a store's name; write 1 to 32 of a-z, 0-9 and '-', the first not '-'";
    match DeviceId::new(name, crate::event::COUNTER) {
        Ok(_) => Ok(()),
        Err(_) => Err(ConfigError::not(key, name, wrong)),
    }
}

/// Levels elsewhere. A word alone that is no level names a part of the program to the filter, which then logs nothing
/// else.
const FOREIGN_LEVELS: [(&str, &str); 9] = [
    ("warning", "warn"),
    ("err", "error"),
    ("critical", "error"),
    ("fatal", "error"),
    ("notice", "info"),
    ("information", "info"),
    ("verbose", "debug"),
    ("all", "trace"),
    ("none", "off"),
];

fn log_filter(filter: &str) -> Result<(), ConfigError> {
    let wrong = |why: &str| Err(ConfigError::not("log.filter", filter, why));
    if EnvFilter::try_new(filter).is_err() {
        return wrong(
            "is not a log filter; write LEVEL or LEVEL,TARGET=LEVEL with off, error, warn, info, debug, trace",
        );
    }
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let directives = filter.split(',').map(|directive| directive.trim().to_lowercase());
    for directive in directives.filter(|directive| !directive.contains(['=', '['])) {
        let foreign = FOREIGN_LEVELS.iter().find(|(level, _)| *level == directive);
        let mistyped = || keys::nearest(&directive, LEVELS.into_iter());
        if !LEVELS.contains(&directive.as_str())
            && let Some(level) = foreign.map(|(_, level)| *level).or_else(mistyped)
        {
            return wrong(&format!("has no level {directive:?}; did you mean {level}?"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use figment::providers::{Format, Toml};

    use super::*;

    fn load(toml: &str) -> Result<Config, ConfigError> {
        Config::from_figment(Figment::from(Toml::string(toml)))
    }

    #[test]
    fn nothing_at_all_is_a_configuration() {
        let config = load("").unwrap();
        assert_eq!(config.kafka.brokers, None);
        assert_eq!(config.http.listen.port(), 8080);
        assert_eq!(config.mqtt_client_id(), "comptoir-shop-1");
    }

    #[test]
    fn librdkafkas_names_may_be_written_three_ways() {
        for toml in [
            "[kafka.properties]\n\"security.protocol\" = \"SSL\"",
            "[kafka.properties]\nsecurity.protocol = \"SSL\"",
            "[kafka.properties]\nsecurity_protocol = \"SSL\"",
        ] {
            let config = load(toml).unwrap();
            let value = config.kafka.properties.get("security.protocol");
            assert_eq!(value.map(Secret::reveal), Some("SSL"), "{toml}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (toml, word) in [
            ("store = \"Paris\"", "store"),
            ("stroe = \"paris\"", "stroe"),
            ("[journal]\nmax_bytes = 10", "journal.max_bytes"),
            ("[journal]\nmax_bytes = \"big\"", "journal.max_bytes"),
            ("[http]\nlisten = \"here\"", "http.listen"),
            ("[mqtt]\nurl = \"http://x\"", "mqtt.url"),
            ("[kafka]\nbrokers = \" \"", "kafka.brokers"),
            ("[kafka.properties]\ntransactional.id = \"x\"", "transactional.id"),
            ("currency = \"EURO\"", "currency"),
            ("[mqtt]\nclient_id = \"\"", "mqtt.client_id"),
            ("[mqtt]\nstores = []", "mqtt.stores"),
            ("[mqtt]\nstores = [\"Paris\"]", "mqtt.stores"),
            ("[kafka]\nreplication_factor = 0", "kafka.replication_factor"),
            ("[kafka]\nreplication_factor = -5", "kafka.replication_factor"),
            ("[kafka]\npartitions = 0", "kafka.partitions"),
            ("[http]\npassword = \"\"", "http.password"),
            ("[http]\nhosts = [\"kasse.example:8080\"]", "http.hosts"),
            ("[http]\npassword = true", "http.password"),
            ("[http]\ntls_cert = \"/c.pem\"", "http.tls_key"),
            ("[http]\ntls_key = \"/k.pem\"", "http.tls_cert"),
            ("[log]\nfilter = \"comptoir_gateway=loud\"", "log.filter"),
            ("[kafka.properties]\nlingr.ms = 5", "kafka.properties.lingr.ms"),
            (
                "[kafka.properties]\nlinger.ms = \"x\"",
                "kafka.properties.linger.ms",
            ),
        ] {
            let error = load(toml).expect_err(toml).to_string();
            assert!(error.contains(word), "{toml}: {error}");
            assert!(!error.contains('\n'), "one sentence: {error}");
        }
    }

    #[test]
    fn an_address_of_the_mqtt_broker_reads_as_it_was_written() {
        for url in [
            "mqtt://[::1]:1883",
            "mqtts://192.0.2.1:8883",
            "mqtt://localhost:1884",
        ] {
            assert_eq!(url.parse::<MqttUrl>().unwrap().to_string(), url);
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let toml = "[mqtt]\nurl = \"mqtt://till:hunter2@broker\"\n[kafka.properties]\n\"sasl.password\" = \"hunter2\"\n\
             [http]\npassword = \"hunter2\"";
        let config = load(toml).unwrap();
        let shown = format!("{config:?} {}", config.mqtt.url);
        assert!(!shown.contains("hunter2"), "{shown}");
        let (user, password) = config.mqtt.url.credentials.unwrap();
        assert_eq!((user.as_str(), password.reveal()), ("till", "hunter2"));
        assert_eq!(config.http.password.as_ref().map(Secret::reveal), Some("hunter2"));
    }
}
