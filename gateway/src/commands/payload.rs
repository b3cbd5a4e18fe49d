//! Encodes a command's payload for its till.

use std::borrow::Cow;

use comptoir_wire as wire;
use serde::Deserialize;

use comptoir_core::sale::Currency;
use comptoir_core::sale::money::{Amount, Money};
use comptoir_journal::Encoding;

/// A command that has a binary encoding, selected by its `type`.
///
/// Not a serde-tagged enum: serde would buffer numbers as floats and lose the exact digits of a price.
#[derive(Deserialize)]
struct CommandJson<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    currency: Option<Currency>,
    #[serde(default)]
    prices: Vec<PriceJson>,
    #[serde(borrow)]
    order_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    status: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct PriceJson {
    product: String,
    unit_price: Amount,
}

/// The payload in this device's encoding. A JSON device gets the JSON unchanged; so does a binary device if the command
/// has no binary encoding.
pub fn encode(json: &[u8], encoding: Encoding) -> Vec<u8> {
    let binary = match encoding {
        Encoding::Postcard { version } => {
            let command = serde_json::from_slice(json).ok();
            command.and_then(|command| encode_binary(&command, wire::Version::of(version)))
        }
        Encoding::Json => None,
    };
    binary.unwrap_or_else(|| json.to_vec())
}

fn encode_binary(json: &CommandJson<'_>, version: wire::Version) -> Option<Vec<u8>> {
    let mut buffer = vec![0; wire::MAX_FRAME];
    let mut prices = Vec::new();
    let command = match &*json.r#type {
        "message" => wire::Command::Message(wire::Message {
            text: json.text.as_deref()?,
        }),
        "price_list" => {
            let currency = json.currency?;
            for price in &json.prices {
                let money = Money::from_decimal(price.unit_price.0, currency).ok()?;
                prices.push(wire::Price {
                    product: &price.product,
                    unit_price: u64::try_from(money.minor()).ok()?,
                });
            }
            wire::Command::PriceList(wire::PriceList {
                currency: wire::Currency::parse(currency.code())?,
                prices: wire::Prices::from_slice(&prices),
            })
        }
        "order_status" => wire::Command::OrderStatus(wire::OrderStatusChange {
            order_id: json.order_id.as_deref()?,
            status: wire::OrderStatus::parse(json.status.as_deref()?)?,
        }),
        _ => return None,
    };
    command.encode_as(version, &mut buffer).map(<[u8]>::to_vec).ok()
}

#[cfg(test)]
mod tests {
    use super::super::DEFAULT_ENCODING;
    use super::*;

    #[test]
    fn a_binary_till_gets_its_own_encoding_and_a_json_device_gets_the_json() {
        let json = br#"{"type":"message","text":"Fermeture 19 h"}"#;
        assert_eq!(encode(json, Encoding::Json), json);
        let binary = encode(json, DEFAULT_ENCODING);
        let command = wire::Command::decode(&binary).unwrap();
        let text = "Fermeture 19 h";
        assert_eq!(command, wire::Command::Message(wire::Message { text }));
    }

    #[test]
    fn a_price_keeps_its_exact_decimal_value() {
        let json =
            br#"{"type":"price_list","currency":"EUR","prices":[{"product":"Pain","unit_price":1.05}]}"#;
        let binary = encode(json, DEFAULT_ENCODING);
        match wire::Command::decode(&binary).unwrap() {
            wire::Command::PriceList(list) => {
                let price = list.prices.iter().next().unwrap();
                assert_eq!((price.product, price.unit_price), ("Pain", 105));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_command_without_a_binary_encoding_is_passed_on_unchanged() {
        let json = br#"{"type":"reboot"}"#;
        assert_eq!(encode(json, DEFAULT_ENCODING), json);
    }
}
