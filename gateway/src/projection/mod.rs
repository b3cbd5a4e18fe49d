//! What the dashboard shows: a fold of the journal and of what Kafka gives back.
//!
//! The fold follows the journal by a few milliseconds and never stands in an event's way. Its rows are
//! kept in a file of their own ([`store`]), written now and then in large strokes; after a crash the
//! entries since the last stroke are folded again, and Kafka is read from the positions of that stroke.

mod deltas;
pub mod fold;
mod lately;
mod list;
mod recent;
mod store;
mod words;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sqlx::sqlite::SqlitePool;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use crate::bridge::readback::{Content, ReadBack};
use crate::event::Kind;
use crate::journal::{EntryKind, Journal, Offset, ReadError, State};
use crate::kafka::Positions;
use crate::sale::Currency;
use deltas::Deltas;
use fold::{Fact, Row, Setting, Source, Totals};
pub use list::{Known, Listed, Page};
pub use recent::{NEWEST, Recent};
use store::{Flush, Key, Progress, Store};
use words::Words;

/// Journal entries folded at a time.
const FOLD_ENTRIES: usize = 2_048;
const FOLD_BYTES: usize = 1 << 20;
/// A stroke is written when this much is unwritten, or after this time.
const FLUSH_ROWS: usize = 8_192;
/// Of JSON from Kafka.
const FLUSH_BYTES: usize = 4 << 20;
const FLUSH_AFTER: Duration = Duration::from_secs(10);

/// Why the projection cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ProjectionError {
    #[error("the dashboard's file could not be read: {0}")]
    Storage(#[from] sqlx::Error),
    #[error(transparent)]
    Journal(#[from] ReadError),
    #[error("the projection has ended")]
    Ended,
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
    readers: SqlitePool,
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
    Find(Key, oneshot::Sender<Option<Source>>),
}

/// The task that folds.
pub struct Folder {
    store: Store,
    journal: Journal,
    uuid: String,
    requests: mpsc::Receiver<Request>,
    read_back: mpsc::Receiver<Vec<ReadBack>>,
    prefix: String,
    currency: Currency,
    view: watch::Sender<View>,
    recent: Arc<Mutex<Recent>>,
    deltas: Deltas,
    at: Progress,
    first: Offset,
    /// Changed since the last stroke, and what the last one wrote: the next event is often about those.
    dirty: HashMap<Key, Row>,
    clean: HashMap<Key, Row>,
    places: Vec<(u64, i32, i64)>,
    unwritten_since: Option<Instant>,
    unwritten_bytes: usize,
    words: Words,
}

/// Opens the projection of a journal. `currency` is the shop's; `prefix` is of the Kafka topics, and
/// `read_back` is what comes from them.
pub async fn open(
    path: &Path,
    journal: Journal,
    currency: Currency,
    prefix: String,
    read_back: mpsc::Receiver<Vec<ReadBack>>,
) -> Result<(Projection, Folder, Positions), ProjectionError> {
    let uuid = journal.uuid();
    let (store, mut at) = Store::open(path, &uuid).await?;
    let state = journal.state();
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
        currency,
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
        words: Words::default(),
    };
    Ok((projection, folder, positions))
}

/// An event on its way into the fold.
struct Folding<'a> {
    fact: Fact<'a>,
    /// The order that it is about.
    order: Option<Arc<str>>,
    source: Source,
    item: Listed,
}

impl Folding<'_> {
    fn key(&self) -> Key {
        let id = match (self.fact.kind, &self.order) {
            (Kind::Order, Some(order)) => Arc::clone(order),
            _ => Arc::from(&*self.fact.id),
        };
        (self.fact.kind, id)
    }
}

impl Folder {
    /// Runs until `stop`, then writes what is unwritten.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut journal = self.journal.watch();
        loop {
            let at = self.at.folded;
            let due = self.unwritten_since.map(|since| since + FLUSH_AFTER);
            let done = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(request) = self.requests.recv() => self.answer(request).await,
                () = sleep_until(due) => self.flush().await,
                true = moved(&mut journal, at) => self.fold_journal().await,
                Some(batch) = self.read_back.recv() => self.fold_read_back(batch).await,
            };
            if let Err(error) = done {
                error!(%error, "the dashboard is behind; the events themselves are not affected");
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = tokio::time::sleep(Duration::from_secs(1)) => {}
                }
            }
        }
        if let Err(error) = self.flush().await {
            warn!(%error, "the next start folds the last seconds again");
        }
        self.store.readers.close().await;
    }

    async fn answer(&mut self, request: Request) -> Result<(), ProjectionError> {
        // A reply that is dropped: the reader has gone away.
        match request {
            Request::Flush(reply) => {
                let flushed = self.flush().await;
                let _ = reply.send(());
                flushed
            }
            Request::Find(key, reply) => {
                let row = match self.dirty.get(&key).or_else(|| self.clean.get(&key)) {
                    Some(row) => Some(row.source.clone()),
                    None => self.store.rows(&[&key]).await?.remove(&key).map(|row| row.source),
                };
                let _ = reply.send(row);
                Ok(())
            }
        }
    }

    async fn fold_journal(&mut self) -> Result<(), ProjectionError> {
        let entries = self
            .journal
            .read(self.at.folded, FOLD_ENTRIES, FOLD_BYTES)
            .await?;
        let Some(last) = entries.last().map(|entry| entry.offset) else {
            return Ok(());
        };
        let mut batch = Vec::with_capacity(entries.len());
        for entry in &entries {
            let EntryKind::Event(kind) = entry.kind else {
                continue;
            };
            match Fact::read(kind, &entry.payload, entry.time) {
                Some(fact) => batch.push(Folding {
                    fact,
                    order: Some(Arc::clone(&entry.key)),
                    source: Source::Entry(entry.offset),
                    item: Listed::own(Arc::clone(entry)),
                }),
                None => warn!(offset = entry.offset.0, "an entry that the dashboard cannot read"),
            }
        }
        let changed = self.fold(batch).await?;
        self.at.folded = last;
        self.publish(changed, Vec::new());
        self.flush_if_large().await
    }

    async fn fold_read_back(&mut self, batch: Vec<ReadBack>) -> Result<(), ProjectionError> {
        let mut foreign = Vec::new();
        let mut confirmed = Vec::new();
        for record in &batch {
            let place = record.place;
            match &record.content {
                Content::Own {
                    entry,
                    name,
                    order_id,
                } => {
                    self.places.push((entry.0, place.partition, place.offset));
                    confirmed.push((
                        *entry,
                        Confirmed {
                            kind: place.kind,
                            name: name.clone(),
                            order_id: order_id.clone(),
                            partition: place.partition,
                            offset: place.offset,
                        },
                    ));
                }
                Content::Foreign { name, time, payload } => match Fact::read(place.kind, payload, *time) {
                    Some(fact) => foreign.push(Folding {
                        order: match place.kind {
                            Kind::Order => Some(&fact.id),
                            Kind::Payment | Kind::Delivery => fact.order_id.as_ref(),
                        }
                        .map(|order| Arc::from(&**order)),
                        fact,
                        source: Source::Kafka {
                            name: name.clone(),
                            payload: payload.clone(),
                            partition: place.partition,
                            offset: place.offset,
                        },
                        item: Listed::foreign(
                            name.clone(),
                            String::from_utf8_lossy(payload).into(),
                            place.partition,
                            place.offset,
                        ),
                    }),
                    None => debug!(?place, "a record that is no sale"),
                },
            }
        }
        let changed = match foreign.is_empty() {
            true => Vec::new(),
            false => {
                self.store.want_sweep();
                self.fold(foreign).await?
            }
        };
        for record in &batch {
            let topic = format!("{}{}", self.prefix, record.place.kind.topic());
            let key = (topic, record.place.partition);
            self.at.positions.insert(key, record.place.offset + 1);
        }
        self.publish(changed, confirmed);
        self.flush_if_large().await
    }

    /// Shows what has changed, at once: rows, totals and deltas change under the lock of the newest, so that whoever
    /// looks under it sees one moment, and knows by its version which deltas are in it.
    fn publish(&mut self, changed: Vec<(Kind, u64, Listed)>, mut confirmed: Vec<(Offset, Confirmed)>) {
        self.unwritten_since.get_or_insert_with(Instant::now);
        let recent = Arc::clone(&self.recent);
        let mut recent = lock(&recent);
        for (kind, seq, item) in &changed {
            recent.put(*kind, *seq, item.clone());
        }
        recent.folded = self.at.folded;
        self.view.send_replace(View {
            folded: self.at.folded,
            totals: Arc::new(self.at.totals.clone()),
        });
        if !changed.is_empty() {
            if changed.iter().any(|(_, _, item)| item.entry().is_none()) {
                recent.foreign = recent.version + 1;
            }
            let sales = changed.into_iter().map(|(kind, _, item)| (kind, item));
            self.send(&mut recent, Change::Sales(sales.collect()));
        }
        if !confirmed.is_empty() {
            // Of one partition they come in order, of several they do not.
            confirmed.sort_unstable_by_key(|(entry, _)| *entry);
            recent.place(|entry| {
                let at = confirmed.binary_search_by_key(&entry, |(entry, _)| *entry).ok()?;
                let seen = &confirmed[at].1;
                Some((seen.partition, seen.offset))
            });
            let version = recent.version + 1;
            for (entry, seen) in &confirmed {
                recent
                    .lately
                    .place(*entry, (seen.partition, seen.offset), version);
            }
            let confirmed = confirmed.into_iter().map(|(_, seen)| seen);
            self.send(&mut recent, Change::Confirmed(confirmed.collect()));
        }
    }

    fn send(&mut self, recent: &mut Recent, change: Change) {
        recent.version += 1;
        self.deltas.send(recent.version, change);
    }

    /// Folds, and gives what has changed, with each row's place.
    async fn fold(&mut self, batch: Vec<Folding<'_>>) -> Result<Vec<(Kind, u64, Listed)>, ProjectionError> {
        let setting = Setting {
            now: Timestamp::now().as_millisecond(),
            currency: self.currency,
        };
        let keys: Vec<Key> = batch.iter().map(Folding::key).collect();
        let unknown: Vec<&Key> = keys
            .iter()
            .filter(|key| !self.dirty.contains_key(*key) && !self.clean.contains_key(*key))
            .collect();
        let stored = match unknown.is_empty() {
            true => HashMap::new(),
            false => self.store.rows(&unknown).await?,
        };
        let mut changed = Vec::with_capacity(batch.len());
        for (
            Folding {
                fact,
                order,
                source,
                mut item,
            },
            key,
        ) in batch.into_iter().zip(keys)
        {
            let before = self
                .dirty
                .get(&key)
                .or_else(|| self.clean.get(&key))
                .or_else(|| stored.get(&key));
            self.at.totals.apply(&fact, before, setting);
            let seq = match before {
                Some(before) => before.seq,
                None => {
                    self.at.next_seq += 1;
                    self.at.next_seq - 1
                }
            };
            item.row = Some(seq);
            if let Source::Kafka { payload, .. } = &source {
                self.unwritten_bytes += payload.len();
            }
            changed.push((fact.kind, seq, item));
            let row = Row {
                seq,
                order_id: order.filter(|_| fact.kind != Kind::Order),
                status: self.words.share(&fact.status),
                time: fact.time,
                amount: fact.amount,
                source,
            };
            self.dirty.insert(key, row);
        }
        Ok(changed)
    }

    async fn flush_if_large(&mut self) -> Result<(), ProjectionError> {
        if self.dirty.len() + self.places.len() >= FLUSH_ROWS || self.unwritten_bytes >= FLUSH_BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    /// Lists show what the journal still has. The file knows which rows come next.
    async fn forget_before(&self, first: Offset) -> Result<(), ProjectionError> {
        if !lock(&self.recent).forget_before(first) {
            return Ok(());
        }
        for kind in Kind::ALL {
            let newest = list::newest(&self.store.readers, &self.journal, kind).await?;
            lock(&self.recent).fill(kind, newest);
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), ProjectionError> {
        if self.unwritten_since.is_none() {
            return Ok(());
        }
        self.store
            .flush(Flush {
                journal: &self.uuid,
                folded: self.at.folded,
                totals: &self.at.totals,
                rows: &self.dirty,
                places: &self.places,
                positions: &self.at.positions,
            })
            .await?;
        self.clean = std::mem::take(&mut self.dirty);
        self.places.clear();
        self.unwritten_since = None;
        self.unwritten_bytes = 0;
        self.journal.folded(self.at.folded);
        let first = self.journal.state().first;
        if first > self.first {
            self.first = first;
            self.clean.clear();
            self.store.want_sweep();
            self.forget_before(first).await?;
        }
        Ok(self.store.sweep(first, self.at.next_seq).await?)
    }
}

/// Waits until the journal is beyond `at`; false if it never will be.
async fn moved(journal: &mut watch::Receiver<State>, at: Offset) -> bool {
    journal.wait_for(|state| state.last > at).await.is_ok()
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

/// The kinds in the order of their codes in the file.
pub(crate) fn kind_code(kind: Kind) -> i64 {
    kind as i64
}
