//! The personal data in the JSON of a sale: finds a person, hides the data from roles that may not see it, and erases it.
//!
//! Works on any JSON object, because records of other gateways are not necessarily valid sales. The other fields keep
//! their order and every character: hiding or erasing a person must not change amounts.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap as _, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use utoipa::ToSchema;

use crate::event::Kind;

/// Shortest search text, in characters. A shorter one would match nearly everybody.
pub const MIN_SEARCH: usize = 3;

/// The fields of a sale that name a person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PersonalData {
    /// Empty if the sale names nobody.
    pub customer_name: String,
    /// Empty if there is none.
    pub customer_email: String,
    /// Empty if there is none.
    pub address: String,
}

/// A text to search for in personal data. Case-insensitive.
#[derive(Debug, Clone)]
pub struct Search(String);

impl Search {
    /// `None` if the text is shorter than [`MIN_SEARCH`].
    pub fn new(text: &str) -> Option<Self> {
        (text.chars().count() >= MIN_SEARCH).then(|| Self(text.to_lowercase()))
    }

    /// Whether `text` contains the search text.
    pub fn is_in(&self, text: &str) -> bool {
        text.to_lowercase().contains(&self.0)
    }
}

impl PersonalData {
    /// Reads the personal data of a sale. `None` if there is none, or the text is not a JSON object.
    pub fn read(json: &str) -> Option<Self> {
        let mut found = Self::default();
        for (name, value) in fields(json)? {
            match &*name {
                "customer_name" => found.customer_name = text(value),
                "customer_email" => found.customer_email = text(value),
                "address" => found.address = text(value),
                _ => {}
            }
        }
        (found != Self::default()).then_some(found)
    }

    pub fn matches(&self, search: &Search) -> bool {
        let Self {
            customer_name,
            customer_email,
            address,
        } = self;
        [customer_name, customer_email, address]
            .into_iter()
            .any(|text| search.is_in(text))
    }
}

/// Whether a field is null for roles that may not see personal data. The customer's name is not.
pub fn is_hidden(field: &str) -> bool {
    matches!(field, "customer_email" | "address")
}

/// The sale with null in its hidden fields, for roles that may not see personal data.
pub fn with_hidden_fields(json: &str) -> Box<RawValue> {
    // A sale is always an object. Anything else could contain personal data, so nothing of it is shown.
    let hidden = fields(json).and_then(|fields| to_raw_value(&HiddenFields(fields)).ok());
    hidden.unwrap_or_else(|| RawValue::NULL.to_owned())
}

struct HiddenFields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl Serialize for HiddenFields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            match is_hidden(name) {
                true => map.serialize_entry(name, &())?,
                false => map.serialize_entry(name, value)?,
            }
        }
        map.end()
    }
}

/// The sale without its personal data; `None` if it has none. Fields that a sale of this kind must have become empty;
/// the others are removed.
pub fn without_personal_data(kind: Kind, json: &str) -> Option<String> {
    PersonalData::read(json)?;
    let mut rest = String::with_capacity(json.len());
    for (name, value) in fields(json)? {
        let value = match &*name {
            "customer_name" => "\"\"",
            "address" if kind == Kind::Delivery => "\"\"",
            "customer_email" | "address" => continue,
            _ => value.get(),
        };
        rest.push(if rest.is_empty() { '{' } else { ',' });
        // Serialising a string cannot fail.
        rest += &serde_json::to_string(&*name).ok()?;
        rest.push(':');
        rest += value;
    }
    if rest.is_empty() {
        rest.push('{');
    }
    rest.push('}');
    Some(rest)
}

/// A value as text: the content of a string, otherwise the JSON. Null counts as absent.
fn text(value: &RawValue) -> String {
    match serde_json::from_str::<Option<String>>(value.get()) {
        Ok(text) => text.unwrap_or_default(),
        Err(_) => value.get().to_owned(),
    }
}

/// The fields of a JSON object in order, including duplicates. Numbers are not parsed, so that they stay exact. `None` if
/// the text is not a JSON object.
pub fn fields(json: &str) -> Option<Vec<(Cow<'_, str>, &RawValue)>> {
    let Fields(fields) = serde_json::from_str(json).ok()?;
    Some(fields)
}

struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

/// Needed because serde borrows a `Cow` only in a field marked with `borrow`.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some((Name(name), value)) = map.next_entry()? {
                    fields.push((name, value));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER: &str = r#"{"order_id":"o-1","customer_name":"Zoé Dupont","customer_email":"zoe@example.org","lines":[{"product":"Pain","unit_price":1.10}],"amount":2.20,"status":"Pending","address":"1 rue du Four","timestamp":"2026-11-22T10:00:00.5Z"}"#;

    #[test]
    fn only_the_personal_fields_change_and_amounts_keep_every_digit() {
        for (kind, json, expected) in [
            (
                Kind::Order,
                ORDER,
                r#"{"order_id":"o-1","customer_name":"","lines":[{"product":"Pain","unit_price":1.10}],"amount":2.20,"status":"Pending","timestamp":"2026-11-22T10:00:00.5Z"}"#,
            ),
            (
                Kind::Delivery,
                r#"{ "delivery_id":"d", "address":"1 rue du Four","weight":1e2}"#,
                r#"{"delivery_id":"d","address":"","weight":1e2}"#,
            ),
            // Another program's record, with values of other types and a key written with escapes.
            (
                Kind::Order,
                r#"{"customer_name":{"first":"Zoé"},"\u0061ddress":["1 rue"],"x":"\"}"}"#,
                r#"{"customer_name":"","x":"\"}"}"#,
            ),
            (Kind::Order, r#"{"customer_email":"zoe@example.org"}"#, "{}"),
        ] {
            let rest = without_personal_data(kind, json).unwrap();
            assert_eq!(rest, expected);
            assert_eq!(without_personal_data(kind, &rest), None, "{rest}");
        }
    }

    #[test]
    fn hidden_fields_are_null_and_everything_else_is_unchanged() {
        let order = r#"{"order_id":"o-1","customer_name":"Zoé","customer_email":"a@b.example","amount":12.50,"\u0061ddress":"Rue 1","address":"Rue 2","lines":[{"unit_price":1.10}]}"#;
        let hidden = r#"{"order_id":"o-1","customer_name":"Zoé","customer_email":null,"amount":12.50,"address":null,"address":null,"lines":[{"unit_price":1.10}]}"#;
        assert_eq!(with_hidden_fields(order).get(), hidden);
        assert_eq!(with_hidden_fields(r#""a@b.example""#).get(), "null");
    }

    #[test]
    fn a_sale_without_personal_data_is_not_touched() {
        for json in [
            "",
            "[]",
            "{}",
            "null",
            r#"{"customer_name":""}"#,
            r#"{"customer_name":null,"address":""}"#,
            r#"{"payment_id":"p","amount":1.0}"#,
        ] {
            assert_eq!(without_personal_data(Kind::Order, json), None, "{json}");
        }
    }

    #[test]
    fn a_person_is_found_by_a_part_of_the_name_the_email_or_the_address_in_either_case() {
        let data = PersonalData::read(ORDER).unwrap();
        for (text, expected) in [
            ("zoé dupont", true),
            ("ZOÉ", true),
            ("zoe@EXAMPLE", true),
            ("rue du four", true),
            ("Durand", false),
            ("Pain", false),
            ("o-1", false),
        ] {
            assert_eq!(data.matches(&Search::new(text).unwrap()), expected, "{text}");
        }
        for short in ["", "  ", "zo", "éé"] {
            assert!(Search::new(short).is_none(), "{short:?}");
        }
    }
}
