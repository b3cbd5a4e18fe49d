//! The Socket.IO messages; see `docs/interfaces/live.md`.

use serde::{Deserialize, Deserializer, Serialize};

#[cfg(test)]
use super::{Delivery, Order, Payment};
use super::{GatewayStatus, Stats};
use comptoir_core::Secret;
use comptoir_core::event::Kind;

/// The optional `auth` object of a client that connects.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(default)]
pub struct Auth {
    /// Requests `batch` packets under load instead of one packet per event, and `alive` every four seconds.
    pub batch: bool,
    /// The `journal_offset` of the last event that the client received. The gateway sends its later events in order after
    /// `initial_data`, as far as the journal still has them. Ignored with `batch`. A client must set it at each
    /// reconnection: without it, it receives only the missed events that are in `initial_data`.
    #[serde(deserialize_with = "number_or_none")]
    #[cfg_attr(test, ts(optional))]
    pub after: Option<u64>,
    /// A program's token, for clients that cannot send the header `Authorization`.
    #[cfg_attr(test, ts(optional, type = "string"))]
    pub token: Option<Secret>,
}

/// Treats a value of another type as absent; the client then receives the default messages.
fn number_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    serde_json::Value::deserialize(deserializer).map(|value| value.as_u64())
}

/// `initial_data`: the state at the beginning. When it comes again, it replaces everything before it.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(concrete(O = Order, P = Payment, D = Delivery)))]
pub struct InitialData<O, P, D> {
    /// Newest first, at most 50 of each kind.
    pub orders: Vec<O>,
    pub payments: Vec<P>,
    pub deliveries: Vec<D>,
    pub stats: Stats,
    pub gateway: GatewayStatus,
}

/// `event_confirmed`: an event of this gateway is in Kafka.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "Confirmed"))]
pub struct Confirmation {
    pub kind: Kind,
    pub ce_id: String,
    pub order_id: String,
    pub partition: i32,
    pub offset: i64,
}

/// `batch`: the changes of one tick, with the newest 50 rows of each kind at most: pages do not show older ones.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(concrete(O = Order, P = Payment, D = Delivery)))]
pub struct Batch<O, P, D> {
    /// Oldest first.
    pub orders: Vec<O>,
    pub payments: Vec<P>,
    pub deliveries: Vec<D>,
    pub confirmed: Vec<Confirmation>,
    pub stats: Option<Stats>,
    pub gateway: Option<GatewayStatus>,
}
