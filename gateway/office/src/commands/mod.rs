//! Commands to shops and tills: from a request to Kafka, and which gateways have handed them over.
//!
//! ```text
//! request ──▶ content (is it valid?) ──▶ store (PostgreSQL) ──▶ sender ──▶ Kafka ──▶ gateway ──▶ till
//!                                          receipts ◀── database::write ◀── Kafka ◀── state ◀─┘
//! ```
//!
//! `docs/adr/0020-office-commands.md` of the gateway has the reasons.

pub mod content;
pub mod receipts;
pub mod sender;
pub mod store;
