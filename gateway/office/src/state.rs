//! The published state of a gateway; the gateway's `docs/interfaces/topics.md` describes it.

use comptoir_core::command::HandledCommands;
use jiff::Timestamp;
use serde::Deserialize;

/// The `ce_type` that the signature of a state covers.
pub const TYPE: &str = "comptoir.gateway";

/// Most problems in a state, and most characters of a problem word.
const MAX_PROBLEMS: usize = 32;
const MAX_WORD: usize = 64;
/// Longest accepted interval between states. If it were longer than a day, a shop could be silent for days unnoticed.
const MAX_EVERY: u32 = 24 * 3_600;
/// Default number of seconds between two states.
const EVERY: u32 = 300;

/// The fields of a state that the office uses. Other fields are stored with it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct GatewayState {
    pub time: Timestamp,
    pub version: String,
    pub started: Timestamp,
    pub last_exit: String,
    /// The problem words of the gateway's interface. Later versions may have more.
    #[serde(default)]
    pub problems: Vec<String>,
    pub journal: JournalLevel,
    /// Free bytes of the journal's file system.
    pub disk_free: Option<u64>,
    #[serde(default)]
    pub dead_letters: u64,
    /// Absent if the gateway is of a version that does not say it.
    pub commands: Option<Commands>,
    pub devices: Vec<DeviceState>,
    #[serde(default)]
    pub more_devices: u64,
    /// The longest time until the next state, in seconds.
    #[serde(default = "every")]
    pub every: u32,
}

/// The numbered commands that were handed over. Empty before the first one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Commands {
    epoch: Option<u32>,
    first: Option<u32>,
    last: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct JournalLevel {
    pub bytes: u64,
    pub max_bytes: u64,
    /// Events that are not in Kafka.
    #[serde(default)]
    pub pending: u64,
    pub oldest_pending: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DeviceState {
    pub device: String,
    pub online: Option<bool>,
    /// How many numbers have no stored event.
    #[serde(default)]
    pub missing: u64,
}

fn every() -> u32 {
    EVERY
}

impl Commands {
    /// `None` before the first command.
    pub fn handled(&self) -> Option<HandledCommands> {
        let (epoch, last) = self.epoch.zip(self.last)?;
        let first = self.first.unwrap_or(1);
        Some(HandledCommands { epoch, first, last })
    }
}

impl GatewayState {
    /// Whether words and numbers are plausible for a gateway. Implausible ones from one shop must not disrupt the page,
    /// the alerts or other shops.
    pub fn is_sound(&self) -> bool {
        let is_word = |word: &String| {
            (1..=MAX_WORD).contains(&word.len())
                && word
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        self.problems.len() <= MAX_PROBLEMS
            && self.problems.iter().all(is_word)
            && is_word(&self.last_exit)
            && self.version.len() <= MAX_WORD
            && !self.version.chars().any(char::is_control)
            && (1..=MAX_EVERY).contains(&self.every)
    }

    /// How many numbers have no stored event, over all listed devices.
    pub fn missing(&self) -> u64 {
        let devices = self.devices.iter();
        devices.fold(0, |sum, device| sum.saturating_add(device.missing))
    }

    /// Number of devices.
    pub fn device_count(&self) -> u64 {
        self.more_devices.saturating_add(self.devices.len() as u64)
    }
}
