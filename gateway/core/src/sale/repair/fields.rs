//! Repairs single fields of a sale: keeps the value, but in the form that [`super::super::draft`] accepts.

use std::fmt;

use jiff::Timestamp;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::super::{PaymentMethod, is_rfc3339, status_names};
use super::text::tidy;
use crate::event::Kind;

type Raw = Box<RawValue>;

/// Rewrites the fields of `json`. `None` if it is not an object, or if an id in it has lost a character.
pub(super) fn repaired(kind: Kind, json: &str) -> Option<Vec<u8>> {
    let mut fields: Fields = serde_json::from_str(json).ok()?;
    for (name, value) in &mut fields.0 {
        let repaired = match name.as_str() {
            "order_id" | "payment_id" | "delivery_id" | "refund_of" => id(value)?,
            "customer_name" | "customer_email" | "product" | "address" => text(value),
            "currency" => currency(value),
            "status" => name_in(status_names(kind), value),
            "method" => name_in(PaymentMethod::NAMES, value),
            "timestamp" => time(value),
            "lines" => lines(value),
            _ => None,
        };
        if let Some(repaired) = repaired {
            *value = repaired;
        }
    }
    serde_json::to_vec(&fields).ok()
}

/// The fields of an object in order, including duplicates, because the intended one of two is unknown.
struct Fields(Vec<(String, Raw)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Visit)
    }
}

impl serde::Serialize for Fields {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

fn raw(value: &impl serde::Serialize) -> Option<Raw> {
    serde_json::value::to_raw_value(value).ok()
}

fn string(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

fn is_number(text: &str) -> bool {
    text.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        && serde_json::from_str::<&RawValue>(text).is_ok()
}

/// Turns a whole number into the text of its digits. The outer `None` means that the id is unknown, because one of its
/// characters was lost.
#[allow(
    clippy::option_option,
    reason = "the outer None rejects the sale, the inner one leaves the field as it is"
)]
fn id(value: &RawValue) -> Option<Option<Raw>> {
    match string(value) {
        Some(id) if id.contains(char::REPLACEMENT_CHARACTER) => None,
        Some(_) => Some(None),
        None if value.get().bytes().all(|byte| byte.is_ascii_digit()) => Some(raw(&value.get())),
        None => Some(None),
    }
}

fn text(value: &RawValue) -> Option<Raw> {
    match string(value) {
        Some(text) => raw(&tidy(&text)),
        None if is_number(value.get()) => raw(&value.get()),
        None => None,
    }
}

fn currency(value: &RawValue) -> Option<Raw> {
    match string(value)?.trim() {
        "" => raw(&()),
        code => raw(&code.to_ascii_uppercase()),
    }
}

/// Finds the name that differs only in case and separators: `cash`, `CREDIT_CARD`, `in transit`.
fn name_in(names: &[&str], value: &RawValue) -> Option<Raw> {
    let letters = |name: &str| -> String {
        let letters = name.chars().filter(|c| !matches!(c, ' ' | '_' | '-'));
        letters.map(|c| c.to_ascii_lowercase()).collect()
    };
    let wanted = letters(string(value)?.trim());
    let name = names.iter().find(|name| letters(name) == wanted)?;
    raw(name)
}

/// Drops a time that readers could not parse; the gateway then uses the arrival time.
fn time(value: &RawValue) -> Option<Raw> {
    let time = string(value).and_then(|text| text.trim().parse::<Timestamp>().ok());
    match time.filter(|time| is_rfc3339(*time)) {
        Some(time) => raw(&time),
        None => raw(&()),
    }
}

fn lines(value: &RawValue) -> Option<Raw> {
    let mut lines: Vec<Fields> = serde_json::from_str(value.get()).ok()?;
    for (name, value) in lines.iter_mut().flat_map(|line| &mut line.0) {
        if name == "product"
            && let Some(repaired) = text(value)
        {
            *value = repaired;
        }
    }
    raw(&lines)
}
