//! The format of `comptoir.txt`: one `KEY=value` per line without quotes; `#` begins a comment line. A shop edits it
//! with any editor, so a byte-order mark, Windows line endings and spaces around key and value are accepted.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use super::key::Key;
use super::problem::{Problem, Reason};

/// Windows Notepad writes it at the beginning of a file.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A value and the line (from 1) that sets it. No `Debug`, because the value may be a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    pub value: String,
    pub line: usize,
}

/// The keys that have a value. If a key is given twice, the later value counts; an empty value sets nothing.
#[derive(Default, PartialEq, Eq)]
pub struct Entries(BTreeMap<Key, Entry>);

impl Entries {
    pub fn get(&self, key: Key) -> Option<&Entry> {
        self.0.get(&key)
    }

    pub fn value(&self, key: Key) -> Option<&str> {
        self.get(key).map(|entry| entry.value.as_str())
    }

    /// Changes the value of a key that is already set.
    pub fn replace_value(&mut self, key: Key, value: &str) {
        if let Some(entry) = self.0.get_mut(&key) {
            value.clone_into(&mut entry.value);
        }
    }

    pub fn names(&self) -> Vec<&'static str> {
        self.0.keys().map(|key| key.name()).collect()
    }
}

/// Reads the file. Returns both entries and problems, so that one pass reports everything.
pub fn read(file: &Path) -> (Entries, Vec<Problem>) {
    match std::fs::read(file) {
        Ok(bytes) => parse(&bytes),
        Err(error) => {
            let reason = match error.kind() {
                ErrorKind::NotFound => Reason::MissingFile,
                _ => Reason::UnreadableFile(error.to_string()),
            };
            (Entries::default(), vec![Problem::of_file(reason)])
        }
    }
}

pub fn parse(bytes: &[u8]) -> (Entries, Vec<Problem>) {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let (mut entries, mut problems) = (Entries::default(), Vec::new());
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let number = index + 1;
        match parse_line(number, line) {
            Ok(Some((key, value))) if !value.is_empty() => {
                entries.0.insert(key, Entry { value, line: number });
            }
            Ok(_) => {}
            Err(problem) => problems.push(problem),
        }
    }
    (entries, problems)
}

/// `None` for a comment or an empty line.
fn parse_line(number: usize, line: &[u8]) -> Result<Option<(Key, String)>, Problem> {
    // Also strips the carriage return of a Windows line ending.
    let line = line.trim_ascii();
    if line.is_empty() || line.starts_with(b"#") {
        return Ok(None);
    }
    let line = std::str::from_utf8(line).map_err(|_| Problem::in_line(number, Reason::NotUtf8))?;
    let (name, value) = line
        .split_once('=')
        .map(|(name, value)| (name.trim_ascii_end(), value.trim_ascii_start()))
        .filter(|(name, _)| !name.is_empty() && name.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'_')))
        .ok_or_else(|| Problem::in_line(number, Reason::NotASetting))?;
    let of_key = |reason| Problem::of_key(Some(number), name, reason);
    let key = Key::from_name(name).ok_or_else(|| {
        of_key(Reason::UnknownKey {
            nearest: Key::nearest(name),
        })
    })?;
    if value.chars().any(char::is_control) {
        return Err(of_key(Reason::ControlCharacter));
    }
    Ok(Some((key, value.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<(&'static str, String, usize)> {
        let (entries, problems) = parse(text.as_bytes());
        assert_eq!(problems, [], "{text}");
        let named = |(key, entry): (Key, Entry)| (key.name(), entry.value, entry.line);
        entries.0.into_iter().map(named).collect()
    }

    fn problem(bytes: &[u8]) -> Problem {
        let (_, problems) = parse(bytes);
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems[0].clone()
    }

    #[test]
    fn a_file_from_notepad_is_read_without_its_marks_and_line_ends() {
        let text = "\u{feff}# a comment\r\nSTORE=007\r\n HOSTNAME = counter \r\n\r\nWIFI_SSID=Chez \"Zoé\"";
        assert_eq!(
            values(text),
            [
                ("STORE", "007".to_owned(), 2),
                ("HOSTNAME", "counter".to_owned(), 3),
                ("WIFI_SSID", "Chez \"Zoé\"".to_owned(), 5),
            ]
        );
    }

    #[test]
    fn a_value_keeps_every_character_between_its_first_and_last() {
        let password = "a\\\\b\"c=$d# '";
        assert_eq!(values(&format!("KAFKA_PASSWORD={password}"))[0].1, password);
    }

    #[test]
    fn the_later_of_two_values_counts_and_an_empty_one_sets_nothing() {
        assert_eq!(
            values("STORE=a\nSTORE=b\nSTORE=\n"),
            [("STORE", "b".to_owned(), 2)]
        );
    }

    #[test]
    fn a_line_that_is_not_key_and_value_is_reported_by_its_number() {
        for line in ["no setting", "store=paris-1", "=x", "STORE 1=x"] {
            let found = problem(format!("\n\n{line}\n").as_bytes());
            assert_eq!(found, Problem::in_line(3, Reason::NotASetting), "{line}");
        }
    }

    #[test]
    fn an_unknown_key_is_reported_with_the_nearest_one() {
        let reason = Reason::UnknownKey {
            nearest: Some(Key::KafkaBrokers),
        };
        assert_eq!(
            problem(b"KAFKA_BROKER=x"),
            Problem::of_key(Some(1), "KAFKA_BROKER", reason)
        );
    }

    #[test]
    fn a_control_character_in_a_value_is_refused() {
        let refused = Problem::of_key(Some(1), "KAFKA_USER", Reason::ControlCharacter);
        assert_eq!(problem(b"KAFKA_USER=a\tb"), refused);
        assert_eq!(problem(b"KAFKA_USER=a\0b"), refused);
    }

    #[test]
    fn only_a_comment_may_have_another_encoding_than_utf_8() {
        assert_eq!(
            problem(b"# Zo\xe9\nWIFI_SSID=Zo\xe9"),
            Problem::in_line(2, Reason::NotUtf8)
        );
    }

    #[test]
    fn a_missing_file_is_a_problem_and_not_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        let (entries, problems) = read(&folder.path().join("comptoir.txt"));
        assert!(entries == Entries::default());
        assert_eq!(problems, [Problem::of_file(Reason::MissingFile)]);
        let (_, problems) = read(folder.path());
        assert!(
            matches!(problems[0].reason, Reason::UnreadableFile(_)),
            "{problems:?}"
        );
    }
}
