//! The sources of the configuration: the file and the environment, which overrides the file.
//!
//! `kafka.properties` can be written in several ways. Each source is normalised before the merge; otherwise a property
//! in the environment would not override the same property in the file.

use std::ffi::OsString;
use std::path::Path;

use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Error, Figment, Metadata, Profile, Provider};

use super::DEFAULT_FILE;
use super::keys::variable;

/// How errors name the environment as a source.
pub const ENVIRONMENT: &str = "the environment";
const PREFIX: &str = "COMPTOIR_";
/// Variables with our prefix that only the build and the tests use.
const NOT_KEYS: [&str; 2] = ["web_dist", "cache"];

/// The merged settings of the environment and of `file`, or of [`DEFAULT_FILE`] if it exists.
pub fn settings(file: Option<&Path>) -> Figment {
    let mut figment = Figment::new();
    if let Some(file) = file.or(Some(Path::new(DEFAULT_FILE)).filter(|file| file.is_file())) {
        figment = figment.merge(NormalizedSource(Toml::file_exact(file)));
    }
    figment.merge(NormalizedSource(Environment(std::env::vars_os().collect())))
}

/// Environment variables `COMPTOIR_SECTION__KEY`. Values stay text until the expected type parses them.
pub struct Environment(pub Vec<(OsString, OsString)>);

impl Environment {
    #[expect(clippy::result_large_err, reason = "figment's own error type")]
    fn settings(&self) -> Result<Dict, Error> {
        let mut variables = Vec::new();
        for (name, text) in &self.0 {
            let Some(key) = name.to_str().and_then(key) else {
                continue;
            };
            let Some(text) = text.to_str() else {
                return Err(Error::from(format!("{} is not UTF-8", variable(&key))));
            };
            variables.push((key, text.to_owned()));
        }
        // Sorting puts a section before its keys, so that a variable that sets a whole section is found and reported.
        variables.sort_unstable();
        let mut settings = Dict::new();
        for (key, text) in variables {
            insert(&mut settings, &key, text);
        }
        Ok(settings)
    }
}

/// The key of a variable: `http.listen` for `COMPTOIR_HTTP__LISTEN`. `None` if the variable is not for the gateway.
fn key(name: &str) -> Option<String> {
    let (prefix, key) = name.split_at_checked(PREFIX.len())?;
    let key = key.to_ascii_lowercase().replace("__", ".");
    let is_ours = prefix.eq_ignore_ascii_case(PREFIX) && !key.is_empty() && !NOT_KEYS.contains(&key.as_str());
    is_ours.then_some(key)
}

fn insert(settings: &mut Dict, key: &str, text: String) {
    match key.split_once('.') {
        None => {
            settings.insert(key.to_owned(), Value::from(text));
        }
        Some((section, key)) => {
            let section = settings.entry(section.to_owned());
            if let Value::Dict(_, settings) = section.or_insert_with(|| Value::from(Dict::new())) {
                insert(settings, key, text);
            }
        }
    }
}

impl Provider for Environment {
    fn metadata(&self) -> Metadata {
        Metadata::named(ENVIRONMENT)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        Ok(Profile::Default.collect(self.settings()?))
    }
}

/// A source whose `kafka.properties` are normalised by [`flatten_properties`].
pub struct NormalizedSource<P>(pub P);

impl<P: Provider> Provider for NormalizedSource<P> {
    fn metadata(&self) -> Metadata {
        self.0.metadata()
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        let mut data = self.0.data()?;
        data.values_mut().for_each(flatten_properties);
        Ok(data)
    }
}

/// Gives every librdkafka property its dotted name. `security.protocol` may be written as a quoted key, as nested
/// tables, or as `SECURITY_PROTOCOL`: no relevant librdkafka property has an underscore.
pub fn flatten_properties(settings: &mut Dict) {
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
    if let Some(Value::Dict(_, kafka)) = settings.get_mut("kafka")
        && let Some(Value::Dict(_, properties)) = kafka.get_mut("properties")
    {
        let mut flat = Dict::new();
        flatten("", std::mem::take(properties), &mut flat);
        *properties = flat;
    }
}
