//! Users of the pages.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use crate::{Error, Role};

/// Longest name, in characters.
const MAX_NAME: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub name: UserName,
    pub role: Role,
    pub created_at: Timestamp,
    pub signed_in_at: Option<Timestamp>,
    /// Number of open sessions.
    pub sessions: u64,
}

/// A name that can be displayed on one line: 1 to 64 characters, without control characters and surrounding spaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserName(String);

impl UserName {
    /// Validates a name.
    ///
    /// # Errors
    /// The text is not a valid name.
    pub fn new(text: &str) -> Result<Self, Error> {
        let name = text.trim();
        if name.is_empty() || name.chars().count() > MAX_NAME {
            return Err(Error::InvalidName("a name has 1 to 64 characters"));
        }
        // In HTTP Basic authentication a colon ends the name.
        if name.contains(|c: char| c.is_control() || c == ':') {
            return Err(Error::InvalidName(
                "a name has neither colons nor control characters",
            ));
        }
        Ok(Self(name.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for UserName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_fits_on_one_line() {
        for (text, expected) in [
            ("marie", Some("marie")),
            (" Zoé Müller ", Some("Zoé Müller")),
            ("", None),
            ("  ", None),
            ("a:b", None),
            ("a\nb", None),
            (&"x".repeat(64), Some("x".repeat(64).as_str())),
            (&"x".repeat(65), None),
        ] {
            let name = UserName::new(text).ok();
            assert_eq!(name.as_ref().map(UserName::as_str), expected, "{text:?}");
        }
    }
}
