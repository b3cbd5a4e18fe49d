//! The read model of the pages: rows and totals, folded from the journal and from the records read back from Kafka.
//!
//! The fold is a few milliseconds behind the journal, and no event waits for it. The rows are in their own SQLite file
//! (`store`), which is written in large batches at intervals. After a crash the entries since the last flush are folded
//! again, and Kafka is read from the positions of that flush.

mod authority;
mod day;
mod deltas;
mod fact;
mod fold;
mod history;
mod interner;
mod kept_apart;
mod key;
mod ledger;
mod list;
mod own_events;
pub mod personal;
mod projector;
mod quarters;
mod recent;
mod refunds;
mod row;
mod sale_rows;
mod sale_state;
mod search;
mod search_words;
mod shops;
mod store;
mod totals;
mod upgrade;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Row as _, Sqlite};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

pub use authority::Correction;
use comptoir_core::event::Kind;
use comptoir_core::record::{BridgeReport, PartitionOffset};
use comptoir_core::sale::Currency;
use comptoir_journal::sqlite::{Readers, is_damage};
use comptoir_journal::{Journal, Offset, ReadError};
use comptoir_kafka::Positions;
pub use day::DayRows;
use deltas::Deltas;
pub use history::OrderHistory;
use interner::Interner;
pub use kept_apart::KeptApart;
pub use key::Key;
pub use ledger::Ledger;
pub use list::{Cursor, Freshness, ListFilter, ListOrder, Lookup, Page, ShopFilter};
use personal::ForeignScope;
pub use projector::Projector;
pub use quarters::{Counts, QUARTER_MS};
pub use recent::{NEWEST, RecentSales};
pub use refunds::{Refund, Refunds};
use row::Row;
pub use sale_state::SaleState;
pub use search::SearchStep;
pub use search_words::SearchWords;
pub use totals::Totals;

/// Errors of reading the projection.
#[derive(Debug, thiserror::Error)]
pub enum ProjectionError {
    #[error("the projection's file could not be read: {0}")]
    Storage(#[from] sqlx::Error),
    #[error(transparent)]
    Journal(#[from] ReadError),
    #[error("the projection's file is damaged or cannot be read")]
    Damaged,
    #[error("the projection has stopped")]
    Ended,
    #[error("the projection is behind the journal")]
    Behind,
}

impl ProjectionError {
    /// Whether the error indicates a damaged file.
    fn is_damage(&self) -> bool {
        match self {
            Self::Storage(error) => is_damage(error),
            Self::Damaged => true,
            Self::Journal(_) | Self::Ended | Self::Behind => false,
        }
    }
}

/// The totals at one moment.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// The last journal entry that `totals` include.
    pub folded: Offset,
    pub totals: Arc<Totals>,
}

/// A change of the projection.
#[derive(Debug)]
pub struct Delta {
    /// Deltas are numbered 1, 2, 3 …
    pub version: u64,
    pub change: Change,
}

#[derive(Debug)]
pub enum Change {
    /// New states, in the order of the fold.
    Sales(Vec<(Kind, SaleState)>),
    /// Own events that are in Kafka.
    Confirmed(Vec<Confirmation>),
    /// The change was too large to queue for slow receivers, or the content of earlier events has changed.
    Lost,
}

/// Confirms an own event that is in Kafka.
#[derive(Debug)]
pub struct Confirmation {
    pub kind: Kind,
    pub name: Box<str>,
    pub order_id: Box<str>,
    pub place: PartitionOffset,
}

/// A handle to the projection. Cheap to clone.
#[derive(Clone)]
pub struct Projection {
    requests: mpsc::Sender<Request>,
    readers: Readers,
    journal: Journal,
    view: watch::Receiver<View>,
    recent: Arc<Mutex<RecentSales>>,
    deltas: broadcast::WeakSender<Arc<Delta>>,
    /// Records of another journal about this gateway's own sales.
    pub kept_apart: KeptApart,
}

fn lock(recent: &Mutex<RecentSales>) -> MutexGuard<'_, RecentSales> {
    // The rows are consistent even if a thread panicked while it held the lock.
    recent.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Projection {
    /// The current totals.
    pub fn view(&self) -> View {
        self.view.borrow().clone()
    }

    /// The last journal entry whose place in Kafka is in the file.
    ///
    /// # Errors
    /// The file could not be read.
    pub async fn placed_upto(&self) -> Result<Offset, ProjectionError> {
        let rows = self
            .fetch_all(sqlx::query("SELECT coalesce(max(entry), 0) AS entry FROM place"))
            .await?;
        Ok(Offset(
            rows.first().map_or(0, |row| row.get::<i64, _>("entry")) as u64
        ))
    }

    /// The names of the other shops whose sales were read from Kafka.
    ///
    /// # Errors
    /// The projection has ended.
    pub async fn other_shops(&self) -> Result<Vec<Arc<str>>, ProjectionError> {
        self.ask(Request::Shops).await
    }

    /// The totals of another shop; `None` if nothing of it was read.
    ///
    /// # Errors
    /// The projection has ended.
    pub async fn totals_of(&self, store: &str) -> Result<Option<Totals>, ProjectionError> {
        self.ask(|reply| Request::TotalsOf(store.into(), reply)).await
    }

    /// Gives `look` access to the newest rows of each kind. It must be quick, because the fold waits for it.
    pub fn recent<T>(&self, look: impl FnOnce(&RecentSales) -> T) -> T {
        look(&lock(&self.recent))
    }

    /// Subscribes to future changes. `None` if the projection has stopped.
    pub fn subscribe(&self) -> Option<broadcast::Receiver<Arc<Delta>>> {
        self.deltas.upgrade().map(|deltas| deltas.subscribe())
    }

    /// Waits until `offset` is folded, for a caller that wants to see what it has just stored. Gives up after a second:
    /// the event is safe whether it is shown or not.
    pub async fn wait_until_folded(&self, offset: Offset) {
        let mut view = self.view.clone();
        let reached = view.wait_for(|view| view.folded >= offset);
        let _ = tokio::time::timeout(Duration::from_secs(1), reached).await;
    }

    /// Waits until the projector has processed its queue up to this call. Never returns if the projector has ended.
    pub async fn ping(&self) {
        if self.ask(Request::Ping).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Writes all folded changes to the file.
    ///
    /// # Errors
    /// The projection has ended.
    pub async fn flush(&self) -> Result<(), ProjectionError> {
        self.ask(Request::Flush).await
    }

    /// Runs a query on the file.
    async fn fetch_all(
        &self,
        query: Query<'_, Sqlite, SqliteArguments>,
    ) -> Result<Vec<SqliteRow>, ProjectionError> {
        let rows = self.readers.fetch_all(query).await;
        if rows.as_ref().is_err_and(is_damage) {
            // If the queue is full, the next reader reports the damage.
            let _ = self.requests.try_send(Request::Damaged);
        }
        Ok(rows?)
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Result<T, ProjectionError> {
        let (reply, answer) = oneshot::channel();
        self.requests
            .send(request(reply))
            .await
            .map_err(|_| ProjectionError::Ended)?;
        answer.await.map_err(|_| ProjectionError::Ended)
    }
}

/// A request to the projector.
enum Request {
    /// Checks that the projector still works.
    Ping(oneshot::Sender<()>),
    Flush(oneshot::Sender<()>),
    /// Finds the newest state of a sale without a flush, because every sale at the counter needs it.
    Find(Key, oneshot::Sender<Result<Option<Row>, ProjectionError>>),
    /// Lists the devices of a store that have a payment with this id.
    DevicesOf {
        payment_id: Arc<str>,
        store: Arc<str>,
        reply: oneshot::Sender<Result<Vec<Arc<str>>, ProjectionError>>,
    },
    /// Erases personal data from other gateways' events.
    EraseForeign(ForeignScope, oneshot::Sender<Result<u64, ProjectionError>>),
    /// Notes that an erasure is about to rewrite these orders, named by store and id, and their deliveries.
    BeginErasure(
        Arc<HashSet<(String, String)>>,
        oneshot::Sender<Result<(), ProjectionError>>,
    ),
    /// Removes the former words of these orders, and of their deliveries, from the search index.
    EndErasure(
        Arc<HashSet<(String, String)>>,
        oneshot::Sender<Result<(), ProjectionError>>,
    ),
    /// Rereads the newest rows and notifies live connections, because the content of events has changed.
    Reload(oneshot::Sender<Result<(), ProjectionError>>),
    /// The names of the other shops.
    Shops(oneshot::Sender<Vec<Arc<str>>>),
    /// The totals of another shop.
    TotalsOf(Arc<str>, oneshot::Sender<Option<Totals>>),
    /// The rows of a period (Unix milliseconds, without its end) and the ledger, at the same moment.
    Day((i64, i64), oneshot::Sender<Result<DayRows, ProjectionError>>),
    /// What no closing has counted yet.
    Ledger(oneshot::Sender<Ledger>),
    /// Reports that the file seems damaged.
    Damaged,
}

/// The gateway's own shop.
#[derive(Debug, Clone)]
pub struct Home {
    pub store: String,
    pub currency: Currency,
    /// The time zone in which its days begin.
    pub time_zone: TimeZone,
}

/// Opens the projection of a journal. `prefix` is the prefix of the Kafka topics; `bridge` reports which events are in
/// Kafka.
///
/// # Errors
///
/// The projection's file could not be opened or created, or the journal could not be read.
pub async fn open(
    path: &Path,
    journal: Journal,
    home: Home,
    prefix: String,
    bridge: mpsc::Receiver<BridgeReport>,
) -> Result<(Projection, Projector, Positions), ProjectionError> {
    let uuid = journal.uuid();
    let state = journal.state();
    let (mut store, mut progress) = upgrade::open(path, &journal, &home).await?;
    store.open_search(&home.time_zone).await?;
    let closing = journal.newest_closing().await?;
    let mut ledger = match progress.ledger.take() {
        Some(ledger) => ledger,
        None if progress.folded == Offset(0) => Ledger::begin(closing.as_ref()),
        None => {
            store
                .ledger_of_payments(&progress.totals, &home.time_zone)
                .await?
        }
    };
    ledger.skip(progress.folded, state.first);
    // If this file was lost, entries that have since been pruned can no longer be folded.
    progress.folded = progress.folded.max(Offset(state.first.0.saturating_sub(1)));
    journal.mark_folded(progress.folded);
    let (sender, requests) = mpsc::channel(16);
    let view = watch::Sender::new(View {
        folded: progress.folded,
        totals: Arc::new(progress.totals.clone()),
    });
    let mut recent = RecentSales::default();
    for kind in Kind::ALL {
        let (newest, has_older) = list::newest(&store.readers, &journal, kind).await?;
        recent.fill(kind, newest, has_older);
    }
    recent.folded = progress.folded;
    let recent = Arc::new(Mutex::new(recent));
    let deltas = Deltas::new();
    let positions = Positions::new(progress.positions.clone());
    let projection = Projection {
        requests: sender,
        readers: store.readers.clone(),
        journal: journal.clone(),
        view: view.subscribe(),
        recent: recent.clone(),
        deltas: deltas.receivers(),
        kept_apart: KeptApart::default(),
    };
    let written_seq = progress.next_seq;
    let projector = Projector {
        store,
        uuid,
        requests,
        bridge,
        prefix,
        currency: home.currency,
        view,
        recent,
        deltas,
        progress,
        first: state.first,
        kept_apart: projection.kept_apart.clone(),
        journal,
        dirty: HashMap::new(),
        clean: HashMap::new(),
        places: Vec::new(),
        corrections: Vec::new(),
        unwritten_since: None,
        // An upgrade, or an erasure that was cut off, may have left something to index.
        index_due: Some(Instant::now()),
        written_seq,
        unwritten_bytes: 0,
        paused_until: None,
        failing_since: None,
        interner: Interner::default(),
        home: home.store.into(),
        time_zone: home.time_zone,
        ledger,
    };
    Ok((projection, projector, positions))
}

/// How the file encodes a kind.
fn kind_code(kind: Kind) -> i64 {
    kind as i64
}

/// The kind from the column `kind`.
fn kind_of(row: &SqliteRow) -> Kind {
    Kind::ALL[(row.get::<i64, _>("kind") as usize).min(2)]
}
