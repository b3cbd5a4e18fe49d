//! Finding and erasing a customer.

use comptoir_core::sale::money::Amount;
use comptoir_core::sale::personal::PersonalData;
use jiff::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// A search for a customer.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomerSearch {
    /// A part of the customer's name, e-mail address or address, for example `dupont`. Case-insensitive.
    #[schema(min_length = 3)]
    pub text: String,
    /// The `next` of the previous answer. Omit it in the first request.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(maximum = 9_223_372_036_854_775_807_i64)]
    pub after: Option<u64>,
}

/// The events that name the customer, from one part of the journal. One request examines one part only.
#[derive(Debug, Serialize, ToSchema)]
pub struct CustomerSearchResult {
    pub found: Vec<CustomerEvent>,
    /// Send it as `after` to search the next part. Null after the last part.
    pub next: Option<u64>,
}

/// An event that names the customer.
#[derive(Debug, Serialize, ToSchema)]
pub struct CustomerEvent {
    pub kind: CustomerEventKind,
    pub store: String,
    /// The order's id. For a dead letter, its MQTT topic.
    pub order_id: String,
    /// The event's name, `{store}/{device}/{epoch}/{seq}`.
    pub ce_id: String,
    #[schema(value_type = String, format = DateTime)]
    pub timestamp: Timestamp,
    /// Null for a dead letter, because it could not be decoded.
    pub personal_data: Option<PersonalData>,
    /// The position in this gateway's journal. Null for an event of another gateway.
    pub journal_offset: Option<u64>,
    /// The event's personal data can be erased only after the event is in Kafka.
    pub is_in_kafka: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CustomerEventKind {
    Order,
    Delivery,
    DeadLetter,
}

/// Identifies an order: stores number their orders independently.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderName {
    pub store: String,
    pub order_id: String,
}

/// What to erase.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomerErasure {
    /// Erases all events of these orders and of their deliveries.
    #[serde(default)]
    #[schema(max_items = 200)]
    pub orders: Vec<OrderName>,
    /// Erases the dead letters with these `ce_id`s.
    #[serde(default)]
    #[schema(max_items = 200)]
    pub dead_letters: Vec<String>,
    /// The `next` of the previous answer. Omit it in the first request.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(maximum = 9_223_372_036_854_775_807_i64)]
    pub after: Option<u64>,
}

/// What was erased from one part of the journal. One request erases from one part only.
#[derive(Debug, Serialize, ToSchema)]
pub struct CustomerErasureResult {
    /// Events whose personal data was erased.
    pub erased: u64,
    /// Events that keep their personal data until they are in Kafka.
    pub pending: u64,
    /// Send it as `after` to erase from the next part. Null after the last part.
    pub next: Option<u64>,
}

/// Accepts `2.0` as well as `2`, which are the same JSON number.
fn whole_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let Some(Amount(number)) = Option::deserialize(deserializer)? else {
        return Ok(None);
    };
    match u64::try_from(number) {
        Ok(whole) if number.is_integer() => Ok(Some(whole)),
        _ => Err(D::Error::custom("expected a whole number, like 2")),
    }
}
