//! What is not given: from what is known, where it is known; invented otherwise.

use comptoir_sim::invent;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use rust_decimal::Decimal;

use crate::event::Kind;
use crate::sale::draft::{Draft, LineDraft};
use crate::sale::money::Amount;
use crate::sale::{Currency, PaymentMethod};

/// A later state of what is known: what is not given stays as it was.
///
/// Nothing is invented here. Of the time it is not said that it was another.
pub fn keep(draft: &mut Draft, known: Draft) {
    fn or<T>(given: &mut Option<T>, known: Option<T>) {
        if given.is_none() {
            *given = known;
        }
    }
    or(&mut draft.order_id, known.order_id);
    or(&mut draft.payment_id, known.payment_id);
    or(&mut draft.delivery_id, known.delivery_id);
    or(&mut draft.customer_name, known.customer_name);
    or(&mut draft.customer_email, known.customer_email);
    or(&mut draft.currency, known.currency);
    or(&mut draft.method, known.method);
    or(&mut draft.status, known.status);
    or(&mut draft.address, known.address);
    or(&mut draft.estimated_date, known.estimated_date);
    // Other lines come to another amount, and are summed up in other words.
    if draft.lines.as_ref().is_some_and(|lines| !lines.is_empty()) {
        or(&mut draft.amount, sum(draft.lines.as_deref()));
    } else {
        or(&mut draft.lines, known.lines);
        or(&mut draft.product, known.product);
        or(&mut draft.amount, known.amount);
    }
}

/// Whether its order may say what is not given.
pub fn is_about_its_order(kind: Kind, draft: &Draft) -> bool {
    match kind {
        Kind::Order => false,
        Kind::Payment => draft.amount.is_none(),
        Kind::Delivery => draft.address.is_none(),
    }
}

/// Of a payment or a delivery that is new: what its order says.
pub fn follow(kind: Kind, draft: &mut Draft, order: Draft) {
    match kind {
        Kind::Order => {}
        // An amount is nothing in another currency.
        Kind::Payment if draft.currency.is_none() || draft.currency == order.currency => {
            (draft.amount, draft.currency) = (order.amount, order.currency);
        }
        Kind::Payment => {}
        Kind::Delivery => draft.address = order.address,
    }
}

/// Invents what is not given.
pub fn make_up(kind: Kind, draft: &mut Draft, currency: Currency) {
    let mut rng = rand::rng();
    let amount = |minor: u64| Amount(Decimal::new(minor as i64, currency.decimals()));
    let id = |prefix: &str| format!("{prefix}-{}", uuid::Uuid::new_v4().simple());
    draft.order_id.get_or_insert_with(|| id("o"));
    match kind {
        Kind::Order => {
            let order = invent::order(&mut rng);
            draft.customer_name.get_or_insert(order.customer_name);
            if draft.customer_email.is_none() {
                draft.customer_email = order.customer_email;
            }
            if draft.address.is_none() {
                draft.address = order.address;
            }
            let whole = draft.product.is_none() && draft.lines.is_none() && draft.amount.is_none();
            if whole {
                let lines = order.lines.into_iter().map(|line| LineDraft {
                    product: Some(line.product),
                    quantity: Some(line.quantity),
                    unit_price: Some(amount(line.unit_price)),
                });
                draft.lines = Some(lines.collect());
            }
            if draft.product.is_none() && draft.lines.as_ref().is_none_or(Vec::is_empty) || whole {
                draft.product.get_or_insert(order.product);
            }
            if draft.amount.is_none() {
                draft.amount = Some(sum(draft.lines.as_deref()).unwrap_or(amount(order.amount)));
            }
        }
        Kind::Payment => {
            draft.payment_id.get_or_insert_with(|| id("p"));
            draft
                .amount
                .get_or_insert_with(|| amount(invent::order(&mut rng).amount));
            draft
                .method
                .get_or_insert_with(|| method(invent::payment_method(&mut rng)));
            let succeeds = rand::random_bool(invent::SUCCESS_RATE);
            draft
                .status
                .get_or_insert_with(|| if succeeds { "SUCCESS" } else { "FAILED" }.to_owned());
        }
        Kind::Delivery => {
            draft.delivery_id.get_or_insert_with(|| id("d"));
            let order = invent::order(&mut rng);
            draft
                .address
                .get_or_insert_with(|| order.address.unwrap_or_else(|| "Retrait en magasin".to_owned()));
            let today = Zoned::new(Timestamp::now(), TimeZone::system()).date();
            draft
                .estimated_date
                .get_or_insert_with(|| invent::delivery_date(&mut rng, today));
        }
    }
}

/// What the given lines come to; `None` without lines, or if one has no price.
fn sum(lines: Option<&[LineDraft]>) -> Option<Amount> {
    let lines = lines.filter(|lines| !lines.is_empty())?;
    lines
        .iter()
        .try_fold(Decimal::ZERO, |sum, line| {
            let quantity = Decimal::from(line.quantity.unwrap_or(1));
            sum.checked_add(line.unit_price?.0.checked_mul(quantity)?)
        })
        .map(Amount)
}

fn method(method: comptoir_wire::PaymentMethod) -> PaymentMethod {
    use comptoir_wire::PaymentMethod as Wire;
    match method {
        Wire::CreditCard => PaymentMethod::CreditCard,
        Wire::DebitCard => PaymentMethod::DebitCard,
        Wire::PayPal => PaymentMethod::PayPal,
        Wire::BankTransfer => PaymentMethod::BankTransfer,
        Wire::Cash => PaymentMethod::Cash,
    }
}
