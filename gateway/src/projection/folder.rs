//! The task that folds: the journal, as it grows, and what Kafka gives back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::deltas::Deltas;
use super::fold::{Fact, Row, Setting, Source, sender_of};
use super::key::device_of_entry;
use super::list::{self, Listed};
use super::store::{Flush, Progress, Store};
use super::words::Words;
use super::{Change, Confirmed, Key, ProjectionError, Recent, Request, View, lock};
use crate::bridge::readback::{Content, ReadBack};
use crate::event::Kind;
use crate::journal::{EntryKind, Journal, Offset, State};
use crate::kafka::Position;
use crate::sale::Currency;
use crate::sqlite::is_damage;

/// Journal entries folded at a time.
const FOLD_ENTRIES: usize = 2_048;
const FOLD_BYTES: usize = 1 << 20;
/// A stroke is written when this much is unwritten, or after this time.
const FLUSH_ROWS: usize = 8_192;
/// Of JSON from Kafka.
const FLUSH_BYTES: usize = 4 << 20;
const FLUSH_AFTER: Duration = Duration::from_secs(10);
/// After an error.
const PAUSE: Duration = Duration::from_secs(1);
/// With a file of which a part cannot be read.
const PATIENCE: Duration = Duration::from_secs(60);

/// The task that folds.
pub struct Folder {
    pub(super) store: Store,
    pub(super) journal: Journal,
    pub(super) uuid: String,
    pub(super) requests: mpsc::Receiver<Request>,
    pub(super) read_back: mpsc::Receiver<Vec<ReadBack>>,
    pub(super) prefix: String,
    pub(super) currency: Currency,
    pub(super) view: watch::Sender<View>,
    pub(super) recent: Arc<Mutex<Recent>>,
    pub(super) deltas: Deltas,
    pub(super) at: Progress,
    pub(super) first: Offset,
    /// Changed since the last stroke, and what the last one wrote: the next event is often about those.
    pub(super) dirty: HashMap<Key, Row>,
    pub(super) clean: HashMap<Key, Row>,
    pub(super) places: Vec<(u64, i32, i64)>,
    pub(super) unwritten_since: Option<Instant>,
    pub(super) unwritten_bytes: usize,
    /// After an error nothing is folded or written until then; what is asked is answered all the same.
    pub(super) paused_until: Option<Instant>,
    /// Since when the file fails; that it does was said then.
    pub(super) behind_since: Option<Instant>,
    pub(super) words: Words,
}

/// An event on its way into the fold.
struct Folding<'a> {
    key: Key,
    fact: Fact<'a>,
    /// The order that it is about.
    order: Option<Arc<str>>,
    source: Source,
    item: Listed,
}

impl Folder {
    /// Runs until `stop`, then writes what is unwritten. Ends before if the file is damaged, which is then removed: the
    /// next start makes it anew.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut journal = self.journal.watch();
        loop {
            let at = self.at.folded;
            let paused = self.paused_until.is_some();
            let due = self.unwritten_since.map(|since| since + FLUSH_AFTER);
            let done = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(request) = self.requests.recv() => self.answer(request).await,
                () = sleep_until(self.paused_until) => self.go_on().await,
                () = sleep_until(due), if !paused => self.flush().await,
                true = moved(&mut journal, at), if !paused => self.fold_journal().await,
                Some(batch) = self.read_back.recv(), if !paused => self.fold_read_back(batch).await,
            };
            if let Err(error) = done
                && self.failed(&error).await
            {
                error!(%error, "the dashboard's file is damaged and is removed: the next start makes it anew");
                if let Err(error) = self.store.remove().await {
                    error!(%error, "the dashboard's file could not be removed");
                }
                return;
            }
        }
        if let Err(error) = self.flush().await {
            warn!(%error, "the next start folds the last seconds again");
        }
        self.store.readers.close().await;
    }

    /// Pauses. True if the file has to be made anew: it is damaged, or it cannot be read for long while the journal beside
    /// it can.
    async fn failed(&mut self, error: &ProjectionError) -> bool {
        if self.behind_since.is_none() {
            error!(
                %error,
                "the dashboard's file cannot be read or written: the pages may be behind until it can; no event is affected"
            );
        }
        let since = *self.behind_since.get_or_insert_with(Instant::now);
        self.paused_until = Some(Instant::now() + PAUSE);
        match error.is_damage() {
            true if self.store.is_damaged().await => true,
            true => since.elapsed() > PATIENCE && !self.journal.state().refusing,
            false => false,
        }
    }

    /// After a pause: what is unwritten is written first, so that it does not grow while the disk fails.
    async fn go_on(&mut self) -> Result<(), ProjectionError> {
        self.paused_until = None;
        self.flush_if_large().await
    }

    async fn answer(&mut self, request: Request) -> Result<(), ProjectionError> {
        // A reply that is dropped: the reader has gone away.
        match request {
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
                    Some(row) => Ok(Some(row.source.clone())),
                    None => self
                        .store
                        .rows(&[&key])
                        .await
                        .map(|mut rows| rows.remove(&key).map(|row| row.source)),
                };
                let damaged = row.as_ref().is_err_and(is_damage);
                let _ = reply.send(row.map_err(ProjectionError::from));
                match damaged {
                    true => Err(ProjectionError::Damaged),
                    false => Ok(()),
                }
            }
            Request::DevicesOf {
                payment_id,
                store,
                reply,
            } => {
                let devices = self.store.devices_of(&payment_id, &store).await;
                let damaged = devices.as_ref().is_err_and(is_damage);
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
                match damaged {
                    true => Err(ProjectionError::Damaged),
                    false => Ok(()),
                }
            }
            Request::Damaged => Err(ProjectionError::Damaged),
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
            match Fact::read(kind, entry.payload.json(), entry.time) {
                Some(fact) => batch.push(Folding {
                    key: Key {
                        kind,
                        id: match kind {
                            Kind::Order => Arc::clone(&entry.key),
                            Kind::Payment | Kind::Delivery => Arc::from(&*fact.id),
                        },
                        store: self.words.share(entry.name.device.store()),
                        device: self.words.share(&device_of_entry(kind, entry)),
                    },
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
                    Some(fact) => {
                        let (store, device) = sender_of(payload, name);
                        foreign.push(Folding {
                            key: Key {
                                kind: place.kind,
                                id: Arc::from(&*fact.id),
                                store: self.words.share(&store),
                                device: self.words.share(Key::device_of(place.kind, &device)),
                            },
                            order: fact.order_id.as_ref().map(|order| Arc::from(&**order)),
                            fact,
                            source: Source::Kafka {
                                name: name.clone(),
                                payload: payload.clone(),
                                partition: place.partition,
                                offset: place.offset,
                            },
                            item: Listed::foreign(
                                name.clone(),
                                payload.clone(),
                                place.partition,
                                place.offset,
                            ),
                        });
                    }
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
            let position = Position {
                next: record.place.offset + 1,
                topic_id: record.place.topic_id,
            };
            self.at.positions.insert(key, position);
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
        let unknown: Vec<&Key> = batch
            .iter()
            .map(|folding| &folding.key)
            .filter(|key| !self.dirty.contains_key(*key) && !self.clean.contains_key(*key))
            .collect();
        let stored = match unknown.is_empty() {
            true => HashMap::new(),
            false => self.store.rows(&unknown).await?,
        };
        let mut changed = Vec::with_capacity(batch.len());
        for folding in batch {
            let Folding {
                key,
                fact,
                order,
                source,
                mut item,
            } = folding;
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
        if self.behind_since.take().is_some() {
            info!("the dashboard's file can be written again");
        }
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
