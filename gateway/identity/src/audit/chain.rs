//! The hash chain: each row of the audit log holds a hash of itself and of the previous row. So a row that is changed,
//! removed or inserted later no longer fits.
//!
//! The fields of a hash ([`comptoir_core::chain`]) are a label, the hash of the previous row (32 bytes), the row's id and its
//! time in Unix milliseconds (both in decimal digits), and `actor`, `actor_kind`, `address`, `action`, `subject`, `before`
//! and `after` as they are in the file. `gateway/docs/interfaces/topics.md` describes it for other programs.
//!
//! The chain begins with an entry `chain-started`, whose previous hash is 32 zero bytes. It holds the number of entries
//! that earlier versions wrote, and their digest.

use comptoir_core::chain::FieldHasher;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::ActorKind;
pub use comptoir_core::chain::ChainHash;

/// The labels distinguish the two kinds of hash from each other and from later formats.
const ENTRY: &str = "comptoir audit entry v1";
const EARLIER: &str = "comptoir audit earlier entries v1";
/// The fields of a row as stored in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    pub id: u64,
    pub at: Timestamp,
    pub actor: String,
    pub actor_kind: ActorKind,
    pub address: Option<String>,
    pub action: String,
    pub subject: Option<String>,
    /// A JSON object as text.
    pub before: Option<String>,
    /// A JSON object as text.
    pub after: Option<String>,
}

/// A row with its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainedRow {
    pub row: AuditRow,
    /// The hash of the previous row; zeros before the first entry of the chain.
    pub previous: ChainHash,
    pub hash: ChainHash,
}

fn put_row(hasher: FieldHasher, row: &AuditRow) -> FieldHasher {
    let texts = [
        row.address.as_deref(),
        Some(&*row.action),
        row.subject.as_deref(),
        row.before.as_deref(),
        row.after.as_deref(),
    ];
    let hasher = hasher
        .with(row.id.to_string())
        .with(row.at.as_millisecond().to_string())
        .with(&row.actor)
        .with(row.actor_kind.name());
    texts.into_iter().fold(hasher, FieldHasher::with_option)
}

impl AuditRow {
    /// The hash of this row if it follows a row with the hash `previous`.
    pub fn hash_after(&self, previous: ChainHash) -> ChainHash {
        put_row(FieldHasher::new(ENTRY).with(previous.0), self).finish()
    }
}

/// Computes the digest of the entries that earlier versions wrote.
pub(crate) struct EarlierEntries {
    hasher: FieldHasher,
    count: u64,
}

impl EarlierEntries {
    pub fn new() -> Self {
        Self {
            hasher: FieldHasher::new(EARLIER),
            count: 0,
        }
    }

    /// Adds the next entry, in order of ids.
    pub fn add(&mut self, row: &AuditRow) {
        self.hasher = put_row(self.hasher.clone(), row);
        self.count += 1;
    }

    /// The summary stored in the entry `chain-started`.
    pub fn summary(self) -> Value {
        json!({"entries": self.count, "sha256": self.hasher.finish()})
    }
}

/// The first place where the audit log does not match its hash chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    #[error(
        "entry {id} of the audit log does not fit the chain: it was changed, or entries before it were removed or added"
    )]
    Misfit { id: u64 },
    #[error("the entries of the audit log before entry {first} are not those with which the chain started")]
    Earlier { first: u64 },
    #[error(
        "the audit log ends with entry {last}, but entry {written} was written: the newest entries were removed"
    )]
    Truncated { last: u64, written: u64 },
}

/// The result of verifying the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainReport {
    /// Number of entries of earlier versions, before the chain.
    pub earlier: u64,
    /// Number of entries in the chain, including the first, `chain-started`.
    pub chained: u64,
    /// The last entry's hash; `None` if the chain has not started. Compare it with the one in Kafka, because anyone who
    /// can write the file can recompute every hash.
    pub tip: Option<ChainHash>,
}

/// Verifies the chain row by row, in order of ids.
pub(crate) struct ChainWalk {
    earlier: Option<EarlierEntries>,
    count_earlier: u64,
    chained: u64,
    last: u64,
    tip: ChainHash,
}

impl ChainWalk {
    pub fn new() -> Self {
        Self {
            earlier: Some(EarlierEntries::new()),
            count_earlier: 0,
            chained: 0,
            last: 0,
            tip: ChainHash::default(),
        }
    }

    /// Checks the next row. `stored` is its hash in the file; entries of earlier versions have none.
    pub fn step(&mut self, row: &AuditRow, stored: Option<ChainHash>) -> Result<(), ChainError> {
        self.last = row.id;
        match (self.earlier.take(), stored) {
            (Some(mut earlier), None) => {
                earlier.add(row);
                self.count_earlier += 1;
                self.earlier = Some(earlier);
                return Ok(());
            }
            (Some(earlier), Some(_)) => {
                let expected = earlier.summary().to_string();
                if row.action != super::Action::ChainStarted.name() {
                    return Err(ChainError::Misfit { id: row.id });
                }
                if row.after.as_deref() != Some(&*expected)
                    && row.hash_after(self.tip) == stored.unwrap_or_default()
                {
                    return Err(ChainError::Earlier { first: row.id });
                }
            }
            (None, _) => {}
        }
        let hash = row.hash_after(self.tip);
        if stored != Some(hash) {
            return Err(ChainError::Misfit { id: row.id });
        }
        self.tip = hash;
        self.chained += 1;
        Ok(())
    }

    /// Ends the verification. `written` is the highest id ever assigned to an entry.
    pub fn finish(self, written: u64) -> Result<ChainReport, ChainError> {
        if self.last < written {
            return Err(ChainError::Truncated {
                last: self.last,
                written,
            });
        }
        Ok(ChainReport {
            earlier: self.count_earlier,
            chained: self.chained,
            tip: (self.chained > 0).then_some(self.tip),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: u64) -> AuditRow {
        AuditRow {
            id,
            at: Timestamp::from_millisecond(1_795_000_000_000).unwrap(),
            actor: "Zoé".to_owned(),
            actor_kind: ActorKind::Person,
            address: Some("192.0.2.7".to_owned()),
            action: "payment-posted".to_owned(),
            subject: Some("p-1".to_owned()),
            before: None,
            after: Some(r#"{"amount":12.50}"#.to_owned()),
        }
    }

    /// A golden value: other programs verify the chain, and the entries are kept for years.
    #[test]
    fn the_hash_of_an_entry_does_not_change() {
        let hash = row(42).hash_after(ChainHash([7; 32]));
        assert_eq!(
            hash.to_string(),
            "a58588f92276d94b75d9a0fb503e955c5a378ec0088d6b6b148f654d3d300c3f"
        );
    }

    #[test]
    fn every_field_and_the_place_of_its_end_are_covered() {
        let original = row(42);
        let previous = ChainHash([7; 32]);
        let changes: [fn(&mut AuditRow); 11] = [
            |row| row.id = 43,
            |row| row.at = Timestamp::from_millisecond(1_795_000_000_001).unwrap(),
            |row| row.actor = "Zoe".to_owned(),
            |row| row.actor_kind = ActorKind::Token,
            |row| row.address = None,
            |row| row.action = "order-posted".to_owned(),
            |row| row.subject = Some("p-2".to_owned()),
            |row| row.before = Some(String::new()),
            |row| row.after = None,
            |row| row.before = row.after.take(),
            |row| {
                row.action = "payment-postedp".to_owned();
                row.subject = Some("-1".to_owned());
            },
        ];
        for (index, change) in changes.into_iter().enumerate() {
            let mut changed = original.clone();
            change(&mut changed);
            assert_ne!(
                changed.hash_after(previous),
                original.hash_after(previous),
                "{index}"
            );
        }
        assert_ne!(
            original.hash_after(ChainHash([8; 32])),
            original.hash_after(previous)
        );
    }
}
