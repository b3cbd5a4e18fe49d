//! The hash chain of the journal: each entry holds a hash of itself and of its predecessor.
//!
//! An entry's hash does not cover its content directly but a _content hash_, which covers a random salt, too. When personal
//! data is erased from an entry, the journal keeps the content hash and deletes the salt: the chain still holds, and nobody
//! can find out the erased name by trying names. `docs/interfaces/archive.md` describes the fields for other programs, and
//! `docs/adr/0026-proof.md` has the reasons.

use comptoir_core::chain::{ChainHash, FieldHasher};
use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use super::{Entry, Offset};

const ENTRY: &str = "comptoir journal entry v1";
const CONTENT: &str = "comptoir journal content v1";
const START: &str = "comptoir journal start v1";

/// Random bytes without which the content of an entry cannot be guessed from its hash.
pub type Salt = [u8; 16];

/// What the chain adds to an entry of the next group commit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    pub salt: Salt,
    pub hash: ChainHash,
}

/// An entry as it is stored, with its place in the chain.
#[derive(Debug, Clone)]
pub struct ChainedEntry {
    pub entry: Entry,
    /// `None` after an erasure, and in entries before the chain.
    pub salt: Option<Salt>,
    /// The content hash that an erased entry had before.
    pub content: Option<ChainHash>,
    /// `None` in entries before the chain.
    pub hash: Option<ChainHash>,
}

/// The position after an entry of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainPoint {
    /// Of the entry; 0 if the chain starts with the journal.
    pub offset: Offset,
    pub hash: ChainHash,
}

/// Why an entry does not fit the chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    #[error(
        "entry {0} was changed, or entries before it were changed, removed or inserted: its hash does not fit"
    )]
    Misfit(u64),
    #[error("entry {0} has no hash, although entries before it have one")]
    Unchained(u64),
    #[error("entry {0} is out of order")]
    Order(u64),
    #[error("entry {0} has neither the salt of its content nor the hash of one that may be erased")]
    NoContent(u64),
}

/// Verifies a chain, entry by entry.
#[derive(Debug, Clone)]
pub struct ChainWalk {
    head: ChainPoint,
    /// Number of entries that fit.
    pub chained: u64,
    /// Number of entries that were written before the chain started.
    pub unchained: u64,
    /// Number of entries from which personal data was erased, so that only their place and name are proven.
    pub erased: u64,
}

impl ChainWalk {
    /// A walk over the entries after `start`.
    pub fn new(start: ChainPoint) -> Self {
        Self {
            head: start,
            chained: 0,
            unchained: 0,
            erased: 0,
        }
    }

    /// The last entry that fits.
    pub fn head(&self) -> ChainPoint {
        self.head
    }

    /// Verifies the next entry.
    ///
    /// # Errors
    ///
    /// The entry does not follow the previous one.
    pub fn add(&mut self, chained: &ChainedEntry) -> Result<(), ChainError> {
        let entry = &chained.entry;
        let offset = entry.offset;
        let Some(hash) = chained.hash else {
            if self.chained > 0 || offset > self.head.offset {
                return Err(ChainError::Unchained(offset.0));
            }
            self.unchained += 1;
            return Ok(());
        };
        // Offsets that a damaged file has lost are skipped; the hash shows that nothing was removed.
        if offset <= self.head.offset {
            return Err(ChainError::Order(offset.0));
        }
        let content = match (chained.salt, chained.content) {
            (Some(salt), None) => content_hash(&salt, entry),
            // Payments and the gateway's own records hold nothing to erase.
            (None, Some(content)) if entry.kind.may_be_erased() => {
                self.erased += 1;
                content
            }
            _ => return Err(ChainError::NoContent(offset.0)),
        };
        if entry_hash(self.head.hash, entry, content) != hash {
            return Err(ChainError::Misfit(offset.0));
        }
        self.head = ChainPoint { offset, hash };
        self.chained += 1;
        Ok(())
    }
}

/// The hash of the entry's content, before an erasure.
pub(super) fn content_hash(salt: &Salt, entry: &Entry) -> ChainHash {
    FieldHasher::new(CONTENT)
        .with(salt)
        .with(&entry.payload[..])
        .with_option(entry.reason.as_deref())
        .finish()
}

/// The hash of the entry if it follows one with the hash `previous`.
fn entry_hash(previous: ChainHash, entry: &Entry, content: ChainHash) -> ChainHash {
    FieldHasher::new(ENTRY)
        .with(previous.0)
        .with(entry.offset.0.to_string())
        .with(entry.kind.name())
        .with(entry.name.to_string())
        .with(entry.time.to_string())
        .with(entry.key.as_bytes())
        .with(content.0)
        .finish()
}

/// The hash before the first entry of a journal's chain.
fn start_hash(journal: &str, offset: Offset) -> ChainHash {
    FieldHasher::new(START)
        .with(journal)
        .with(offset.0.to_string())
        .finish()
}

/// The links of these entries, which follow the entry with the hash `head`.
pub(super) fn links<'e>(head: ChainHash, entries: impl Iterator<Item = &'e Entry>) -> Vec<Link> {
    let mut previous = head;
    entries
        .map(|entry| {
            let salt: Salt = rand::random();
            let hash = entry_hash(previous, entry, content_hash(&salt, entry));
            previous = hash;
            Link { salt, hash }
        })
        .collect()
}

/// The hash that the next entry continues. Starts the chain if the file has none; `last` is its last entry.
pub(super) async fn load(connection: &mut SqliteConnection, last: Offset) -> Result<ChainHash, sqlx::Error> {
    let journal: String = sqlx::query_scalar("SELECT uuid FROM journal")
        .fetch_one(&mut *connection)
        .await?;
    sqlx::query("INSERT OR IGNORE INTO chain (id, offset, hash) VALUES (1, ?, ?)")
        .bind(last.0 as i64)
        .bind(start_hash(&journal, last).0.as_slice())
        .execute(&mut *connection)
        .await?;
    let newest = "SELECT coalesce((SELECT hash FROM entry ORDER BY offset DESC LIMIT 1), (SELECT hash FROM chain)) AS hash";
    let row = sqlx::query(newest).fetch_one(connection).await?;
    hash(row.get("hash")).ok_or_else(|| sqlx::Error::Decode("the hash of the newest entry".into()))
}

/// Moves the start of the chain to the last of the entries up to and including `upto`, which are about to be deleted.
pub(super) async fn advance(connection: &mut SqliteConnection, upto: Offset) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE chain SET offset = last.offset, hash = last.hash
         FROM (SELECT offset, hash FROM entry WHERE offset <= ? AND hash IS NOT NULL ORDER BY offset DESC LIMIT 1) last",
    )
    .bind(upto.0 as i64)
    .execute(connection)
    .await
    .map(|_| ())
}

/// A stored hash.
pub(super) fn hash(bytes: Option<&[u8]>) -> Option<ChainHash> {
    Some(ChainHash(bytes?.try_into().ok()?))
}

#[cfg(test)]
mod tests;
