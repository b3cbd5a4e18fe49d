//! What the dashboard shows: a fold of the journal and of what Kafka gives back.
//!
//! The fold follows the journal by a few milliseconds and never stands in an event's way. Its rows are
//! kept in a file of their own ([`store`]), written now and then in large strokes; after a crash the
//! entries since the last stroke are folded again, and Kafka is read from the positions of that stroke.

mod deltas;
pub mod fold;
mod folder;
mod key;
mod lately;
mod list;
mod quarters;
mod recent;
mod store;
mod upgrade;
mod words;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::Sqlite;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::bridge::readback::ReadBack;
use crate::event::Kind;
use crate::journal::{Journal, Offset, ReadError};
use crate::kafka::Positions;
use crate::sale::Currency;
use crate::sqlite::{Readers, is_damage};
use deltas::Deltas;
use fold::{Source, Totals};
pub use folder::Folder;
pub use key::Key;
pub use list::{Known, Life, Listed, Page};
pub use quarters::{Counts, QUARTER_MS};
pub use recent::{NEWEST, Recent};
use words::Words;

/// Why the projection cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ProjectionError {
    #[error("the dashboard's file could not be read: {0}")]
    Storage(#[from] sqlx::Error),
    #[error(transparent)]
    Journal(#[from] ReadError),
    #[error("the dashboard's file is damaged, or cannot be read")]
    Damaged,
    #[error("the projection has ended")]
    Ended,
}

impl ProjectionError {
    /// Whether the file may be damaged.
    fn is_damage(&self) -> bool {
        match self {
            Self::Storage(error) => is_damage(error),
            Self::Damaged => true,
            Self::Journal(_) | Self::Ended => false,
        }
    }
}

/// What the fold has come to.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// Every journal entry at or below it is in `totals`.
    pub folded: Offset,
    pub totals: Arc<Totals>,
}

/// What the fold has just changed. Every one has the next number.
#[derive(Debug)]
pub struct Delta {
    pub version: u64,
    pub change: Change,
}

#[derive(Debug)]
pub enum Change {
    /// New states, in the order of the fold.
    Sales(Vec<(Kind, Listed)>),
    /// Own events that were read back from Kafka.
    Confirmed(Vec<Confirmed>),
    /// What has changed was too much to wait for whoever shows it.
    Lost,
}

/// An own event that was seen in Kafka.
#[derive(Debug)]
pub struct Confirmed {
    pub kind: Kind,
    pub name: Box<str>,
    pub order_id: Box<str>,
    pub partition: i32,
    pub offset: i64,
}

/// A handle; cheap to clone.
#[derive(Clone)]
pub struct Projection {
    asking: mpsc::Sender<Request>,
    readers: Readers,
    journal: Journal,
    view: watch::Receiver<View>,
    recent: Arc<Mutex<Recent>>,
    deltas: broadcast::WeakSender<Arc<Delta>>,
}

fn lock(recent: &Mutex<Recent>) -> MutexGuard<'_, Recent> {
    // A panic elsewhere leaves the rows whole: every change of them is complete at once.
    recent.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Projection {
    /// The totals as they are now.
    pub fn view(&self) -> View {
        self.view.borrow().clone()
    }

    /// Looks at the newest of each kind. To be quick about: the fold waits meanwhile.
    pub fn recent<T>(&self, look: impl FnOnce(&Recent) -> T) -> T {
        look(&lock(&self.recent))
    }

    /// What changes from now on. `None` when the fold has ended.
    pub fn subscribe(&self) -> Option<broadcast::Receiver<Arc<Delta>>> {
        self.deltas.upgrade().map(|deltas| deltas.subscribe())
    }

    /// Waits until the fold has reached `offset`, for whoever wants to see what was just stored; but not
    /// long, for the event is safe whether it is shown or not.
    pub async fn reached(&self, offset: Offset) {
        let mut view = self.view.clone();
        let reached = view.wait_for(|view| view.folded >= offset);
        let _ = tokio::time::timeout(Duration::from_secs(1), reached).await;
    }

    /// Brings the file up to the fold.
    async fn flushed(&self) -> Result<(), ProjectionError> {
        self.ask(Request::Flush).await
    }

    /// Reads the file.
    async fn fetch_all(
        &self,
        query: Query<'_, Sqlite, SqliteArguments>,
    ) -> Result<Vec<SqliteRow>, ProjectionError> {
        let rows = self.readers.fetch_all(query).await;
        if rows.as_ref().is_err_and(is_damage) {
            // Full: the fold is asked again by the next reader.
            let _ = self.asking.try_send(Request::Damaged);
        }
        Ok(rows?)
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Result<T, ProjectionError> {
        let (reply, answer) = oneshot::channel();
        self.asking
            .send(request(reply))
            .await
            .map_err(|_| ProjectionError::Ended)?;
        answer.await.map_err(|_| ProjectionError::Ended)
    }
}

/// What only the fold can answer.
enum Request {
    Flush(oneshot::Sender<()>),
    /// Where the newest state of one is, without a stroke: each sale at the counter asks.
    Find(Key, oneshot::Sender<Result<Option<Source>, ProjectionError>>),
    /// The devices of a store that have a payment of this id.
    DevicesOf {
        payment_id: Arc<str>,
        store: Arc<str>,
        reply: oneshot::Sender<Result<Vec<Arc<str>>, ProjectionError>>,
    },
    /// To a reader the file seems damaged.
    Damaged,
}

/// What the fold has to know of its shop.
#[derive(Debug, Clone)]
pub struct Home {
    pub store: String,
    pub currency: Currency,
}

/// Opens the projection of a journal. `prefix` is of the Kafka topics, and `read_back` is what comes from them.
pub async fn open(
    path: &Path,
    journal: Journal,
    home: Home,
    prefix: String,
    read_back: mpsc::Receiver<Vec<ReadBack>>,
) -> Result<(Projection, Folder, Positions), ProjectionError> {
    let uuid = journal.uuid();
    let state = journal.state();
    let (store, mut at) = upgrade::open(path, &journal, &home.store).await?;
    // Entries that were pruned before they were folded here: only if this file was lost.
    at.folded = at.folded.max(Offset(state.first.0.saturating_sub(1)));
    journal.folded(at.folded);
    let (asking, requests) = mpsc::channel(16);
    let view = watch::Sender::new(View {
        folded: at.folded,
        totals: Arc::new(at.totals.clone()),
    });
    let mut recent = Recent::default();
    for kind in Kind::ALL {
        recent.fill(kind, list::newest(&store.readers, &journal, kind).await?);
    }
    recent.folded = at.folded;
    let recent = Arc::new(Mutex::new(recent));
    let deltas = Deltas::new();
    let positions = Positions::new(at.positions.clone());
    let projection = Projection {
        asking,
        readers: store.readers.clone(),
        journal: journal.clone(),
        view: view.subscribe(),
        recent: recent.clone(),
        deltas: deltas.receivers(),
    };
    let folder = Folder {
        store,
        uuid,
        requests,
        read_back,
        prefix,
        currency: home.currency,
        view,
        recent,
        deltas,
        at,
        first: state.first,
        journal,
        dirty: HashMap::new(),
        clean: HashMap::new(),
        places: Vec::new(),
        unwritten_since: None,
        unwritten_bytes: 0,
        paused_until: None,
        behind_since: None,
        words: Words::default(),
    };
    Ok((projection, folder, positions))
}

/// The kinds in the order of their codes in the file.
pub(crate) fn kind_code(kind: Kind) -> i64 {
    kind as i64
}
