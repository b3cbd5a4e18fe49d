//! Valid settings. They are made only here, from a file whose every value has been checked.

use std::path::{Component, Path};

use super::file::Entries;
use super::form;
use super::key::Key;
use super::problem::{Form, Problem, Reason};
use super::secrets::STORED;

/// The default store name, the same as in the gateway's own configuration.
pub const DEFAULT_STORE: &str = "shop-1";
const DEFAULT_HOSTNAME: &str = "comptoir";
const DEFAULT_TIMEZONE: &str = "Etc/UTC";
/// The MQTT user of the gateway itself, which `comptoir-terminal setup` creates.
const GATEWAY_USER: &str = "gateway";

/// The contents of a valid `comptoir.txt`, with defaults for what it leaves out.
#[derive(PartialEq, Eq)]
pub struct Settings {
    pub hostname: String,
    pub timezone: String,
    pub wifi: Option<Wifi>,
    /// `None`: nobody can log in.
    pub ssh_keys: Option<SshKeys>,
    pub mqtt_users: Vec<MqttUser>,
    variables: Vec<Variable>,
}

#[derive(PartialEq, Eq)]
pub struct Wifi {
    pub country: String,
    pub ssid: String,
    /// `None`: an open network.
    pub password: Option<String>,
}

/// Who may log in as root.
#[derive(Debug, PartialEq, Eq)]
pub enum SshKeys {
    /// The owner of this key.
    Only(String),
    /// The keys stay as they are.
    Unchanged,
}

/// A user of the Mosquitto on the Pi.
#[derive(PartialEq, Eq)]
pub struct MqttUser {
    pub kind: MqttUserKind,
    /// `STORE/TILL` of a till.
    pub name: String,
    /// `None`: an existing user keeps its password; for a new user the Pi generates one.
    pub password: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MqttUserKind {
    /// May publish only under its own name.
    Till,
    /// May publish as any till.
    AnyTill,
}

/// An environment variable of the gateway.
#[derive(Clone, PartialEq, Eq)]
pub struct Variable {
    pub name: &'static str,
    pub value: String,
}

impl Settings {
    /// Checks every entry and the dependencies between them.
    ///
    /// # Errors
    ///
    /// All problems, in the order of the keys.
    pub fn from_entries(entries: &Entries, zoneinfo: &Path) -> Result<Self, Vec<Problem>> {
        let mut checks = Checks {
            entries,
            problems: Vec::new(),
        };
        let variables = checks.gateway();
        let hostname = checks.form(Key::Hostname, &form::HOSTNAME, form::is_hostname);
        let wifi = checks.wifi();
        let timezone = checks.form(Key::Timezone, &form::TIMEZONE, |zone| has_zone(zoneinfo, zone));
        let mqtt_users = checks.mqtt_users();
        let ssh_keys = match entries.value(Key::Ssh) {
            Some(STORED) => Some(SshKeys::Unchanged),
            _ => checks
                .form(Key::Ssh, &form::SSH_KEY, form::is_public_key)
                .map(SshKeys::Only),
        };
        if !checks.problems.is_empty() {
            return Err(checks.problems);
        }
        Ok(Self {
            hostname: hostname.unwrap_or_else(|| DEFAULT_HOSTNAME.to_owned()),
            timezone: timezone.unwrap_or_else(|| DEFAULT_TIMEZONE.to_owned()),
            wifi,
            ssh_keys,
            mqtt_users,
            variables,
        })
    }

    /// The gateway's part of the settings, as environment variables.
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }
}

/// Collects problems, so that one start reports all of them.
struct Checks<'e> {
    entries: &'e Entries,
    problems: Vec<Problem>,
}

impl Checks<'_> {
    fn report(&mut self, key: Key, reason: Reason) {
        let line = self.entries.get(key).map(|entry| entry.line);
        self.problems.push(Problem::of_key(line, key.name(), reason));
    }

    /// The value if it has the form; `None` if it is not set. Reports a value that does not have the form.
    fn form(&mut self, key: Key, form: &'static Form, has_form: impl Fn(&str) -> bool) -> Option<String> {
        let value = self.entries.value(key)?.to_owned();
        if has_form(&value) {
            return Some(value);
        }
        let value = key.is_quotable().then_some(value);
        self.report(key, Reason::Invalid { value, form });
        None
    }

    fn one_of(&mut self, key: Key, form: &'static Form, accepted: &[&str]) -> Option<String> {
        self.form(key, form, |value| accepted.contains(&value))
    }

    fn wifi(&mut self) -> Option<Wifi> {
        let country = self.form(Key::WifiCountry, &form::WIFI_COUNTRY, form::is_country);
        let ssid = self.form(Key::WifiSsid, &form::WIFI_SSID, form::is_ssid);
        let password = self.form(Key::WifiPassword, &form::WIFI_PASSWORD, form::is_wifi_password);
        // The country decides which channels are allowed.
        if self.entries.get(Key::WifiSsid).is_some() && self.entries.get(Key::WifiCountry).is_none() {
            let reason = Reason::Needed {
                because: Key::WifiSsid.name(),
                example: "WIFI_COUNTRY=FR",
            };
            self.report(Key::WifiCountry, reason);
        }
        Some(Wifi {
            country: country?,
            ssid: ssid?,
            password,
        })
    }

    fn mqtt_users(&mut self) -> Vec<MqttUser> {
        let store = self.entries.value(Key::Store).unwrap_or(DEFAULT_STORE).to_owned();
        let mut users = Vec::new();
        let tills = self.entries.value(Key::Terminals).unwrap_or_default();
        for (index, till) in tills.split_whitespace().enumerate() {
            let (name, password) = match till.split_once(':') {
                Some((name, password)) => (name, Some(password)),
                None => (till, None),
            };
            let password = password.filter(|password| *password != STORED);
            if form::is_name(name) && password.is_none_or(form::is_mqtt_password) {
                users.push(MqttUser {
                    kind: MqttUserKind::Till,
                    name: format!("{store}/{name}"),
                    password: password.map(str::to_owned),
                });
            } else {
                self.report(Key::Terminals, Reason::InvalidTill { number: index + 1 });
            }
        }
        users.extend(self.simulator());
        users
    }

    fn simulator(&mut self) -> Option<MqttUser> {
        let split = |value: &str| {
            let (name, password) = value.split_once(':')?;
            (form::is_name(name) && form::is_mqtt_password(password))
                .then(|| (name.to_owned(), password.to_owned()))
        };
        let value = self.form(Key::Simulator, &form::SIMULATOR, |value| split(value).is_some())?;
        let (name, password) = split(&value)?;
        if name == GATEWAY_USER {
            self.report(Key::Simulator, Reason::ReservedUser);
            return None;
        }
        Some(MqttUser {
            kind: MqttUserKind::AnyTill,
            name,
            password: Some(password).filter(|password| password != STORED),
        })
    }

    fn gateway(&mut self) -> Vec<Variable> {
        let store = self.form(Key::Store, &form::STORE, form::is_name);
        let brokers = self.entries.value(Key::KafkaBrokers).map(str::to_owned);
        // Without a name every card would be shop-1, and only one of two gateways with the same name can use Kafka.
        if brokers.is_some() && self.entries.get(Key::Store).is_none() {
            let reason = Reason::Needed {
                because: Key::KafkaBrokers.name(),
                example: "STORE=paris-1",
            };
            self.report(Key::Store, reason);
        }
        let security = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"];
        let security = self.one_of(Key::KafkaSecurity, &form::KAFKA_SECURITY, &security);
        let mechanisms = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];
        let mechanism = self.one_of(Key::KafkaMechanism, &form::KAFKA_MECHANISM, &mechanisms);
        let user = self.entries.value(Key::KafkaUser).map(str::to_owned);
        let kafka_password = self.entries.value(Key::KafkaPassword).map(str::to_owned);
        let is_password = form::is_dashboard_password;
        let password = self.form(Key::DashboardPassword, &form::DASHBOARD_PASSWORD, is_password);
        let format = self.one_of(Key::LogFormat, &form::LOG_FORMAT, &["text", "json"]);
        let prefix = self.entries.value(Key::KafkaTopicPrefix);
        let variables = [
            ("COMPTOIR_STORE", store.map(quote)),
            ("COMPTOIR_KAFKA__BROKERS", brokers.map(quote)),
            (
                "COMPTOIR_KAFKA__TOPIC_PREFIX",
                prefix.map(str::to_owned).map(quote),
            ),
            ("COMPTOIR_KAFKA__PROPERTIES__SECURITY_PROTOCOL", security),
            ("COMPTOIR_KAFKA__PROPERTIES__SASL_MECHANISM", mechanism),
            ("COMPTOIR_KAFKA__PROPERTIES__SASL_USERNAME", user),
            ("COMPTOIR_KAFKA__PROPERTIES__SASL_PASSWORD", kafka_password),
            ("COMPTOIR_HTTP__PASSWORD", password),
            ("COMPTOIR_LOG__FORMAT", format.map(quote)),
        ];
        let set = |(name, value): (&'static str, Option<String>)| Some(Variable { name, value: value? });
        variables.into_iter().filter_map(set).collect()
    }
}

/// Adds quotation marks, so that the gateway reads 007 as a string. The gateway reads secrets verbatim, and a value
/// with a quotation mark or a backslash cannot be a number.
fn quote(value: String) -> String {
    if value.contains(['"', '\\']) {
        value
    } else {
        format!("\"{value}\"")
    }
}

/// Whether the time zone database has the zone. Its name must not lead out of the database.
fn has_zone(zoneinfo: &Path, zone: &str) -> bool {
    let inside = Path::new(zone)
        .components()
        .all(|component| matches!(component, Component::Normal(_)));
    inside && zoneinfo.join(zone).is_file()
}

#[cfg(test)]
#[path = "valid_tests.rs"]
mod tests;
