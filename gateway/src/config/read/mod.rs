//! Deserialises the merged settings into their types. An error is one sentence with the key, the value and an example.
//!
//! TOML has types; an environment variable is text, and only the expected type gives it a meaning. `007` is a valid
//! store name, but the number 7 where a number is expected. So the text of a variable is parsed here, by the expected
//! type, and never earlier.

mod deserialize;
mod field;
mod list;

use std::fmt;

use figment::value::Tag;
use figment::{Figment, Profile, Provider as _};
use serde::Deserialize;
use serde::de::{self, Unexpected};

use super::keys;
use super::problem::{ConfigError, place_of_tag};
use super::sources;
use field::Field;
pub use list::list;

/// Deserialises the merged sources.
///
/// # Errors
/// A source cannot be read or names an unknown key, or a value does not have the type of its key.
pub fn read<T: for<'de> Deserialize<'de>>(figment: &Figment) -> Result<T, ConfigError> {
    let mut data = figment
        .data()
        .map_err(|error| ConfigError::unreadable_source(&error))?;
    let mut settings = data.remove(&Profile::Default).unwrap_or_default();
    sources::flatten_properties(&mut settings);
    let root = Field {
        figment,
        value: settings.into(),
        key: String::new(),
    };
    T::deserialize(root).map_err(|error| ConfigError {
        place: error.tag.and_then(|tag| place_of_tag(figment, tag)),
        key: error.key,
        message: error.message,
    })
}

/// An error about a value. serde creates it without a key; [`Field::locate`] adds the key.
#[derive(Debug)]
struct ReadError {
    /// "is not …", to follow the value; a complete sentence once the key is added.
    message: String,
    key: Option<String>,
    /// Identifies the source of the value.
    tag: Option<Tag>,
    is_unknown_key: bool,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ReadError {}

impl de::Error for ReadError {
    fn custom<M: fmt::Display>(message: M) -> Self {
        Self {
            message: message.to_string(),
            key: None,
            tag: None,
            is_unknown_key: false,
        }
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::custom(format_args!("is not {expected}"))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::custom(format_args!("is not {expected}"))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let words = expected.join(" or ");
        match keys::nearest(variant, expected.iter().copied()) {
            Some(near) => Self::custom(format_args!("is not {words}; did you mean {near}?")),
            None => Self::custom(format_args!("is not {words}")),
        }
    }

    fn unknown_field(_: &str, _: &'static [&'static str]) -> Self {
        Self {
            is_unknown_key: true,
            ..Self::custom("is not a key")
        }
    }
}
