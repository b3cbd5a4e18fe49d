//! How the gateway uses the connection to Kafka: `kafka.uplink`.

use std::time::Duration;

/// What matters on the connection to Kafka.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Uplink {
    /// Latency: events leave at once.
    #[default]
    Normal,
    /// Bytes, which cost money: events gather for `delay` and leave together, and what watches Kafka asks rarely.
    Metered { delay: Duration },
}

impl Uplink {
    /// How long a consumer of few records lets Kafka wait for them before it asks again.
    pub fn longest_poll(self) -> Duration {
        match self {
            Self::Normal => Duration::from_secs(15),
            Self::Metered { .. } => Duration::from_secs(120),
        }
    }

    /// Interval at which a consumer asks whether its topics are still the same.
    pub(super) fn describe_every(self) -> Duration {
        match self {
            Self::Normal => Duration::from_secs(15),
            Self::Metered { .. } => Duration::from_secs(300),
        }
    }

    /// Interval at which the settings of the topics are inspected, which transfers some 20 KB.
    pub fn inspect_every(self) -> Duration {
        match self {
            Self::Normal => Duration::from_secs(900),
            Self::Metered { .. } => Duration::from_secs(7_200),
        }
    }

    /// Interval at which a few of the gateway's own events are read back, some 30 KB.
    pub fn spot_check_every(self) -> Duration {
        match self {
            Self::Normal => Duration::from_secs(3_600),
            Self::Metered { .. } => Duration::from_secs(24 * 3_600),
        }
    }

    /// Interval at which the gateway publishes its state, if nothing changes. Some 500 bytes each time.
    pub fn state_every(self) -> Duration {
        match self {
            Self::Normal => Duration::from_secs(300),
            Self::Metered { .. } => Duration::from_secs(1_800),
        }
    }

    /// Interval at which the gateway looks for changes of its state that are worth a record.
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

    /// How long events gather; `None` if they leave at once.
    pub fn delay(self) -> Option<Duration> {
        match self {
            Self::Normal => None,
            Self::Metered { delay } => Some(delay),
        }
    }
}
