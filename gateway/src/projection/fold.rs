//! The fold of events into rows and totals. Pure.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::event::Kind;
use crate::journal::Offset;
use crate::sale::money::Amount;
use crate::sale::{Currency, Money};

/// Hours that the totals keep, by when the orders were placed: today, yesterday, and the night between.
pub const HOURS: i64 = 72;
const HOUR_MS: i64 = 3_600_000;

/// What an event says that the projection wants to know.
#[derive(Debug, PartialEq, Eq)]
pub struct Fact<'a> {
    pub kind: Kind,
    pub id: Cow<'a, str>,
    pub status: Cow<'a, str>,
    /// Of a payment.
    pub amount: Option<Money>,
    /// Unix ms.
    pub time: i64,
}

#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow)]
    order_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    payment_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    delivery_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    status: Option<Cow<'a, str>>,
    #[serde(borrow)]
    amount: Option<&'a RawValue>,
    currency: Option<Currency>,
    timestamp: Option<Timestamp>,
}

impl<'a> Fact<'a> {
    /// `time` (Unix ms) is for an event that does not say when it happened. `None` if the JSON is not such an event: a record of somebody else's on our topics.
    pub fn read(kind: Kind, payload: &'a [u8], time: i64) -> Option<Self> {
        let said: Said<'a> = serde_json::from_slice(payload).ok()?;
        let id = match kind {
            Kind::Order => said.order_id,
            Kind::Payment => said.payment_id,
            Kind::Delivery => said.delivery_id,
        };
        let amount = match (kind, said.amount) {
            (Kind::Payment, Some(raw)) => {
                let amount: Amount = serde_json::from_str(raw.get()).ok()?;
                let currency = said.currency.unwrap_or(Currency::EUR);
                Some(Money::from_decimal(amount.0, currency).ok()?)
            }
            _ => None,
        };
        Some(Self {
            kind,
            id: id?,
            status: said.status?,
            amount,
            time: said.timestamp.map_or(time, Timestamp::as_millisecond),
        })
    }
}

/// The newest state of one order, payment or delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its place among those of its kind: the order in which they were first seen.
    pub seq: u64,
    pub status: String,
    pub amount: Option<Money>,
    pub source: Source,
}

/// Where a row's JSON is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Entry(Offset),
    Kafka {
        name: Box<str>,
        payload: Box<[u8]>,
        partition: i32,
        offset: i64,
    },
}

/// Counts of distinct orders, payments and deliveries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    pub orders: u64,
    pub payments: u64,
    pub success_payments: u64,
    pub failed_payments: u64,
    pub deliveries: u64,
    /// Minor units of successful payments, by currency.
    pub revenue: BTreeMap<String, i64>,
    /// Orders by the hour (Unix hours) in which they were placed; the last [`HOURS`] only.
    pub hours: BTreeMap<i64, u64>,
}

impl Totals {
    /// Takes in one event. `before` is what was known of its order, payment or delivery; `now` is Unix ms.
    pub fn apply(&mut self, fact: &Fact<'_>, before: Option<&Row>, now: i64) {
        match fact.kind {
            Kind::Order if before.is_none() => {
                self.orders += 1;
                let (hour, current) = (fact.time.div_euclid(HOUR_MS), now.div_euclid(HOUR_MS));
                if (current - HOURS..=current + 1).contains(&hour) {
                    *self.hours.entry(hour).or_insert(0) += 1;
                }
                while self
                    .hours
                    .first_key_value()
                    .is_some_and(|(hour, _)| *hour < current - HOURS)
                {
                    self.hours.pop_first();
                }
            }
            Kind::Order => {}
            Kind::Payment => {
                match before {
                    Some(before) => self.count_payment(&before.status, before.amount, -1),
                    None => self.payments += 1,
                }
                self.count_payment(&fact.status, fact.amount, 1);
            }
            Kind::Delivery => self.deliveries += u64::from(before.is_none()),
        }
    }

    fn count_payment(&mut self, status: &str, amount: Option<Money>, by: i64) {
        if status == "SUCCESS" {
            self.success_payments = self.success_payments.saturating_add_signed(by);
            if let Some(amount) = amount {
                let code = amount.currency().code().to_owned();
                *self.revenue.entry(code).or_insert(0) += by * amount.minor();
            }
        } else {
            self.failed_payments = self.failed_payments.saturating_add_signed(by);
        }
    }

    /// Per cent of the payments that succeeded; 0 before the first.
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
    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    fn payment(json: &str) -> Fact<'_> {
        Fact::read(Kind::Payment, json.as_bytes(), NOW).unwrap()
    }

    fn row(fact: &Fact<'_>) -> Row {
        Row {
            seq: 1,
            status: fact.status.to_string(),
            amount: fact.amount,
            source: Source::Entry(Offset(1)),
        }
    }

    #[test]
    fn a_later_status_changes_the_totals_and_does_not_count_twice() {
        let mut totals = Totals::default();
        let failed = payment(r#"{"payment_id":"p","amount":12.50,"currency":"EUR","status":"FAILED"}"#);
        totals.apply(&failed, None, NOW);
        assert_eq!((totals.payments, totals.failed_payments), (1, 1));
        let paid = payment(r#"{"payment_id":"p","amount":12.50,"currency":"EUR","status":"SUCCESS"}"#);
        totals.apply(&paid, Some(&row(&failed)), NOW);
        assert_eq!(
            (totals.payments, totals.failed_payments, totals.success_payments),
            (1, 0, 1)
        );
        assert_eq!(totals.revenue["EUR"], 1250);
        assert_eq!(totals.success_rate(), 100.0);
    }

    #[test]
    fn orders_are_counted_in_the_hour_in_which_they_were_placed() {
        let mut totals = Totals::default();
        let order = |time| Fact::read(Kind::Order, br#"{"order_id":"o","status":"Pending"}"#, time).unwrap();
        totals.apply(&order(NOW), None, NOW);
        totals.apply(&order(NOW - HOUR_MS), None, NOW);
        totals.apply(&order(NOW - 365 * 24 * HOUR_MS), None, NOW);
        assert_eq!(totals.orders, 3);
        assert_eq!(totals.hours.len(), 2);
        totals.apply(&order(NOW + 100 * HOUR_MS), None, NOW + 100 * HOUR_MS);
        assert_eq!(totals.hours.len(), 1, "old hours are let go");
    }

    #[test]
    fn what_is_no_event_is_not_read() {
        for json in [
            "",
            "[]",
            "{}",
            r#"{"order_id":"o"}"#,
            r#"{"payment_id":"p","status":"SUCCESS","amount":-1}"#,
        ] {
            assert_eq!(Fact::read(Kind::Payment, json.as_bytes(), 0), None, "{json}");
        }
    }
}
