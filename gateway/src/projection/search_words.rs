//! The words of a search, and the texts of a sale in which they are looked for.
//!
//! Texts and words are folded to ASCII (`Œuf` becomes `oeuf`) and split into runs of letters and digits. FTS5 indexes these
//! runs, so the index and [`SearchWords::are_in`] agree by construction.

use std::collections::BTreeSet;

use deunicode::{deunicode, deunicode_char};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::value::RawValue;

/// A word of fewer characters is found only as a whole word: nearly every sale has a word that begins like it.
const MIN_PREFIX: usize = 3;

/// The version of the words that are made of a sale.
const FORM: u32 = 2;

/// Words, each of which must be in one of a sale's texts. Case and accents do not matter: `lea` is in `Léa`.
#[derive(Debug)]
pub struct SearchWords(Vec<Word>);

#[derive(Debug)]
struct Word {
    /// `o-17` is `o`, `17`, which must follow each other.
    runs: Vec<String>,
    /// Whether the last run is only the beginning of one.
    is_prefix: bool,
    /// As [`Texts::words`] writes it. An amount is looked for only as such, because its runs are in many sales.
    amount: Option<String>,
    /// As [`Texts::words`] writes it.
    day: Option<String>,
}

/// What the index has of a sale: its words, in order and without repetitions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SearchText {
    /// What everybody may see.
    pub open: String,
    /// What only some roles may see: see [`comptoir_core::sale::personal::is_hidden`].
    pub hidden: String,
}

/// The texts of a sale that are searched. A field that the caller may not see is null.
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
    lines: Option<Vec<LineTexts>>,
    device: Option<String>,
    amount: Option<Box<RawValue>>,
    timestamp: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LineTexts {
    product: Option<String>,
}

/// The form of the words in a shop's index. Days begin in its time zone.
pub(super) fn form(zone: &TimeZone) -> String {
    match zone.iana_name() {
        Some(name) => format!("{FORM} {name}"),
        None => format!("{FORM} {zone:?}"),
    }
}

impl SearchWords {
    /// The words of a text. `None` if it has neither letters nor digits.
    pub fn of(text: &str) -> Option<Self> {
        let words: Vec<Word> = text
            .split_whitespace()
            .filter_map(|word| {
                let runs: Vec<String> = runs(word).collect();
                (!runs.is_empty()).then(|| Word {
                    runs,
                    is_prefix: word.chars().count() >= MIN_PREFIX,
                    amount: amount_word(word.trim_matches('€')),
                    day: day_word(word),
                })
            })
            .collect();
        (!words.is_empty()).then_some(Self(words))
    }

    /// Whether a sale's JSON, as the caller sees it, contains all words.
    pub fn are_in(&self, sale: &str, zone: &TimeZone) -> bool {
        // Sales of other gateways may have anything in these fields.
        let Ok(texts) = serde_json::from_str::<Texts>(sale) else {
            return false;
        };
        let (open, hidden) = texts.words(zone);
        let texts: Vec<String> = open.iter().chain(&hidden).map(|runs| spaced(runs)).collect();
        self.0
            .iter()
            .all(|word| texts.iter().any(|text| word.is_in(text)))
    }

    /// The FTS5 expression that all sales with the words match, and some others: it does not say that runs follow each
    /// other. `with_hidden`: whether the caller may see all fields.
    pub(super) fn expression(&self, with_hidden: bool) -> String {
        let words: Vec<String> = self.0.iter().map(Word::expression).collect();
        let all = words.join(" AND ");
        match with_hidden {
            true => all,
            false => format!("{{open}} : ({all})"),
        }
    }
}

impl Word {
    fn is_in(&self, text: &str) -> bool {
        let has = |word: &String| text.contains(&format!(" {word} "));
        if let Some(amount) = &self.amount {
            return has(amount);
        }
        let mut runs = format!(" {}", self.runs.join(" "));
        if !self.is_prefix {
            runs.push(' ');
        }
        text.contains(&runs) || self.day.as_ref().is_some_and(has)
    }

    fn expression(&self) -> String {
        if let Some(amount) = &self.amount {
            return format!("(\"{amount}\")");
        }
        let mut runs: Vec<String> = self.runs.iter().map(|run| format!("\"{run}\"")).collect();
        if let Some(last) = runs.last_mut().filter(|_| self.is_prefix) {
            last.push('*');
        }
        let runs = runs.join(" AND ");
        match &self.day {
            Some(day) => format!("(({runs}) OR \"{day}\")"),
            None => format!("({runs})"),
        }
    }
}

impl SearchText {
    /// The words of a sale. None of them if the JSON is not a sale's.
    pub fn of(sale: &str, zone: &TimeZone) -> Self {
        let texts: Texts = serde_json::from_str(sale).unwrap_or_default();
        let (open, hidden) = texts.words(zone);
        let joined = |texts: Vec<Vec<String>>| {
            let runs: BTreeSet<String> = texts.into_iter().flatten().collect();
            Vec::from_iter(runs).join(" ")
        };
        Self {
            open: joined(open),
            hidden: joined(hidden),
        }
    }
}

impl Texts {
    /// The runs of each text: of those that everybody may see, and of the others.
    fn words(self, zone: &TimeZone) -> (Vec<Vec<String>>, Vec<Vec<String>>) {
        let split = |texts: &mut dyn Iterator<Item = String>| -> Vec<Vec<String>> {
            texts.map(|text| runs(&text).collect()).collect()
        };
        let lines = self.lines.into_iter().flatten().map(|line| line.product);
        let open = [
            self.order_id,
            self.payment_id,
            self.delivery_id,
            self.customer_name,
            self.product,
            self.device,
        ];
        let mut open = split(&mut open.into_iter().chain(lines).flatten());
        let time = self.timestamp.and_then(|time| time.parse::<Timestamp>().ok());
        let day = time.and_then(|time| day_word(&time.to_zoned(zone.clone()).date().to_string()));
        let amount = self
            .amount
            .and_then(|amount| amount_word(&with_decimals(amount.get())));
        open.extend([amount, day].into_iter().flatten().map(|word| vec![word]));
        let hidden = split(&mut [self.customer_email, self.address].into_iter().flatten());
        (open, hidden)
    }
}

/// The folded runs of letters and digits in a text.
fn runs(text: &str) -> impl Iterator<Item = String> {
    // Separators first: deunicode makes letters of some symbols, such as an x of ×. An accent may be a mark of its own.
    let is_part = |symbol: char| symbol.is_alphanumeric() || deunicode_char(symbol) == Some("");
    let text: String = text
        .chars()
        .map(|symbol| if is_part(symbol) { symbol } else { ' ' })
        .collect();
    let folded = deunicode(&text).to_lowercase();
    let runs: Vec<String> = folded
        .split(|symbol: char| !symbol.is_ascii_alphanumeric())
        .filter(|run| !run.is_empty())
        .map(str::to_owned)
        .collect();
    runs.into_iter()
}

fn spaced(runs: &[String]) -> String {
    format!(" {} ", runs.join(" "))
}

/// A JSON number with at least two decimals: people write `12.50`, JSON has `12.5`.
fn with_decimals(number: &str) -> String {
    let number = number.trim_matches('"');
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    format!("{whole}.{decimals:0<2}")
}

/// The word for an amount such as `12.50` or `12,50`. A refund is found with and without its sign.
fn amount_word(text: &str) -> Option<String> {
    let (whole, decimals) = text.trim_start_matches('-').split_once(['.', ','])?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_amount = is_number(whole) && is_number(decimals) && decimals.len() >= 2;
    is_amount.then(|| format!("amount{}x{}", whole.trim_start_matches('0'), trimmed(decimals)))
}

/// Decimals without zeros after the second.
fn trimmed(decimals: &str) -> &str {
    let digits = decimals.trim_end_matches('0').len().max(2);
    &decimals[..digits]
}

/// The word for a day such as `2026-11-29`.
fn day_word(text: &str) -> Option<String> {
    let date: jiff::civil::Date = (text.len() == 10).then(|| text.parse().ok()).flatten()?;
    Some(format!("day{}", date.strftime("%Y%m%d")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER: &str = r#"{"order_id":"o-17","customer_name":"Léa Müller","customer_email":"lm@example.org","amount":12.5,
        "product":"Thé + 1","lines":[{"product":"Thé","quantity":1},{"product":"Œuf","quantity":6}],"device":"till-1",
        "status":"Pending","currency":"EUR","timestamp":"2026-11-28T23:30:00Z","address":"3, rue de l'Église"}"#;

    fn paris() -> TimeZone {
        TimeZone::get("Europe/Paris").unwrap()
    }

    fn is_found(query: &str, sale: &str) -> bool {
        SearchWords::of(query).unwrap().are_in(sale, &paris())
    }

    #[test]
    fn words_are_found_from_their_beginning_without_regard_to_case_accents_or_order() {
        for query in [
            "lea",
            "LÉA",
            "mul",
            "muller léa",
            "o-17",
            "oeuf",
            "the till-1",
            "eglise",
            "l'ég",
            "example.org",
            "12.50",
            "12,50",
            "12,500",
            "12,50€",
            "2026-11-29",
            "thé 12,50 2026-11-29",
            "rue de",
            "17",
        ] {
            assert!(is_found(query, ORDER), "{query}");
        }
        for query in [
            "leo",
            "ler",
            "lea o-18",
            "pending",
            "eur",
            "null",
            "12",
            "12.5",
            "12.51",
            "2026-11-28",
            "le",
            "lé",
            "o-7",
            "till-17",
            "3 rue-eglise",
            "till-rue",
        ] {
            assert!(!is_found(query, ORDER), "{query}");
        }
    }

    #[test]
    fn a_refund_is_found_by_its_amount_with_and_without_the_sign() {
        let refund = r#"{"payment_id":"p-1","amount":-3.00}"#;
        assert!(is_found("3.00", refund) && is_found("-3,00", refund) && !is_found("3.01", refund));
        let named = r#"{"order_id":"o-12-50","amount":3.00,"product":"Vin 12,50"}"#;
        assert!(is_found("12-50", named) && !is_found("12,50", named));
        let small = r#"{"payment_id":"p-1","amount":0.9}"#;
        assert!(is_found("0,90", small));
    }

    #[test]
    fn a_text_without_letters_and_digits_has_no_words() {
        assert!(SearchWords::of("").is_none() && SearchWords::of(" - + ").is_none());
        assert!(is_found("léa +", ORDER));
    }

    #[test]
    fn a_sale_whose_fields_are_something_else_is_not_found() {
        assert!(!is_found("1", r#"{"order_id":1}"#));
        assert!(!is_found("1", "[1]"));
        assert_eq!(
            SearchText::of(r#"{"order_id":1}"#, &paris()),
            SearchText::default()
        );
    }

    #[test]
    fn the_index_keeps_hidden_words_apart_and_an_expression_has_no_syntax_of_the_caller() {
        let text = SearchText::of(ORDER, &paris());
        assert_eq!(
            text.open,
            "1 17 amount12x50 day20261129 lea muller o oeuf the till"
        );
        assert_eq!(text.hidden, "3 de eglise example l lm org rue");
        // A symbol separates, and an accent may be a character of its own.
        let runs_of = |text| runs(text).collect::<Vec<_>>().join(" ");
        assert_eq!(runs_of("Petits-suisses ×12"), "petits suisses 12");
        assert_eq!(runs_of("Mu\u{308}ller 2 × 130 g ☕ ½"), "muller 2 130 g 1 2");
        let words = SearchWords::of("O-17 12,50 \"x\" NEAR(a b)").unwrap();
        assert_eq!(
            words.expression(true),
            "(\"o\" AND \"17\"*) AND (\"amount12x50\") AND (\"x\"*) AND (\"near\" AND \"a\"*) AND (\"b\")"
        );
        assert_eq!(
            SearchWords::of("lea").unwrap().expression(false),
            "{open} : ((\"lea\"*))"
        );
    }
}
