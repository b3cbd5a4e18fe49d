//! Measures the stack's maximum depth: `paint` fills the unused part with a pattern at the start, and every word that
//! no longer holds the pattern was used.

use core::arch::asm;
use core::ops::Range;

const PAINT: u32 = 0x57ac_57ac;
/// Bytes below the stack pointer that `paint` itself may use.
const MARGIN: usize = 256;

unsafe extern "C" {
    /// The lowest address of the stack, and the first address above it. The linker script defines them.
    static __estack: u32;
    static _stack_start: u32;
}

fn stack() -> Range<usize> {
    (&raw const __estack).addr()..(&raw const _stack_start).addr()
}

/// Fills the unused part of the stack with the pattern. Call it at the start.
pub fn paint() {
    let pointer: usize;
    // SAFETY: only reads a register.
    unsafe { asm!("mv {}, sp", out(reg) pointer, options(nomem, nostack, preserves_flags)) };
    for address in (stack().start..pointer - MARGIN).step_by(size_of::<u32>()) {
        // SAFETY: aligned, within the stack and below everything in use, so no reference points there.
        unsafe { (address as *mut u32).write_volatile(PAINT) };
    }
}

/// The stack's maximum depth so far, and its size, in bytes.
pub fn used() -> (usize, usize) {
    let Range { start, end } = stack();
    let is_painted = |address: &usize| {
        // SAFETY: aligned and within the stack, where every word may be read.
        unsafe { (*address as *const u32).read_volatile() == PAINT }
    };
    let deepest = (start..end)
        .step_by(size_of::<u32>())
        .find(|address| !is_painted(address));
    (end - deepest.unwrap_or(end), end - start)
}
