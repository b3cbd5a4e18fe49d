//! A till on bare metal. Nothing is decided here: the crates of `firmware/` are put on the machine's flash, network
//! and clock.

#![no_std]
#![no_main]

mod entropy;
mod flash;
mod machine;
mod nic;
mod stack;
mod till;

use core::panic::PanicInfo;

// The critical sections of one hart without interrupts.
use riscv as _;

/// minimq's clock is embassy's; nothing sleeps here, so a waker has nothing to be woken for later.
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
fn main(_hart: usize, tree: usize) -> ! {
    stack::paint();
    let code = match till::run(tree) {
        Ok(()) => 0,
        Err(trouble) => {
            say!("till: cannot go on: {trouble}");
            1
        }
    };
    let (used, stack) = stack::used();
    say!("till: stack {used} bytes of {stack}");
    machine::exit(code)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    // Only the place: the message would link all of the formatting that made it.
    match info.location() {
        Some(place) => say!("till: panic at {}:{}", place.file(), place.line()),
        None => say!("till: panic"),
    }
    machine::exit(101)
}
