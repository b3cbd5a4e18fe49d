//! Configuration errors: the problem, its key and its source.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use figment::value::Tag;
use figment::{Figment, Metadata, Source};

use super::keys;
use super::sources::ENVIRONMENT;

/// A configuration error in one sentence. Logs and the gateway page show it, so it never quotes a line of the file,
/// which may contain a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// The source: a file, or "the environment". `None` if unknown.
    pub place: Option<String>,
    /// The key, for example `journal.max_bytes`; `None` if the whole file is unreadable.
    pub key: Option<String>,
    pub message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in [&self.place, &self.key].into_iter().flatten() {
            write!(f, "{part}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl ConfigError {
    /// The error for an invalid value. `wrong` continues the sentence after the value, "is not …; write …"; an example
    /// is appended.
    pub(super) fn invalid_value(key: &str, value: &str, wrong: &str) -> Self {
        let quoted = (!keys::is_secret(key)).then_some(value);
        Self::for_key(key, keys::sentence(key, quoted, wrong))
    }

    /// An error with a complete message about the value of `key`. The source is added later.
    pub(crate) fn for_key(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            place: None,
            key: Some(key.into()),
            message: message.into(),
        }
    }

    /// The error for a source that cannot be read, such as a file that is not TOML.
    pub(super) fn unreadable_source(error: &figment::Error) -> Self {
        Self {
            place: error.metadata.as_ref().and_then(place),
            key: (!error.path.is_empty()).then(|| error.path.join(".")),
            message: without_excerpt(&error.kind.to_string()),
        }
    }

    /// Adds the source that sets the key.
    pub(super) fn located_in(mut self, settings: &Figment) -> Self {
        let metadata = self.key.as_deref().and_then(|key| {
            settings
                .find_metadata(key)
                .or_else(|| property_metadata(settings, key))
        });
        self.place = metadata.and_then(place);
        self
    }
}

/// Finds a librdkafka property that was written as a quoted key or with underscores; see
/// [`super::sources::flatten_properties`].
fn property_metadata<'a>(settings: &'a Figment, key: &str) -> Option<&'a Metadata> {
    let name = key.strip_prefix("kafka.properties.")?;
    let properties = settings.find_value("kafka.properties").ok()?.into_dict()?;
    let mut written = properties.iter().rev();
    let (_, value) = written.find(|(written, _)| written.replace('_', ".") == name)?;
    settings.get_metadata(value.tag())
}

/// The source of the value with this tag.
pub(super) fn place_of_tag(settings: &Figment, tag: Tag) -> Option<String> {
    settings.get_metadata(tag).and_then(place)
}

fn place(metadata: &Metadata) -> Option<String> {
    match &metadata.source {
        // figment would print the path relative to the working directory.
        Some(Source::File(file)) => Some(file.display().to_string()),
        Some(source) => Some(source.to_string()),
        None if metadata.name == ENVIRONMENT => Some(ENVIRONMENT.to_owned()),
        None => None,
    }
}

/// Removes the excerpt of the file from a TOML parser's error: lines that begin with a line number or a space, and a
/// bar.
fn without_excerpt(text: &str) -> String {
    let is_excerpt = |line: &str| {
        line.trim_start()
            .trim_start_matches(|c: char| c.is_ascii_digit())
            .trim_start()
            .starts_with('|')
    };
    let lines: Vec<&str> = text.lines().filter(|line| !is_excerpt(line)).collect();
    lines.join(": ")
}

/// Most errors read from a report; more than a person reads at once.
const MAX_PROBLEMS: usize = 20;
const MAX_REPORT_BYTES: u64 = 16 << 10;

/// Reads the errors that another program found in its own settings before it generated the gateway's configuration.
/// Each line has source, key (may be empty) and message, separated by tabs. Returns at most [`MAX_PROBLEMS`] errors,
/// and none if the file does not exist.
///
/// # Errors
/// The file exists but cannot be read.
pub fn read_report(file: &Path) -> io::Result<Vec<ConfigError>> {
    let mut bytes = Vec::new();
    match File::open(file) {
        Ok(file) => file.take(MAX_REPORT_BYTES).read_to_end(&mut bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let non_empty = |part: &str| (!part.is_empty()).then(|| part.to_owned());
    Ok(String::from_utf8_lossy(&bytes)
        .lines()
        .filter_map(|line| {
            let mut parts = line.splitn(3, '\t');
            Some(ConfigError {
                place: non_empty(parts.next()?),
                key: non_empty(parts.next()?),
                message: parts.next()?.to_owned(),
            })
        })
        .take(MAX_PROBLEMS)
        .collect())
}

#[cfg(test)]
mod tests {
    use figment::providers::{Format, Toml};

    use super::*;
    use crate::app::SECTION_CHECKS;
    use crate::config::Config;

    #[test]
    fn a_line_that_is_not_toml_is_not_quoted() {
        let toml = "store = \"paris-1\"\n[kafka.properties]\n\"sasl.password\" = hunter2\n";
        let error = Config::from_figment(&Figment::from(Toml::string(toml)), SECTION_CHECKS).unwrap_err();
        let message = error.to_string();
        assert!(message.contains("line 3") && !message.contains('\n'), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }

    #[test]
    fn an_error_about_a_value_names_its_key_and_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gateway.toml");
        for (toml, key) in [
            ("[journal]\nmax_bytes = 10", "journal.max_bytes"),
            ("[journal]\nmax_bytes = \"big\"", "journal.max_bytes"),
            ("[kafka]\nbroker = \"x\"", "kafka.broker"),
            ("store = \"Paris 1\"", "store"),
            (
                "[kafka.properties]\nlinger.ms = \"x\"",
                "kafka.properties.linger.ms",
            ),
            (
                "[kafka.properties]\n\"linger.ms\" = \"x\"",
                "kafka.properties.linger.ms",
            ),
            (
                "[kafka.properties]\nlinger_ms = \"x\"",
                "kafka.properties.linger.ms",
            ),
        ] {
            std::fs::write(&file, toml).unwrap();
            let error =
                Config::from_figment(&Figment::from(Toml::file_exact(&file)), SECTION_CHECKS).unwrap_err();
            assert_eq!(error.key.as_deref(), Some(key), "{error}");
            let place = error.place.as_deref().unwrap_or_default();
            assert!(place.ends_with("gateway.toml"), "{error}");
        }
    }

    #[test]
    fn a_report_yields_its_valid_lines_up_to_a_limit() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("problems");
        assert_eq!(read_report(&file).unwrap(), []);
        let lines =
            "comptoir.txt\tTIMEZONE\tMars is not known\nno problem\ncomptoir.txt, line 3\t\tKEY=value\n";
        std::fs::write(&file, lines).unwrap();
        let messages: Vec<String> = read_report(&file)
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            messages,
            [
                "comptoir.txt: TIMEZONE: Mars is not known",
                "comptoir.txt, line 3: KEY=value"
            ]
        );
        std::fs::write(&file, "a\tb\tc\n".repeat(1_000_000)).unwrap();
        assert_eq!(read_report(&file).unwrap().len(), MAX_PROBLEMS);
    }
}
