//! What somebody outside says about a sale, before it is believed.
//!
//! A draft has every field optional, as it comes from JSON. `complete` checks and turns it into the
//! domain's type, or names the field that is wrong. Whoever wants defaults (the `POST`s invent what is
//! not given) fills them into the draft first.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Deserializer};

use super::money::Amount;
use super::{
    Currency, Delivery, DeliveryStatus, Event, Line, MAX_ID, MAX_LINES, MAX_TEXT, Money, Order, OrderStatus,
    Payment, PaymentMethod, PaymentStatus,
};
use crate::event::Kind;
use crate::sale;

/// A field that cannot be taken, and why.
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
    #[serde(default, deserialize_with = "whole")]
    pub quantity: Option<u32>,
    pub unit_price: Option<Amount>,
}

/// Every field of the contract's three kinds of event, and what a device adds to name it.
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
    /// Its words depend on the kind, so it is read when the kind is known.
    pub status: Option<String>,
    pub address: Option<String>,
    pub estimated_date: Option<Date>,
    #[serde(default, deserialize_with = "to_the_millisecond")]
    pub timestamp: Option<Timestamp>,
    pub store: Option<String>,
    pub device: Option<String>,
}

/// The journal keeps milliseconds: a finer time would be one in the event and another in its `ce_time`.
fn to_the_millisecond<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    use serde::de::Error;
    match Option::<Timestamp>::deserialize(deserializer)?.map(sale::to_the_millisecond) {
        Some(time) if !sale::is_rfc3339(time) => {
            Err(D::Error::custom("expected a year from 0000 to 9999, in UTC"))
        }
        time => Ok(time),
    }
}

/// Reads JSON into `T`; an error carries the path of the field that it is about.
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

/// A count. `2.0` is as good as 2: in JSON both are the same number, and some programs write the first.
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    use serde::de::Error;
    let Some(Amount(number)) = Option::deserialize(deserializer)? else {
        return Ok(None);
    };
    match u32::try_from(number) {
        Ok(count) if number.is_integer() => Ok(Some(count)),
        _ => Err(D::Error::custom("expected a whole number, like 2")),
    }
}

impl Draft {
    /// The event of this `kind`. `currency` is the shop's own, for a draft that names none.
    pub fn complete(self, kind: Kind, currency: Currency) -> Result<Event<'static>, FieldError> {
        let currency = self.currency.unwrap_or(currency);
        match kind {
            Kind::Order => self.order(currency).map(Event::Order),
            Kind::Payment => self.payment(currency).map(Event::Payment),
            Kind::Delivery => self.delivery().map(Event::Delivery),
        }
    }

    fn order(self, currency: Currency) -> Result<Order<'static>, FieldError> {
        let lines = self.lines.unwrap_or_default();
        if lines.len() > MAX_LINES {
            let problem = format!("{} of them, at most {MAX_LINES}", lines.len());
            return Err(FieldError::new("lines", problem));
        }
        let lines = lines
            .into_iter()
            .enumerate()
            .map(|(index, line)| line.complete(index, currency))
            .collect::<Result<Vec<_>, _>>()?;
        let product = match (self.product, lines.first()) {
            (Some(product), _) => text("product", product)?,
            (None, Some(first)) if lines.len() == 1 => first.product.clone(),
            (None, Some(first)) => format!("{} + {}", first.product, lines.len() - 1).into(),
            (None, None) => return Err(missing("product")),
        };
        Ok(Order {
            order_id: id("order_id", self.order_id)?,
            customer_name: text("customer_name", self.customer_name.unwrap_or_default())?,
            customer_email: optional("customer_email", self.customer_email)?,
            product,
            lines,
            amount: money("amount", self.amount, currency)?,
            status: match self.status {
                Some(word) => status("status", &word)?,
                None => OrderStatus::Pending,
            },
            address: optional("address", self.address)?,
        })
    }

    fn payment(self, currency: Currency) -> Result<Payment<'static>, FieldError> {
        let word: String = self.status.ok_or_else(|| missing("status"))?;
        Ok(Payment {
            payment_id: id("payment_id", self.payment_id)?,
            order_id: id("order_id", self.order_id)?,
            amount: money("amount", self.amount, currency)?,
            method: self.method.ok_or_else(|| missing("method"))?,
            status: status::<PaymentStatus>("status", &word)?,
        })
    }

    fn delivery(self) -> Result<Delivery<'static>, FieldError> {
        Ok(Delivery {
            delivery_id: id("delivery_id", self.delivery_id)?,
            order_id: id("order_id", self.order_id)?,
            address: text("address", self.address.ok_or_else(|| missing("address"))?)?,
            status: match self.status {
                Some(word) => status("status", &word)?,
                None => DeliveryStatus::Pending,
            },
            estimated_date: self.estimated_date.ok_or_else(|| missing("estimated_date"))?,
        })
    }
}

impl LineDraft {
    fn complete(self, index: usize, currency: Currency) -> Result<Line<'static>, FieldError> {
        let field = |name: &str| format!("lines[{index}].{name}");
        let product = self.product.ok_or_else(|| missing(&field("product")))?;
        Ok(Line {
            product: text(&field("product"), product)?,
            quantity: self.quantity.unwrap_or(1),
            unit_price: money(&field("unit_price"), self.unit_price, currency)?,
        })
    }
}

fn missing(field: &str) -> FieldError {
    FieldError::new(field, "missing")
}

fn money(field: &str, amount: Option<Amount>, currency: Currency) -> Result<Money, FieldError> {
    let amount = amount.ok_or_else(|| missing(field))?;
    Money::from_decimal(amount.0, currency).map_err(|error| FieldError::new(field, error))
}

/// An id: it becomes a Kafka key and a part of addresses.
fn id(field: &str, value: Option<String>) -> Result<Cow<'static, str>, FieldError> {
    let value = value.ok_or_else(|| missing(field))?;
    if value.is_empty() {
        return Err(FieldError::new(field, "empty"));
    }
    bounded(field, value, MAX_ID)
}

fn text(field: &str, value: String) -> Result<Cow<'static, str>, FieldError> {
    bounded(field, value, MAX_TEXT)
}

fn optional(field: &str, value: Option<String>) -> Result<Option<Cow<'static, str>>, FieldError> {
    value.map(|value| text(field, value)).transpose()
}

fn bounded(field: &str, value: String, max: usize) -> Result<Cow<'static, str>, FieldError> {
    let length = value.chars().count();
    if length > max {
        let problem = format!("{length} characters, at most {max}");
        return Err(FieldError::new(field, problem));
    }
    if let Some(control) = value.chars().find(|c| c.is_control()) {
        let problem = format!("holds the control character {:?}", control);
        return Err(FieldError::new(field, problem));
    }
    Ok(value.into())
}

fn status<'a, T: Deserialize<'a>>(field: &str, word: &'a str) -> Result<T, FieldError> {
    use serde::de::IntoDeserializer;
    use serde::de::value::{Error, StrDeserializer};
    let word: StrDeserializer<'a, Error> = word.into_deserializer();
    T::deserialize(word).map_err(|error| FieldError::new(field, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::DeviceId;

    fn complete(kind: Kind, json: &str) -> Result<Event<'static>, FieldError> {
        from_json::<Draft>(json.as_bytes())?.complete(kind, Currency::EUR)
    }

    #[test]
    fn the_contracts_payment_is_taken_and_written_whole() {
        let json =
            r#"{"payment_id":"p-1","order_id":"o-1","amount":12.50,"method":"Cash","status":"SUCCESS"}"#;
        let event = complete(Kind::Payment, json).unwrap();
        let device = DeviceId::new("paris-1", "till-9").unwrap();
        let written = event.to_json("2026-11-22T10:00:00Z".parse().unwrap(), &device);
        assert_eq!(
            &*written,
            r#"{"payment_id":"p-1","order_id":"o-1","amount":12.50,"currency":"EUR","method":"Cash","status":"SUCCESS","timestamp":"2026-11-22T10:00:00Z","store":"paris-1","device":"till-9"}"#
        );
    }

    #[test]
    fn an_order_may_leave_out_its_lines_or_its_product() {
        let order = |json| match complete(Kind::Order, json).unwrap() {
            Event::Order(order) => order,
            other => panic!("{other:?}"),
        };
        assert!(
            order(r#"{"order_id":"o","product":"Pain","amount":1}"#)
                .lines
                .is_empty()
        );
        let lines = r#"{"order_id":"o","amount":3,"lines":[
            {"product":"Pain","quantity":1,"unit_price":1},{"product":"Lait","quantity":2.0,"unit_price":1.00}]}"#;
        let order = order(lines);
        assert_eq!((&*order.product, order.lines[1].quantity), ("Pain + 1", 2));
    }

    #[test]
    fn what_is_wrong_is_named_by_its_field() {
        for (kind, json, field) in [
            (Kind::Order, r#"{"product":"Pain","amount":1}"#, "order_id"),
            (
                Kind::Order,
                r#"{"order_id":"","product":"x","amount":1}"#,
                "order_id",
            ),
            (Kind::Order, r#"{"order_id":"o","amount":1}"#, "product"),
            (
                Kind::Order,
                r#"{"order_id":"o","product":"x","amount":-1}"#,
                "amount",
            ),
            (
                Kind::Order,
                r#"{"order_id":"o","product":"x","amount":"1"}"#,
                "amount",
            ),
            (
                Kind::Order,
                r#"{"order_id":"o","product":"x","amount":1,"status":"Paid"}"#,
                "status",
            ),
            (
                Kind::Order,
                r#"{"order_id":"o","product":"x","amount":1,"currency":"EURO"}"#,
                "currency",
            ),
            (
                Kind::Order,
                r#"{"order_id":"o","amount":1,"lines":[{"product":"a","unit_price":1},{"product":"b","unit_price":1.001}]}"#,
                "lines[1].unit_price",
            ),
            (
                Kind::Order,
                r#"{"order_id":"o","amount":1,"lines":[{"product":"a","unit_price":1,"quantity":-2}]}"#,
                "lines[0].quantity",
            ),
            (
                Kind::Order,
                r#"{"order_id":"o","amount":1,"lines":[{"product":"a","unit_price":1,"quantity":1.5}]}"#,
                "lines[0].quantity",
            ),
            (
                Kind::Payment,
                r#"{"payment_id":"p","order_id":"o","amount":1,"status":"SUCCESS"}"#,
                "method",
            ),
            (
                Kind::Payment,
                r#"{"payment_id":"p","order_id":"o","amount":1,"method":"Cash"}"#,
                "status",
            ),
            (
                Kind::Delivery,
                r#"{"delivery_id":"d","order_id":"o","address":"x","estimated_date":"2026-13-01"}"#,
                "estimated_date",
            ),
            (
                Kind::Delivery,
                r#"{"delivery_id":"d","order_id":"a\u0000b","address":"x","estimated_date":"2026-12-01"}"#,
                "order_id",
            ),
            (Kind::Order, r#"{"order_id":"o","#, "body"),
            (Kind::Order, r#"[]"#, "body"),
            (Kind::Order, r#"{} {}"#, "body"),
        ] {
            let error = complete(kind, json).expect_err(json);
            assert_eq!(error.field, field, "{json}: {error}");
        }
    }
}
