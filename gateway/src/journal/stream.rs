//! Which numbers of one device and epoch have been settled: a pure set of sequence numbers.
//!
//! Kept apart from the entries, so that a redelivery is recognised however long ago its event was
//! pruned, and so that a group commit touches one small row per device and not an index leaf per event.

/// How a terminal's numbers may arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discipline {
    /// A binary terminal resends from its oldest unacked event. What is ahead of a gap is not taken yet, so
    /// that the journal has its events in their order.
    InOrder,
    /// A JSON device may never resend. What is ahead of a gap is taken, and the gap is shown.
    AnyOrder,
}

/// What to do with a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    New,
    Duplicate,
    /// Not taken now: there is a gap before it (or too many of them). No ack covers it, so it will be resent.
    AheadOfGap,
}

/// More separate ranges than this and the device is not numbering, it is guessing.
const MAX_RANGES: usize = 1_024;
/// Numbers that a terminal may say at once that it no longer holds.
const MAX_JUMP: u32 = 1_000_000;
/// Of what is gone, for people to look at.
const MAX_GONE: usize = 64;
/// Ranges of lost numbers that are taken if they are sent again.
const MAX_LOST: usize = 256;

/// The settled numbers, as `1..=upto` and some ranges beyond.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stream {
    upto: u32,
    /// Disjoint, ascending, never touching one another or `upto`.
    ahead: Vec<(u32, u32)>,
    /// Settled without us although the epoch was known here. Ascending, all of it at or below `upto`; the newest
    /// ranges.
    gone: Vec<(u32, u32)>,
    /// Acked once, and their events lost with a part of the journal's files. Settled, so that nobody waits for them; taken
    /// if they are sent again. Ascending.
    lost: Vec<(u32, u32)>,
    /// Events stored, ever.
    pub stored: u64,
    /// Settled without us: below the oldest number that the terminal still holds.
    pub elsewhere: u64,
    /// Of those stored, at or below the watermark.
    pub in_kafka: u64,
    /// Events that came under a number that had been used for another sale.
    pub reused: u64,
}

impl Stream {
    /// As it stood in the database. Ranges that break the invariant are merged, never trusted.
    pub fn restore(upto: u32, ahead: Vec<(u32, u32)>, gone: Vec<(u32, u32)>, lost: Vec<(u32, u32)>) -> Self {
        let mut stream = Self {
            upto,
            gone,
            lost,
            ..Self::default()
        };
        for (from, to) in ahead {
            if from <= to {
                stream.settle(from, to);
            }
        }
        stream
    }

    /// Every number up to and including this one is settled: what an ack may say.
    pub fn upto(&self) -> u32 {
        self.upto
    }

    pub fn ahead(&self) -> &[(u32, u32)] {
        &self.ahead
    }

    pub fn gone(&self) -> &[(u32, u32)] {
        &self.gone
    }

    pub fn lost(&self) -> &[(u32, u32)] {
        &self.lost
    }

    /// Every number that is settled, as ranges; ascending.
    pub fn ranges(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        let first = (self.upto > 0).then_some((1, self.upto));
        first.into_iter().chain(self.ahead.iter().copied())
    }

    /// Settles numbers whose events were lost.
    pub fn lose(&mut self, from: u32, to: u32) {
        let missing: Vec<_> = self
            .holes_below(to.saturating_add(1))
            .map(|(begin, end)| (begin.max(from), end))
            .filter(|(begin, end)| begin <= end)
            .collect();
        for (begin, end) in missing {
            self.settle(begin, end);
            self.elsewhere += u64::from(end - begin) + 1;
            self.lost.push((begin, end));
        }
        self.lost.sort_unstable();
        let surplus = self.lost.len().saturating_sub(MAX_LOST);
        self.lost.drain(..surplus);
    }

    /// The highest number settled.
    pub fn highest(&self) -> u32 {
        self.ahead.last().map_or(self.upto, |&(_, to)| to)
    }

    /// Numbers at or below [`Stream::highest`] whose events are not here, ascending: those that are gone or lost, and the
    /// holes that may still be filled.
    pub fn missing(&self) -> Vec<(u32, u32)> {
        let holes = self.holes_below(self.highest());
        let mut missing: Vec<_> = self.gone.iter().chain(&self.lost).copied().chain(holes).collect();
        missing.sort_unstable();
        missing
    }

    /// What is not settled below `end`, ascending.
    fn holes_below(&self, end: u32) -> impl Iterator<Item = (u32, u32)> + '_ {
        let settled = std::iter::once(self.upto).chain(self.ahead.iter().map(|&(_, to)| to));
        let next = self.ahead.iter().map(|&(from, _)| from).chain([u32::MAX]);
        settled
            .zip(next)
            .map(move |(before, next)| (before.saturating_add(1), (next - 1).min(end.saturating_sub(1))))
            .filter(|(from, to)| from <= to)
    }

    /// Takes in one number. `oldest` is the lowest number that the terminal still holds (0: it did not
    /// say): what lies below it was acked to the terminal by some gateway or is lost on its flash, and will never
    /// come here.
    pub fn admit(&mut self, seq: u32, oldest: u32, discipline: Discipline) -> Admission {
        let jump = oldest.saturating_sub(self.upto);
        // Believed of an epoch that is new here, and within reason: or one absurd number would make duplicates of all that
        // the terminal has still to send.
        if jump > 1 && (self.highest() == 0 || jump <= MAX_JUMP) {
            // Of an epoch that is new here, a till that has come from another gateway, nothing is missed.
            if self.highest() > 0 {
                let gone: Vec<_> = self.holes_below(oldest).collect();
                self.gone.extend(gone);
                let surplus = self.gone.len().saturating_sub(MAX_GONE);
                self.gone.drain(..surplus);
            }
            let before = self.settled();
            self.settle(1, oldest - 1);
            self.elsewhere += self.settled() - before;
        }
        if self.contains(seq) {
            return match self.find_again(seq) {
                true => Admission::New,
                false => Admission::Duplicate,
            };
        }
        let next = seq == self.upto.saturating_add(1);
        let taken = next
            || (discipline == Discipline::AnyOrder && (self.ahead.len() < MAX_RANGES || self.touches(seq)));
        if !taken {
            return Admission::AheadOfGap;
        }
        self.settle(seq, seq);
        self.stored += 1;
        Admission::New
    }

    /// True if the event of this number was lost: it no longer is.
    fn find_again(&mut self, seq: u32) -> bool {
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

    /// The next number that the gateway gives out itself, above `floor`.
    pub fn number(&mut self, floor: u32) -> u32 {
        if self.highest() < floor {
            let before = self.settled();
            self.settle(1, floor);
            self.elsewhere += self.settled() - before;
        }
        let seq = self.highest().saturating_add(1);
        self.settle(seq, seq);
        self.stored += 1;
        seq
    }

    fn settled(&self) -> u64 {
        let ahead = self.ahead.iter().map(|&(from, to)| u64::from(to - from) + 1);
        u64::from(self.upto) + ahead.sum::<u64>()
    }

    fn contains(&self, seq: u32) -> bool {
        let after = self.ahead.partition_point(|&(from, _)| from <= seq);
        seq <= self.upto || (after > 0 && seq <= self.ahead[after - 1].1)
    }

    fn touches(&self, seq: u32) -> bool {
        let after = self.ahead.partition_point(|&(from, _)| from <= seq);
        (after > 0 && self.ahead[after - 1].1 + 1 == seq)
            || self
                .ahead
                .get(after)
                .is_some_and(|&(from, _)| from == seq.saturating_add(1))
    }

    /// Adds `from..=to` and restores the invariant of `ahead`.
    fn settle(&mut self, from: u32, to: u32) {
        // Everything that overlaps or touches from..=to becomes one range with it.
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

#[cfg(test)]
mod tests {
    use super::Admission::*;
    use super::Discipline::*;
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn restored(stream: &Stream) -> Stream {
        Stream::restore(
            stream.upto(),
            stream.ahead().to_vec(),
            stream.gone().to_vec(),
            stream.lost().to_vec(),
        )
    }

    #[test]
    fn lost_numbers_are_not_waited_for_and_taken_if_they_are_sent_again() {
        let mut stream = Stream::default();
        for seq in 1..=10 {
            stream.admit(seq, 1, InOrder);
        }
        stream.lose(1, 30);
        assert_eq!((stream.upto(), stream.missing()), (30, vec![(11, 30)]));
        assert_eq!(stream.admit(20, 1, InOrder), New);
        assert_eq!(stream.admit(20, 1, InOrder), Duplicate);
        assert_eq!(stream.missing(), [(11, 19), (21, 30)]);
        assert_eq!(stream.admit(31, 31, InOrder), New);
        for seq in (11..=30).filter(|seq| *seq != 20) {
            assert_eq!(stream.admit(seq, 1, InOrder), New);
        }
        assert_eq!((stream.upto(), stream.missing()), (31, vec![]));
        assert_eq!((stream.stored, stream.elsewhere), (31, 0));
        assert_eq!(restored(&stream).lost(), stream.lost());
    }

    #[test]
    fn only_what_is_not_here_can_be_lost() {
        let mut stream = Stream::default();
        for seq in [1, 2, 5, 9] {
            stream.admit(seq, 0, AnyOrder);
        }
        stream.lose(4, 7);
        assert_eq!(stream.lost(), [(4, 4), (6, 7)]);
        assert_eq!(stream.missing(), [(3, 3), (4, 4), (6, 7), (8, 8)]);
        assert_eq!((stream.upto(), stream.elsewhere), (2, 3));
    }

    #[test]
    fn in_order_numbers_leave_nothing_ahead() {
        let mut stream = Stream::default();
        for seq in 1..=1_000 {
            assert_eq!(stream.admit(seq, 1, InOrder), New);
        }
        assert_eq!((stream.upto(), stream.ahead().len()), (1_000, 0));
        assert_eq!(stream.admit(7, 1, InOrder), Duplicate);
    }

    #[test]
    fn a_binary_terminal_waits_at_a_gap_and_a_json_device_does_not() {
        let mut binary = Stream::default();
        assert_eq!(binary.admit(2, 1, InOrder), AheadOfGap);
        assert_eq!(binary.highest(), 0);

        let mut json = Stream::default();
        assert_eq!(json.admit(3, 0, AnyOrder), New);
        assert_eq!(json.upto(), 0);
        assert_eq!(json.missing(), [(1, 2)]);
        assert_eq!(json.admit(1, 0, AnyOrder), New);
        assert_eq!(json.admit(2, 0, AnyOrder), New);
        assert_eq!((json.upto(), json.missing().len()), (3, 0));
    }

    #[test]
    fn what_the_terminal_no_longer_holds_is_not_waited_for() {
        let mut stream = Stream::default();
        assert_eq!(stream.admit(5_000, 5_000, InOrder), New);
        assert_eq!(
            (stream.upto(), stream.elsewhere, stream.stored),
            (5_000, 4_999, 1)
        );
    }

    #[test]
    fn what_a_known_terminal_no_longer_holds_is_missing() {
        let mut stream = Stream::default();
        stream.admit(1, 1, InOrder);
        assert_eq!(stream.admit(5, 4, InOrder), AheadOfGap);
        assert_eq!(stream.admit(4, 4, InOrder), New);
        assert_eq!(stream.missing(), [(2, 3)]);
        assert_eq!(
            (stream.upto(), stream.elsewhere),
            (4, 2),
            "and it is not waited for"
        );
        stream.admit(9, 9, InOrder);
        assert_eq!(stream.missing(), [(2, 3), (5, 8)]);
        assert_eq!(restored(&stream).missing(), stream.missing());
    }

    #[test]
    fn the_gateways_own_numbers_begin_above_the_floor_and_none_is_missing() {
        let mut stream = Stream::default();
        assert_eq!((stream.number(0), stream.number(0)), (1, 2));
        assert_eq!((stream.number(100), stream.number(100)), (101, 102));
        assert_eq!(
            (stream.missing().len(), stream.stored, stream.elsewhere),
            (0, 4, 98)
        );
    }

    #[test]
    fn an_absurd_oldest_number_makes_no_duplicates_of_what_is_still_to_come() {
        let mut stream = Stream::default();
        stream.admit(1, 1, InOrder);
        assert_eq!(stream.admit(4_000_000_000, 4_000_000_000, InOrder), AheadOfGap);
        assert_eq!(stream.admit(2, 1, InOrder), New);
        assert_eq!((stream.upto(), stream.elsewhere), (2, 0));
    }

    #[test]
    fn what_is_gone_is_bounded() {
        let mut stream = Stream::default();
        for seq in (1..10_000).step_by(2) {
            assert_eq!(stream.admit(seq, seq, InOrder), New);
        }
        assert_eq!(stream.gone().len(), MAX_GONE);
        assert_eq!(stream.gone().last(), Some(&(9_998, 9_998)));
    }

    #[test]
    fn guessed_numbers_are_bounded() {
        let mut stream = Stream::default();
        let taken = (1..10_000)
            .filter(|n| stream.admit(n * 2, 0, AnyOrder) == New)
            .count();
        assert_eq!(taken, MAX_RANGES);
        assert_eq!(stream.admit(1, 0, AnyOrder), New, "a gap can still be filled");
        assert_eq!(stream.admit(u32::MAX, 0, AnyOrder), New, "one range was freed");
        assert_eq!(stream.admit(u32::MAX, 0, AnyOrder), Duplicate);
    }

    proptest! {
        #[test]
        fn agrees_with_a_plain_set(seqs in prop::collection::vec((1u32..60, 0u32..20), 0..200)) {
            let mut stream = Stream::default();
            let (mut set, mut gone) = (BTreeSet::new(), BTreeSet::new());
            for (seq, oldest) in seqs {
                let oldest = oldest.min(seq);
                if !set.is_empty() {
                    gone.extend((1..oldest).filter(|n| !set.contains(n)));
                }
                set.extend(1..oldest);
                let expected = if set.insert(seq) { New } else { Duplicate };
                prop_assert_eq!(stream.admit(seq, oldest, AnyOrder), expected);
                let upto = (1..).take_while(|n| set.contains(n)).last().unwrap_or(0);
                prop_assert_eq!(stream.upto(), upto);
                let missing: BTreeSet<u32> = stream.missing().into_iter().flat_map(|(a, b)| a..=b).collect();
                let holes = (1..=stream.highest()).filter(|n| !set.contains(n) || gone.contains(n)).collect();
                prop_assert_eq!(missing, holes);
                prop_assert_eq!(stream.stored + stream.elsewhere, set.len() as u64);
                let again = restored(&stream);
                prop_assert_eq!(again.ahead(), stream.ahead());
            }
        }
    }
}
