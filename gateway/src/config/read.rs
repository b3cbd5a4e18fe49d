//! Reads the settings into their types, and says in one sentence what is wrong where.
//!
//! TOML has types. A variable of the environment is a text, and only the type that is wanted says what it means: `007` is
//! a store's name as it stands, and a number only where a number is wanted. So such texts are parsed here, by the wanted
//! type, and never before.

use std::fmt;
use std::net::Ipv6Addr;

use figment::value::{Dict, Num, Tag, Value};
use figment::{Figment, Profile, Provider as _};
use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};

use super::keys;
use super::problem::{ConfigError, of_tag};
use super::sources::{self, ENVIRONMENT};
use super::values::{MqttUrl, SECRET};

/// Reads what all sources together say.
///
/// # Errors
/// A source cannot be read, names a key that is not known, or a value is not of its key's type.
pub fn read<T: for<'de> Deserialize<'de>>(figment: &Figment) -> Result<T, ConfigError> {
    let mut data = figment.data().map_err(|error| ConfigError::read(&error))?;
    let mut settings = data.remove(&Profile::Default).unwrap_or_default();
    sources::flatten_properties(&mut settings);
    let all = Field {
        figment,
        value: settings.into(),
        key: String::new(),
    };
    T::deserialize(all).map_err(|error| ConfigError {
        place: error.tag.and_then(|tag| of_tag(figment, tag)),
        key: error.key,
        message: error.message,
    })
}

/// What is wrong with a value; with its key, once that is known.
#[derive(Debug)]
struct ReadError {
    /// "is not …", said of the value; a whole sentence once there is a key.
    message: String,
    key: Option<String>,
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

/// A value with its key (empty for the whole).
struct Field<'a> {
    figment: &'a Figment,
    value: Value,
    key: String,
}

impl<'a> Field<'a> {
    fn child(&self, key: &str, value: Value) -> Field<'a> {
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

    fn is_of_environment(&self) -> bool {
        let metadata = self.figment.get_metadata(self.value.tag());
        metadata.is_some_and(|metadata| metadata.name == ENVIRONMENT)
    }

    /// What is wrong with this value, unless a value within it has been named.
    fn wrong(&self, error: ReadError) -> ReadError {
        if error.key.is_some() {
            return error;
        }
        ReadError {
            message: keys::sentence(&self.key, self.shown().as_deref(), &error.message),
            key: Some(self.key.clone()),
            tag: Some(self.value.tag()),
            is_unknown_key: false,
        }
    }

    fn unknown(&self) -> ReadError {
        ReadError {
            message: match self.is_of_environment() {
                true => keys::unknown_variable(&self.key),
                false => keys::unknown(&self.key),
            },
            key: Some(self.key.clone()),
            tag: Some(self.value.tag()),
            is_unknown_key: true,
        }
    }

    /// The value for people; none where it is a secret, or more than one.
    fn shown(&self) -> Option<String> {
        match &self.value {
            _ if keys::is_secret(&self.key) => None,
            Value::String(_, text) if self.key == "mqtt.url" => MqttUrl::without_secrets(text),
            Value::String(_, text) => Some(text.clone()),
            Value::Num(_, number) => Some(text_of(*number)),
            Value::Bool(_, flag) => Some(flag.to_string()),
            _ => None,
        }
    }

    /// The text, where it is one. Around those of the environment, files of variables leave spaces, line ends and quotation
    /// marks, which no value has.
    fn text(&self) -> Option<&str> {
        let text = self.value.as_str()?;
        if !self.is_of_environment() {
            return Some(text);
        }
        Some(unquoted(text.trim()))
    }

    /// A text that is to be parsed: one of the environment.
    fn unparsed(&self) -> Option<&str> {
        self.text().filter(|_| self.is_of_environment())
    }

    fn boolean(&self) -> Option<bool> {
        match self.value {
            Value::Bool(_, flag) => Some(flag),
            _ => self.unparsed()?.to_ascii_lowercase().parse().ok(),
        }
    }

    fn integer<T: TryFrom<i128>>(&self) -> Option<T> {
        let number = match self.value {
            Value::Num(_, number) => whole(number)?,
            _ => self.unparsed()?.parse().ok()?,
        };
        T::try_from(number).ok()
    }

    fn float(&self) -> Option<f64> {
        match self.value {
            Value::Num(_, number) => number.to_f64().or_else(|| text_of(number).parse().ok()),
            _ => self.unparsed()?.parse().ok(),
        }
    }

    /// A text, also where the file has a number: whoever writes `store = 330` means the name.
    fn word(&self) -> Result<String, ReadError> {
        match &self.value {
            Value::String(..) => Ok(self.text().unwrap_or_default().to_owned()),
            Value::Num(_, number) if whole(*number).is_some() => Ok(text_of(*number)),
            _ => Err(de::Error::custom("is not a text; write it in quotation marks")),
        }
    }

    /// As it was written.
    fn secret(&self) -> Result<String, ReadError> {
        match &self.value {
            Value::String(_, text) => Ok(text.clone()),
            _ => self.word(),
        }
    }

    /// Each item with the tag of the whole.
    fn items(&self) -> Result<Vec<Value>, ReadError> {
        match &self.value {
            Value::Array(_, items) => Ok(items.clone()),
            Value::String(tag, text) if self.is_of_environment() => {
                let items = list(text).map_err(de::Error::custom)?;
                Ok(items.into_iter().map(|item| Value::String(*tag, item)).collect())
            }
            _ => Err(de::Error::custom(
                "is not a list; write its items in brackets and quotation marks",
            )),
        }
    }

    fn entries(&self) -> Result<Dict, ReadError> {
        match &self.value {
            Value::Dict(_, entries) => Ok(entries.clone()),
            _ => Err(de::Error::custom("is not a section")),
        }
    }
}

/// None beyond `i128`, and for fractions.
fn whole(number: Num) -> Option<i128> {
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

fn unquoted(text: &str) -> &str {
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    inner.unwrap_or(text)
}

/// A list in one text: `a,b`, JSON (`["a","b"]`), or `[a,b]`. Nothing between two commas is no item.
///
/// # Errors
/// It begins as JSON, and is not JSON; the message goes on from the value.
pub fn list(text: &str) -> Result<Vec<String>, &'static str> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Item {
        Text(String),
        Number(serde_json::Number),
    }
    // In quotation marks as a whole: one text still, which they are no part of.
    let inner = |text| Some(unquoted(text)).filter(|inner: &&str| !inner.contains('"'));
    let text = inner(text.trim()).unwrap_or(text.trim());
    if text.starts_with('[') {
        if let Ok(items) = serde_json::from_str::<Vec<Item>>(text) {
            let text = |item| match item {
                Item::Text(text) => text,
                Item::Number(number) => number.to_string(),
            };
            return Ok(items.into_iter().map(text).collect());
        }
        if text.contains('"') {
            return Err("is not a list; write a,b or JSON");
        }
    }
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    // `[::1]:9092,[::2]:9092` is no list in brackets, and `[::1]` is an address.
    let inner = inner.filter(|inner| !inner.contains(['[', ']']) && inner.parse::<Ipv6Addr>().is_err());
    let items = inner.unwrap_or(text).split(',');
    let items = items.map(|item| unquoted(item.trim()).to_owned());
    Ok(items.filter(|item| !item.is_empty()).collect())
}

macro_rules! integers {
    ($($deserialize:ident $visit:ident $type:ty,)*) => {$(
        fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
            match self.integer::<$type>() {
                Some(number) => visitor.$visit(number),
                None => Err(de::Error::custom(format_args!(
                    "is not a whole number from {} to {}",
                    <$type>::MIN,
                    <$type>::MAX
                ))),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Field<'_> {
    type Error = ReadError;

    /// What the value is, for types that take several: texts as they were written.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.value {
            Value::String(_, text) => visitor.visit_string(text),
            Value::Bool(_, flag) => visitor.visit_bool(flag),
            // TOML has no others than `i64`.
            Value::Num(_, number) => match whole(number).and_then(|number| number.try_into().ok()) {
                Some(number) => visitor.visit_i64(number),
                None => visitor.visit_f64(self.float().unwrap_or_default()),
            },
            Value::Array(..) => self.deserialize_seq(visitor),
            Value::Dict(..) => self.deserialize_map(visitor),
            Value::Char(_, char) => visitor.visit_char(char),
            Value::Empty(..) => visitor.visit_unit(),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        match name {
            SECRET => visitor.visit_string(self.secret()?),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.boolean() {
            Some(flag) => visitor.visit_bool(flag),
            None => Err(de::Error::custom("is neither true nor false")),
        }
    }

    integers! {
        deserialize_i8 visit_i8 i8,
        deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64,
        deserialize_u8 visit_u8 u8,
        deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64,
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.float() {
            Some(number) => visitor.visit_f64(number),
            None => Err(de::Error::custom("is not a number")),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_string(self.word()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        visitor.visit_enum(self.word()?.into_deserializer())
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let items = self.items()?.into_iter();
        visitor.visit_seq(Items { field: self, items })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let entries = self.entries()?.into_iter();
        visitor.visit_map(Entries {
            field: self,
            entries,
            entry: None,
        })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        self.deserialize_map(visitor)
    }

    forward_to_deserialize_any! {
        i128 u128 f32 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

struct Items<'a> {
    field: Field<'a>,
    items: std::vec::IntoIter<Value>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ReadError> {
        let Some(value) = self.items.next() else {
            return Ok(None);
        };
        let item = |value| Field {
            key: self.field.key.clone(),
            value,
            ..self.field
        };
        let read = seed.deserialize(item(value.clone()));
        read.map(Some).map_err(|error| item(value).wrong(error))
    }
}

struct Entries<'a> {
    field: Field<'a>,
    entries: std::collections::btree_map::IntoIter<String, Value>,
    entry: Option<(String, Value)>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ReadError> {
        let Some((key, value)) = self.entries.next() else {
            return Ok(None);
        };
        let name: StrDeserializer<'_, ReadError> = key.as_str().into_deserializer();
        let read = seed.deserialize(name).map_err(|error| {
            let entry = self.field.child(&key, value.clone());
            match error.is_unknown_key {
                true => entry.unknown(),
                false => entry.wrong(error),
            }
        });
        self.entry = Some((key, value));
        read.map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ReadError> {
        let Some((key, value)) = self.entry.take() else {
            return Err(de::Error::custom("has no value"));
        };
        let read = seed.deserialize(self.field.child(&key, value.clone()));
        read.map_err(|error| self.field.child(&key, value).wrong(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_in_one_text_is_read_as_people_write_it() {
        for (text, items) in [
            ("paris-1", vec!["paris-1"]),
            ("a,b", vec!["a", "b"]),
            (" a , b, ", vec!["a", "b"]),
            (",,a,,", vec!["a"]),
            ("", vec![]),
            (" ", vec![]),
            ("[]", vec![]),
            (r#"["a","b"]"#, vec!["a", "b"]),
            (r#" [ "a" , "b" ] "#, vec!["a", "b"]),
            (r#"["a,b"]"#, vec!["a,b"]),
            ("[a, b]", vec!["a", "b"]),
            (r#""a","b""#, vec!["a", "b"]),
            ("007,1e5", vec!["007", "1e5"]),
            ("[330]", vec!["330"]),
            ("\"a,b\"", vec!["a", "b"]),
            ("[::1]", vec!["[::1]"]),
            ("[::1]:9092,[::2]:9092", vec!["[::1]:9092", "[::2]:9092"]),
            ("[::1]:9092", vec!["[::1]:9092"]),
        ] {
            assert_eq!(list(text).unwrap(), items, "{text}");
        }
        for text in [r#"["a""#, r#"["a",]"#, r#"["a" "b"]"#, r#"[{"a": 1}]"#] {
            assert!(list(text).is_err(), "{text}");
        }
    }
}
