//! Power cuts at every single write and erase of a day of sales.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{EPOCH, Error, Flash, Queue, Step, blank, day, frame, held, open};
use comptoir_queue::{OpenOutcome, PowerCut, QueueError, RamError, SaleQueue, block_on};

/// The expected contents of the queue: the events that were confirmed and are not acked.
#[derive(Clone, Debug, Default)]
struct Expected {
    confirmed: Vec<(u32, Vec<u8>)>,
    newest: u32,
}

fn apply(step: Step, attempt: u8, queue: &mut Queue<'_>, expected: &mut Expected) -> Result<(), Error> {
    match step {
        Step::Sell(len) => {
            let (seq, frame) = (expected.newest + 1, frame(expected.newest + 1, attempt, len));
            block_on(queue.push(seq, &frame))?;
            expected.newest = seq;
            expected.confirmed.push((seq, frame));
        }
        Step::AckAllBut(rest) => {
            block_on(queue.delete_through(expected.newest - rest))?;
            expected
                .confirmed
                .retain(|&(seq, _)| seq > expected.newest - rest);
        }
    }
    Ok(())
}

/// Opens the queue after a power cut within `step`, and compares it with the expectation before the step. Returns the
/// expectation after it.
fn restart(flash: &mut Flash, step: Step, before: &Expected) -> Expected {
    let (mut queue, opened) = open(flash, 99).unwrap();
    assert_eq!((opened, queue.epoch()), (OpenOutcome::Found, EPOCH));
    let held = held(&mut queue).unwrap();
    let mut expected = before.clone();
    match step {
        // The event was not confirmed. It may be there anyway, but only completely.
        Step::Sell(len) => {
            if held.len() > before.confirmed.len() {
                expected.newest += 1;
                expected
                    .confirmed
                    .push((expected.newest, frame(expected.newest, 0, len)));
            }
        }
        // Acked events may still be there; unacked events must be.
        Step::AckAllBut(rest) => {
            let acked = before.newest - rest;
            let left = held.first().map_or(acked, |&(seq, _)| seq - 1);
            assert!(left <= acked, "an event was deleted before its ack");
            expected.confirmed.retain(|&(seq, _)| seq > left);
        }
    }
    assert_eq!(held, expected.confirmed);
    assert_eq!(queue.next_seq(), Some(expected.newest + 1));
    expected
}

#[test]
fn a_power_cut_at_any_write_or_erase_of_a_day_loses_and_duplicates_nothing() {
    let (mut flash, mut expected, mut cuts, mut kept) = (blank(), Expected::default(), 0, 0);
    open(&mut flash, EPOCH).unwrap();
    let (mut sales, day) = (0u32, day());
    for (at, &step) in day.iter().enumerate() {
        for after in 0.. {
            let mut flash = flash.clone();
            let seed = (cuts as u32).wrapping_mul(0x9e37_79b9);
            flash.cut_power(PowerCut { after, seed });
            let mut ignored = expected.clone();
            let cut =
                open(&mut flash, 99).and_then(|(mut queue, _)| apply(step, 0, &mut queue, &mut ignored));
            if !flash.restore_power() {
                assert_eq!(cut, Ok(()));
                break;
            }
            assert_eq!(cut, Err(QueueError::Flash(RamError::NoPower)));
            cuts += 1;
            let mut expected = restart(&mut flash, step, &expected);
            kept += expected.confirmed.len();
            // The till continues: the next steps of the day, with other contents.
            let (mut queue, _) = open(&mut flash, 99).unwrap();
            for &step in day[at..].iter().take(4) {
                apply(step, 1, &mut queue, &mut expected).unwrap();
            }
            assert_eq!(held(&mut queue).unwrap(), expected.confirmed);
        }
        sales += u32::from(matches!(step, Step::Sell(_)));
        let (mut queue, _) = open(&mut flash, 99).unwrap();
        apply(step, 0, &mut queue, &mut expected).unwrap();
        assert_eq!(held(&mut queue).unwrap(), expected.confirmed);
    }
    println!("{sales} sales, {cuts} power cuts, {kept} events found after them");
    assert!(cuts > 500, "{cuts} cuts are too few to mean anything");
}

#[test]
fn a_power_cut_at_any_write_or_erase_of_a_format_leaves_the_old_epoch_or_a_new_one() {
    let mut flash = blank();
    let (mut queue, _) = open(&mut flash, EPOCH).unwrap();
    let mut expected = Expected::default();
    for step in day().into_iter().take(60) {
        apply(step, 0, &mut queue, &mut expected).unwrap();
    }
    let (mut old, mut new) = (0, 0);
    for after in 0.. {
        let mut flash = flash.clone();
        flash.cut_power(PowerCut { after, seed: after });
        let done = block_on(SaleQueue::<_, { common::PAGES }>::format(
            &mut flash,
            0..common::LEN,
            7,
        ))
        .is_ok();
        if !flash.restore_power() {
            assert!(done);
            break;
        }
        let (mut queue, _) = open(&mut flash, 8).unwrap();
        if queue.epoch() == EPOCH {
            // A lower number would give two events the same name.
            assert_eq!(queue.newest(), expected.newest);
            old += 1;
        } else {
            assert!([7, 8].contains(&queue.epoch()));
            assert_eq!((queue.newest(), held(&mut queue).unwrap().len()), (0, 0));
            new += 1;
        }
        let next = queue.next_seq().unwrap();
        block_on(queue.push(next, &frame(next, 2, 300))).unwrap();
        assert_eq!(
            held(&mut queue).unwrap().last(),
            Some(&(next, frame(next, 2, 300)))
        );
    }
    assert!(old > 0 && new > 5, "{old} {new}");
}

#[test]
fn a_power_cut_at_any_write_of_the_first_opening_leaves_an_empty_queue() {
    for after in 0.. {
        let mut flash = blank();
        flash.cut_power(PowerCut {
            after,
            seed: after * 7,
        });
        let first = open(&mut flash, 5).map(|(queue, opened)| (queue.epoch(), opened));
        if !flash.restore_power() {
            assert_eq!(first, Ok((5, OpenOutcome::Formatted)));
            break;
        }
        let (queue, _) = open(&mut flash, 6).unwrap();
        assert_eq!((queue.newest(), queue.is_empty()), (0, true));
    }
}
