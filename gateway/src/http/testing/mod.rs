//! Shared by the unit tests of this module: a gateway without a network, and a client that calls its router.

pub mod client;
pub mod gateway;
