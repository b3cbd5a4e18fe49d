//! Where settings come from: the file, then the environment over it.
//!
//! Each source is brought into one form before they are merged, or what one says would not take the place of what the
//! other does.

use std::path::Path;

use figment::providers::{Env, Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Error, Figment, Metadata, Profile, Provider};

use super::DEFAULT_FILE;

/// Keys that are texts. figment would make values of a variable's text, which takes the zeros from a store `0042`.
const TEXTS: &[&str] = &[
    "store",
    "currency",
    "mqtt.url",
    "mqtt.embedded",
    "mqtt.client_id",
    "kafka.brokers",
    "kafka.topic_prefix",
    "journal.path",
    "http.listen",
    "http.port_file",
    "http.mdns",
    "http.tls_cert",
    "http.tls_key",
    "log.format",
    "log.filter",
];
/// Texts that are taken with their quotation marks, too.
const PASSWORD: &str = "http.password";
const PROPERTIES: &str = "kafka.properties.";

/// What the file and the environment say.
pub fn settings(file: Option<&Path>) -> Figment {
    let mut figment = Figment::new();
    if let Some(file) = file.or(Some(Path::new(DEFAULT_FILE)).filter(|file| file.is_file())) {
        figment = figment.merge(OneForm(Toml::file_exact(file)));
    }
    figment.merge(OneForm(Environment))
}

/// `COMPTOIR_SECTION__KEY`.
struct Environment;

impl Environment {
    fn variables() -> Env {
        // The build and the tests have variables of their own.
        Env::prefixed("COMPTOIR_")
            .ignore(&["web_dist", "cache"])
            .split("__")
    }
}

impl Provider for Environment {
    fn metadata(&self) -> Metadata {
        Self::variables().metadata()
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        let variables = Self::variables();
        let mut data = variables.data()?;
        for settings in data.values_mut() {
            for (key, text) in variables.iter() {
                let key = key.as_str();
                let is_text = TEXTS.contains(&key) && !text.starts_with('"');
                if is_text || key == PASSWORD || key.starts_with(PROPERTIES) {
                    replace(settings, key, text);
                }
            }
        }
        Ok(data)
    }
}

fn replace(settings: &mut Dict, key: &str, text: String) {
    match key.split_once('.') {
        None => {
            settings.insert(key.to_owned(), Value::from(text));
        }
        Some((section, key)) => {
            if let Some(Value::Dict(_, settings)) = settings.get_mut(section) {
                replace(settings, key, text);
            }
        }
    }
}

/// A source with librdkafka's properties in one form.
struct OneForm<P>(P);

impl<P: Provider> Provider for OneForm<P> {
    fn metadata(&self) -> Metadata {
        self.0.metadata()
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        let mut data = self.0.data()?;
        for settings in data.values_mut() {
            if let Some(Value::Dict(_, kafka)) = settings.get_mut("kafka")
                && let Some(Value::Dict(_, properties)) = kafka.get_mut("properties")
            {
                *properties = flat(std::mem::take(properties));
            }
        }
        Ok(data)
    }
}

/// Flattens what TOML and the environment make of a dotted name: `security.protocol` may come quoted, as nested tables,
/// or as `SECURITY_PROTOCOL` (no property that matters here has an underscore).
pub fn flat(properties: Dict) -> Dict {
    fn flatten(prefix: &str, dict: Dict, out: &mut Dict) {
        for (key, value) in dict {
            let name = match prefix {
                "" => key.replace('_', "."),
                prefix => format!("{prefix}.{}", key.replace('_', ".")),
            };
            match value {
                Value::Dict(_, dict) => flatten(&name, dict, out),
                value => {
                    out.insert(name, value);
                }
            }
        }
    }
    let mut out = Dict::new();
    flatten("", properties, &mut out);
    out
}
