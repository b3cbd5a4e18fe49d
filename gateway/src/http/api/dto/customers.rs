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
    /// A part of the name, of the e-mail address or of the address. Upper and lower case do not matter.
    #[schema(min_length = 3)]
    pub text: String,
    /// The `next` of the part before.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(maximum = 9_223_372_036_854_775_807_i64)]
    pub after: Option<u64>,
}

/// A part of the events that name the customer.
#[derive(Debug, Serialize, ToSchema)]
pub struct CustomerSearchResult {
    pub found: Vec<CustomerEvent>,
    /// Where the next part begins: the answer to one request examines a part of the journal only. Null after the last.
    pub next: Option<u64>,
}

/// An event that names the customer.
#[derive(Debug, Serialize, ToSchema)]
pub struct CustomerEvent {
    pub kind: CustomerEventKind,
    pub store: String,
    /// Of a dead letter, the MQTT topic.
    pub order_id: String,
    pub ce_id: String,
    #[schema(value_type = String, format = DateTime)]
    pub timestamp: Timestamp,
    /// Null for a dead letter, whose content is not understood.
    pub personal_data: Option<PersonalData>,
    /// Null for an event of another gateway.
    pub journal_offset: Option<u64>,
    /// Personal data is erased here only after the event is in Kafka.
    pub is_in_kafka: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CustomerEventKind {
    Order,
    Delivery,
    DeadLetter,
}

/// An order of one store.
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
    /// All events of these orders and of their deliveries.
    #[serde(default)]
    #[schema(max_items = 200)]
    pub orders: Vec<OrderName>,
    /// The `ce_id` of dead letters.
    #[serde(default)]
    #[schema(max_items = 200)]
    pub dead_letters: Vec<String>,
    /// The `next` of the part before.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(maximum = 9_223_372_036_854_775_807_i64)]
    pub after: Option<u64>,
}

/// What was erased from a part of the journal.
#[derive(Debug, Serialize, ToSchema)]
pub struct CustomerErasureResult {
    /// Events whose personal data was erased.
    pub erased: u64,
    /// Events that keep their personal data until they are in Kafka.
    pub pending: u64,
    /// Where the next part begins. Null after the last.
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
