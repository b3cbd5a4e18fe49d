//! The rows of the projection.

use std::sync::Arc;

use comptoir_core::sale::Money;
use comptoir_journal::Offset;

/// The newest state of one order, payment or delivery, as stored in the projection's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Rows are numbered in the order in which sales were first seen.
    pub seq: u64,
    pub order_id: Option<Arc<str>>,
    pub status: Arc<str>,
    /// The time of the newest event, in Unix milliseconds.
    pub time: i64,
    /// Of a payment; negative for a refund.
    pub amount: Option<Money>,
    /// The `payment_id` of the payment that a refund pays back.
    pub refund_of: Option<Arc<str>>,
    pub source: Source,
    /// The device that created the order or delivery. Empty if unknown, and for a payment, whose key names the device.
    pub creator: Arc<str>,
    /// Whether another device has changed the status, which is then newer than the source.
    pub is_moved: bool,
    /// Number of changes by other devices that were rejected, at least in part.
    pub corrections: u32,
    /// Whether this is a sale of this shop: from this gateway's journal, or from an earlier journal of its store.
    pub is_home: bool,
}

/// The location of a row's JSON.
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
