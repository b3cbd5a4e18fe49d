//! Tests of the decoder with publishes of every kind.

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
    assert_eq!(&*submission.payload, payload);
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
fn a_dead_letter_keeps_its_number_where_the_number_is_readable() {
    let numbered = |json: String| decode(TOPIC, json.as_bytes());
    let good = numbered(format!(r#"{{"epoch":7,"seq":3,{PAYMENT}"#));
    let bad = numbered(r#"{"epoch":7,"seq":3,"payment_id":"p-1"}"#.to_owned());
    assert_eq!(bad.kind, EntryKind::DeadLetter);
    let number = |submission: &Submission| match submission.numbering {
        Numbering::Till { epoch, seq, .. } => (epoch, seq),
        numbering => panic!("{numbering:?}"),
    };
    assert_eq!((number(&bad), number(&good)), ((7, 3), (7, 3)));
}

#[test]
fn json_with_repairable_mistakes_is_repaired_and_keeps_its_number() {
    let json = format!("\u{feff}\r\n{{\"epoch\":7,\"seq\":3,\"oldest\":2,\"timestamp\":\"\",{PAYMENT}\0");
    let json = json.replace("\"Cash\"", "\"cash\"");
    let submission = decode(TOPIC, json.as_bytes());
    assert_eq!(submission.kind, EntryKind::Event(Kind::Payment), "{submission:?}");
    assert!(matches!(
        submission.numbering,
        Numbering::Till {
            epoch: 7,
            seq: 3,
            oldest: 2,
            ..
        }
    ));
    assert_eq!(submission.time, 0, "the gateway's time");
}

#[test]
fn the_digest_depends_on_the_fields_and_not_on_their_form() {
    let digest = |json: String| match decode(TOPIC, json.as_bytes()).numbering {
        Numbering::Till { digest, .. } => digest.unwrap(),
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
        "journals contain it, so it must not change"
    );
}

#[test]
fn line_breaks_in_a_binary_tills_texts_become_spaces() {
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
fn an_events_timestamp_is_its_entrys_time_to_the_millisecond() {
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
fn a_dead_letter_gives_the_reason() {
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
    fn any_bytes_become_an_event_or_a_dead_letter_with_these_bytes(
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
    fn an_event_with_any_time_is_accepted(time in any::<u64>()) {
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
