//! Flash wear per sale.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::cell::RefCell;

use common::{EPOCH, LEN, PAGE, PAGES, blank, frame, open};
use comptoir_queue::{Memory, RamError, RamFlash, SaleQueue, block_on};

#[test]
fn a_sale_erases_at_most_a_twelfth_of_a_page() {
    const SALES: u32 = 20_000;
    let mut flash = blank();
    let (mut queue, _) = open(&mut flash, EPOCH).unwrap();
    let before = queue.flash().wear();
    for seq in 1..=SALES {
        block_on(queue.push(seq, &frame(seq, 0, 200))).unwrap();
        if seq % 8 == 0 {
            block_on(queue.delete_through(seq)).unwrap();
        }
    }
    let after = queue.flash().wear();
    let per_sale = |before: u64, after: u64| (after - before) as f64 / f64::from(SALES);
    let (erases, writes) = (
        per_sale(before.erases, after.erases),
        per_sale(before.writes, after.writes),
    );
    let bytes = per_sale(before.bytes, after.bytes);
    // For flash that endures 100,000 erases per page, on these 16 pages.
    let life = 16.0 * 100_000.0 / erases;
    println!(
        "per sale of 200 bytes: {erases:.4} erases, {writes:.2} writes, {bytes:.0} bytes; 64 KiB of flash last \
         {life:.1e} sales"
    );
    assert!(erases < 1.0 / 12.0, "{erases}");
}

/// Memory that counts the erases of each page.
struct EraseCounter<'c> {
    bytes: Vec<u8>,
    erases: &'c RefCell<Vec<u64>>,
}

impl Memory for EraseCounter<'_> {
    fn size(&self) -> usize {
        self.bytes.len()
    }

    fn load(&self, at: usize, bytes: &mut [u8]) -> Result<(), RamError> {
        Memory::load(&self.bytes, at, bytes)
    }

    fn store(&mut self, at: usize, bytes: &[u8]) -> Result<(), RamError> {
        Memory::store(&mut self.bytes, at, bytes)
    }

    fn clear(&mut self, at: usize, len: usize) -> Result<(), RamError> {
        self.erases.borrow_mut()[at / PAGE] += 1;
        Memory::clear(&mut self.bytes, at, len)
    }
}

/// Number of erases of each page if every `acked_each` sales are acked together: of the notes' pages, and of the events'.
fn erases(sales: u32, acked_each: u32) -> (Vec<u64>, Vec<u64>) {
    let erases = RefCell::new(vec![0; 2 + PAGES]);
    let bytes = vec![0xff; LEN as usize];
    let flash = RamFlash::<_, PAGE>::new(EraseCounter {
        bytes,
        erases: &erases,
    });
    let opened = block_on(SaleQueue::<_, PAGES>::open(flash, 0..LEN, EPOCH));
    let (mut queue, _) = opened.unwrap();
    for seq in 1..=sales {
        block_on(queue.push(seq, &frame(seq, 0, 200))).unwrap();
        if seq % acked_each == 0 {
            block_on(queue.delete_through(seq)).unwrap();
        }
    }
    drop(queue);
    let mut notes = erases.into_inner();
    let events = notes.split_off(2);
    (notes, events)
}

/// This includes a till whose every sale is acked before the next one, which is the usual case.
#[test]
fn wear_is_level_across_pages() {
    const SALES: u32 = 20_000;
    for acked_each in [1, 8] {
        let (notes, events) = erases(SALES, acked_each);
        for pages in [&notes, &events] {
            let sum: u64 = pages.iter().sum();
            let (most, mean) = (*pages.iter().max().unwrap(), sum as f64 / pages.len() as f64);
            println!("one ack for {acked_each} sales: at most {most} erases, {mean:.0} on average");
            assert!(most as f64 <= 1.1 * mean + 2.0, "{pages:?}");
        }
        // The notes have only two pages, so they limit the life of the flash, at 100,000 erases per page.
        let life = 100_000.0 * f64::from(SALES) / notes.iter().copied().max().unwrap_or(1).max(1) as f64;
        println!("one ack for {acked_each} sales: the notes last {life:.1e} sales");
        assert!(life > 5e6, "{life}");
    }
}
