//! The main loop of a till on bare metal, independent of the board.
//!
//! A [`Board`] provides a clock, a log, a status light and a hardware watchdog; a smoltcp device, a NOR flash and
//! randomness are arguments of [`run`]. An [`Operator`] decides what is sold: an autopilot, or a button.

#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod board;
mod conversation;
mod device;
mod main_loop;
mod mqtt;
mod net;
mod operator;

pub mod provision;
mod resume;
pub mod settings;

pub use board::{Board, State, is_lit};
pub use main_loop::{DeviceError, Link, Memory, PRODUCTS, open, run};
pub use operator::{ButtonOperator, Debounce, Operator, PacedOperator};
