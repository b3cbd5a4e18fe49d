//! The configuration: defaults, overridden by the file, overridden by environment variables (`COMPTOIR_SECTION__KEY`).

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use comptoir_alerts::mail_text::Sender;
use comptoir_alerts::receivers::{Receivers, ReceiversConfig};
use comptoir_core::Secret;
use comptoir_kafka::{ConnectionErrors, Settings, Traffic, Uplink, check_properties};
use figment::Figment;
use figment::providers::{Env, Format as _, Toml};
use ipnet::IpNet;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::oidc::OidcConfig;

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
    pub retention: Retention,
    pub alerts: ReceiversConfig,
    pub http: Http,
    pub oidc: OidcConfig,
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
pub struct Retention {
    /// How many months the events and sales are kept, besides the current one. `None`: for ever.
    pub events: Option<u32>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    pub listen: SocketAddr,
    /// Most open connections. At most three quarters of them are live ones. Each needs a file descriptor.
    pub max_connections: usize,
    /// File to which the office writes its bound port, for programs that start it on port 0.
    pub port_file: Option<PathBuf>,
    /// Further names under which the office answers, without a port.
    #[serde(deserialize_with = "names")]
    pub hosts: Vec<String>,
    /// Reverse proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` count: addresses or networks.
    #[serde(deserialize_with = "names")]
    pub trusted_proxies: Vec<String>,
    /// Accepts passwords and sessions over plain HTTP from the network.
    pub plain_sign_in: bool,
}

impl Http {
    /// The parsed `trusted_proxies`.
    ///
    /// # Errors
    /// One is neither an address nor a network.
    pub fn trusted_networks(&self) -> Result<Vec<IpNet>, ConfigError> {
        let parse = |text: &String| {
            let network = text.parse().ok();
            let network = network.or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
            network.ok_or_else(|| {
                let example = "not an address or a network; for example \"10.0.0.2\" or \"10.0.0.0/24\"";
                ConfigError(format!("http.trusted_proxies: {text:?}: {example}"))
            })
        };
        self.trusted_proxies.iter().map(parse).collect()
    }

    /// Whether other machines can reach the address.
    pub fn is_on_network(&self) -> bool {
        !self.listen.ip().is_loopback()
    }

    fn check(&self) -> Result<(), ConfigError> {
        self.trusted_networks()?;
        let is_name = |host: &&String| !host.is_empty() && !host.contains([':', '/', ' ', '@', '*']);
        match self.hosts.iter().find(|host| !is_name(host)) {
            Some(host) => Err(ConfigError(format!(
                "http.hosts: {host:?} is not a host name; write it without a scheme and a port, for example \"office.example.org\""
            ))),
            None => Ok(()),
        }
    }
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
            hosts: Vec::new(),
            trusted_proxies: Vec::new(),
            plain_sign_in: false,
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

/// Accepts a list, and the environment's form: names separated by commas.
fn names<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Names {
        List(Vec<String>),
        Text(String),
    }
    Ok(match Names::deserialize(deserializer)? {
        Names::List(names) => names,
        Names::Text(text) => {
            let names = text.split(',').map(str::trim);
            names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
        }
    })
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
        self.http.check()?;
        self.oidc.check()?;
        // A till may have been away for weeks, and its sales would come too late to be counted.
        if self
            .retention
            .events
            .is_some_and(|months| !(3..=1_200).contains(&months))
        {
            return refuse("retention.events: a number of months from 3 to 1200, for example 120");
        }
        if !CONNECTIONS.contains(&self.http.max_connections) {
            return Err(ConfigError(format!(
                "http.max_connections: {} is not from {} to {}; for example 512",
                self.http.max_connections,
                CONNECTIONS.start(),
                CONNECTIONS.end()
            )));
        }
        self.receivers()?;
        check_properties(&self.kafka.properties).map_err(|error| {
            let key = error.property.map_or_else(
                || "kafka.properties".to_owned(),
                |name| format!("kafka.properties.{name}"),
            );
            ConfigError(format!("{key}: {}", error.why))
        })
    }

    /// Everybody who gets alerts.
    ///
    /// # Errors
    /// Names the invalid key, with an example.
    pub fn receivers(&self) -> Result<Receivers, ConfigError> {
        let receivers = self.alerts.receivers(Sender::Office, TimeZone::UTC);
        receivers.map_err(|error| ConfigError(error.to_string()))
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
            traffic: Traffic::default(),
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

    fn mail(url: &str, more: &str) -> String {
        format!("{VALID}[alerts]\nsmtp_url = \"{url}\"\nfrom = \"office@example.org\"\n{more}")
    }

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
                &format!("{VALID}[http]\ntrusted_proxies = [\"proxy\"]"),
                "http.trusted_proxies: \"proxy\"",
            ),
            (
                &format!("{VALID}[http]\nhosts = \"https://office.example.org\""),
                "http.hosts: \"https://office.example.org\"",
            ),
            (
                &format!("{VALID}[alerts]\nto = \"ops@example.org\""),
                "alerts.smtp_url: missing",
            ),
            (
                &mail("smtp://user:hunter2@mail.example.org", ""),
                "alerts.smtp_url: the password would cross the network in the clear",
            ),
            (&mail("mail.example.org", ""), "alerts.smtp_url: not an address"),
            (
                &mail("smtps://mail.example.org", "to = \"ops\""),
                "alerts.to: \"ops\" is not",
            ),
            (
                &mail(
                    "smtps://mail.example.org",
                    "to = \"a@b.fr,c@d.fr\"\nquiet = \"at night\"",
                ),
                "alerts.quiet: not FROM-UNTIL",
            ),
            (
                &format!("{VALID}[retention]\nevents = 1"),
                "retention.events: a number of months from 3",
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
