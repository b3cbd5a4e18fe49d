//! The numbers of one stream (one device in one epoch): which are settled, and how to treat the next one.
//!
//! They are stored separately from the entries. So a redelivery is recognised even if its event was pruned long ago,
//! and a group commit touches one small row per stream instead of an index leaf per event.

mod settled;

pub use settled::SeqRange;
use settled::SettledSet;

use super::pending::Pending;

/// The order in which a device's numbers may arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discipline {
    /// A binary till resends from its oldest unacked event. An event ahead of a gap is not stored yet, so that the
    /// journal keeps the till's order.
    InOrder,
    /// A JSON device may never resend an event. An event ahead of a gap is stored, and the gap is reported.
    AnyOrder,
}

/// How to treat an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    New,
    Duplicate,
    /// Not stored now, because there is a gap before it, or too many gaps. It is not acked, so it will be sent again.
    AheadOfGap,
}

/// Most separate ranges. A device that leaves more gaps sends arbitrary numbers.
const MAX_RANGES: usize = 1_024;
/// Farthest jump of the oldest number that a till still holds.
const MAX_JUMP: u32 = 1_000_000;
/// Most `gone` ranges, which are only shown to people.
const MAX_GONE: usize = 64;
/// Most `lost` ranges.
const MAX_LOST: usize = 256;

/// The numbers of one stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stream {
    settled: SettledSet,
    /// Numbers that the till no longer holds and that never arrived here, although the epoch was known here. They count
    /// as settled. Ascending; only the newest ranges.
    gone: Vec<SeqRange>,
    /// Numbers whose events were acked and then lost with a part of the journal's files. They count as settled, but the
    /// event is stored if it is sent again. Ascending.
    lost: Vec<SeqRange>,
    /// Number of events ever stored.
    pub stored: u64,
    /// Number of numbers settled without being stored: those below the oldest one that the till still holds.
    pub elsewhere: u64,
    /// Number of stored events at or below the watermark.
    pub in_kafka: u64,
    /// Number of events that arrived under another sale's number.
    pub reused: u64,
    /// The room that the stream's events take in the journal until they are in Kafka.
    pub pending: Pending,
    /// The last commit that changed it, counted since the start.
    pub touched: u64,
}

impl Stream {
    /// Restores a stream from the database. Ranges that violate the invariant are merged, never trusted.
    pub fn restore(upto: u32, ahead: Vec<SeqRange>, gone: Vec<SeqRange>, lost: Vec<SeqRange>) -> Self {
        let mut settled = SettledSet::default();
        for (from, to) in [(1, upto)].into_iter().chain(ahead) {
            if from <= to {
                settled.insert(from, to);
            }
        }
        Self {
            settled,
            gone,
            lost,
            ..Self::default()
        }
    }

    /// Every number up to and including this one is settled. An ack carries this number.
    pub fn upto(&self) -> u32 {
        self.settled.upto()
    }

    /// The settled ranges beyond [`Stream::upto`].
    pub fn ahead(&self) -> &[SeqRange] {
        self.settled.ahead()
    }

    pub fn gone(&self) -> &[SeqRange] {
        &self.gone
    }

    pub fn lost(&self) -> &[SeqRange] {
        &self.lost
    }

    /// All settled numbers as ranges, ascending.
    pub fn ranges(&self) -> impl Iterator<Item = SeqRange> + '_ {
        self.settled.ranges()
    }

    /// The highest settled number.
    pub fn highest(&self) -> u32 {
        self.settled.highest()
    }

    /// The numbers at or below [`Stream::highest`] whose events are not here, ascending: the gone and lost ones, and
    /// the gaps that may still be filled.
    pub fn missing(&self) -> Vec<SeqRange> {
        let holes = self.settled.holes_below(self.highest());
        let mut missing: Vec<_> = self.gone.iter().chain(&self.lost).copied().chain(holes).collect();
        missing.sort_unstable();
        missing
    }

    /// Decides whether to store the event `seq`.
    ///
    /// `oldest` is the lowest number that the till still holds, or 0 if unknown. Lower numbers were acked to the till
    /// by some gateway, or are lost on its flash, and will never arrive here.
    pub fn admit(&mut self, seq: u32, oldest: u32, discipline: Discipline) -> Admission {
        self.settle_below(oldest);
        if self.settled.contains(seq) {
            return match self.recover_lost(seq) {
                true => Admission::New,
                false => Admission::Duplicate,
            };
        }
        let is_next = seq == self.upto().saturating_add(1);
        let may_skip = discipline == Discipline::AnyOrder
            && (self.ahead().len() < MAX_RANGES || self.settled.touches(seq));
        if !is_next && !may_skip {
            return Admission::AheadOfGap;
        }
        self.settled.insert(seq, seq);
        self.stored += 1;
        Admission::New
    }

    /// Settles the numbers below the oldest one that the till still holds.
    ///
    /// In an epoch that is known here, only a plausible jump is accepted: otherwise one absurd number would turn
    /// everything that the till has yet to send into duplicates.
    fn settle_below(&mut self, oldest: u32) {
        let is_new_here = self.highest() == 0;
        let jump = oldest.saturating_sub(self.upto());
        if jump <= 1 || (!is_new_here && jump > MAX_JUMP) {
            return;
        }
        // A till that moves here from another gateway begins above 1; nothing is missing then.
        if !is_new_here {
            self.gone.extend(self.settled.holes_below(oldest));
            let surplus = self.gone.len().saturating_sub(MAX_GONE);
            self.gone.drain(..surplus);
        }
        self.settle_elsewhere(oldest - 1);
    }

    /// Settles every number up to and including `upto` without an event.
    fn settle_elsewhere(&mut self, upto: u32) {
        let before = self.settled.count();
        self.settled.insert(1, upto);
        self.elsewhere += self.settled.count() - before;
    }

    /// Settles the numbers `from..=to` that are not settled yet as lost.
    pub fn lose(&mut self, from: u32, to: u32) {
        let missing: Vec<_> = self
            .settled
            .holes_below(to.saturating_add(1))
            .map(|(begin, end)| (begin.max(from), end))
            .filter(|(begin, end)| begin <= end)
            .collect();
        for (begin, end) in missing {
            self.settled.insert(begin, end);
            self.elsewhere += u64::from(end - begin) + 1;
            self.lost.push((begin, end));
        }
        self.lost.sort_unstable();
        let surplus = self.lost.len().saturating_sub(MAX_LOST);
        self.lost.drain(..surplus);
    }

    /// Removes `seq` from the lost numbers, because its event has arrived again. False if it was not lost.
    fn recover_lost(&mut self, seq: u32) -> bool {
        let Some(at) = self.lost.iter().position(|&(from, to)| from <= seq && seq <= to) else {
            return false;
        };
        let (from, to) = self.lost[at];
        let before = (from < seq).then(|| (from, seq - 1));
        let after = (seq < to).then(|| (seq + 1, to));
        self.lost.splice(at..=at, before.into_iter().chain(after));
        self.elsewhere = self.elsewhere.saturating_sub(1);
        self.stored += 1;
        true
    }

    /// The next number that the gateway itself assigns, above `floor`.
    pub fn number(&mut self, floor: u32) -> u32 {
        if self.highest() < floor {
            self.settle_elsewhere(floor);
        }
        let seq = self.highest().saturating_add(1);
        self.settled.insert(seq, seq);
        self.stored += 1;
        seq
    }
}

#[cfg(test)]
mod tests;
