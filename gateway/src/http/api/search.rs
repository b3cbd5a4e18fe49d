//! Searches in lists: which items contain the words that somebody is looking for.

use deunicode::deunicode;
use serde::Deserialize;

use crate::http::Problem;
use crate::http::query::{QueryParams, invalid};

/// Most characters of a query. Longer than any name, address or id.
const MAX_QUERY: usize = 200;

/// Words, each of which must be in one of an item's texts. Case and accents do not matter: `lea` is in `Léa`.
#[derive(Debug)]
pub(super) struct SearchWords(Vec<String>);

/// The texts of an item that are searched. A field that the caller may not see is null.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Texts {
    order_id: Option<String>,
    payment_id: Option<String>,
    delivery_id: Option<String>,
    customer_name: Option<String>,
    customer_email: Option<String>,
    address: Option<String>,
    product: Option<String>,
    lines: Vec<LineTexts>,
    device: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LineTexts {
    product: Option<String>,
}

impl SearchWords {
    /// The parameter `q`; `None` if it is absent or has no words.
    ///
    /// # Errors
    /// The parameter is too long, or occurs more than once.
    pub fn of(query: &QueryParams) -> Result<Option<Self>, Problem> {
        let text = query.text("q")?.unwrap_or_default();
        if text.chars().count() > MAX_QUERY {
            let problem =
                format!("more than {MAX_QUERY} characters; write for example a name or an order's id");
            return Err(invalid("q", problem));
        }
        let words: Vec<String> = fold(text).split_whitespace().map(str::to_owned).collect();
        Ok((!words.is_empty()).then_some(Self(words)))
    }

    /// Whether an item's JSON, as the caller sees it, contains all words.
    pub fn are_in(&self, item: &str) -> bool {
        // Foreign items may have anything in these fields.
        let Ok(texts) = serde_json::from_str::<Texts>(item) else {
            return false;
        };
        let lines = texts.lines.into_iter().map(|line| line.product);
        let texts = [
            texts.order_id,
            texts.payment_id,
            texts.delivery_id,
            texts.customer_name,
            texts.customer_email,
            texts.address,
            texts.product,
            texts.device,
        ];
        let texts: Vec<String> = texts
            .into_iter()
            .chain(lines)
            .flatten()
            .map(|text| fold(&text))
            .collect();
        self.0
            .iter()
            .all(|word| texts.iter().any(|text| text.contains(word)))
    }
}

fn fold(text: &str) -> String {
    deunicode(text).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER: &str = r#"{"order_id":"o-17","customer_name":"Léa Müller","customer_email":null,"amount":12.50,
        "product":"Thé + 1","lines":[{"product":"Thé","quantity":1},{"product":"Œuf","quantity":6}],"device":"till-1",
        "status":"Pending","currency":"EUR"}"#;

    fn is_found(query: &str, item: &str) -> bool {
        SearchWords(fold(query).split_whitespace().map(str::to_owned).collect()).are_in(item)
    }

    #[test]
    fn words_are_found_without_regard_to_case_accents_or_order() {
        for query in ["lea", "LÉA", "muller léa", "o-17", "oeuf", "the till-1", "ler"] {
            assert!(is_found(query, ORDER), "{query}");
        }
        for query in ["leo", "lea o-18", "pending", "eur", "null", "12"] {
            assert!(!is_found(query, ORDER), "{query}");
        }
    }

    #[test]
    fn an_item_whose_fields_are_something_else_is_not_found() {
        assert!(!is_found("1", r#"{"order_id":1}"#));
        assert!(!is_found("1", "[1]"));
    }
}
