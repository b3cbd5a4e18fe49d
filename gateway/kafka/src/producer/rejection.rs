//! Records that Kafka or librdkafka rejects, with advice for the operator.

use std::fmt;

use jiff::Timestamp;

use super::super::Error;
use super::super::topics::set_command;

/// Bytes that Kafka may add to a record.
const RECORD_OVERHEAD: usize = 4_096;
/// Kafka's default for `max.message.bytes`.
const DEFAULT_MAX_BYTES: usize = 1_048_588;

/// A record that Kafka rejected, or that librdkafka did not send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedRecord {
    /// Full name.
    pub topic: String,
    /// Its `ce_id`. The bridge's own records have none.
    pub name: Option<String>,
    /// Size of key, value and headers, in bytes.
    pub bytes: usize,
    pub rejection: Rejection,
    /// The topic's `max.message.bytes`, if known.
    pub(super) limit: Option<u64>,
    /// `bootstrap.servers`, for the suggested command.
    pub(super) brokers: String,
}

/// Why a record was rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// Larger than the topic's `max.message.bytes`.
    TooLarge,
    /// Larger than the owner's `message.max.bytes`.
    TooLargeForClient,
    /// Its timestamp (Unix ms), set by this machine, is too far from the broker's clock.
    WrongTime(Option<i64>),
}

impl RejectedRecord {
    pub(super) fn error(self) -> Error {
        match &self.rejection {
            Rejection::TooLarge | Rejection::TooLargeForClient => Error::TooLarge(Box::new(self)),
            Rejection::WrongTime(_) => Error::WrongTime(Box::new(self)),
        }
    }
}

impl fmt::Display for RejectedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, bytes, .. } = self;
        let name = self.name.as_deref().unwrap_or("the gateway's own watermark");
        let command = |setting: &str| set_command(&self.brokers, topic, setting);
        match &self.rejection {
            Rejection::TooLarge => {
                let limit = self.limit.map(|limit| format!("={limit}")).unwrap_or_default();
                let enough = (bytes + RECORD_OVERHEAD).max(DEFAULT_MAX_BYTES);
                write!(
                    f,
                    "{name} has {bytes} bytes, more than the Kafka topic {topic} takes (max.message.bytes{limit}); it \
                     blocks everything after it. Run: {}",
                    command(&format!("max.message.bytes={enough}"))
                )
            }
            Rejection::TooLargeForClient => write!(
                f,
                "{name} has {bytes} bytes, more than kafka.properties.\"message.max.bytes\" allows; it blocks everything \
                 after it. Raise that setting or remove it"
            ),
            Rejection::WrongTime(time) => {
                let time = time.and_then(|ms| Timestamp::from_millisecond(ms).ok());
                let time = time.unwrap_or_else(Timestamp::now);
                write!(
                    f,
                    "Kafka rejects the timestamp {time:.0} that this machine gave {name} on the topic {topic} \
                     (INVALID_TIMESTAMP): the clocks of this machine and of the Kafka broker are too far apart. Set the \
                     clock (NTP), or run: {}",
                    command("message.timestamp.type=LogAppendTime")
                )
            }
        }
    }
}
