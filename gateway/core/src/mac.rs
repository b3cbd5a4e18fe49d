//! Message authentication codes: with a key of the shop, the shop's records can be told from forged ones.
//!
//! The message is a sequence of fields. Each is preceded by its length, a big-endian `u32`, so that different sequences
//! never give the same bytes. The code is HMAC-SHA-256, truncated to its first 16 bytes (HMAC-SHA-256-128), and is
//! written as `v1.` and base64url without padding. `gateway/docs/interfaces/topics.md` describes it for other programs.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use hmac::digest::common::Output;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The header of a Kafka record that contains its code.
pub const MAC_HEADER: &str = "ce_comptoirmac";
/// Length of a code in bytes. Short, because each record carries one; nobody can try 2^127 codes.
const MAC_BYTES: usize = 16;
/// Identifies the format, so that a later one could be accepted next to it.
const VERSION: &str = "v1.";
/// The block size of SHA-256.
const BLOCK_BYTES: usize = 64;

/// A key. Its `Debug` output does not show it.
#[derive(Clone)]
pub struct MacKey(Hmac<Sha256>);

impl MacKey {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        // HMAC pads a key with zeros to the block size.
        let mut block = [0; BLOCK_BYTES];
        block[..key.len()].copy_from_slice(key);
        Self(Hmac::new(&block.into()))
    }

    /// Reads a key written by [`crate::shop_secret::ShopSecret::exported_record_key`]. `None` if the text is not a key.
    pub fn import(text: &str) -> Option<Self> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        Some(Self::new(&bytes.try_into().ok()?))
    }

    /// Signs these fields.
    pub fn sign(&self, fields: &[&[u8]]) -> String {
        let full: Output<Hmac<Sha256>> = self.digest(fields).finalize().into_bytes();
        let mut text = String::with_capacity(VERSION.len() + 22);
        text.push_str(VERSION);
        BASE64URL_NOPAD.encode_append(&full[..MAC_BYTES], &mut text);
        text
    }

    /// Whether `code` matches these fields. Takes constant time, wherever they differ.
    pub fn verify(&self, fields: &[&[u8]], code: &[u8]) -> bool {
        let Some(encoded) = code.strip_prefix(VERSION.as_bytes()) else {
            return false;
        };
        match BASE64URL_NOPAD.decode(encoded) {
            Ok(bytes) if bytes.len() == MAC_BYTES => {
                self.digest(fields).verify_truncated_left(&bytes).is_ok()
            }
            _ => false,
        }
    }

    fn digest(&self, fields: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        for field in fields {
            // Kafka's records are smaller than 4 GiB.
            mac.update(&(field.len() as u32).to_be_bytes());
            mac.update(field);
        }
        mac
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// The fields of a record in an event topic, in the order in which the code covers them.
#[derive(Debug, Clone, Copy)]
pub struct SignedRecord<'a> {
    pub ce_id: &'a [u8],
    pub ce_type: &'a [u8],
    pub key: &'a [u8],
    pub value: &'a [u8],
}

impl SignedRecord<'_> {
    fn fields(&self) -> [&[u8]; 4] {
        [self.ce_id, self.ce_type, self.key, self.value]
    }

    /// The value of [`MAC_HEADER`].
    pub fn sign(&self, key: &MacKey) -> String {
        key.sign(&self.fields())
    }

    pub fn verify(&self, key: &MacKey, code: &[u8]) -> bool {
        key.verify(&self.fields(), code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shop_secret::ShopSecret;

    fn key() -> MacKey {
        ShopSecret::new(std::array::from_fn(|at| at as u8)).record_key()
    }

    fn record() -> SignedRecord<'static> {
        SignedRecord {
            ce_id: b"paris-1/till-1/7/42",
            ce_type: b"comptoir.payment",
            key: b"o-1",
            value: br#"{"payment_id":"p-1"}"#,
        }
    }

    /// A golden value: a shop's records stay in Kafka for years.
    #[test]
    fn the_code_of_a_record_does_not_change() {
        assert_eq!(record().sign(&key()), "v1.CvdWNYq0tipJZZ5kcC5h-A");
    }

    #[test]
    fn head_office_reads_the_key_that_a_shop_exports() {
        let secret = ShopSecret::new(std::array::from_fn(|at| at as u8));
        let imported = MacKey::import(&secret.exported_record_key()).unwrap();
        assert!(record().verify(&imported, record().sign(&key()).as_bytes()));
        for wrong in ["", "AAAA", "not base64!"] {
            assert!(MacKey::import(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_code_fits_only_its_record_and_its_key() {
        let (record, key) = (record(), key());
        let code = record.sign(&key);
        assert!(record.verify(&key, code.as_bytes()));
        let other = ShopSecret::new([9; 32]).record_key();
        assert!(!record.verify(&other, code.as_bytes()));
        for forged in [
            SignedRecord {
                ce_id: b"paris-1/till-1/7/43",
                ..record
            },
            SignedRecord {
                ce_type: b"comptoir.order",
                ..record
            },
            SignedRecord {
                key: b"o-2",
                ..record
            },
            SignedRecord {
                value: br#"{"payment_id":"p-2"}"#,
                ..record
            },
            // The same bytes, split at another place.
            SignedRecord {
                ce_id: b"paris-1/till-1/7/42c",
                ce_type: b"omptoir.payment",
                ..record
            },
        ] {
            assert!(!forged.verify(&key, code.as_bytes()), "{forged:?}");
        }
        for wrong in [
            "",
            "v1.",
            "v2.",
            &code[3..],
            &code[..code.len() - 1],
            "v1.AAAA",
            &format!("{code}A"),
        ] {
            assert!(!record.verify(&key, wrong.as_bytes()), "{wrong}");
        }
    }
}
