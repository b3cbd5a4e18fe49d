//! Comptoir, the edge gateway of a shop.
//!
//! The way of one event, and the module that carries it at each step:
//!
//! ```text
//! till ──MQTT──▶ ingest ──▶ journal ──▶ bridge ──▶ kafka ──▶ bridge ──▶ projection ──▶ dashboard
//!                  ▲   (commit + fsync)   │  (transaction:     (read back)               (HTTP)
//!                  └──── ack ◀────────────┘   events + watermark)
//! ```
//!
//! [`ingest`] and [`bridge`] do not know one another: they meet in the [`journal`]. [`kafka`] is the only module that
//! names the Kafka client. [`app`] builds every part. `docs/architecture.md` is the whole map.

pub mod address;
pub mod admin;
pub mod app;
pub mod bridge;
pub mod broker;
pub mod check;
pub mod clock;
pub mod commands;
pub mod config;
pub mod dashboard;
pub mod dead_letters;
pub mod demo;
pub mod event;
pub mod heap;
pub mod ingest;
pub mod journal;
pub mod kafka;
pub mod link;
pub mod metrics;
pub mod projection;
mod rows;
pub mod sale;
pub mod service;
mod sqlite;
pub mod tls;
