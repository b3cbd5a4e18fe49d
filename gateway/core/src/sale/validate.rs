//! Validation: turns a draft into a sale.

use std::borrow::Cow;

use serde::Deserialize;

use super::draft::{Draft, FieldError, LineDraft};
use super::money::Amount;
use super::{
    Currency, Delivery, DeliveryStatus, Event, Line, MAX_ID, MAX_LINES, MAX_TEXT, MAX_UNIT, Money, Order,
    OrderStatus, Payment, PaymentStatus, Quantity,
};
use crate::event::Kind;

impl Draft {
    /// Validates the fields of an event of this `kind`. `currency` is the shop's, the default for a draft without one.
    ///
    /// # Errors
    ///
    /// Names the first missing or invalid field.
    pub fn complete(self, kind: Kind, currency: Currency) -> Result<Event<'static>, FieldError> {
        let currency = self.currency.unwrap_or(currency);
        match kind {
            Kind::Order => self.order(currency).map(Event::Order),
            Kind::Payment => self.payment(currency).map(Event::Payment),
            Kind::Delivery => self.delivery().map(Event::Delivery),
        }
    }

    fn order(self, currency: Currency) -> Result<Order<'static>, FieldError> {
        let lines = self.lines.unwrap_or_default();
        if lines.len() > MAX_LINES {
            let problem = format!("{} lines, at most {MAX_LINES}", lines.len());
            return Err(FieldError::new("lines", problem));
        }
        let lines = lines
            .into_iter()
            .enumerate()
            .map(|(index, line)| line.complete(index, currency))
            .collect::<Result<Vec<_>, _>>()?;
        let product = match (self.product, lines.first()) {
            (Some(product), _) => text("product", product)?,
            (None, Some(first)) if lines.len() == 1 => first.product.clone(),
            (None, Some(first)) => summary(&first.product, lines.len() - 1).into(),
            (None, None) => return Err(missing("product")),
        };
        Ok(Order {
            order_id: id("order_id", self.order_id)?,
            customer_name: text("customer_name", self.customer_name.unwrap_or_default())?,
            customer_email: optional("customer_email", self.customer_email)?,
            product,
            lines,
            amount: money("amount", self.amount, currency)?,
            status: match self.status {
                Some(word) => status("status", &word)?,
                None => OrderStatus::Pending,
            },
            address: optional("address", self.address)?,
        })
    }

    fn payment(self, currency: Currency) -> Result<Payment<'static>, FieldError> {
        let word: String = self.status.ok_or_else(|| missing("status"))?;
        let payment_id = id("payment_id", self.payment_id)?;
        let order_id = id("order_id", self.order_id)?;
        let refund_of = self
            .refund_of
            .map(|refunded| id("refund_of", Some(refunded)))
            .transpose()?;
        let amount = paid("amount", self.amount, currency, refund_of.is_some())?;
        if refund_of.as_ref() == Some(&payment_id) {
            return Err(FieldError::new("refund_of", "a payment cannot refund itself"));
        }
        Ok(Payment {
            payment_id,
            order_id,
            refund_of,
            amount,
            method: self.method.ok_or_else(|| missing("method"))?,
            status: status::<PaymentStatus>("status", &word)?,
        })
    }

    fn delivery(self) -> Result<Delivery<'static>, FieldError> {
        Ok(Delivery {
            delivery_id: id("delivery_id", self.delivery_id)?,
            order_id: id("order_id", self.order_id)?,
            address: text("address", self.address.ok_or_else(|| missing("address"))?)?,
            status: match self.status {
                Some(word) => status("status", &word)?,
                None => DeliveryStatus::Pending,
            },
            estimated_date: self.estimated_date.ok_or_else(|| missing("estimated_date"))?,
        })
    }
}

impl LineDraft {
    fn complete(self, index: usize, currency: Currency) -> Result<Line<'static>, FieldError> {
        let field = |name: &str| format!("lines[{index}].{name}");
        let product = self.product.ok_or_else(|| missing(&field("product")))?;
        let quantity = self.quantity.unwrap_or(Quantity::ONE);
        let unit_price = money(&field("unit_price"), self.unit_price, currency)?;
        let unit = self
            .unit
            .map(|unit| bounded(&field("unit"), unit, MAX_UNIT))
            .transpose()?;
        let discount = self
            .discount
            .map(|discount| money(&field("discount"), Some(discount), currency))
            .transpose()?;
        Ok(Line {
            product: text(&field("product"), product)?,
            quantity,
            unit,
            unit_price,
            vat_rate: self.vat_rate,
            discount,
        })
    }
}

/// "Croissant + 3": the product of the first line and the number of the others, within [`MAX_TEXT`] characters.
fn summary(product: &str, others: usize) -> String {
    let others = format!(" + {others}");
    let mut summary: String = product.chars().take(MAX_TEXT - others.len()).collect();
    summary.push_str(&others);
    summary
}

fn missing(field: &str) -> FieldError {
    FieldError::new(field, "missing")
}

fn money(field: &str, amount: Option<Amount>, currency: Currency) -> Result<Money, FieldError> {
    let amount = amount.ok_or_else(|| missing(field))?;
    Money::from_decimal(amount.0, currency).map_err(|error| FieldError::new(field, error))
}

/// The amount of a payment, which is negative for a refund and only then.
fn paid(
    field: &str,
    amount: Option<Amount>,
    currency: Currency,
    is_refund: bool,
) -> Result<Money, FieldError> {
    let amount = amount.ok_or_else(|| missing(field))?;
    let money =
        Money::from_signed_decimal(amount.0, currency).map_err(|error| FieldError::new(field, error))?;
    match (is_refund, money.minor() < 0) {
        (true, false) => Err(FieldError::new(
            field,
            "must be negative, like -12.50, because `refund_of` makes it a refund",
        )),
        (false, true) => Err(FieldError::new(
            field,
            "must not be negative; a refund names the payment in `refund_of`",
        )),
        _ => Ok(money),
    }
}

/// Validates an id. It must not be empty, because it becomes a Kafka key and a part of URLs.
fn id(field: &str, value: Option<String>) -> Result<Cow<'static, str>, FieldError> {
    let value = value.ok_or_else(|| missing(field))?;
    if value.is_empty() {
        return Err(FieldError::new(field, "empty"));
    }
    bounded(field, value, MAX_ID)
}

fn text(field: &str, value: String) -> Result<Cow<'static, str>, FieldError> {
    bounded(field, value, MAX_TEXT)
}

fn optional(field: &str, value: Option<String>) -> Result<Option<Cow<'static, str>>, FieldError> {
    value.map(|value| text(field, value)).transpose()
}

fn bounded(field: &str, value: String, max: usize) -> Result<Cow<'static, str>, FieldError> {
    let length = value.chars().count();
    if length > max {
        let problem = format!("{length} characters, at most {max}");
        return Err(FieldError::new(field, problem));
    }
    if let Some(control) = value.chars().find(|c| c.is_control()) {
        let problem = format!("contains the control character {control:?}");
        return Err(FieldError::new(field, problem));
    }
    Ok(value.into())
}

fn status<'a, T: Deserialize<'a>>(field: &str, word: &'a str) -> Result<T, FieldError> {
    use serde::de::IntoDeserializer;
    use serde::de::value::{Error, StrDeserializer};
    let word: StrDeserializer<'a, Error> = word.into_deserializer();
    T::deserialize(word).map_err(|error| FieldError::new(field, error))
}

#[cfg(test)]
mod tests {
    use super::super::draft::from_json;
    use super::*;

    fn complete(kind: Kind, json: &str) -> Result<Event<'static>, FieldError> {
        from_json::<Draft>(json.as_bytes())?.complete(kind, Currency::EUR)
    }

    #[test]
    fn an_order_may_omit_its_lines_or_its_product() {
        let order = |json| match complete(Kind::Order, json).unwrap() {
            Event::Order(order) => order,
            other => panic!("{other:?}"),
        };
        assert!(
            order(r#"{"order_id":"o","product":"Pain","amount":1}"#)
                .lines
                .is_empty()
        );
        let lines = r#"{"order_id":"o","amount":3,"lines":[
            {"product":"Pain","quantity":1,"unit_price":1},{"product":"Lait","quantity":2.0,"unit_price":1.00}]}"#;
        let order = order(lines);
        assert_eq!(
            (&*order.product, order.lines[1].quantity),
            ("Pain + 1", Quantity::pieces(2))
        );
    }

    #[test]
    fn an_error_names_the_field_that_is_wrong() {
        for (kind, json, field) in [
            (Kind::Order, r#"{"product":"Pain","amount":1}"#, "order_id"),
            (
                Kind::Order,
                r#"{"order_id":"","product":"x","amount":1}"#,
                "order_id",
            ),
            (Kind::Order, r#"{"order_id":"o","amount":1}"#, "product"),
            (
                Kind::Order,
                r#"{"order_id":"o","product":"x","amount":-1}"#,
                "amount",
            ),
            (
                Kind::Order,
                r#"{"order_id":"o","product":"x","amount":"1"}"#,
                "amount",
            ),
            (
                Kind::Order,
                r#"{"order_id":"o","product":"x","amount":1,"status":"Paid"}"#,
                "status",
            ),
            (
                Kind::Order,
                r#"{"order_id":"o","product":"x","amount":1,"currency":"EURO"}"#,
                "currency",
            ),
            (
                Kind::Order,
                r#"{"order_id":"o","amount":1,"lines":[{"product":"a","unit_price":1},{"product":"b","unit_price":1.001}]}"#,
                "lines[1].unit_price",
            ),
            (
                Kind::Order,
                r#"{"order_id":"o","amount":1,"lines":[{"product":"a","unit_price":1,"quantity":-2}]}"#,
                "lines[0].quantity",
            ),
            (
                Kind::Order,
                r#"{"order_id":"o","amount":1,"lines":[{"product":"a","unit_price":1,"quantity":1.0005}]}"#,
                "lines[0].quantity",
            ),
            (
                Kind::Order,
                r#"{"order_id":"o","amount":1,"lines":[{"product":"a","unit_price":1,"vat_rate":101}]}"#,
                "lines[0].vat_rate",
            ),
            (
                Kind::Order,
                r#"{"order_id":"o","amount":1,"lines":[{"product":"a","unit_price":1,"discount":-0.51}]}"#,
                "lines[0].discount",
            ),
            (
                Kind::Order,
                r#"{"order_id":"o","amount":1,"lines":[{"product":"a","unit_price":1,"unit":"kilogrammes net weight"}]}"#,
                "lines[0].unit",
            ),
            (
                Kind::Payment,
                r#"{"payment_id":"p","order_id":"o","amount":-1,"method":"Cash","status":"SUCCESS"}"#,
                "amount",
            ),
            (
                Kind::Payment,
                r#"{"payment_id":"r","order_id":"o","refund_of":"p","amount":1,"method":"Cash","status":"SUCCESS"}"#,
                "amount",
            ),
            (
                Kind::Payment,
                r#"{"payment_id":"r","order_id":"o","refund_of":"r","amount":-1,"method":"Cash","status":"SUCCESS"}"#,
                "refund_of",
            ),
            (
                Kind::Payment,
                r#"{"payment_id":"r","order_id":"o","refund_of":"","amount":-1,"method":"Cash","status":"SUCCESS"}"#,
                "refund_of",
            ),
            (
                Kind::Payment,
                r#"{"payment_id":"p","order_id":"o","amount":1,"status":"SUCCESS"}"#,
                "method",
            ),
            (
                Kind::Payment,
                r#"{"payment_id":"p","order_id":"o","amount":1,"method":"Cash"}"#,
                "status",
            ),
            (
                Kind::Delivery,
                r#"{"delivery_id":"d","order_id":"o","address":"x","estimated_date":"2026-13-01"}"#,
                "estimated_date",
            ),
            (
                Kind::Delivery,
                r#"{"delivery_id":"d","order_id":"a\u0000b","address":"x","estimated_date":"2026-12-01"}"#,
                "order_id",
            ),
            (Kind::Order, r#"{"order_id":"o","#, "body"),
            (Kind::Order, r#"[]"#, "body"),
            (Kind::Order, r#"{} {}"#, "body"),
        ] {
            let error = complete(kind, json).expect_err(json);
            assert_eq!(error.field, field, "{json}: {error}");
        }
    }
}
