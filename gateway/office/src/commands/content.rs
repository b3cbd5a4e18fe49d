//! Validates a command and its target. Tills have little memory, so everything has the limits of the wire format.

use std::collections::HashSet;
use std::fmt;

use comptoir_core::command::{MAX_ID, MAX_MESSAGE, MAX_PRICES, MAX_PRODUCT};
use comptoir_core::event::DeviceId;
use comptoir_core::sale::money::Amount;
use comptoir_core::sale::{Currency, Money};
use serde::{Deserialize, Serialize};

/// All shops. No shop can have this name.
const ALL: &str = "*";
/// Of an order.
const STATUSES: [&str; 4] = ["Pending", "Processing", "Completed", "Cancelled"];
const EXAMPLE: &str = r#"{"to": "paris-1", "command": {"type": "message", "text": "Fermeture à 19 h"}}"#;

/// A field that is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {detail}")]
pub struct FieldError {
    /// Its path: `command.prices[3].unit_price`.
    pub field: String,
    /// What is accepted, with an example.
    pub detail: String,
}

fn wrong(field: impl Into<String>, detail: impl Into<String>) -> FieldError {
    FieldError {
        field: field.into(),
        detail: detail.into(),
    }
}

/// Who receives a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// All shops that the office has heard of.
    All,
    /// All tills of a shop.
    Shop(String),
    Till(DeviceId),
}

impl Target {
    fn parse(text: &str) -> Result<Self, FieldError> {
        if text == ALL {
            return Ok(Self::All);
        }
        let parsed = match text.contains('/') {
            true => text.parse().map(Self::Till),
            false => DeviceId::gateway(text).map(|device| Self::Shop(device.store().to_owned())),
        };
        parsed.map_err(|error| {
            let detail =
                format!("{error}; write paris-1/till-3 for a till, paris-1 for a shop, * for all shops");
            wrong("to", detail)
        })
    }

    /// `None`: all shops.
    pub fn store(&self) -> Option<&str> {
        match self {
            Self::All => None,
            Self::Shop(store) => Some(store),
            Self::Till(device) => Some(device.store()),
        }
    }
}

/// `*`, `paris-1` or `paris-1/till-3`.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str(ALL),
            Self::Shop(store) => f.write_str(store),
            Self::Till(device) => device.fmt(f),
        }
    }
}

/// The key of the record for one shop, given the target as it is stored.
pub fn record_key<'a>(target: &'a str, store: &'a str) -> &'a str {
    match target {
        ALL => store,
        target => target,
    }
}

/// A valid command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCommand {
    pub target: Target,
    /// `message`, `price_list` or `order_status`.
    pub kind: &'static str,
    /// The record's value.
    pub value: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestJson {
    to: String,
    command: CommandJson,
}

/// Not a serde-tagged enum: serde would buffer numbers as floats and lose the exact digits of a price.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CommandJson {
    r#type: String,
    text: Option<String>,
    currency: Option<String>,
    prices: Option<Vec<PriceJson>>,
    order_id: Option<String>,
    status: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceJson {
    product: String,
    unit_price: Amount,
}

/// The record's value. The gateway's interface describes it.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Payload<'a> {
    Message {
        text: &'a str,
    },
    PriceList {
        currency: Currency,
        prices: Vec<Price<'a>>,
    },
    OrderStatus {
        order_id: &'a str,
        status: &'a str,
    },
}

#[derive(Serialize)]
struct Price<'a> {
    product: &'a str,
    unit_price: Money,
}

/// Reads the body of a request.
///
/// # Errors
/// Names the first invalid field, with an example.
pub fn parse(body: &[u8]) -> Result<NewCommand, FieldError> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let request: RequestJson = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { String::new() } else { path };
        wrong(field, format!("{}; for example {EXAMPLE}", error.inner()))
    })?;
    json.end()
        .map_err(|error| wrong("", format!("{error}; for example {EXAMPLE}")))?;
    let target = Target::parse(&request.to)?;
    let (kind, payload) = payload(&request.command)?;
    if kind == "order_status" && target == Target::All {
        let detail = "an order is of one shop: write its name, for example paris-1";
        return Err(wrong("to", detail));
    }
    // Cannot fail: strings and exact numbers.
    let value = serde_json::to_string(&payload).unwrap_or_default();
    Ok(NewCommand { target, kind, value })
}

fn payload(command: &CommandJson) -> Result<(&'static str, Payload<'_>), FieldError> {
    let given = [
        ("text", command.text.is_some()),
        ("currency", command.currency.is_some()),
        ("prices", command.prices.is_some()),
        ("order_id", command.order_id.is_some()),
        ("status", command.status.is_some()),
    ];
    let (kind, fields): (_, &[&str]) = match &*command.r#type {
        "message" => ("message", &["text"]),
        "price_list" => ("price_list", &["currency", "prices"]),
        "order_status" => ("order_status", &["order_id", "status"]),
        _ => {
            let detail = "one of message, price_list and order_status";
            return Err(wrong("command.type", detail));
        }
    };
    for (field, is_given) in given {
        match (fields.contains(&field), is_given) {
            (true, false) => {
                let detail = format!("missing; a {kind} has {}", fields.join(" and "));
                return Err(wrong(format!("command.{field}"), detail));
            }
            (false, true) => {
                let detail = format!("a {kind} has no such field, only {}", fields.join(" and "));
                return Err(wrong(format!("command.{field}"), detail));
            }
            _ => {}
        }
    }
    let payload = match kind {
        "message" => Payload::Message {
            text: text("command.text", command.text.as_deref(), MAX_MESSAGE)?,
        },
        "price_list" => price_list(command)?,
        _ => Payload::OrderStatus {
            order_id: text("command.order_id", command.order_id.as_deref(), MAX_ID)?,
            status: status(command.status.as_deref())?,
        },
    };
    Ok((kind, payload))
}

fn price_list(command: &CommandJson) -> Result<Payload<'_>, FieldError> {
    let code = command.currency.as_deref().unwrap_or_default();
    let currency = code
        .parse::<Currency>()
        .map_err(|error| wrong("command.currency", format!("{error}; for example EUR")))?;
    let given = command.prices.as_deref().unwrap_or_default();
    if !(1..=MAX_PRICES).contains(&given.len()) {
        let detail = format!("from 1 to {} prices, not {}", MAX_PRICES, given.len());
        return Err(wrong("command.prices", detail));
    }
    let (mut prices, mut names) = (Vec::new(), HashSet::new());
    for (index, price) in given.iter().enumerate() {
        let field = |name: &str| format!("command.prices[{index}].{name}");
        let product = text(&field("product"), Some(&price.product), MAX_PRODUCT)?;
        if !names.insert(product) {
            return Err(wrong(field("product"), "the list has this product already"));
        }
        let unit_price = Money::from_decimal(price.unit_price.0, currency).map_err(|error| {
            wrong(
                field("unit_price"),
                format!("{error}; for example {}", Money::sum(105, currency)),
            )
        })?;
        prices.push(Price { product, unit_price });
    }
    Ok(Payload::PriceList { currency, prices })
}

/// A text that a till can show: not empty, without control characters, and at most `max` bytes.
fn text<'a>(field: &str, given: Option<&'a str>, max: usize) -> Result<&'a str, FieldError> {
    let text = given.unwrap_or_default();
    if text.trim().is_empty() {
        return Err(wrong(field, "empty; write at least one character"));
    }
    if text.len() > max {
        let detail = format!("{} bytes of UTF-8; at most {max}", text.len());
        return Err(wrong(field, detail));
    }
    if text.chars().any(char::is_control) {
        return Err(wrong(
            field,
            "line breaks and other control characters are not allowed",
        ));
    }
    Ok(text)
}

fn status(given: Option<&str>) -> Result<&str, FieldError> {
    let known = given.filter(|word| STATUSES.contains(word));
    known.ok_or_else(|| {
        wrong(
            "command.status",
            "one of Pending, Processing, Completed and Cancelled",
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse_json(to: &str, command: Value) -> Result<NewCommand, FieldError> {
        parse(json!({"to": to, "command": command}).to_string().as_bytes())
    }

    #[test]
    fn the_value_is_the_payload_of_the_gateways_interface() {
        let message = parse_json("*", json!({"type": "message", "text": "Fermeture à 19 h"})).unwrap();
        assert_eq!((message.target, message.kind), (Target::All, "message"));
        assert_eq!(message.value, r#"{"type":"message","text":"Fermeture à 19 h"}"#);
        let body = br#"{"to":"paris-1","command":{"type":"price_list","currency":"EUR","prices":[
            {"product":"Pain","unit_price":1.1},{"product":"Lait","unit_price":9007199254.01}]}}"#;
        let prices = parse(body).unwrap();
        assert_eq!(prices.target.store(), Some("paris-1"));
        assert_eq!(
            prices.value,
            r#"{"type":"price_list","currency":"EUR","prices":[{"product":"Pain","unit_price":1.10},{"product":"Lait","unit_price":9007199254.01}]}"#
        );
        let status = parse_json(
            "paris-1/till-3",
            json!({"type": "order_status", "order_id": "o-1", "status": "Completed"}),
        );
        assert_eq!(status.unwrap().target.to_string(), "paris-1/till-3");
    }

    #[test]
    fn an_invalid_field_is_named_by_its_path() {
        let price = |product: &str, unit_price: Value| json!({"product": product, "unit_price": unit_price});
        let list = |prices: Vec<Value>| json!({"type": "price_list", "currency": "EUR", "prices": prices});
        let many = (0..=MAX_PRICES).map(|n| price(&format!("p-{n}"), json!(1)));
        for (to, command, field) in [
            ("Paris", json!({"type": "message", "text": "a"}), "to"),
            ("paris-1/", json!({"type": "message", "text": "a"}), "to"),
            (
                "*",
                json!({"type": "order_status", "order_id": "o", "status": "Pending"}),
                "to",
            ),
            ("*", json!({"type": "reboot"}), "command.type"),
            ("*", json!({"type": 1}), "command.type"),
            ("*", json!({"type": "message"}), "command.text"),
            (
                "*",
                json!({"type": "message", "text": "a", "status": "Pending"}),
                "command.status",
            ),
            ("*", json!({"type": "message", "text": " "}), "command.text"),
            ("*", json!({"type": "message", "text": "a\nb"}), "command.text"),
            (
                "*",
                json!({"type": "message", "text": "é".repeat(129)}),
                "command.text",
            ),
            (
                "*",
                json!({"type": "price_list", "currency": "EURO", "prices": []}),
                "command.currency",
            ),
            ("*", list(Vec::new()), "command.prices"),
            ("*", list(many.collect()), "command.prices"),
            (
                "*",
                list(vec![price("a", json!(1)), price("a", json!(2))]),
                "command.prices[1].product",
            ),
            (
                "*",
                list(vec![price(&"a".repeat(65), json!(1))]),
                "command.prices[0].product",
            ),
            (
                "*",
                list(vec![price("a", json!(1)), price("b", json!(1.005))]),
                "command.prices[1].unit_price",
            ),
            (
                "*",
                list(vec![price("a", json!(-1))]),
                "command.prices[0].unit_price",
            ),
            (
                "*",
                list(vec![price("a", json!("1"))]),
                "command.prices[0].unit_price",
            ),
            (
                "p",
                json!({"type": "order_status", "order_id": "o", "status": "Done"}),
                "command.status",
            ),
        ] {
            let error = parse_json(to, command.clone()).unwrap_err();
            assert_eq!(error.field, field, "{to} {command}: {error}");
        }
        for body in [
            "",
            "[]",
            "{}",
            r#"{"to":"*"}"#,
            r#"{"to":"*","command":{"type":"message","text":"a"}} x"#,
        ] {
            parse(body.as_bytes()).unwrap_err();
        }
    }
}
