//! The configuration: defaults, overridden by the file, overridden by environment variables (`COMPTOIR_SECTION__KEY`).
//!
//! It is read and checked once, at start. An unknown key is an error. This module knows neither Kafka nor TLS; the
//! configured parts provide the checks of their sections, see [`SectionCheck`].
//!
//! * `sources`, `read`, `values`: from text to types.
//! * `defaults`, `checks`: the default values, and the rules for all values.
//! * `keys`, `problem`: error messages with the key, the value and an example.
//! * `last_good`: the copy of the last file that worked.

mod checks;
mod defaults;
#[cfg(test)]
mod environment_tests;
#[cfg(test)]
mod key_tests;
mod keys;
mod last_good;
mod problem;
mod read;
mod sources;
#[cfg(test)]
mod value_tests;
mod values;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use figment::Figment;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;

use comptoir_alerts::mail_text::Language;
use comptoir_core::Secret;
use comptoir_core::sale::Currency;
pub use last_good::save_as_last_good;
pub use problem::{ConfigError, read_report};
use sources::settings;
pub use values::MqttUrl;
use values::{
    brokers, currency, maybe_path, maybe_socket_address, maybe_timestamp, path, properties, socket_address,
};

/// The packaged gateway's configuration file, read if it exists and no other file is named.
pub const DEFAULT_FILE: &str = "/etc/comptoir/gateway.toml";

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Names this shop: in Kafka's transactional id and consumer group, and in the sales made on the gateway's own
    /// pages.
    pub store: String,
    /// ISO 4217 currency of the revenue, and of amounts without a currency.
    #[serde(deserialize_with = "currency")]
    pub currency: Currency,
    /// IANA name of the time zone in which the shop's days begin. Default: the machine's.
    pub time_zone: Option<String>,
    pub mqtt: Mqtt,
    pub kafka: Kafka,
    pub journal: JournalConfig,
    pub archive: ArchiveConfig,
    pub http: Http,
    pub demo: Demo,
    pub retention: Retention,
    pub alerts: Alerts,
    pub log: Log,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mqtt {
    /// `mqtt://[user:password@]host[:1883]` or `mqtts://…[:8883]`.
    pub url: MqttUrl,
    /// Listen address of the built-in MQTT broker; `None` disables it. If it is set, `url` is not used.
    #[serde(deserialize_with = "maybe_socket_address")]
    pub embedded: Option<SocketAddr>,
    /// MQTT client id. Two clients with the same id disconnect each other. Default: `comptoir-{store}`.
    pub client_id: Option<String>,
    /// The stores whose tills are accepted. Default: all stores.
    pub stores: Option<Vec<String>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Kafka {
    /// `host:port,…`. Without brokers the gateway only buffers.
    #[serde(deserialize_with = "brokers")]
    pub brokers: Option<String>,
    /// Prefix of every topic, of the transactional id and of the consumer group.
    pub topic_prefix: String,
    /// Replication factor of the topics that the gateway creates. Default: the Kafka brokers' default.
    pub replication_factor: Option<i32>,
    /// Partitions of the event topics that the gateway creates. Default: 3.
    pub partitions: Option<i32>,
    /// Whose events the gateway reads from Kafka.
    pub follow: Follow,
    /// With `follow = "all"`: the time from which events are read. Default: when this gateway was set up.
    #[serde(deserialize_with = "maybe_timestamp")]
    pub follow_since: Option<Timestamp>,
    /// Whether the connection to Kafka is metered.
    pub uplink: Uplink,
    /// Seconds for which events are gathered into one transaction if the uplink is metered.
    pub uplink_delay: u64,
    /// Bytes that the connection to Kafka may carry in a day. Near it, only payments are sent.
    pub uplink_budget: Option<u64>,
    /// Whether payments leave at once while other events are gathered.
    pub payments_at_once: bool,
    /// librdkafka properties, passed on unchanged: TLS, SASL, compression.
    #[serde(deserialize_with = "properties")]
    pub properties: BTreeMap<String, Secret>,
}

/// Whose events the gateway reads from Kafka.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Follow {
    /// Nobody's. Kafka's replies to the producer say where the gateway's own events are.
    #[default]
    Own,
    /// All shops': it consumes the event topics.
    All,
}

/// The kind of connection to Kafka.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Uplink {
    /// Minimises latency: events leave at once.
    #[default]
    Normal,
    /// Minimises bytes, which cost money.
    Metered,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JournalConfig {
    #[serde(deserialize_with = "path")]
    pub path: PathBuf,
    /// At this size the gateway stops accepting events until Kafka has confirmed some.
    pub max_bytes: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    #[serde(deserialize_with = "socket_address")]
    pub listen: SocketAddr,
    /// File to which the gateway writes its bound port, for programs that start it on port 0.
    #[serde(deserialize_with = "maybe_path")]
    pub port_file: Option<PathBuf>,
    /// mDNS host name without `.local`; empty disables the announcement.
    pub mdns: String,
    /// Additional host names for browsers, such as a reverse proxy's. To prevent DNS rebinding, only these, IP
    /// addresses, `.local` names and the machine's own names are accepted.
    pub hosts: Vec<String>,
    /// Whether the port speaks TLS. See [`Http::tls_mode`], which also considers the other keys.
    pub tls: TlsSetting,
    /// Certificate chain (PEM) that replaces the gateway's own certificate. Requires `tls_key`.
    #[serde(deserialize_with = "maybe_path")]
    pub tls_cert: Option<PathBuf>,
    /// Private key (PEM).
    #[serde(deserialize_with = "maybe_path")]
    pub tls_key: Option<PathBuf>,
    /// Password of the user `admin`, which is created with it if there is no administrator. For configurations of
    /// earlier versions.
    pub password: Option<Secret>,
    /// Disables sign-in: everyone who reaches the port may read and change everything.
    pub open: bool,
    /// Accepts passwords, sessions and tokens over plain HTTP from the network, where others can read them.
    pub plain_sign_in: bool,
}

/// The value of `http.tls`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TlsSetting {
    /// TLS, with the configured certificate or one that the gateway's own authority issued.
    Auto,
    Off,
}

/// How the port is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode<'a> {
    /// Plain HTTP.
    Off,
    /// TLS with the certificate and the key in these PEM files.
    OwnCertificate { certificate: &'a Path, key: &'a Path },
    /// TLS with a certificate that the gateway issues itself, see `docs/adr/0012-local-authority.md`.
    LocalAuthority,
}

impl Http {
    /// How the port is protected, according to all relevant keys. Everything that depends on TLS calls this function,
    /// so a new key that turns TLS off belongs here.
    pub fn tls_mode(&self) -> TlsMode<'_> {
        if self.open && self.tls_cert.is_none() {
            // An open gateway receives no passwords.
            return TlsMode::Off;
        }
        match (self.tls, &self.tls_cert, &self.tls_key) {
            (TlsSetting::Off, ..) => TlsMode::Off,
            (TlsSetting::Auto, Some(certificate), Some(key)) => TlsMode::OwnCertificate { certificate, key },
            // The checks have already refused a certificate without a key.
            (TlsSetting::Auto, ..) => TlsMode::LocalAuthority,
        }
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Demo {
    /// Whether a `POST` may leave fields out, which are then invented. Default: the value of `http.open`, see
    /// [`Config::invents`].
    pub invent: Option<bool>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ArchiveConfig {
    /// The folder of the archives that the gateway writes by itself; it must exist. `None`: it writes none.
    #[serde(deserialize_with = "maybe_path")]
    pub path: Option<PathBuf>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Days after which names, e-mail addresses and addresses are erased from sales that are in Kafka; 0 disables
    /// erasure.
    pub personal_data_days: u32,
}

/// The receivers of alerts. Their keys are those of head office.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Alerts {
    /// Receives a `POST` when a trouble begins or ends. The address may contain a secret.
    pub webhook: Option<Secret>,
    /// The mail server: `smtps://user:password@mail.example.org`, or `smtp://…?tls=required` for STARTTLS.
    pub smtp_url: Option<Secret>,
    /// The sender of mails.
    pub from: String,
    /// Their recipients, separated by commas.
    pub to: String,
    pub language: Language,
    /// Hours in which only severe troubles are mailed: `22:00-07:00 Europe/Paris`.
    pub quiet: Option<String>,
    /// The address of the gateway's pages, for the links in mails.
    pub page: Option<String>,
    /// Seconds for which a trouble must have lasted, or been over, before it is reported.
    pub after: u64,
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
    /// In `RUST_LOG` syntax: `info`, `comptoir_gateway=debug`.
    pub filter: String,
}

/// Checks the configuration section of one part of the gateway. The part provides the function, so that this module
/// does not depend on the part.
pub type SectionCheck = fn(&Config) -> Result<(), ConfigError>;

impl Config {
    /// Reads the environment and `file`, or [`DEFAULT_FILE`] if it exists.
    ///
    /// # Errors
    /// The file is absent or unreadable, or a key or value is invalid.
    pub fn load(file: Option<&Path>, checks: &[SectionCheck]) -> Result<Self, ConfigError> {
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
        Self::from_figment(&settings(file), checks)
    }

    /// Reads the merged sources and checks every section.
    fn from_figment(figment: &Figment, checks: &[SectionCheck]) -> Result<Self, ConfigError> {
        let config: Config = read::read(figment)?;
        config
            .check()
            .and_then(|()| checks.iter().try_for_each(|check| check(&config)))
            .map_err(|error| error.located_in(figment))?;
        Ok(config)
    }

    /// Whether fields that a `POST` leaves out are invented. A shop in which nobody signs in is a demonstration, unless
    /// `demo.invent` says otherwise.
    pub fn invents(&self) -> bool {
        self.demo.invent.unwrap_or(self.http.open)
    }

    /// The time zone in which the shop's days begin.
    pub fn time_zone(&self) -> TimeZone {
        let named = self.time_zone.as_deref().map(TimeZone::get);
        // The checks have already refused an unknown name.
        named.and_then(Result::ok).unwrap_or_else(TimeZone::system)
    }

    /// The client id for the MQTT broker.
    pub fn mqtt_client_id(&self) -> String {
        self.mqtt
            .client_id
            .clone()
            .unwrap_or_else(|| format!("comptoir-{}", self.store))
    }
}

#[cfg(test)]
mod tests {
    use figment::providers::{Format, Toml};

    use super::*;
    use crate::app::SECTION_CHECKS;

    fn load(toml: &str) -> Result<Config, ConfigError> {
        Config::from_figment(&Figment::from(Toml::string(toml)), SECTION_CHECKS)
    }

    #[test]
    fn an_empty_file_is_a_valid_configuration() {
        let config = load("").unwrap();
        assert_eq!(config.kafka.brokers, None);
        assert_eq!(config.http.listen.port(), 8080);
        assert_eq!(config.mqtt_client_id(), "comptoir-shop-1");
    }

    #[test]
    fn a_librdkafka_property_may_be_written_in_three_ways() {
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
    fn an_mqtt_url_without_credentials_prints_as_it_was_written() {
        for url in [
            "mqtt://[::1]:1883",
            "mqtts://192.0.2.1:8883",
            "mqtt://localhost:1884",
        ] {
            assert_eq!(url.parse::<MqttUrl>().unwrap().to_string(), url);
        }
    }

    #[test]
    fn debug_and_display_show_no_secret() {
        let toml = "[mqtt]\nurl = \"mqtt://till:hunter2@broker\"\n[kafka.properties]\n\"sasl.password\" = \"hunter2\"\n\
             [http]\npassword = \"hunter2\"\n[alerts]\nwebhook = \"https://example.org/hunter2\"\n\
             smtp_url = \"smtps://ada:hunter2@example.org\"\nfrom = \"a@example.org\"\nto = \"b@example.org\"";
        let config = load(toml).unwrap();
        let shown = format!("{config:?} {}", config.mqtt.url);
        assert!(!shown.contains("hunter2"), "{shown}");
        let (user, password) = config.mqtt.url.credentials.unwrap();
        assert_eq!((user.as_str(), password.reveal()), ("till", "hunter2"));
        assert_eq!(config.http.password.as_ref().map(Secret::reveal), Some("hunter2"));
    }
}
