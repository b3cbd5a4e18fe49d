//! The main loop of a till on bare metal, whatever the board is.
//!
//! A [`Board`] has a clock, a place for lines, a light and a hardware watchdog; a smoltcp device, a NOR flash and
//! randomness come as arguments. What is sold is up to a [`Person`]: an autopilot, or whoever presses a button.

#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod board;
mod conversation;
mod device;
mod mqtt;
mod net;
mod person;

pub mod provision;
mod resume;
pub mod settings;
mod till;

pub use board::{Board, State, lit};
pub use person::{Button, Debounce, Person, Shift};
pub use till::{Link, Memory, PRODUCTS, Trouble, open, run};
