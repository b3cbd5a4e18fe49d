//! The facts of an event: the few fields of its JSON that the projection needs.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use comptoir_core::event::Kind;
use comptoir_core::sale::money::Amount;
use comptoir_core::sale::{Currency, Money};

/// The fields of an event that the projection needs.
#[derive(Debug, PartialEq, Eq)]
pub struct Fact<'a> {
    pub kind: Kind,
    pub id: Cow<'a, str>,
    /// The order to which a payment or a delivery belongs.
    pub order_id: Option<Cow<'a, str>>,
    pub status: Cow<'a, str>,
    /// The amount of a payment, negative for a refund.
    pub amount: Option<Money>,
    /// The payment that a refund pays back.
    pub refund_of: Option<Cow<'a, str>>,
    /// Unix milliseconds.
    pub time: i64,
}

#[derive(Deserialize)]
struct FactJson<'a> {
    #[serde(borrow)]
    order_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    payment_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    delivery_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    status: Option<Cow<'a, str>>,
    #[serde(borrow)]
    refund_of: Option<Cow<'a, str>>,
    #[serde(borrow)]
    amount: Option<&'a RawValue>,
    currency: Option<Currency>,
    /// Parsed leniently, because an invalid time must not drop a sale.
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
}

/// The device named in the JSON of another gateway's record.
#[derive(Deserialize)]
struct SenderJson<'a> {
    #[serde(borrow)]
    store: Option<Cow<'a, str>>,
    #[serde(borrow)]
    device: Option<Cow<'a, str>>,
}

/// The store and the device of another gateway's record. Parts missing in the JSON come from `name`, its `ce_id`.
pub fn sender_of<'a>(payload: &'a str, name: &'a str) -> (Cow<'a, str>, Cow<'a, str>) {
    let json: Option<SenderJson<'a>> = serde_json::from_str(payload).ok();
    let (store, device) = json.map_or((None, None), |json| (json.store, json.device));
    let mut parts = name.split('/');
    let mut or_part = |field: Option<Cow<'a, str>>| {
        let part = parts.next().unwrap_or_default();
        field.unwrap_or(Cow::Borrowed(part))
    };
    (or_part(store), or_part(device))
}

impl<'a> Fact<'a> {
    /// Reads the facts of an event. `time` (Unix milliseconds) is the default for an event without one. `None` if the
    /// JSON is not an event of this kind, which is possible for a foreign record on our topics.
    pub fn read(kind: Kind, payload: &'a str, time: i64) -> Option<Self> {
        let json: FactJson<'a> = serde_json::from_str(payload).ok()?;
        let (id, order_id) = match kind {
            Kind::Order => (json.order_id, None),
            Kind::Payment => (json.payment_id, json.order_id),
            Kind::Delivery => (json.delivery_id, json.order_id),
        };
        let amount = match (kind, json.amount) {
            (Kind::Payment, Some(raw)) => {
                let amount: Amount = raw.get().parse().ok()?;
                let currency = json.currency.unwrap_or(Currency::EUR);
                let money = match &json.refund_of {
                    Some(_) => Money::from_signed_decimal(amount.0, currency),
                    None => Money::from_decimal(amount.0, currency),
                };
                Some(money.ok()?)
            }
            _ => None,
        };
        Some(Self {
            kind,
            id: id?,
            order_id,
            status: json.status?,
            amount,
            refund_of: json.refund_of,
            time: json
                .timestamp
                .and_then(|timestamp| timestamp.get().trim_matches('"').parse::<Timestamp>().ok())
                .map_or(time, Timestamp::as_millisecond),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_another_gateway_names_its_store_and_device() {
        for (payload, name, store, device) in [
            (
                r#"{"store":"lyon-1","device":"till-2"}"#,
                "a/b/1/2",
                "lyon-1",
                "till-2",
            ),
            (r#"{"store":"lyon-1"}"#, "a/b/1/2", "lyon-1", "b"),
            ("{}", "a/b/1/2", "a", "b"),
            ("{}", "", "", ""),
            (r#"{"store":7}"#, "a", "a", ""),
        ] {
            let sender = sender_of(payload, name);
            assert_eq!(sender, (store.into(), device.into()), "{payload} {name}");
        }
    }

    #[test]
    fn an_unreadable_time_is_replaced_by_the_time_of_arrival() {
        for timestamp in [
            "\"\"",
            "\"soon\"",
            "12",
            "null",
            "\"99999-01-01T00:00:00Z\"",
            "[1]",
        ] {
            let json = format!(r#"{{"order_id":"o","status":"Pending","timestamp":{timestamp}}}"#);
            assert_eq!(Fact::read(Kind::Order, &json, 7).unwrap().time, 7, "{json}");
        }
        let leap = r#"{"order_id":"o","status":"Pending","timestamp":"2016-12-31T23:59:60Z"}"#;
        assert_eq!(Fact::read(Kind::Order, leap, 7).unwrap().time, 1_483_228_799_000);
    }

    #[test]
    fn only_a_refund_has_a_negative_amount() {
        let refund = r#"{"payment_id":"r","order_id":"o","refund_of":"p","amount":-2.50,"currency":"EUR","status":"SUCCESS"}"#;
        let fact = Fact::read(Kind::Payment, refund, 0).unwrap();
        assert_eq!(fact.amount.map(Money::minor), Some(-250));
        assert_eq!(fact.refund_of.as_deref(), Some("p"));
    }

    #[test]
    fn json_that_is_not_an_event_has_no_facts() {
        for json in [
            "",
            "[]",
            "{}",
            r#"{"order_id":"o"}"#,
            r#"{"payment_id":"p","status":"SUCCESS","amount":-1}"#,
        ] {
            assert_eq!(Fact::read(Kind::Payment, json, 0), None, "{json}");
        }
    }
}
