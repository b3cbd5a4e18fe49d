//! Dead letters as the API shows them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A message that could not be decoded.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct DeadLetter {
    /// The journal offset, which identifies the dead letter.
    pub offset: u64,
    /// The event name under which it is stored, `{store}/{device}/{epoch}/{seq}`.
    pub ce_id: String,
    /// The MQTT topic of the message. A list shortens it to 512 characters.
    pub topic: String,
    pub cause: DeadLetterCause,
    /// The path of the invalid field, for example `lines[2].unit_price`. Only with the cause `invalid_field`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub field: Option<String>,
    /// The cause in a sentence for people. The wording may change. A list shortens it to 512 characters.
    pub reason: String,
    #[schema(value_type = String, format = DateTime)]
    pub received: Timestamp,
    /// When a retry decoded and stored the event. Null if none did.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub retried: Option<Timestamp>,
    /// The length of the complete payload in bytes.
    pub bytes: usize,
    /// The payload in Base64. A list has only the first 512 bytes; `GET /api/dead-letters/{offset}` has all.
    pub payload: String,
}

/// Why a message could not be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum DeadLetterCause {
    /// The MQTT topic is not one of a till's event topics.
    UnknownTopic,
    /// The event's kind does not match its topic, for example a payment on `…/orders`.
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
    /// Any other cause, for example one that another version of the gateway recorded.
    Other,
}

/// The event that a retry stored.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "Retried"))]
#[schema(as = Retried)]
pub struct RetryResult {
    /// The event's name, `{store}/{device}/{epoch}/{seq}`.
    pub ce_id: String,
}
