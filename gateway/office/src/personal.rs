//! Hides personal data from roles that may not see it: the customers' e-mail and other addresses.

use std::fmt;

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::value::{RawValue, to_raw_value};

/// The personal fields of an order or a delivery, as in the gateway.
const PERSONAL: [&str; 2] = ["customer_email", "address"];

/// The object with `null` in its personal fields. Numbers are not parsed, so that they stay exact.
pub fn without_personal_data(value: &RawValue) -> Box<RawValue> {
    let mut reader = serde_json::Deserializer::from_str(value.get());
    let redacted = reader
        .deserialize_map(Fields)
        .and_then(|fields| to_raw_value(&Redacted(fields)));
    // A sale is always an object. Anything else could contain personal data, so nothing of it is shown.
    redacted.unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// Reads an object's fields in order, including duplicates.
struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(fields)
    }
}

struct Redacted<'a>(Vec<(String, &'a RawValue)>);

impl Serialize for Redacted<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            match PERSONAL.contains(&name.as_str()) {
                true => map.serialize_entry(name, &())?,
                false => map.serialize_entry(name, value)?,
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden(json: &str) -> String {
        let value = RawValue::from_string(json.to_owned()).unwrap();
        without_personal_data(&value).get().to_owned()
    }

    #[test]
    fn personal_fields_are_null_and_everything_else_is_unchanged() {
        let order = r#"{"order_id":"o-1","customer_email":"a@b.example","amount":12.50,"\u0061ddress":"Rue 1","address":"Rue 2","lines":[{"unit_price":1.10}]}"#;
        let expected = r#"{"order_id":"o-1","customer_email":null,"amount":12.50,"address":null,"address":null,"lines":[{"unit_price":1.10}]}"#;
        assert_eq!(hidden(order), expected);
        assert_eq!(hidden(r#""a@b.example""#), "null");
    }
}
