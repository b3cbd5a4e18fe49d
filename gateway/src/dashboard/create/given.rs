//! What is given, looked at more closely than what comes from a till: whoever posts can be told, and a till's sale
//! has happened.

use crate::event::Kind;
use crate::sale::draft::{self, Draft, FieldError};

/// Where an event is, as `GET` says it. It is not taken from a `POST`, but may stand in one: whoever changes what `GET`
/// gave need not take it out.
pub const WHEREABOUTS: [&str; 7] = [
    "ce_id",
    "origin",
    "confirmed",
    "row",
    "journal_offset",
    "partition",
    "offset",
];

type Fields = serde_json::Map<String, serde_json::Value>;

/// Reads the body; an empty one gives nothing.
pub fn read(kind: Kind, body: &[u8]) -> Result<Draft, FieldError> {
    let said = body.trim_ascii();
    if said.is_empty() || said == b"null" {
        return Ok(Draft::default());
    }
    refuse_unknown(kind, &draft::from_json(body)?)?;
    draft::from_json(body)
}

/// A field that is misspelt would be invented instead, and nobody would see why.
fn refuse_unknown(kind: Kind, fields: &Fields) -> Result<(), FieldError> {
    const COMMON: [&str; 5] = ["order_id", "status", "timestamp", "store", "device"];
    const LINE: [&str; 3] = ["product", "quantity", "unit_price"];
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
        Kind::Payment => &["payment_id", "amount", "currency", "method"],
        Kind::Delivery => &["delivery_id", "address", "estimated_date"],
    };
    let unknown = |field: String| FieldError::new(field, "not a field of this");
    let of_this =
        |field: &str| COMMON.contains(&field) || own.contains(&field) || WHEREABOUTS.contains(&field);
    if let Some(field) = fields.keys().find(|field| !of_this(field)) {
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

/// Refuses empty texts and lines of nothing, which a till's sale may have; unless that is how the thing is `known`.
pub fn check(draft: &Draft, known: Option<&Draft>) -> Result<(), FieldError> {
    let unknown = Draft::default();
    let known = known.unwrap_or(&unknown);
    for (field, given, known) in [
        ("customer_name", &draft.customer_name, &known.customer_name),
        ("customer_email", &draft.customer_email, &known.customer_email),
        ("product", &draft.product, &known.product),
        ("address", &draft.address, &known.address),
    ] {
        if given.as_deref() == Some("") && given != known {
            return Err(FieldError::new(field, "empty"));
        }
    }
    let lines = draft.lines.as_deref().filter(|_| draft.lines != known.lines);
    for (index, line) in lines.unwrap_or_default().iter().enumerate() {
        if line.product.as_deref() == Some("") {
            return Err(FieldError::new(format!("lines[{index}].product"), "empty"));
        }
        if line.quantity == Some(0) {
            return Err(FieldError::new(format!("lines[{index}].quantity"), "at least 1"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(kind: Kind, given: &str, known: Option<&str>) -> Option<String> {
        let known = known.map(|json| draft::from_json(json.as_bytes()).unwrap());
        let given = read(kind, given.as_bytes()).and_then(|draft| check(&draft, known.as_ref()));
        given.err().map(|error| error.field)
    }

    #[test]
    fn what_would_be_dropped_or_says_nothing_is_named() {
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
            assert_eq!(wrong(kind, json, None).as_deref(), Some(field), "{json}");
        }
        for json in [
            "",
            " null ",
            "{}",
            r#"{"ce_id":"a/b/0/1","row":1,"address":null}"#,
        ] {
            assert_eq!(wrong(Kind::Order, json, None), None, "{json}");
        }
    }

    #[test]
    fn what_a_till_has_sent_may_be_given_back() {
        let known = r#"{"customer_name":"","lines":[{"product":"","quantity":0,"unit_price":1.50}]}"#;
        let same = r#"{"customer_name":"","lines":[{"product":"","quantity":0,"unit_price":1.5}],"status":"Completed"}"#;
        assert_eq!(wrong(Kind::Order, same, Some(known)), None);
        let other = r#"{"lines":[{"product":"","quantity":0,"unit_price":2}]}"#;
        let field = wrong(Kind::Order, other, Some(known));
        assert_eq!(field.as_deref(), Some("lines[0].product"));
    }
}
