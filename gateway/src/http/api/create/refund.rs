//! Refunds: payments with a negative amount.

use rust_decimal::Decimal;

use crate::http::{AppState, Problem, ProblemType};
use crate::projection::{Key, Lookup, Refund, Refunds};
use comptoir_core::event::{DeviceId, Kind};
use comptoir_core::sale::draft::{self, Draft, FieldError};
use comptoir_core::sale::money::Amount;
use comptoir_core::sale::{Currency, MAX_ID};

/// What a payment comes to: nothing, unless it is successful.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Worth {
    amount: Option<Amount>,
    currency: Option<Currency>,
}

impl Worth {
    /// `None` if the payment is not successful. A refund without a status is.
    pub fn of(payment: &Draft) -> Option<Self> {
        let is_successful = payment.status.as_deref().unwrap_or("SUCCESS") == "SUCCESS";
        is_successful.then_some(Self {
            amount: payment.amount,
            currency: payment.currency,
        })
    }

    /// The amount, if it is in this currency.
    fn in_currency(self, currency: Currency) -> Decimal {
        let amount = self.amount.filter(|_| self.currency == Some(currency));
        amount.map_or(Decimal::ZERO, |amount| amount.0)
    }

    /// Whether this is more money than `before`, paid in or paid back.
    fn exceeds(self, before: Option<Self>) -> bool {
        let size = |worth: Self| worth.amount.map(|amount| amount.0.abs());
        match before {
            Some(before) => self.currency != before.currency || size(self) > size(before),
            None => true,
        }
    }
}

/// Whether a change of a refund must be checked: not if it pays back no more than `before`, because the money of a till's
/// refund is gone, whatever it paid back.
pub fn pays_back_more(refund: &Draft, before: Option<Worth>) -> bool {
    Worth::of(refund).is_some_and(|now| now.exceeds(before))
}

/// Completes a refund of the payment `refunded` with the values of that payment, and checks that it pays back no more than
/// is left. `device` is that of the refund.
///
/// # Errors
///
/// There is no such payment, it cannot be refunded, or not this much of it is left.
pub async fn complete(
    app: &AppState,
    draft: &mut Draft,
    refunded: String,
    device: &DeviceId,
) -> Result<(), Problem> {
    if refunded.chars().count() > MAX_ID {
        let problem = format!("more than {MAX_ID} characters");
        return Err(FieldError::new("refund_of", problem).into());
    }
    let named = payments_named(app, &refunded).await?;
    let payment = select(&named, &refunded, draft.order_id.as_deref())?;
    if Worth::of(payment).is_none() {
        return Err(wrong(format!(
            "the payment {refunded:?} did not succeed, so nothing was paid"
        )));
    }
    let (Some(Amount(paid)), Some(currency)) = (payment.amount, payment.currency) else {
        return Err(Problem::internal("a stored payment has no amount or no currency"));
    };
    if draft.currency.is_some_and(|named| named != currency) {
        let problem = format!("must be that of the payment {refunded:?}, {currency}; leave it out");
        return Err(impossible("currency", problem));
    }
    let own = draft.payment_id.as_deref().map(|id| (id, device.device()));
    let of_id = refunds_of(app, &refunded, own).await?;
    let refunds = of_payment(&of_id, payment, &named);
    if let Some(refund) = refunds.iter().find(|refund| refund.amount.currency() != currency) {
        let problem = format!(
            "the payment {refunded:?} was paid back in {} already",
            refund.amount.currency()
        );
        return Err(wrong(problem));
    }
    // Whichever payment with this id a refund belongs to: never more than all of them.
    let left_of_id = total(&named, currency) - back(&of_id, currency);
    let left = (paid - back(refunds, currency)).min(left_of_id);
    let amount = draft.amount.map_or(-left, |Amount(amount)| amount);
    if Worth::of(draft).is_some() && (left <= Decimal::ZERO || -amount > left) {
        let (field, problem) = match left > Decimal::ZERO {
            true => (
                "amount",
                format!("only {left} of the payment {refunded:?} is left; write for example -{left}"),
            ),
            false => (
                "refund_of",
                format!("nothing of the payment {refunded:?} is left"),
            ),
        };
        return Err(impossible(field, problem));
    }
    draft.refund_of = Some(refunded);
    draft.order_id.clone_from(&payment.order_id);
    draft.currency = Some(currency);
    draft.amount = Some(Amount(amount));
    draft.method = draft.method.or(payment.method);
    draft.status.get_or_insert_with(|| "SUCCESS".to_owned());
    draft
        .payment_id
        .get_or_insert_with(|| format!("r-{}", uuid::Uuid::new_v4().simple()));
    Ok(())
}

/// Checks a change of a payment that may have been paid back: it must not come to less than that, and stays with its order.
/// `before` is the payment as it is stored, `after` as it will be.
///
/// # Errors
///
/// Less would remain than was paid back, or the payment would move to another order.
pub async fn check_change(app: &AppState, before: &Draft, after: &Draft) -> Result<(), Problem> {
    let (Some(payment_id), Some(currency)) = (before.payment_id.as_deref(), before.currency) else {
        return Ok(());
    };
    let of_id = refunds_of(app, payment_id, None).await?;
    if of_id.is_empty() {
        return Ok(());
    }
    let named = payments_named(app, payment_id).await?;
    let refunds = of_payment(&of_id, before, &named);
    let worth = |payment| Worth::of(payment).map_or(Decimal::ZERO, |worth| worth.in_currency(currency));
    let less = worth(before) - worth(after);
    let back_of_id = back(&of_id, currency);
    let back = back(refunds.iter().copied(), currency);
    // A till may have paid back more than it took. The counter can still correct such a payment's method.
    if less > Decimal::ZERO && (worth(after) < back || total(&named, currency) - less < back_of_id) {
        let back = if refunds.is_empty() { back_of_id } else { back };
        let problem =
            format!("{back} {currency} of this payment was paid back, so at least that much of it remains");
        return Err(impossible(field_that_changes(after, currency), problem));
    }
    if !refunds.is_empty() && after.order_id != before.order_id {
        let problem = "a payment that was paid back stays with its order".to_owned();
        return Err(impossible("order_id", problem));
    }
    Ok(())
}

/// Which field makes a payment come to less.
fn field_that_changes(after: &Draft, currency: Currency) -> &'static str {
    match Worth::of(after) {
        None => "status",
        Some(after) if after.currency != Some(currency) => "currency",
        Some(_) => "amount",
    }
}

fn impossible(field: &str, problem: String) -> Problem {
    Problem::of_field(ProblemType::RefundNotPossible, FieldError::new(field, problem))
}

fn wrong(problem: String) -> Problem {
    impossible("refund_of", problem)
}

/// The payments and refunds of the shop with this id. Tills number their payments independently.
async fn payments_named(app: &AppState, payment_id: &str) -> Result<Vec<Draft>, Problem> {
    let mut named = Vec::new();
    for device in app.projection.devices_of(payment_id, &app.store).await? {
        let key = Key::new(Kind::Payment, payment_id, &app.store, &device);
        if let Lookup::Found(item) = app.projection.find(key).await? {
            named.extend(draft::from_json::<Draft>(item.payload().as_bytes()));
        }
    }
    Ok(named)
}

/// The payment that a refund names: that of this order, if it names one. A payment that failed counts only if no other
/// one succeeded.
fn select<'a>(named: &'a [Draft], payment_id: &str, order_id: Option<&str>) -> Result<&'a Draft, Problem> {
    let is_wanted =
        |payment: &&Draft| order_id.is_none_or(|order| payment.order_id.as_deref() == Some(order));
    let of_order: Vec<&Draft> = named.iter().filter(is_wanted).collect();
    let payments: Vec<&Draft> = of_order
        .iter()
        .copied()
        .filter(|payment| payment.refund_of.is_none())
        .collect();
    let successful: Vec<&Draft> = payments
        .iter()
        .copied()
        .filter(|payment| Worth::of(payment).is_some())
        .collect();
    match (&*successful, &*payments, order_id) {
        ([payment], ..) | ([], [payment], _) => Ok(payment),
        ([], [], _) if !of_order.is_empty() => Err(wrong(format!(
            "{payment_id:?} is itself a refund; name the payment"
        ))),
        ([], [], None) => Err(wrong(format!("this shop has no payment {payment_id:?}"))),
        ([], [], Some(order)) => Err(wrong(format!(
            "the order {order:?} has no payment {payment_id:?}"
        ))),
        (.., None) => Err(wrong(format!(
            "several tills have a payment {payment_id:?}; name its order in `order_id`"
        ))),
        (.., Some(order)) => Err(wrong(format!(
            "several tills have a payment {payment_id:?} of the order {order:?}; pay it back at its till"
        ))),
    }
}

/// The refunds of all payments with this id, without the refund `own` (its id and device).
async fn refunds_of(
    app: &AppState,
    payment_id: &str,
    own: Option<(&str, &str)>,
) -> Result<Vec<Refund>, Problem> {
    let Refunds::All(mut refunds) = app.projection.refunds_of(payment_id, &app.store).await? else {
        return Err(wrong(format!("the payment {payment_id:?} has too many refunds")));
    };
    refunds.retain(|refund| own != Some((&*refund.payment_id, &*refund.device)));
    Ok(refunds)
}

/// The refunds of this payment. `named` are all payments and refunds with its id: a refund of another one's order belongs to that one.
fn of_payment<'a>(of_id: &'a [Refund], payment: &Draft, named: &[Draft]) -> Vec<&'a Refund> {
    let is_of_other = |refund: &Refund| {
        let is_order = |of: &Draft| of.order_id.as_deref() == Some(&*refund.order_id);
        !is_order(payment)
            && named
                .iter()
                .any(|other| other.refund_of.is_none() && is_order(other))
    };
    of_id.iter().filter(|refund| !is_of_other(refund)).collect()
}

/// What refunds in this currency have paid back.
fn back<'a>(refunds: impl IntoIterator<Item = &'a Refund>, currency: Currency) -> Decimal {
    let of_currency = refunds
        .into_iter()
        .filter(|refund| refund.amount.currency() == currency);
    let minor = of_currency.fold(0_i64, |sum, refund| sum.saturating_sub(refund.amount.minor()));
    Decimal::new(minor, currency.decimals())
}

/// What the payments with an id come to in this currency, without refunds.
fn total(named: &[Draft], currency: Currency) -> Decimal {
    let payments = named.iter().filter(|payment| payment.refund_of.is_none());
    payments
        .filter_map(Worth::of)
        .map(|worth| worth.in_currency(currency))
        .fold(Decimal::ZERO, Decimal::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payment(order: &str, status: &str, refund_of: Option<&str>) -> Draft {
        Draft {
            payment_id: Some("p".to_owned()),
            order_id: Some(order.to_owned()),
            status: Some(status.to_owned()),
            refund_of: refund_of.map(str::to_owned),
            ..Draft::default()
        }
    }

    #[test]
    fn of_payments_with_the_same_id_the_successful_one_of_the_order_is_meant() {
        let named = [
            payment("o-1", "FAILED", None),
            payment("o-1", "SUCCESS", None),
            payment("o-1", "SUCCESS", Some("q")),
            payment("o-2", "FAILED", None),
            payment("o-3", "SUCCESS", Some("q")),
        ];
        let selected = |order| select(&named, "p", order).ok().and_then(|of| of.status.clone());
        assert_eq!(selected(Some("o-1")).as_deref(), Some("SUCCESS"));
        assert_eq!(selected(Some("o-2")).as_deref(), Some("FAILED"));
        assert_eq!(selected(Some("o-3")), None, "a refund");
        assert_eq!(selected(Some("o-4")), None);
        assert_eq!(selected(None).as_deref(), Some("SUCCESS"));
    }

    #[test]
    fn a_refund_is_checked_only_if_it_pays_back_more_than_before() {
        let refund = |status: &str, amount: i64, currency: Currency| Draft {
            status: Some(status.to_owned()),
            amount: Some(Amount(Decimal::new(amount, 2))),
            currency: Some(currency),
            ..Draft::default()
        };
        let before = Worth::of(&refund("SUCCESS", -1_000, Currency::EUR));
        let more = |status, amount, currency| pays_back_more(&refund(status, amount, currency), before);
        assert!(!more("SUCCESS", -1_000, Currency::EUR) && !more("SUCCESS", -999, Currency::EUR));
        assert!(!more("FAILED", -9_999, Currency::EUR));
        assert!(more("SUCCESS", -1_001, Currency::EUR) && more("SUCCESS", -1, "USD".parse().unwrap()));
        let failed = Worth::of(&refund("FAILED", -1_000, Currency::EUR));
        assert!(pays_back_more(&refund("SUCCESS", -1, Currency::EUR), failed));
    }
}
