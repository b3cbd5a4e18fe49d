//! A till on bare metal: the crates of `firmware/` on the emulated machine's flash, network and clock. Only hardware access
//! is here; the till's behaviour is the same on every board.

#![no_std]
#![no_main]

mod entropy;
mod flash;
mod machine;
mod nic;
mod stack;
mod till;

use core::panic::PanicInfo;

// Provides critical sections for one hart without interrupts.
use riscv as _;

/// minimq uses embassy's clock. Nothing sleeps here, so a waker is woken at once.
struct Clock;

impl embassy_time_driver::Driver for Clock {
    fn now(&self) -> u64 {
        machine::micros()
    }

    fn schedule_wake(&self, _: u64, waker: &core::task::Waker) {
        waker.wake_by_ref();
    }
}

embassy_time_driver::time_driver_impl!(static CLOCK: Clock = Clock);

#[riscv_rt::entry]
fn main(_hart: usize, device_tree: usize) -> ! {
    stack::paint();
    let code = match till::run(device_tree) {
        Ok(()) => 0,
        Err(error) => {
            log!("till: cannot go on: {error}");
            1
        }
    };
    let (used, stack) = stack::used();
    log!("till: stack {used} bytes of {stack}");
    machine::exit(code)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    // Logs only the location: the message would link in the formatting code of every type that a message can contain.
    match info.location() {
        Some(location) => log!("till: panic at {}:{}", location.file(), location.line()),
        None => log!("till: panic"),
    }
    machine::exit(101)
}
