//! The events of a till: orders, payments, deliveries.
//!
//! A later event with the same `order_id` or `delivery_id` is a change of status, not a second order or delivery.

use crate::codec::{Reader, Record, Writer, bad};
use crate::seq::Seq;
use crate::topic::Kind;
use crate::value::{Currency, Date, DeliveryStatus, OrderStatus, PaymentMethod, PaymentStatus};
use crate::{
    DecodeError, EncodeError, Fault, LineSource, MAX_ADDRESS, MAX_AMOUNT, MAX_EMAIL, MAX_LINES, MAX_NAME,
    MAX_PRODUCT,
};

/// The lines of an order, at most [`MAX_LINES`].
pub type Lines<'a> = Seq<'a, Line<'a>>;

/// An event. A variant's number on the wire is its position here, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// An order, or its new status.
    Order(Order<'a>),
    /// A payment attempt.
    Payment(Payment<'a>),
    /// A delivery, or its new status.
    Delivery(Delivery<'a>),
}

impl<'a> Event<'a> {
    /// The kind of topic for this event. Only the reader can detect a frame on the wrong topic.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Order(_) => Kind::Orders,
            Self::Payment(_) => Kind::Payments,
            Self::Delivery(_) => Kind::Deliveries,
        }
    }

    /// The order that the event is about. As Kafka's key it keeps the events of one order in sequence.
    pub const fn order_id(&self) -> &'a str {
        match self {
            Self::Order(order) => order.order_id,
            Self::Payment(payment) => payment.order_id,
            Self::Delivery(delivery) => delivery.order_id,
        }
    }
}

/// An order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order<'a> {
    /// 1 to [`MAX_ID`](crate::MAX_ID) bytes, unique in the shop.
    pub order_id: &'a str,
    /// At most [`MAX_NAME`] bytes.
    pub customer_name: &'a str,
    /// At most [`MAX_EMAIL`] bytes.
    pub customer_email: Option<&'a str>,
    /// A summary of the lines for people; at most [`MAX_PRODUCT`] bytes.
    pub product: &'a str,
    /// The currency of `amount` and of the lines' prices.
    pub currency: Currency,
    /// The total in minor units, at most [`MAX_AMOUNT`]. With a discount it differs from the sum of the lines.
    pub amount: u64,
    /// The order's status.
    pub status: OrderStatus,
    /// The delivery address, at most [`MAX_ADDRESS`] bytes; `None` if the order is not delivered.
    pub address: Option<&'a str>,
    /// The lines; may be empty in a change of status.
    pub lines: Lines<'a>,
}

/// One product of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// At most [`MAX_PRODUCT`] bytes.
    pub product: &'a str,
    /// Number of pieces. Real receipts have lines of 0 pieces (goods sold by weight).
    pub quantity: u32,
    /// Price of one piece in minor units, at most [`MAX_AMOUNT`].
    pub unit_price: u64,
}

/// A payment attempt for an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payment<'a> {
    /// 1 to [`MAX_ID`](crate::MAX_ID) bytes; each attempt has its own.
    pub payment_id: &'a str,
    /// The order that is paid.
    pub order_id: &'a str,
    /// The currency of `amount`.
    pub currency: Currency,
    /// In minor units, at most [`MAX_AMOUNT`].
    pub amount: u64,
    /// The means of payment.
    pub method: PaymentMethod,
    /// Whether the attempt succeeded.
    pub status: PaymentStatus,
}

/// The delivery of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery<'a> {
    /// 1 to [`MAX_ID`](crate::MAX_ID) bytes.
    pub delivery_id: &'a str,
    /// The order that is delivered.
    pub order_id: &'a str,
    /// At most [`MAX_ADDRESS`] bytes.
    pub address: &'a str,
    /// The delivery's status.
    pub status: DeliveryStatus,
    /// The estimated day of arrival.
    pub estimated_date: Date,
}

impl<'a> Record<'a> for Event<'a> {
    fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        match self {
            Self::Order(order) => w.u32(0).and_then(|()| order.write(w)),
            Self::Payment(payment) => w.u32(1).and_then(|()| payment.write(w)),
            Self::Delivery(delivery) => w.u32(2).and_then(|()| delivery.write(w)),
        }
    }

    fn read(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        match r.u32("event")? {
            0 => Order::read(r).map(Self::Order),
            1 => Payment::read(r).map(Self::Payment),
            2 => Delivery::read(r).map(Self::Delivery),
            number => Err(bad("event", Fault::UnknownVariant(number))),
        }
    }
}

impl<'a> Record<'a> for Order<'a> {
    fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.id("order_id", self.order_id)?;
        w.text("customer_name", self.customer_name, MAX_NAME)?;
        w.option("customer_email", self.customer_email, MAX_EMAIL)?;
        w.text("product", self.product, MAX_PRODUCT)?;
        self.currency.write(w)?;
        w.at_most("amount", self.amount, MAX_AMOUNT)?;
        self.status.write(w)?;
        w.option("address", self.address, MAX_ADDRESS)?;
        self.lines.write(w, "lines", MAX_LINES)
    }

    fn read(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            order_id: r.id("order_id")?,
            customer_name: r.text("customer_name", MAX_NAME)?,
            customer_email: r.option("customer_email", MAX_EMAIL)?,
            product: r.text("product", MAX_PRODUCT)?,
            currency: Currency::read(r)?,
            amount: r.at_most("amount", MAX_AMOUNT)?,
            status: OrderStatus::read(r)?,
            address: r.option("address", MAX_ADDRESS)?,
            lines: Lines::read(r, "lines", MAX_LINES)?,
        })
    }
}

impl<'a> Record<'a> for Line<'a> {
    fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.text("lines.product", self.product, MAX_PRODUCT)?;
        w.u32(self.quantity)?;
        w.at_most("lines.unit_price", self.unit_price, MAX_AMOUNT)
    }

    fn read(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            product: r.text("lines.product", MAX_PRODUCT)?,
            quantity: r.u32("lines.quantity")?,
            unit_price: r.at_most("lines.unit_price", MAX_AMOUNT)?,
        })
    }

    fn from_source(lines: &'a dyn LineSource, at: usize) -> Option<Self> {
        lines.line(at)
    }
}

impl<'a> Record<'a> for Payment<'a> {
    fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.id("payment_id", self.payment_id)?;
        w.id("order_id", self.order_id)?;
        self.currency.write(w)?;
        w.at_most("amount", self.amount, MAX_AMOUNT)?;
        self.method.write(w)?;
        self.status.write(w)
    }

    fn read(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            payment_id: r.id("payment_id")?,
            order_id: r.id("order_id")?,
            currency: Currency::read(r)?,
            amount: r.at_most("amount", MAX_AMOUNT)?,
            method: PaymentMethod::read(r)?,
            status: PaymentStatus::read(r)?,
        })
    }
}

impl<'a> Record<'a> for Delivery<'a> {
    fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.id("delivery_id", self.delivery_id)?;
        w.id("order_id", self.order_id)?;
        w.text("address", self.address, MAX_ADDRESS)?;
        self.status.write(w)?;
        self.estimated_date.write(w)
    }

    fn read(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            delivery_id: r.id("delivery_id")?,
            order_id: r.id("order_id")?,
            address: r.text("address", MAX_ADDRESS)?,
            status: DeliveryStatus::read(r)?,
            estimated_date: Date::read(r, "estimated_date")?,
        })
    }
}
