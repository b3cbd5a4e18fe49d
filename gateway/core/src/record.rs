//! The bridge's reports to the projection about records in the event topics.

use crate::Offset;
use crate::event::Kind;
use crate::position::TopicId;

/// The place of a record in Kafka.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordPlace {
    pub kind: Kind,
    pub partition: i32,
    pub offset: i64,
    /// `None` if the Kafka brokers have no topic ids.
    pub topic_id: Option<TopicId>,
}

/// The location of a record within its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionOffset {
    pub partition: i32,
    pub offset: i64,
}

/// A report from the bridge to the projection.
#[derive(Debug)]
pub enum BridgeReport {
    /// Events of this gateway that Kafka has committed.
    Delivered(Vec<DeliveredEvent>),
    /// Records read back from the topics.
    ReadBack(Vec<ConsumedRecord>),
}

/// An event of this gateway in Kafka.
#[derive(Debug)]
pub struct DeliveredEvent {
    pub kind: Kind,
    pub entry: Offset,
    /// The record's `ce_id`.
    pub name: Box<str>,
    /// The record's key.
    pub order_id: Box<str>,
    pub place: PartitionOffset,
}

/// A record of an event topic.
#[derive(Debug)]
pub struct ConsumedRecord {
    pub place: RecordPlace,
    pub content: RecordContent,
}

/// The part of a record that the projection needs, depending on the record's producer.
#[derive(Debug)]
pub enum RecordContent {
    /// Produced by this gateway from an entry in its journal.
    ///
    /// `name` is the record's `ce_id`, `order_id` its key.
    Own {
        entry: Offset,
        name: Box<str>,
        order_id: Box<str>,
    },
    /// Produced by another gateway or program, and a valid sale.
    Foreign {
        /// The record's `ce_id`, or `{topic}/{partition}/{offset}` if it is not the name of an event.
        name: Box<str>,
        /// Unix milliseconds.
        time: i64,
        /// The JSON in this gateway's own form.
        payload: Box<str>,
    },
    /// Forged, or not a valid sale. Only its position counts, as read.
    LeftOut,
}
