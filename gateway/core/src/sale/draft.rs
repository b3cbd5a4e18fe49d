//! Sales as JSON, before their fields are validated.
//!
//! Every field of a draft is optional. [`Draft::complete`] validates a draft and turns it into an
//! [`Event`](super::Event), or names the invalid field. A caller that wants defaults fills them into the draft first.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Deserializer};

use super::money::Amount;
use super::{Currency, PaymentMethod, is_rfc3339};

/// An invalid field, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct FieldError {
    /// The path in the JSON: `amount`, `lines[2].unit_price`.
    pub field: String,
    pub problem: String,
}

impl FieldError {
    pub fn new(field: impl Into<String>, problem: impl std::fmt::Display) -> Self {
        Self {
            field: field.into(),
            problem: problem.to_string(),
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct LineDraft {
    pub product: Option<String>,
    #[serde(default, deserialize_with = "whole_number")]
    pub quantity: Option<u32>,
    pub unit_price: Option<Amount>,
}

/// The fields of all three kinds of event, and the sender's name, which a device may include in its JSON.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Draft {
    pub order_id: Option<String>,
    pub payment_id: Option<String>,
    pub delivery_id: Option<String>,
    pub customer_name: Option<String>,
    pub customer_email: Option<String>,
    pub product: Option<String>,
    pub lines: Option<Vec<LineDraft>>,
    pub amount: Option<Amount>,
    pub currency: Option<Currency>,
    pub method: Option<PaymentMethod>,
    /// Text, because the valid values depend on the kind.
    pub status: Option<String>,
    pub address: Option<String>,
    pub estimated_date: Option<Date>,
    #[serde(default, deserialize_with = "timestamp")]
    pub timestamp: Option<Timestamp>,
    pub store: Option<String>,
    pub device: Option<String>,
}

/// Rounds down to milliseconds, the journal's resolution; otherwise the event's `timestamp` would differ from its
/// `ce_time`.
fn timestamp<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    use serde::de::Error;
    match Option::<Timestamp>::deserialize(deserializer)?.map(super::to_the_millisecond) {
        Some(time) if !is_rfc3339(time) => Err(D::Error::custom("expected a year from 0000 to 9999, in UTC")),
        time => Ok(time),
    }
}

/// A whole number. Accepts `2.0` as well as `2`: they are the same JSON number, and some programs write the former.
fn whole_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    use serde::de::Error;
    let Some(Amount(number)) = Option::deserialize(deserializer)? else {
        return Ok(None);
    };
    match u32::try_from(number) {
        Ok(count) if number.is_integer() => Ok(Some(count)),
        _ => Err(D::Error::custom("expected a whole number, like 2")),
    }
}

/// Reads JSON into `T`.
///
/// # Errors
///
/// Names the path of the field that does not fit, or `body` if the whole JSON is invalid.
pub fn from_json<'de, T: Deserialize<'de>>(json: &'de [u8]) -> Result<T, FieldError> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let field = if matches!(path.as_str(), "." | "?") {
            "body".to_owned()
        } else {
            path
        };
        FieldError::new(field, error.into_inner())
    })?;
    deserializer
        .end()
        .map_err(|error| FieldError::new("body", error))?;
    Ok(value)
}
