//! Repairs texts: one line without control characters, in JSON strings that a parser accepts.

use std::borrow::Cow;

use super::super::MAX_TEXT;

/// Puts a text on one line, removes its other control characters and truncates it to [`MAX_TEXT`] characters.
pub fn tidy(text: &str) -> Cow<'_, str> {
    // In UTF-8 the control characters beyond ASCII begin with 0xc2, the line separators with 0xe2.
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

/// Makes the JSON's strings parseable. Half a surrogate pair (UTF-16 programs write one when they truncate a text)
/// becomes the replacement character, and so do bytes that are not UTF-8. A raw control character becomes its escape
/// sequence.
pub fn readable(json: &[u8]) -> String {
    with_valid_strings(&String::from_utf8_lossy(json))
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

/// The replacement for the escape sequence at the start of `text`, and the length of the original in bytes.
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
