//! Randomness of the machine: QEMU puts a fresh seed into the device tree at each start and each reset.

use comptoir_terminal::Random;

use crate::machine::micros;

const MAGIC: u32 = 0xd00d_feed;
/// A tree is some five KiB long.
const MOST: usize = 64 * 1024;
const WORD: usize = 4;

/// A number from all that is in the device tree at that address, and from the clock. Where the seed stands in it does not
/// matter, so it is not looked for.
pub fn draw(tree: usize) -> u64 {
    let word = |at: usize| {
        // SAFETY: QEMU gives the tree's address in a1; it is in RAM that is not this program's, aligned, and so long as
        // its second word says, which is bounded here.
        unsafe { ((tree + at) as *const u32).read_volatile() }
    };
    let mut mixed = micros();
    if tree.is_multiple_of(WORD) && tree > 0 && word(0) == MAGIC.to_be() {
        let len = (u32::from_be(word(WORD)) as usize).min(MOST);
        for at in (0..len).step_by(WORD) {
            mixed = Random::new(mixed ^ u64::from(word(at))).next_u64();
        }
    }
    mixed
}
