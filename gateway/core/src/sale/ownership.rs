//! Who may change an order or a delivery.
//!
//! A sale belongs to the device that created it. That device may change everything, and so may the counter, whose
//! events are posted by a person. Another till of the store may only move the status forwards, because customers
//! collect and pay where they like. All its other changes are rejected: `Cancelled`, a step back, or a different
//! amount, line, customer or address. They are kept as a _correction_ with its author, shown next to the sale.
//!
//! The id of a payment includes its device, so no other till can name it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use super::Money;
use super::money::Amount;
use crate::event::{COUNTER, Kind};

/// Whether `author` may change everything of a sale created by the device `creator`. `creator` is empty if unknown.
pub fn may_change(kind: Kind, author: &str, creator: &str) -> bool {
    kind == Kind::Payment || author == COUNTER || creator.is_empty() || creator == author
}

/// Whether every till of the store may make this change of the status.
pub fn is_forward(kind: Kind, from: &str, to: &str) -> bool {
    let steps: &[&str] = match kind {
        Kind::Order => &["Pending", "Processing", "Completed"],
        Kind::Delivery => &["Pending", "In Transit", "Delivered"],
        Kind::Payment => &[],
    };
    let step = |status| steps.iter().position(|step| *step == status);
    step(from).zip(step(to)).is_some_and(|(from, to)| from < to)
}

/// How an event differs from the sale, apart from the status.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// The amount of an order, if it differs.
    pub amount: Option<Money>,
    /// Whether another field differs.
    pub has_other: bool,
}

impl Difference {
    /// Compares an event with the sale. Ignores absent and empty fields of the event: a till that moves an order need
    /// not know its customer.
    pub fn between(kind: Kind, sale: &str, event: &str) -> Self {
        let fields = |json| serde_json::from_str::<Map<String, Value>>(json).unwrap_or_default();
        let (sale, event) = (fields(sale), fields(event));
        let names: &[&str] = match kind {
            Kind::Order => &[
                "amount",
                "currency",
                "customer_name",
                "customer_email",
                "product",
                "lines",
                "address",
            ],
            Kind::Delivery => &["order_id", "address", "estimated_date"],
            Kind::Payment => &[],
        };
        let says_nothing = |value: &Value| match value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            _ => false,
        };
        let mut difference = Self::default();
        for name in names {
            let Some(value) = event.get(*name).filter(|value| !says_nothing(value)) else {
                continue;
            };
            if sale.get(*name) == Some(value) {
                continue;
            }
            match *name {
                "amount" | "currency" => difference.amount = amount_of(&event),
                _ => difference.has_other = true,
            }
        }
        difference
    }
}

fn amount_of(fields: &Map<String, Value>) -> Option<Money> {
    let amount: Amount = fields.get("amount")?.to_string().parse().ok()?;
    let currency = fields.get("currency")?.as_str()?.parse().ok()?;
    Money::from_decimal(amount.0, currency).ok()
}

/// The JSON with another status. All other values stay exactly as written.
pub fn with_status(json: &str, status: &str) -> Option<Arc<str>> {
    let mut fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(json).ok()?;
    fields.insert("status".to_owned(), to_raw_value(status).ok()?);
    serde_json::to_string(&fields).ok().map(Arc::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_moves_forwards_only_and_is_never_cancelled() {
        for (kind, from, to) in [
            (Kind::Order, "Pending", "Processing"),
            (Kind::Order, "Pending", "Completed"),
            (Kind::Delivery, "In Transit", "Delivered"),
        ] {
            assert!(is_forward(kind, from, to), "{from} {to}");
            assert!(
                !is_forward(kind, to, from) && !is_forward(kind, to, to),
                "{from} {to}"
            );
        }
        for from in ["Pending", "Processing", "Completed", "Cancelled"] {
            assert!(!is_forward(Kind::Order, from, "Cancelled"));
            assert!(!is_forward(Kind::Order, "Cancelled", from));
        }
        assert!(!is_forward(Kind::Payment, "FAILED", "SUCCESS"));
    }

    #[test]
    fn what_an_event_leaves_out_differs_from_nothing() {
        let sale = r#"{"order_id":"o","customer_name":"Ada","product":"Pain","lines":[],"amount":12.50,"currency":"EUR","status":"Pending"}"#;
        let between = |event| Difference::between(Kind::Order, sale, event);
        let same = r#"{"order_id":"o","customer_name":"","product":"Pain","lines":[],"amount":12.5,"currency":"EUR","status":"Completed"}"#;
        assert_eq!(between(same), Difference::default());
        let amount = between(r#"{"order_id":"o","product":"Pain","amount":0.01,"currency":"EUR"}"#);
        assert_eq!(amount.amount.map(|amount| amount.minor()), Some(1));
        assert!(!amount.has_other);
        assert!(between(r#"{"order_id":"o","customer_name":"Eve"}"#).has_other);
    }

    #[test]
    fn another_status_leaves_amounts_exactly_as_they_are() {
        let json = with_status(
            r#"{"amount":12.50,"status":"Pending","lines":[{"unit_price":1.10}]}"#,
            "Completed",
        );
        let json = json.unwrap();
        assert!(
            json.contains(r#""amount":12.50"#) && json.contains(r#""unit_price":1.10"#),
            "{json}"
        );
        assert!(
            json.contains(r#""status":"Completed""#) && !json.contains("Pending"),
            "{json}"
        );
    }
}
