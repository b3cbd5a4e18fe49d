//! Spot checks: reads some of the newest own events back from Kafka, and compares them with the journal.
//!
//! With `kafka.follow = "own"`, nothing else would notice that Kafka has lost or changed confirmed events.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use comptoir_core::event::Kind;
use comptoir_core::record::PartitionOffset;
use comptoir_journal::{Entry, Journal, Offset};
use comptoir_kafka::{self as kafka, RecordAt, Settings};
use rand::seq::IteratorRandom as _;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

use crate::platform::metrics::Metrics;
use crate::platform::peer::Peer;

/// How many of the newest events the samples are drawn from.
const REMEMBERED: usize = 1_024;
/// How many events one check reads back. Each costs a few kilobytes.
const SAMPLES: usize = 5;
/// Timeout of reading one event.
const TIMEOUT: Duration = Duration::from_secs(20);

/// An entry and its place in Kafka.
#[derive(Debug, Clone, Copy)]
struct PlacedEntry {
    entry: Offset,
    kind: Kind,
    place: PartitionOffset,
}

/// The newest events with their places. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct RecentPlaces(Arc<Mutex<VecDeque<PlacedEntry>>>);

impl RecentPlaces {
    pub(crate) fn add(&self, entry: Offset, kind: Kind, place: PartitionOffset) {
        // A panic elsewhere leaves the queue consistent.
        let mut recent_places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if recent_places.len() == REMEMBERED {
            recent_places.pop_front();
        }
        recent_places.push_back(PlacedEntry { entry, kind, place });
    }

    fn sample(&self) -> Vec<PlacedEntry> {
        let recent_places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        recent_places.iter().copied().sample(&mut rand::rng(), SAMPLES)
    }
}

/// Compares samples of the newest events at an interval.
pub struct SpotCheck {
    pub interval: Duration,
    pub settings: Settings,
    pub journal: Journal,
    pub recent_places: RecentPlaces,
    /// Kafka. A difference is shown as a warning about it.
    pub peer: Peer,
    pub metrics: Arc<Metrics>,
}

impl SpotCheck {
    /// Runs until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        while stop
            .run_until_cancelled(tokio::time::sleep(self.interval))
            .await
            .is_some()
        {
            self.check(self.recent_places.sample()).await;
        }
    }

    async fn check(&self, recent_places: Vec<PlacedEntry>) {
        let mut differences = Vec::new();
        for placed in recent_places {
            // The journal has pruned the entry, so it can no longer be compared.
            let Ok(Some(entry)) = self.journal.entry(placed.entry).await else {
                continue;
            };
            let (settings, topic) = (self.settings.clone(), self.settings.topic(placed.kind.topic()));
            let PartitionOffset { partition, offset } = placed.place;
            let place = format!("{topic}/{partition}/{offset}");
            let read = move || kafka::record_at(&settings, &topic, partition, offset, TIMEOUT);
            let Ok(read) = tokio::task::spawn_blocking(read).await else {
                return;
            };
            match read.map(|found| difference(&found, &entry)) {
                Ok(None) => self.metrics.samples_verified.inc(),
                Ok(Some(difference)) => {
                    self.metrics.samples_failed.inc();
                    let said = format!("{} should be in Kafka at {place}: {difference}", entry.name);
                    error!("{said}");
                    differences.push(said);
                }
                // Other parts report that Kafka is unreachable.
                Err(error) => debug!(%error, place, "an event could not be read back"),
            }
        }
        if !differences.is_empty() {
            self.peer.warn(differences);
        }
    }
}

/// How the record at an entry's place differs from the entry; `None` if it is that entry.
fn difference(found: &RecordAt, entry: &Entry) -> Option<String> {
    match found {
        RecordAt::Expired => None,
        RecordAt::Absent => Some("there is no record".to_owned()),
        RecordAt::Found { ce_id, payload } => {
            let is_named = ce_id.as_deref() == Some(&*entry.name.to_string());
            match (is_named, entry.has_value(payload)) {
                (true, true) => None,
                (true, false) => Some("the record has another content".to_owned()),
                (false, _) => Some(format!(
                    "there is the record {:?}",
                    ce_id.as_deref().unwrap_or_default()
                )),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use comptoir_core::event::EventName;
    use comptoir_journal::{EntryKind, Payload};

    use super::*;

    #[test]
    fn only_the_entry_itself_passes_and_only_in_its_place() {
        let entry = Entry {
            offset: Offset(9),
            kind: EntryKind::Event(Kind::Payment),
            name: EventName {
                device: "paris-1/till-1".parse().unwrap(),
                epoch: 7,
                seq: 42,
            },
            time: 0,
            key: "o-1".into(),
            payload: Payload::Json("{}".into()),
            reason: None,
        };
        let found = |ce_id: &str, payload: &[u8]| RecordAt::Found {
            ce_id: Some(ce_id.to_owned()),
            payload: payload.to_owned(),
        };
        let said = |found| difference(&found, &entry).unwrap_or_default();
        assert_eq!(said(found("paris-1/till-1/7/42", b"{}")), "");
        assert_eq!(said(RecordAt::Expired), "");
        assert!(said(found("paris-1/till-1/7/42", b"{ }")).contains("another content"));
        // Kafka keeps the personal data that the shop has erased.
        let erased = Entry {
            payload: Payload::Json(r#"{"order_id":"o-1","amount":1.50}"#.into()),
            ..entry.clone()
        };
        let whole = br#"{"order_id":"o-1","customer_name":"Zoe","address":"1 rue du Four","amount":1.50}"#;
        assert_eq!(difference(&found("paris-1/till-1/7/42", whole), &erased), None);
        let other = br#"{"order_id":"o-1","customer_name":"Zoe","address":"1 rue du Four","amount":2.50}"#;
        assert!(difference(&found("paris-1/till-1/7/42", other), &erased).is_some());
        assert!(said(found("paris-1/till-1/7/43", b"{}")).contains("7/43"));
        assert!(said(RecordAt::Absent).contains("no record"));
    }

    #[test]
    fn the_newest_events_are_remembered_and_a_few_are_drawn() {
        let recent_places = RecentPlaces::default();
        let place = PartitionOffset {
            partition: 0,
            offset: 0,
        };
        for entry in 0..2 * REMEMBERED as u64 {
            recent_places.add(Offset(entry), Kind::Order, place);
        }
        let drawn = recent_places.sample();
        assert_eq!(drawn.len(), SAMPLES);
        assert!(drawn.iter().all(|placed| placed.entry.0 >= REMEMBERED as u64));
    }
}
