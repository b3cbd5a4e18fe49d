//! The serde deserializer of a [`Field`].

use figment::value::Value;
use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::ReadError;
use super::field::{Field, whole};
use comptoir_core::secret::SECRET;

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

    /// For types that accept several kinds of value. Passes text on as written.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.value {
            Value::String(_, text) => visitor.visit_string(text),
            Value::Bool(_, flag) => visitor.visit_bool(flag),
            // TOML's integers are `i64`.
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
            current: None,
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

/// Deserialises the items of a list.
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
        read.map(Some).map_err(|error| item(value).locate(error))
    }
}

/// Deserialises the keys and values of a section.
struct Entries<'a> {
    field: Field<'a>,
    entries: std::collections::btree_map::IntoIter<String, Value>,
    /// The entry whose key has been read and whose value comes next.
    current: Option<(String, Value)>,
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
                true => entry.unknown_key(),
                false => entry.locate(error),
            }
        });
        self.current = Some((key, value));
        read.map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ReadError> {
        let Some((key, value)) = self.current.take() else {
            return Err(de::Error::custom("has no value"));
        };
        let read = seed.deserialize(self.field.child(&key, value.clone()));
        read.map_err(|error| self.field.child(&key, value).locate(error))
    }
}
