//! The journal: a SQLite file that holds every event from its arrival until it is in Kafka.
//!
//! # Constraints
//!
//! * An event may be acked only when it is committed *and* fsynced: WAL with `synchronous=FULL`.
//! * SQLite has one writer at a time, so the journal has one writer task with one connection; the
//!   readers (bridge, projection, HTTP) have read-only connections and short transactions, or the WAL
//!   would never shrink.
//! * An SD card wears: an entry is written once, in order, and never updated. What changes with every
//!   event (which numbers are settled) is one small row per device, written once per group commit.
//!
//! # Format
//!
//! See `migrations/journal`. [`Offset`] 1, 2, 3 … without holes. Kafka gets the payload byte for byte.
//!
//! # Write
//!
//! [`Journal::append`] hands a batch to the writer and waits. The writer takes everything that has
//! arrived meanwhile into one transaction (group commit): one fsync for many when there is much, none
//! delayed when there is little. A name that the journal already has is not written again.
//!
//! # Read
//!
//! [`Journal::read`] gives the entries after an offset; the newest come from memory (a bounded tail), so
//! the bridge and the projection do not read back from disk what was written a moment ago.
//!
//! # Errors of the disk
//!
//! After any error the connection is replaced, and the writer's memory is made of what the file says then ([`mend`]). How
//! far events are acked also stands in a small file of its own ([`acked`]), by which a start sees what a damaged WAL lacks
//! ([`loss`]). See docs/adr/0007-acked-beside-the-wal.md.
//!
//! # Delete
//!
//! The front is pruned when the file nears `max_bytes`, and never beyond what is in Kafka and folded into
//! the projection. At `max_bytes` with nothing to prune, `append` refuses: nothing is ever dropped.

mod acked;
mod group;
mod loss;
mod mend;
mod newest;
mod opening;
mod payload;
mod positions;
mod read;
mod reused;
mod runs;
mod schema;
mod stored;
pub mod stream;
mod tail;
mod transaction;
mod waiting;
mod wal;
mod writer;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{mpsc, oneshot, watch};

use crate::event::{DeviceId, EventName, Kind};
use crate::kafka::PositionTable;
use crate::sqlite::Readers;
use acked::Acked;
pub use payload::Payload;
pub use read::{BackupError, DeadLetter, DeviceReport, StreamReport, dead_letters_of};
pub use runs::Runs;
pub use schema::{OpenError, schema_version};
pub use stream::Discipline;
use tail::Tail;
pub use writer::Writer;

/// A position in the journal: 1, 2, 3 … without holes. 0 is before everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub u64);

/// What an entry holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    Event(Kind),
    /// What could not be decoded, whole.
    DeadLetter,
}

impl EntryKind {
    fn code(self) -> i64 {
        match self {
            EntryKind::Event(Kind::Order) => 0,
            EntryKind::Event(Kind::Payment) => 1,
            EntryKind::Event(Kind::Delivery) => 2,
            EntryKind::DeadLetter => DEAD_LETTER,
        }
    }

    fn from_code(code: i64) -> Option<Self> {
        match code {
            0 => Some(EntryKind::Event(Kind::Order)),
            1 => Some(EntryKind::Event(Kind::Payment)),
            2 => Some(EntryKind::Event(Kind::Delivery)),
            DEAD_LETTER => Some(EntryKind::DeadLetter),
            _ => None,
        }
    }
}

const DEAD_LETTER: i64 = 3;

/// One committed event.
#[derive(Debug, Clone)]
pub struct Entry {
    pub offset: Offset,
    pub kind: EntryKind,
    pub name: EventName,
    /// When it happened, Unix ms.
    pub time: i64,
    /// Kafka's key: the order_id. Of a dead letter: the MQTT topic it came on.
    pub key: Arc<str>,
    /// Kafka's value.
    pub payload: Payload,
    /// Of a dead letter: why.
    pub reason: Option<Box<str>>,
}

/// How a device encodes, and so how it wants its acks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Postcard {
        /// The one that it writes; never 0.
        version: u8,
    },
    Json,
}

impl Encoding {
    /// As the table `device` has it. JSON was there before a second version was thought of.
    fn code(self) -> i64 {
        match self {
            Encoding::Postcard { version: 1 } => 0,
            Encoding::Json => 1,
            Encoding::Postcard { version } => i64::from(version),
        }
    }

    fn from_code(code: i64) -> Self {
        match u8::try_from(code) {
            Ok(0) => Encoding::Postcard { version: 1 },
            Ok(version) if version > 1 => Encoding::Postcard { version },
            _ => Encoding::Json,
        }
    }
}

/// Who numbers an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbering {
    /// The terminal. `oldest` is the lowest number it still holds, 0 if it did not say.
    Terminal {
        epoch: u32,
        seq: u32,
        oldest: u32,
        discipline: Discipline,
        /// Of what a JSON device says, its number and its oldest apart: by this a redelivery is told from another sale
        /// under a used number. A binary till's event has none.
        digest: Option<i64>,
    },
    /// The gateway, because it came without a number. With a fingerprint, the same one again is the same
    /// event.
    Gateway { fingerprint: Option<[u8; 16]> },
}

/// An event on its way into the journal.
#[derive(Debug, Clone)]
pub struct Submission {
    pub device: DeviceId,
    /// `None`: no terminal sent it, nobody waits for an ack.
    pub encoding: Option<Encoding>,
    pub numbering: Numbering,
    pub kind: EntryKind,
    pub time: i64,
    pub key: Arc<str>,
    pub payload: Payload,
    pub reason: Option<Box<str>>,
}

/// What became of one [`Submission`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Stored(Offset, EventName),
    /// The journal had its name, or its fingerprint.
    Duplicate,
    /// Not taken yet: numbers before it are missing. It waits for them in memory, and is not acked.
    AheadOfGap,
}

/// All of a device's numbers up to and including `seq` are safe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceAck {
    pub device: DeviceId,
    pub encoding: Encoding,
    pub epoch: u32,
    pub seq: u32,
}

/// The answer to one [`Journal::append`], given only after commit and fsync.
#[derive(Debug, Clone, Default)]
pub struct Receipt {
    /// In the order of the batch.
    pub outcomes: Vec<Outcome>,
    /// Events of earlier batches that had waited for one of these.
    pub after_gap: u64,
    /// One for each device and epoch of the batch that a terminal waits for.
    pub acks: Vec<DeviceAck>,
}

/// Why a batch was not taken. Nothing of it is in the journal, except where a variant says that it may be.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    #[error("the journal is full: {bytes} of {max_bytes} bytes, and nothing of it is in Kafka yet")]
    Full { bytes: u64, max_bytes: u64 },
    #[error("the journal could not be written: {0}")]
    Storage(Arc<sqlx::Error>),
    /// COMMIT itself failed: the batch may be in the journal once that is opened again.
    #[error("the journal did not confirm the write: {0}; what was sent may have been stored")]
    InDoubt(Arc<sqlx::Error>),
    #[error("the journal is closed")]
    Closed,
    /// The batch may be in the journal.
    #[error("the journal was closed before it confirmed the write")]
    Unanswered,
}

/// Why the journal could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("the journal could not be read: {0}")]
    Storage(#[from] sqlx::Error),
    #[error("entry {offset} of the journal holds no {what}")]
    Damaged { offset: u64, what: &'static str },
}

/// How full the journal is, and what waits in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct State {
    pub first: Offset,
    pub last: Offset,
    /// Everything at or below it is in Kafka. Ours: not Kafka's high watermark.
    pub watermark: Offset,
    /// Bytes in use, and the limit.
    pub bytes: u64,
    pub max_bytes: u64,
    /// Nothing more is accepted until there is room (or the disk works) again.
    pub refusing: bool,
    pub dead_letters: u64,
    pub duplicates: u64,
    /// Events that were acked and have since been lost with a part of the journal's files.
    pub lost: u64,
    /// Since the start: came under a number that had been used for another sale, and were kept.
    pub reused: u64,
    /// Sum of the group commits since the start, and of their entries.
    pub commits: u64,
    pub committed: u64,
}

impl State {
    pub fn pending(&self) -> u64 {
        self.last.0.saturating_sub(self.watermark.0)
    }

    pub fn events(&self) -> u64 {
        (self.last.0 + 1).saturating_sub(self.first.0)
    }
}

/// Which journal this is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity {
    uuid: String,
    /// The journal that this is a copy of, and up to which entry.
    parent: Option<(String, Offset)>,
    /// The gateway's own numbers begin above it.
    own_floor: u32,
}

/// The bridge's report to the journal after a committed transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relayed {
    pub upto: Offset,
    /// An offset of Kafka's watermark topic: our records before it say nothing newer than `upto`.
    pub read_from: i64,
    /// The entries that are in Kafka since the last report, by device and epoch.
    pub counts: HashMap<(DeviceId, u32), u64>,
}

impl Relayed {
    fn merge(&mut self, later: Relayed) {
        self.upto = later.upto;
        self.read_from = later.read_from;
        for (stream, count) in later.counts {
            *self.counts.entry(stream).or_insert(0) += count;
        }
    }
}

enum Command {
    Append {
        batch: Vec<Submission>,
        reply: oneshot::Sender<Result<Receipt, AppendError>>,
    },
    Relayed(Relayed),
    /// Makes what was reported durable, if it is not yet.
    Settle(oneshot::Sender<()>),
    /// The journal is a copy, or forked from what Kafka has: it is another journal from now on.
    BranchOff(Offset, oneshot::Sender<Result<Identity, AppendError>>),
    Retried(Offset),
    /// How far events are acked now.
    Acked(oneshot::Sender<Acked>),
    /// Of the commands, in place of all before.
    KeepPositions(PositionTable),
    Close(oneshot::Sender<()>),
}

/// A handle to the journal; cheap to clone.
#[derive(Clone)]
pub struct Journal {
    path: Arc<PathBuf>,
    commands: mpsc::Sender<Command>,
    readers: Readers,
    tail: Arc<Tail>,
    state: watch::Receiver<State>,
    identity: watch::Receiver<Identity>,
    runs: Arc<Runs>,
    /// The bridge's last report, before the writer has made it durable.
    relayed: Arc<watch::Sender<Offset>>,
    read_from: Arc<std::sync::atomic::AtomicI64>,
    /// What the projection has folded: entries above it are not pruned.
    folded: Arc<AtomicU64>,
}

impl Journal {
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Whether there is a journal at `path`, or one would be made; an error where there is something else.
    pub async fn is_at(path: &std::path::Path) -> Result<bool, OpenError> {
        schema::is_there(path).await
    }

    /// Under which Kafka has this journal's watermark.
    pub fn uuid(&self) -> String {
        self.identity.borrow().uuid.clone()
    }

    /// Whose copy this is, and up to which entry it is the same.
    pub fn parent(&self) -> Option<(String, Offset)> {
        self.identity.borrow().parent.clone()
    }

    /// Which entries were taken in when.
    pub fn runs(&self) -> &Runs {
        &self.runs
    }

    pub fn state(&self) -> State {
        let mut state = *self.state.borrow();
        state.watermark = state.watermark.max(*self.relayed.borrow());
        state
    }

    /// Changes with every commit.
    pub fn watch(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Changes when the bridge has moved.
    pub fn watch_watermark(&self) -> watch::Receiver<Offset> {
        self.relayed.subscribe()
    }

    /// Where to begin reading Kafka's watermark topic.
    pub fn read_from(&self) -> i64 {
        self.read_from.load(Ordering::Relaxed)
    }

    /// Commits a batch and fsyncs it. The future may be dropped; the batch is written all the same.
    pub async fn append(&self, batch: Vec<Submission>) -> Result<Receipt, AppendError> {
        match self.submit(batch).await {
            Ok(receipt) => receipt.await.unwrap_or(Err(AppendError::Unanswered)),
            Err(error) => Err(error),
        }
    }

    /// Like [`Journal::append`], but returns when the batch is in the writer's queue, so that the caller
    /// can prepare the next one. Waits while the queue is full.
    pub async fn submit(
        &self,
        batch: Vec<Submission>,
    ) -> Result<oneshot::Receiver<Result<Receipt, AppendError>>, AppendError> {
        let (reply, receipt) = oneshot::channel();
        self.commands
            .send(Command::Append { batch, reply })
            .await
            .map_err(|_| AppendError::Closed)?;
        Ok(receipt)
    }

    /// Moves the watermark. Durable with the next commit: until then Kafka's own record of it counts.
    pub async fn relayed(&self, relayed: Relayed) {
        self.relayed
            .send_if_modified(|at| std::mem::replace(at, relayed.upto.max(*at)) < relayed.upto);
        self.read_from.store(relayed.read_from, Ordering::Relaxed);
        // Closed: the gateway is ending, and Kafka has the watermark.
        let _ = self.commands.send(Command::Relayed(relayed)).await;
    }

    /// Waits until [`Journal::devices`] knows all that the bridge has reported so far.
    pub async fn settled(&self) {
        let (reply, done) = oneshot::channel();
        if self.commands.send(Command::Settle(reply)).await.is_ok() {
            // Dropped: the gateway is ending.
            let _ = done.await;
        }
    }

    /// Gives the journal a new identity, under which Kafka has no watermark yet. Up to and including `upto` it is the one
    /// that it was.
    pub async fn branch_off(&self, upto: Offset) -> Result<(), AppendError> {
        let (reply, done) = oneshot::channel();
        self.commands
            .send(Command::BranchOff(upto, reply))
            .await
            .map_err(|_| AppendError::Closed)?;
        done.await.unwrap_or(Err(AppendError::Closed)).map(|_| ())
    }

    /// Notes that a dead letter has been taken in after all.
    pub async fn retried(&self, offset: Offset) {
        // Closed: the dead letter stays listed, and a second retry is a duplicate.
        let _ = self.commands.send(Command::Retried(offset)).await;
    }

    /// Lets the journal prune up to and including `offset`, as far as the projection is concerned.
    pub fn folded(&self, offset: Offset) {
        self.folded.fetch_max(offset.0, Ordering::Relaxed);
    }

    /// Waits until the journal accepts again.
    pub async fn accepting(&self) {
        // Closed: nothing will accept; the caller finds out at its next append.
        let _ = self
            .state
            .clone()
            .wait_for(|state| !state.refusing)
            .await
            .map(|_| ());
    }

    /// Ends the writer after what is queued, and folds the WAL into the file.
    pub async fn close(&self) {
        // The last connection to close folds the WAL, and only the writer's can.
        self.readers.close().await;
        let (reply, done) = oneshot::channel();
        if self.commands.send(Command::Close(reply)).await.is_ok() {
            let _ = done.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoding_is_read_back_as_it_was_written() {
        for version in 1..0x20 {
            let encoding = Encoding::Postcard { version };
            assert_eq!(Encoding::from_code(encoding.code()), encoding);
        }
        assert_eq!(Encoding::from_code(Encoding::Json.code()), Encoding::Json);
        // As the first schema has it.
        assert_eq!(
            (Encoding::Postcard { version: 1 }.code(), Encoding::Json.code()),
            (0, 1)
        );
    }
}
