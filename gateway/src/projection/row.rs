//! The rows of the projection.

use std::sync::Arc;

use comptoir_core::sale::Money;
use comptoir_journal::Offset;

/// The newest state of one order, payment or delivery, as the projection's file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Rows are numbered in the order in which sales were first seen.
    pub seq: u64,
    pub order_id: Option<Arc<str>>,
    pub status: Arc<str>,
    /// The time of the newest event, in Unix milliseconds.
    pub time: i64,
    pub amount: Option<Money>,
    pub source: Source,
    /// The device that created the order or delivery; empty if that is not known, and for a payment, whose key names it.
    pub creator: Arc<str>,
    /// Whether another device has moved the status, which is then newer than the source.
    pub is_moved: bool,
    /// Changes by other devices that were not, or not wholly, taken over.
    pub corrections: u32,
    /// Whether it is a sale of this shop: of this gateway's journal, or of an earlier journal of its store.
    pub is_home: bool,
}

/// Where the JSON of a row is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Entry(Offset),
    Kafka {
        name: Box<str>,
        payload: Box<str>,
        partition: i32,
        offset: i64,
    },
}
