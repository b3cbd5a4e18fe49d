//! Fills in the fields that a `POST` leaves out: from the previous state, from the order, or with invented values.

use comptoir_invent as invent;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use rust_decimal::Decimal;

use comptoir_core::event::Kind;
use comptoir_core::sale::draft::{Draft, LineDraft};
use comptoir_core::sale::money::Amount;
use comptoir_core::sale::{Currency, Quantity};

/// Copies the missing fields from the previous state of the same order, payment or delivery.
///
/// Except for the timestamp, because the change happens now. Nothing is invented.
pub fn keep_previous(draft: &mut Draft, previous: Draft, currency: Currency) {
    fn or<T>(field: &mut Option<T>, previous: Option<T>) {
        if field.is_none() {
            *field = previous;
        }
    }
    or(&mut draft.order_id, previous.order_id);
    or(&mut draft.payment_id, previous.payment_id);
    or(&mut draft.delivery_id, previous.delivery_id);
    or(&mut draft.refund_of, previous.refund_of);
    or(&mut draft.customer_name, previous.customer_name);
    or(&mut draft.customer_email, previous.customer_email);
    or(&mut draft.currency, previous.currency);
    or(&mut draft.method, previous.method);
    or(&mut draft.status, previous.status);
    or(&mut draft.address, previous.address);
    or(&mut draft.estimated_date, previous.estimated_date);
    // New lines change the sum and the summary.
    if draft.lines.as_ref().is_some_and(|lines| !lines.is_empty()) {
        let currency = draft.currency.unwrap_or(currency);
        or(&mut draft.amount, sum(draft.lines.as_deref(), currency));
    } else {
        or(&mut draft.lines, previous.lines);
        or(&mut draft.product, previous.product);
        or(&mut draft.amount, previous.amount);
    }
}

/// Whether a missing field of a payment or delivery can come from its order.
pub fn needs_order(kind: Kind, draft: &Draft) -> bool {
    match kind {
        Kind::Order => false,
        Kind::Payment => draft.amount.is_none(),
        Kind::Delivery => draft.address.is_none(),
    }
}

/// Copies the amount of a new payment, or the address of a new delivery, from its order.
pub fn copy_from_order(kind: Kind, draft: &mut Draft, order: Draft) {
    match kind {
        Kind::Order => {}
        // The order's amount is only valid in the order's own currency.
        Kind::Payment if draft.currency.is_none() || draft.currency == order.currency => {
            (draft.amount, draft.currency) = (order.amount, order.currency);
        }
        Kind::Payment => {}
        Kind::Delivery => draft.address = order.address,
    }
}

/// Sets the amount of an order without one to the sum of its lines.
pub fn sum_lines(draft: &mut Draft, currency: Currency) {
    if draft.amount.is_none() {
        draft.amount = sum(draft.lines.as_deref(), draft.currency.unwrap_or(currency));
    }
}

/// Invents the missing fields.
pub fn invent_missing(kind: Kind, draft: &mut Draft, currency: Currency) {
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
            let has_no_goods = draft.product.is_none() && draft.lines.is_none() && draft.amount.is_none();
            if has_no_goods {
                let lines = order.lines.into_iter().map(|line| LineDraft {
                    product: Some(line.product),
                    quantity: Some(Quantity::pieces(line.quantity)),
                    unit_price: Some(amount(line.unit_price)),
                    ..LineDraft::default()
                });
                draft.lines = Some(lines.collect());
            }
            if draft.product.is_none() && draft.lines.as_ref().is_none_or(Vec::is_empty) || has_no_goods {
                draft.product.get_or_insert(order.product);
            }
            sum_lines(draft, currency);
            draft.amount.get_or_insert_with(|| amount(order.amount));
        }
        Kind::Payment => {
            draft.payment_id.get_or_insert_with(|| id("p"));
            draft
                .amount
                .get_or_insert_with(|| amount(invent::order(&mut rng).amount));
            draft
                .method
                .get_or_insert_with(|| invent::payment_method(&mut rng).into());
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

/// The sum of the lines. `None` without lines, or if a line has no valid price.
fn sum(lines: Option<&[LineDraft]>, currency: Currency) -> Option<Amount> {
    let lines = lines.filter(|lines| !lines.is_empty())?;
    let minor = lines.iter().try_fold(0_i64, |sum, line| {
        line.amount(currency).map(|amount| sum.saturating_add(amount))
    })?;
    Some(Amount(Decimal::new(minor, currency.decimals())))
}
