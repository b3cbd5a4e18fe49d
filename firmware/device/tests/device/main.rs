//! The loop of a till on bare metal, on this machine: against a network, an MQTT broker and a gateway of the test's own,
//! in simulated time. What real ones make of it the emulated board shows, in the gateway's claims.

#![allow(clippy::unwrap_used, reason = "tests")]

mod cable;
mod machine;
mod shop;
mod shore;

mod delivers;
mod hostile;
mod outages;
