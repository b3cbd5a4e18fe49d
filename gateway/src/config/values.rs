//! Deserialisers of single values: strings, secrets, addresses, properties.
//!
//! An error message continues the sentence after the value: `is not …; write …`. The caller adds the key, the value and
//! an example (see [`super::keys::sentence`]).

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use jiff::Timestamp;
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use url::{Host, Url};

use comptoir_core::Secret;
use comptoir_core::sale::Currency;

use super::read::list;

/// librdkafka properties by name. Numbers and booleans become the text that librdkafka parses.
pub fn properties<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Secret>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a string, a number, true or false")]
    enum Property {
        Bool(bool),
        Integer(i64),
        Float(f64),
        Text(String),
    }
    let properties = BTreeMap::<String, Property>::deserialize(deserializer)?;
    let text = |property| match property {
        Property::Bool(flag) => flag.to_string(),
        Property::Integer(number) => number.to_string(),
        Property::Float(number) => number.to_string(),
        Property::Text(text) => text,
    };
    let properties = properties.into_iter();
    Ok(properties
        .map(|(name, value)| (name, Secret::new(text(value))))
        .collect())
}

/// Kafka brokers in librdkafka's form, `host:port,…`. Also accepts a list.
pub fn brokers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    struct Brokers;
    impl<'de> Visitor<'de> for Brokers {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of brokers; write HOST:PORT,HOST:PORT")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<String>, E> {
            list(text).map_err(E::custom)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<String>, A::Error> {
            let mut brokers = Vec::new();
            while let Some(broker) = items.next_element()? {
                brokers.push(broker);
            }
            Ok(brokers)
        }
    }
    let brokers = deserializer.deserialize_any(Brokers)?;
    match brokers.iter().find(|broker| !is_broker(broker)) {
        Some(broker) => Err(de::Error::custom(format_args!(
            "is not a list of brokers ({broker:?} is not HOST:PORT); write HOST:PORT,HOST:PORT"
        ))),
        None => Ok(Some(brokers.join(","))),
    }
}

/// Whether this is a broker in librdkafka's form, `[protocol://]host[:port]`.
fn is_broker(broker: &str) -> bool {
    let (protocol, address) = broker.split_once("://").unwrap_or(("", broker));
    let is_protocol = ["", "plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(protocol));
    let (host, port) = match address.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((host, port))) => (host, port.strip_prefix(':').unwrap_or(port)),
        Some(None) => return false,
        None => address.split_once(':').unwrap_or((address, "9092")),
    };
    let is_port = port.is_empty() && address.ends_with(']') || port.parse::<u16>().is_ok_and(|port| port > 0);
    is_protocol && is_port && is_host(host)
}

/// Whether this is a host name or an IP address, without scheme and port.
pub fn is_host(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok() || (!host.contains('/') && Host::parse(host).is_ok())
}

/// A listen address.
pub fn socket_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    let wrong = "is not a socket address; write ADDRESS:PORT";
    text.parse().map_err(|_| de::Error::custom(wrong))
}

/// Like [`socket_address`], for an optional key.
pub fn maybe_socket_address<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SocketAddr>, D::Error> {
    socket_address(deserializer).map(Some)
}

/// The path of a file, not of a folder.
pub fn path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let path = String::deserialize(deserializer)?;
    match path.is_empty() || path.ends_with('/') || path.contains('\0') {
        true => Err(de::Error::custom("is not a file path")),
        false => Ok(path.into()),
    }
}

/// Like [`path`], for an optional key.
pub fn maybe_path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    path(deserializer).map(Some)
}

/// An RFC 3339 time.
pub fn maybe_timestamp<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let wrong = "is not a time; write YYYY-MM-DDThh:mm:ssZ";
    text.parse().map(Some).map_err(|_| de::Error::custom(wrong))
}

/// An ISO 4217 currency code.
pub fn currency<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Currency, D::Error> {
    let code = String::deserialize(deserializer)?;
    let wrong = "is not a currency; write its ISO 4217 code";
    code.parse().map_err(|_| de::Error::custom(wrong))
}

/// The URL of an MQTT broker. `Display` omits the credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MqttUrl {
    pub host: String,
    pub port: u16,
    pub tls: bool,
    pub credentials: Option<(String, Secret)>,
}

impl FromStr for MqttUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            format!("is not the URL of an MQTT broker ({why}); write mqtt://HOST:PORT or mqtts://HOST:PORT")
        };
        let url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
        let (tls, port) = match url.scheme() {
            "mqtt" | "tcp" => (false, 1883),
            "mqtts" | "ssl" => (true, 8883),
            // The URL parser would read `localhost` in `localhost:1883` as a scheme.
            _ if !text.contains("://") => return Err(wrong("mqtt:// is missing")),
            other => return Err(wrong(&format!("the scheme is {other}"))),
        };
        let host = url
            .host_str()
            .filter(|host| !host.is_empty())
            .ok_or_else(|| wrong("the host is missing"))?;
        let decode = |part: &str| {
            percent_encoding::percent_decode_str(part)
                .decode_utf8_lossy()
                .into_owned()
        };
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port().unwrap_or(port),
            tls,
            credentials: (!url.username().is_empty()).then(|| {
                let password = decode(url.password().unwrap_or_default());
                (decode(url.username()), Secret::new(password))
            }),
        })
    }
}

impl MqttUrl {
    /// The part of an invalid URL that an error may show. `None` if even that part might contain a password.
    pub fn without_secrets(text: &str) -> Option<String> {
        let (scheme, rest) = text
            .split_once("://")
            .map_or(("", text), |(scheme, rest)| (scheme, rest));
        let address = rest.rsplit_once('@').map_or(rest, |(_, address)| address);
        let credentials = if address.len() < rest.len() { "…@" } else { "" };
        // Without `@`, `till:hunter2` could be credentials. Only digits after the colon prove a port.
        let (_, port) = address.split_once(':').unwrap_or((address, ""));
        let between = if scheme.is_empty() { "" } else { "://" };
        port.trim_end_matches('/')
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| format!("{scheme}{between}{credentials}{address}"))
    }
}

impl fmt::Display for MqttUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "mqtts" } else { "mqtt" };
        match self.host.contains(':') {
            // IPv6 addresses need brackets.
            true => write!(f, "{scheme}://[{}]:{}", self.host, self.port),
            false => write!(f, "{scheme}://{}:{}", self.host, self.port),
        }
    }
}

impl<'de> Deserialize<'de> for MqttUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
