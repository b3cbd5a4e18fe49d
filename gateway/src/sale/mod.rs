//! The domain: orders, payments, deliveries. No I/O.
//!
//! A value of these types is valid: it can only be made through [`draft`], which checks every field.
//! [`Event::to_json`] is the one place that writes the JSON of the contract's section 3, which the
//! journal stores and Kafka gets unchanged.

pub mod draft;
pub mod money;
pub mod repair;

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::event::{DeviceId, Kind};
pub use money::{Currency, Money};

/// Longest id of an order, a payment or a delivery, in characters.
pub const MAX_ID: usize = 128;
/// Longest other text, in characters.
pub const MAX_TEXT: usize = 512;
/// Most lines of one order.
pub const MAX_LINES: usize = 2_000;

/// The present, to the millisecond: as terminals and the journal have it.
pub fn now() -> Timestamp {
    to_the_millisecond(Timestamp::now())
}

pub fn to_the_millisecond(time: Timestamp) -> Timestamp {
    // Within the range of a Timestamp, because it was one a moment ago.
    Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time)
}

/// 0000-01-01T00:00:00Z, Unix ms. The end is that of a [`Timestamp`], at the end of 9999.
const FIRST_TIME: i64 = -62_167_219_200_000;

/// Whether RFC 3339 can write it, which has years from 0000 to 9999.
pub fn is_rfc3339(time: Timestamp) -> bool {
    time.as_millisecond() >= FIRST_TIME
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum OrderStatus {
    Pending,
    Processing,
    Completed,
    Cancelled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum PaymentStatus {
    #[serde(rename = "SUCCESS")]
    Success,
    #[serde(rename = "FAILED")]
    Failed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum DeliveryStatus {
    Pending,
    #[serde(rename = "In Transit")]
    InTransit,
    Delivered,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line<'a> {
    pub product: Cow<'a, str>,
    pub quantity: u32,
    pub unit_price: Money,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Order<'a> {
    pub order_id: Cow<'a, str>,
    pub customer_name: Cow<'a, str>,
    pub customer_email: Option<Cow<'a, str>>,
    /// Sums up the lines, for people.
    pub product: Cow<'a, str>,
    pub lines: Vec<Line<'a>>,
    pub amount: Money,
    pub status: OrderStatus,
    pub address: Option<Cow<'a, str>>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Payment<'a> {
    pub payment_id: Cow<'a, str>,
    pub order_id: Cow<'a, str>,
    pub amount: Money,
    pub method: PaymentMethod,
    pub status: PaymentStatus,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Delivery<'a> {
    pub delivery_id: Cow<'a, str>,
    pub order_id: Cow<'a, str>,
    pub address: Cow<'a, str>,
    pub status: DeliveryStatus,
    pub estimated_date: Date,
}

#[derive(Debug, Clone, PartialEq)]
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

    /// The order that the event belongs to: the key under which Kafka keeps one order's life in order.
    pub fn order_id(&self) -> &str {
        match self {
            Event::Order(order) => &order.order_id,
            Event::Payment(payment) => &payment.order_id,
            Event::Delivery(delivery) => &delivery.order_id,
        }
    }

    /// The JSON of the contract's section 3.
    pub fn to_json(&self, timestamp: Timestamp, device: &DeviceId) -> Arc<str> {
        let sender = Sender {
            timestamp,
            store: device.store(),
            device: device.device(),
        };
        let mut json = Vec::with_capacity(512);
        let written = match self {
            Event::Order(order) => serde_json::to_writer(
                &mut json,
                &OrderJson {
                    order_id: &order.order_id,
                    customer_name: &order.customer_name,
                    customer_email: order.customer_email.as_deref(),
                    product: &order.product,
                    lines: &order.lines,
                    amount: order.amount,
                    currency: order.amount.currency(),
                    status: order.status,
                    address: order.address.as_deref(),
                    timestamp: sender.timestamp,
                    store: sender.store,
                    device: sender.device,
                },
            ),
            Event::Payment(payment) => serde_json::to_writer(
                &mut json,
                &PaymentJson {
                    payment_id: &payment.payment_id,
                    order_id: &payment.order_id,
                    amount: payment.amount,
                    currency: payment.amount.currency(),
                    method: payment.method,
                    status: payment.status,
                    timestamp: sender.timestamp,
                    store: sender.store,
                    device: sender.device,
                },
            ),
            Event::Delivery(delivery) => serde_json::to_writer(
                &mut json,
                &DeliveryJson {
                    delivery_id: &delivery.delivery_id,
                    order_id: &delivery.order_id,
                    address: &delivery.address,
                    status: delivery.status,
                    estimated_date: delivery.estimated_date,
                    timestamp: sender.timestamp,
                    store: sender.store,
                    device: sender.device,
                },
            ),
        };
        // Strings, integers and decimals into a Vec: serde_json has no way to fail here.
        let json = match written {
            Ok(()) => std::str::from_utf8(&json).ok(),
            Err(_) => None,
        };
        json.unwrap_or_else(|| unreachable!("a sale is always JSON"))
            .into()
    }
}

struct Sender<'a> {
    timestamp: Timestamp,
    store: &'a str,
    device: &'a str,
}

#[derive(Serialize)]
struct OrderJson<'a> {
    order_id: &'a str,
    customer_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer_email: Option<&'a str>,
    product: &'a str,
    lines: &'a [Line<'a>],
    amount: Money,
    currency: Currency,
    status: OrderStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<&'a str>,
    timestamp: Timestamp,
    store: &'a str,
    device: &'a str,
}

#[derive(Serialize)]
struct PaymentJson<'a> {
    payment_id: &'a str,
    order_id: &'a str,
    amount: Money,
    currency: Currency,
    method: PaymentMethod,
    status: PaymentStatus,
    timestamp: Timestamp,
    store: &'a str,
    device: &'a str,
}

#[derive(Serialize)]
struct DeliveryJson<'a> {
    delivery_id: &'a str,
    order_id: &'a str,
    address: &'a str,
    status: DeliveryStatus,
    estimated_date: Date,
    timestamp: Timestamp,
    store: &'a str,
    device: &'a str,
}
