//! Dead letters as the API shows them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A message that could not be decoded.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct DeadLetter {
    /// The journal offset, which names the dead letter.
    pub offset: u64,
    pub ce_id: String,
    /// The MQTT topic on which the message came; in a list, its first 512 characters.
    pub topic: String,
    pub cause: DeadLetterCause,
    /// The path of the field that is not valid, as in `lines[2].unit_price`. Only with the cause `invalid_field`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub field: Option<String>,
    /// The cause in words, for people: the words may change.
    pub reason: String,
    #[schema(value_type = String, format = DateTime)]
    pub received: Timestamp,
    /// When a retry stored the event.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub retried: Option<Timestamp>,
    /// The length of the whole payload.
    pub bytes: usize,
    /// The payload, Base64; in a list, its first 512 bytes. `GET /api/dead-letters/{offset}` has all of it.
    pub payload: String,
}

/// Why a message could not be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum DeadLetterCause {
    /// The topic is not one that events are published on.
    UnknownTopic,
    /// The event is of another kind than its topic.
    WrongTopic,
    /// The payload is neither JSON nor a binary frame.
    UnknownFormat,
    /// The version of the binary format is not supported.
    UnknownVersion,
    /// The payload exceeds the size limit.
    TooLarge,
    /// The payload is not one valid JSON object.
    NotJson,
    /// The binary frame is not well-formed.
    MalformedFrame,
    /// A field is missing or not valid.
    InvalidField,
    /// Anything else, for example a reason that another version of the gateway wrote.
    Other,
}

/// The event that a dead letter has become.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "Retried"))]
#[schema(as = Retried)]
pub struct RetryResult {
    pub ce_id: String,
}
