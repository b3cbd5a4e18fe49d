//! The machine's entropy: QEMU puts a fresh seed into the device tree at each start and each reset.

use comptoir_terminal::Random;

use crate::machine::micros;

const MAGIC: u32 = 0xd00d_feed;
/// Maximum number of bytes read; the tree has about five KiB.
const MAX_LEN: usize = 64 * 1024;
const WORD: usize = 4;

/// A number from the clock and the whole device tree at that address. Mixing in the whole tree avoids a search for the
/// seed.
pub fn draw(tree: usize) -> u64 {
    let word = |at: usize| {
        // SAFETY: QEMU passes the tree's address in a1. The tree is aligned, lies in RAM outside this program, and has the
        // length that its second word states, which is bounded here.
        unsafe { ((tree + at) as *const u32).read_volatile() }
    };
    let mut mixed = micros();
    if tree.is_multiple_of(WORD) && tree > 0 && word(0) == MAGIC.to_be() {
        let len = (u32::from_be(word(WORD)) as usize).min(MAX_LEN);
        for at in (0..len).step_by(WORD) {
            mixed = Random::new(mixed ^ u64::from(word(at))).next_u64();
        }
    }
    mixed
}
