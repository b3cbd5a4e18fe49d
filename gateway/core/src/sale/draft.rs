//! Sales as JSON, before their fields are validated.
//!
//! Every field of a draft is optional. [`Draft::complete`] validates a draft and turns it into an
//! [`Event`](super::Event), or names the invalid field. A caller that wants defaults fills them into the draft first.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Deserializer};

use super::money::Amount;
use super::{Currency, Money, PaymentMethod, Percent, Quantity, is_rfc3339};

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
    pub quantity: Option<Quantity>,
    pub unit: Option<String>,
    pub unit_price: Option<Amount>,
    pub vat_rate: Option<Percent>,
    pub discount: Option<Amount>,
}

impl LineDraft {
    /// The price of the line less its discount, in minor units of `currency`; at least 0. `None` if the line has no valid
    /// price.
    pub fn amount(&self, currency: Currency) -> Option<i64> {
        let money = |amount: Amount| Money::from_decimal(amount.0, currency).ok();
        // A receipt without a weight has the quantity 0 and the price of what was weighed.
        let quantity = self.quantity.filter(|quantity| !quantity.is_zero());
        let price = quantity.unwrap_or(Quantity::ONE).price(money(self.unit_price?)?);
        let discount = self.discount.and_then(money).map_or(0, Money::minor);
        Some(price.saturating_sub(discount).max(0))
    }
}

/// The fields of all three kinds of event, and the sender's name, which a device may include in its JSON.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Draft {
    pub order_id: Option<String>,
    pub payment_id: Option<String>,
    pub delivery_id: Option<String>,
    pub refund_of: Option<String>,
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
