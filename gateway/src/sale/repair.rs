//! Repairs a sale whose JSON is wrong in form only.
//!
//! A sale has happened, and must not be lost to a line break in an address or to a clock that was never set. Whatever
//! says the same in another form is rewritten here; only what [`super::draft`] has refused comes this way. What would
//! have to be guessed stays as it is, and the sale becomes a dead letter: an amount that is no number, an id with a
//! control character, a word that is no status.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{MAX_TEXT, is_rfc3339};
use crate::event::Kind;

/// The JSON without what some programs send around it: a byte order mark, white space, the end of a C string.
pub fn trimmed(json: &[u8]) -> &[u8] {
    let json = json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json).trim_ascii();
    let end = json
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    json[..end].trim_ascii_end()
}

/// The JSON with strings that can be read: half a surrogate pair, which programs of UTF-16 write where they cut a text,
/// becomes the replacement character, as bytes that are no UTF-8 do; a raw control character becomes its escape.
pub fn readable(json: &[u8]) -> String {
    with_valid_strings(&String::from_utf8_lossy(json))
}

/// The same sale in the form that [`super::draft`] takes, as far as that can be had without guessing. `None` if it is no
/// JSON object.
pub fn repaired(kind: Kind, json: &[u8]) -> Option<Vec<u8>> {
    let mut fields: Fields = serde_json::from_str(&readable(json)).ok()?;
    for (name, value) in &mut fields.0 {
        let repaired = match name.as_str() {
            "order_id" | "payment_id" | "delivery_id" => id(value)?,
            "customer_name" | "customer_email" | "product" | "address" => words(value),
            "currency" => currency(value),
            "status" => word(value, statuses(kind)),
            "method" => word(
                value,
                &["Credit Card", "Debit Card", "PayPal", "Bank Transfer", "Cash"],
            ),
            "timestamp" => time(value),
            "lines" => lines(value),
            _ => None,
        };
        if let Some(repaired) = repaired {
            *value = repaired;
        }
    }
    serde_json::to_vec(&fields).ok()
}

/// A text on one line, without other control characters, and not too long.
pub fn tidy(text: &str) -> Cow<'_, str> {
    // UTF-8 of the control characters beyond ASCII, and of the line separators, begins with these bytes.
    let suspicious = |byte: u8| byte < 0x20 || matches!(byte, 0x7f | 0xc2 | 0xe2);
    let is_long = text.len() > MAX_TEXT && text.chars().nth(MAX_TEXT).is_some();
    if !is_long && !text.bytes().any(suspicious) {
        return Cow::Borrowed(text);
    }
    let is_break = |c: char| {
        matches!(
            c,
            '\t' | '\n' | '\u{b}' | '\u{c}' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}'
        )
    };
    let mut line = String::with_capacity(text.len());
    for c in text.trim_matches(is_break).chars() {
        if is_break(c) {
            if !line.ends_with(' ') {
                line.push(' ');
            }
        } else if !c.is_control() {
            line.push(c);
        }
    }
    if let Some((end, _)) = line.char_indices().nth(MAX_TEXT) {
        let last = line[..end].char_indices().next_back().map_or(0, |(last, _)| last);
        line.truncate(last);
        line.push('…');
    }
    Cow::Owned(line)
}

type Raw = Box<RawValue>;

/// An object's fields as they stand, also those that are there twice: which of them is meant is not guessed.
struct Fields(Vec<(String, Raw)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Visit)
    }
}

impl serde::Serialize for Fields {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

fn raw(value: &impl serde::Serialize) -> Option<Raw> {
    serde_json::value::to_raw_value(value).ok()
}

fn string(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

fn is_number(text: &str) -> bool {
    text.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        && serde_json::from_str::<&RawValue>(text).is_ok()
}

/// A whole number is the same id as its digits. The outer `None`: which id is meant cannot be known, for a character of it
/// was lost.
#[allow(
    clippy::option_option,
    reason = "the whole sale cannot be repaired, or this field needs no repair"
)]
fn id(value: &RawValue) -> Option<Option<Raw>> {
    match string(value) {
        Some(id) if id.contains(char::REPLACEMENT_CHARACTER) => None,
        Some(_) => Some(None),
        None if value.get().bytes().all(|byte| byte.is_ascii_digit()) => Some(raw(&value.get())),
        None => Some(None),
    }
}

fn words(value: &RawValue) -> Option<Raw> {
    match string(value) {
        Some(text) => raw(&tidy(&text)),
        None if is_number(value.get()) => raw(&value.get()),
        None => None,
    }
}

fn currency(value: &RawValue) -> Option<Raw> {
    match string(value)?.trim() {
        "" => raw(&()),
        code => raw(&code.to_ascii_uppercase()),
    }
}

fn statuses(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Order => &["Pending", "Processing", "Completed", "Cancelled"],
        Kind::Payment => &["SUCCESS", "FAILED"],
        Kind::Delivery => &["Pending", "In Transit", "Delivered"],
    }
}

/// The same word in other letters: `cash`, `CREDIT_CARD`, `in transit`.
fn word(value: &RawValue, words: &[&str]) -> Option<Raw> {
    let letters = |word: &str| -> String {
        let letters = word.chars().filter(|c| !matches!(c, ' ' | '_' | '-'));
        letters.map(|c| c.to_ascii_lowercase()).collect()
    };
    let said = letters(string(value)?.trim());
    let word = words.iter().find(|word| letters(word) == said)?;
    raw(word)
}

/// A time that cannot be read or written by others is none: the gateway then says when the sale came.
fn time(value: &RawValue) -> Option<Raw> {
    let time = string(value).and_then(|text| text.trim().parse::<Timestamp>().ok());
    match time.filter(|time| is_rfc3339(*time)) {
        Some(time) => raw(&time),
        None => raw(&()),
    }
}

fn lines(value: &RawValue) -> Option<Raw> {
    let mut lines: Vec<Fields> = serde_json::from_str(value.get()).ok()?;
    for (name, value) in lines.iter_mut().flat_map(|line| &mut line.0) {
        if name == "product"
            && let Some(repaired) = words(value)
        {
            *value = repaired;
        }
    }
    raw(&lines)
}

fn with_valid_strings(json: &str) -> String {
    let mut valid = String::with_capacity(json.len());
    let (mut rest, mut quoted) = (json, false);
    while let Some(c) = rest.chars().next() {
        let length = match (quoted, c) {
            (true, '\\') => {
                let (escape, length) = escape(rest);
                valid.push_str(escape);
                length
            }
            (true, c) if c < ' ' => {
                valid.push_str(&format!("\\u{:04x}", u32::from(c)));
                1
            }
            _ => {
                quoted ^= c == '"';
                valid.push(c);
                c.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    valid
}

/// What the escape at the beginning of the text is to be, and how long it is there.
fn escape(text: &str) -> (&str, usize) {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    match (unit(0), unit(6)) {
        (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (&text[..12], 12),
        (Some(0xd800..=0xdfff), _) => ("\\ufffd", 6),
        _ => {
            let length = text.chars().take(2).map(char::len_utf8).sum();
            (&text[..length], length)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::draft::{self, Draft};
    use super::super::{Currency, Event};
    use super::*;
    use crate::event::DeviceId;

    /// The sale that the JSON is after its repair, as others get it.
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
    fn texts_of_several_lines_and_other_forms_of_the_same_are_kept() {
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
    fn a_text_that_is_too_long_is_cut_and_says_so() {
        let long = "é".repeat(MAX_TEXT + 1);
        let kept = order("address", &format!("\"{long}\"")).unwrap();
        let kept = kept.as_str().unwrap();
        assert_eq!(kept.chars().count(), MAX_TEXT);
        assert!(kept.ends_with("é…"));
        let whole = "é".repeat(MAX_TEXT);
        assert_eq!(order("address", &format!("\"{whole}\"")), Some(whole.into()));
    }

    #[test]
    fn money_and_identity_are_never_guessed() {
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
            ("lines", r#"[{"product":"Pain","quantity":0.5,"unit_price":1}]"#),
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
    fn what_stands_around_the_json_is_not_looked_at() {
        let around = b"\xef\xbb\xbf \r\n{\"order_id\":\"o\",\"product\":\"x\",\"amount\":1}\n\0\0";
        assert!(sale(Kind::Order, around).is_some());
        assert_eq!(trimmed(b"\0\0"), b"");
    }

    proptest! {
        #[test]
        fn any_text_is_made_one_line_of_the_same_words(text in any::<String>()) {
            let line = tidy(&text);
            prop_assert!(!line.chars().any(char::is_control));
            prop_assert!(line.chars().count() <= MAX_TEXT);
            prop_assert_eq!(tidy(&line), line.clone());
            let letters = |text: &str| -> String { text.chars().filter(|c| c.is_alphanumeric()).take(400).collect() };
            prop_assert_eq!(letters(&line), letters(&text));
        }

        #[test]
        fn any_bytes_are_repaired_or_left(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = repaired(Kind::Order, &bytes);
            let quoted = format!("{{\"product\":\"{}\"}}", String::from_utf8_lossy(&bytes));
            let _ = repaired(Kind::Order, quoted.as_bytes());
        }

        #[test]
        fn an_exact_sale_stays_what_it_is(name in r"[^\p{C}\p{Zl}\p{Zp}]{0,40}", cents in 0u64..10_000_000) {
            let amount = format!("{}.{:02}", cents / 100, cents % 100);
            let json = format!(r#"{{"order_id":"o","product":"x","amount":{amount},"customer_name":{}}}"#, json!(name));
            let draft = |json: &[u8]| draft::from_json::<Draft>(json).unwrap().complete(Kind::Order, Currency::EUR).unwrap();
            prop_assert_eq!(draft(&repaired(Kind::Order, json.as_bytes()).unwrap()), draft(json.as_bytes()));
        }
    }
}
