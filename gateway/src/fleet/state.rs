//! The record in Kafka that holds a gateway's state. `docs/interfaces/topics.md` describes it.

use comptoir_core::command::HandledCommands;
use comptoir_core::mac::{MacKey, SignedRecord};
use comptoir_journal::DeviceReport;
use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::platform::closing_key::PublicKey;
use crate::platform::last_exit::LastExit;

/// Most devices listed in a state. A shop may have thousands, and states are sent often.
const MAX_DEVICES: usize = 50;

/// Seconds between two states if the uplink is not metered.
const USUAL_INTERVAL: u64 = 300;

/// The `ce_type` that the signature covers.
const TYPE: &str = "comptoir.gateway";

/// A problem of a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// The MQTT broker is unreachable, so no till's sale arrives.
    MqttDown,
    /// Events do not reach Kafka, although this record did.
    BridgeDown,
    /// The day's bytes are nearly used up, so that only payments are sent: `kafka.uplink_budget`.
    PaymentsOnly,
    /// Head office's commands do not arrive.
    CommandsDown,
    /// The gateway page shows warnings about a connection.
    Warnings,
    /// The journal accepts no events: it is full, or its disk fails.
    JournalRefusing,
    /// Acknowledged events were lost when the journal's files were damaged.
    EventsLost,
    /// Events of a device are refused because the device has used up its share.
    DevicesRefused,
    /// No archive can be written, so the journal is not pruned: `archive.path`.
    ArchiveFailing,
    /// Nothing sets the machine's clock.
    ClockUnsynchronised,
}

impl Trouble {
    /// The word for it in Kafka and in alerts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MqttDown => "mqtt-down",
            Self::BridgeDown => "bridge-down",
            Self::PaymentsOnly => "payments-only",
            Self::CommandsDown => "commands-down",
            Self::Warnings => "warnings",
            Self::JournalRefusing => "journal-refusing",
            Self::EventsLost => "events-lost",
            Self::DevicesRefused => "devices-refused",
            Self::ArchiveFailing => "archive-failing",
            Self::ClockUnsynchronised => "clock-unsynchronised",
        }
    }
}

impl Serialize for Trouble {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The state at one moment. Fields without information are absent.
#[derive(Debug, Clone, Serialize)]
pub struct GatewayState {
    #[serde(serialize_with = "in_seconds")]
    pub time: Timestamp,
    pub version: &'static str,
    #[serde(serialize_with = "in_seconds")]
    pub started: Timestamp,
    pub last_exit: LastExit,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Trouble>,
    pub journal: JournalLevel,
    /// Free bytes of the journal's file system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_free: Option<u64>,
    /// Dead letters in the journal.
    #[serde(skip_serializing_if = "is_zero")]
    pub dead_letters: u64,
    pub commands: Commands,
    /// The public key that signs this shop's closings. Absent without the shop's secret.
    #[serde(serialize_with = "some_as_text", skip_serializing_if = "Option::is_none")]
    pub closing_key: Option<PublicKey>,
    pub devices: Vec<DeviceState>,
    /// Number of devices beyond those listed.
    #[serde(skip_serializing_if = "is_zero")]
    pub more_devices: u64,
    /// The longest time until the next state, in seconds. Absent if it is [`USUAL_INTERVAL`].
    #[serde(skip_serializing_if = "is_usual")]
    pub every: u64,
}

/// The numbered commands of head office that were handed to the MQTT broker. Always present, as an empty object before the
/// first one, because gateways of earlier versions have no such field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commands(pub Option<HandledCommands>);

impl Serialize for Commands {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(handled) => handled.serialize(serializer),
            None => serializer.collect_map(std::iter::empty::<(&str, u32)>()),
        }
    }
}

/// How full the journal is.
#[derive(Debug, Clone, Serialize)]
pub struct JournalLevel {
    pub bytes: u64,
    pub max_bytes: u64,
    /// Events that are not in Kafka.
    #[serde(skip_serializing_if = "is_zero")]
    pub pending: u64,
    #[serde(serialize_with = "some_in_seconds", skip_serializing_if = "Option::is_none")]
    pub oldest_pending: Option<Timestamp>,
}

/// Counts of a device's events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeviceState {
    /// Includes the store (`lyon-2/till-1`) if that is not the gateway's own.
    pub device: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub online: Option<bool>,
    /// The sum of the highest received number of each epoch.
    pub received: u64,
    /// Absent if equal to `received`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored: Option<u64>,
    /// Absent if equal to the stored count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_kafka: Option<u64>,
    /// How many numbers have no stored event.
    #[serde(skip_serializing_if = "is_zero")]
    pub missing: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_usual(every: &u64) -> bool {
    *every == USUAL_INTERVAL
}

/// Rounds to seconds: fractions carry no information and do not compress.
fn in_seconds<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{time:.0}"))
}

fn some_as_text<S: Serializer>(key: &Option<PublicKey>, serializer: S) -> Result<S::Ok, S::Error> {
    match key {
        Some(key) => serializer.collect_str(key),
        None => serializer.serialize_none(),
    }
}

fn some_in_seconds<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => in_seconds(time, serializer),
        None => serializer.serialize_none(),
    }
}

impl DeviceState {
    /// This gateway's view of a device. `store` is the gateway's own.
    pub fn new(report: &DeviceReport, store: &str, online: Option<bool>) -> Self {
        let device = match &report.device {
            device if device.store() == store => device.device().to_owned(),
            device => device.to_string(),
        };
        let streams = &report.streams;
        let received = streams.iter().map(|stream| u64::from(stream.received)).sum();
        let stored = streams.iter().map(|stream| stream.stored).sum();
        let in_kafka = streams.iter().map(|stream| stream.in_kafka).sum();
        let missing = streams.iter().flat_map(|stream| &stream.missing);
        Self {
            device,
            online,
            received,
            stored: (stored != received).then_some(stored),
            in_kafka: (in_kafka != stored).then_some(in_kafka),
            missing: missing.map(|(from, to)| u64::from(to - from) + 1).sum(),
        }
    }
}

/// The parts of a state whose change is published at once.
#[derive(Debug, PartialEq, Eq)]
pub struct Conditions {
    problems: Vec<Trouble>,
    dead_letters: u64,
    commands: Commands,
    /// Name, whether it is online, and how many numbers are missing.
    devices: Vec<(String, Option<bool>, u64)>,
}

impl GatewayState {
    /// Keeps as many devices as can be listed, those with missing numbers first.
    pub fn set_devices(&mut self, mut devices: Vec<DeviceState>) {
        devices.sort_by(|a, b| (a.missing == 0, &a.device).cmp(&(b.missing == 0, &b.device)));
        self.more_devices = devices.len().saturating_sub(MAX_DEVICES) as u64;
        devices.truncate(MAX_DEVICES);
        self.devices = devices;
    }

    pub fn conditions(&self) -> Conditions {
        let devices = self.devices.iter();
        Conditions {
            problems: self.problems.clone(),
            dead_letters: self.dead_letters,
            commands: self.commands,
            devices: devices
                .map(|device| (device.device.clone(), device.online, device.missing))
                .collect(),
        }
    }

    /// The record's value.
    pub fn json(&self) -> String {
        // Cannot fail: the state has only strings and numbers.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Signs the record of a state. The record's key is the store.
pub fn sign(store: &str, value: &[u8], key: &MacKey) -> String {
    let record = SignedRecord {
        ce_id: store.as_bytes(),
        ce_type: TYPE.as_bytes(),
        key: store.as_bytes(),
        value,
    };
    record.sign(key)
}

#[cfg(test)]
mod tests {
    use comptoir_journal::StreamReport;

    use super::*;

    fn report(device: &str, stored: u64, in_kafka: u64, missing: Vec<(u32, u32)>) -> DeviceReport {
        DeviceReport {
            device: device.parse().unwrap(),
            pending_bytes: 0,
            streams: vec![StreamReport {
                epoch: 7,
                received: 10,
                stored,
                in_kafka,
                elsewhere: 0,
                reused: 0,
                missing,
                lost: Vec::new(),
            }],
        }
    }

    fn state() -> GatewayState {
        let time: Timestamp = "2026-11-30T18:02:11.5Z".parse().unwrap();
        GatewayState {
            time,
            version: "0.5.0",
            started: time,
            last_exit: LastExit::Stopped,
            problems: Vec::new(),
            journal: JournalLevel {
                bytes: 1,
                max_bytes: 2,
                pending: 0,
                oldest_pending: None,
            },
            disk_free: None,
            dead_letters: 0,
            commands: Commands(None),
            closing_key: None,
            devices: Vec::new(),
            more_devices: 0,
            every: USUAL_INTERVAL,
        }
    }

    #[test]
    fn what_is_normal_is_absent() {
        let mut state = state();
        let device = DeviceState::new(&report("paris-1/till-1", 10, 10, Vec::new()), "paris-1", None);
        state.set_devices(vec![device]);
        assert_eq!(
            state.json(),
            r#"{"time":"2026-11-30T18:02:11Z","version":"0.5.0","started":"2026-11-30T18:02:11Z","last_exit":"stopped","journal":{"bytes":1,"max_bytes":2},"commands":{},"devices":[{"device":"till-1","received":10}]}"#
        );
        let before = state.conditions();
        state.problems.push(Trouble::MqttDown);
        assert_ne!(state.conditions(), before);
        assert!(state.json().contains(r#""problems":["mqtt-down"]"#));
        let before = state.conditions();
        state.commands = Commands(Some(HandledCommands {
            epoch: 7,
            first: 1,
            last: 3,
        }));
        assert_ne!(
            state.conditions(),
            before,
            "a handled command is published at once"
        );
        assert!(state.json().contains(r#""commands":{"epoch":7,"last":3}"#));
        state.every = 1_800;
        assert!(state.json().ends_with(r#","every":1800}"#), "{}", state.json());
    }

    #[test]
    fn devices_with_missing_numbers_come_first_and_the_others_are_counted() {
        let mut state = state();
        let mut devices: Vec<_> = (0..60)
            .map(|number| report(&format!("paris-1/till-{number:02}"), 10, 10, Vec::new()))
            .collect();
        devices.push(report("lyon-2/zinc", 7, 6, vec![(2, 3), (9, 9)]));
        let devices = devices.iter();
        state.set_devices(
            devices
                .map(|report| DeviceState::new(report, "paris-1", Some(true)))
                .collect(),
        );
        assert_eq!((state.devices.len(), state.more_devices), (MAX_DEVICES, 11));
        let first = &state.devices[0];
        assert_eq!(
            (&*first.device, first.received, first.missing),
            ("lyon-2/zinc", 10, 3)
        );
        assert_eq!((first.stored, first.in_kafka), (Some(7), Some(6)));
        assert_eq!(state.devices[1].device, "till-00");
    }
}
