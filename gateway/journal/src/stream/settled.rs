//! A set of settled numbers: a prefix `1..=upto`, and separate ranges ahead of it.

use std::iter;

/// An inclusive range of numbers.
pub type SeqRange = (u32, u32);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SettledSet {
    upto: u32,
    /// Disjoint and ascending; no two ranges touch one another or `upto`.
    ahead: Vec<SeqRange>,
}

impl SettledSet {
    /// Every number up to and including this one is settled.
    pub fn upto(&self) -> u32 {
        self.upto
    }

    pub fn ahead(&self) -> &[SeqRange] {
        &self.ahead
    }

    /// All settled numbers as ranges, ascending.
    pub fn ranges(&self) -> impl Iterator<Item = SeqRange> + '_ {
        let first = (self.upto > 0).then_some((1, self.upto));
        first.into_iter().chain(self.ahead.iter().copied())
    }

    pub fn highest(&self) -> u32 {
        self.ahead.last().map_or(self.upto, |&(_, to)| to)
    }

    pub fn count(&self) -> u64 {
        let ahead = self.ahead.iter().map(|&(from, to)| u64::from(to - from) + 1);
        u64::from(self.upto) + ahead.sum::<u64>()
    }

    pub fn contains(&self, seq: u32) -> bool {
        let after = self.ahead.partition_point(|&(from, _)| from <= seq);
        seq <= self.upto || (after > 0 && seq <= self.ahead[after - 1].1)
    }

    /// Whether `seq` would extend one of the ranges ahead.
    pub fn touches(&self, seq: u32) -> bool {
        let after = self.ahead.partition_point(|&(from, _)| from <= seq);
        (after > 0 && self.ahead[after - 1].1 + 1 == seq)
            || self
                .ahead
                .get(after)
                .is_some_and(|&(from, _)| from == seq.saturating_add(1))
    }

    /// The numbers below `end` that are not settled, ascending.
    pub fn holes_below(&self, end: u32) -> impl Iterator<Item = SeqRange> + '_ {
        let settled = iter::once(self.upto).chain(self.ahead.iter().map(|&(_, to)| to));
        let next = self.ahead.iter().map(|&(from, _)| from).chain([u32::MAX]);
        settled
            .zip(next)
            .map(move |(before, next)| (before.saturating_add(1), (next - 1).min(end.saturating_sub(1))))
            .filter(|(from, to)| from <= to)
    }

    /// Adds `from..=to`, and joins it with every range that it overlaps or touches.
    pub fn insert(&mut self, from: u32, to: u32) {
        let first = self
            .ahead
            .partition_point(|&(_, end)| end.saturating_add(1) < from);
        let last = self
            .ahead
            .partition_point(|&(start, _)| start <= to.saturating_add(1));
        let (mut from, mut to) = (from, to);
        if first < last {
            from = from.min(self.ahead[first].0);
            to = to.max(self.ahead[last - 1].1);
        }
        if from <= self.upto.saturating_add(1) {
            self.upto = self.upto.max(to);
            self.ahead.drain(..last.max(first));
        } else {
            self.ahead.splice(first..last.max(first), [(from, to)]);
        }
    }
}
