//! The fold of events into rows and totals. Pure.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::quarters::Quarters;
use crate::event::Kind;
use crate::journal::Offset;
use crate::sale::money::Amount;
use crate::sale::{Currency, Money};

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
    /// Read leniently: a sale is not lost for its time.
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
}

/// The device that a record of another gateway is from, as far as it says so.
#[derive(Deserialize)]
struct Sender<'a> {
    #[serde(borrow)]
    store: Option<Cow<'a, str>>,
    #[serde(borrow)]
    device: Option<Cow<'a, str>>,
}

/// Store and device of a record of another gateway: what its JSON says, or else its `ce_id`.
pub fn sender_of<'a>(payload: &'a str, name: &'a str) -> (Cow<'a, str>, Cow<'a, str>) {
    let said: Option<Sender<'a>> = serde_json::from_str(payload).ok();
    let (store, device) = said.map_or((None, None), |said| (said.store, said.device));
    let mut parts = name.split('/');
    let mut or_part = |said: Option<Cow<'a, str>>| {
        let part = parts.next().unwrap_or_default();
        said.unwrap_or(Cow::Borrowed(part))
    };
    (or_part(store), or_part(device))
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
            time: said
                .timestamp
                .and_then(|said| said.get().trim_matches('"').parse::<Timestamp>().ok())
                .map_or(time, Timestamp::as_millisecond),
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
    /// By the quarter of an hour in which it happened.
    pub quarters: Quarters,
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
                        self.count_payment(&before.status, before.amount, before.time, setting, -1);
                    }
                    None => self.payments += 1,
                }
                self.count_payment(&fact.status, fact.amount, fact.time, setting, 1);
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
                Some(sum) => *sum = sum.saturating_add(minor),
                None => drop(self.revenue.insert(code.to_owned(), minor)),
            }
        }
        let quarter = match by {
            1 => self.quarters.of(time, setting.now),
            _ => self.quarters.kept(time),
        };
        if let Some(quarter) = quarter {
            count(&mut quarter.success_payments, &mut quarter.failed_payments);
            if let Some(amount) = earned.filter(|amount| amount.currency() == setting.currency) {
                quarter.revenue = quarter.revenue.saturating_add(by * amount.minor());
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
    use super::super::quarters::QUARTER_MS;
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
        let quarter = totals.quarters.kept(NOW).unwrap();
        assert_eq!((quarter.failed_payments, quarter.success_payments), (0, 1));
        assert_eq!(quarter.revenue, 1250);
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
    fn a_payment_that_is_taken_back_leaves_no_negative_quarter_behind() {
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
    fn a_record_of_another_gateway_says_whose_it_is() {
        for (payload, name, store, device) in [
            (
                r#"{"store":"lyon-1","device":"till-2"}"#,
                "a/b/1/2",
                "lyon-1",
                "till-2",
            ),
            (r#"{"store":"lyon-1"}"#, "a/b/1/2", "lyon-1", "b"),
            ("{}", "a/b/1/2", "a", "b"),
            ("{}", "", "", ""),
            (r#"{"store":7}"#, "a", "a", ""),
        ] {
            let sender = sender_of(payload, name);
            assert_eq!(sender, (store.into(), device.into()), "{payload} {name}");
        }
    }

    #[test]
    fn a_sum_of_the_largest_amounts_stops_at_the_end_of_what_can_be_counted() {
        let mut totals = Totals::default();
        totals.revenue.insert("EUR".to_owned(), i64::MAX - 1);
        totals.apply(
            &payment(r#"{"payment_id":"p","amount":10000000000,"currency":"EUR","status":"SUCCESS"}"#),
            None,
            AT,
        );
        assert_eq!(totals.revenue["EUR"], i64::MAX);
    }

    #[test]
    fn a_record_is_counted_whatever_its_time_says() {
        for timestamp in [
            "\"\"",
            "\"soon\"",
            "12",
            "null",
            "\"99999-01-01T00:00:00Z\"",
            "[1]",
        ] {
            let json = format!(r#"{{"order_id":"o","status":"Pending","timestamp":{timestamp}}}"#);
            assert_eq!(Fact::read(Kind::Order, &json, 7).unwrap().time, 7, "{json}");
        }
        let leap = r#"{"order_id":"o","status":"Pending","timestamp":"2016-12-31T23:59:60Z"}"#;
        assert_eq!(Fact::read(Kind::Order, leap, 7).unwrap().time, 1_483_228_799_000);
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
