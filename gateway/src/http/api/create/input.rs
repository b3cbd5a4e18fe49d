//! Parses and checks the body of a `POST`.
//!
//! The rules are stricter than for a till: the client of a `POST` can correct its request, but a till's sale has
//! already happened.

use comptoir_core::event::Kind;
use comptoir_core::sale::Quantity;
use comptoir_core::sale::draft::{self, Draft, FieldError};

/// The location fields that `GET` adds to an item. A `POST` may contain them, so that an item can be changed and sent
/// back, but they are ignored.
pub const LOCATION_FIELDS: [&str; 8] = [
    "ce_id",
    "origin",
    "confirmed",
    "row",
    "journal_offset",
    "partition",
    "offset",
    "corrections",
];

/// Deepest nesting of arrays and objects in a body. An event needs three levels: an object with an array of objects.
const MAX_DEPTH: usize = 8;

const EMPTY: &str = "must not be empty; write a text or leave the field out";

type Fields = serde_json::Map<String, serde_json::Value>;

/// Parses the body. An empty body, or `null`, is an empty draft.
///
/// # Errors
///
/// The body is not a JSON object, is nested too deeply, or a field is unknown or has the wrong type.
pub fn parse(kind: Kind, body: &[u8]) -> Result<Draft, FieldError> {
    let json = body.trim_ascii();
    if json.is_empty() || json == b"null" {
        return Ok(Draft::default());
    }
    if is_deeper_than(MAX_DEPTH, json) {
        let problem = format!(
            "arrays and objects are nested deeper than {MAX_DEPTH} levels; write an object of fields"
        );
        return Err(FieldError::new("body", problem));
    }
    reject_unknown_fields(kind, &draft::from_json(body)?)?;
    draft::from_json(body)
}

/// Whether arrays and objects are nested deeper than `levels`. Only counts brackets; the parser validates the rest.
fn is_deeper_than(levels: usize, json: &[u8]) -> bool {
    let (mut depth, mut is_text, mut is_escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_text,
            b'"' => is_text = !is_text,
            _ if is_text => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > levels {
            return true;
        }
    }
    false
}

/// Rejects unknown fields: a misspelt field would otherwise be replaced by an invented value.
fn reject_unknown_fields(kind: Kind, fields: &Fields) -> Result<(), FieldError> {
    const COMMON: [&str; 5] = ["order_id", "status", "timestamp", "store", "device"];
    const LINE: [&str; 6] = [
        "product",
        "quantity",
        "unit",
        "unit_price",
        "vat_rate",
        "discount",
    ];
    let own: &[&str] = match kind {
        Kind::Order => &[
            "customer_name",
            "customer_email",
            "product",
            "lines",
            "amount",
            "currency",
            "address",
        ],
        Kind::Payment => &["payment_id", "refund_of", "amount", "currency", "method"],
        Kind::Delivery => &["delivery_id", "address", "estimated_date"],
    };
    let unknown = |field: String| FieldError::new(field, "unknown field; correct its name or remove it");
    let is_known =
        |field: &str| COMMON.contains(&field) || own.contains(&field) || LOCATION_FIELDS.contains(&field);
    if let Some(field) = fields.keys().find(|field| !is_known(field)) {
        return Err(unknown(field.clone()));
    }
    let lines = fields.get("lines").and_then(serde_json::Value::as_array);
    for (index, line) in lines.into_iter().flatten().enumerate() {
        let mut fields = line.as_object().into_iter().flat_map(Fields::keys);
        if let Some(field) = fields.find(|field| !LINE.contains(&field.as_str())) {
            return Err(unknown(format!("lines[{index}].{field}")));
        }
    }
    Ok(())
}

/// Rejects a payment that would become a refund, and a refund that would move to another order. Rejects empty texts and lines without a quantity, unless they are
/// unchanged from the `previous` state: a till's sale may have them.
///
/// # Errors
///
/// Names the field.
pub fn check(draft: &Draft, previous: Option<&Draft>) -> Result<(), FieldError> {
    let none = Draft::default();
    let is_known = previous.is_some();
    let previous = previous.unwrap_or(&none);
    if is_known && draft.refund_of.is_some() && draft.refund_of != previous.refund_of {
        let problem = "cannot be changed; a refund is a payment of its own, with a `payment_id` of its own";
        return Err(FieldError::new("refund_of", problem));
    }
    let is_refund = previous.refund_of.is_some();
    if is_refund && draft.order_id.is_some() && draft.order_id != previous.order_id {
        // It would belong to another payment with the same id.
        return Err(FieldError::new("order_id", "a refund stays with its order"));
    }
    for (field, new, previous) in [
        ("customer_name", &draft.customer_name, &previous.customer_name),
        ("customer_email", &draft.customer_email, &previous.customer_email),
        ("product", &draft.product, &previous.product),
        ("address", &draft.address, &previous.address),
    ] {
        if new.as_deref() == Some("") && new != previous {
            return Err(FieldError::new(field, EMPTY));
        }
    }
    let lines = draft.lines.as_deref().filter(|_| draft.lines != previous.lines);
    for (index, line) in lines.unwrap_or_default().iter().enumerate() {
        if line.product.as_deref() == Some("") {
            return Err(FieldError::new(format!("lines[{index}].product"), EMPTY));
        }
        if line.quantity.is_some_and(Quantity::is_zero) {
            return Err(FieldError::new(
                format!("lines[{index}].quantity"),
                "must be more than 0",
            ));
        }
        if line.unit.as_deref() == Some("") {
            return Err(FieldError::new(format!("lines[{index}].unit"), EMPTY));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invalid_field(kind: Kind, json: &str, previous: Option<&str>) -> Option<String> {
        let previous = previous.map(|json| draft::from_json(json.as_bytes()).unwrap());
        let checked = parse(kind, json.as_bytes()).and_then(|draft| check(&draft, previous.as_ref()));
        checked.err().map(|error| error.field)
    }

    #[test]
    fn an_unknown_or_empty_field_is_named() {
        for (kind, json, field) in [
            (Kind::Order, r#"{"amuont":1}"#, "amuont"),
            (Kind::Payment, r#"{"address":"x"}"#, "address"),
            (Kind::Order, r#"{"customer_email":""}"#, "customer_email"),
            (Kind::Delivery, r#"{"address":""}"#, "address"),
            (
                Kind::Order,
                r#"{"lines":[{"product":"a"},{"product":"b","qty":3}]}"#,
                "lines[1].qty",
            ),
            (
                Kind::Order,
                r#"{"lines":[{"product":"a","quantity":0}]}"#,
                "lines[0].quantity",
            ),
            (Kind::Order, r#"{"lines":[{"product":""}]}"#, "lines[0].product"),
        ] {
            assert_eq!(invalid_field(kind, json, None).as_deref(), Some(field), "{json}");
        }
        for json in [
            "",
            " null ",
            "{}",
            r#"{"ce_id":"a/b/0/1","row":1,"address":null}"#,
        ] {
            assert_eq!(invalid_field(Kind::Order, json, None), None, "{json}");
        }
    }

    #[test]
    fn a_body_that_is_nested_too_deeply_is_refused_before_it_is_parsed() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(!is_deeper_than(8, nested(8).as_bytes()));
        assert!(is_deeper_than(8, nested(9).as_bytes()));
        assert!(is_deeper_than(8, "{\"a\":".repeat(60_000).as_bytes()));
        let text = format!(r#"{{"product":"{}\\\"{}"}}"#, "[".repeat(20), "{".repeat(20));
        assert!(!is_deeper_than(8, text.as_bytes()), "brackets in a text: {text}");
        let order = format!(r#"{{"order_id":"o-1","lines":{}}}"#, nested(30_000));
        assert_eq!(invalid_field(Kind::Order, &order, None).as_deref(), Some("body"));
    }

    #[test]
    fn a_payment_does_not_become_a_refund() {
        let refund = r#"{"payment_id":"p","refund_of":"q","amount":-1}"#;
        let field = |previous| invalid_field(Kind::Payment, refund, previous);
        assert_eq!(field(None), None);
        assert_eq!(field(Some(refund)), None);
        assert_eq!(
            field(Some(r#"{"payment_id":"p","amount":1}"#)).as_deref(),
            Some("refund_of")
        );
        assert_eq!(
            field(Some(r#"{"payment_id":"p","refund_of":"o","amount":-1}"#)).as_deref(),
            Some("refund_of")
        );
    }

    #[test]
    fn empty_fields_of_a_till_may_be_sent_back_unchanged() {
        let previous = r#"{"customer_name":"","lines":[{"product":"","quantity":0,"unit_price":1.50}]}"#;
        let same = r#"{"customer_name":"","lines":[{"product":"","quantity":0,"unit_price":1.5}],"status":"Completed"}"#;
        assert_eq!(invalid_field(Kind::Order, same, Some(previous)), None);
        let other = r#"{"lines":[{"product":"","quantity":0,"unit_price":2}]}"#;
        let field = invalid_field(Kind::Order, other, Some(previous));
        assert_eq!(field.as_deref(), Some("lines[0].product"));
    }
}
