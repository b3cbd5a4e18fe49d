//! Texts in CSV files, which people open in spreadsheets.

/// Escapes text that somebody typed, because a spreadsheet would execute one that begins like a formula. Where the list
/// separator is a semicolon, as in France, each one in a text begins a cell.
pub fn escape_formulas(text: &str) -> String {
    /// ASCII, and the full-width forms that spreadsheets take for them.
    const FORMULA: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];
    const SEPARATORS: [char; 5] = [';', ',', '\t', '\r', '\n'];
    let mut escaped = String::with_capacity(text.len() + 1);
    let mut is_start = true;
    for c in text.chars() {
        if is_start && FORMULA.contains(&c) {
            escaped.push('\'');
        }
        escaped.push(c);
        // Spaces, quotation marks and invisible characters before a formula do not stop every spreadsheet.
        is_start = SEPARATORS.contains(&c)
            || (is_start && (c.is_whitespace() || is_invisible(c) || matches!(c, '"' | '\'')));
    }
    escaped
}

/// Whether a character takes no room: zero-width spaces and joiners, marks of direction, soft hyphens.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula_whatever_separates_the_cells() {
        for (text, escaped) in [
            ("=1+1", "'=1+1"),
            ("＝1+1", "'＝1+1"),
            ("-5", "'-5"),
            ("Pain;=1+2;", "Pain;'=1+2;"),
            ("Pain,=1+2", "Pain,'=1+2"),
            ("a\t@b", "a\t'@b"),
            ("a\n+b", "a\n'+b"),
            ("; \"=1", "; \"'=1"),
            ("\u{200b}\u{feff}=1", "\u{200b}\u{feff}'=1"),
            ("\u{a0}+1", "\u{a0}'+1"),
            ("Pain", "Pain"),
            ("12-14 rue", "12-14 rue"),
        ] {
            assert_eq!(escape_formulas(text), escaped);
        }
    }
}
