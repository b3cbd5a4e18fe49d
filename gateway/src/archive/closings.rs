//! Verifies closings: each contains the hash of its predecessor, its own hash, and a signature of that; and each names the
//! last entry that it counts, so the entries cannot have other hashes.

use std::collections::{BTreeMap, HashSet};

use comptoir_core::chain::{ChainHash, sha256};
use comptoir_journal::{ChainedEntry, EntryKind, Offset};
use serde::Deserialize;

use crate::platform::closing_key::{PublicKey, Purpose, Signature};

/// Separates what the hash covers from the hash.
const HASH_FIELD: &str = ",\"hash\":\"";

/// Why a closing is not as the gateway made it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClosingError {
    #[error("a closing cannot be read: {0}")]
    Malformed(String),
    #[error("closing {0} was changed: its hash does not fit")]
    Hash(u64),
    #[error(
        "closing {number} does not follow closing {previous}: one between them was removed, or one of them was replaced"
    )]
    Order { number: u64, previous: u64 },
    #[error("the signature of closing {0} does not fit")]
    Signature(u64),
    #[error("closing {0} has no signature, although closings before it have one")]
    Unsigned(u64),
    #[error("entry {0} is not the one that a closing counted: the closing gives another hash for it")]
    Head(u64),
    #[error("entry {0}, which a closing counted, is missing")]
    Missing(u64),
    #[error("entry {0} is a closing that is not in the list of closings, or it differs from the one there")]
    Unlisted(u64),
    #[error("the entry of a closing is missing; the last closing is {0}")]
    NoEntry(u64),
}

/// The fields of a closing that are verified.
#[derive(Deserialize)]
struct Fields {
    number: u64,
    upto: u64,
    previous: ChainHash,
    chain: Option<ChainHash>,
    key: Option<String>,
    hash: ChainHash,
    signature: Option<String>,
}

/// Verifies closings in their order.
#[derive(Debug, Default)]
pub struct ClosingWalk {
    last: Option<(u64, ChainHash)>,
    /// The first one's number.
    pub first: Option<u64>,
    pub count: u64,
    /// Number of closings without a signature: of earlier versions, or made without the shop's secret.
    pub unsigned: u64,
    /// The keys that signed, in order. A shop has one, unless its secret was replaced.
    pub keys: Vec<PublicKey>,
    /// The hashes that the closings give for entries that were not seen yet.
    heads: BTreeMap<Offset, ChainHash>,
    /// The hashes of the closings whose own entries were not seen yet.
    records: HashSet<[u8; 32]>,
}

impl ClosingWalk {
    /// The number of the last closing.
    pub fn last(&self) -> Option<u64> {
        self.last.map(|(number, _)| number)
    }

    /// Verifies the next closing, a record of the topic `closings`. `has_entry`: whether its own entry is among those that
    /// [`see`](Self::see) gets.
    ///
    /// # Errors
    /// It was changed, or does not follow the previous one.
    pub fn add(&mut self, json: &str, has_entry: bool) -> Result<(), ClosingError> {
        let fields: Fields =
            serde_json::from_str(json).map_err(|error| ClosingError::Malformed(error.to_string()))?;
        let number = fields.number;
        let (hashed, _) = json.rsplit_once(HASH_FIELD).ok_or(ClosingError::Hash(number))?;
        let mut record = hashed.to_owned();
        record.push('}');
        // What follows the hash must be exactly what the gateway writes, so that nothing can be added there.
        let mut end = format!("{HASH_FIELD}{}\"", fields.hash);
        if let Some(signature) = &fields.signature {
            end += &format!(",\"signature\":\"{signature}\"");
        }
        end.push('}');
        if json.strip_prefix(hashed) != Some(&end) || sha256(record.as_bytes()) != fields.hash {
            return Err(ClosingError::Hash(number));
        }
        if let Some((previous, hash)) = self.last
            && (number != previous + 1 || fields.previous != hash)
        {
            return Err(ClosingError::Order { number, previous });
        }
        match (&fields.key, &fields.signature) {
            (Some(key), Some(signature)) => {
                let key: PublicKey = key.parse().map_err(|_| ClosingError::Signature(number))?;
                let signature = Signature::parse(signature).ok_or(ClosingError::Signature(number))?;
                if !key.verify(Purpose::Closing, fields.hash, &signature) {
                    return Err(ClosingError::Signature(number));
                }
                if self.keys.last() != Some(&key) {
                    self.keys.push(key);
                }
            }
            (None, None) if self.keys.is_empty() => self.unsigned += 1,
            (None, None) => return Err(ClosingError::Unsigned(number)),
            _ => return Err(ClosingError::Signature(number)),
        }
        if let Some(chain) = fields.chain {
            self.heads.insert(Offset(fields.upto), chain);
        }
        if has_entry {
            self.records.insert(sha256(json.as_bytes()).0);
        }
        self.first.get_or_insert(number);
        self.count += 1;
        self.last = Some((number, fields.hash));
        Ok(())
    }

    /// Verifies that an entry is what the closings say of it. Comes after all closings, for each entry in order.
    ///
    /// # Errors
    /// A closing counted another entry, or this is a closing that was not added.
    pub fn see(&mut self, chained: &ChainedEntry) -> Result<(), ClosingError> {
        let entry = &chained.entry;
        if let Some(head) = self.heads.remove(&entry.offset)
            && chained.hash != Some(head)
        {
            return Err(ClosingError::Head(entry.offset.0));
        }
        if entry.kind == EntryKind::Closing && !self.records.remove(&sha256(&entry.payload).0) {
            return Err(ClosingError::Unlisted(entry.offset.0));
        }
        Ok(())
    }

    /// Verifies that all entries from `first` to `last` that the closings name were seen.
    ///
    /// # Errors
    /// One was not.
    pub fn finish(&self, first: Offset, last: Offset) -> Result<(), ClosingError> {
        if let Some((offset, _)) = self.heads.range(first..=last).next() {
            return Err(ClosingError::Missing(offset.0));
        }
        match self.records.is_empty() {
            true => Ok(()),
            false => Err(ClosingError::NoEntry(self.last().unwrap_or_default())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::closing_key::ClosingKey;
    use comptoir_core::shop_secret::ShopSecret;

    fn closing(number: u64, previous: ChainHash, key: Option<&ClosingKey>) -> (String, ChainHash) {
        let public = key.map(|key| format!(",\"key\":\"{}\"", key.public()));
        let start = format!(
            r#"{{"number":{number},"upto":{number}0,"previous":"{previous}"{}"#,
            public.unwrap_or_default()
        );
        let hash = sha256(format!("{start}}}").as_bytes());
        let signature = key.map(|key| format!(",\"signature\":\"{}\"", key.sign(Purpose::Closing, hash)));
        (
            format!("{start},\"hash\":\"{hash}\"{}}}", signature.unwrap_or_default()),
            hash,
        )
    }

    fn walk<'a>(closings: impl IntoIterator<Item = &'a str>) -> Result<ClosingWalk, ClosingError> {
        let mut walk = ClosingWalk::default();
        for closing in closings {
            walk.add(closing, false)?;
        }
        Ok(walk)
    }

    #[test]
    fn a_changed_removed_swapped_or_unsigned_closing_is_found() {
        let key = ClosingKey::of(&ShopSecret::new([1; 32]));
        let (old, hash) = closing(1, ChainHash::default(), None);
        let (second, hash) = closing(2, hash, Some(&key));
        let (third, hash) = closing(3, hash, Some(&key));
        let (unsigned, _) = closing(4, hash, None);
        let good = walk([&*old, &second, &third]).unwrap();
        assert_eq!((good.count, good.unsigned, good.keys.len()), (3, 1, 1));
        assert_eq!(
            walk([&*old, &third]).unwrap_err(),
            ClosingError::Order {
                number: 3,
                previous: 1
            }
        );
        assert_eq!(
            walk([&*third, &second]).unwrap_err(),
            ClosingError::Order {
                number: 2,
                previous: 3
            }
        );
        assert_eq!(walk([&*third, &unsigned]).unwrap_err(), ClosingError::Unsigned(4));
        for at in 0..third.len() * 8 {
            let mut bytes = third.clone().into_bytes();
            bytes[at / 8] ^= 1 << (at % 8);
            let Ok(changed) = String::from_utf8(bytes) else {
                continue;
            };
            assert!(walk([&*old, &second, &changed]).is_err(), "{changed}");
        }
        for added in [" ", ",\"x\":1}", "}"] {
            assert!(walk([&*format!("{third}{added}")]).is_err(), "{added:?}");
        }
        let (hashed, end) = third.rsplit_once('}').unwrap();
        assert!(end.is_empty() && walk([&*format!("{hashed},\"x\":1}}")]).is_err());
    }
}
