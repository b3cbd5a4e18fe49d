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
    /// Why the peer cannot be reached, in a sentence for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub problem: Option<String>,
    /// What is restricted although the peer is up, one sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, ts(optional, as = "Option<Vec<String>>"))]
    pub warnings: Vec<String>,
}

/// The state of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct JournalStatus {
    /// Events in the journal, including those that are already in Kafka.
    pub events: u64,
    /// Events that are not yet in Kafka.
    pub pending: u64,
    /// The time of the oldest pending event.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub oldest_pending: Option<Timestamp>,
    /// Bytes in use.
    pub bytes: u64,
    /// The limit of `bytes`: `journal.max_bytes`.
    pub max_bytes: u64,
    /// Whether the journal refuses all events, because it is full or its disk cannot be written.
    pub refusing: bool,
    /// The journal offset of the oldest entry.
    pub first_offset: u64,
    /// The journal offset of the newest entry.
    pub last_offset: u64,
    /// All entries up to this journal offset are in Kafka.
    pub watermark: u64,
    /// Events that arrived again and were not stored twice.
    pub duplicates: u64,
    /// Acknowledged events that were lost later, because the journal's files were damaged or copied incompletely. The
    /// `lost` of each epoch in `devices` lists their numbers.
    pub lost: u64,
    /// All entries up to this journal offset are in an archive. Absent without `archive.path`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub archived: Option<u64>,
    /// Why no archive can be written, so that nothing is pruned: a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub archive_problem: Option<String>,
}

/// Whether the machine's clock is synchronised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum ClockState {
    Synchronised,
    /// No time server sets the clock, so times may be wrong.
    Unsynchronised,
    /// The operating system does not report whether the clock is synchronised.
    Unknown,
}

/// The clock of the gateway's machine.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Clock {
    pub state: ClockState,
    /// The last step of the clock. Absent if there was none in the last 24 hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub jump: Option<ClockJump>,
}

/// A step of the clock: a change at once, not a gradual correction.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ClockJump {
    /// When it happened, by the corrected clock.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// The size of the step in seconds; negative if the clock was set back.
    pub seconds: i64,
}

/// Whose events the gateway reads from Kafka: `kafka.follow`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum Follow {
    /// None. The gateway knows from Kafka's replies where its own events are.
    Own,
    /// Those of all shops.
    All,
}

/// The shops whose sales the gateway knows.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Shops {
    /// The store of this gateway.
    pub own: String,
    /// The stores of other gateways, sorted by name.
    pub others: Vec<String>,
}

/// A partition of one of the topics `orders`, `payments` and `deliveries`.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Partition {
    pub topic: String,
    pub partition: i32,
    /// With `follow` = `all`, the next offset to read, at most `end`. With `follow` = `own`, the offset after the newest
    /// event that this gateway has sent since its start.
    pub position: i64,
    /// The offset after the newest record. Only with `follow` = `all`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub end: Option<i64>,
    /// Records that are not read yet: `end` − `position`. Only with `follow` = `all`.
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
    /// Whether this is `gateway demo`: Kafka is in memory, and `POST /api/demo/kafka` can make it unreachable.
    pub demo: bool,
    /// Whether fields that a `POST` leaves out are invented: `demo.invent`.
    pub invent: bool,
    pub mqtt: Peer,
    pub kafka: Peer,
    /// The transactional producer, which sends the journal's entries to Kafka.
    pub bridge: Peer,
    /// The consumer of head office's commands.
    pub commands: Peer,
    pub clock: Clock,
    pub journal: JournalStatus,
    pub follow: Follow,
    /// The Kafka consumer group of the reader. Null without Kafka, and with `follow` = `own`.
    pub consumer_group: Option<String>,
    pub partitions: Vec<Partition>,
    /// Dead letters in the journal.
    pub dead_letters: u64,
}

/// How the gateway uses the connection to Kafka: `kafka.uplink`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum UplinkMode {
    /// Events leave at once.
    Normal,
    /// Bytes cost money: events are gathered and leave together.
    Metered,
}

/// What the connection to Kafka has carried today, in the time zone of the gateway's machine.
///
/// The bytes are those of Kafka's protocol, compressed, without TLS and TCP. They are counted every few seconds; requests
/// of clients that live only for a moment are missing.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Uplink {
    pub mode: UplinkMode,
    /// Seconds for which events are gathered: `kafka.uplink_delay`. Only with `mode` = `metered`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub delay: Option<u64>,
    /// When the count began: at midnight, or at a start of the gateway.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// Bytes sent since then.
    pub sent_bytes: u64,
    /// Bytes received since then.
    pub received_bytes: u64,
    /// Events that got into Kafka since then.
    pub events: u64,
    /// Bytes that may be sent and received in a day: `kafka.uplink_budget`. Absent without a limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub budget: Option<u64>,
    /// Whether the budget is nearly used up, so that only payments are sent until midnight.
    pub payments_only: bool,
}

/// The reports of troubles to people. The times are since the gateway's start.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Alerts {
    /// Whether a webhook is configured.
    pub webhook: bool,
    /// Number of recipients of mails.
    pub mail_recipients: u64,
    /// Messages that are not delivered yet. One for several receivers counts several times.
    pub waiting: u64,
    /// When a receiver last accepted a message.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    #[cfg_attr(test, ts(optional))]
    pub delivered: Option<Timestamp>,
    /// When an attempt to deliver a message last failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    #[cfg_attr(test, ts(optional))]
    pub failed: Option<Timestamp>,
}

/// The gateway's state.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Gateway {
    #[serde(flatten)]
    pub status: GatewayStatus,
    pub devices: Vec<Device>,
    /// Devices whose events were refused within the last hour, most recent first.
    pub refused: Vec<RefusedDevice>,
    /// Pending events over the last hour, oldest first.
    pub backlog: Vec<BacklogPoint>,
    /// The connection to Kafka. Null without Kafka.
    pub uplink: Option<Uplink>,
    /// The alerts. Null without a receiver.
    pub alerts: Option<Alerts>,
    /// Errors in the current configuration. If there are any, the gateway runs with the last configuration that started.
    pub settings_problems: Vec<SettingsProblem>,
}

/// Why the events of one device are refused. The gateway still stores those of other devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum RefusalReason {
    /// The gateway has reached its limit of device names, and this one is new.
    Devices,
    /// The device draws new epochs faster than its share allows.
    Epochs,
    /// The device's events that are not in Kafka fill half of the journal.
    PendingBytes,
    /// The device's dead letters fill their share of the journal. Further ones are stored shortened.
    DeadLetters,
}

/// A device whose events are refused. A till keeps them, because they are not acknowledged.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct RefusedDevice {
    pub store: String,
    pub device: String,
    pub reason: RefusalReason,
    /// Refused events since `since`. An event that was sent again counts again.
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
    /// Where the error is: a file, or "the environment".
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub place: Option<String>,
    /// The key, for example `journal.max_bytes`. Absent if the whole file is unreadable.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub key: Option<String>,
    /// What is wrong and what is accepted, for people.
    pub message: String,
}

/// The number of pending events at one moment.
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
    /// What the till last published to its `status` topic. Null if it never did.
    pub online: Option<bool>,
    pub epochs: Vec<Epoch>,
    /// The sum of `received` of the epochs.
    pub received: u64,
    /// The sum of `stored` of the epochs.
    pub stored: u64,
    /// The sum of `in_kafka` of the epochs.
    pub in_kafka: u64,
    /// Bytes of the journal used by events that are not in Kafka. At half of the journal, further events are refused.
    pub pending_bytes: u64,
    /// Inclusive ranges of numbers that never arrived, for example `[[3, 5], [9, 9]]`, in the latest epochs.
    pub missing: Vec<[u32; 2]>,
    /// Events whose number the till had already used for another sale. The gateway stored them under its own numbers.
    pub reused: u64,
}

/// What the journal keeps about a device after it was forgotten.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ForgottenDevice {
    /// Epochs without a stored event, which were removed.
    pub removed_epochs: u64,
    /// Epochs whose numbers are kept, so that an event that is sent again is not stored twice. They use no memory.
    pub dormant_epochs: u64,
    /// Epochs that are unchanged, because some of their events are not in Kafka yet.
    pub pending_epochs: u64,
}

/// The events of one epoch of a till.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Epoch {
    pub epoch: u32,
    /// The highest number that arrived.
    pub received: u32,
    /// Events that the journal has stored, including those that it has pruned since.
    pub stored: u64,
    /// Stored events that are in Kafka.
    pub in_kafka: u64,
    /// Numbers that the till has deleted but that never arrived here: another gateway acknowledged them, or they are
    /// lost. If this gateway already knew the epoch, `missing` lists them too.
    pub elsewhere: u64,
    /// Inclusive ranges of numbers whose events never arrived, for example `[[3, 5], [9, 9]]`.
    pub missing: Vec<[u32; 2]>,
    /// Those of the missing numbers that were acknowledged and later lost with a part of the journal's files. Their
    /// events are stored if the till sends them again.
    pub lost: Vec<[u32; 2]>,
}

/// Whether Kafka is to be reachable in `gateway demo`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct DemoKafka {
    pub up: bool,
}
