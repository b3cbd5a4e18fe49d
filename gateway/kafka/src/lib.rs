//! Kafka for the gateway and head office: producers, consumers, and the topics. The only crate that depends on
//! `rdkafka`.
//!
//! librdkafka's calls block. Everything here is synchronous and must run on its own thread.

mod admin_request;
mod cluster_check;
mod connection_errors;
mod consumer;
mod deadline;
mod describe;
mod error;
mod group_consumer;
mod memory;
#[cfg(target_env = "gnu")]
mod monotonic;
mod positions;
mod producer;
mod properties;
mod property_rules;
mod publisher;
mod reader;
mod settings;
mod tail;
mod topics;
mod traffic;
mod undecodable;
mod uplink;

pub use cluster_check::check_cluster;
pub use comptoir_core::position::{Position, PositionTable, TopicId};
pub use connection_errors::ConnectionErrors;
pub use consumer::{BorrowedRecord, Consumer, InitialPosition, OwnedRecord};
pub use deadline::Deadline;
pub use error::{Error, Resource};
pub use group_consumer::{AssignedPartition, GroupConsumer, LostRange, PositionStore, TopicPartition};
pub use memory::{InMemoryKafka, Switch};
pub use positions::{PartitionProgress, Positions};
pub use producer::{Delivery, DeliveryReports, Record, RejectedRecord, Rejection, TransactionalProducer};
pub use properties::{PropertyError, check_properties};
pub use publisher::Publisher;
pub use reader::{ReadFrom, RecordAt, read_since, read_to_end, record_at, topic_exists};
pub use settings::Settings;
pub use tail::{TailChange, TailConsumer};
pub use topics::{Deviation, InspectionMode, RecordSizeLimits, RepairOutcome, TopicInspector, TopicReport};
pub use traffic::{Traffic, TrafficBytes};
pub use uplink::Uplink;

/// The topic of dead letters; see `gateway/docs/interfaces/topics.md`.
pub const DEAD_LETTERS: &str = "dead-letters";
/// The audit logs of the shops; see `gateway/docs/interfaces/topics.md`.
pub const AUDIT: &str = "audit";
/// The closings of the shops' days; see `gateway/docs/interfaces/topics.md`.
pub const CLOSINGS: &str = "closings";
/// The newest state of each gateway, by store; see `gateway/docs/interfaces/topics.md`. Compacted.
pub const GATEWAYS: &str = "gateways";
/// Head office's commands to tills. In addition to the topic that all shops read, each shop has a topic with its
/// store's name: `commands.paris-1`.
pub const COMMANDS: &str = "commands";
/// The bridge's own progress; see the bridge's module `watermark`. Compacted, one partition. Each shop has a topic with
/// its store's name, `comptoir-watermarks.paris-1`; earlier versions shared the topic without a store.
pub const WATERMARKS: &str = "comptoir-watermarks";
