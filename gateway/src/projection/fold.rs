//! The fold: applies events to the rows and totals in memory, and publishes the changes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use tracing::{debug, warn};

use super::fact::{Fact, sender_of};
use super::key::device_of_entry;
use super::projector::Projector;
use super::row::{Row, Source};
use super::sale_state::SaleState;
use super::store::EntryPlace;
use super::totals::FoldContext;
use super::{Change, Confirmation, Key, ProjectionError, RecentSales, View, lock};
use comptoir_core::event::Kind;
use comptoir_core::record::{BridgeReport, ConsumedRecord, DeliveredEvent, PartitionOffset, RecordContent};
use comptoir_core::sale::ownership::may_change;
use comptoir_journal::{Entry, EntryKind, Offset};
use comptoir_kafka::Position;

/// Most journal entries, and their bytes, folded at a time.
const FOLD_ENTRIES: usize = 2_048;
const FOLD_BYTES: usize = 1 << 20;

/// An event to fold.
struct FoldInput<'a> {
    key: Key,
    fact: Fact<'a>,
    /// The id of the event's order.
    order: Option<Arc<str>>,
    source: Source,
    /// The device that sent it.
    author: Arc<str>,
    /// The entry, if the event is in this gateway's journal. The author of a record from Kafka is not compared with the
    /// creator.
    entry: Option<Arc<Entry>>,
    item: SaleState,
    /// Whether the event belongs to this shop and so changes its totals and lists.
    is_home: bool,
}

impl Projector {
    /// Folds the next entries of the journal.
    pub(super) async fn fold_journal(&mut self) -> Result<(), ProjectionError> {
        let entries = self
            .journal
            .read(self.progress.folded, FOLD_ENTRIES, FOLD_BYTES)
            .await?;
        let Some(last) = entries.last().map(|entry| entry.offset) else {
            return Ok(());
        };
        let mut batch = Vec::with_capacity(entries.len());
        let mut closings = Vec::new();
        for entry in &entries {
            let kind = match entry.kind {
                EntryKind::Event(kind) => kind,
                EntryKind::Closing => {
                    closings.push(entry);
                    continue;
                }
                EntryKind::DeadLetter | EntryKind::Audit(_) => continue,
            };
            match Fact::read(kind, entry.payload.json(), entry.time) {
                Some(fact) => batch.push(FoldInput {
                    key: Key {
                        kind,
                        id: match kind {
                            Kind::Order => Arc::clone(&entry.key),
                            Kind::Payment | Kind::Delivery => Arc::from(&*fact.id),
                        },
                        store: self.interner.intern(entry.name.device.store()),
                        device: self.interner.intern(&device_of_entry(kind, entry)),
                    },
                    fact,
                    order: Some(Arc::clone(&entry.key)),
                    source: Source::Entry(entry.offset),
                    author: self.interner.intern(entry.name.device.device()),
                    entry: Some(Arc::clone(entry)),
                    item: SaleState::own(Arc::clone(entry)),
                    is_home: true,
                }),
                None => warn!(
                    offset = entry.offset.0,
                    "the projection skips an entry that it cannot read"
                ),
            }
        }
        let changed = self.fold(batch).await?;
        for closing in closings {
            self.ledger.subtract(closing.payload.json());
        }
        self.progress.folded = last;
        self.publish(changed, Vec::new());
        self.flush_if_large().await
    }

    /// Folds a report of the bridge about events in Kafka.
    pub(super) async fn fold_report(&mut self, report: BridgeReport) -> Result<(), ProjectionError> {
        match report {
            BridgeReport::ReadBack(batch) => self.fold_read_back(batch).await,
            BridgeReport::Delivered(events) => {
                let mut confirmed = Vec::with_capacity(events.len());
                for event in events {
                    let DeliveredEvent {
                        kind,
                        entry,
                        name,
                        order_id,
                        place,
                    } = event;
                    self.places.push(EntryPlace { entry, place });
                    confirmed.push((
                        entry,
                        Confirmation {
                            kind,
                            name,
                            order_id,
                            place,
                        },
                    ));
                }
                self.publish(Vec::new(), confirmed);
                self.flush_if_large().await
            }
        }
    }

    /// Folds records that were read back from Kafka: confirms own events, and folds foreign ones like the journal's.
    async fn fold_read_back(&mut self, batch: Vec<ConsumedRecord>) -> Result<(), ProjectionError> {
        let mut foreign = Vec::new();
        let mut confirmed = Vec::new();
        for record in &batch {
            let place = record.place;
            match &record.content {
                RecordContent::Own {
                    entry,
                    name,
                    order_id,
                } => {
                    let kafka = PartitionOffset {
                        partition: place.partition,
                        offset: place.offset,
                    };
                    self.places.push(EntryPlace {
                        entry: *entry,
                        place: kafka,
                    });
                    let confirmation = Confirmation {
                        kind: place.kind,
                        name: name.clone(),
                        order_id: order_id.clone(),
                        place: kafka,
                    };
                    confirmed.push((*entry, confirmation));
                }
                RecordContent::Foreign { name, time, payload } => {
                    match Fact::read(place.kind, payload, *time) {
                        Some(fact) => {
                            let (store, device) = sender_of(payload, name);
                            foreign.push(FoldInput {
                                is_home: *store == *self.home,
                                key: Key {
                                    kind: place.kind,
                                    id: Arc::from(&*fact.id),
                                    store: self.interner.intern(&store),
                                    device: self.interner.intern(Key::device_of(place.kind, &device)),
                                },
                                order: fact.order_id.as_ref().map(|order| Arc::from(&**order)),
                                fact,
                                author: self.interner.intern(&device),
                                entry: None,
                                source: Source::Kafka {
                                    name: name.clone(),
                                    payload: payload.clone(),
                                    partition: place.partition,
                                    offset: place.offset,
                                },
                                item: SaleState::foreign(
                                    name.clone(),
                                    payload.clone(),
                                    place.partition,
                                    place.offset,
                                ),
                            });
                        }
                        None => debug!(?place, "a foreign record is not a sale"),
                    }
                }
                RecordContent::LeftOut => {}
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
            self.progress.positions.insert(key, position);
        }
        self.publish(changed, confirmed);
        self.flush_if_large().await
    }

    /// Publishes the changes. Rows, totals and deltas change together under the lock of the recent sales. So a reader
    /// that holds the lock sees one consistent moment, and its version says which deltas it includes.
    fn publish(&mut self, changed: Vec<(Kind, u64, SaleState)>, mut confirmed: Vec<(Offset, Confirmation)>) {
        self.unwritten_since.get_or_insert_with(Instant::now);
        let recent = Arc::clone(&self.recent);
        let mut recent = lock(&recent);
        for (kind, seq, item) in &changed {
            recent.put(*kind, *seq, item.clone());
        }
        recent.folded = self.progress.folded;
        recent.corrected = self
            .corrections
            .iter()
            .map(|correction| correction.entry)
            .collect();
        self.view.send_replace(View {
            folded: self.progress.folded,
            totals: Arc::new(self.progress.totals.clone()),
        });
        if !changed.is_empty() {
            if changed.iter().any(|(_, _, item)| item.entry().is_none()) {
                recent.foreign = recent.version + 1;
            }
            let sales = changed.into_iter().map(|(kind, _, item)| (kind, item));
            self.send(&mut recent, Change::Sales(sales.collect()));
        }
        if !confirmed.is_empty() {
            // Confirmations arrive in order within a partition, but not across partitions.
            confirmed.sort_unstable_by_key(|(entry, _)| *entry);
            recent.place(|entry| {
                let at = confirmed.binary_search_by_key(&entry, |(entry, _)| *entry).ok()?;
                Some(confirmed[at].1.place)
            });
            let version = recent.version + 1;
            for (entry, confirmation) in &confirmed {
                recent.own_events.confirm(*entry, confirmation.place, version);
            }
            let confirmed = confirmed.into_iter().map(|(_, confirmation)| confirmation);
            self.send(&mut recent, Change::Confirmed(confirmed.collect()));
        }
    }

    fn send(&mut self, recent: &mut RecentSales, change: Change) {
        recent.version += 1;
        self.deltas.send(recent.version, change);
    }

    /// Folds a batch. Returns the changed rows of this shop with their numbers.
    async fn fold(
        &mut self,
        batch: Vec<FoldInput<'_>>,
    ) -> Result<Vec<(Kind, u64, SaleState)>, ProjectionError> {
        let context = FoldContext {
            now: Timestamp::now().as_millisecond(),
            currency: self.currency,
        };
        let unknown: Vec<&Key> = batch
            .iter()
            .map(|input| &input.key)
            .filter(|key| !self.dirty.contains_key(*key) && !self.clean.contains_key(*key))
            .collect();
        let stored = match unknown.is_empty() {
            true => HashMap::new(),
            false => self.store.rows(&unknown).await?,
        };
        let mut changed = Vec::with_capacity(batch.len());
        for input in batch {
            let FoldInput {
                key,
                fact,
                order,
                source,
                author,
                entry,
                mut item,
                is_home,
            } = input;
            let before = self
                .dirty
                .get(&key)
                .or_else(|| self.clean.get(&key))
                .or_else(|| stored.get(&key));
            if let (Source::Kafka { name, .. }, Some(Source::Entry(_))) =
                (&source, before.map(|before| &before.source))
            {
                // No record from Kafka, whoever wrote it, may override this shop's own journal.
                self.kept_apart.add(&key, &fact.status, name);
                continue;
            }
            if let (Some(entry), Some(before)) = (&entry, before)
                && !may_change(fact.kind, &author, &before.creator)
            {
                let (seq, before) = (before.seq, before.clone());
                let item = self.fold_of_other_device(key, &fact, before, entry).await?;
                changed.extend(item.map(|item| (fact.kind, seq, item)));
                continue;
            }
            let totals = match is_home {
                true => Some(&mut self.progress.totals),
                false => self.progress.others.change(&key.store),
            };
            if let Some(totals) = totals {
                // A sale that another shop has counted is new to this shop.
                let counted = before.filter(|before| before.is_home == is_home);
                totals.apply(&fact, counted, context);
            }
            if let Some(entry) = &entry {
                self.ledger.count(entry.offset, &fact, before, &self.time_zone);
            }
            let creator = match (fact.kind, before) {
                (Kind::Payment, _) => self.interner.intern(""),
                (_, Some(before)) => Arc::clone(&before.creator),
                (_, None) => author,
            };
            let corrections = before.map_or(0, |before| before.corrections);
            item.corrections = corrections;
            let seq = match before {
                Some(before) => before.seq,
                None => {
                    self.progress.next_seq += 1;
                    self.progress.next_seq - 1
                }
            };
            item.row = Some(seq);
            if let Source::Kafka { payload, .. } = &source {
                self.unwritten_bytes += payload.len();
            }
            if is_home {
                changed.push((fact.kind, seq, item));
            }
            let row = Row {
                seq,
                order_id: order.filter(|_| fact.kind != Kind::Order),
                status: self.interner.intern(&fact.status),
                time: fact.time,
                amount: fact.amount,
                refund_of: fact.refund_of.as_deref().map(Arc::from),
                source,
                creator,
                is_moved: false,
                corrections,
                is_home,
            };
            self.dirty.insert(key, row);
        }
        Ok(changed)
    }
}
