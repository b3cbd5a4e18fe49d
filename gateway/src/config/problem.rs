//! What is wrong with settings, and where.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use figment::value::Tag;
use figment::{Figment, Metadata, Source};

use super::keys;
use super::sources::ENVIRONMENT;

/// What is wrong, and in which key of which file: one clear sentence. Logs and the gateway page show it, and so it
/// quotes no line of the file: there may be a password in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// A file, or "the environment".
    pub place: Option<String>,
    /// `journal.max_bytes`; none where the file cannot be read at all.
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
    /// A value that is read and not allowed. `wrong` goes on from the value: "is not …; write …". An example is put
    /// behind it.
    pub(super) fn not(key: &str, value: &str, wrong: &str) -> Self {
        let shown = (!keys::is_secret(key)).then_some(value);
        Self::of(key, keys::sentence(key, shown, wrong))
    }

    /// A value that can be read and is not allowed.
    pub(crate) fn of(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            place: None,
            key: Some(key.into()),
            message: message.into(),
        }
    }

    /// A source that cannot be read.
    pub(super) fn read(error: &figment::Error) -> Self {
        Self {
            place: error.metadata.as_ref().and_then(place),
            key: (!error.path.is_empty()).then(|| error.path.join(".")),
            message: without_excerpt(&error.kind.to_string()),
        }
    }

    /// With the place that has set the key.
    pub(super) fn found_in(mut self, settings: &Figment) -> Self {
        let metadata = self
            .key
            .as_deref()
            .and_then(|key| settings.find_metadata(key).or_else(|| of_property(settings, key)));
        self.place = metadata.and_then(place);
        self
    }
}

/// librdkafka's names may be written as one key, in quotes or with underscores; see [`super::Kafka::properties`].
fn of_property<'a>(settings: &'a Figment, key: &str) -> Option<&'a Metadata> {
    let name = key.strip_prefix("kafka.properties.")?;
    let properties = settings.find_value("kafka.properties").ok()?.into_dict()?;
    let mut written = properties.iter().rev();
    let (_, value) = written.find(|(written, _)| written.replace('_', ".") == name)?;
    settings.get_metadata(value.tag())
}

/// The place of a value.
pub(super) fn of_tag(settings: &Figment, tag: Tag) -> Option<String> {
    settings.get_metadata(tag).and_then(place)
}

fn place(metadata: &Metadata) -> Option<String> {
    match &metadata.source {
        // Its own text is relative to the working folder.
        Some(Source::File(file)) => Some(file.display().to_string()),
        Some(source) => Some(source.to_string()),
        None if metadata.name == ENVIRONMENT => Some(ENVIRONMENT.to_owned()),
        None => None,
    }
}

/// The TOML parser draws the line that it means: lines that begin with a number, or nothing, and a bar.
fn without_excerpt(text: &str) -> String {
    let drawn = |line: &str| {
        line.trim_start()
            .trim_start_matches(|c: char| c.is_ascii_digit())
            .trim_start()
            .starts_with('|')
    };
    let said: Vec<&str> = text.lines().filter(|line| !drawn(line)).collect();
    said.join(": ")
}

/// More than a person reads at once.
const MAX_PROBLEMS: usize = 20;
const MAX_REPORT_BYTES: u64 = 16 << 10;

/// What another program has found wrong with settings of its own, of which it makes the gateway's: a line each, place,
/// key (or nothing) and message with tabs between them. The first twenty; none where there is no such file.
pub fn read_report(file: &Path) -> io::Result<Vec<ConfigError>> {
    let mut bytes = Vec::new();
    match File::open(file) {
        Ok(file) => file.take(MAX_REPORT_BYTES).read_to_end(&mut bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let filled = |part: &str| (!part.is_empty()).then(|| part.to_owned());
    Ok(String::from_utf8_lossy(&bytes)
        .lines()
        .filter_map(|line| {
            let mut parts = line.splitn(3, '\t');
            Some(ConfigError {
                place: filled(parts.next()?),
                key: filled(parts.next()?),
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
    use crate::config::Config;

    #[test]
    fn a_line_that_is_no_toml_is_not_quoted() {
        let toml = "store = \"paris-1\"\n[kafka.properties]\n\"sasl.password\" = hunter2\n";
        let error = Config::from_figment(Figment::from(Toml::string(toml))).unwrap_err();
        let said = error.to_string();
        assert!(said.contains("line 3") && !said.contains('\n'), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }

    #[test]
    fn the_key_and_its_file_are_named_also_where_only_the_value_is_wrong() {
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
            let error = Config::from_figment(Figment::from(Toml::file_exact(&file))).unwrap_err();
            assert_eq!(error.key.as_deref(), Some(key), "{error}");
            let place = error.place.as_deref().unwrap_or_default();
            assert!(place.ends_with("gateway.toml"), "{error}");
        }
    }

    #[test]
    fn a_report_is_read_as_far_as_a_person_would() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("problems");
        assert_eq!(read_report(&file).unwrap(), []);
        let lines =
            "comptoir.txt\tTIMEZONE\tMars is not known\nno problem\ncomptoir.txt, line 3\t\tKEY=value\n";
        std::fs::write(&file, lines).unwrap();
        let said: Vec<String> = read_report(&file)
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            said,
            [
                "comptoir.txt: TIMEZONE: Mars is not known",
                "comptoir.txt, line 3: KEY=value"
            ]
        );
        std::fs::write(&file, "a\tb\tc\n".repeat(1_000_000)).unwrap();
        assert_eq!(read_report(&file).unwrap().len(), MAX_PROBLEMS);
    }
}
