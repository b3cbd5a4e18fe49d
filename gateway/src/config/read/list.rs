//! Lists written as a single string, which environment variables require.

use std::net::Ipv6Addr;

use serde::Deserialize;

/// The text without its surrounding quotation marks, if there are any.
pub(super) fn unquoted(text: &str) -> &str {
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    inner.unwrap_or(text)
}

/// The items of a list in one string: `a,b`, JSON (`["a","b"]`), or `[a,b]`. Skips empty items.
///
/// # Errors
/// The text begins like JSON but is not. The message continues the sentence after the value.
pub fn list(text: &str) -> Result<Vec<String>, &'static str> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Item {
        Text(String),
        Number(serde_json::Number),
    }
    // Quotation marks around the whole list come from a file of variables and are not part of the list.
    let inner = |text| Some(unquoted(text)).filter(|inner: &&str| !inner.contains('"'));
    let text = inner(text.trim()).unwrap_or(text.trim());
    if text.starts_with('[') {
        if let Ok(items) = serde_json::from_str::<Vec<Item>>(text) {
            let text = |item| match item {
                Item::Text(text) => text,
                Item::Number(number) => number.to_string(),
            };
            return Ok(items.into_iter().map(text).collect());
        }
        if text.contains('"') {
            return Err("is not a list; write a,b or JSON");
        }
    }
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    // IPv6 addresses have brackets too: neither `[::1]:9092,[::2]:9092` nor `[::1]` is a list in brackets.
    let inner = inner.filter(|inner| !inner.contains(['[', ']']) && inner.parse::<Ipv6Addr>().is_err());
    let items = inner.unwrap_or(text).split(',');
    let items = items.map(|item| unquoted(item.trim()).to_owned());
    Ok(items.filter(|item| !item.is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_may_be_separated_by_commas_or_written_as_json() {
        for (text, items) in [
            ("paris-1", vec!["paris-1"]),
            ("a,b", vec!["a", "b"]),
            (" a , b, ", vec!["a", "b"]),
            (",,a,,", vec!["a"]),
            ("", vec![]),
            (" ", vec![]),
            ("[]", vec![]),
            (r#"["a","b"]"#, vec!["a", "b"]),
            (r#" [ "a" , "b" ] "#, vec!["a", "b"]),
            (r#"["a,b"]"#, vec!["a,b"]),
            ("[a, b]", vec!["a", "b"]),
            (r#""a","b""#, vec!["a", "b"]),
            ("007,1e5", vec!["007", "1e5"]),
            ("[330]", vec!["330"]),
            ("\"a,b\"", vec!["a", "b"]),
            ("[::1]", vec!["[::1]"]),
            ("[::1]:9092,[::2]:9092", vec!["[::1]:9092", "[::2]:9092"]),
            ("[::1]:9092", vec!["[::1]:9092"]),
        ] {
            assert_eq!(list(text).unwrap(), items, "{text}");
        }
        for text in [r#"["a""#, r#"["a",]"#, r#"["a" "b"]"#, r#"[{"a": 1}]"#] {
            assert!(list(text).is_err(), "{text}");
        }
    }
}
