//! The projector: the task that folds new journal entries and the bridge's reports, and flushes the result to the
//! projection's file.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::authority::Correction;
use super::deltas::Deltas;
use super::interner::Interner;
use super::ledger::Ledger;
use super::list;
use super::personal::ForeignScope;
use super::row::Row;
use super::store::{EntryPlace, FlushBatch, Progress, Reason, Store};
use super::{Change, KeptApart, Key, ProjectionError, RecentSales, Request, View, lock};
use comptoir_core::event::Kind;
use comptoir_core::record::BridgeReport;
use comptoir_core::sale::Currency;
use comptoir_journal::sqlite::is_damage;
use comptoir_journal::{Journal, Offset, State};

/// Number of unwritten rows and places that triggers a flush.
const FLUSH_ROWS: usize = 8_192;
/// Size of unwritten JSON from Kafka that triggers a flush.
const FLUSH_BYTES: usize = 4 << 20;
/// Time after the first unwritten change that triggers a flush.
const FLUSH_AFTER: Duration = Duration::from_secs(10);
/// Pause between two steps of indexing, so that the fold goes on.
const INDEX_PAUSE: Duration = Duration::from_millis(20);
/// Pause after an error.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a part of the file may stay unreadable before the file is rebuilt.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);

/// The state of the task.
pub struct Projector {
    pub(super) store: Store,
    pub(super) journal: Journal,
    /// The journal's uuid.
    pub(super) uuid: String,
    pub(super) requests: mpsc::Receiver<Request>,
    /// Reports of the bridge about events in Kafka.
    pub(super) bridge: mpsc::Receiver<BridgeReport>,
    /// The prefix of the Kafka topics.
    pub(super) prefix: String,
    pub(super) currency: Currency,
    pub(super) view: watch::Sender<View>,
    pub(super) recent: Arc<Mutex<RecentSales>>,
    pub(super) deltas: Deltas,
    pub(super) progress: Progress,
    /// The journal's first entry at the last flush.
    pub(super) first: Offset,
    /// Rows that have changed since the last flush.
    pub(super) dirty: HashMap<Key, Row>,
    /// Rows written by the last flush: the next event is often about one of them.
    pub(super) clean: HashMap<Key, Row>,
    /// Places in Kafka that are not in the file yet.
    pub(super) places: Vec<EntryPlace>,
    /// Changes by other devices that are not in the file yet.
    pub(super) corrections: Vec<Correction>,
    /// When the first unwritten change happened.
    pub(super) unwritten_since: Option<Instant>,
    /// When to index more rows.
    pub(super) index_due: Option<Instant>,
    /// The number after the newest row in the file.
    pub(super) written_seq: u64,
    /// Size of unwritten JSON from Kafka.
    pub(super) unwritten_bytes: usize,
    /// Set after an error. Until then nothing is folded or written, but requests are still answered.
    pub(super) paused_until: Option<Instant>,
    /// When the file began to fail, which was logged then.
    pub(super) failing_since: Option<Instant>,
    pub(super) interner: Interner,
    /// This gateway's store.
    pub(super) home: Arc<str>,
    /// In which its days begin.
    pub(super) time_zone: TimeZone,
    pub(super) ledger: Ledger,
    pub(super) kept_apart: KeptApart,
}

impl Projector {
    /// Runs until `stop`, then flushes. If the file is damaged, removes it and ends early; the next start rebuilds it.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut journal = self.journal.watch();
        loop {
            let folded = self.progress.folded;
            let paused = self.paused_until.is_some();
            let due = self.unwritten_since.map(|since| since + FLUSH_AFTER);
            let done = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(request) = self.requests.recv() => self.answer(request).await,
                () = sleep_until(self.paused_until) => self.resume().await,
                () = sleep_until(due), if !paused => self.flush().await,
                () = sleep_until(self.index_due), if !paused => self.index().await,
                true = has_grown(&mut journal, folded), if !paused => self.fold_journal().await,
                Some(report) = self.bridge.recv(), if !paused => self.fold_report(report).await,
            };
            if let Err(error) = done
                && self.pause_after(&error).await
            {
                error!(%error, "the projection's file is damaged and is removed; the next start rebuilds it");
                if let Err(error) = self.store.remove().await {
                    error!(%error, "the projection's file could not be removed");
                }
                return;
            }
        }
        if let Err(error) = self.flush().await {
            warn!(%error, "the projection's last flush failed; the next start folds the last seconds again");
        }
        self.store.readers.close().await;
    }

    /// Pauses after an error. Returns true if the file must be rebuilt: it is damaged, or has been unreadable for a
    /// long time although the journal on the same disk works.
    async fn pause_after(&mut self, error: &ProjectionError) -> bool {
        if self.failing_since.is_none() {
            error!(
                %error,
                "the projection's file cannot be read or written: the pages may be out of date until it can; no event is affected"
            );
        }
        let since = *self.failing_since.get_or_insert_with(Instant::now);
        self.paused_until = Some(Instant::now() + PAUSE);
        match error.is_damage() {
            true if self.store.is_damaged().await => true,
            true => since.elapsed() > STALL_TIMEOUT && !self.journal.state().refusing,
            false => false,
        }
    }

    /// Ends the pause. Flushes before folding, so that unwritten rows do not accumulate while the disk fails.
    async fn resume(&mut self) -> Result<(), ProjectionError> {
        self.paused_until = None;
        self.flush_if_large().await
    }

    async fn answer(&mut self, request: Request) -> Result<(), ProjectionError> {
        // A reply fails if the requester has gone away.
        match request {
            Request::Ping(reply) => {
                let _ = reply.send(());
                Ok(())
            }
            Request::Flush(reply) => {
                let flushed = match self.paused_until {
                    None => self.flush().await,
                    Some(_) => Ok(()),
                };
                let _ = reply.send(());
                flushed
            }
            Request::Find(key, reply) => {
                let row = match self.dirty.get(&key).or_else(|| self.clean.get(&key)) {
                    Some(row) => Ok(Some(row.clone())),
                    None => self.store.rows(&[&key]).await.map(|mut rows| rows.remove(&key)),
                };
                let damage = damage_in(&row);
                let _ = reply.send(row.map_err(ProjectionError::from));
                damage
            }
            Request::DevicesOf {
                payment_id,
                store,
                reply,
            } => {
                let devices = self.store.devices_of(&payment_id, &store).await;
                let damage = damage_in(&devices);
                let devices = devices.map(|mut devices| {
                    let unwritten = self.dirty.keys().filter(|key| {
                        key.kind == Kind::Payment && key.id == payment_id && key.store == store
                    });
                    for key in unwritten {
                        if !devices.contains(&key.device) {
                            devices.push(Arc::clone(&key.device));
                        }
                    }
                    devices
                });
                let _ = reply.send(devices.map_err(ProjectionError::from));
                damage
            }
            Request::EraseForeign(scope, reply) => {
                let erased = self.erase_foreign(&scope).await;
                let damage = damage_of(&erased);
                let _ = reply.send(erased);
                damage
            }
            Request::BeginErasure(orders, reply) => {
                let marked = self.mark_orders(&orders, Reason::BeingErased).await;
                let damage = damage_of(&marked);
                let _ = reply.send(marked);
                damage
            }
            Request::EndErasure(orders, reply) => {
                let ended = self.end_erasure(&orders).await;
                let damage = damage_of(&ended);
                let _ = reply.send(ended);
                damage
            }
            Request::Reload(reply) => {
                let reloaded = self.reload().await;
                let damage = damage_of(&reloaded);
                let _ = reply.send(reloaded);
                damage
            }
            Request::Shops(reply) => {
                let _ = reply.send(self.progress.others.names());
                Ok(())
            }
            Request::TotalsOf(store, reply) => {
                let _ = reply.send(self.progress.others.of(&store).cloned());
                Ok(())
            }
            Request::Day(period, reply) => {
                let rows = self.day_rows(period).await;
                let damage = damage_of(&rows);
                let _ = reply.send(rows);
                damage
            }
            Request::Ledger(reply) => {
                let _ = reply.send(self.ledger.clone());
                Ok(())
            }
            Request::Damaged => Err(ProjectionError::Damaged),
        }
    }

    pub(super) async fn flush_if_large(&mut self) -> Result<(), ProjectionError> {
        if self.dirty.len() + self.places.len() + self.corrections.len() >= FLUSH_ROWS
            || self.unwritten_bytes >= FLUSH_BYTES
        {
            self.flush().await?;
        }
        Ok(())
    }

    async fn erase_foreign(&mut self, scope: &ForeignScope) -> Result<u64, ProjectionError> {
        // Otherwise rows that are not in the file yet would restore the erased data.
        self.flush().await?;
        let count = self.store.erase(scope).await?;
        self.store.index_erased(&self.journal, &self.time_zone).await?;
        self.clean.clear();
        Ok(count)
    }

    async fn mark_orders(
        &mut self,
        orders: &HashSet<(String, String)>,
        reason: Reason,
    ) -> Result<(), ProjectionError> {
        // The rows must be in the file to be found there.
        self.flush().await?;
        Ok(self.store.mark_orders(orders, reason).await?)
    }

    async fn end_erasure(&mut self, orders: &HashSet<(String, String)>) -> Result<(), ProjectionError> {
        self.mark_orders(orders, Reason::Erased).await?;
        self.store.index_erased(&self.journal, &self.time_zone).await
    }

    /// Indexes some more rows for searches.
    async fn index(&mut self) -> Result<(), ProjectionError> {
        let (journal, zone) = (&self.journal, &self.time_zone);
        self.store.index_erased(journal, zone).await?;
        let has_more = self.store.index_step(journal, zone, self.written_seq).await?
            || self.store.index_changes(journal, zone).await?
            || self.store.index_unshowable(journal, zone).await?;
        self.index_due = has_more.then(|| Instant::now() + INDEX_PAUSE);
        Ok(())
    }

    /// Rereads the newest rows, because the content of events has changed, and makes live connections restart.
    async fn reload(&mut self) -> Result<(), ProjectionError> {
        self.flush().await?;
        for kind in Kind::ALL {
            let (newest, has_older) = list::newest(&self.store.readers, &self.journal, kind).await?;
            lock(&self.recent).fill(kind, newest, has_older);
        }
        let recent = Arc::clone(&self.recent);
        let mut recent = lock(&recent);
        recent.version += 1;
        // Connections that only catch up on changes must restart too.
        recent.foreign = recent.version;
        self.deltas.send(recent.version, Change::Lost);
        Ok(())
    }

    /// Removes rows whose entries the journal has pruned from memory, and refills the memory from the file.
    async fn forget_before(&self, first: Offset) -> Result<(), ProjectionError> {
        if !lock(&self.recent).forget_before(first) {
            return Ok(());
        }
        for kind in Kind::ALL {
            let (newest, has_older) = list::newest(&self.store.readers, &self.journal, kind).await?;
            lock(&self.recent).fill(kind, newest, has_older);
        }
        Ok(())
    }

    pub(super) async fn flush(&mut self) -> Result<(), ProjectionError> {
        if self.unwritten_since.is_none() {
            return Ok(());
        }
        self.store
            .flush(FlushBatch {
                journal: &self.uuid,
                folded: self.progress.folded,
                totals: &self.progress.totals,
                ledger: &self.ledger,
                rows: &self.dirty,
                places: &self.places,
                corrections: &self.corrections,
                positions: &self.progress.positions,
                others: &self.progress.others,
            })
            .await?;
        debug!(
            folded = self.progress.folded.0,
            rows = self.dirty.len(),
            places = self.places.len(),
            "flushed"
        );
        self.clean = std::mem::take(&mut self.dirty);
        self.progress.others.mark_flushed();
        self.places.clear();
        self.corrections.clear();
        lock(&self.recent).corrected.clear();
        self.unwritten_since = None;
        self.unwritten_bytes = 0;
        self.written_seq = self.progress.next_seq;
        self.index_due.get_or_insert_with(Instant::now);
        if self.failing_since.take().is_some() {
            info!("the projection's file can be written again");
        }
        self.journal.mark_folded(self.progress.folded);
        let first = self.journal.state().first;
        if first > self.first {
            self.first = first;
            self.clean.clear();
            self.store.want_sweep();
            self.forget_before(first).await?;
        }
        Ok(self.store.sweep(first, self.progress.next_seq).await?)
    }
}

/// Turns damage that a read has found into an error for the projector.
fn damage_in<T>(read: &Result<T, sqlx::Error>) -> Result<(), ProjectionError> {
    match read.as_ref().is_err_and(is_damage) {
        true => Err(ProjectionError::Damaged),
        false => Ok(()),
    }
}

/// Like [`damage_in`].
fn damage_of<T>(outcome: &Result<T, ProjectionError>) -> Result<(), ProjectionError> {
    match outcome.as_ref().is_err_and(ProjectionError::is_damage) {
        true => Err(ProjectionError::Damaged),
        false => Ok(()),
    }
}

/// Waits until the journal has entries after `folded`. False if the journal's writer is gone.
async fn has_grown(journal: &mut watch::Receiver<State>, folded: Offset) -> bool {
    journal.wait_for(|state| state.last > folded).await.is_ok()
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
