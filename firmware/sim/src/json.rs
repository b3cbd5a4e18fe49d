//! The JSON encoding of events, for tills that do not speak postcard: the field names and values of the Kafka topics, amounts
//! as exact decimals (`12.50`), and times in RFC 3339.

use iso_currency::Currency;
use jiff::Timestamp;
use serde::ser::{Serialize, SerializeSeq, Serializer};
use serde_json::value::RawValue;

use comptoir_wire::{Ack, DecodeError, Event, Frame, Line, Lines, decode};

/// Why a frame cannot be converted to JSON, or a JSON ack cannot be decoded.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// The frame from the queue cannot be decoded.
    #[error("frame: {0}")]
    Frame(#[from] DecodeError),
    /// serde_json failed.
    #[error("JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// Appends the JSON of a postcard frame to `out`.
///
/// # Errors
/// The frame cannot be decoded.
pub fn write_event(frame: &[u8], out: &mut Vec<u8>) -> Result<(), JsonError> {
    let Frame { header, event } = decode(frame)?;
    let envelope = Envelope {
        epoch: header.epoch,
        seq: header.seq,
        oldest: header.oldest,
        timestamp: timestamp(header.time_ms),
    };
    match event {
        Event::Order(order) => {
            let digits = digits(order.currency.as_str());
            serde_json::to_writer(
                out,
                &JsonOrder {
                    envelope,
                    order_id: order.order_id,
                    customer_name: order.customer_name,
                    customer_email: order.customer_email,
                    product: order.product,
                    lines: JsonLines {
                        lines: order.lines,
                        digits,
                    },
                    amount: decimal(order.amount, digits)?,
                    currency: order.currency.as_str(),
                    status: order.status.as_str(),
                    address: order.address,
                },
            )?;
        }
        Event::Payment(payment) => serde_json::to_writer(
            out,
            &JsonPayment {
                envelope,
                payment_id: payment.payment_id,
                order_id: payment.order_id,
                amount: decimal(payment.amount, digits(payment.currency.as_str()))?,
                currency: payment.currency.as_str(),
                method: payment.method.as_str(),
                status: payment.status.as_str(),
            },
        )?,
        Event::Delivery(delivery) => serde_json::to_writer(
            out,
            &JsonDelivery {
                envelope,
                delivery_id: delivery.delivery_id,
                order_id: delivery.order_id,
                address: delivery.address,
                status: delivery.status.as_str(),
                estimated_date: delivery.estimated_date.to_string(),
            },
        )?,
    }
    Ok(())
}

/// Decodes a JSON ack.
///
/// # Errors
/// The payload is not an ack.
pub fn read_ack(payload: &[u8]) -> Result<Ack, JsonError> {
    #[derive(serde::Deserialize)]
    struct JsonAck {
        epoch: u32,
        seq: u32,
    }
    let JsonAck { epoch, seq } = serde_json::from_slice(payload)?;
    Ok(Ack { epoch, seq })
}

#[derive(serde::Serialize)]
struct Envelope {
    epoch: u32,
    seq: u32,
    oldest: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<String>,
}

#[derive(serde::Serialize)]
struct JsonOrder<'a> {
    #[serde(flatten)]
    envelope: Envelope,
    order_id: &'a str,
    customer_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer_email: Option<&'a str>,
    product: &'a str,
    lines: JsonLines<'a>,
    amount: Box<RawValue>,
    currency: &'a str,
    status: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<&'a str>,
}

#[derive(serde::Serialize)]
struct JsonPayment<'a> {
    #[serde(flatten)]
    envelope: Envelope,
    payment_id: &'a str,
    order_id: &'a str,
    amount: Box<RawValue>,
    currency: &'a str,
    method: &'a str,
    status: &'a str,
}

#[derive(serde::Serialize)]
struct JsonDelivery<'a> {
    #[serde(flatten)]
    envelope: Envelope,
    delivery_id: &'a str,
    order_id: &'a str,
    address: &'a str,
    status: &'a str,
    estimated_date: String,
}

struct JsonLines<'a> {
    lines: Lines<'a>,
    digits: usize,
}

#[derive(serde::Serialize)]
struct JsonLine<'a> {
    product: &'a str,
    quantity: u32,
    unit_price: Box<RawValue>,
}

impl Serialize for JsonLines<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut lines = serializer.serialize_seq(Some(self.lines.len()))?;
        for Line {
            product,
            quantity,
            unit_price,
        } in self.lines
        {
            let unit_price = decimal(unit_price, self.digits).map_err(serde::ser::Error::custom)?;
            lines.serialize_element(&JsonLine {
                product,
                quantity,
                unit_price,
            })?;
        }
        lines.end()
    }
}

/// Digits after the decimal point: 2 for EUR, 0 for JPY, 3 for TND.
fn digits(code: &str) -> usize {
    Currency::from_code(code)
        .and_then(Currency::exponent)
        .map_or(2, usize::from)
}

fn decimal(minor: u64, digits: usize) -> Result<Box<RawValue>, serde_json::Error> {
    let mut text = format!("{minor:0width$}", width = digits + 1);
    if digits > 0 {
        text.insert(text.len() - digits, '.');
    }
    RawValue::from_string(text)
}

fn timestamp(time_ms: u64) -> Option<String> {
    let time = i64::try_from(time_ms).ok().filter(|&ms| ms != 0)?;
    Some(format!("{:.3}", Timestamp::from_millisecond(time).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use comptoir_wire::{
        Header, MAX_FRAME, Order, OrderStatus, Payment, PaymentMethod, PaymentStatus, encode,
    };

    fn json(header: Header, event: Event<'_>) -> String {
        let mut buffer = [0; MAX_FRAME];
        let mut out = Vec::new();
        write_event(encode(&header, &event, &mut buffer).unwrap(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_payment_has_exact_decimals_and_a_time_in_rfc_3339() {
        let payment = Payment {
            payment_id: "p-1",
            order_id: "o-1",
            currency: comptoir_wire::Currency::EUR,
            amount: 5,
            method: PaymentMethod::DebitCard,
            status: PaymentStatus::Success,
        };
        let header = Header {
            epoch: 7,
            seq: 9,
            oldest: 5,
            time_ms: 1_500_000_000_001,
        };
        assert_eq!(
            json(header, Event::Payment(payment)),
            r#"{"epoch":7,"seq":9,"oldest":5,"timestamp":"2017-07-14T02:40:00.001Z","payment_id":"p-1","order_id":"o-1","amount":0.05,"currency":"EUR","method":"Debit Card","status":"SUCCESS"}"#
        );
    }

    #[test]
    fn an_order_in_a_currency_without_decimals_has_whole_amounts() {
        let lines = [Line {
            product: "Thé \"vert\"",
            quantity: 0,
            unit_price: 1250,
        }];
        let order = Order {
            order_id: "o-1",
            customer_name: "Zoé",
            customer_email: None,
            product: "Thé",
            currency: comptoir_wire::Currency::parse("JPY").unwrap(),
            amount: 1250,
            status: OrderStatus::Pending,
            address: None,
            lines: Lines::from_slice(&lines),
        };
        assert_eq!(
            json(
                Header {
                    epoch: 7,
                    seq: 9,
                    oldest: 5,
                    time_ms: 0
                },
                Event::Order(order)
            ),
            r#"{"epoch":7,"seq":9,"oldest":5,"order_id":"o-1","customer_name":"Zoé","product":"Thé","lines":[{"product":"Thé \"vert\"","quantity":0,"unit_price":1250}],"amount":1250,"currency":"JPY","status":"Pending"}"#
        );
    }

    #[test]
    fn an_ack_needs_both_numbers() {
        let ack = Ack { epoch: 1, seq: 2 };
        assert_eq!(read_ack(br#"{"epoch":1,"seq":2}"#).unwrap(), ack);
        assert!(read_ack(br#"{"epoch":1}"#).is_err());
    }
}
