//! The newest orders, payments and deliveries, in memory: what every page begins with.

use super::list::Listed;
use crate::event::Kind;
use crate::journal::Offset;

/// How many of each kind.
pub const NEWEST: usize = 50;

/// The newest of each kind, and of which delta they are.
#[derive(Debug, Clone, Default)]
pub struct Recent {
    /// By kind; oldest first.
    rows: [Vec<(u64, Listed)>; 3],
    /// By kind: there are, or were, others before them.
    older: [bool; 3],
    /// Number of the last [`super::Delta`] that is in here.
    pub version: u64,
}

impl Recent {
    pub(super) fn fill(&mut self, kind: Kind, mut newest_first: Vec<(u64, Listed)>) {
        self.older[kind as usize] = newest_first.len() > NEWEST;
        newest_first.truncate(NEWEST);
        self.rows[kind as usize] = newest_first.into_iter().rev().collect();
    }

    /// A new state of the row `seq`; without effect if that is older than all that are kept.
    pub(super) fn put(&mut self, kind: Kind, seq: u64, item: Listed) {
        let rows = &mut self.rows[kind as usize];
        match rows.binary_search_by_key(&seq, |(seq, _)| *seq) {
            Ok(at) => rows[at].1 = item,
            Err(0) if rows.len() >= NEWEST => self.older[kind as usize] = true,
            Err(at) => {
                rows.insert(at, (seq, item));
                if rows.len() > NEWEST {
                    rows.remove(0);
                    self.older[kind as usize] = true;
                }
            }
        }
    }

    /// Where own entries lie in Kafka: `find` gives the partition and the offset.
    pub(super) fn place(&mut self, find: impl Fn(Offset) -> Option<(i32, i64)>) {
        for (_, item) in self.rows.iter_mut().flatten() {
            if let Some(place) = item.entry().and_then(&find) {
                item.place = Some(place);
            }
        }
    }

    /// Rows before this one are older than all that are kept.
    pub fn oldest(&self, kind: Kind) -> u64 {
        match self.rows[kind as usize].as_slice() {
            [(oldest, _), ..] if self.rows[kind as usize].len() == NEWEST => *oldest,
            _ => 0,
        }
    }

    /// Whether there are others before those that are kept.
    pub fn has_older(&self, kind: Kind) -> bool {
        self.older[kind as usize]
    }

    /// Newest first.
    pub fn newest(&self, kind: Kind) -> impl Iterator<Item = (u64, &Listed)> {
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
        let newest = recent.newest(Kind::Order);
        newest
            .map(|(seq, item)| (seq, item.payload().to_owned()))
            .collect()
    }

    #[test]
    fn a_new_state_keeps_its_place_and_the_oldest_goes() {
        let mut recent = Recent::default();
        for seq in 1..=NEWEST as u64 {
            recent.put(Kind::Order, seq, item("new"));
        }
        assert!(!recent.has_older(Kind::Order));
        recent.put(Kind::Order, 2, item("changed"));
        recent.put(Kind::Order, 51, item("newest"));
        assert!(recent.has_older(Kind::Order) && !recent.has_older(Kind::Payment));
        let rows = shown(&recent);
        assert_eq!(rows.len(), NEWEST);
        assert_eq!(rows[0], (51, "newest".to_owned()));
        assert_eq!(rows[NEWEST - 1], (2, "changed".to_owned()));
        assert_eq!((recent.oldest(Kind::Order), recent.oldest(Kind::Payment)), (2, 0));
        recent.put(Kind::Order, 1, item("too old"));
        assert_eq!(shown(&recent), rows);
    }

    #[test]
    fn what_the_file_has_beyond_is_known_to_be_there() {
        for (in_file, older) in [(NEWEST, false), (NEWEST + 1, true)] {
            let mut recent = Recent::default();
            let rows = (1..=in_file as u64).rev().map(|seq| (seq, item("stored")));
            recent.fill(Kind::Order, rows.collect());
            assert_eq!(shown(&recent).len(), NEWEST);
            assert_eq!(recent.has_older(Kind::Order), older, "{in_file}");
        }
    }
}
