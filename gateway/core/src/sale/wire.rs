//! Sales from a till's binary events.
//!
//! The wire format has already limited the length of every text and the size of every amount. It remains to put each
//! text on one line and to validate the currency and the date.

use comptoir_wire as wire;
use jiff::civil::Date;

use super::draft::FieldError;
use super::repair::tidy;
use super::{
    Currency, Delivery, DeliveryStatus, Event, Line, Money, Order, OrderStatus, Payment, PaymentMethod,
    PaymentStatus, Quantity,
};

impl<'a> Event<'a> {
    /// Converts a till's event. Borrows texts that need no change.
    ///
    /// # Errors
    ///
    /// Names a field that the wire format allows but a sale does not: a currency that is not in ISO 4217, or a date
    /// that is not in the calendar.
    pub fn from_wire(event: &wire::Event<'a>) -> Result<Self, FieldError> {
        Ok(match event {
            wire::Event::Order(order) => Event::Order(order_from(order)?),
            wire::Event::Payment(payment) => Event::Payment(Payment {
                payment_id: payment.payment_id.into(),
                order_id: payment.order_id.into(),
                refund_of: None,
                amount: money("amount", payment.amount, currency(&payment.currency)?)?,
                method: payment.method.into(),
                status: payment.status.into(),
            }),
            wire::Event::Delivery(delivery) => Event::Delivery(Delivery {
                delivery_id: delivery.delivery_id.into(),
                order_id: delivery.order_id.into(),
                address: tidy(delivery.address),
                status: delivery.status.into(),
                estimated_date: date(delivery.estimated_date)?,
            }),
        })
    }
}

fn order_from<'a>(order: &wire::Order<'a>) -> Result<Order<'a>, FieldError> {
    let currency = currency(&order.currency)?;
    let lines = order.lines.iter().map(|line| {
        Ok(Line {
            product: tidy(line.product),
            quantity: Quantity::pieces(line.quantity),
            unit: None,
            unit_price: money("lines.unit_price", line.unit_price, currency)?,
            vat_rate: None,
            discount: None,
        })
    });
    Ok(Order {
        order_id: order.order_id.into(),
        customer_name: tidy(order.customer_name),
        customer_email: order.customer_email.map(tidy),
        product: tidy(order.product),
        lines: lines.collect::<Result<_, FieldError>>()?,
        amount: money("amount", order.amount, currency)?,
        status: order.status.into(),
        address: order.address.map(tidy),
    })
}

fn currency(code: &wire::Currency) -> Result<Currency, FieldError> {
    code.as_str()
        .parse()
        .map_err(|error| FieldError::new("currency", error))
}

fn money(field: &str, minor: u64, currency: Currency) -> Result<Money, FieldError> {
    Money::from_minor(minor, currency).map_err(|error| FieldError::new(field, error))
}

fn date(date: wire::Date) -> Result<Date, FieldError> {
    let part = |number: u8| number as i8;
    i16::try_from(date.year())
        .ok()
        .and_then(|year| Date::new(year, part(date.month()), part(date.day())).ok())
        .ok_or_else(|| FieldError::new("estimated_date", "not a date of the calendar"))
}

impl From<wire::OrderStatus> for OrderStatus {
    fn from(status: wire::OrderStatus) -> Self {
        match status {
            wire::OrderStatus::Pending => OrderStatus::Pending,
            wire::OrderStatus::Processing => OrderStatus::Processing,
            wire::OrderStatus::Completed => OrderStatus::Completed,
            wire::OrderStatus::Cancelled => OrderStatus::Cancelled,
        }
    }
}

impl From<wire::PaymentMethod> for PaymentMethod {
    fn from(method: wire::PaymentMethod) -> Self {
        match method {
            wire::PaymentMethod::CreditCard => PaymentMethod::CreditCard,
            wire::PaymentMethod::DebitCard => PaymentMethod::DebitCard,
            wire::PaymentMethod::PayPal => PaymentMethod::PayPal,
            wire::PaymentMethod::BankTransfer => PaymentMethod::BankTransfer,
            wire::PaymentMethod::Cash => PaymentMethod::Cash,
        }
    }
}

impl From<wire::PaymentStatus> for PaymentStatus {
    fn from(status: wire::PaymentStatus) -> Self {
        match status {
            wire::PaymentStatus::Success => PaymentStatus::Success,
            wire::PaymentStatus::Failed => PaymentStatus::Failed,
        }
    }
}

impl From<wire::DeliveryStatus> for DeliveryStatus {
    fn from(status: wire::DeliveryStatus) -> Self {
        match status {
            wire::DeliveryStatus::Pending => DeliveryStatus::Pending,
            wire::DeliveryStatus::InTransit => DeliveryStatus::InTransit,
            wire::DeliveryStatus::Delivered => DeliveryStatus::Delivered,
        }
    }
}
