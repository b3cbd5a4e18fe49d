//! The power goes at each write and each erase of a day of sales, once each.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{EPOCH, Error, Flash, Queue, Step, blank, day, frame, held, open};
use comptoir_queue::{Fault, Opened, QueueError, RamError, SaleQueue, block_on};

/// What a till knows: the events it has confirmed and that are not acked.
#[derive(Clone, Debug, Default)]
struct Known {
    confirmed: Vec<(u32, Vec<u8>)>,
    next: u32,
}

fn take(step: Step, attempt: u8, queue: &mut Queue<'_>, known: &mut Known) -> Result<(), Error> {
    match step {
        Step::Sell(len) => {
            let (seq, frame) = (known.next + 1, frame(known.next + 1, attempt, len));
            block_on(queue.push(seq, &frame))?;
            known.next = seq;
            known.confirmed.push((seq, frame));
        }
        Step::AckAllBut(rest) => {
            block_on(queue.delete_through(known.next - rest))?;
            known.confirmed.retain(|&(seq, _)| seq > known.next - rest);
        }
    }
    Ok(())
}

/// Opens after a cut within `step`, and compares with what was known before it. Gives what is known now.
fn restart(flash: &mut Flash, step: Step, before: &Known) -> Known {
    let (mut queue, opened) = open(flash, 99).unwrap();
    assert_eq!((opened, queue.epoch()), (Opened::Found, EPOCH));
    let held = held(&mut queue).unwrap();
    let mut known = before.clone();
    match step {
        // It was not confirmed. It may be there all the same, but only whole.
        Step::Sell(len) => {
            if held.len() > before.confirmed.len() {
                known.next += 1;
                known.confirmed.push((known.next, frame(known.next, 0, len)));
            }
        }
        // What is acked may be there still; what is not acked has to be.
        Step::AckAllBut(rest) => {
            let acked = before.next - rest;
            let left = held.first().map_or(acked, |&(seq, _)| seq - 1);
            assert!(left <= acked, "an event was deleted before its ack");
            known.confirmed.retain(|&(seq, _)| seq > left);
        }
    }
    assert_eq!(held, known.confirmed);
    assert_eq!(queue.next_seq(), Some(known.next + 1));
    known
}

#[test]
fn a_cut_at_each_write_or_erase_of_a_day_loses_and_doubles_nothing() {
    let (mut flash, mut known, mut cuts, mut kept) = (blank(), Known::default(), 0, 0);
    open(&mut flash, EPOCH).unwrap();
    let (mut sales, day) = (0u32, day());
    for (at, &step) in day.iter().enumerate() {
        for after in 0.. {
            let mut flash = flash.clone();
            let seed = (cuts as u32).wrapping_mul(0x9e37_79b9);
            flash.cut_power(Fault { after, seed });
            let mut ignored = known.clone();
            let cut = open(&mut flash, 99).and_then(|(mut queue, _)| take(step, 0, &mut queue, &mut ignored));
            if !flash.restore_power() {
                assert_eq!(cut, Ok(()));
                break;
            }
            assert_eq!(cut, Err(QueueError::Flash(RamError::NoPower)));
            cuts += 1;
            let mut known = restart(&mut flash, step, &known);
            kept += known.confirmed.len();
            // And it goes on as if nothing had been: the next steps of the day, with other contents.
            let (mut queue, _) = open(&mut flash, 99).unwrap();
            for &step in day[at..].iter().take(4) {
                take(step, 1, &mut queue, &mut known).unwrap();
            }
            assert_eq!(held(&mut queue).unwrap(), known.confirmed);
        }
        sales += u32::from(matches!(step, Step::Sell(_)));
        let (mut queue, _) = open(&mut flash, 99).unwrap();
        take(step, 0, &mut queue, &mut known).unwrap();
        assert_eq!(held(&mut queue).unwrap(), known.confirmed);
    }
    println!("{sales} sales, {cuts} power cuts, {kept} events found again after them");
    assert!(cuts > 500, "{cuts} cuts are too few to mean anything");
}

#[test]
fn a_cut_at_each_write_or_erase_of_a_format_leaves_one_epoch_or_the_other() {
    let mut flash = blank();
    let (mut queue, _) = open(&mut flash, EPOCH).unwrap();
    let mut known = Known::default();
    for step in day().into_iter().take(60) {
        take(step, 0, &mut queue, &mut known).unwrap();
    }
    let (mut old, mut new) = (0, 0);
    for after in 0.. {
        let mut flash = flash.clone();
        flash.cut_power(Fault { after, seed: after });
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
            // Never with lower numbers: one of them would name two events.
            assert_eq!(queue.newest(), known.next);
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
fn a_cut_at_each_write_of_the_first_opening_still_opens() {
    for after in 0.. {
        let mut flash = blank();
        flash.cut_power(Fault {
            after,
            seed: after * 7,
        });
        let first = open(&mut flash, 5).map(|(queue, opened)| (queue.epoch(), opened));
        if !flash.restore_power() {
            assert_eq!(first, Ok((5, Opened::Formatted)));
            break;
        }
        let (queue, _) = open(&mut flash, 6).unwrap();
        assert_eq!((queue.newest(), queue.is_empty()), (0, true));
    }
}
