//! Validates records that other gateways or programs wrote, with the rules for a till's JSON.
//!
//! A valid record is rewritten in this gateway's own form, so that the pages see its field names, field order and
//! formats and nothing else.

use std::sync::Arc;

use jiff::Timestamp;

use comptoir_core::event::{DeviceId, EventName, Kind};
use comptoir_core::sale::draft::{Draft, FieldError, from_json};
use comptoir_core::sale::{Currency, is_rfc3339, to_the_millisecond};

/// Longest accepted JSON, in bytes: twice a till's limit, because a gateway's form is longer.
const MAX_JSON: usize = 512 << 10;

/// A valid sale of another gateway.
#[derive(Debug)]
pub struct ForeignSale {
    pub device: DeviceId,
    /// The sale in this gateway's own form.
    pub json: Arc<str>,
}

/// Validates the value of a record. `time` (Kafka's, in Unix milliseconds) and `currency` (the shop's) are defaults for
/// a sale without its own. The store and the device may come from `ce_id`.
///
/// # Errors
/// Names the missing or invalid field.
pub fn check(
    kind: Kind,
    ce_id: Option<&str>,
    value: &[u8],
    time: i64,
    currency: Currency,
) -> Result<ForeignSale, FieldError> {
    if value.len() > MAX_JSON {
        return Err(FieldError::new("body", format!("longer than {MAX_JSON} bytes")));
    }
    let mut draft: Draft = from_json(value)?;
    let named = ce_id.and_then(EventName::parse);
    let store = draft
        .store
        .take()
        .or_else(|| Some(named.as_ref()?.device.store().to_owned()));
    let device = draft
        .device
        .take()
        .or_else(|| Some(named.as_ref()?.device.device().to_owned()));
    let missing = |field: &str| FieldError::new(field, "missing");
    let store = store.ok_or_else(|| missing("store"))?;
    let device = device.ok_or_else(|| missing("device"))?;
    let device = DeviceId::new(&store, &device).map_err(|error| FieldError::new("store", error))?;
    let of_kafka = || {
        Timestamp::from_millisecond(time)
            .ok()
            .filter(|time| is_rfc3339(*time))
    };
    let timestamp = draft
        .timestamp
        .or_else(of_kafka)
        .ok_or_else(|| missing("timestamp"))?;
    let event = draft.complete(kind, currency)?;
    Ok(ForeignSale {
        json: event.to_json(to_the_millisecond(timestamp), &device),
        device,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "lyon-2/till-1/7/42";

    fn checked(kind: Kind, json: &str) -> Result<ForeignSale, FieldError> {
        check(kind, Some(ID), json.as_bytes(), 1_700_000_000_000, Currency::EUR)
    }

    #[test]
    fn the_record_of_another_gateway_passes_unchanged() {
        let json = r#"{"payment_id":"p-1","order_id":"o-1","amount":12.50,"currency":"EUR","method":"Cash","status":"SUCCESS","timestamp":"2026-11-22T10:00:00.5Z","store":"lyon-2","device":"till-9"}"#;
        let sale = checked(Kind::Payment, json).unwrap();
        assert_eq!((&*sale.json, sale.device.as_str()), (json, "lyon-2/till-9"));
    }

    #[test]
    fn store_device_and_time_may_come_from_the_record() {
        let json = r#"{"payment_id":"p-1","order_id":"o-1","amount":1,"method":"Cash","status":"FAILED","extra":[1]}"#;
        let sale = checked(Kind::Payment, json).unwrap();
        assert_eq!(
            &*sale.json,
            r#"{"payment_id":"p-1","order_id":"o-1","amount":1.00,"currency":"EUR","method":"Cash","status":"FAILED","timestamp":"2023-11-14T22:13:20Z","store":"lyon-2","device":"till-1"}"#
        );
    }

    #[test]
    fn what_a_till_may_not_send_no_record_may_contain() {
        let long = format!(r#"{{"order_id":"{}","product":"x","amount":1}}"#, "o".repeat(129));
        for (kind, json, field) in [
            (
                Kind::Payment,
                r#"{"payment_id":"x","status":"SUCCESS","amount":9}"#,
                "order_id",
            ),
            (
                Kind::Payment,
                r#"{"payment_id":"p","order_id":"o","amount":1,"method":"Cash","status":"PAID"}"#,
                "status",
            ),
            (
                Kind::Payment,
                r#"{"payment_id":"p","order_id":"o","amount":10000000000,"method":"Cash","status":"SUCCESS","currency":"EURO"}"#,
                "currency",
            ),
            (
                Kind::Payment,
                r#"{"payment_id":"p","order_id":"o","amount":99999999999999999999,"method":"Cash","status":"SUCCESS"}"#,
                "amount",
            ),
            (Kind::Order, r#"{"order_id":"o","amount":1}"#, "product"),
            (Kind::Order, &long, "order_id"),
            (
                Kind::Order,
                r#"{"order_id":"o","product":"x","amount":1,"timestamp":"tomorrow"}"#,
                "timestamp",
            ),
            (
                Kind::Order,
                r#"{"order_id":"o","product":"x","amount":1,"store":"Lyon 2"}"#,
                "store",
            ),
            (Kind::Order, "tombstone", "body"),
            (Kind::Order, "", "body"),
        ] {
            let error = checked(kind, json).expect_err(json);
            assert_eq!(error.field, field, "{json}: {error}");
        }
        let unnamed = check(
            Kind::Order,
            Some("x"),
            br#"{"order_id":"o","product":"x","amount":1}"#,
            0,
            Currency::EUR,
        );
        assert_eq!(unnamed.unwrap_err().field, "store");
        let huge = vec![b' '; MAX_JSON + 1];
        assert_eq!(
            check(Kind::Order, Some(ID), &huge, 0, Currency::EUR)
                .unwrap_err()
                .field,
            "body"
        );
    }
}
