//! The configuration: defaults, overridden by the file, overridden by environment variables (`COMPTOIR_SECTION__KEY`).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use comptoir_core::Secret;
use comptoir_kafka::{ConnectionErrors, Settings, Uplink, check_properties};
use figment::Figment;
use figment::providers::{Env, Format as _, Toml};
use jiff::Timestamp;
use reqwest::Url;
use serde::Deserialize;

/// The default configuration file, read if it exists and no other file is named.
pub const DEFAULT_FILE: &str = "/etc/comptoir/office.toml";

const ENVIRONMENT: &str = "COMPTOIR_";
/// The values of `http.max_connections`.
const CONNECTIONS: RangeInclusive<usize> = 8..=100_000;
/// The name of the clients.
const IDENTITY: &str = "office";

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub kafka: Kafka,
    pub postgres: Postgres,
    pub shops: Shops,
    pub alerts: AlertsConfig,
    pub http: Http,
    pub log: Log,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Kafka {
    /// `host:port,…`
    pub brokers: String,
    /// Prefix of every topic and of the consumer group, the same as in the gateways.
    pub topic_prefix: String,
    /// The consumer group, without the prefix.
    pub group: String,
    /// librdkafka properties: TLS, SASL.
    #[serde(deserialize_with = "properties")]
    pub properties: BTreeMap<String, Secret>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Postgres {
    /// `postgres://[user[:password]@]host[:5432]/database`
    pub url: Option<Secret>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Shops {
    /// File with one `STORE KEY` per line; see [`crate::keys::ShopKeys`].
    pub keys: PathBuf,
    /// Events that Kafka appended before this time count without a signature.
    pub unsigned_before: Option<Timestamp>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlertsConfig {
    /// Receives a `POST` when a trouble of a shop begins or ends. The address may contain a secret.
    pub webhook: Option<Secret>,
}

impl AlertsConfig {
    /// The parsed address, if there is one.
    ///
    /// # Errors
    /// It is not a valid `http` or `https` address.
    pub fn url(&self) -> Result<Option<Url>, ConfigError> {
        let Some(webhook) = &self.webhook else {
            return Ok(None);
        };
        let url = Url::parse(webhook.reveal()).ok();
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let example = "alerts.webhook: not an http or https address; for example \"https://alerts.example.org/hooks/shops\"";
        url.map(Some).ok_or_else(|| ConfigError(example.to_owned()))
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    pub listen: SocketAddr,
    /// Most open connections. At most three quarters of them are live ones. Each needs a file descriptor.
    pub max_connections: usize,
    /// File to which the office writes its bound port, for programs that start it on port 0.
    pub port_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// In `RUST_LOG` syntax: `info`, `comptoir_office=debug`.
    pub filter: String,
}

impl Default for Kafka {
    fn default() -> Self {
        Self {
            brokers: String::new(),
            topic_prefix: String::new(),
            // The user of `deploy/kafka/acls.sh office` may use groups with this prefix.
            group: "head-office".to_owned(),
            properties: BTreeMap::new(),
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8090)),
            max_connections: 512,
            port_file: None,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            filter: "info".to_owned(),
        }
    }
}

/// Accepts `"sasl.password" = "…"`, `sasl.password = "…"`, and the environment's form `sasl_password`.
fn properties<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, Secret>, D::Error> {
    let values = BTreeMap::<String, figment::value::Value>::deserialize(deserializer)?;
    let mut properties = BTreeMap::new();
    for (name, value) in values {
        flatten(&mut properties, &name.replace('_', "."), value);
    }
    Ok(properties)
}

fn flatten(into: &mut BTreeMap<String, Secret>, name: &str, value: figment::value::Value) {
    match value {
        figment::value::Value::Dict(_, inner) => {
            for (key, value) in inner {
                flatten(into, &format!("{name}.{key}"), value);
            }
        }
        figment::value::Value::String(_, text) => {
            into.insert(name.to_owned(), Secret::new(text));
        }
        value => {
            let text = value
                .deserialize::<serde_json::Value>()
                .map(|value| value.to_string());
            into.insert(name.to_owned(), Secret::new(text.unwrap_or_default()));
        }
    }
}

/// Why the configuration cannot be used: one sentence that names the key.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

impl Config {
    /// Reads the environment and `file`, or [`DEFAULT_FILE`] if it exists.
    ///
    /// # Errors
    /// The file is absent, or a key or a value is invalid.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        if let Some(file) = file.filter(|file| !file.is_file()) {
            return Err(ConfigError(format!("{}: no such file", file.display())));
        }
        let default = Path::new(DEFAULT_FILE);
        let figment = match file.or_else(|| default.is_file().then_some(default)) {
            Some(file) => Figment::from(Toml::file_exact(file)),
            None => Figment::new(),
        };
        // Variables without a section, such as COMPTOIR_CACHE, are not ours.
        let variables = Env::prefixed(ENVIRONMENT).filter(|name| name.as_str().contains("__"));
        let figment = figment.merge(variables.split("__"));
        let config: Self = figment
            .extract()
            .map_err(|error| ConfigError(error.to_string()))?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let refuse = |text: &str| Err(ConfigError(text.to_owned()));
        if self.kafka.brokers.is_empty() {
            return refuse(
                "kafka.brokers: missing; name at least one broker, for example \"kafka-1:9092,kafka-2:9092\"",
            );
        }
        if self.postgres.url.is_none() {
            return refuse("postgres.url: missing; for example \"postgres://office@db-1/comptoir\"");
        }
        if self.shops.keys.as_os_str().is_empty() {
            return refuse(
                "shops.keys: missing; name a file with one `STORE KEY` a line, for example \"/etc/comptoir/shop-keys\"",
            );
        }
        if !self.http.listen.ip().is_loopback() {
            return Err(ConfigError(format!(
                "http.listen: {} can be reached from other machines, and the office has no sign-in yet; use \
                 \"127.0.0.1:8090\" and reach it through SSH",
                self.http.listen
            )));
        }
        if !CONNECTIONS.contains(&self.http.max_connections) {
            return Err(ConfigError(format!(
                "http.max_connections: {} is not from {} to {}; for example 512",
                self.http.max_connections,
                CONNECTIONS.start(),
                CONNECTIONS.end()
            )));
        }
        self.alerts.url()?;
        check_properties(&self.kafka.properties).map_err(|error| {
            let key = error.property.map_or_else(
                || "kafka.properties".to_owned(),
                |name| format!("kafka.properties.{name}"),
            );
            ConfigError(format!("{key}: {}", error.why))
        })
    }

    /// How to reach Kafka.
    pub fn kafka_settings(&self) -> Settings {
        Settings {
            brokers: self.kafka.brokers.clone(),
            prefix: self.kafka.topic_prefix.clone(),
            identity: IDENTITY.to_owned(),
            replication_factor: None,
            partitions: None,
            uplink: Uplink::Normal,
            properties: self.kafka.properties.clone(),
            connection_errors: ConnectionErrors::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(toml: &str) -> Result<Config, ConfigError> {
        let config: Config = Figment::from(Toml::string(toml))
            .extract()
            .map_err(|error| ConfigError(error.to_string()))?;
        config.check()?;
        Ok(config)
    }

    const VALID: &str = "[kafka]\nbrokers = \"localhost:9092\"\n[postgres]\nurl = \"postgres://office:hunter2@localhost/office\"\n\
         [shops]\nkeys = \"/etc/comptoir/shop-keys\"\n";

    #[test]
    fn a_missing_or_wrong_key_is_named_with_an_example() {
        load(VALID).unwrap();
        for (toml, words) in [
            ("", "kafka.brokers: missing"),
            ("[kafka]\nbrokers = \"localhost:9092\"", "postgres.url: missing"),
            (&VALID.replace("keys =", "kes ="), "kes"),
            (
                &format!("{VALID}[alerts]\nwebhook = \"alerts.example.org\""),
                "alerts.webhook: not an http",
            ),
            (
                &format!("{VALID}[http]\nlisten = \"0.0.0.0:8090\""),
                "http.listen: 0.0.0.0:8090",
            ),
            (
                &format!("{VALID}[http]\nmax_connections = 1"),
                "http.max_connections: 1 is not from 8 to",
            ),
            (
                &format!("{VALID}[kafka.properties]\n\"group.id\" = \"x\""),
                "kafka.properties.",
            ),
        ] {
            let error = load(toml).unwrap_err().to_string();
            assert!(error.contains(words), "{toml}: {error}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let toml = format!("{VALID}[kafka.properties]\n\"sasl.password\" = \"hunter2\"\n");
        let config = load(&toml).unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
        assert_eq!(
            config.kafka.properties.get("sasl.password").map(Secret::reveal),
            Some("hunter2")
        );
    }
}
