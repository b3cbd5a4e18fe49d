//! Masks card numbers in free text, so that none is stored, sent or logged.
//!
//! A card number has 13 to 19 digits, a prefix that an issuer uses, and a check digit (ISO/IEC 7812). Spaces or dashes
//! may separate its digits. All digits but the last four become asterisks.

use std::borrow::Cow;

use super::{Delivery, Event, Line, Order};

const MIN_DIGITS: usize = 13;
const MAX_DIGITS: usize = 19;
/// Digits at the end that stay readable, as on a receipt.
const KEPT: usize = 4;

/// A digit and its position in the bytes.
#[derive(Clone, Copy)]
struct Digit {
    value: u8,
    at: usize,
    /// Whether the next byte is not a digit.
    ends_group: bool,
}

/// The length of a separator at the start of `bytes`: a space or a dash, including the non-breaking ones.
fn separator(bytes: &[u8]) -> Option<usize> {
    let separators: [&[u8]; 6] = [
        b" ",
        b"-",
        "\u{a0}".as_bytes(),
        "\u{202f}".as_bytes(),
        "\u{2009}".as_bytes(),
        "\u{2011}".as_bytes(),
    ];
    let found = separators
        .into_iter()
        .find(|separator| bytes.starts_with(separator));
    found.map(<[u8]>::len)
}

/// The digits from `at` on, if separated by at most one separator each.
fn run(bytes: &[u8], mut at: usize) -> Vec<Digit> {
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let mut digits = Vec::new();
    while is_digit(at) {
        let ends_group = !is_digit(at + 1);
        digits.push(Digit {
            value: bytes[at] - b'0',
            at,
            ends_group,
        });
        at += 1;
        if ends_group && let Some(length) = separator(&bytes[at..]) {
            at += length;
        }
    }
    digits
}

/// Whether an issuer uses numbers of this length with this prefix.
fn has_issuer(digits: &[Digit]) -> bool {
    let prefix = |count: usize| {
        digits[..count]
            .iter()
            .fold(0_u32, |sum, digit| sum * 10 + u32::from(digit.value))
    };
    let (two, three, four) = (prefix(2), prefix(3), prefix(4));
    match digits.len() {
        13 => prefix(1) == 4 || is_maestro(two, four),
        14 => matches!(three, 300..=305 | 309) || matches!(two, 36 | 38 | 39) || is_maestro(two, four),
        15 => matches!(two, 34 | 37) || is_maestro(two, four),
        16 => {
            prefix(1) == 4
                || matches!(two, 36 | 38 | 39 | 51..=55 | 62 | 65)
                || matches!(four, 2221..=2720 | 3528..=3589 | 6011)
                || matches!(three, 644..=649)
                || is_maestro(two, four)
        }
        17 | 18 => {
            matches!(two, 62 | 65)
                || four == 6011
                || matches!(four, 3528..=3589)
                || matches!(three, 644..=649)
                || is_maestro(two, four)
        }
        19 => {
            prefix(1) == 4
                || matches!(two, 62 | 65)
                || four == 6011
                || matches!(four, 3528..=3589)
                || matches!(three, 644..=649)
                || is_maestro(two, four)
        }
        _ => false,
    }
}

fn is_maestro(two: u32, four: u32) -> bool {
    matches!(two, 50 | 56..=58) || matches!(four, 6304 | 6759 | 6761..=6763)
}

/// Whether the last digit is a valid Luhn check digit.
fn passes_luhn(digits: &[Digit]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(index, digit)| {
            let value = u32::from(digit.value);
            match index % 2 {
                0 => value,
                _ => value * 2 / 10 + value * 2 % 10,
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Whether this is an article number (EAN-13): 13 digits in one group with a valid check digit. German articles begin
/// with 4, like the oldest Visa cards, which had 13 digits.
fn is_article(digits: &[Digit]) -> bool {
    let is_one_group = digits[..digits.len() - 1].iter().all(|digit| !digit.ends_group);
    let sum: u32 = digits
        .iter()
        .enumerate()
        .map(|(index, digit)| u32::from(digit.value) * if index % 2 == 0 { 1 } else { 3 })
        .sum();
    digits.len() == 13 && is_one_group && sum.is_multiple_of(10)
}

/// The number of digits of a card number at the start of `digits`.
fn card_length(digits: &[Digit]) -> Option<usize> {
    let lengths = (MIN_DIGITS..=MAX_DIGITS.min(digits.len())).rev();
    lengths.into_iter().find(|&length| {
        let number = &digits[..length];
        number[length - 1].ends_group && has_issuer(number) && passes_luhn(number) && !is_article(number)
    })
}

/// Masks the card numbers in `bytes`, which may be text or contain text. Returns the masked bytes, which have the same
/// length, and how many numbers were masked; `None` if there are none.
pub fn masked_bytes(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut masked: Option<Vec<u8>> = None;
    let (mut at, mut count) = (0, 0);
    while at < bytes.len() {
        let begins_group = bytes[at].is_ascii_digit() && (at == 0 || !bytes[at - 1].is_ascii_digit());
        if !begins_group {
            at += 1;
            continue;
        }
        let digits = run(bytes, at);
        // A number may begin at every group of the run.
        let mut index = 0;
        while index < digits.len() {
            match card_length(&digits[index..]) {
                Some(length) => {
                    let out = masked.get_or_insert_with(|| bytes.to_vec());
                    for digit in &digits[index..index + length - KEPT] {
                        out[digit.at] = b'*';
                    }
                    count += 1;
                    index += length;
                }
                None => {
                    let rest = digits[index..].iter();
                    index += rest.take_while(|digit| !digit.ends_group).count() + 1;
                }
            }
        }
        at = digits.last().map_or(at, |digit| digit.at) + 1;
    }
    masked.map(|masked| (masked, count))
}

/// Masks the card numbers in a text. Returns how many were masked.
pub fn mask(text: &mut Cow<'_, str>) -> usize {
    // Too few digits for a card number; nearly every text ends here.
    if text.bytes().filter(u8::is_ascii_digit).count() < MIN_DIGITS {
        return 0;
    }
    match masked_bytes(text.as_bytes()) {
        Some((masked, count)) => {
            // Only ASCII digits became asterisks, so this is still UTF-8.
            *text = Cow::Owned(String::from_utf8_lossy(&masked).into_owned());
            count
        }
        None => 0,
    }
}

impl Event<'_> {
    /// Masks the card numbers in the free texts: names, e-mail, products and addresses. Ids are not free text. Returns
    /// how many were masked.
    pub fn mask_card_numbers(&mut self) -> usize {
        match self {
            Event::Order(Order {
                customer_name,
                customer_email,
                product,
                lines,
                address,
                ..
            }) => {
                let lines = lines
                    .iter_mut()
                    .map(|Line { product, unit, .. }| mask(product) + unit.as_mut().map_or(0, &mut mask));
                let lines: usize = lines.sum();
                let optional = [customer_email, address].into_iter().flatten().map(mask);
                lines + optional.sum::<usize>() + mask(customer_name) + mask(product)
            }
            Event::Payment(_) => 0,
            Event::Delivery(Delivery { address, .. }) => mask(address),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn masked(text: &str) -> String {
        let mut masked = Cow::Borrowed(text);
        mask(&mut masked);
        masked.into_owned()
    }

    #[test]
    fn card_numbers_of_every_issuer_are_masked() {
        for (number, expected) in [
            ("4111111111111111", "************1111"),
            ("4111 1111 1111 1111", "**** **** **** 1111"),
            ("4111-1111-1111-1111", "****-****-****-1111"),
            (
                "4111\u{a0}1111\u{a0}1111\u{a0}1111",
                "****\u{a0}****\u{a0}****\u{a0}1111",
            ),
            ("5555555555554444", "************4444"),
            ("2223003122003222", "************3222"),
            ("378282246310005", "***********0005"),
            ("3782 822463 10005", "**** ****** *0005"),
            ("30569309025904", "**********5904"),
            ("6011111111111117", "************1117"),
            ("3530111333300000", "************0000"),
            ("6200000000000005", "************0005"),
            ("4222222222222", "*********2222"),
            (
                "Carte 4111111111111111, exp 12/30",
                "Carte ************1111, exp 12/30",
            ),
            (
                "Tel 06 12 34 56 78 4111 1111 1111 1111",
                "Tel 06 12 34 56 78 **** **** **** 1111",
            ),
            (
                "4111111111111111 5555555555554444",
                "************1111 ************4444",
            ),
        ] {
            assert_eq!(masked(number), expected);
        }
    }

    #[test]
    fn other_numbers_stay() {
        for text in [
            "",
            "Pain",
            // A wrong check digit, an unknown prefix, and numbers that are too long or too short.
            "4111111111111112",
            "9111111111111111",
            "41111111111111111111",
            "411111111111",
            // Article numbers with valid check digits; the second one also passes the Luhn test.
            "4006381333931",
            "4000000000006",
            "3017620422003",
            "2026-11-22 12:00:00",
            "+33 6 12 34 56 78",
            "FR76 3000 6000 0112 3456 7890 189",
        ] {
            assert_eq!(masked(text), text);
        }
    }

    #[test]
    fn card_numbers_in_binary_messages_are_masked_and_nothing_else_changes() {
        let bytes = b"\x01\xff4111111111111111\x00\xfe";
        let (masked, count) = masked_bytes(bytes).unwrap();
        assert_eq!(
            (&masked[..], count),
            (&b"\x01\xff************1111\x00\xfe"[..], 1)
        );
        assert_eq!(masked_bytes(b"\x01\xff12"), None);
    }

    proptest! {
        #[test]
        fn masking_changes_digits_only_and_leaves_no_card_number(text in "[0-9 a-zé-]{0,60}") {
            let masked = masked(&text);
            prop_assert_eq!(masked.chars().count(), text.chars().count());
            for (before, after) in text.chars().zip(masked.chars()) {
                prop_assert!(before == after || (before.is_ascii_digit() && after == '*'));
            }
            prop_assert_eq!(masked_bytes(masked.as_bytes()), None);
        }
    }
}
