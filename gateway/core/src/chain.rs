//! Hash chains: each entry of a list holds a hash of itself and of its predecessor, so an entry that is changed, removed or
//! inserted later no longer fits.
//!
//! A hash is SHA-256 over a sequence of fields, each preceded by its length as a big-endian `u32`; a field without a value
//! has the length 2^32 - 1 and no bytes. The first field is a label, which distinguishes the kinds of hashes.
//! `gateway/docs/interfaces/topics.md` and `gateway/docs/interfaces/archive.md` describe the chains for other programs.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// The length of a field without a value. No field is that long.
const ABSENT: u32 = u32::MAX;

/// A hash in a chain, displayed in hexadecimal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChainHash(pub [u8; 32]);

impl fmt::Display for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

/// The text is not 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a hash has 64 lower-case hexadecimal digits")]
pub struct NotAHash;

impl FromStr for ChainHash {
    type Err = NotAHash;

    fn from_str(text: &str) -> Result<Self, NotAHash> {
        let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|_| NotAHash)?;
        bytes.try_into().map(Self).map_err(|_| NotAHash)
    }
}

impl Serialize for ChainHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ChainHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The plain SHA-256 hash of some bytes.
pub fn sha256(bytes: &[u8]) -> ChainHash {
    ChainHash(Sha256::digest(bytes).into())
}

/// Computes a hash, field by field.
#[derive(Clone)]
pub struct FieldHasher(Sha256);

impl FieldHasher {
    pub fn new(label: &str) -> Self {
        Self(Sha256::new()).with(label)
    }

    /// Adds a field.
    #[must_use]
    pub fn with(self, field: impl AsRef<[u8]>) -> Self {
        self.with_option(Some(field))
    }

    /// Adds a field that may have no value.
    #[must_use]
    pub fn with_option(mut self, field: Option<impl AsRef<[u8]>>) -> Self {
        match &field {
            Some(field) => {
                let field = field.as_ref();
                // The fields come from SQLite, whose values are smaller than 2 GiB.
                self.0.update((field.len() as u32).to_be_bytes());
                self.0.update(field);
            }
            None => self.0.update(ABSENT.to_be_bytes()),
        }
        self
    }

    pub fn finish(self) -> ChainHash {
        ChainHash(self.0.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_read_as_it_is_written() {
        let hash = FieldHasher::new("label").with("field").finish();
        assert_eq!(hash.to_string().parse(), Ok(hash));
        for wrong in ["", "00", &hash.to_string().to_uppercase(), &format!("{hash}0")] {
            assert_eq!(wrong.parse::<ChainHash>(), Err(NotAHash), "{wrong}");
        }
    }

    #[test]
    fn different_sequences_of_fields_have_different_hashes() {
        let hashes = [
            FieldHasher::new("l").finish(),
            FieldHasher::new("l").with("").finish(),
            FieldHasher::new("l").with("ab").finish(),
            FieldHasher::new("l").with("a").with("b").finish(),
            FieldHasher::new("la").with("b").finish(),
            FieldHasher::new("l").with_option(None::<&str>).finish(),
        ];
        for (at, hash) in hashes.iter().enumerate() {
            assert!(!hashes[..at].contains(hash), "{at}");
        }
    }
}
