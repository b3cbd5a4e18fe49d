//! Repairs a sale whose JSON is wrong only in form.
//!
//! A sale has already happened and must not be lost to a line break in an address or to a clock that was never set.
//! This module rewrites values into an equivalent valid form. It only sees sales that [`super::draft`] has rejected. A
//! value whose meaning would have to be guessed stays as it is, and the sale becomes a dead letter: for example an
//! amount that is not a number, an id with a control character, or an unknown status.

mod fields;
mod text;

use crate::event::Kind;
pub use text::{readable, tidy};

/// The JSON without bytes that some programs send around it: a byte order mark, white space, or the NUL at the end of a
/// C string.
pub fn trimmed(json: &[u8]) -> &[u8] {
    let json = json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json).trim_ascii();
    let end = json
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    json[..end].trim_ascii_end()
}

/// The same sale in the form that [`super::draft`] accepts, as far as possible without guessing. `None` if `json` is
/// not a JSON object, or if an id in it has lost a character.
pub fn repaired(kind: Kind, json: &[u8]) -> Option<Vec<u8>> {
    fields::repaired(kind, &readable(json))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::draft::{self, Draft};
    use super::super::{Currency, Event, MAX_TEXT};
    use super::*;
    use crate::event::DeviceId;
    use jiff::Timestamp;

    /// The JSON of the sale after repairing `json`.
    fn sale(kind: Kind, json: &[u8]) -> Option<Value> {
        let repaired = repaired(kind, trimmed(json))?;
        let draft: Draft = draft::from_json(&repaired).ok()?;
        let time = draft.timestamp.unwrap_or(Timestamp::UNIX_EPOCH);
        let event: Event<'_> = draft.complete(kind, Currency::EUR).ok()?;
        let device = DeviceId::new("paris-1", "till-9").unwrap();
        serde_json::from_str(&event.to_json(time, &device)).ok()
    }

    fn order(field: &str, value: &str) -> Option<Value> {
        let mut order = json!({"order_id": "o", "product": "Pain", "amount": 1}).to_string();
        order.truncate(order.len() - 1);
        let first = format!("\"{field}\":");
        let order = match order.find(&first) {
            Some(at) => {
                let end = order[at..].find(',').map_or(order.len(), |end| at + end);
                format!("{}{first}{value}{}", &order[..at], &order[end..])
            }
            None => format!("{order},{first}{value}"),
        };
        sale(Kind::Order, format!("{order}}}").as_bytes()).map(|sale| sale[field].clone())
    }

    #[test]
    fn a_value_in_another_form_is_rewritten() {
        for (field, sent, kept) in [
            (
                "address",
                r#""1 rue du Four\r\n75006 Paris""#,
                json!("1 rue du Four 75006 Paris"),
            ),
            (
                "address",
                "\"1 rue du Four\n75006 Paris\"",
                json!("1 rue du Four 75006 Paris"),
            ),
            ("product", r#""Pain\tde mie\u0000""#, json!("Pain de mie")),
            (
                "customer_name",
                r#""A\u2028B\u0085C\u009fD\u007f""#,
                json!("A B CD"),
            ),
            ("customer_name", r#""\ud83d""#, json!("\u{fffd}")),
            (
                "customer_name",
                r#""\ud83d\ude00 \udc00!""#,
                json!("😀 \u{fffd}!"),
            ),
            ("product", r#""\\ud83d\n""#, json!("\\ud83d")),
            ("product", "42", json!("42")),
            ("order_id", "1001", json!("1001")),
            ("currency", r#"" eur ""#, json!("EUR")),
            ("currency", r#""""#, json!("EUR")),
            ("status", r#""COMPLETED""#, json!("Completed")),
            ("timestamp", r#""soon""#, json!("1970-01-01T00:00:00Z")),
            ("timestamp", "1763805600", json!("1970-01-01T00:00:00Z")),
            (
                "timestamp",
                r#""9999-12-31T23:59:59Z""#,
                json!("1970-01-01T00:00:00Z"),
            ),
            (
                "timestamp",
                r#""-000001-01-01T00:00:00Z""#,
                json!("1970-01-01T00:00:00Z"),
            ),
            (
                "timestamp",
                r#""0000-01-01T00:00:00+01:00""#,
                json!("1970-01-01T00:00:00Z"),
            ),
            (
                "timestamp",
                r#""0000-01-01T00:00:00Z""#,
                json!("0000-01-01T00:00:00Z"),
            ),
            (
                "timestamp",
                r#""9999-12-30T21:59:59.999z""#,
                json!("9999-12-30T21:59:59.999Z"),
            ),
            (
                "timestamp",
                r#""2016-12-31t23:59:60z""#,
                json!("2016-12-31T23:59:59Z"),
            ),
            (
                "timestamp",
                r#"" 2026-11-22 12:00:00+02:00""#,
                json!("2026-11-22T10:00:00Z"),
            ),
        ] {
            assert_eq!(order(field, sent), Some(kept), "{field} {sent}");
        }
        let lines = r#"[{"product":"Pain\n","quantity":2,"unit_price":1.10}]"#;
        let kept = json!([{"product": "Pain", "quantity": 2, "unit_price": 1.10}]);
        assert_eq!(order("lines", lines), Some(kept));
        let payment =
            br#"{"payment_id":7,"order_id":8,"amount":1,"method":"CREDIT_CARD","status":"success"}"#;
        let payment = sale(Kind::Payment, payment).unwrap();
        assert_eq!(
            (&payment["method"], &payment["status"]),
            (&json!("Credit Card"), &json!("SUCCESS"))
        );
    }

    #[test]
    fn a_text_that_is_too_long_is_cut_and_ends_with_an_ellipsis() {
        let long = "é".repeat(MAX_TEXT + 1);
        let kept = order("address", &format!("\"{long}\"")).unwrap();
        let kept = kept.as_str().unwrap();
        assert_eq!(kept.chars().count(), MAX_TEXT);
        assert!(kept.ends_with("é…"));
        let whole = "é".repeat(MAX_TEXT);
        assert_eq!(order("address", &format!("\"{whole}\"")), Some(whole.into()));
    }

    #[test]
    fn amounts_and_ids_are_never_guessed() {
        for (field, sent) in [
            ("amount", r#""12.50""#),
            ("amount", r#""12,50""#),
            ("amount", r#""€12.50""#),
            ("amount", r#""1 000""#),
            ("amount", r#""0x10""#),
            ("amount", "-1"),
            ("amount", "1.001"),
            ("amount", r#""1.001""#),
            ("amount", "null"),
            ("amount", "1,\"amount\":2"),
            ("currency", r#""EURO""#),
            ("order_id", r#""a\u0000b""#),
            ("order_id", "\"a\nb\""),
            ("order_id", r#""a\ud800""#),
            ("order_id", "1.5"),
            ("order_id", "-1"),
            ("order_id", r#""""#),
            ("status", r#""Paid""#),
            ("lines", r#"[{"product":"Pain","quantity":-0.5,"unit_price":1}]"#),
            ("lines", r#"[{"product":"Remise","unit_price":-1}]"#),
        ] {
            assert_eq!(order(field, sent), None, "{field} {sent}");
        }
        assert_eq!(
            sale(
                Kind::Order,
                b"{\"order_id\":\"caf\xe9\",\"product\":\"x\",\"amount\":1}"
            ),
            None
        );
        let latin = sale(
            Kind::Order,
            b"{\"order_id\":\"o\",\"product\":\"caf\xe9\",\"amount\":1}",
        )
        .unwrap();
        assert_eq!(latin["product"], "caf\u{fffd}");
    }

    #[test]
    fn bytes_around_the_json_are_ignored() {
        let around = b"\xef\xbb\xbf \r\n{\"order_id\":\"o\",\"product\":\"x\",\"amount\":1}\n\0\0";
        assert!(sale(Kind::Order, around).is_some());
        assert_eq!(trimmed(b"\0\0"), b"");
    }

    proptest! {
        #[test]
        fn any_text_becomes_one_line_with_the_same_words(text in any::<String>()) {
            let line = tidy(&text);
            prop_assert!(!line.chars().any(char::is_control));
            prop_assert!(line.chars().count() <= MAX_TEXT);
            prop_assert_eq!(tidy(&line), line.clone());
            let letters = |text: &str| -> String { text.chars().filter(|c| c.is_alphanumeric()).take(400).collect() };
            prop_assert_eq!(letters(&line), letters(&text));
        }

        #[test]
        fn any_bytes_are_repaired_or_left_alone(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = repaired(Kind::Order, &bytes);
            let quoted = format!("{{\"product\":\"{}\"}}", String::from_utf8_lossy(&bytes));
            let _ = repaired(Kind::Order, quoted.as_bytes());
        }

        #[test]
        fn a_valid_sale_is_not_changed(name in r"[^\p{C}\p{Zl}\p{Zp}]{0,40}", cents in 0u64..10_000_000) {
            let amount = format!("{}.{:02}", cents / 100, cents % 100);
            let json = format!(r#"{{"order_id":"o","product":"x","amount":{amount},"customer_name":{}}}"#, json!(name));
            let draft = |json: &[u8]| draft::from_json::<Draft>(json).unwrap().complete(Kind::Order, Currency::EUR).unwrap();
            prop_assert_eq!(draft(&repaired(Kind::Order, json.as_bytes()).unwrap()), draft(json.as_bytes()));
        }
    }
}
