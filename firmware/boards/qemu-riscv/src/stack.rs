//! How much of the stack was ever used: what is below is painted at the start, and what has lost its paint was used.

use core::arch::asm;
use core::ops::Range;

const PAINT: u32 = 0x57ac_57ac;
/// Bytes below the caller that `paint` itself may need.
const MARGIN: usize = 256;

unsafe extern "C" {
    /// The lowest address of the stack, and the first one above it: by the linker.
    static __estack: u32;
    static _stack_start: u32;
}

fn stack() -> Range<usize> {
    (&raw const __estack).addr()..(&raw const _stack_start).addr()
}

/// Paints what is not used yet. To be called at the start.
pub fn paint() {
    let pointer: usize;
    // SAFETY: reads a register.
    unsafe { asm!("mv {}, sp", out(reg) pointer, options(nomem, nostack, preserves_flags)) };
    for address in (stack().start..pointer - MARGIN).step_by(size_of::<u32>()) {
        // SAFETY: aligned, within the stack and below all that is in use: nobody has a reference there.
        unsafe { (address as *mut u32).write_volatile(PAINT) };
    }
}

/// Bytes that were used at the deepest, and bytes that there are.
pub fn used() -> (usize, usize) {
    let Range { start, end } = stack();
    let is_painted = |address: &usize| {
        // SAFETY: aligned and within the stack, of which every word may be read.
        unsafe { (*address as *const u32).read_volatile() == PAINT }
    };
    let deepest = (start..end)
        .step_by(size_of::<u32>())
        .find(|address| !is_painted(address));
    (end - deepest.unwrap_or(end), end - start)
}
