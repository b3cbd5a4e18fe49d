//! The newest state of a sale, as lists and histories show it.

use std::sync::Arc;

use comptoir_core::record::PartitionOffset;
use comptoir_journal::{Entry, Offset};

/// The newest state of one order, payment or delivery.
#[derive(Debug, Clone)]
pub struct SaleState {
    pub(super) event: Event,
    /// The row number. Rows are numbered in the order in which sales were first seen; later states keep the number.
    pub row: Option<u64>,
    /// The place in Kafka, once the event is confirmed.
    pub place: Option<PartitionOffset>,
    /// Number of changes by other devices that were rejected, at least in part.
    pub corrections: u32,
    /// The sale's JSON, if it differs from the event's because another device sent the event.
    pub shown: Option<Arc<str>>,
}

/// The event that produced the state.
#[derive(Debug, Clone)]
pub(super) enum Event {
    Own(Arc<Entry>),
    Foreign { name: Box<str>, payload: Box<str> },
}

impl SaleState {
    /// The state after an event of this gateway's journal.
    pub fn own(entry: Arc<Entry>) -> Self {
        Self {
            event: Event::Own(entry),
            row: None,
            place: None,
            corrections: 0,
            shown: None,
        }
    }

    /// The state after an event of another gateway, read from Kafka.
    pub fn foreign(name: Box<str>, payload: Box<str>, partition: i32, offset: i64) -> Self {
        Self {
            event: Event::Foreign { name, payload },
            row: None,
            place: Some(PartitionOffset { partition, offset }),
            corrections: 0,
            shown: None,
        }
    }

    /// The JSON, as described in `docs/interfaces/topics.md`.
    pub fn payload(&self) -> &str {
        if let Some(shown) = &self.shown {
            return shown;
        }
        match &self.event {
            Event::Own(entry) => entry.payload.json(),
            Event::Foreign { payload, .. } => payload,
        }
    }

    /// The name of the event, its `ce_id` in Kafka.
    pub fn name(&self) -> String {
        match &self.event {
            Event::Own(entry) => entry.name.to_string(),
            Event::Foreign { name, .. } => name.to_string(),
        }
    }

    /// The offset in the journal, if the event is this gateway's.
    pub fn entry(&self) -> Option<Offset> {
        match &self.event {
            Event::Own(entry) => Some(entry.offset),
            Event::Foreign { .. } => None,
        }
    }
}
