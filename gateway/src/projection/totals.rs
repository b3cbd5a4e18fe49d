//! The totals of a shop, updated by each event.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fact::Fact;
use super::quarters::Quarters;
use super::row::Row;
use comptoir_core::event::Kind;
use comptoir_core::sale::{Currency, Money};

/// Counts of distinct orders, payments and deliveries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    pub orders: u64,
    pub payments: u64,
    pub success_payments: u64,
    pub failed_payments: u64,
    pub deliveries: u64,
    /// Successful payments less refunds, in minor units, by currency.
    pub revenue: BTreeMap<String, i64>,
    /// Counts by the quarter of an hour in which an event happened.
    pub quarters: Quarters,
}

/// The context for applying an event to the totals.
#[derive(Debug, Clone, Copy)]
pub struct FoldContext {
    /// The current time, in Unix milliseconds.
    pub now: i64,
    /// The currency of the shop.
    pub currency: Currency,
}

/// The part of a row that counts in the totals.
#[derive(Debug, Clone, Copy)]
pub struct SaleCount<'a> {
    pub status: &'a str,
    /// Only for a payment.
    pub amount: Option<Money>,
    /// Unix milliseconds.
    pub time: i64,
}

impl Totals {
    /// Applies an event. `before` is the sale's previous state, if the sale is known.
    pub fn apply(&mut self, fact: &Fact<'_>, before: Option<&Row>, context: FoldContext) {
        let now = context.now;
        match fact.kind {
            Kind::Order if before.is_none() => {
                self.orders += 1;
                if let Some(quarter) = self.quarters.of(fact.time, now) {
                    quarter.orders += 1;
                }
            }
            Kind::Order => {}
            Kind::Payment => {
                match before {
                    Some(before) => {
                        self.count_payment(&before.status, before.amount, before.time, context, -1);
                    }
                    None => self.payments += 1,
                }
                self.count_payment(&fact.status, fact.amount, fact.time, context, 1);
            }
            Kind::Delivery if before.is_none() => {
                self.deliveries += 1;
                if let Some(quarter) = self.quarters.of(fact.time, now) {
                    quarter.deliveries += 1;
                }
            }
            Kind::Delivery => {}
        }
    }

    /// Moves a row's sale to the totals `to`. The row is the sale's newest state, so an order or a delivery whose
    /// status has changed counts in the quarter of that change.
    pub fn move_row(&mut self, to: Option<&mut Self>, kind: Kind, row: &SaleCount<'_>, context: FoldContext) {
        self.count_row(kind, row, context, -1);
        if let Some(to) = to {
            to.count_row(kind, row, context, 1);
        }
    }

    fn count_row(&mut self, kind: Kind, row: &SaleCount<'_>, context: FoldContext, by: i64) {
        let count = match kind {
            Kind::Order => &mut self.orders,
            Kind::Payment => &mut self.payments,
            Kind::Delivery => &mut self.deliveries,
        };
        *count = count.saturating_add_signed(by);
        if kind == Kind::Payment {
            return self.count_payment(row.status, row.amount, row.time, context, by);
        }
        let quarter = match by {
            1 => self.quarters.of(row.time, context.now),
            _ => self.quarters.kept(row.time),
        };
        if let Some(quarter) = quarter {
            let count = match kind {
                Kind::Delivery => &mut quarter.deliveries,
                _ => &mut quarter.orders,
            };
            *count = count.saturating_add_signed(by);
        }
    }

    /// Adds a payment if `by` is 1, subtracts it if `by` is -1.
    fn count_payment(
        &mut self,
        status: &str,
        amount: Option<Money>,
        time: i64,
        context: FoldContext,
        by: i64,
    ) {
        let success = status == "SUCCESS";
        let count = |success_payments: &mut u64, failed_payments: &mut u64| {
            let count = if success {
                success_payments
            } else {
                failed_payments
            };
            *count = count.saturating_add_signed(by);
        };
        count(&mut self.success_payments, &mut self.failed_payments);
        let earned = amount.filter(|_| success);
        if let Some(amount) = earned {
            let code = amount.currency().code();
            let minor = by * amount.minor();
            match self.revenue.get_mut(code) {
                Some(sum) => *sum = sum.saturating_add(minor),
                None => drop(self.revenue.insert(code.to_owned(), minor)),
            }
        }
        let quarter = match by {
            1 => self.quarters.of(time, context.now),
            _ => self.quarters.kept(time),
        };
        if let Some(quarter) = quarter {
            count(&mut quarter.success_payments, &mut quarter.failed_payments);
            if let Some(amount) = earned.filter(|amount| amount.currency() == context.currency) {
                quarter.revenue = quarter.revenue.saturating_add(by * amount.minor());
            }
        }
    }

    /// The percentage of successful payments, with two decimals; 0 without payments.
    pub fn success_rate(&self) -> f64 {
        if self.payments == 0 {
            return 0.0;
        }
        let rate = self.success_payments as f64 / self.payments as f64 * 100.0;
        (rate * 100.0).round() / 100.0
    }
}

#[cfg(test)]
mod tests {
    use super::super::quarters::QUARTER_MS;
    use super::super::row::Source;
    use super::*;
    use comptoir_journal::Offset;

    const NOW: i64 = 1_800_000_000_000;
    const AT: FoldContext = FoldContext {
        now: NOW,
        currency: Currency::EUR,
    };

    fn payment(json: &str) -> Fact<'_> {
        Fact::read(Kind::Payment, json, NOW).unwrap()
    }

    fn row(fact: &Fact<'_>) -> Row {
        Row {
            seq: 1,
            order_id: fact.order_id.as_deref().map(Into::into),
            status: (&*fact.status).into(),
            time: fact.time,
            amount: fact.amount,
            refund_of: None,
            source: Source::Entry(Offset(1)),
            creator: "".into(),
            is_moved: false,
            corrections: 0,
            is_home: true,
        }
    }

    #[test]
    fn a_refund_lowers_the_revenue_and_is_a_payment() {
        let mut totals = Totals::default();
        let paid = payment(r#"{"payment_id":"p","amount":12.50,"currency":"EUR","status":"SUCCESS"}"#);
        totals.apply(&paid, None, AT);
        let refund = payment(
            r#"{"payment_id":"r","refund_of":"p","amount":-2.50,"currency":"EUR","status":"SUCCESS"}"#,
        );
        totals.apply(&refund, None, AT);
        assert_eq!(totals.revenue["EUR"], 1_000);
        assert_eq!((totals.payments, totals.success_payments), (2, 2));
        let net: i64 = totals.quarters.iter().map(|(_, counts)| counts.revenue).sum();
        assert_eq!(net, 1_000);
    }

    #[test]
    fn a_later_status_changes_the_totals_without_counting_the_payment_twice() {
        let mut totals = Totals::default();
        let failed = payment(r#"{"payment_id":"p","amount":12.50,"currency":"EUR","status":"FAILED"}"#);
        totals.apply(&failed, None, AT);
        assert_eq!((totals.payments, totals.failed_payments), (1, 1));
        let paid = payment(r#"{"payment_id":"p","amount":12.50,"currency":"EUR","status":"SUCCESS"}"#);
        totals.apply(&paid, Some(&row(&failed)), AT);
        assert_eq!(
            (totals.payments, totals.failed_payments, totals.success_payments),
            (1, 0, 1)
        );
        assert_eq!(totals.revenue["EUR"], 1250);
        assert_eq!(totals.success_rate(), 100.0);
        let quarter = totals.quarters.kept(NOW).unwrap();
        assert_eq!((quarter.failed_payments, quarter.success_payments), (0, 1));
        assert_eq!(quarter.revenue, 1250);
    }

    #[test]
    fn a_sale_moves_to_the_totals_of_its_shop() {
        let mut totals = Totals::default();
        let paid = payment(r#"{"payment_id":"p","amount":12.50,"currency":"EUR","status":"SUCCESS"}"#);
        let order = Fact::read(Kind::Order, r#"{"order_id":"o","status":"Pending"}"#, NOW).unwrap();
        totals.apply(&paid, None, AT);
        totals.apply(&order, None, AT);
        let before = totals.clone();
        let mut other = Totals::default();
        for fact in [&paid, &order] {
            let row = SaleCount {
                status: &fact.status,
                amount: fact.amount,
                time: fact.time,
            };
            totals.move_row(Some(&mut other), fact.kind, &row, AT);
        }
        assert_eq!(other, before);
        assert_eq!(
            (totals.orders, totals.payments, totals.success_payments),
            (0, 0, 0)
        );
        assert_eq!(totals.revenue["EUR"], 0);
    }

    #[test]
    fn orders_are_counted_in_the_quarter_in_which_they_were_placed() {
        let mut totals = Totals::default();
        let order = |time| Fact::read(Kind::Order, r#"{"order_id":"o","status":"Pending"}"#, time).unwrap();
        for before in [0, 1, QUARTER_MS, QUARTER_MS * 2] {
            totals.apply(&order(NOW - before), None, AT);
        }
        assert_eq!(totals.orders, 4);
        let counted: Vec<_> = totals.quarters.iter().map(|(_, counts)| counts.orders).collect();
        assert_eq!(counted, [1, 2, 1]);
    }

    #[test]
    fn a_payment_that_later_fails_leaves_no_negative_quarter() {
        let mut totals = Totals::default();
        let old = NOW - 30 * 24 * 3_600_000;
        let paid = r#"{"payment_id":"p","amount":12.50,"currency":"EUR","status":"SUCCESS"}"#;
        let before = row(&Fact::read(Kind::Payment, paid, old).unwrap());
        let failed = payment(r#"{"payment_id":"p","amount":12.50,"currency":"EUR","status":"FAILED"}"#);
        totals.apply(&failed, Some(&before), AT);
        assert!(totals.quarters.iter().all(|(_, counts)| counts.revenue == 0));
        assert_eq!(totals.quarters.iter().count(), 1);
    }

    #[test]
    fn revenue_saturates_instead_of_overflowing() {
        let mut totals = Totals::default();
        totals.revenue.insert("EUR".to_owned(), i64::MAX - 1);
        totals.apply(
            &payment(r#"{"payment_id":"p","amount":10000000000,"currency":"EUR","status":"SUCCESS"}"#),
            None,
            AT,
        );
        assert_eq!(totals.revenue["EUR"], i64::MAX);
    }
}
