//! Where this gateway's newest events are: their rows and their places in Kafka, which the file does not know yet.
//! For a client that has to be told what it missed.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use sqlx::Row as _;

use super::fold::Fact;
use super::key::device_of_entry;
use super::{Listed, Projection, ProjectionError, kind_code};
use crate::event::Kind;
use crate::journal::{Entry, EntryKind, Offset};

/// Events kept: some 2 MB. More than lie between two strokes of the file, and minutes of a shop's rush.
const KEPT: usize = 32_768;

#[derive(Debug, Clone, Copy)]
struct Own {
    entry: Offset,
    row: u64,
    /// Partition and offset in Kafka, and the [`super::Delta`] that said so.
    seen: Option<((i32, i64), u64)>,
}

/// The newest own events, by their offset.
#[derive(Debug, Clone, Default)]
pub struct Lately(VecDeque<Own>);

impl Lately {
    /// Events come in the order of the journal.
    pub(super) fn push(&mut self, entry: Offset, row: u64) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        let seen = None;
        self.0.push_back(Own { entry, row, seen });
    }

    pub(super) fn place(&mut self, entry: Offset, place: (i32, i64), version: u64) {
        if let Some(at) = self.position(entry) {
            self.0[at].seen = Some((place, version));
        }
    }

    fn find(&self, entry: Offset) -> Option<&Own> {
        self.0.get(self.position(entry)?)
    }

    fn position(&self, entry: Offset) -> Option<usize> {
        // Offsets have no holes but dead letters, so that it is mostly just here.
        let first = self.0.front()?.entry.0;
        let at = usize::try_from(entry.0.checked_sub(first)?).ok()?;
        match self.0.get(at) {
            Some(own) if own.entry == entry => Some(at),
            _ => self.0.binary_search_by_key(&entry, |own| own.entry).ok(),
        }
    }

    /// Of the events after `after` and up to `upto`: those that were seen in Kafka after the version `since`. At most
    /// `count`.
    pub fn confirmed(
        &self,
        after: Offset,
        upto: Offset,
        since: u64,
        count: usize,
    ) -> Vec<(Offset, (i32, i64))> {
        let begin = self.0.partition_point(|own| own.entry <= after);
        let events = self.0.range(begin..).take_while(|own| own.entry <= upto);
        let seen = events.filter_map(|own| {
            let (place, version) = own.seen?;
            (version > since).then_some((own.entry, place))
        });
        seen.take(count).collect()
    }
}

impl Projection {
    /// The events among the entries, with their rows and their places in Kafka as far as those are known now.
    pub async fn located(&self, entries: Vec<Arc<Entry>>) -> Result<Vec<(Kind, Listed)>, ProjectionError> {
        let events = entries.into_iter().filter_map(|entry| match entry.kind {
            EntryKind::Event(kind) => Some((kind, entry)),
            EntryKind::DeadLetter => None,
        });
        let events: Vec<(Kind, Arc<Entry>)> = events.collect();
        let known: Option<Vec<_>> = self.recent(|recent| {
            let found = events.iter().map(|(_, entry)| recent.lately.find(entry.offset));
            found
                .map(|own| own.map(|own| (Some(own.row), own.seen.map(|(place, _)| place))))
                .collect()
        });
        let known = match known {
            Some(known) => known,
            None => self.filed(&events).await?,
        };
        let located = events.into_iter().zip(known);
        let located = located.map(|((kind, entry), (row, place))| {
            let mut item = Listed::own(entry);
            (item.row, item.place) = (row, place);
            (kind, item)
        });
        Ok(located.collect())
    }

    /// The rows and places of older events, from the file.
    async fn filed(&self, events: &[(Kind, Arc<Entry>)]) -> Result<Vec<Filed>, ProjectionError> {
        self.flushed().await?;
        let wanted = events.iter().map(|(kind, entry)| {
            let fact = Fact::read(*kind, entry.payload.json(), entry.time);
            let id = fact.map(|fact| fact.id.into_owned());
            let (store, device) = (entry.name.device.store(), device_of_entry(*kind, entry));
            serde_json::json!([entry.offset.0, kind_code(*kind), id, store, device])
        });
        let wanted = serde_json::Value::from_iter(wanted).to_string();
        let query = sqlx::query(
            "SELECT value ->> 0, seq, place.partition, place.offset FROM json_each(?)
             LEFT JOIN sale ON sale.kind = value ->> 1 AND sale.id = value ->> 2
                  AND sale.store = value ->> 3 AND sale.device = value ->> 4
             LEFT JOIN place ON place.entry = value ->> 0",
        )
        .bind(wanted);
        let rows = self.fetch_all(query).await?;
        let found: HashMap<u64, Filed> = rows
            .iter()
            .map(|row| {
                let seq: Option<i64> = row.get(1);
                let place = row.get::<Option<i32>, _>(2).zip(row.get(3));
                (row.get::<i64, _>(0) as u64, (seq.map(|seq| seq as u64), place))
            })
            .collect();
        let of = |entry: &Entry| found.get(&entry.offset.0).copied().unwrap_or_default();
        Ok(events.iter().map(|(_, entry)| of(entry)).collect())
    }
}

/// A row, and a partition with an offset.
type Filed = (Option<u64>, Option<(i32, i64)>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_confirmed_since_is_told_once_and_in_order() {
        let mut lately = Lately::default();
        for entry in [1, 2, 5, 6, 7] {
            lately.push(Offset(entry), entry * 10);
        }
        lately.place(Offset(1), (0, 40), 8);
        for entry in [7, 5, 2] {
            lately.place(Offset(entry), (1, entry as i64), 9);
        }
        lately.place(Offset(4), (1, 1), 9);
        let of = |after, upto, count| {
            let confirmed = lately.confirmed(Offset(after), Offset(upto), 8, count);
            confirmed.iter().map(|(entry, _)| entry.0).collect::<Vec<_>>()
        };
        assert_eq!(of(0, 6, 9), [2, 5], "7 is told with its place, 1 was told");
        assert_eq!(of(0, 9, 2), [2, 5]);
        assert_eq!(of(5, 9, 2), [7]);
        assert_eq!(lately.find(Offset(5)).unwrap().row, 50);
    }

    #[test]
    fn the_oldest_goes() {
        let mut lately = Lately::default();
        for entry in 1..=KEPT as u64 + 1 {
            lately.push(Offset(entry), entry);
        }
        assert!(lately.find(Offset(1)).is_none() && lately.find(Offset(2)).is_some());
        assert_eq!(lately.0.len(), KEPT);
    }
}
