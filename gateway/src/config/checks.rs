//! Rules for values that their types cannot express.

use jiff::tz::TimeZone;
use tracing_subscriber::EnvFilter;

use comptoir_core::event::{COUNTER, DeviceId};

use super::values::is_host;
use super::{Config, ConfigError, Http, Kafka, Mqtt, TlsSetting, keys};

/// Smallest `journal.max_bytes`. A smaller journal might not have room for one group commit.
const MIN_JOURNAL_BYTES: u64 = 1 << 20;
/// Longest `alerts.after`, in seconds: a day.
const MAX_ALERTS_AFTER: u64 = 86_400;
/// Longest label of a DNS name, in bytes (RFC 1035).
const MAX_DNS_LABEL: usize = 63;

impl Config {
    /// Checks all values.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        check_store_name("store", &self.store)?;
        if self.journal.max_bytes < MIN_JOURNAL_BYTES {
            return Err(ConfigError::invalid_value(
                "journal.max_bytes",
                &self.journal.max_bytes.to_string(),
                &format!("is too small; write {MIN_JOURNAL_BYTES} or more"),
            ));
        }
        if let Some(zone) = self.time_zone.as_deref()
            && TimeZone::get(zone).is_err()
        {
            return Err(ConfigError::invalid_value(
                "time_zone",
                zone,
                "is not a time zone of this machine's database; write an IANA name",
            ));
        }
        self.mqtt.check()?;
        self.kafka.check()?;
        self.http.check()?;
        if !(1..=MAX_ALERTS_AFTER).contains(&self.alerts.after) {
            return Err(ConfigError::invalid_value(
                "alerts.after",
                &self.alerts.after.to_string(),
                "is not a number of seconds from 1 to 86400; write SECONDS",
            ));
        }
        check_log_filter(&self.log.filter)
    }
}

impl Mqtt {
    fn check(&self) -> Result<(), ConfigError> {
        if self.client_id.as_deref() == Some("") {
            // With an empty id the MQTT broker would assign a new id, and so a new session, at each connection.
            return Err(ConfigError::for_key(
                "mqtt.client_id",
                "must not be empty; remove the key to use comptoir- and the store",
            ));
        }
        let Some(stores) = &self.stores else {
            return Ok(());
        };
        if stores.is_empty() {
            return Err(ConfigError::for_key(
                "mqtt.stores",
                "must not be empty; remove the key to accept all stores",
            ));
        }
        stores
            .iter()
            .try_for_each(|store| check_store_name("mqtt.stores", store))
    }
}

/// Smallest `kafka.uplink_budget`, in bytes a day: some 2 MB are needed without a single event.
const MIN_UPLINK_BUDGET: u64 = 5_000_000;
/// Longest `kafka.uplink_delay`, in seconds. Head office has no use for sales that are more than an hour late.
const MAX_UPLINK_DELAY: u64 = 3_600;

impl Kafka {
    fn check(&self) -> Result<(), ConfigError> {
        let brokers = self.brokers.as_deref();
        if brokers.is_some_and(|brokers| brokers.trim().is_empty()) {
            return Err(ConfigError::for_key(
                "kafka.brokers",
                "must not be empty; remove the key to buffer without Kafka",
            ));
        }
        if let Some(factor) = self
            .replication_factor
            .filter(|&factor| factor != -1 && factor < 1)
        {
            return Err(ConfigError::invalid_value(
                "kafka.replication_factor",
                &factor.to_string(),
                "is not a replication factor; write 1 or more, or -1 for the Kafka brokers' default",
            ));
        }
        if let Some(partitions) = self.partitions.filter(|&partitions| partitions < 1) {
            return Err(ConfigError::invalid_value(
                "kafka.partitions",
                &partitions.to_string(),
                "is not a number of partitions; write 1 or more",
            ));
        }
        if !(1..=MAX_UPLINK_DELAY).contains(&self.uplink_delay) {
            return Err(ConfigError::invalid_value(
                "kafka.uplink_delay",
                &self.uplink_delay.to_string(),
                "is not a number of seconds from 1 to 3600; write SECONDS",
            ));
        }
        if let Some(budget) = self.uplink_budget.filter(|&budget| budget < MIN_UPLINK_BUDGET) {
            return Err(ConfigError::invalid_value(
                "kafka.uplink_budget",
                &budget.to_string(),
                "is less than the 5000000 bytes a day that the connection itself may need; write BYTES",
            ));
        }
        let is_valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if !self.topic_prefix.chars().all(is_valid) {
            return Err(ConfigError::invalid_value(
                "kafka.topic_prefix",
                &self.topic_prefix,
                "is not a topic prefix; write only a-z, A-Z, 0-9, '.', '_' and '-'",
            ));
        }
        Ok(())
    }
}

impl Http {
    fn check(&self) -> Result<(), ConfigError> {
        let is_label = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.mdns.len() > MAX_DNS_LABEL || !self.mdns.chars().all(is_label) {
            return Err(ConfigError::invalid_value(
                "http.mdns",
                &self.mdns,
                "is not an mDNS host name; write a-z, 0-9 and '-' without .local, or leave it empty to announce none",
            ));
        }
        if let Some(host) = self.hosts.iter().find(|host| !is_host(host)) {
            return Err(ConfigError::invalid_value(
                "http.hosts",
                host,
                "is not a host name; write it without scheme and port",
            ));
        }
        self.check_certificate()?;
        let password = self.password.as_ref();
        if password.is_some_and(|password| password.reveal().is_empty()) {
            return Err(ConfigError::for_key(
                "http.password",
                "must not be empty; remove the key, and set up the first user on the page /setup",
            ));
        }
        if self.open && password.is_some() {
            return Err(ConfigError::for_key(
                "http.open",
                "is true, and http.password is set: an open gateway asks for no password; remove one of them",
            ));
        }
        Ok(())
    }
}

impl Http {
    /// The keys of a certificate are only valid together.
    fn check_certificate(&self) -> Result<(), ConfigError> {
        let missing = match (&self.tls_cert, &self.tls_key) {
            (Some(_), None) => "http.tls_key",
            (None, Some(_)) => "http.tls_cert",
            // A configured certificate means that encryption is expected, so neither key may silently override the
            // other.
            (Some(_), Some(_)) if self.tls == TlsSetting::Off => {
                return Err(ConfigError::invalid_value(
                    "http.tls",
                    "off",
                    "contradicts http.tls_cert; remove http.tls to use that certificate, or http.tls_cert and \
                     http.tls_key to serve plain HTTP",
                ));
            }
            _ => return Ok(()),
        };
        Err(ConfigError::for_key(
            missing,
            "missing: set both http.tls_cert and http.tls_key, or neither",
        ))
    }
}

fn check_store_name(key: &str, name: &str) -> Result<(), ConfigError> {
    let wrong = "is not a store name; write 1 to 32 of a-z, 0-9 and '-', beginning with a letter or digit";
    match DeviceId::new(name, COUNTER) {
        Ok(_) => Ok(()),
        Err(_) => Err(ConfigError::invalid_value(key, name, wrong)),
    }
}

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Log level names of other programs. The filter takes a single unknown word as a module name, and then logs nothing
/// from any other module. So these words are an error here.
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

fn check_log_filter(filter: &str) -> Result<(), ConfigError> {
    let invalid = |why: &str| Err(ConfigError::invalid_value("log.filter", filter, why));
    if EnvFilter::try_new(filter).is_err() {
        return invalid(
            "is not a log filter; write LEVEL or LEVEL,TARGET=LEVEL with off, error, warn, info, debug, trace",
        );
    }
    let directives = filter.split(',').map(|directive| directive.trim().to_lowercase());
    for directive in directives.filter(|directive| !directive.contains(['=', '['])) {
        let foreign = FOREIGN_LEVELS.iter().find(|(level, _)| *level == directive);
        let mistyped = || keys::nearest(&directive, LEVELS.into_iter());
        if !LEVELS.contains(&directive.as_str())
            && let Some(level) = foreign.map(|(_, level)| *level).or_else(mistyped)
        {
            return invalid(&format!("has no level {directive:?}; did you mean {level}?"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use figment::Figment;
    use figment::providers::{Format, Toml};

    use super::*;
    use crate::app::SECTION_CHECKS;

    fn load(toml: &str) -> Result<Config, ConfigError> {
        Config::from_figment(&Figment::from(Toml::string(toml)), SECTION_CHECKS)
    }

    #[test]
    fn an_error_names_the_key_in_one_line() {
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
            ("[kafka]\nuplink_delay = 0", "kafka.uplink_delay"),
            ("[kafka]\nuplink_budget = 4999999", "kafka.uplink_budget"),
            ("[kafka]\nfollow = \"everything\"", "kafka.follow"),
            ("[http]\npassword = \"\"", "http.password"),
            ("[http]\nhosts = [\"kasse.example:8080\"]", "http.hosts"),
            ("[http]\npassword = true", "http.password"),
            ("[http]\ntls_cert = \"/c.pem\"", "http.tls_key"),
            ("[http]\ntls_key = \"/k.pem\"", "http.tls_cert"),
            ("[http]\ntls = \"on\"", "http.tls"),
            (
                "[http]\ntls = \"off\"\ntls_cert = \"/c.pem\"\ntls_key = \"/k.pem\"",
                "contradicts http.tls_cert",
            ),
            ("[alerts]\nafter = 0", "alerts.after"),
            (
                "[alerts]\nwebhook = \"alerts.example.org\"",
                "alerts.webhook: not an http",
            ),
            ("[alerts]\nto = \"ops@example.org\"", "alerts.smtp_url: missing"),
            (
                "[alerts]\nsmtp_url = \"smtp://ada:hunter2@mail.example.org\"",
                "alerts.smtp_url: the password would cross the network in the clear",
            ),
            (
                "[alerts]\nsmtp_url = \"smtps://mail.example.org\"\nfrom = \"a@b.fr\"\nto = \"ops\"",
                "alerts.to: \"ops\" is not an e-mail address",
            ),
            (
                "[alerts]\nsmtp_url = \"smtps://mail.example.org\"\nfrom = \"a@b.fr\"\nto = \"c@d.fr\"\n\
                 quiet = \"at night\"",
                "alerts.quiet: not FROM-UNTIL",
            ),
            ("[log]\nfilter = \"comptoir_gateway=loud\"", "log.filter"),
            ("[kafka.properties]\nlingr.ms = 5", "kafka.properties.lingr.ms"),
            (
                "[kafka.properties]\nlinger.ms = \"x\"",
                "kafka.properties.linger.ms",
            ),
        ] {
            let error = load(toml).expect_err(toml).to_string();
            assert!(error.contains(word), "{toml}: {error}");
            assert!(!error.contains('\n'), "more than one line: {error}");
        }
    }
}
