//! The shop's secret: 32 random bytes, generated once, from which every key of the shop is derived.
//!
//! Each key is derived with its own label (HKDF-SHA-256), so it serves only one purpose. People keep the secret as the
//! shop's recovery code. `gateway/docs/adr/0011-kafka-is-not-trusted.md` has the reasons.

use std::fmt;
use std::sync::LazyLock;

use data_encoding::{BASE64URL_NOPAD, Encoding, Specification};
use hkdf::Hkdf;
use sha2::{Digest, Sha256};

use crate::mac::MacKey;

/// Length of the secret in bytes.
const SECRET_BYTES: usize = 32;
/// Length of a recovery code's checksum in bytes: a mistyped code passes once in 16 million times.
const CHECKSUM_BYTES: usize = 3;
/// Characters per group in a recovery code.
const GROUP: usize = 4;

/// Label of the key for records in the event topics (see [`crate::mac::SignedRecord`]). Head office holds this key.
const RECORD_LABEL: &str = "comptoir v1 record";
/// Label of the key for watermarks. No other program needs it.
const WATERMARK_LABEL: &str = "comptoir v1 watermark";
/// Label of the seed of the key that signs closings and archives.
const CLOSING_LABEL: &str = "comptoir v1 closing";
/// Label of a secret's public name.
const ID_LABEL: &str = "comptoir v1 id";
const CHECKSUM_LABEL: &str = "comptoir v1 recovery code";

/// Crockford's Base32: no letter looks like a digit, and common misreadings are decoded as the intended character.
static CROCKFORD: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification.symbols.push_str("0123456789ABCDEFGHJKMNPQRSTVWXYZ");
    specification.ignore.push_str("- \t\r\n");
    specification
        .translate
        .from
        .push_str("abcdefghjkmnpqrstvwxyzoOiIlL");
    specification
        .translate
        .to
        .push_str("ABCDEFGHJKMNPQRSTVWXYZ001111");
    match specification.encoding() {
        Ok(encoding) => encoding,
        Err(error) => unreachable!("the specification of Crockford's Base32 is fixed: {error}"),
    }
});

/// Why a text is not a recovery code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    #[error("a recovery code has 14 groups of 4 letters and digits; this text has {0} characters")]
    Length(usize),
    #[error("a recovery code has only letters and digits, and no U")]
    Character,
    #[error("a character of the recovery code is wrong: its checksum does not fit")]
    Checksum,
}

/// The shop's secret. Its `Debug` output does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct ShopSecret([u8; SECRET_BYTES]);

impl ShopSecret {
    /// `bytes` must come from a cryptographically secure random generator.
    pub const fn new(bytes: [u8; SECRET_BYTES]) -> Self {
        Self(bytes)
    }

    /// Reads a recovery code. Ignores spaces, hyphens, line breaks and the case of letters.
    ///
    /// # Errors
    ///
    /// The text is not a complete code, or contains a wrong character.
    pub fn from_code(code: &str) -> Result<Self, CodeError> {
        let length = code.chars().filter(|c| !c.is_whitespace() && *c != '-').count();
        if length != (SECRET_BYTES + CHECKSUM_BYTES) * 8 / 5 {
            return Err(CodeError::Length(length));
        }
        let bytes = CROCKFORD
            .decode(code.trim().as_bytes())
            .map_err(|_| CodeError::Character)?;
        let (secret, checksum) = bytes.split_at_checked(SECRET_BYTES).ok_or(CodeError::Character)?;
        let secret = Self(secret.try_into().map_err(|_| CodeError::Character)?);
        match checksum == secret.checksum() {
            true => Ok(secret),
            false => Err(CodeError::Checksum),
        }
    }

    /// The recovery code: 14 groups of 4 characters.
    pub fn code(&self) -> String {
        let text = CROCKFORD.encode(&[&self.0[..], &self.checksum()].concat());
        let groups: Vec<&str> = text
            .as_bytes()
            .chunks(GROUP)
            .map(|group| std::str::from_utf8(group).unwrap_or_default())
            .collect();
        groups.join("-")
    }

    /// A public name for comparing two secrets. It reveals nothing about the secret.
    pub fn id(&self) -> String {
        BASE64URL_NOPAD.encode(&self.derive(ID_LABEL)[..9])
    }

    /// The key for records in the event topics: the _shop key_ that head office holds.
    pub fn record_key(&self) -> MacKey {
        MacKey::new(&self.derive(RECORD_LABEL))
    }

    /// The bytes of [`Self::record_key`] in base64url without padding, for head office.
    pub fn exported_record_key(&self) -> String {
        BASE64URL_NOPAD.encode(&self.derive(RECORD_LABEL))
    }

    /// The key for watermarks.
    pub fn watermark_key(&self) -> MacKey {
        MacKey::new(&self.derive(WATERMARK_LABEL))
    }

    /// The seed of the Ed25519 key that signs closings and archives. Nobody else needs it.
    pub fn closing_seed(&self) -> [u8; 32] {
        self.derive(CLOSING_LABEL)
    }

    fn derive(&self, label: &str) -> [u8; 32] {
        let mut key = [0; 32];
        match Hkdf::<Sha256>::new(None, &self.0).expand(label.as_bytes(), &mut key) {
            Ok(()) => key,
            Err(error) => unreachable!("HKDF-SHA-256 derives up to 8160 bytes: {error}"),
        }
    }

    fn checksum(&self) -> [u8; CHECKSUM_BYTES] {
        let digest = Sha256::new()
            .chain_update(CHECKSUM_LABEL)
            .chain_update(self.0)
            .finalize();
        std::array::from_fn(|at| digest[at])
    }
}

impl fmt::Debug for ShopSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> ShopSecret {
        ShopSecret::new(std::array::from_fn(|at| at as u8))
    }

    /// Golden values: people have written codes down, and head offices hold keys.
    #[test]
    fn codes_and_keys_do_not_change() {
        let secret = secret();
        assert_eq!(
            secret.code(),
            "000G-40R4-0M30-E209-185G-R38E-1W81-24GK-2GAH-C5RR-34D1-P70X-3RFQ-F2ZM"
        );
        assert_eq!(secret.id(), "s41LVnXsxARz");
        assert_eq!(
            secret.exported_record_key(),
            "6vOYgNCHklqS4-sYjo0n9TFuGAau8mA_cuoKwpKVj2U"
        );
    }

    #[test]
    fn a_code_is_read_however_people_write_it() {
        let secret = secret();
        let code = secret.code();
        for written in [
            code.clone(),
            code.to_lowercase(),
            code.replace('-', " "),
            code.replace('-', ""),
            format!("  {}\n", code.replace("-", "\r\n")),
            code.replace('0', "O").replace('1', "l"),
        ] {
            assert_eq!(ShopSecret::from_code(&written), Ok(secret.clone()), "{written}");
        }
    }

    #[test]
    fn a_mistyped_code_is_refused() {
        let code = secret().code();
        for at in (0..code.len()).filter(|at| code.as_bytes()[*at] != b'-') {
            let mut wrong = code.clone();
            let other = if &code[at..=at] == "7" { "8" } else { "7" };
            wrong.replace_range(at..=at, other);
            assert!(ShopSecret::from_code(&wrong).is_err(), "{wrong}");
        }
        assert_eq!(ShopSecret::from_code(""), Err(CodeError::Length(0)));
        assert_eq!(ShopSecret::from_code(&code[5..]), Err(CodeError::Length(52)));
        assert_eq!(
            ShopSecret::from_code(&code.replace('0', "U")),
            Err(CodeError::Character)
        );
    }

    #[test]
    fn each_key_has_its_own_purpose_and_no_debug_output_shows_a_secret() {
        let secret = secret();
        assert_ne!(secret.derive(RECORD_LABEL), secret.derive(WATERMARK_LABEL));
        assert_eq!(format!("{secret:?} {:?}", secret.record_key()), "… …");
    }
}
