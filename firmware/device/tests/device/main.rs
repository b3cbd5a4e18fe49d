//! The main loop of a till on bare metal, run on the host: with a simulated network, MQTT broker and gateway, in
//! simulated time. The gateway's claims test the emulated board with real ones.

#![allow(clippy::unwrap_used, reason = "tests")]

mod cable;
mod host;
mod machine;
mod shop;

mod delivers;
mod hostile;
mod outages;
