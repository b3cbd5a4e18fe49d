//! `GET /api/gateway`: connections, journal, partitions and devices.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whether a peer can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "LinkState"))]
#[schema(as = LinkState)]
#[serde(rename_all = "lowercase")]
pub enum PeerState {
    Up,
    Down,
    /// Not configured.
    Off,
}

/// The connection status of a peer: the MQTT broker or Kafka.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "Link"))]
#[schema(as = Link)]
pub struct Peer {
    pub state: PeerState,
    /// When the state last changed.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// Why the peer cannot be reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub problem: Option<String>,
    /// Restrictions while the peer is up, one sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, ts(optional, as = "Option<Vec<String>>"))]
    pub warnings: Vec<String>,
}

/// The state of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct JournalStatus {
    /// Events that the journal holds, whether they are in Kafka or not.
    pub events: u64,
    /// Events that are not yet in Kafka.
    pub pending: u64,
    /// The time of the oldest pending event.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub oldest_pending: Option<Timestamp>,
    pub bytes: u64,
    pub max_bytes: u64,
    /// True while the journal accepts nothing: it is full, or its disk cannot be written.
    pub refusing: bool,
    pub first_offset: u64,
    pub last_offset: u64,
    /// Every entry up to this journal offset is in Kafka.
    pub watermark: u64,
    /// Events that were sent again and not stored again.
    pub duplicates: u64,
    /// Events that were acknowledged and later lost, because the journal's files were damaged or not copied completely.
    /// `lost` of each epoch lists their numbers.
    pub lost: u64,
}

/// Whether the machine's clock is synchronised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum ClockState {
    Synchronised,
    /// Nothing sets the clock: times may be wrong.
    Unsynchronised,
    /// The operating system does not report it.
    Unknown,
}

/// The clock of the gateway's machine.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Clock {
    pub state: ClockState,
    /// The last time that the clock was set, within the last 24 hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub jump: Option<ClockJump>,
}

/// A moment at which the clock was set.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ClockJump {
    /// By the clock as it is set now.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// The change; negative if the clock was set back.
    pub seconds: i64,
}

/// Whose events the gateway reads from Kafka: `kafka.follow`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum Follow {
    /// Nobody's. Where its own events are, it knows from Kafka's replies.
    Own,
    /// All shops'.
    All,
}

/// The shops whose sales the gateway knows.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Shops {
    /// This gateway's store.
    pub own: String,
    /// The stores of other gateways, sorted by name.
    pub others: Vec<String>,
}

/// A partition of a Kafka topic for events.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Partition {
    pub topic: String,
    pub partition: i32,
    /// The next offset to be read, never beyond `end`. With `follow` = `own`: one past this gateway's newest event since its
    /// start.
    pub position: i64,
    /// The end of the partition. Known only where it is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub end: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub lag: Option<i64>,
}

/// The part of the gateway's state that Socket.IO also pushes.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct GatewayStatus {
    pub store: String,
    pub version: &'static str,
    /// The demonstration: Kafka is in memory, and `POST /api/demo/kafka` makes it unreachable.
    pub demo: bool,
    pub mqtt: Peer,
    pub kafka: Peer,
    /// The transactional producer, journal → Kafka.
    pub bridge: Peer,
    /// The consumer of the Kafka topic `commands`.
    pub commands: Peer,
    pub clock: Clock,
    pub journal: JournalStatus,
    pub follow: Follow,
    /// The name under which the positions are committed. Null without Kafka, and with `follow` = `own`.
    pub consumer_group: Option<String>,
    pub partitions: Vec<Partition>,
    pub dead_letters: u64,
}

/// The gateway's state.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Gateway {
    #[serde(flatten)]
    pub status: GatewayStatus,
    pub devices: Vec<Device>,
    /// Devices whose events were refused within the last hour, latest first.
    pub refused: Vec<RefusedDevice>,
    /// Pending events over the last hour, oldest first.
    pub backlog: Vec<BacklogPoint>,
    /// Errors in the present configuration. If there are any, the last configuration that started is in use.
    pub settings_problems: Vec<SettingsProblem>,
}

/// Why the events of one device are refused. Events of other devices are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum RefusalReason {
    /// There are too many device names, and this one is new.
    Devices,
    /// The device draws new epochs faster than a till ever does.
    Epochs,
    /// The device's events that are not in Kafka take half of the journal.
    PendingBytes,
    /// The device's dead letters take their share of the journal. Of further ones only the beginning is kept.
    DeadLetters,
}

/// A device whose events are refused. They are not acknowledged, so its till keeps them.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct RefusedDevice {
    pub store: String,
    pub device: String,
    pub reason: RefusalReason,
    /// Refused events since `since`, including events that were sent again.
    pub count: u64,
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub last: Timestamp,
}

/// An error in the configuration.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct SettingsProblem {
    /// The file, or "the environment".
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub place: Option<String>,
    /// For example `journal.max_bytes`. Missing if the file cannot be read at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub key: Option<String>,
    pub message: String,
}

/// How many events were pending at one moment.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct BacklogPoint {
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    pub pending: u64,
}

/// A till, and which of its events have arrived.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Device {
    pub store: String,
    pub device: String,
    /// What the till's `status` topic says. Null if the till never published it.
    pub online: Option<bool>,
    pub epochs: Vec<Epoch>,
    pub received: u64,
    pub stored: u64,
    pub in_kafka: u64,
    /// Bytes of the journal that its events take until they are in Kafka. At half of the journal, further ones are refused.
    pub pending_bytes: u64,
    /// Inclusive ranges of numbers that never arrived, of the latest epochs.
    pub missing: Vec<[u32; 2]>,
    /// Events whose number the till had already used for another sale. The gateway kept them under a number of its own.
    pub reused: u64,
}

/// What is left of a device that was forgotten.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ForgottenDevice {
    /// Epochs that had stored nothing, and are gone.
    pub removed_epochs: u64,
    /// Epochs that keep their numbers, so that an event that is sent again is not stored twice. They take no room.
    pub dormant_epochs: u64,
    /// Epochs that stay as they were, because events of them are not in Kafka yet.
    pub pending_epochs: u64,
}

/// The events of one epoch of a till.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Epoch {
    pub epoch: u32,
    /// The highest number that arrived.
    pub received: u32,
    pub stored: u64,
    pub in_kafka: u64,
    /// Numbers that the till no longer holds and that never arrived here: another gateway has acknowledged them, or they
    /// are lost. If this gateway already knew the epoch, they are also `missing`.
    pub elsewhere: u64,
    /// Inclusive ranges of numbers whose events are not here.
    pub missing: Vec<[u32; 2]>,
    /// The missing numbers that were acknowledged and then lost with a part of the journal's files. They are stored if
    /// they are sent again.
    pub lost: Vec<[u32; 2]>,
}

/// Whether the demonstration's Kafka is reachable.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct DemoKafka {
    pub up: bool,
}
