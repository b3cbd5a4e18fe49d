//! Sales: orders, payments and deliveries.
//!
//! Values of these types are always valid. Their fields are private, and only two constructors exist, which validate
//! every field: [`draft::Draft::complete`] for JSON and [`Event::from_wire`] for a till's binary events.
//!
//! The fields of [`Order`], [`Payment`] and [`Delivery`] are also the fields of the JSON in the journal and in Kafka,
//! in this order ([`Event::to_json`]), so there is no second list to keep in sync.

pub mod card;
pub mod draft;
mod json;
pub mod money;
pub mod ownership;
pub mod personal;
pub mod quantity;
pub mod repair;
mod time;
mod validate;
mod wire;

use std::borrow::Cow;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::event::Kind;
pub use money::{Currency, Money};
pub use quantity::{Percent, Quantity};
pub use time::{is_rfc3339, now, to_the_millisecond};

/// Longest id of an order, a payment or a delivery, in characters.
pub const MAX_ID: usize = 128;
/// Longest other text, in characters.
pub const MAX_TEXT: usize = 512;
/// Longest unit of a quantity, in characters.
pub const MAX_UNIT: usize = 16;
/// Most lines in an order.
pub const MAX_LINES: usize = 2_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub enum OrderStatus {
    Pending,
    Processing,
    Completed,
    Cancelled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub enum PaymentMethod {
    #[serde(rename = "Credit Card")]
    CreditCard,
    #[serde(rename = "Debit Card")]
    DebitCard,
    PayPal,
    #[serde(rename = "Bank Transfer")]
    BankTransfer,
    Cash,
}

impl PaymentMethod {
    /// The names used in JSON.
    pub const NAMES: &[&str] = &["Credit Card", "Debit Card", "PayPal", "Bank Transfer", "Cash"];
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub enum PaymentStatus {
    #[serde(rename = "SUCCESS")]
    Success,
    #[serde(rename = "FAILED")]
    Failed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub enum DeliveryStatus {
    Pending,
    #[serde(rename = "In Transit")]
    InTransit,
    Delivered,
}

/// The JSON names of the statuses that a sale of this kind can have.
pub const fn status_names(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Order => &["Pending", "Processing", "Completed", "Cancelled"],
        Kind::Payment => &["SUCCESS", "FAILED"],
        Kind::Delivery => &["Pending", "In Transit", "Delivered"],
    }
}

/// One product of an order.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line<'a> {
    product: Cow<'a, str>,
    /// 0 on receipts of tills that print no weight.
    quantity: Quantity,
    /// The unit of the quantity, such as `kg`. Absent for pieces.
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<Cow<'a, str>>,
    /// The price of one piece or one unit.
    unit_price: Money,
    #[serde(skip_serializing_if = "Option::is_none")]
    vat_rate: Option<Percent>,
    /// Taken off the price of the whole line.
    #[serde(skip_serializing_if = "Option::is_none")]
    discount: Option<Money>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Order<'a> {
    order_id: Cow<'a, str>,
    customer_name: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer_email: Option<Cow<'a, str>>,
    /// A summary of the lines for people.
    product: Cow<'a, str>,
    lines: Vec<Line<'a>>,
    /// The total. With discounts it differs from the sum of the lines.
    #[serde(flatten, serialize_with = "json::amount_and_currency")]
    amount: Money,
    status: OrderStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<Cow<'a, str>>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Payment<'a> {
    payment_id: Cow<'a, str>,
    order_id: Cow<'a, str>,
    /// The `payment_id` of the payment that is paid back. The amount is then negative.
    #[serde(skip_serializing_if = "Option::is_none")]
    refund_of: Option<Cow<'a, str>>,
    #[serde(flatten, serialize_with = "json::amount_and_currency")]
    amount: Money,
    method: PaymentMethod,
    status: PaymentStatus,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Delivery<'a> {
    delivery_id: Cow<'a, str>,
    order_id: Cow<'a, str>,
    address: Cow<'a, str>,
    status: DeliveryStatus,
    estimated_date: Date,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Event<'a> {
    Order(Order<'a>),
    Payment(Payment<'a>),
    Delivery(Delivery<'a>),
}

impl Event<'_> {
    pub fn kind(&self) -> Kind {
        match self {
            Event::Order(_) => Kind::Order,
            Event::Payment(_) => Kind::Payment,
            Event::Delivery(_) => Kind::Delivery,
        }
    }

    /// The id of the order that the event belongs to. It is the Kafka key, so that all events of an order stay in
    /// sequence.
    pub fn order_id(&self) -> &str {
        match self {
            Event::Order(order) => &order.order_id,
            Event::Payment(payment) => &payment.order_id,
            Event::Delivery(delivery) => &delivery.order_id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads<T: for<'a> Deserialize<'a>>(name: &str) -> bool {
        serde_json::from_value::<T>(name.into()).is_ok()
    }

    #[test]
    fn every_listed_name_is_a_value_of_its_type() {
        assert!(
            PaymentMethod::NAMES
                .iter()
                .all(|name| reads::<PaymentMethod>(name))
        );
        let statuses = |kind| status_names(kind).iter().copied();
        assert!(statuses(Kind::Order).all(reads::<OrderStatus>));
        assert!(statuses(Kind::Payment).all(reads::<PaymentStatus>));
        assert!(statuses(Kind::Delivery).all(reads::<DeliveryStatus>));
    }
}
