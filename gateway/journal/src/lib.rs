//! The journal: a SQLite file that holds every event from its arrival until it is in Kafka.
//!
//! # Constraints
//!
//! * An event may be acked only when it is committed *and* fsynced: WAL with `synchronous=FULL`.
//! * SQLite allows one writer at a time, so the journal has one writer task with one connection. The readers (bridge,
//!   projection, HTTP) have read-only connections and short transactions: a long one would keep the WAL from shrinking.
//! * SD cards wear out, so an entry is written once, in sequence, and never updated. The state that changes with every
//!   event (the settled numbers of a device) is one small row per stream, written once per group commit.
//!
//! # Format
//!
//! See `migrations`. [`Offset`]s count 1, 2, 3 … without holes. Kafka receives the payload byte for byte.
//!
//! # Write
//!
//! [`Journal::append`] passes a batch to the writer and waits. The writer collects everything that has arrived in the
//! meantime into one transaction (group commit): under load many events share an fsync, and a single event is not
//! delayed. An event whose name the journal already has is not written again.
//!
//! # Read
//!
//! [`Journal::read`] returns the entries after an offset. The newest come from memory (`tail`, bounded), so that the
//! bridge and the projection do not read recent writes from disk.
//!
//! # Disk errors
//!
//! After any error the writer replaces its connection and rebuilds its memory from the file (`outage`). A small
//! separate file records how far events are acked (`ack_file`); at the next start it reveals what a damaged WAL has
//! lost (`loss`). See `docs/adr/0007-acked-beside-the-wal.md`.
//!
//! # Erasure
//!
//! An entry changes only to erase personal data from it (`rewrite`), and only after it is in Kafka.
//!
//! # Chain
//!
//! Each entry holds a hash of itself and of its predecessor (`chain`). `archive` reads entries with their hashes, for
//! commands beside a running gateway. See `docs/adr/0026-proof.md`.
//!
//! # Deletion
//!
//! When the file approaches `max_bytes`, the writer prunes its oldest entries, but only those that are in Kafka and in
//! the projection. At `max_bytes` with nothing to prune, `append` fails: no event is ever dropped.

mod ack_file;
mod ack_snapshot;
mod archive;
mod backup;
pub mod batch_statement;
mod chain;
mod closings;
mod command_progress;
mod commit;
mod dead_letters;
mod dormant;
mod entry;
mod fingerprints;
mod group;
mod journal;
mod loss;
mod opening;
mod outage;
mod payload;
mod pending;
mod prune;
mod read;
mod recent_streams;
mod refusals;
mod reorder;
mod reports;
mod reused;
mod rewrite;
mod runs;
mod schema;
pub mod sqlite;
mod state;
mod stored_state;
mod stream;
mod streams;
mod submission;
mod tail;
mod transaction;
mod wal;
mod writer;

pub use archive::{ChainReader, ChainReaderError, ChainSummary};
pub use backup::BackupError;
pub use chain::{ChainError, ChainPoint, ChainWalk, ChainedEntry, Salt};
pub use closings::{StoredClosing, UncoveredNumbers};
pub use command_progress::CommandProgress;
pub use comptoir_core::Offset;
pub use dead_letters::{DeadLetter, DeadLetterSummary, SUMMARY_BYTES, dead_letter_of, dead_letters_of};
pub use dormant::Forgotten;
pub use entry::{AuditClass, Encoding, Entry, EntryKind};
pub use journal::Journal;
pub use payload::Payload;
pub use pending::Pending;
pub use read::ReadError;
pub use refusals::{Refusal, RefusalReport};
pub use reports::{DeviceReport, StreamReport};
pub use rewrite::{MAX_REWRITES, Rewrite, set_secure_delete};
pub use runs::Runs;
pub use schema::{OpenError, schema_version};
pub use state::{RelayReport, Relayed, RelayedCounts, Signing, State};
pub use stream::{Discipline, SeqRange};
pub use submission::{AppendError, DeviceAck, Numbering, Outcome, Receipt, Submission};
pub use writer::Writer;

use journal::Command;
use state::Identity;
