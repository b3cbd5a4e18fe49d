//! What the virt machine has: serial line, clock, and a way out.

use core::fmt;

const UART: usize = 0x1000_0000;
const CLINT_MTIME: usize = 0x0200_bff8;
const TEST_DEVICE: usize = 0x0010_0000;

fn read8(address: usize) -> u8 {
    // SAFETY: the addresses above and what is added to them are registers of this machine; reading has no
    // effect on memory.
    unsafe { (address as *const u8).read_volatile() }
}

fn read32(address: usize) -> u32 {
    // SAFETY: as in `read8`, and aligned.
    unsafe { (address as *const u32).read_volatile() }
}

fn write8(address: usize, value: u8) {
    // SAFETY: as in `read8`; these devices write to no memory of ours.
    unsafe { (address as *mut u8).write_volatile(value) }
}

/// The serial line, for people and for tests.
pub struct Uart;

impl fmt::Write for Uart {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            // 16550: the line status has bit 5 when a byte may be written.
            while read8(UART + 5) & 0x20 == 0 {}
            write8(UART, byte);
        }
        Ok(())
    }
}

/// A line on the serial line.
#[macro_export]
macro_rules! say {
    ($($args:tt)*) => {{
        use core::fmt::Write;
        // The serial line takes everything.
        let _ = writeln!($crate::machine::Uart, $($args)*);
    }};
}

/// Microseconds since the reset.
pub fn micros() -> u64 {
    loop {
        let (high, low) = (read32(CLINT_MTIME + 4), read32(CLINT_MTIME));
        if high == read32(CLINT_MTIME + 4) {
            // 10 MHz.
            return ((u64::from(high) << 32) | u64::from(low)) / 10;
        }
    }
}

/// Ends the emulation: 0 is success.
pub fn exit(code: u16) -> ! {
    let word = if code == 0 {
        0x5555
    } else {
        (u32::from(code) << 16) | 0x3333
    };
    // SAFETY: the test device's only register.
    unsafe { (TEST_DEVICE as *mut u32).write_volatile(word) };
    loop {
        core::hint::spin_loop();
    }
}
