//! The newest orders, payments and deliveries, in memory. Every page starts with them.

use std::collections::VecDeque;
use std::sync::Arc;

use super::own_events::OwnEvents;
use super::sale_state::SaleState;
use comptoir_core::event::Kind;
use comptoir_core::record::PartitionOffset;
use comptoir_journal::Offset;

/// Number of rows of each kind that a page starts with.
pub const NEWEST: usize = 50;

/// Number of rows of each kind in memory: enough for the longest first page of a list, which then needs neither the
/// file nor a flush.
pub(super) const KEPT: usize = 500;

/// Most bytes of the rows of each kind in memory, many times the size of [`KEPT`] typical rows. If orders of hundreds
/// of kilobytes exceed it, the older ones are read from the file.
pub(super) const KEPT_BYTES: usize = 4 << 20;

/// The newest rows of each kind, and the delta up to which they are current.
#[derive(Debug, Clone, Default)]
pub struct RecentSales {
    /// Indexed by kind; oldest first.
    rows: [VecDeque<(u64, SaleState)>; 3],
    /// Indexed by kind: size of the rows, in bytes.
    bytes: [usize; 3],
    /// Indexed by kind: whether older rows exist or existed.
    older: [bool; 3],
    /// Number of the last [`super::Delta`] that the rows include.
    pub version: u64,
    /// The last journal entry included in the rows and in the totals of the current [`super::View`].
    pub folded: Offset,
    /// Number of the last delta that has a sale of another gateway.
    pub foreign: u64,
    pub own_events: OwnEvents,
    /// Entries in which another device has changed a sale. The file may not have them yet.
    pub(super) corrected: Vec<Offset>,
}

impl RecentSales {
    /// Replaces the rows of a kind. `has_older` says whether older rows exist.
    pub(super) fn fill(&mut self, kind: Kind, newest_first: Vec<(u64, SaleState)>, has_older: bool) {
        self.rows[kind as usize] = newest_first.into_iter().rev().collect();
        self.bytes[kind as usize] = self.rows[kind as usize].iter().map(size).sum();
        self.older[kind as usize] = has_older;
        self.drop_oldest(kind);
    }

    /// Stores the new state of row `seq`, unless that row is older than all that are kept.
    pub(super) fn put(&mut self, kind: Kind, seq: u64, item: SaleState) {
        if let Some(entry) = item.entry() {
            self.own_events.push(entry, seq);
        }
        let has_older = self.older[kind as usize];
        let rows = &mut self.rows[kind as usize];
        let bytes = &mut self.bytes[kind as usize];
        match rows.binary_search_by_key(&seq, |(seq, _)| *seq) {
            Ok(at) => {
                *bytes -= size(&rows[at]);
                rows[at].1 = item;
                *bytes += size(&rows[at]);
            }
            // Older than all rows that are kept; the rows in between may be only in the file.
            Err(0) if has_older || rows.len() >= KEPT => self.older[kind as usize] = true,
            Err(at) => {
                rows.insert(at, (seq, item));
                *bytes += size(&rows[at]);
            }
        }
        self.drop_oldest(kind);
    }

    /// Drops the oldest rows beyond the limits, but always keeps the newest, however large it is.
    fn drop_oldest(&mut self, kind: Kind) {
        let rows = &mut self.rows[kind as usize];
        let bytes = &mut self.bytes[kind as usize];
        while (rows.len() > KEPT || *bytes > KEPT_BYTES)
            && rows.len() > 1
            && let Some(oldest) = rows.pop_front()
        {
            *bytes -= size(&oldest);
            self.older[kind as usize] = true;
        }
    }

    /// The JSON of a row and the number of its corrections, if it is kept.
    pub(super) fn shown(&self, kind: Kind, row: u64) -> Option<(Arc<str>, u32)> {
        let rows = &self.rows[kind as usize];
        let at = rows.binary_search_by_key(&row, |(seq, _)| *seq).ok()?;
        let item = &rows[at].1;
        Some((item.payload().into(), item.corrections))
    }

    /// Adds places in Kafka of own events, which `find` looks up.
    pub(super) fn place(&mut self, find: impl Fn(Offset) -> Option<PartitionOffset>) {
        for (_, item) in self.rows.iter_mut().flatten() {
            if item.place.is_none() {
                item.place = item.entry().and_then(&find);
            }
        }
    }

    /// Removes the rows whose entries the journal has pruned. True if there were any.
    pub(super) fn forget_before(&mut self, first: Offset) -> bool {
        let here = |(_, item): &(u64, SaleState)| item.entry().is_none_or(|entry| entry >= first);
        let before = self.rows.iter().map(VecDeque::len).sum::<usize>();
        for rows in &mut self.rows {
            rows.retain(here);
        }
        self.bytes = std::array::from_fn(|kind| self.rows[kind].iter().map(size).sum());
        self.rows.iter().map(VecDeque::len).sum::<usize>() < before
    }

    /// The oldest row among the [`NEWEST`].
    pub fn oldest(&self, kind: Kind) -> u64 {
        let oldest = match self.kept(kind).nth(NEWEST - 1) {
            // Fewer large rows are kept.
            None if self.has_older(kind) => self.kept(kind).last(),
            oldest => oldest,
        };
        oldest.map_or(0, |(oldest, _)| oldest)
    }

    /// Whether rows older than those in memory exist.
    pub(super) fn has_older(&self, kind: Kind) -> bool {
        self.older[kind as usize]
    }

    /// The newest [`NEWEST`] rows, newest first.
    pub fn newest(&self, kind: Kind) -> impl Iterator<Item = (u64, &SaleState)> {
        self.kept(kind).take(NEWEST)
    }

    /// All rows in memory, newest first.
    pub(super) fn kept(&self, kind: Kind) -> impl Iterator<Item = (u64, &SaleState)> {
        self.rows[kind as usize]
            .iter()
            .rev()
            .map(|(seq, item)| (*seq, item))
    }
}

fn size((_, item): &(u64, SaleState)) -> usize {
    item.payload().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(text: &str) -> SaleState {
        SaleState::foreign("s/d/1/1".into(), text.into(), 0, 0)
    }

    fn shown(recent: &RecentSales) -> Vec<(u64, String)> {
        let kept = recent.kept(Kind::Order);
        kept.map(|(seq, item)| (seq, item.payload().to_owned())).collect()
    }

    #[test]
    fn a_new_state_replaces_the_row_and_the_oldest_row_is_dropped() {
        let mut recent = RecentSales::default();
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
    fn a_page_begins_with_the_newest_rows() {
        let mut recent = RecentSales::default();
        for seq in 1..=NEWEST as u64 {
            assert_eq!(recent.oldest(Kind::Order), 0);
            recent.put(Kind::Order, seq, item("new"));
        }
        recent.put(Kind::Order, 51, item("new"));
        assert_eq!(recent.newest(Kind::Order).count(), NEWEST);
        assert_eq!((recent.oldest(Kind::Order), recent.oldest(Kind::Payment)), (2, 0));
    }

    #[test]
    fn large_rows_leave_memory_before_there_are_many() {
        let mut recent = RecentSales::default();
        let large = "x".repeat(KEPT_BYTES / 4);
        for seq in 1..=6 {
            recent.put(Kind::Order, seq, item(&large));
        }
        let kept = |recent: &RecentSales| recent.kept(Kind::Order).map(|(seq, _)| seq).collect::<Vec<_>>();
        assert_eq!(kept(&recent), [6, 5, 4, 3]);
        assert!(recent.has_older(Kind::Order));
        assert_eq!(recent.oldest(Kind::Order), 3);
        recent.put(Kind::Order, 2, item("small, but the rows between are not kept"));
        assert_eq!(kept(&recent), [6, 5, 4, 3]);
        recent.put(Kind::Order, 7, item(&large.repeat(5)));
        assert_eq!(kept(&recent), [7], "the newest is kept, however large it is");
        recent.put(Kind::Order, 7, item("small"));
        assert_eq!(recent.bytes[Kind::Order as usize], 5);
        let mut restarted = RecentSales::default();
        restarted.fill(
            Kind::Order,
            (1..=6).rev().map(|seq| (seq, item(&large))).collect(),
            false,
        );
        assert_eq!(kept(&restarted), [6, 5, 4, 3]);
        assert!(restarted.has_older(Kind::Order));
    }

    #[test]
    fn older_rows_in_the_file_are_reported() {
        for (in_file, older) in [(KEPT, false), (KEPT + 1, true)] {
            let mut recent = RecentSales::default();
            let rows = (1..=in_file as u64).rev().map(|seq| (seq, item("stored")));
            recent.fill(Kind::Order, rows.collect(), false);
            assert_eq!(shown(&recent).len(), KEPT);
            assert_eq!(recent.has_older(Kind::Order), older, "{in_file}");
            recent.fill(Kind::Order, vec![(1, item("of a large one"))], true);
            assert!(recent.has_older(Kind::Order));
        }
    }
}
