//! How the gateway uses the connection to Kafka: `kafka.uplink`.

use std::time::Duration;

/// The kind of connection to Kafka.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Uplink {
    /// Minimises latency: events leave at once.
    #[default]
    Normal,
    /// Minimises bytes, which cost money: events are gathered for `delay` and leave together, and monitoring requests
    /// are rare.
    Metered { delay: Duration },
}

impl Uplink {
    /// How long Kafka may hold the poll of a consumer that gets few records.
    pub fn longest_poll(self) -> Duration {
        match self {
            Self::Normal => Duration::from_secs(15),
            Self::Metered { .. } => Duration::from_secs(120),
        }
    }

    /// How often a consumer checks whether its topics are still the same.
    pub(super) fn describe_every(self) -> Duration {
        match self {
            Self::Normal => Duration::from_secs(15),
            Self::Metered { .. } => Duration::from_secs(300),
        }
    }

    /// How often the settings of the topics are inspected, which transfers some 20 KB.
    pub fn inspect_every(self) -> Duration {
        match self {
            Self::Normal => Duration::from_secs(900),
            Self::Metered { .. } => Duration::from_secs(7_200),
        }
    }

    /// How often a few of the gateway's own events are read back, some 30 KB.
    pub fn spot_check_every(self) -> Duration {
        match self {
            Self::Normal => Duration::from_secs(3_600),
            Self::Metered { .. } => Duration::from_secs(24 * 3_600),
        }
    }

    /// How often the gateway publishes its state if nothing changes. Some 500 bytes each time.
    pub fn state_every(self) -> Duration {
        match self {
            Self::Normal => Duration::from_secs(300),
            Self::Metered { .. } => Duration::from_secs(1_800),
        }
    }

    /// How often the gateway checks its state for changes to publish.
    pub fn state_changes_every(self) -> Duration {
        match self {
            Self::Normal => Duration::from_secs(30),
            Self::Metered { .. } => Duration::from_secs(300),
        }
    }

    /// Compression of batches. zstd takes more CPU.
    pub(super) fn compression(self) -> &'static str {
        match self {
            Self::Normal => "lz4",
            Self::Metered { .. } => "zstd",
        }
    }

    /// How long events are gathered; `None` if they leave at once.
    pub fn delay(self) -> Option<Duration> {
        match self {
            Self::Normal => None,
            Self::Metered { delay } => Some(delay),
        }
    }
}
