//! Positions of a Kafka consumer. The journal and the projection store them; the Kafka client advances them.

use std::collections::HashMap;

/// Kafka's id of a topic. A topic that is deleted and recreated under the same name gets a different id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TopicId(u128);

impl TopicId {
    /// `None` for 0, which Kafka brokers without topic ids (before 2.8) report.
    pub fn new(id: u128) -> Option<Self> {
        (id != 0).then_some(Self(id))
    }

    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// The inverse of [`TopicId::to_bytes`]; `None` unless `bytes` are 16 bytes that are not all 0.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Self::new(u128::from_be_bytes(bytes.try_into().ok()?))
    }
}

/// The position at which a consumer continues in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Offset of the next record to read.
    pub next: i64,
    /// Id of the topic that `next` refers to. `None` if the brokers have no topic ids, or an earlier version of the
    /// gateway stored this position.
    pub topic_id: Option<TopicId>,
}

/// Positions by topic (full name) and partition.
pub type PositionTable = HashMap<(String, i32), Position>;
