//! Head office: the sales of all shops from Kafka into PostgreSQL, effectively once, and an overview of the shops.
//!
//! The path of one record:
//!
//! ```text
//! Kafka ──▶ record (whose is it?) ──▶ ingest (batches) ──▶ database::write (one transaction: events, sales, positions)
//!                                                              │
//!                                              overview ◀──────┘──▶ http
//! ```
//!
//! In the other direction, [`commands`] go from a request to Kafka.
//! Beside it, [`live`] follows the tail of the topics for pages that are open.
//!
//! `docs/adr/0017-office.md` of the gateway has the reasons.

pub mod access;
pub mod accounts;
pub mod alerts;
pub mod cli;
pub mod commands;
pub mod comparison;
pub mod config;
pub mod database;
pub mod descriptors;
pub mod figures;
pub mod fold;
pub mod health;
pub mod http;
pub mod ingest;
pub mod keys;
pub mod live;
pub mod metrics;
pub mod oidc;
pub mod overview;
pub mod pages;
pub mod record;
pub mod sales;
pub mod state;
pub mod stats;
#[cfg(test)]
mod typescript_tests;
