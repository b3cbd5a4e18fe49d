//! What a sale costs the flash.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{EPOCH, blank, frame, open};
use comptoir_queue::block_on;

#[test]
fn a_sale_erases_a_twelfth_of_a_page_at_most() {
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
    // Flash that stands 100,000 erases per page, on these 16 pages.
    let life = 16.0 * 100_000.0 / erases;
    println!(
        "per sale of 200 bytes: {erases:.4} erases, {writes:.2} writes, {bytes:.0} bytes; 64 KiB of flash last \
         {life:.1e} sales"
    );
    assert!(erases < 1.0 / 12.0, "{erases}");
}
