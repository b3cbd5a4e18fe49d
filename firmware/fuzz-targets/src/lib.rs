//! The bodies of the firmware's fuzz targets, and a bounded deterministic run of any target.
//!
//! `firmware/fuzz` runs the targets with libFuzzer; this crate's tests run them for a few seconds on stable Rust. See
//! `firmware/fuzz/README.md`.

#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a target reports a violated property by a panic"
)]

pub mod bounded;
mod queue_model;
mod wire_decode;

pub use queue_model::queue_model;
pub use wire_decode::wire_decode;
