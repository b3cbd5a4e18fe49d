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
fn lost_numbers_leave_no_gap_and_are_stored_if_they_are_sent_again() {
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
fn only_numbers_that_are_not_settled_can_be_lost() {
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
fn numbers_in_order_leave_no_range_ahead() {
    let mut stream = Stream::default();
    for seq in 1..=1_000 {
        assert_eq!(stream.admit(seq, 1, InOrder), New);
    }
    assert_eq!((stream.upto(), stream.ahead().len()), (1_000, 0));
    assert_eq!(stream.admit(7, 1, InOrder), Duplicate);
}

#[test]
fn a_binary_till_waits_at_a_gap_and_a_json_device_does_not() {
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
fn numbers_that_a_new_till_no_longer_holds_leave_no_gap() {
    let mut stream = Stream::default();
    assert_eq!(stream.admit(5_000, 5_000, InOrder), New);
    assert_eq!(
        (stream.upto(), stream.elsewhere, stream.stored),
        (5_000, 4_999, 1)
    );
}

#[test]
fn numbers_that_a_known_till_no_longer_holds_are_missing() {
    let mut stream = Stream::default();
    stream.admit(1, 1, InOrder);
    assert_eq!(stream.admit(5, 4, InOrder), AheadOfGap);
    assert_eq!(stream.admit(4, 4, InOrder), New);
    assert_eq!(stream.missing(), [(2, 3)]);
    assert_eq!((stream.upto(), stream.elsewhere), (4, 2), "and they leave no gap");
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
fn the_number_of_gone_ranges_is_bounded() {
    let mut stream = Stream::default();
    for seq in (1..10_000).step_by(2) {
        assert_eq!(stream.admit(seq, seq, InOrder), New);
    }
    assert_eq!(stream.gone().len(), MAX_GONE);
    assert_eq!(stream.gone().last(), Some(&(9_998, 9_998)));
}

#[test]
fn the_number_of_gaps_is_bounded() {
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
