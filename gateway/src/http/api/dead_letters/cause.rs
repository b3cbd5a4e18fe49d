//! The typed cause of a dead letter, derived from the reason that the journal stores.
//!
//! The journal stores only the reason, as worded by the gateway version that received the message. This module
//! recognises the wording of every version, so that old rows have a cause too; no other code parses reasons. A reworded
//! reason needs a new case here; a test decodes real messages to detect a missing one.

use crate::http::api::dto::DeadLetterCause;

/// The cause, and the path of the invalid field if the reason names one.
pub fn cause_of(reason: &str) -> (DeadLetterCause, Option<&str>) {
    use DeadLetterCause as Cause;
    let cause = match subject(reason) {
        Some("topic") => Cause::UnknownTopic,
        Some("event") if reason.contains("on the topic of") => Cause::WrongTopic,
        Some("event") => Cause::MalformedFrame,
        Some("body") => Cause::NotJson,
        Some("frame") => Cause::TooLarge,
        Some(field) => return (Cause::InvalidField, Some(field)),
        None if reason.contains("format version") => Cause::UnknownVersion,
        None if reason.contains("bytes of JSON") => Cause::TooLarge,
        None if reason.contains("after the frame's end") => Cause::MalformedFrame,
        None if reason.contains("neither JSON") || reason == "empty payload" => Cause::UnknownFormat,
        None => Cause::Other,
    };
    (cause, None)
}

/// The part before the colon, if it looks like a field path: `lines[2].unit_price`.
fn subject(reason: &str) -> Option<&str> {
    let (path, _) = reason.split_once(": ")?;
    let is_path = path
        .bytes()
        .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'[' | b']'));
    (is_path && path.starts_with(|first: char| first.is_ascii_lowercase())).then_some(path)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::ingest::decode::Decoder;
    use DeadLetterCause as Cause;
    use comptoir_core::sale::Currency;

    fn decoded(topic: &str, payload: &[u8]) -> String {
        let decoder = Decoder {
            store: "paris-1".to_owned(),
            currency: Currency::EUR,
        };
        let submission = decoder.decode(topic.as_bytes(), payload, Timestamp::UNIX_EPOCH);
        submission.reason.expect("a dead letter").into()
    }

    #[test]
    fn every_reason_that_the_decoder_gives_has_a_cause() {
        let large = format!("{{\"order_id\":\"{}\"}}", "x".repeat(256 << 10));
        let mut large_frame = vec![1; 21 << 10];
        large_frame[0] = 1;
        for (topic, payload, cause, field) in [
            ("pos/PARIS/till-9/payments", &b"{}"[..], Cause::UnknownTopic, None),
            ("pos/paris-1/till-9/ack", b"{}", Cause::UnknownTopic, None),
            ("shop/paris-1", b"{}", Cause::UnknownTopic, None),
            ("pos/paris-1/till-9/payments", b"", Cause::UnknownFormat, None),
            (
                "pos/paris-1/till-9/payments",
                b"hello",
                Cause::UnknownFormat,
                None,
            ),
            (
                "pos/paris-1/till-9/payments",
                b"\x1f\x01\x01",
                Cause::UnknownVersion,
                None,
            ),
            (
                "pos/paris-1/till-9/orders",
                large.as_bytes(),
                Cause::TooLarge,
                None,
            ),
            (
                "pos/paris-1/till-9/orders",
                &large_frame[..],
                Cause::TooLarge,
                None,
            ),
            (
                "pos/paris-1/till-9/orders",
                b"{\"order_id\"",
                Cause::NotJson,
                None,
            ),
            ("pos/paris-1/till-9/orders", b"{} {}", Cause::NotJson, None),
            (
                "pos/paris-1/till-9/orders",
                b"\x01\x01\x01\x01\x00\x09",
                Cause::MalformedFrame,
                None,
            ),
            (
                "pos/paris-1/till-9/payments",
                b"{\"seq\":1}",
                Cause::InvalidField,
                Some("epoch"),
            ),
            (
                "pos/paris-1/till-9/payments",
                b"\x01\x01",
                Cause::InvalidField,
                Some("seq"),
            ),
            (
                "pos/paris-1/till-9/orders",
                br#"{"order_id":"o","amount":1,"lines":[{"product":"a"}]}"#,
                Cause::InvalidField,
                Some("lines[0].unit_price"),
            ),
        ] {
            let reason = decoded(topic, payload);
            assert_eq!(cause_of(&reason), (cause, field), "{reason}");
        }
    }

    #[test]
    fn an_event_on_the_topic_of_another_kind_has_a_cause() {
        let mut buffer = [0; 256];
        let header = comptoir_wire::Header {
            epoch: 1,
            seq: 1,
            oldest: 1,
            time_ms: 1,
        };
        let payment = comptoir_wire::Event::Payment(comptoir_wire::Payment {
            payment_id: "p",
            order_id: "o",
            currency: comptoir_wire::Currency::EUR,
            amount: 1,
            method: comptoir_wire::PaymentMethod::Cash,
            status: comptoir_wire::PaymentStatus::Success,
        });
        let frame = comptoir_wire::encode(&header, &payment, &mut buffer).unwrap();
        let reason = decoded("pos/paris-1/till-9/orders", frame);
        assert_eq!(cause_of(&reason), (Cause::WrongTopic, None), "{reason}");
        let longer = [frame, &[0]].concat();
        let reason = decoded("pos/paris-1/till-9/payments", &longer);
        assert_eq!(cause_of(&reason), (Cause::MalformedFrame, None), "{reason}");
    }

    /// Existing journals contain these reasons, so they must stay recognisable.
    #[test]
    fn the_reasons_of_earlier_versions_have_a_cause() {
        for (reason, cause) in [
            (
                "neither JSON (its first byte is '{') nor postcard (below 0x20)",
                Cause::UnknownFormat,
            ),
            ("format version 31, known are 1 to 1", Cause::UnknownVersion),
            ("300000 bytes of JSON, at most 262144", Cause::TooLarge),
            ("frame: 21000 bytes, at most 20480", Cause::TooLarge),
            ("topic: does not begin with pos/", Cause::UnknownTopic),
            ("event: one of payments on the topic of orders", Cause::WrongTopic),
            ("3 bytes after the frame's end", Cause::MalformedFrame),
            ("as this test wants it", Cause::Other),
            ("", Cause::Other),
        ] {
            assert_eq!(cause_of(reason), (cause, None), "{reason}");
        }
        assert_eq!(
            cause_of("store: \"lyon\", but the topic says \"paris-1\""),
            (Cause::InvalidField, Some("store"))
        );
    }
}
