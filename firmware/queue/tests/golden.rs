//! Flash contents written by earlier builds. Do not change them: tills are updated while they hold sales.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{EPOCH, Flash, PAGE, Queue, frame, held};
use comptoir_queue::{OpenOutcome, RamFlash, SaleQueue, block_on};

/// A queue on six pages with parts of up to 992 bytes. The file has only the beginning of the flash. Five events were
/// sold, and the first was acked.
const PARTS_OF_992: &[u8] = include_bytes!("golden/parts_of_992.bin");
const LEN: usize = 6 * PAGE;
const HELD: [(u32, usize); 4] = [(2, 30), (3, 900), (4, 3_000), (5, 140)];

fn flash() -> Flash {
    let mut memory = PARTS_OF_992.to_vec();
    memory.resize(LEN, 0xff);
    RamFlash::new(memory)
}

fn open(flash: &mut Flash) -> Queue<'_> {
    let (queue, opened) = block_on(SaleQueue::open(flash, 0..LEN as u32, 99)).unwrap();
    assert_eq!(opened, OpenOutcome::Found);
    assert_eq!((queue.epoch(), queue.acked(), queue.newest()), (EPOCH, 1, 5));
    queue
}

fn events(of: &[(u32, usize)]) -> Vec<(u32, Vec<u8>)> {
    of.iter().map(|&(seq, len)| (seq, frame(seq, 0, len))).collect()
}

#[test]
fn a_queue_of_an_earlier_build_is_readable_and_continues() {
    let mut flash = flash();
    let mut queue = open(&mut flash);
    assert!(held(&mut queue).unwrap() == events(&HELD));
    block_on(queue.push(6, &frame(6, 0, 1_500))).unwrap();
    block_on(queue.delete_through(3)).unwrap();
    assert!(held(&mut queue).unwrap() == events(&[(4, 3_000), (5, 140), (6, 1_500)]));
}

#[test]
fn a_bit_flip_in_a_queue_of_an_earlier_build_loses_nothing() {
    for bit in (0..8 * PARTS_OF_992.len()).step_by(7) {
        let mut flash = flash();
        flash.flip_bit(bit as u64);
        assert!(held(&mut open(&mut flash)).unwrap() == events(&HELD), "{bit}");
    }
}
