//! The newest orders, payments and deliveries, in memory: what every page begins with.

use std::collections::VecDeque;

use super::lately::Lately;
use super::list::Listed;
use crate::event::Kind;
use crate::journal::Offset;

/// How many of each kind a page begins with.
pub const NEWEST: usize = 50;

/// How many of each kind are kept: the longest first page of a list is answered without the file, to which a fold under
/// load would have to be written before.
pub(super) const KEPT: usize = 500;

/// The newest of each kind, and of which delta they are.
#[derive(Debug, Clone, Default)]
pub struct Recent {
    /// By kind; oldest first.
    rows: [VecDeque<(u64, Listed)>; 3],
    /// By kind: there are, or were, others before them.
    older: [bool; 3],
    /// Number of the last [`super::Delta`] that is in here.
    pub version: u64,
    /// Every journal entry at or below it is in here, and in the totals of the [`super::View`] of this moment.
    pub folded: Offset,
    /// Of the last delta that brought something of another gateway.
    pub foreign: u64,
    pub lately: Lately,
}

impl Recent {
    pub(super) fn fill(&mut self, kind: Kind, mut newest_first: Vec<(u64, Listed)>) {
        self.older[kind as usize] = newest_first.len() > KEPT;
        newest_first.truncate(KEPT);
        self.rows[kind as usize] = newest_first.into_iter().rev().collect();
    }

    /// A new state of the row `seq`; without effect if that is older than all that are kept.
    pub(super) fn put(&mut self, kind: Kind, seq: u64, item: Listed) {
        if let Some(entry) = item.entry() {
            self.lately.push(entry, seq);
        }
        let rows = &mut self.rows[kind as usize];
        match rows.binary_search_by_key(&seq, |(seq, _)| *seq) {
            Ok(at) => rows[at].1 = item,
            Err(0) if rows.len() >= KEPT => self.older[kind as usize] = true,
            Err(at) => {
                rows.insert(at, (seq, item));
                if rows.len() > KEPT {
                    rows.pop_front();
                    self.older[kind as usize] = true;
                }
            }
        }
    }

    /// Where own entries lie in Kafka: `find` gives the partition and the offset.
    pub(super) fn place(&mut self, find: impl Fn(Offset) -> Option<(i32, i64)>) {
        for (_, item) in self.rows.iter_mut().flatten() {
            if item.place.is_none() {
                item.place = item.entry().and_then(&find);
            }
        }
    }

    /// Forgets the rows whose entries the journal has let go of; true if there were any.
    pub(super) fn forget_before(&mut self, first: Offset) -> bool {
        let here = |(_, item): &(u64, Listed)| item.entry().is_none_or(|entry| entry >= first);
        let before = self.rows.iter().map(VecDeque::len).sum::<usize>();
        for rows in &mut self.rows {
            rows.retain(here);
        }
        self.rows.iter().map(VecDeque::len).sum::<usize>() < before
    }

    /// Rows before this one are older than the [`NEWEST`].
    pub fn oldest(&self, kind: Kind) -> u64 {
        self.kept(kind).nth(NEWEST - 1).map_or(0, |(oldest, _)| oldest)
    }

    /// Whether there are others before those that are kept.
    pub(super) fn has_older(&self, kind: Kind) -> bool {
        self.older[kind as usize]
    }

    /// The [`NEWEST`], newest first.
    pub fn newest(&self, kind: Kind) -> impl Iterator<Item = (u64, &Listed)> {
        self.kept(kind).take(NEWEST)
    }

    /// All that are kept, newest first.
    pub(super) fn kept(&self, kind: Kind) -> impl Iterator<Item = (u64, &Listed)> {
        self.rows[kind as usize]
            .iter()
            .rev()
            .map(|(seq, item)| (*seq, item))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(text: &str) -> Listed {
        Listed::foreign("s/d/1/1".into(), text.into(), 0, 0)
    }

    fn shown(recent: &Recent) -> Vec<(u64, String)> {
        let kept = recent.kept(Kind::Order);
        kept.map(|(seq, item)| (seq, item.payload().to_owned())).collect()
    }

    #[test]
    fn a_new_state_keeps_its_place_and_the_oldest_goes() {
        let mut recent = Recent::default();
        let most = KEPT as u64;
        for seq in 1..=most {
            recent.put(Kind::Order, seq, item("new"));
        }
        assert!(!recent.has_older(Kind::Order));
        recent.put(Kind::Order, 2, item("changed"));
        recent.put(Kind::Order, most + 1, item("newest"));
        assert!(recent.has_older(Kind::Order) && !recent.has_older(Kind::Payment));
        let rows = shown(&recent);
        assert_eq!(rows.len(), KEPT);
        assert_eq!(rows[0], (most + 1, "newest".to_owned()));
        assert_eq!(rows[KEPT - 1], (2, "changed".to_owned()));
        recent.put(Kind::Order, 1, item("too old"));
        assert_eq!(shown(&recent), rows);
    }

    #[test]
    fn a_page_begins_with_the_newest() {
        let mut recent = Recent::default();
        for seq in 1..=NEWEST as u64 {
            assert_eq!(recent.oldest(Kind::Order), 0);
            recent.put(Kind::Order, seq, item("new"));
        }
        recent.put(Kind::Order, 51, item("new"));
        assert_eq!(recent.newest(Kind::Order).count(), NEWEST);
        assert_eq!((recent.oldest(Kind::Order), recent.oldest(Kind::Payment)), (2, 0));
    }

    #[test]
    fn what_the_file_has_beyond_is_known_to_be_there() {
        for (in_file, older) in [(KEPT, false), (KEPT + 1, true)] {
            let mut recent = Recent::default();
            let rows = (1..=in_file as u64).rev().map(|seq| (seq, item("stored")));
            recent.fill(Kind::Order, rows.collect());
            assert_eq!(shown(&recent).len(), KEPT);
            assert_eq!(recent.has_older(Kind::Order), older, "{in_file}");
        }
    }
}
