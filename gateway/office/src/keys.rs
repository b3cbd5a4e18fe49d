//! The shop keys, which identify records as a shop's own.

use std::collections::HashMap;
use std::path::Path;

use comptoir_core::event::DeviceId;
use comptoir_core::mac::{MacKey, SignedRecord};

/// Longest file that is read, in bytes: some 100,000 shops.
const MAX_BYTES: u64 = 10 << 20;

/// The keys of all shops. A shop whose secret was replaced has several.
#[derive(Debug, Default)]
pub struct ShopKeys(HashMap<String, Vec<MacKey>>);

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
    #[error("is larger than {MAX_BYTES} bytes")]
    TooLarge,
    #[error(
        "line {line}: {problem}; write a store and its key, as `gateway recovery-code --shop-key` prints it, for example: \
         paris-1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
    )]
    Line { line: usize, problem: String },
}

impl ShopKeys {
    /// Reads a file with one `STORE KEY` per line. Ignores empty lines and anything after `#`.
    ///
    /// # Errors
    /// The file cannot be read, or a line does not contain a store and a key; the error names the line but not the key.
    pub fn read(file: &Path) -> Result<Self, KeysError> {
        if std::fs::metadata(file)?.len() > MAX_BYTES {
            return Err(KeysError::TooLarge);
        }
        Self::parse(&std::fs::read_to_string(file)?)
    }

    /// As [`Self::read`], from the file's text.
    pub(crate) fn parse(text: &str) -> Result<Self, KeysError> {
        let mut keys = Self::default();
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default();
            let words: Vec<&str> = line.split_whitespace().collect();
            let wrong = |problem: String| KeysError::Line {
                line: index + 1,
                problem,
            };
            match words[..] {
                [] => {}
                [store, key] => {
                    // Also rejects store names that no gateway can have.
                    DeviceId::gateway(store).map_err(|error| wrong(error.to_string()))?;
                    let key =
                        MacKey::import(key).ok_or_else(|| wrong("the key is not a shop key".to_owned()))?;
                    keys.0.entry(store.to_owned()).or_default().push(key);
                }
                _ => return Err(wrong(format!("{} words", words.len()))),
            }
        }
        Ok(keys)
    }

    /// Whether a key of the store is known.
    pub fn knows(&self, store: &str) -> bool {
        self.0.contains_key(store)
    }

    /// Whether the code was made with one of the store's keys.
    pub fn verify(&self, store: &str, record: &SignedRecord<'_>, code: &[u8]) -> bool {
        let keys = self.0.get(store).into_iter().flatten();
        keys.into_iter().any(|key| record.verify(key, code))
    }

    /// Number of shops.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use comptoir_core::shop_secret::ShopSecret;

    use super::*;

    fn record() -> SignedRecord<'static> {
        SignedRecord {
            ce_id: b"paris-1/till-1/7/42",
            ce_type: b"comptoir.payment",
            key: b"o-1",
            value: b"{}",
        }
    }

    #[test]
    fn a_shop_may_have_an_old_and_a_new_key() {
        let secrets = [1, 2, 3].map(|byte| ShopSecret::new([byte; 32]));
        let text = format!(
            "# chain\n\nparis-1 {}\nparis-1 {} # since May\nlyon-2 {}\n",
            secrets[0].exported_record_key(),
            secrets[1].exported_record_key(),
            secrets[2].exported_record_key()
        );
        let keys = ShopKeys::parse(&text).unwrap();
        assert_eq!(keys.len(), 2);
        let codes = secrets.map(|secret| record().sign(&secret.record_key()));
        let verified = codes.map(|code| keys.verify("paris-1", &record(), code.as_bytes()));
        assert_eq!(verified, [true, true, false]);
        assert!(!keys.knows("nice-3"));
    }

    #[test]
    fn a_wrong_line_is_named_and_its_key_is_not() {
        for (text, problem) in [
            ("paris-1", "line 1: 1 words"),
            ("\nparis-1 secret", "line 2: the key is not a shop key"),
            (
                "Paris AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
                "line 1: store",
            ),
        ] {
            let error = ShopKeys::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(problem), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
