//! The virt machine's serial line, clock and power switch.

use core::fmt;

const UART: usize = 0x1000_0000;
const CLINT_MTIME: usize = 0x0200_bff8;
const TEST_DEVICE: usize = 0x0010_0000;

fn read8(address: usize) -> u8 {
    // SAFETY: the callers pass registers of this machine, from the addresses above; reading them does not affect memory.
    unsafe { (address as *const u8).read_volatile() }
}

fn read32(address: usize) -> u32 {
    // SAFETY: as in `read8`, and aligned.
    unsafe { (address as *const u32).read_volatile() }
}

fn write8(address: usize, value: u8) {
    // SAFETY: as in `read8`; these devices do not write to the program's memory.
    unsafe { (address as *mut u8).write_volatile(value) }
}

/// The serial line, for people and for tests.
pub struct Uart;

impl fmt::Write for Uart {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            // 16550: bit 5 of the line status register is set when a byte may be written.
            while read8(UART + 5) & 0x20 == 0 {}
            write8(UART, byte);
        }
        Ok(())
    }
}

/// Writes a line to the serial line.
#[macro_export]
macro_rules! log {
    ($($args:tt)*) => {{
        use core::fmt::Write;
        // Writing to the serial line never fails.
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

/// Ends the emulation with an exit code.
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
