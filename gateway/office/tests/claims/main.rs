//! What the office guarantees, on a real Kafka and a real PostgreSQL. `gateway/docs/guarantees.md` lists the claims.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod accounts;
mod alerts;
mod attackers;
mod command_line;
mod commands;
mod distrust;
mod effectively_once;
mod figures;
mod live;
mod live_client;
mod mail;
mod office;
mod oidc;
mod overview;
mod retention;
mod sales;
mod scale;
mod sessions;
