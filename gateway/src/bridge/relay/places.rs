//! Finds and reports where committed entries are in Kafka, for a gateway that does not read its events back.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use comptoir_core::event::Kind;
use comptoir_core::record::{BridgeReport, DeliveredEvent, PartitionOffset};
use comptoir_journal::{Entry, EntryKind, Offset, ReadError};
use comptoir_kafka::{self as kafka, Delivery, Positions, Settings};
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::debug;

use super::super::batch::{MAX_BYTES, MAX_ENTRIES};
use super::super::progress::Progress;
use super::super::spot_check::RecentPlaces;
use super::Relay;
use super::lanes::is_payment;

/// How long a transaction waits for a slow projection. Later transactions skip the wait until the projection has caught
/// up: only a page shows the places, and the bridge must not wait for a failing disk.
const WAIT: Duration = Duration::from_secs(2);

/// Most entries to search for after a restart or a commit in doubt.
const MAX_SEARCHED: u64 = 500;
/// Maximum age, in milliseconds, of the entries to search for.
const MAX_AGE: i64 = 10 * 60_000;
/// How much Kafka's clock may be behind this machine's, in milliseconds.
const CLOCK_DIFFERENCE: i64 = 5_000;
/// Most bytes that the search reads from a topic. Other shops may have written much more to it.
const MAX_READ: usize = 128 << 10;
/// Timeout of the search in one topic.
const SEARCH_TIMEOUT: Duration = Duration::from_secs(10);

/// Reports places to the projection and to the gateway page.
pub struct PlaceReports {
    pub output: mpsc::Sender<BridgeReport>,
    /// The newest own event in each partition.
    pub positions: Positions,
    /// The queue from which the spot check draws its samples.
    pub recent_places: RecentPlaces,
    /// The last entry whose place the projection knew at start.
    pub placed_upto: Offset,
    /// Whether the projection was too slow for the last report.
    pub is_behind: AtomicBool,
}

impl PlaceReports {
    /// Reports the places of a transaction's entries. `deliveries` refer to the entries by index.
    pub(super) fn report(
        &self,
        entries: &[Arc<Entry>],
        deliveries: &[Delivery],
        settings: &Settings,
        runtime: &Handle,
    ) {
        let mut events = Vec::with_capacity(deliveries.len());
        // One per partition that the transaction wrote to; there are few.
        let mut newest: Vec<(Kind, PartitionOffset)> = Vec::new();
        for &Delivery {
            id,
            partition,
            offset,
        } in deliveries
        {
            let Some(entry) = entries.get(id) else { continue };
            let EntryKind::Event(kind) = entry.kind else {
                continue;
            };
            let place = PartitionOffset { partition, offset };
            match newest
                .iter_mut()
                .find(|(of, newest)| *of == kind && newest.partition == partition)
            {
                Some((_, newest)) => newest.offset = newest.offset.max(offset),
                None => newest.push((kind, place)),
            }
            self.recent_places.add(entry.offset, kind, place);
            events.push(DeliveredEvent {
                kind,
                entry: entry.offset,
                name: entry.name.to_string().into(),
                order_id: (*entry.key).into(),
                place,
            });
        }
        if events.is_empty() {
            return;
        }
        for (kind, place) in newest {
            let topic = settings.topic(kind.topic());
            self.positions.note_written(&topic, place.partition, place.offset);
        }
        let report = BridgeReport::Delivered(events);
        let is_sent = match self.is_behind.load(Ordering::Relaxed) {
            true => self.output.try_send(report).is_ok(),
            false => runtime.block_on(async { timeout(WAIT, self.output.send(report)).await.is_ok() }),
        };
        self.is_behind.store(!is_sent, Ordering::Relaxed);
        if !is_sent {
            debug!("the projection is slow: the places of a transaction are not shown");
        }
    }
}

impl Relay {
    /// Searches Kafka for the places of the entries after `placed` that are in Kafka. They are unknown if the previous
    /// process ended before the projection had stored them, or if the reply to a commit was lost. Runs beside the
    /// session; a place that is not found soon stays unknown.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub(super) fn search_places(
        &self,
        placed: Offset,
        progress: Progress,
        runtime: &Handle,
    ) -> Result<(), ReadError> {
        let Some(places) = &self.places else { return Ok(()) };
        let Progress { upto, payments } = progress;
        let after = placed.max(Offset(payments.0.saturating_sub(MAX_SEARCHED)));
        if after >= payments {
            return Ok(());
        }
        let is_in_kafka = |entry: &Entry| entry.offset <= upto || is_payment(entry);
        let count = usize::try_from(payments.0 - after.0).unwrap_or(MAX_ENTRIES);
        let entries = runtime.block_on(self.journal.read(after, count, MAX_BYTES))?;
        let oldest = Timestamp::now().as_millisecond() - MAX_AGE;
        let missing: HashMap<u64, Arc<Entry>> = entries
            .into_iter()
            .filter(|entry| matches!(entry.kind, EntryKind::Event(_)) && is_in_kafka(entry))
            .filter(|entry| entry.time >= oldest)
            .map(|entry| (entry.offset.0, entry))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let (settings, uuid) = (self.settings.clone(), self.journal.uuid());
        let (output, positions) = (places.output.clone(), places.positions.clone());
        runtime.spawn_blocking(move || {
            let found = search(&settings, &uuid, missing);
            for event in &found {
                let topic = settings.topic(event.kind.topic());
                positions.note_written(&topic, event.place.partition, event.place.offset);
            }
            debug!(found = found.len(), "searched Kafka for the places of events");
            // Fails only when the gateway ends.
            let _ = output.blocking_send(BridgeReport::Delivered(found));
        });
        Ok(())
    }
}

/// Finds entries of the journal `uuid` in Kafka by name and content.
fn search(settings: &Settings, uuid: &str, mut missing: HashMap<u64, Arc<Entry>>) -> Vec<DeliveredEvent> {
    let mut found = Vec::new();
    for kind in Kind::ALL {
        let of_kind = |entry: &&Arc<Entry>| entry.kind == EntryKind::Event(kind);
        let mut left = missing.values().filter(of_kind).count();
        let Some(since) = missing.values().filter(of_kind).map(|entry| entry.time).min() else {
            continue;
        };
        let topic = settings.topic(kind.topic());
        let since = since - CLOCK_DIFFERENCE;
        let read = kafka::read_since(settings, &topic, since, MAX_READ, SEARCH_TIMEOUT, |record| {
            let (mut is_own, mut offset, mut ce_id) = (false, None, None);
            record.headers(|key, value| match key {
                "ce_journal" => is_own = value == uuid.as_bytes(),
                "ce_journaloffset" => {
                    offset = std::str::from_utf8(value)
                        .ok()
                        .and_then(|text| text.parse::<u64>().ok());
                }
                "ce_id" => ce_id = std::str::from_utf8(value).ok(),
                _ => {}
            });
            if let Some(entry) = offset.filter(|_| is_own).and_then(|offset| missing.get(&offset))
                && ce_id == Some(&*entry.name.to_string())
                && entry.has_value(record.payload())
            {
                found.push(DeliveredEvent {
                    kind,
                    entry: entry.offset,
                    name: entry.name.to_string().into(),
                    order_id: (*entry.key).into(),
                    place: PartitionOffset {
                        partition: record.partition(),
                        offset: record.offset(),
                    },
                });
                missing.remove(&offset.unwrap_or_default());
                left -= 1;
            }
            match left {
                0 => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        });
        if let Err(error) = read {
            debug!(%error, topic, "the places of events stay unknown");
        }
    }
    found
}
