//! Where settings come from: the file, then the environment over it.
//!
//! Each source is brought into one form before they are merged, or what one says would not take the place of what the
//! other does.

use std::ffi::OsString;
use std::path::Path;

use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Error, Figment, Metadata, Profile, Provider};

use super::DEFAULT_FILE;
use super::keys::variable;

/// The name of that source.
pub const ENVIRONMENT: &str = "the environment";
const PREFIX: &str = "COMPTOIR_";
/// The build's, and the tests'.
const FOREIGN: [&str; 2] = ["web_dist", "cache"];

/// What the file and the environment say.
pub fn settings(file: Option<&Path>) -> Figment {
    let mut figment = Figment::new();
    if let Some(file) = file.or(Some(Path::new(DEFAULT_FILE)).filter(|file| file.is_file())) {
        figment = figment.merge(OneForm(Toml::file_exact(file)));
    }
    figment.merge(OneForm(Environment(std::env::vars_os().collect())))
}

/// `COMPTOIR_SECTION__KEY`, each value a text: only the type that it is read into says what it means.
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
                let problem = format!("{} is not UTF-8", variable(&key));
                return Err(Error::from(problem));
            };
            variables.push((key, text.to_owned()));
        }
        // A section before its keys: then it shows that it is a section and was given a value.
        variables.sort_unstable();
        let mut settings = Dict::new();
        for (key, text) in variables {
            insert(&mut settings, &key, text);
        }
        Ok(settings)
    }
}

/// `http.listen` of `COMPTOIR_HTTP__LISTEN`.
fn key(name: &str) -> Option<String> {
    let (prefix, key) = name.split_at_checked(PREFIX.len())?;
    let key = key.to_ascii_lowercase().replace("__", ".");
    let is_ours = prefix.eq_ignore_ascii_case(PREFIX) && !key.is_empty() && !FOREIGN.contains(&key.as_str());
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

/// A source with librdkafka's properties in one form.
pub struct OneForm<P>(pub P);

impl<P: Provider> Provider for OneForm<P> {
    fn metadata(&self) -> Metadata {
        self.0.metadata()
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        let mut data = self.0.data()?;
        data.values_mut().for_each(flatten_properties);
        Ok(data)
    }
}

/// Flattens what TOML and the environment make of a dotted name: `security.protocol` may come quoted, as nested tables,
/// or as `SECURITY_PROTOCOL` (no property that matters here has an underscore).
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
