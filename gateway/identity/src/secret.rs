//! Random secrets and their digests.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use comptoir_core::Secret;

/// Length of a credential's secret in bytes.
const SECRET_BYTES: usize = 32;
/// Letters and digits without I, L, O and U, which are easily confused with others (Crockford's base 32).
const CODE_ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A new secret, encoded for URLs and headers.
pub fn new_secret() -> Secret {
    Secret::new(URL_SAFE_NO_PAD.encode(rand::random::<[u8; SECRET_BYTES]>()))
}

/// A new id of a credential, which is not secret.
pub fn new_id() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 9]>())
}

/// The digest of a secret for the file. The secret is random, so it needs no slow hash.
pub fn digest(secret: &str) -> [u8; 32] {
    *blake3::hash(secret.as_bytes()).as_bytes()
}

/// A new code of `N` characters for a person to type.
pub fn new_code<const N: usize>() -> String {
    let bytes = rand::random::<[u8; N]>();
    let characters = bytes
        .iter()
        .map(|byte| char::from(CODE_ALPHABET[usize::from(byte % 32)]));
    characters.collect()
}

/// Converts a typed code to [`new_code`]'s form: removes separators and replaces misread characters.
pub fn normalise_code(typed: &str) -> String {
    typed
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| match c.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_again_however_it_is_typed() {
        let code = new_code::<8>();
        let typed = format!(" {}-{} ", &code[..4].to_lowercase(), &code[4..]);
        assert_eq!(normalise_code(&typed), code);
        assert_eq!(normalise_code("o1iL-0O"), "011100");
    }

    #[test]
    fn secrets_are_long_and_differ() {
        let (one, other) = (new_secret(), new_secret());
        assert_eq!(one.reveal().len(), 43);
        assert_ne!(one, other);
        assert_ne!(digest(one.reveal()), digest(other.reveal()));
    }
}
