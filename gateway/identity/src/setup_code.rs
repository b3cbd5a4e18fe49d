//! The set-up code, which proves that the first administrator has access to the gateway's log or card.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::secret;

/// Characters of the code: 40 bits.
const CHARACTERS: usize = 8;

pub fn generate() -> String {
    secret::new_code::<CHARACTERS>()
}

/// The code as shown to people: `4F7K-2M9Q`.
pub fn grouped(code: &str) -> String {
    match code.split_at_checked(CHARACTERS / 2) {
        Some((first, second)) => format!("{first}-{second}"),
        None => code.to_owned(),
    }
}

/// Compares in constant time.
pub fn matches(typed: &str, code: &str) -> bool {
    blake3::hash(secret::normalise_code(typed).as_bytes()) == blake3::hash(code.as_bytes())
}

/// Writes the code for the scripts that show it on the card. Only the gateway's user can read the file.
pub fn write(file: &Path, code: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(file)?;
    writeln!(file, "{}", grouped(code))?;
    file.sync_all()
}

/// Removes the file, if it exists.
pub fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_matches_as_it_is_shown_and_nothing_else_does() {
        let code = generate();
        let shown = grouped(&code);
        assert_eq!(shown.len(), CHARACTERS + 1);
        assert!(matches(&shown, &code) && matches(&shown.to_lowercase(), &code));
        assert!(!matches("", &code) && !matches(&shown[1..], &code));
    }
}
