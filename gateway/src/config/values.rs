//! How single values are read: texts, secrets, addresses, properties.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use figment::value::{Dict, Value};
use serde::{Deserialize, Deserializer};

use super::sources;

/// A value that no log shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// As [`word`].
pub fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    word(deserializer).map(|word| Some(Secret(word)))
}

/// As [`word`].
pub fn maybe_word<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    word(deserializer).map(Some)
}

/// A list of them.
pub fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    struct Word(#[serde(deserialize_with = "word")] String);
    let words = Vec::<Word>::deserialize(deserializer)?;
    Ok(Some(words.into_iter().map(|Word(word)| word).collect()))
}

/// A text, also where it looks like a number: who writes `store = 330` means the name.
pub fn word<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a text")]
    enum Word {
        Text(String),
        Number(u64),
    }
    Ok(match Word::deserialize(deserializer)? {
        Word::Text(text) => text,
        Word::Number(number) => number.to_string(),
    })
}

/// librdkafka's properties by their names, however these are written: see [`sources::flat`].
pub fn properties<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Secret>, D::Error> {
    let properties = sources::flat(Dict::deserialize(deserializer)?).into_iter();
    properties
        .map(|(name, value)| {
            let text = match value {
                Value::String(_, text) => text,
                Value::Num(_, number) => match (number.to_i128(), number.to_u128()) {
                    (Some(number), _) => number.to_string(),
                    (_, Some(number)) => number.to_string(),
                    _ => number.to_f64().unwrap_or_default().to_string(),
                },
                Value::Bool(_, flag) => flag.to_string(),
                _ => {
                    let problem = format!("{name}: a text, a number, true or false");
                    return Err(serde::de::Error::custom(problem));
                }
            };
            Ok((name, Secret(text)))
        })
        .collect()
}

/// Where an MQTT broker listens. Its text shows no password.
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
        let url = url::Url::parse(text).map_err(|error| format!("no URL like mqtt://host:1883 ({error})"))?;
        let (tls, port) = match url.scheme() {
            "mqtt" | "tcp" => (false, 1883),
            "mqtts" | "ssl" => (true, 8883),
            other => return Err(format!("scheme {other:?}: mqtt or mqtts")),
        };
        let host = url
            .host_str()
            .filter(|host| !host.is_empty())
            .ok_or("names no host")?;
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
                (decode(url.username()), Secret(password))
            }),
        })
    }
}

impl fmt::Display for MqttUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "mqtts" } else { "mqtt" };
        match self.host.contains(':') {
            // Of IPv6.
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
