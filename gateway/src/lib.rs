//! Comptoir, the edge gateway of a shop.
//!
//! The path of one event, and the module or crate that handles each step:
//!
//! ```text
//! till ──MQTT──▶ ingest ──▶ journal ──▶ bridge ──▶ kafka ──▶ bridge ──▶ projection ──▶ http
//!                  ▲   (commit + fsync)   │  (transaction:     (read back)
//!                  └──── ack ◀────────────┘   events + watermark)
//! ```
//!
//! [`ingest`] and [`bridge`] do not depend on each other: they meet in the journal ([`comptoir_journal`]). [`bridge`]
//! and [`projection`] meet in [`comptoir_core::record`]. [`app`] builds every part, and [`cli`] is the command line.
//! `docs/architecture.md` has the complete map; `tests/architecture.rs` enforces its arrows.

pub mod alerts;
pub mod app;
pub mod archive;
pub mod audit;
pub mod bridge;
pub mod cli;
pub mod commands;
pub mod config;
pub mod fleet;
pub mod http;
pub mod ingest;
pub mod platform;
pub mod projection;
