//! Measures the time per event on flash in memory. Run it by hand, in a release build.
//!
//! `cargo test --release -p comptoir-queue --test speed -- --ignored --nocapture`

#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Instant;

use comptoir_queue::{RamFlash, SaleQueue, block_on};

const PAGE: usize = 8192;
const PAGES: usize = 510;
const LEN: u32 = (2 + PAGES as u32) * PAGE as u32;

/// Microseconds to push and delete one event while the queue holds `held` others.
fn cost(held: u32, events: u32) -> f64 {
    let mut flash = RamFlash::<_, PAGE>::new(vec![0xff; LEN as usize]);
    let (mut queue, _) = block_on(SaleQueue::<_, PAGES>::open(&mut flash, 0..LEN, 7)).unwrap();
    let frame = [0x55; 250];
    (1..=held).for_each(|seq| block_on(queue.push(seq, &frame)).unwrap());
    let begun = Instant::now();
    for seq in held + 1..=held + events {
        block_on(queue.push(seq, &frame)).unwrap();
        if seq % 16 == 0 {
            block_on(queue.delete_through(seq - held)).unwrap();
        }
    }
    begun.elapsed().as_secs_f64() * 1e6 / f64::from(events)
}

#[test]
#[ignore = "a measurement"]
fn the_time_per_event_does_not_depend_on_the_length_of_the_queue() {
    let costs = [1, 64, 1000, 8000].map(|held| (held, cost(held, 2_000)));
    for (held, cost) in costs {
        println!("{held:>5} held: {cost:.2} µs per event");
    }
    assert!(costs[3].1 < 3.0 * costs[0].1);
}
