//! The till's view of an order, and the inputs of acts at the till.

use comptoir_wire::{Date, DeliveryStatus, MAX_ADDRESS, MAX_EMAIL, MAX_NAME, MAX_PRODUCT, PaymentMethod};
use heapless::String;

use crate::ids::OrderNumber;

/// The buyer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Customer<'a> {
    /// At most [`MAX_NAME`] bytes; `None` for an anonymous customer.
    pub name: Option<&'a str>,
    /// At most [`MAX_EMAIL`] bytes.
    pub email: Option<&'a str>,
}

/// A name without an e-mail address.
impl<'a> From<Option<&'a str>> for Customer<'a> {
    fn from(name: Option<&'a str>) -> Self {
        Self { name, email: None }
    }
}

/// Where and when to deliver an order.
#[derive(Clone, Copy, Debug)]
pub struct DeliverTo<'a> {
    /// 1 to [`MAX_ADDRESS`] bytes.
    pub address: &'a str,
    /// The estimated day of delivery.
    pub date: Date,
}

/// A payment attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payment {
    /// The cash handed over, in minor units.
    Cash(u64),
    /// Any other method, with the bank's answer.
    Remote {
        /// The means of payment.
        method: PaymentMethod,
        /// Whether the bank accepted it.
        accepted: bool,
    },
}

/// The cash handed back to the customer, in minor units.
pub type Change = u64;

/// An order without its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sale {
    /// `None` until the order's first event is stored.
    pub number: Option<OrderNumber>,
    /// In minor units.
    pub amount: u64,
    /// Summary of the lines.
    pub product: String<MAX_PRODUCT>,
    /// The customer's name.
    pub customer: String<MAX_NAME>,
    /// The customer's e-mail address.
    pub email: Option<String<MAX_EMAIL>>,
    /// Address and estimated day of the delivery, if there is one.
    pub deliver_to: Option<(String<MAX_ADDRESS>, Date)>,
    /// Number of payment attempts so far.
    pub attempts: u8,
}

/// A delivery in progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// The order that is delivered.
    pub sale: Sale,
    /// The delivery's status.
    pub status: DeliveryStatus,
}
