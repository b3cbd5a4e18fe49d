//! One value of the configuration with its key, and its conversions.

use figment::Figment;
use figment::value::{Dict, Num, Value};
use serde::de;

use super::list::{list, unquoted};
use super::{ReadError, keys};
use crate::config::sources::ENVIRONMENT;
use crate::config::values::MqttUrl;

/// A value with its key.
pub(super) struct Field<'a> {
    pub(super) figment: &'a Figment,
    pub(super) value: Value,
    /// Dotted, such as `http.listen`; empty for the whole configuration.
    pub(super) key: String,
}

impl<'a> Field<'a> {
    pub(super) fn child(&self, key: &str, value: Value) -> Field<'a> {
        let key = match self.key.as_str() {
            "" => key.to_owned(),
            section => format!("{section}.{key}"),
        };
        Field {
            figment: self.figment,
            value,
            key,
        }
    }

    fn is_from_environment(&self) -> bool {
        let metadata = self.figment.get_metadata(self.value.tag());
        metadata.is_some_and(|metadata| metadata.name == ENVIRONMENT)
    }

    /// Completes an error about this value with the key, the value and the source. An error that already has a key is
    /// about a nested value and stays as it is.
    pub(super) fn locate(&self, error: ReadError) -> ReadError {
        if error.key.is_some() {
            return error;
        }
        ReadError {
            message: keys::sentence(&self.key, self.printable().as_deref(), &error.message),
            key: Some(self.key.clone()),
            tag: Some(self.value.tag()),
            is_unknown_key: false,
        }
    }

    /// The error for an unknown key.
    pub(super) fn unknown_key(&self) -> ReadError {
        ReadError {
            message: match self.is_from_environment() {
                true => keys::unknown_variable(&self.key),
                false => keys::unknown_key(&self.key),
            },
            key: Some(self.key.clone()),
            tag: Some(self.value.tag()),
            is_unknown_key: true,
        }
    }

    /// The value as shown in an error. `None` for secrets, lists and sections.
    fn printable(&self) -> Option<String> {
        match &self.value {
            _ if keys::is_secret(&self.key) => None,
            Value::String(_, text) if self.key == "mqtt.url" => MqttUrl::without_secrets(text),
            Value::String(_, text) => Some(text.clone()),
            Value::Num(_, number) => Some(text_of(*number)),
            Value::Bool(_, flag) => Some(flag.to_string()),
            _ => None,
        }
    }

    /// The text, if the value is text. In a variable, surrounding spaces, line endings and quotation marks are removed:
    /// files of variables can leave them, and no value needs them.
    fn text(&self) -> Option<&str> {
        let text = self.value.as_str()?;
        if !self.is_from_environment() {
            return Some(text);
        }
        Some(unquoted(text.trim()))
    }

    /// The text of a variable, to be parsed by the expected type. `None` for a value from the file, which TOML has
    /// already parsed.
    fn unparsed(&self) -> Option<&str> {
        self.text().filter(|_| self.is_from_environment())
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        match self.value {
            Value::Bool(_, flag) => Some(flag),
            _ => self.unparsed()?.to_ascii_lowercase().parse().ok(),
        }
    }

    pub(super) fn integer<T: TryFrom<i128>>(&self) -> Option<T> {
        let number = match self.value {
            Value::Num(_, number) => whole(number)?,
            _ => self.unparsed()?.parse().ok()?,
        };
        T::try_from(number).ok()
    }

    pub(super) fn float(&self) -> Option<f64> {
        match self.value {
            Value::Num(_, number) => number.to_f64().or_else(|| text_of(number).parse().ok()),
            _ => self.unparsed()?.parse().ok(),
        }
    }

    /// The value as text. Also accepts an integer from the file: `store = 330` means the name "330".
    pub(super) fn word(&self) -> Result<String, ReadError> {
        match &self.value {
            Value::String(..) => Ok(self.text().unwrap_or_default().to_owned()),
            Value::Num(_, number) if whole(*number).is_some() => Ok(text_of(*number)),
            _ => Err(de::Error::custom("is not a string; write it in quotation marks")),
        }
    }

    /// The text exactly as written: a password may begin or end with spaces or quotation marks.
    pub(super) fn secret(&self) -> Result<String, ReadError> {
        match &self.value {
            Value::String(_, text) => Ok(text.clone()),
            _ => self.word(),
        }
    }

    /// The items of a list. Items from a variable keep its tag, so that errors name the source.
    pub(super) fn items(&self) -> Result<Vec<Value>, ReadError> {
        match &self.value {
            Value::Array(_, items) => Ok(items.clone()),
            Value::String(tag, text) if self.is_from_environment() => {
                let items = list(text).map_err(de::Error::custom)?;
                Ok(items.into_iter().map(|item| Value::String(*tag, item)).collect())
            }
            _ => Err(de::Error::custom(
                "is not a list; write its items in brackets and quotation marks",
            )),
        }
    }

    /// The keys and values of a section.
    pub(super) fn entries(&self) -> Result<Dict, ReadError> {
        match &self.value {
            Value::Dict(_, entries) => Ok(entries.clone()),
            _ => Err(de::Error::custom("is not a section")),
        }
    }
}

/// The number as an integer; `None` for fractions and values outside `i128`.
pub(super) fn whole(number: Num) -> Option<i128> {
    let unsigned = || number.to_u128().and_then(|number| number.try_into().ok());
    number.to_i128().or_else(unsigned)
}

fn text_of(number: Num) -> String {
    match (number.to_i128(), number.to_u128(), number.to_f64()) {
        (Some(number), ..) => number.to_string(),
        (_, Some(number), _) => number.to_string(),
        (.., Some(number)) => number.to_string(),
        _ => String::new(),
    }
}
