//! Problems in `comptoir.txt`, rendered as two texts: one for the gateway page, one for a person who looks at the
//! screen or the card.

use std::fmt::Write;

use super::key::Key;

/// One problem of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Counted from 1; `None` if the problem is about an absent key or the whole file.
    pub line: Option<usize>,
    /// As written in the file; `None` if the line has no key.
    pub key: Option<String>,
    pub reason: Reason,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    #[error("the file is missing; an empty file gives every setting its default")]
    MissingFile,
    #[error("the file cannot be read: {0}")]
    UnreadableFile(String),
    #[error("not a setting; write KEY=value, for example STORE=paris-1")]
    NotASetting,
    #[error("the line is not UTF-8; save the file with that encoding")]
    NotUtf8,
    #[error("there is no such setting{}", did_you_mean(*.nearest))]
    UnknownKey { nearest: Option<Key> },
    #[error("the value contains a control character, such as a tab; type it again")]
    ControlCharacter,
    /// `value` is `None` for a key whose values are not quoted.
    #[error("{} is not {}; write {}, for example {}", quoted(.value.as_deref()), .form.noun, .form.accepted, .form.example)]
    Invalid {
        value: Option<String>,
        form: &'static Form,
    },
    /// For the list of tills. Entries are identified by number, because one may contain a password.
    #[error(
        "number {number} is not a till; write NAME, or NAME:PASSWORD with at least 8 characters and without \
             another colon, for example till-1 or till-1:secret-of-1"
    )]
    InvalidTill { number: usize },
    #[error("the user gateway is the gateway's own; choose another name, for example simulator:secret-of-it")]
    ReservedUser,
    #[error(
        "this card has no stored value, for example because the file comes from another card; write the password itself"
    )]
    NothingStored,
    #[error(
        "a key counts only at the first start of a card; to change the keys, edit /root/.ssh/authorized_keys on the Pi, \
         and write SSH_KEY=(stored) here"
    )]
    LateSshKey,
    #[error("missing, but needed because {because} is set; for example {example}")]
    Needed {
        because: &'static str,
        example: &'static str,
    },
    /// The gateway's own error message.
    #[error("{0}")]
    RefusedByGateway(String),
}

/// The form of a value, in the words of the error messages.
#[derive(Debug, PartialEq, Eq)]
pub struct Form {
    /// "… is not NOUN".
    pub noun: &'static str,
    /// "write ACCEPTED".
    pub accepted: &'static str,
    pub example: &'static str,
}

impl Problem {
    pub const fn of_file(reason: Reason) -> Self {
        Self {
            line: None,
            key: None,
            reason,
        }
    }

    pub const fn in_line(line: usize, reason: Reason) -> Self {
        Self {
            line: Some(line),
            key: None,
            reason,
        }
    }

    pub fn of_key(line: Option<usize>, key: &str, reason: Reason) -> Self {
        Self {
            line,
            key: Some(key.to_owned()),
            reason,
        }
    }

    pub const fn refused_by_gateway(sentence: String) -> Self {
        Self::of_file(Reason::RefusedByGateway(sentence))
    }

    fn place(&self, file: &str) -> String {
        match self.line {
            Some(line) => format!("{file}, line {line}"),
            None => file.to_owned(),
        }
    }
}

/// One problem per line: place, key and message, separated by tabs. The format of `gateway run --settings-report`.
pub fn for_gateway(file: &str, problems: &[Problem]) -> String {
    let line = |problem: &Problem| {
        let key = problem.key.as_deref().unwrap_or_default();
        format!("{}\t{key}\t{}\n", problem.place(file), problem.reason)
    };
    problems.iter().map(line).collect()
}

/// The report for the screen and for the file next to `comptoir.txt`.
pub fn report(file: &str, problems: &[Problem]) -> String {
    let mut text = format!("{file} is not valid; the last good settings stay in force:\n");
    for problem in problems {
        // Writing to a String cannot fail.
        let _ = write!(text, "  {}: ", problem.place(file));
        if let Some(key) = &problem.key {
            let _ = write!(text, "{key}: ");
        }
        let _ = writeln!(text, "{}", problem.reason);
    }
    text
}

fn quoted(value: Option<&str>) -> String {
    value.map_or_else(|| "the value".to_owned(), |value| format!("{value:?}"))
}

fn did_you_mean(nearest: Option<Key>) -> String {
    nearest.map_or_else(String::new, |key| format!("; did you mean {}?", key.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_texts_name_the_line_the_key_and_what_to_write() {
        let problems = [
            Problem::in_line(3, Reason::NotASetting),
            Problem::of_key(
                Some(4),
                "KAFKA_BROKER",
                Reason::UnknownKey {
                    nearest: Some(Key::KafkaBrokers),
                },
            ),
            Problem::of_key(
                None,
                "STORE",
                Reason::Needed {
                    because: "KAFKA_BROKERS",
                    example: "STORE=paris-1",
                },
            ),
        ];
        assert_eq!(
            report("comptoir.txt", &problems),
            "comptoir.txt is not valid; the last good settings stay in force:\n\
             \x20 comptoir.txt, line 3: not a setting; write KEY=value, for example STORE=paris-1\n\
             \x20 comptoir.txt, line 4: KAFKA_BROKER: there is no such setting; did you mean KAFKA_BROKERS?\n\
             \x20 comptoir.txt: STORE: missing, but needed because KAFKA_BROKERS is set; for example STORE=paris-1\n"
        );
        assert!(for_gateway("comptoir.txt", &problems).starts_with(
            "comptoir.txt, line 3\t\tnot a setting; write KEY=value, for example STORE=paris-1\n\
                              comptoir.txt, line 4\tKAFKA_BROKER\tthere is no such setting"
        ));
    }
}
