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
        // A space or a quotation mark before a formula does not stop every spreadsheet.
        is_start = SEPARATORS.contains(&c) || (is_start && matches!(c, ' ' | '"' | '\''));
    }
    escaped
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
            ("Pain", "Pain"),
            ("12-14 rue", "12-14 rue"),
        ] {
            assert_eq!(escape_formulas(text), escaped);
        }
    }
}
