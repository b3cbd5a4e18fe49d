//! The queue compared with a plain `VecDeque`, and under bit flips.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::VecDeque;

use common::{EPOCH, PAGES, blank, day, frame, held, open};
use comptoir_queue::{OpenOutcome, PowerCut, QueueError, SaleQueue, block_on};
use comptoir_wire::MAX_FRAME;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Act {
    Push(usize),
    Ack(u32),
    Reopen,
    Format,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        12 => (5..600usize).prop_map(Act::Push),
        1 => (600..MAX_FRAME).prop_map(Act::Push),
        4 => (0..40u32).prop_map(Act::Ack),
        2 => Just(Act::Reopen),
    ];
    let rare = prop_oneof![60 => act, 1 => Just(Act::Format)];
    prop::collection::vec(rare, 1..160)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_queue_behaves_as_a_deque(acts in acts()) {
        let mut flash = blank();
        let (mut queue, _) = open(&mut flash, EPOCH).unwrap();
        let (mut model, mut newest, mut epoch) = (VecDeque::new(), 0u32, EPOCH);
        for act in acts {
            match act {
                Act::Push(len) => {
                    let seq = newest + 1;
                    let room = block_on(queue.has_room_for(len)).unwrap();
                    let frame = frame(seq, 0, len);
                    match block_on(queue.push(seq, &frame)) {
                        Ok(()) => {
                            prop_assert!(room);
                            model.push_back((seq, frame));
                            newest = seq;
                        }
                        Err(QueueError::Full) => prop_assert!(!room && !model.is_empty()),
                        Err(error) => prop_assert!(false, "{error}"),
                    }
                }
                Act::Ack(back) => {
                    let through = newest.saturating_sub(back);
                    let before = model.len();
                    model.retain(|&(seq, _)| seq > through);
                    let deleted = block_on(queue.delete_through(through)).unwrap();
                    prop_assert_eq!(deleted as usize, before - model.len());
                }
                Act::Reopen => {
                    let opened;
                    (queue, opened) = open(&mut flash, 99).unwrap();
                    prop_assert_eq!(opened, OpenOutcome::Found);
                }
                Act::Format => {
                    epoch += 1;
                    queue = block_on(SaleQueue::format(&mut flash, 0..common::LEN, epoch)).unwrap();
                    model.clear();
                    newest = 0;
                }
            }
            prop_assert_eq!((queue.epoch(), queue.newest(), queue.len() as usize), (epoch, newest, model.len()));
        }
        prop_assert_eq!(held(&mut queue).unwrap(), Vec::from(model));
    }

    /// The bits are anywhere on flash, except two in the length of one item. No number is reused either.
    #[test]
    fn two_bit_flips_lose_nothing(steps in 1..100usize, bits in any::<[u64; 2]>()) {
        let mut flash = blank();
        let (mut queue, _) = open(&mut flash, EPOCH).unwrap();
        for step in day().into_iter().take(steps) {
            apply(&mut queue, step);
        }
        let (before, newest) = (held(&mut queue).unwrap(), queue.newest());
        let all = 8 * u64::from(common::LEN);
        prop_assume!((bits[0] % all) / 32 != (bits[1] % all) / 32);
        bits.into_iter().for_each(|bit| flash.flip_bit(bit));
        let (mut queue, opened) = open(&mut flash, 99).unwrap();
        prop_assert_eq!((opened, queue.epoch(), queue.newest()), (OpenOutcome::Found, EPOCH, newest));
        prop_assert_eq!(&held(&mut queue).unwrap(), &before);
        // Bit flips in erased flash affect later writes: notes, or the parts of an event.
        let next = newest + 1;
        let expected: Vec<u32> = before.into_iter().map(|(seq, _)| seq).chain(next..next + 20).collect();
        for seq in next..next + 20 {
            block_on(queue.push(seq, &frame(seq, 1, 900))).unwrap();
        }
        let seqs: Vec<u32> = held(&mut queue).unwrap().into_iter().map(|(seq, _)| seq).collect();
        prop_assert_eq!(seqs, expected);
    }

    /// The damage is any number of bit flips and random writes.
    #[test]
    fn a_queue_on_damaged_flash_opens_and_works(
        steps in 0..100usize,
        bits in prop::collection::vec(any::<u64>(), 0..300),
        noise in prop::collection::vec((any::<prop::sample::Index>(), any::<[u8; 16]>()), 0..40),
    ) {
        let mut flash = blank();
        let (mut queue, _) = open(&mut flash, EPOCH).unwrap();
        for step in day().into_iter().take(steps) {
            apply(&mut queue, step);
        }
        for bit in bits {
            flash.flip_bit(bit);
        }
        let mut memory = flash.memory().clone();
        for (at, bytes) in noise {
            let at = at.index(memory.len() - bytes.len());
            memory[at..at + bytes.len()].copy_from_slice(&bytes);
        }
        let mut flash = common::Flash::new(memory);
        for round in 0..12 {
            let (mut queue, _) = open(&mut flash, 99 + round).unwrap();
            let Some(next) = queue.next_seq() else { return Ok(()) };
            let frame = frame(next, 3, 700);
            match block_on(queue.push(next, &frame)) {
                Ok(()) => {}
                Err(QueueError::Full | QueueError::Corrupted | QueueError::Worn) => {
                    let newest = queue.newest();
                    // If everything is acked, there is room again. Otherwise a format always helps.
                    if block_on(queue.delete_through(newest)).is_err() || block_on(queue.push(next, &frame)).is_err() {
                        queue = block_on(SaleQueue::format(&mut flash, 0..common::LEN, 1000 + round)).unwrap();
                        block_on(queue.push(1, &common::frame(1, 3, 700))).unwrap();
                    }
                }
                Err(error) => prop_assert!(false, "{error}"),
            }
            let newest = queue.newest();
            prop_assert_eq!(held(&mut queue).unwrap().last().map(|&(seq, _)| seq), Some(newest));
        }
    }
}

/// Each bit in use (of notes, of deleted, incomplete and unacked events, and of page marks), and many erased bits in between.
#[test]
fn every_single_bit_flip_loses_nothing() {
    let mut flash = blank();
    let (mut queue, _) = open(&mut flash, EPOCH).unwrap();
    for seq in 1..=10 {
        let len = if seq == 7 { 700 } else { 30 };
        block_on(queue.push(seq, &frame(seq, 0, len))).unwrap();
        if seq == 5 {
            block_on(queue.delete_through(3)).unwrap();
        }
        if seq == 8 {
            // A power cut in the middle of the next event leaves an incomplete one.
            flash.cut_power(PowerCut { after: 1, seed: 13 });
            let (mut cut, _) = open(&mut flash, 99).unwrap();
            assert!(block_on(cut.push(9, &frame(9, 7, 100))).is_err());
            assert!(flash.restore_power());
            queue = open(&mut flash, 99).unwrap().0;
        }
    }
    let (before, newest) = (held(&mut queue).unwrap(), queue.newest());
    assert!(before.iter().map(|&(seq, _)| seq).eq(4..=10));
    let memory = flash.memory().clone();
    let pages = (0..memory.len()).step_by(common::PAGE);
    let pages = pages.filter(|&page| memory[page..page + common::PAGE].iter().any(|&byte| byte != 0xff));
    let bits: Vec<usize> = pages
        .flat_map(|page| 8 * page..8 * (page + common::PAGE))
        .filter(|bit| bit % 61 == 0 || memory[bit / 8] != 0xff)
        .collect();
    assert!(bits.len() > 8_000, "{}", bits.len());
    for bit in bits {
        flash.flip_bit(bit as u64);
        let (mut queue, opened) = open(&mut flash, 99).unwrap();
        assert_eq!(
            (opened, queue.epoch(), queue.newest()),
            (OpenOutcome::Found, EPOCH, newest),
            "{bit}"
        );
        assert!(held(&mut queue).unwrap() == before, "{bit}");
        // Restores the bit, and everything that the opening deleted.
        memory.clone_into(flash.memory_mut());
    }
}

fn apply(queue: &mut common::Queue<'_>, step: common::Step) {
    let newest = queue.newest();
    match step {
        common::Step::Sell(len) => block_on(queue.push(newest + 1, &frame(newest + 1, 0, len))).unwrap(),
        common::Step::AckAllBut(rest) => _ = block_on(queue.delete_through(newest - rest)).unwrap(),
    }
}

#[test]
fn a_full_queue_is_noticed_before_the_sale_and_takes_the_largest_event_when_it_has_room_again() {
    let mut flash = blank();
    let (mut queue, _) = open(&mut flash, EPOCH).unwrap();
    let largest = frame(1, 0, MAX_FRAME);
    assert!(block_on(queue.has_room_for(MAX_FRAME)).unwrap());
    block_on(queue.push(1, &largest)).unwrap();
    let mut seq = 1;
    while block_on(queue.has_room_for(400)).unwrap() {
        seq += 1;
        block_on(queue.push(seq, &frame(seq, 0, 400))).unwrap();
    }
    // At most two of the fourteen pages are reserved.
    assert!(
        seq as usize * 430 + MAX_FRAME > (PAGES - 3) * common::PAGE,
        "{seq}"
    );
    assert_eq!(
        block_on(queue.push(seq + 1, &frame(seq + 1, 0, 400))),
        Err(QueueError::Full)
    );
    assert_eq!(block_on(queue.push(seq + 2, &[1])), Err(QueueError::NotNext));
    assert_eq!(
        block_on(queue.push(seq + 1, &[1; MAX_FRAME + 1])),
        Err(QueueError::TooLarge)
    );
    assert_eq!(block_on(queue.delete_through(u32::MAX)).unwrap(), seq);
    assert!(block_on(queue.has_room_for(MAX_FRAME)).unwrap());
    block_on(queue.push(seq + 1, &largest)).unwrap();
    assert_eq!(held(&mut queue).unwrap(), [(seq + 1, largest)]);
}

#[test]
fn numbering_continues_after_the_queue_was_empty() {
    let mut flash = blank();
    for seq in 1..=300 {
        let (mut queue, _) = open(&mut flash, EPOCH).unwrap();
        assert_eq!((queue.next_seq(), queue.is_empty()), (Some(seq), true));
        block_on(queue.push(seq, &frame(seq, 0, 200))).unwrap();
        assert_eq!(block_on(queue.delete_through(seq)).unwrap(), 1);
    }
}

#[test]
fn an_unsuitable_flash_range_is_refused() {
    let mut flash = blank();
    for range in [
        0..4096 * 3,
        0..common::LEN * 2,
        10..common::LEN,
        4096..4096,
        0..common::LEN - 1,
    ] {
        let opened = block_on(SaleQueue::<_, PAGES>::open(&mut flash, range.clone(), 1));
        let is_refused = matches!(opened, Err(QueueError::Range | QueueError::Flash(_)));
        assert!(is_refused, "{range:?}");
    }
    // The positive control: the same flash with a suitable range.
    assert!(block_on(SaleQueue::<_, PAGES>::open(&mut flash, 0..common::LEN, 1)).is_ok());
}
