//! Opens the journal: reads its state from the file and compares it with the recorded acks.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};
use std::sync::{Arc, Mutex};

use sqlx::sqlite::SqliteConnection;
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use super::ack_file::AckFile;
use super::ack_snapshot::AckSnapshot;
use super::recent_streams::RecentStreams;
use super::runs::Runs;
use super::stored_state::{self, StoredState, branch_off, identity, load, used_bytes};
use super::tail::Tail;
use super::{
    Identity, Journal, OpenError, Signing, State, Writer, command_progress, dormant, loss, schema, wal,
};

/// Most commands in the writer's queue; senders wait when it is full.
const QUEUE: usize = 16;

/// The journal's state after the checks of a start.
struct Startup {
    identity: Identity,
    signing: Signing,
    stored: StoredState,
    runs: Runs,
    bytes: u64,
}

impl Journal {
    /// Opens or creates the journal. Its writer does nothing until [`Writer::run`].
    ///
    /// # Errors
    ///
    /// The file is not a journal, is damaged or in use, was written by a newer version, or cannot be read or written.
    pub async fn open(path: &Path, max_bytes: u64) -> Result<(Journal, Writer), OpenError> {
        let mut open = schema::open(path).await?;
        let storage = |problem| OpenError::Storage {
            path: path.to_owned(),
            problem,
        };
        let mut file = AckFile::beside(path);
        let acks = file.read();
        let connection = open.writer.get().await.map_err(storage)?;
        let Startup {
            identity,
            signing,
            stored,
            runs,
            bytes,
        } = start(connection, acks.as_ref()).await.map_err(storage)?;
        let runs = Arc::new(runs);
        let (commands, receiver) = mpsc::channel(QUEUE);
        let tail = Arc::new(Tail::default());
        let state = watch::Sender::new(State {
            bytes,
            max_bytes,
            ..stored.state
        });
        let is_current = acks.as_ref().is_some_and(|acks| acks.journal == identity.uuid);
        let identity = watch::Sender::new(identity);
        let accepts_unsigned = Arc::new(AtomicBool::new(signing.accepts_unsigned_watermark));
        let signing = watch::Sender::new(signing);
        let folded = Arc::new(AtomicU64::new(0));
        let archived = Arc::new(AtomicU64::new(u64::MAX));
        let path = Arc::new(path.to_owned());
        let journal = Journal {
            path: Arc::clone(&path),
            commands: commands.clone(),
            readers: open.readers.clone(),
            tail: tail.clone(),
            state: state.subscribe(),
            identity: identity.subscribe(),
            signing: signing.subscribe(),
            accepts_unsigned: accepts_unsigned.clone(),
            opened_at: stored.state.last,
            runs: runs.clone(),
            reported: Arc::new(AtomicU64::new(stored.state.watermark.0)),
            reported_payments: Arc::new(AtomicU64::new(stored.state.payments.0)),
            own_in_kafka: Arc::new(AtomicU64::new(0)),
            read_from: Arc::new(AtomicI64::new(stored.read_from)),
            folded: folded.clone(),
            archived: archived.clone(),
            refusals: stored.streams.refusals.clone(),
        };
        let writer = Writer {
            path,
            connection: open.writer,
            readers: open.readers,
            commands: receiver,
            own_commands: commands.downgrade(),
            tail,
            state,
            identity,
            signing,
            accepts_unsigned,
            runs,
            folded,
            archived,
            recent: RecentStreams::new(acks.unwrap_or_default(), &stored.streams),
            streams: stored.streams,
            chain_head: stored.chain_head,
            ack_file: Arc::new(Mutex::new(file)),
            report: None,
            command_progress: None,
            outage: None,
            _lock: open.lock,
        };
        if !is_current {
            writer.write_ack_file().await;
        }
        Ok((journal, writer))
    }
}

async fn start(
    connection: &mut SqliteConnection,
    acks: Option<&AckSnapshot>,
) -> Result<Startup, sqlx::Error> {
    let mut identity = identity(connection).await?;
    let mut stored = load(connection).await?;
    let is_copy = schema::is_copy(connection).await?;
    if let Some(acks) = acks {
        dormant::revive_acked(connection, &mut stored.streams, acks).await?;
        loss::detect(connection, acks, &mut stored, &mut identity, is_copy).await?;
    }
    let last = stored.state.last;
    if is_copy {
        let parent = identity.uuid;
        identity = branch_off(connection, last, stored.streams.highest_own()).await?;
        command_progress::delete_positions(connection).await?;
        info!(
            parent,
            uuid = identity.uuid,
            last = last.0,
            "this journal is a restored backup: it branches off the original"
        );
    }
    let runs = Runs::begin(connection, last).await?;
    // Checkpoints, so that the identity cannot be lost with the WAL.
    if let Err(error) = wal::checkpoint(connection).await {
        warn!(%error, "the checkpoint of the journal's WAL failed; a later commit repeats it");
    }
    let bytes = used_bytes(connection).await?;
    Ok(Startup {
        identity,
        signing: stored_state::signing(connection).await?,
        stored,
        runs,
        bytes,
    })
}
