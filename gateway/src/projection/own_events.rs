//! This gateway's newest events, with their rows and their places in Kafka, which the file may not have yet. A client
//! that was away gets from them the events that it missed.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use sqlx::Row as _;

use super::fact::Fact;
use super::key::device_of_entry;
use super::sale_rows::place_of;
use super::{Projection, ProjectionError, SaleState, kind_code};
use comptoir_core::event::Kind;
use comptoir_core::record::PartitionOffset;
use comptoir_journal::{Entry, EntryKind, Offset};

/// Number of events in memory, some 2 MB: more than arrive between two flushes, and minutes of a busy shop.
const KEPT: usize = 32_768;

#[derive(Debug, Clone, Copy)]
struct ConfirmedPlace {
    place: PartitionOffset,
    /// Number of the [`super::Delta`] that confirmed the event.
    version: u64,
}

#[derive(Debug, Clone, Copy)]
struct OwnEvent {
    entry: Offset,
    row: u64,
    /// The place in Kafka, once the event is confirmed.
    place: Option<ConfirmedPlace>,
}

/// The newest own events, in the order of their offsets.
#[derive(Debug, Clone, Default)]
pub struct OwnEvents(VecDeque<OwnEvent>);

impl OwnEvents {
    /// Adds an event. Events are added in journal order.
    pub(super) fn push(&mut self, entry: Offset, row: u64) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        let place = None;
        self.0.push_back(OwnEvent { entry, row, place });
    }

    /// Records that the delta `version` has confirmed an event.
    pub(super) fn confirm(&mut self, entry: Offset, place: PartitionOffset, version: u64) {
        if let Some(at) = self.position(entry) {
            self.0[at].place = Some(ConfirmedPlace { place, version });
        }
    }

    fn find(&self, entry: Offset) -> Option<&OwnEvent> {
        self.0.get(self.position(entry)?)
    }

    fn position(&self, entry: Offset) -> Option<usize> {
        // Only dead letters leave gaps in the offsets, so the distance usually equals the index.
        let first = self.0.front()?.entry.0;
        let at = usize::try_from(entry.0.checked_sub(first)?).ok()?;
        match self.0.get(at) {
            Some(own) if own.entry == entry => Some(at),
            _ => self.0.binary_search_by_key(&entry, |own| own.entry).ok(),
        }
    }

    /// At most `count` events after `after` and up to `upto` that were confirmed by a delta after version `since`.
    pub fn confirmed_since(
        &self,
        after: Offset,
        upto: Offset,
        since: u64,
        count: usize,
    ) -> Vec<(Offset, PartitionOffset)> {
        let begin = self.0.partition_point(|own| own.entry <= after);
        let events = self.0.range(begin..).take_while(|own| own.entry <= upto);
        let confirmed = events.filter_map(|own| {
            let confirmed = own.place?;
            (confirmed.version > since).then_some((own.entry, confirmed.place))
        });
        confirmed.take(count).collect()
    }
}

impl Projection {
    /// The events among the entries, with their rows and, if confirmed, their places in Kafka.
    ///
    /// # Errors
    ///
    /// The projection has ended, or its file could not be read.
    pub async fn locate(&self, entries: Vec<Arc<Entry>>) -> Result<Vec<(Kind, SaleState)>, ProjectionError> {
        let events = entries.into_iter().filter_map(|entry| match entry.kind {
            EntryKind::Event(kind) => Some((kind, entry)),
            EntryKind::DeadLetter | EntryKind::Audit(_) | EntryKind::Closing => None,
        });
        let events: Vec<(Kind, Arc<Entry>)> = events.collect();
        let known: Option<Vec<_>> = self.recent(|recent| {
            let found = events
                .iter()
                .map(|(_, entry)| recent.own_events.find(entry.offset));
            found
                .map(|own| {
                    own.map(|own| Location {
                        row: Some(own.row),
                        place: own.place.map(|confirmed| confirmed.place),
                    })
                })
                .collect()
        });
        let known = match known {
            Some(known) => known,
            None => self.stored_locations(&events).await?,
        };
        let located = events.into_iter().zip(known);
        let located = located.map(|((kind, entry), location)| {
            let mut item = SaleState::own(entry);
            (item.row, item.place) = (location.row, location.place);
            (kind, item)
        });
        self.show_rows_of_other_devices(located.collect()).await
    }

    /// Shows an event that another device sent about a sale as that sale. Leaves out the event if the sale is no longer
    /// among the newest.
    async fn show_rows_of_other_devices(
        &self,
        located: Vec<(Kind, SaleState)>,
    ) -> Result<Vec<(Kind, SaleState)>, ProjectionError> {
        let (Some(from), Some(to)) = (
            located.iter().filter_map(|(_, item)| item.entry()).min(),
            located.iter().filter_map(|(_, item)| item.entry()).max(),
        ) else {
            return Ok(located);
        };
        let of_others = self.entries_of_other_devices(from, to).await?;
        if of_others.is_empty() {
            return Ok(located);
        }
        let shown = located.into_iter().filter_map(|(kind, mut item)| {
            if item.entry().is_some_and(|entry| of_others.contains(&entry)) {
                let row = item.row?;
                let (shown, corrections) = self.recent(|recent| recent.shown(kind, row))?;
                (item.shown, item.corrections) = (Some(shown), corrections);
            }
            Some((kind, item))
        });
        Ok(shown.collect())
    }

    /// The entries in this range that are changes of a sale by another device.
    async fn entries_of_other_devices(
        &self,
        from: Offset,
        to: Offset,
    ) -> Result<HashSet<Offset>, ProjectionError> {
        let (from, to) = (from.0 as i64, to.0 as i64);
        let query = sqlx::query("SELECT entry FROM correction WHERE entry BETWEEN ? AND ?")
            .bind(from)
            .bind(to);
        let rows = self.fetch_all(query).await?;
        let written = rows.iter().map(|row| Offset(row.get::<i64, _>("entry") as u64));
        let mut entries: HashSet<Offset> = written.collect();
        entries.extend(self.recent(|recent| recent.corrected.clone()));
        Ok(entries)
    }

    /// Reads the rows and places of older events from the file.
    async fn stored_locations(
        &self,
        events: &[(Kind, Arc<Entry>)],
    ) -> Result<Vec<Location>, ProjectionError> {
        self.flush().await?;
        let wanted = events.iter().map(|(kind, entry)| {
            let fact = Fact::read(*kind, entry.payload.json(), entry.time);
            let id = fact.map(|fact| fact.id.into_owned());
            let (store, device) = (entry.name.device.store(), device_of_entry(*kind, entry));
            serde_json::json!([entry.offset.0, kind_code(*kind), id, store, device])
        });
        let wanted = serde_json::Value::from_iter(wanted).to_string();
        let query = sqlx::query(
            "SELECT value ->> 0 AS entry, seq, place.partition, place.offset FROM json_each(?)
             LEFT JOIN sale ON sale.kind = value ->> 1 AND sale.id = value ->> 2
                  AND sale.store = value ->> 3 AND sale.device = value ->> 4
             LEFT JOIN place ON place.entry = value ->> 0",
        )
        .bind(wanted);
        let rows = self.fetch_all(query).await?;
        let found: HashMap<u64, Location> = rows
            .iter()
            .map(|row| {
                let location = Location {
                    row: row.get::<Option<i64>, _>("seq").map(|seq| seq as u64),
                    place: place_of(row),
                };
                (row.get::<i64, _>("entry") as u64, location)
            })
            .collect();
        let of = |entry: &Entry| found.get(&entry.offset.0).copied().unwrap_or_default();
        Ok(events.iter().map(|(_, entry)| of(entry)).collect())
    }
}

/// The location of an event in the projection and in Kafka, as far as known.
#[derive(Debug, Clone, Copy, Default)]
struct Location {
    row: Option<u64>,
    place: Option<PartitionOffset>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confirmations_since_a_version_are_returned_once_and_in_order() {
        let at = |partition, offset| PartitionOffset { partition, offset };
        let mut own_events = OwnEvents::default();
        for entry in [1, 2, 5, 6, 7] {
            own_events.push(Offset(entry), entry * 10);
        }
        own_events.confirm(Offset(1), at(0, 40), 8);
        for entry in [7, 5, 2] {
            own_events.confirm(Offset(entry), at(1, entry as i64), 9);
        }
        own_events.confirm(Offset(4), at(1, 1), 9);
        let of = |after, upto, count| {
            let confirmed = own_events.confirmed_since(Offset(after), Offset(upto), 8, count);
            confirmed.iter().map(|(entry, _)| entry.0).collect::<Vec<_>>()
        };
        assert_eq!(of(0, 6, 9), [2, 5], "7 is after `upto`, 1 was confirmed before");
        assert_eq!(of(0, 9, 2), [2, 5]);
        assert_eq!(of(5, 9, 2), [7]);
        assert_eq!(own_events.find(Offset(5)).unwrap().row, 50);
    }

    #[test]
    fn the_oldest_event_is_dropped() {
        let mut own_events = OwnEvents::default();
        for entry in 1..=KEPT as u64 + 1 {
            own_events.push(Offset(entry), entry);
        }
        assert!(own_events.find(Offset(1)).is_none() && own_events.find(Offset(2)).is_some());
        assert_eq!(own_events.0.len(), KEPT);
    }
}
