//! Opening the journal: what its file says, compared with what was acked.

use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Arc, Mutex};

use sqlx::sqlite::SqliteConnection;
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use super::acked::{self, Acked, AckedFile};
use super::newest::Newest;
use super::runs::Runs;
use super::stored::{Loaded, branch_off, identity, load, used_bytes};
use super::tail::Tail;
use super::{Identity, Journal, OpenError, State, Writer, loss, positions, schema, wal};

/// Batches waiting for the writer; a sender waits beyond that.
const QUEUE: usize = 16;

/// What the file says.
struct Start {
    identity: Identity,
    loaded: Loaded,
    runs: Runs,
    bytes: u64,
}

impl Journal {
    /// Opens or creates the journal and its writer, which does nothing until [`Writer::run`].
    ///
    /// # Errors
    ///
    /// The file is not a journal of this or an earlier version, is damaged or in use, or cannot be read or written.
    pub async fn open(path: &Path, max_bytes: u64) -> Result<(Journal, Writer), OpenError> {
        let mut opened = schema::open(path).await?;
        let storage = |problem| OpenError::Storage {
            path: path.to_owned(),
            problem,
        };
        let mut file = AckedFile::beside(path);
        let acked = file.read();
        let connection = opened.writer.get().await.map_err(storage)?;
        let Start {
            identity,
            loaded,
            runs,
            bytes,
        } = start(connection, acked.as_ref()).await.map_err(storage)?;
        let runs = Arc::new(runs);
        let (commands, receiver) = mpsc::channel(QUEUE);
        let tail = Arc::new(Tail::default());
        let state = watch::Sender::new(State {
            bytes,
            max_bytes,
            ..loaded.state
        });
        let is_current = acked.as_ref().is_some_and(|acked| acked.journal == identity.uuid);
        let identity = watch::Sender::new(identity);
        let relayed = Arc::new(watch::Sender::new(loaded.state.watermark));
        let folded = Arc::new(AtomicU64::new(0));
        let path = Arc::new(path.to_owned());
        let journal = Journal {
            path: Arc::clone(&path),
            commands: commands.clone(),
            readers: opened.readers.clone(),
            tail: tail.clone(),
            state: state.subscribe(),
            identity: identity.subscribe(),
            runs: runs.clone(),
            relayed,
            read_from: Arc::new(AtomicI64::new(loaded.read_from)),
            folded: folded.clone(),
        };
        let writer = Writer {
            path,
            connection: opened.writer,
            readers: opened.readers,
            commands: receiver,
            own: commands.downgrade(),
            tail,
            state,
            identity,
            runs,
            folded,
            newest: Newest::of(acked.unwrap_or_default(), &loaded.known),
            known: loaded.known,
            acked: Arc::new(Mutex::new(file)),
            report: None,
            command_positions: None,
            broken: None,
            _lock: opened.lock,
        };
        if !is_current {
            writer.write_acked().await;
        }
        Ok((journal, writer))
    }
}

async fn start(connection: &mut SqliteConnection, acked: Option<&Acked>) -> Result<Start, sqlx::Error> {
    let mut identity = identity(connection).await?;
    let mut loaded = load(connection).await?;
    let is_copy = schema::is_copy(connection).await?;
    if let Some(acked) = acked {
        loss::find(connection, acked, &mut loaded, &mut identity, is_copy).await?;
    }
    let last = loaded.state.last;
    if is_copy {
        let parent = identity.uuid;
        identity = branch_off(connection, last, loaded.known.highest_own()).await?;
        positions::forget(connection).await?;
        info!(
            parent,
            uuid = identity.uuid,
            last = last.0,
            "a copy of a journal (a restored backup): it goes on as a journal of its own"
        );
    }
    let runs = Runs::begin(connection, last).await?;
    // Who this journal is must not share the fate of the WAL.
    if let Err(error) = wal::fold(connection).await {
        warn!(%error, "the journal's WAL could not be folded into the file; it is tried again as events come");
    }
    let bytes = used_bytes(connection).await?;
    Ok(Start {
        identity,
        loaded,
        runs,
        bytes,
    })
}

impl Writer {
    /// How far events are acked now.
    pub(super) fn acked_now(&self) -> Acked {
        let last = self.state.borrow().last;
        Acked {
            journal: self.identity.borrow().uuid.clone(),
            run: self.runs.of(last).unwrap_or_default().to_owned(),
            last: last.0,
            streams: self.newest.streams(&self.known),
        }
    }

    /// Writes it at once.
    pub(super) async fn write_acked(&self) {
        let (file, acked) = (Arc::clone(&self.acked), self.acked_now());
        let written = tokio::task::spawn_blocking(move || acked::lock(&file).write(&acked)).await;
        if let Ok(Err(error)) = written {
            warn!(%error, "how far events are acked could not be written beside the journal");
        }
    }
}
