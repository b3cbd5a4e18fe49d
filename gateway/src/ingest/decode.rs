//! From the bytes of a publish to a [`Submission`]. The terminals' wire types end here.
//!
//! What is wrong in form only is repaired ([`repair`]). Whatever cannot be decoded becomes a dead letter: the bytes whole,
//! with the reason. Where its number can still be read, it is filed under that number, so that its terminal is not asked
//! for it for ever.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Deserialize;

use comptoir_wire::topic::{Leaf, Topic};
use comptoir_wire::{self as wire};

use crate::event::{DeviceId, GATEWAY_EPOCH, Kind, UNKNOWN_DEVICE};
use crate::journal::{Discipline, Encoding, EntryKind, Numbering, Payload, Submission};
use crate::sale::draft::{self, Draft, FieldError};
use crate::sale::{
    Currency, Delivery, DeliveryStatus, Event, Line, Money, Order, OrderStatus, Payment, PaymentMethod,
    PaymentStatus, repair,
};

/// Largest JSON document that is parsed; a longer one is a dead letter.
const MAX_JSON: usize = 256 << 10;
/// The last instant that RFC 3339 can write, Unix ms: 9999-12-30T22:00:00Z, as [`Timestamp::MAX`].
const MAX_TIME: u64 = 253_402_207_200_000;

/// What decoding needs to know of the shop.
#[derive(Debug, Clone)]
pub struct Decoder {
    /// Files what comes on a topic that names no device.
    pub store: String,
    /// Of an amount that names no currency.
    pub currency: Currency,
}

/// An event, decoded, and who numbered it.
struct Decoded<'a> {
    numbering: Option<Numbered>,
    timestamp: Timestamp,
    event: Event<'a>,
}

#[derive(Clone, Copy)]
struct Numbered {
    epoch: u32,
    seq: u32,
    oldest: u32,
}

impl Decoder {
    /// Never fails: see the module. `now` stamps what comes without a time.
    pub fn decode(&self, topic: &[u8], payload: &[u8], now: Timestamp) -> Submission {
        let topic = String::from_utf8_lossy(topic);
        let (device, kind) = match address(&topic) {
            Ok(address) => address,
            Err(reason) => {
                return self.dead_letter(None, &topic, payload, now, reason.to_string(), None);
            }
        };
        let (decoded, number, encoding) = match payload.first() {
            Some(b'{') => {
                let (decoded, number) = self.json(&device, kind, payload, now);
                (decoded, number, Encoding::Json)
            }
            // No version of the wire format is a line break or a tab; other programs put them before their JSON.
            Some(b'\t' | b'\n' | b'\r' | b' ' | 0xef) if repair::trimmed(payload).first() == Some(&b'{') => {
                let (decoded, number) = self.json(&device, kind, repair::trimmed(payload), now);
                (decoded, number, Encoding::Json)
            }
            Some(version) if *version < 0x20 => (
                postcard(kind, payload, now),
                wire::peek_header(payload).ok().map(|header| Numbered {
                    epoch: header.epoch,
                    seq: header.seq,
                    oldest: header.oldest,
                }),
                Encoding::Postcard {
                    version: wire::Version::of(*version).byte(),
                },
            ),
            _ => (
                Err("neither JSON (its first byte is '{') nor postcard (below 0x20)".to_owned()),
                None,
                Encoding::Json,
            ),
        };
        match decoded {
            Ok(decoded) => Submission {
                key: decoded.event.order_id().into(),
                payload: Payload::Json(decoded.event.to_json(decoded.timestamp, &device)),
                kind: EntryKind::Event(kind),
                numbering: match decoded.numbering {
                    Some(number) => number.by(encoding, &topic, payload),
                    None => by_content(&topic, payload),
                },
                encoding: Some(encoding),
                time: decoded.timestamp.as_millisecond(),
                reason: None,
                device,
            },
            Err(reason) => {
                let numbering = number.map(|number| number.by(encoding, &topic, payload));
                // Bytes without a number that can be read say nothing about their device: its acks and commands stay in the
                // encoding that it has, and nobody waits for an ack of these.
                let encoding = numbering.is_some().then_some(encoding);
                self.dead_letter(Some((device, encoding)), &topic, payload, now, reason, numbering)
            }
        }
    }

    fn dead_letter(
        &self,
        sender: Option<(DeviceId, Option<Encoding>)>,
        topic: &str,
        payload: &[u8],
        now: Timestamp,
        reason: String,
        numbering: Option<Numbering>,
    ) -> Submission {
        let (device, encoding) = match sender {
            Some((device, encoding)) => (Some(device), encoding),
            None => (None, None),
        };
        Submission {
            // Both are names: the configuration checks the store.
            device: device.unwrap_or_else(|| {
                DeviceId::new(&self.store, UNKNOWN_DEVICE)
                    .unwrap_or_else(|error| unreachable!("the store's name was checked: {error}"))
            }),
            encoding,
            numbering: numbering.unwrap_or_else(|| by_content(topic, payload)),
            kind: EntryKind::DeadLetter,
            time: now.as_millisecond(),
            key: topic.into(),
            payload: Payload::Bytes(payload.into()),
            reason: Some(reason.into()),
        }
    }

    /// The event, and the number as far as it can be read even if the rest cannot.
    fn json(
        &self,
        device: &DeviceId,
        kind: Kind,
        payload: &[u8],
        now: Timestamp,
    ) -> (Result<Decoded<'static>, String>, Option<Numbered>) {
        if payload.len() > MAX_JSON {
            let reason = format!("{} bytes of JSON, at most {MAX_JSON}", payload.len());
            return (Err(reason), None);
        }
        let numbering = draft::from_json::<Number>(payload)
            .or_else(|error| {
                let readable = repair::readable(repair::trimmed(payload));
                draft::from_json(readable.as_bytes()).map_err(|_| error)
            })
            .and_then(Number::check);
        let known = numbering.as_ref().ok().copied().flatten();
        let decoded = numbering.and_then(|numbering| {
            let exact = self.event(device, kind, payload);
            let (timestamp, event) = exact.or_else(|error| {
                let repaired =
                    repair::repaired(kind, repair::trimmed(payload)).ok_or_else(|| error.clone())?;
                // The reason is about what came, not about what was made of it.
                self.event(device, kind, &repaired).map_err(|_| error)
            })?;
            Ok(Decoded {
                numbering,
                timestamp: timestamp.unwrap_or(now),
                event,
            })
        });
        (decoded.map_err(|error| error.to_string()), known)
    }

    fn event(
        &self,
        device: &DeviceId,
        kind: Kind,
        json: &[u8],
    ) -> Result<(Option<Timestamp>, Event<'static>), FieldError> {
        let draft: Draft = draft::from_json(json)?;
        same("store", draft.store.as_deref(), device.store())?;
        same("device", draft.device.as_deref(), device.device())?;
        Ok((draft.timestamp, draft.complete(kind, self.currency)?))
    }
}

impl Numbered {
    fn by(self, encoding: Encoding, topic: &str, payload: &[u8]) -> Numbering {
        let (discipline, digest) = match encoding {
            Encoding::Postcard { .. } => (Discipline::InOrder, None),
            Encoding::Json => (Discipline::AnyOrder, Some(digest(topic, payload))),
        };
        Numbering::Terminal {
            epoch: self.epoch,
            seq: self.seq,
            oldest: self.oldest,
            discipline,
            digest,
        }
    }
}

/// How a JSON device numbers, if it does.
#[derive(Deserialize)]
struct Number {
    epoch: Option<u32>,
    seq: Option<u32>,
    oldest: Option<u32>,
}

impl Number {
    fn check(self) -> Result<Option<Numbered>, FieldError> {
        let Some(seq) = self.seq else {
            return Ok(None);
        };
        let epoch = self
            .epoch
            .ok_or_else(|| FieldError::new("epoch", "missing: a seq counts within an epoch"))?;
        if epoch == GATEWAY_EPOCH {
            return Err(FieldError::new("epoch", "0 is the gateway's own"));
        }
        if seq == 0 {
            return Err(FieldError::new("seq", "counts from 1"));
        }
        let oldest = self.oldest.unwrap_or(0);
        if oldest > seq {
            return Err(FieldError::new("oldest", "must not be above seq"));
        }
        Ok(Some(Numbered { epoch, seq, oldest }))
    }
}

/// Of what a numbered JSON event says, in whatever form. `oldest` is left out: it changes from one delivery to the next.
/// Kept in the journal, so it must stay the same from version to version.
fn digest(topic: &str, payload: &[u8]) -> i64 {
    let payload = repair::trimmed(payload);
    let mut fields: BTreeMap<String, serde_json::Value> = serde_json::from_slice(payload)
        .or_else(|_| serde_json::from_str(&repair::readable(payload)))
        .unwrap_or_else(|_| BTreeMap::from([(String::new(), String::from_utf8_lossy(payload).into())]));
    fields.retain(|name, _| !matches!(name.as_str(), "epoch" | "seq" | "oldest"));
    let mut hasher = blake3::Hasher::new();
    hasher.update(topic.as_bytes());
    hasher.update(&[0]);
    hasher.update(serde_json::json!(fields).to_string().as_bytes());
    let mut digest = [0; 8];
    hasher.finalize_xof().fill(&mut digest);
    i64::from_be_bytes(digest)
}

/// Same topic and same bytes are the same event.
fn by_content(topic: &str, payload: &[u8]) -> Numbering {
    let mut hasher = blake3::Hasher::new();
    // The topic's length first, so that no topic and payload run into another pair.
    hasher.update(&(topic.len() as u64).to_be_bytes());
    hasher.update(topic.as_bytes());
    hasher.update(payload);
    let mut fingerprint = [0; 16];
    hasher.finalize_xof().fill(&mut fingerprint);
    Numbering::Gateway {
        fingerprint: Some(fingerprint),
    }
}

fn same(field: &str, said: Option<&str>, topic: &str) -> Result<(), FieldError> {
    match said {
        Some(said) if said != topic => Err(FieldError::new(
            field,
            format!("{:.64?}, but the topic says {topic:?}", said),
        )),
        _ => Ok(()),
    }
}

fn address(topic: &str) -> Result<(DeviceId, Kind), String> {
    let parsed = Topic::parse(topic).map_err(|error| error.to_string())?;
    let Leaf::Event(kind) = parsed.leaf else {
        return Err("topic: not one that events come on".to_owned());
    };
    let device = DeviceId::new(parsed.store.as_str(), parsed.device.as_str())
        .map_err(|error| format!("topic: {error}"))?;
    Ok((device, kind.into()))
}

fn postcard(kind: Kind, payload: &[u8], now: Timestamp) -> Result<Decoded<'_>, String> {
    let frame = wire::decode(payload).map_err(|error| error.to_string())?;
    let sent = Kind::from(frame.event.kind());
    if sent != kind {
        let (sent, on) = (sent.topic(), kind.topic());
        return Err(format!("event: one of {sent} on the topic of {on}"));
    }
    let header = frame.header;
    // No clock, or one that is off by millennia: the sale is kept, with the gateway's time.
    let timestamp = match header.time_ms {
        0 => now,
        time => i64::try_from(time.min(MAX_TIME + 1))
            .ok()
            .filter(|time| *time <= MAX_TIME as i64)
            .and_then(|time| Timestamp::from_millisecond(time).ok())
            .unwrap_or(now),
    };
    Ok(Decoded {
        numbering: Some(Numbered {
            epoch: header.epoch,
            seq: header.seq,
            oldest: header.oldest,
        }),
        timestamp,
        event: event(&frame.event).map_err(|error| error.to_string())?,
    })
}

fn event<'a>(event: &wire::Event<'a>) -> Result<Event<'a>, FieldError> {
    Ok(match event {
        wire::Event::Order(order) => {
            let currency = currency(&order.currency)?;
            Event::Order(Order {
                order_id: order.order_id.into(),
                customer_name: repair::tidy(order.customer_name),
                customer_email: order.customer_email.map(repair::tidy),
                product: repair::tidy(order.product),
                lines: order
                    .lines
                    .iter()
                    .map(|line| {
                        Ok(Line {
                            product: repair::tidy(line.product),
                            quantity: line.quantity,
                            unit_price: money("lines.unit_price", line.unit_price, currency)?,
                        })
                    })
                    .collect::<Result<_, FieldError>>()?,
                amount: money("amount", order.amount, currency)?,
                status: match order.status {
                    wire::OrderStatus::Pending => OrderStatus::Pending,
                    wire::OrderStatus::Processing => OrderStatus::Processing,
                    wire::OrderStatus::Completed => OrderStatus::Completed,
                    wire::OrderStatus::Cancelled => OrderStatus::Cancelled,
                },
                address: order.address.map(repair::tidy),
            })
        }
        wire::Event::Payment(payment) => Event::Payment(Payment {
            payment_id: payment.payment_id.into(),
            order_id: payment.order_id.into(),
            amount: money("amount", payment.amount, currency(&payment.currency)?)?,
            method: match payment.method {
                wire::PaymentMethod::CreditCard => PaymentMethod::CreditCard,
                wire::PaymentMethod::DebitCard => PaymentMethod::DebitCard,
                wire::PaymentMethod::PayPal => PaymentMethod::PayPal,
                wire::PaymentMethod::BankTransfer => PaymentMethod::BankTransfer,
                wire::PaymentMethod::Cash => PaymentMethod::Cash,
            },
            status: match payment.status {
                wire::PaymentStatus::Success => PaymentStatus::Success,
                wire::PaymentStatus::Failed => PaymentStatus::Failed,
            },
        }),
        wire::Event::Delivery(delivery) => Event::Delivery(Delivery {
            delivery_id: delivery.delivery_id.into(),
            order_id: delivery.order_id.into(),
            address: repair::tidy(delivery.address),
            status: match delivery.status {
                wire::DeliveryStatus::Pending => DeliveryStatus::Pending,
                wire::DeliveryStatus::InTransit => DeliveryStatus::InTransit,
                wire::DeliveryStatus::Delivered => DeliveryStatus::Delivered,
            },
            estimated_date: date(delivery.estimated_date)?,
        }),
    })
}

fn currency(code: &wire::Currency) -> Result<Currency, FieldError> {
    code.as_str()
        .parse()
        .map_err(|error| FieldError::new("currency", error))
}

fn money(field: &str, minor: u64, currency: Currency) -> Result<Money, FieldError> {
    Money::from_minor(minor, currency).map_err(|error| FieldError::new(field, error))
}

fn date(date: wire::Date) -> Result<Date, FieldError> {
    let part = |number: u8| number as i8;
    i16::try_from(date.year())
        .ok()
        .and_then(|year| Date::new(year, part(date.month()), part(date.day())).ok())
        .ok_or_else(|| FieldError::new("estimated_date", "no day of the calendar"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoder() -> Decoder {
        Decoder {
            store: "paris-1".to_owned(),
            currency: Currency::EUR,
        }
    }

    fn decode(topic: &str, payload: &[u8]) -> Submission {
        decoder().decode(topic.as_bytes(), payload, Timestamp::UNIX_EPOCH)
    }

    fn reason(topic: &str, payload: &[u8]) -> String {
        let submission = decode(topic, payload);
        assert_eq!(submission.kind, EntryKind::DeadLetter);
        assert_eq!(&*submission.payload, payload, "kept whole");
        assert_eq!(&*submission.key, topic);
        submission.reason.unwrap().into()
    }

    const TOPIC: &str = "pos/paris-1/till-9/payments";
    const PAYMENT: &str =
        r#""payment_id":"p-1","order_id":"o-1","amount":12.50,"method":"Cash","status":"SUCCESS"}"#;

    #[test]
    fn a_plain_device_is_numbered_by_the_gateway() {
        let json = format!("{{{PAYMENT}");
        let one = decode(TOPIC, json.as_bytes());
        assert_eq!(one.kind, EntryKind::Event(Kind::Payment));
        assert_eq!(&*one.key, "o-1");
        assert_eq!(one.numbering, decode(TOPIC, json.as_bytes()).numbering);
        let other = decode("pos/paris-1/till-8/payments", json.as_bytes());
        assert_ne!(one.numbering, other.numbering);
    }

    #[test]
    fn a_number_is_kept_even_where_the_event_is_not() {
        let numbered = |json: String| decode(TOPIC, json.as_bytes());
        let good = numbered(format!(r#"{{"epoch":7,"seq":3,{PAYMENT}"#));
        let bad = numbered(r#"{"epoch":7,"seq":3,"payment_id":"p-1"}"#.to_owned());
        assert_eq!(bad.kind, EntryKind::DeadLetter);
        let number = |submission: &Submission| match submission.numbering {
            Numbering::Terminal { epoch, seq, .. } => (epoch, seq),
            numbering => panic!("{numbering:?}"),
        };
        assert_eq!((number(&bad), number(&good)), ((7, 3), (7, 3)));
    }

    #[test]
    fn what_is_wrong_in_form_only_is_repaired_and_keeps_its_number() {
        let json = format!("\u{feff}\r\n{{\"epoch\":7,\"seq\":3,\"oldest\":2,\"timestamp\":\"\",{PAYMENT}\0");
        let json = json.replace("\"Cash\"", "\"cash\"");
        let submission = decode(TOPIC, json.as_bytes());
        assert_eq!(submission.kind, EntryKind::Event(Kind::Payment), "{submission:?}");
        assert!(matches!(
            submission.numbering,
            Numbering::Terminal {
                epoch: 7,
                seq: 3,
                oldest: 2,
                ..
            }
        ));
        assert_eq!(submission.time, 0, "the gateway's time");
    }

    #[test]
    fn a_digest_is_of_what_is_said_and_not_of_how() {
        let digest = |json: String| match decode(TOPIC, json.as_bytes()).numbering {
            Numbering::Terminal { digest, .. } => digest.unwrap(),
            numbering => panic!("{numbering:?}"),
        };
        let first = digest(format!(r#"{{"epoch":7,"seq":3,{PAYMENT}"#));
        assert_eq!(
            first,
            digest(format!(r#"{{ "seq":3, "oldest":3, "epoch":7,{PAYMENT}"#))
        );
        let other = PAYMENT.replace("12.50", "12.51");
        assert_ne!(first, digest(format!(r#"{{"epoch":7,"seq":3,{other}"#)));
        assert_eq!(
            first, 8_115_621_318_465_398_441,
            "it is kept in journals: it must not change"
        );
    }

    #[test]
    fn a_binary_tills_texts_are_made_one_line() {
        let mut buffer = [0; 512];
        let header = wire::Header {
            epoch: 1,
            seq: 1,
            oldest: 1,
            time_ms: 1,
        };
        let event = wire::Event::Delivery(wire::Delivery {
            delivery_id: "d",
            order_id: "o",
            address: "1 rue du Four\n75006\tParis",
            status: wire::DeliveryStatus::Pending,
            estimated_date: wire::Date::new(2026, 11, 22).unwrap(),
        });
        let payload = wire::encode(&header, &event, &mut buffer).unwrap();
        let submission = decode("pos/paris-1/till-9/deliveries", payload);
        assert!(
            submission.payload.json().contains("1 rue du Four 75006 Paris"),
            "{submission:?}"
        );
    }

    #[test]
    fn the_events_time_and_its_entrys_are_the_same() {
        for (sent, kept) in [
            ("2026-11-22T10:00:00.123999Z", "2026-11-22T10:00:00.123Z"),
            ("2026-11-22T12:00:00.5+02:00", "2026-11-22T10:00:00.5Z"),
        ] {
            let json = format!(r#"{{"timestamp":"{sent}",{PAYMENT}"#);
            let submission = decode(TOPIC, json.as_bytes());
            let time = Timestamp::from_millisecond(submission.time).unwrap();
            assert_eq!(time, kept.parse().unwrap());
            let event: serde_json::Value = serde_json::from_slice(&submission.payload).unwrap();
            assert_eq!(event["timestamp"], time.to_string());
        }
    }

    #[test]
    fn a_dead_letter_says_why() {
        for (topic, payload, word) in [
            (TOPIC, &b""[..], "neither"),
            (TOPIC, b"hello", "neither"),
            (TOPIC, b"\x1f\x01\x01", "version"),
            (TOPIC, b"\x01\x01", "seq"),
            (
                TOPIC,
                b"{\"payment_id\":\"\xff\xfe\"}",
                "payment_id: invalid unicode",
            ),
            (TOPIC, b"{\"seq\":1}", "epoch: missing"),
            (TOPIC, b"{\"epoch\":0,\"seq\":1}", "epoch: 0"),
            (TOPIC, b"{\"epoch\":1,\"seq\":0}", "seq"),
            (TOPIC, b"{\"store\":\"lyon\"}", "store"),
            ("pos/PARIS/till-9/payments", b"{}", "topic"),
            ("pos/paris-1/till-9/ack", b"{}", "topic"),
        ] {
            let reason = reason(topic, payload);
            assert!(reason.contains(word), "{topic} {payload:?}: {reason}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_kept(
            topic in "pos/[a-zA-Z0-9-]{0,5}/till/(orders|payments|x)",
            payload in prop::collection::vec(any::<u8>(), 0..300),
            first in prop::sample::select(vec![b'{', 1, 2, 0x7f]),
        ) {
            let mut payload = payload;
            payload.insert(0, first);
            let submission = decode(&topic, &payload);
            if submission.kind == EntryKind::DeadLetter {
                prop_assert_eq!(&*submission.payload, &payload[..]);
                prop_assert!(submission.reason.is_some());
            }
        }

        #[test]
        fn any_time_is_taken(time in any::<u64>()) {
            let mut buffer = [0; 256];
            let header = wire::Header { epoch: 1, seq: 1, oldest: 1, time_ms: time };
            let event = wire::Event::Payment(wire::Payment {
                payment_id: "p", order_id: "o", currency: wire::Currency::EUR, amount: 1,
                method: wire::PaymentMethod::Cash, status: wire::PaymentStatus::Success,
            });
            let payload = wire::encode(&header, &event, &mut buffer).unwrap();
            prop_assert_eq!(decode(TOPIC, payload).kind, EntryKind::Event(Kind::Payment));
        }
    }
}
