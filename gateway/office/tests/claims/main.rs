//! What the office guarantees, on a real Kafka and a real PostgreSQL. `gateway/docs/guarantees.md` lists the claims.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod alerts;
mod command_line;
mod distrust;
mod effectively_once;
mod live;
mod live_client;
mod office;
mod overview;
mod sales;
