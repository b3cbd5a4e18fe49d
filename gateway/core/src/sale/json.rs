//! The JSON of an event, as stored in the journal and sent to Kafka.

use std::sync::Arc;

use jiff::Timestamp;
use serde::ser::{SerializeStruct, Serializer};

use super::{Event, Money};
use crate::event::DeviceId;

/// An event with the fields that its sender adds.
#[derive(serde::Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    event: &'a Event<'a>,
    timestamp: Timestamp,
    store: &'a str,
    device: &'a str,
}

impl Event<'_> {
    /// Serialises the event with its time and its device.
    pub fn to_json(&self, timestamp: Timestamp, device: &DeviceId) -> Arc<str> {
        let document = Document {
            event: self,
            timestamp,
            store: device.store(),
            device: device.device(),
        };
        let mut json = Vec::with_capacity(512);
        // Serialising strings, integers and decimals into a Vec cannot fail.
        let written = serde_json::to_writer(&mut json, &document);
        let json = match written {
            Ok(()) => std::str::from_utf8(&json).ok(),
            Err(_) => None,
        };
        json.unwrap_or_else(|| unreachable!("a sale always serialises to JSON"))
            .into()
    }
}

/// Writes an amount as two fields of the enclosing struct: `amount` and `currency`.
pub(super) fn amount_and_currency<S: Serializer>(amount: &Money, serializer: S) -> Result<S::Ok, S::Error> {
    let mut fields = serializer.serialize_struct("Money", 2)?;
    fields.serialize_field("amount", amount)?;
    fields.serialize_field("currency", &amount.currency())?;
    fields.end()
}

#[cfg(test)]
mod tests {
    use super::super::Currency;
    use super::super::draft::{self, Draft};
    use super::*;
    use crate::event::Kind;

    /// The JSON of an event that was received as `json`.
    fn rewritten(kind: Kind, json: &str) -> String {
        let draft: Draft = draft::from_json(json.as_bytes()).unwrap();
        let event = draft.complete(kind, Currency::EUR).unwrap();
        let device = DeviceId::new("paris-1", "till-9").unwrap();
        let time = "2026-11-22T10:00:00.5Z".parse().unwrap();
        event.to_json(time, &device).to_string()
    }

    #[test]
    fn the_json_of_each_kind_has_its_fields_in_a_fixed_order() {
        let order = r#"{"order_id":"o-1","customer_name":"Ana","customer_email":"a@example.org","product":"Pain","lines":[{"product":"Pain","quantity":2,"unit_price":1.10}],"amount":2.20,"currency":"EUR","status":"Pending","address":"1 rue du Four","timestamp":"2026-11-22T10:00:00.5Z","store":"paris-1","device":"till-9"}"#;
        assert_eq!(rewritten(Kind::Order, order), order);
        let payment = r#"{"payment_id":"p-1","order_id":"o-1","amount":12.50,"currency":"EUR","method":"Cash","status":"SUCCESS","timestamp":"2026-11-22T10:00:00.5Z","store":"paris-1","device":"till-9"}"#;
        assert_eq!(rewritten(Kind::Payment, payment), payment);
        let delivery = r#"{"delivery_id":"d-1","order_id":"o-1","address":"1 rue du Four","status":"In Transit","estimated_date":"2026-12-01","timestamp":"2026-11-22T10:00:00.5Z","store":"paris-1","device":"till-9"}"#;
        assert_eq!(rewritten(Kind::Delivery, delivery), delivery);
    }

    #[test]
    fn refunds_and_lines_by_weight_keep_every_field() {
        let order = r#"{"order_id":"o-1","customer_name":"Ana","product":"Comté","lines":[{"product":"Comté","quantity":0.254,"unit":"kg","unit_price":32.00,"vat_rate":5.5,"discount":0.50}],"amount":7.63,"currency":"EUR","status":"Pending","timestamp":"2026-11-22T10:00:00.5Z","store":"paris-1","device":"till-9"}"#;
        assert_eq!(rewritten(Kind::Order, order), order);
        let refund = r#"{"payment_id":"r-1","order_id":"o-1","refund_of":"p-1","amount":-12.50,"currency":"EUR","method":"Cash","status":"SUCCESS","timestamp":"2026-11-22T10:00:00.5Z","store":"paris-1","device":"till-9"}"#;
        assert_eq!(rewritten(Kind::Payment, refund), refund);
    }

    #[test]
    fn an_absent_email_and_an_absent_address_are_left_out() {
        let json = rewritten(Kind::Order, r#"{"order_id":"o-1","product":"Pain","amount":1}"#);
        assert_eq!(
            json,
            r#"{"order_id":"o-1","customer_name":"","product":"Pain","lines":[],"amount":1.00,"currency":"EUR","status":"Pending","timestamp":"2026-11-22T10:00:00.5Z","store":"paris-1","device":"till-9"}"#
        );
    }
}
