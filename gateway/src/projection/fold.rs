//! The fold of events into rows and totals. Pure.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

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
    /// Of a payment or a delivery: the order that it belongs to.
    pub order_id: Option<Cow<'a, str>>,
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
    pub fn read(kind: Kind, payload: &'a str, time: i64) -> Option<Self> {
        let said: Said<'a> = serde_json::from_str(payload).ok()?;
        let (id, order_id) = match kind {
            Kind::Order => (said.order_id, None),
            Kind::Payment => (said.payment_id, said.order_id),
            Kind::Delivery => (said.delivery_id, said.order_id),
        };
        let amount = match (kind, said.amount) {
            (Kind::Payment, Some(raw)) => {
                let amount: Amount = raw.get().parse().ok()?;
                let currency = said.currency.unwrap_or(Currency::EUR);
                Some(Money::from_decimal(amount.0, currency).ok()?)
            }
            _ => None,
        };
        Some(Self {
            kind,
            id: id?,
            order_id,
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
    pub order_id: Option<Arc<str>>,
    pub status: Arc<str>,
    /// Of its newest event, Unix ms.
    pub time: i64,
    pub amount: Option<Money>,
    pub source: Source,
}

/// Where a row's JSON is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Entry(Offset),
    Kafka {
        name: Box<str>,
        payload: Box<str>,
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
    /// By the hour (Unix hours) in which it happened; the last [`HOURS`] only.
    pub hours: BTreeMap<i64, HourTotals>,
}

/// What happened in one hour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HourTotals {
    pub orders: u64,
    pub success_payments: u64,
    pub failed_payments: u64,
    pub deliveries: u64,
    /// Minor units of successful payments in the shop's currency.
    pub revenue: i64,
}

/// Where and when events are taken in.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Unix ms.
    pub now: i64,
    /// The shop's.
    pub currency: Currency,
}

impl Totals {
    /// Takes in one event. `before` is what was known of its order, payment or delivery.
    pub fn apply(&mut self, fact: &Fact<'_>, before: Option<&Row>, setting: Setting) {
        let now = setting.now;
        self.forget_old_hours(now);
        match fact.kind {
            Kind::Order if before.is_none() => {
                self.orders += 1;
                if let Some(hour) = self.hour(fact.time, now) {
                    hour.orders += 1;
                }
            }
            Kind::Order => {}
            Kind::Payment => {
                match before {
                    Some(before) => {
                        self.count_payment(&before.status, before.amount, before.time, setting, -1);
                    }
                    None => self.payments += 1,
                }
                self.count_payment(&fact.status, fact.amount, fact.time, setting, 1);
            }
            Kind::Delivery if before.is_none() => {
                self.deliveries += 1;
                if let Some(hour) = self.hour(fact.time, now) {
                    hour.deliveries += 1;
                }
            }
            Kind::Delivery => {}
        }
    }

    fn forget_old_hours(&mut self, now: i64) {
        let oldest = now.div_euclid(HOUR_MS) - HOURS;
        while self
            .hours
            .first_key_value()
            .is_some_and(|(hour, _)| *hour < oldest)
        {
            self.hours.pop_first();
        }
    }

    /// The hour of `time`; `None` if it is not one of those that are kept.
    fn hour(&mut self, time: i64, now: i64) -> Option<&mut HourTotals> {
        let (hour, current) = (time.div_euclid(HOUR_MS), now.div_euclid(HOUR_MS));
        (current - HOURS..=current + 1)
            .contains(&hour)
            .then(|| self.hours.entry(hour).or_default())
    }

    /// With `by` 1 counts a payment, with -1 takes it back.
    fn count_payment(&mut self, status: &str, amount: Option<Money>, time: i64, setting: Setting, by: i64) {
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
                Some(sum) => *sum += minor,
                None => drop(self.revenue.insert(code.to_owned(), minor)),
            }
        }
        if let Some(hour) = self.hour(time, setting.now) {
            count(&mut hour.success_payments, &mut hour.failed_payments);
            if let Some(amount) = earned.filter(|amount| amount.currency() == setting.currency) {
                hour.revenue += by * amount.minor();
            }
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
    const AT: Setting = Setting {
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
            source: Source::Entry(Offset(1)),
        }
    }

    #[test]
    fn a_later_status_changes_the_totals_and_does_not_count_twice() {
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
        let hour = &totals.hours[&(NOW / HOUR_MS)];
        assert_eq!((hour.failed_payments, hour.success_payments), (0, 1));
        assert_eq!(hour.revenue, 1250);
    }

    #[test]
    fn orders_are_counted_in_the_hour_in_which_they_were_placed() {
        let mut totals = Totals::default();
        let order = |time| Fact::read(Kind::Order, r#"{"order_id":"o","status":"Pending"}"#, time).unwrap();
        totals.apply(&order(NOW), None, AT);
        totals.apply(&order(NOW - HOUR_MS), None, AT);
        totals.apply(&order(NOW - 365 * 24 * HOUR_MS), None, AT);
        assert_eq!(totals.orders, 3);
        assert_eq!(totals.hours.len(), 2);
        let later = Setting {
            now: NOW + 100 * HOUR_MS,
            ..AT
        };
        totals.apply(&order(later.now), None, later);
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
            assert_eq!(Fact::read(Kind::Payment, json, 0), None, "{json}");
        }
    }
}
