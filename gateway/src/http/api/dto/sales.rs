//! Orders, payments and deliveries as `GET` and Socket.IO show them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use comptoir_core::event::Kind;
use comptoir_core::sale::{
    DeliveryStatus, Money, OrderStatus, PaymentMethod, PaymentStatus, Percent, Quantity,
};

/// Where an event is stored: in which journal, and where in Kafka.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "Whereabouts"))]
#[schema(as = Whereabouts)]
pub struct EventLocation {
    /// The name of the latest event of this item: `{store}/{device}/{epoch}/{seq}`.
    pub ce_id: String,
    pub origin: Origin,
    /// Whether the event is in Kafka.
    pub confirmed: bool,
    /// The item's position in the list, in the order of its first event: later states keep it. Absent only in the
    /// response to a `POST`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub row: Option<u64>,
    /// The position in this gateway's journal. Only if `origin` is `local`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub journal_offset: Option<u64>,
    /// The partition in Kafka. Absent until it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub partition: Option<i32>,
    /// The offset in `partition`. Absent until it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub offset: Option<i64>,
    /// The number of changes by devices other than the creator of the order or delivery that were not, or not fully,
    /// applied. Absent if there are none. `GET /api/orders/{order_id}` lists them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub corrections: Option<u32>,
}

/// A change of an order or a delivery by a device other than its creator. The creator and the counter may change
/// everything; another till may only advance the status.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Correction {
    /// Whether an order or a delivery was changed.
    #[schema(value_type = String)]
    pub kind: Kind,
    /// The `order_id` or `delivery_id`.
    pub id: String,
    /// The device that sent the change.
    pub device: String,
    /// The status that it sent, if it differed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub status: Option<String>,
    /// The amount that it sent for an order, if it differed. It was not applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>)]
    #[cfg_attr(test, ts(optional, as = "Option<f64>"))]
    pub amount: Option<Money>,
    /// The currency of `amount`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub currency: Option<&'static str>,
    #[schema(value_type = String, format = DateTime)]
    pub timestamp: Timestamp,
    /// The position of the change in this gateway's journal.
    pub journal_offset: u64,
    /// Whether the status was applied. Other fields never are.
    pub applied: bool,
}

/// Which gateway stored the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// This gateway.
    Local,
    /// Another gateway. This gateway read the event from Kafka.
    Kafka,
}

/// A line of an order.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Line {
    pub product: String,
    /// Number of pieces, or of the unit, with up to three decimals. 0 on receipts of tills that print no weight.
    #[schema(value_type = f64, minimum = 0)]
    #[cfg_attr(test, ts(as = "f64"))]
    pub quantity: Quantity,
    /// The unit of the quantity, such as `kg`. Absent for pieces.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub unit: Option<String>,
    /// The price of one piece or one unit, an exact decimal number in the order's currency.
    #[schema(minimum = 0)]
    pub unit_price: f64,
    /// VAT in percent, included in the price.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional, as = "Option<f64>"))]
    #[schema(value_type = Option<f64>, minimum = 0, maximum = 100)]
    pub vat_rate: Option<Percent>,
    /// Taken off the price of the whole line.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    #[schema(minimum = 0)]
    pub discount: Option<f64>,
}

/// An order, with the location of its latest event.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Order {
    pub order_id: String,
    pub customer_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub customer_email: Option<String>,
    /// A summary of the lines for people: the first product and the number of others, for example `Croissant + 3`.
    pub product: String,
    pub lines: Vec<Line>,
    /// An exact decimal number with at most the decimals of the currency.
    #[schema(minimum = 0)]
    pub amount: f64,
    /// ISO 4217.
    pub currency: String,
    pub status: OrderStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub address: Option<String>,
    /// When it happened, RFC 3339 in UTC.
    #[schema(format = DateTime)]
    pub timestamp: String,
    /// The store in which it happened.
    pub store: String,
    /// The till that sent it, or `counter`.
    pub device: String,
    #[serde(flatten)]
    pub location: EventLocation,
}

/// A payment, with the location of its latest event.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Payment {
    pub payment_id: String,
    pub order_id: String,
    /// The `payment_id` of the payment that is paid back. Absent for a payment that is not a refund.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub refund_of: Option<String>,
    /// An exact decimal number with at most the decimals of the currency. Negative for a refund.
    pub amount: f64,
    /// ISO 4217.
    pub currency: String,
    pub method: PaymentMethod,
    pub status: PaymentStatus,
    /// When it happened, RFC 3339 in UTC.
    #[schema(format = DateTime)]
    pub timestamp: String,
    /// The store in which it happened.
    pub store: String,
    /// The till that sent it, or `counter`.
    pub device: String,
    #[serde(flatten)]
    pub location: EventLocation,
}

/// A delivery, with the location of its latest event.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Delivery {
    pub delivery_id: String,
    pub order_id: String,
    /// Null for a role that does not see personal data.
    #[schema(required = true)]
    pub address: Option<String>,
    pub status: DeliveryStatus,
    /// `YYYY-MM-DD`.
    #[schema(format = Date)]
    pub estimated_date: String,
    /// When it happened, RFC 3339 in UTC.
    #[schema(format = DateTime)]
    pub timestamp: String,
    /// The store in which it happened.
    pub store: String,
    /// The till that sent it, or `counter`.
    pub device: String,
    #[serde(flatten)]
    pub location: EventLocation,
}

/// A page of a list, newest item first.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Send it as `cursor` to get the next page. Null on the last page.
    pub next_cursor: Option<String>,
}

/// An order with its payments and deliveries, each list oldest first.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS), ts(concrete(O = Order, P = Payment, D = Delivery)))]
pub struct OrderLife<O, P, D> {
    /// Null if the gateway knows only payments or deliveries of the order.
    #[schema(value_type = Option<Order>)]
    pub order: Option<O>,
    #[schema(value_type = Vec<Payment>)]
    pub payments: Vec<P>,
    #[schema(value_type = Vec<Delivery>)]
    pub deliveries: Vec<D>,
    /// Changes of the order and its deliveries by devices other than their creators: the newest 100, oldest first.
    pub corrections: Vec<Correction>,
}
