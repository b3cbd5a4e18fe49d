//! The ledger: the net takings that no closing has counted yet, by business day and currency.
//!
//! An event adds what its payment comes to after it, on the day of its time, and subtracts what the payment came to
//! before. So each payment is counted once, and a payment that changes after its day was closed leaves the difference. The
//! closing's own entry subtracts what the closing has counted. `docs/adr/0023-closings.md` has the reasons.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde::{Deserialize, Serialize};

use super::fact::Fact;
use super::row::{Row, Source};
use comptoir_core::event::Kind;
use comptoir_core::sale::money::Amount;
use comptoir_core::sale::{Currency, Money};
use comptoir_journal::{Offset, StoredClosing};

/// A till with a wrong clock can name any day. Those that are further from now are one sum without a day.
const DAYS_BEFORE: i32 = 400;
const DAYS_AFTER: i32 = 2;
/// Most currencies of a day that are told apart. A sender can name all of them; others are in the sum without a day.
const MAX_CURRENCIES: usize = 8;

/// The net takings by day. `None`: without a plausible day.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Entries up to and including this one were counted by closings before this ledger was begun.
    after: Offset,
    /// The number of the last closing that is subtracted.
    closed: u64,
    /// Whether all entries after the last closing are counted.
    is_complete: bool,
    /// Whether the states of some payments are not known, because their entries were pruned before the projection was
    /// rebuilt. If such a payment changes, its former amount cannot be subtracted.
    lacks_states: bool,
    /// In minor units. No zeros.
    days: BTreeMap<(Option<Date>, Currency), i64>,
}

/// What a closing counted.
#[derive(Deserialize)]
struct Closing {
    number: u64,
    takings: Vec<Taking>,
}

/// What a closing left for those of later days.
#[derive(Deserialize)]
struct Later {
    later_takings: Vec<Taking>,
}

#[derive(Deserialize)]
struct Taking {
    date: Option<Date>,
    currency: Currency,
    net: Amount,
}

/// [`Ledger`] in the projection's file.
#[derive(Serialize, Deserialize)]
struct Stored {
    after: u64,
    closed: u64,
    is_complete: bool,
    lacks_states: bool,
    days: Vec<(Option<Date>, Currency, i64)>,
}

impl Ledger {
    /// The ledger of a projection that is folded from the beginning of a journal whose newest closing is `closing`.
    pub fn begin(closing: Option<&StoredClosing>) -> Self {
        let mut ledger = Self {
            after: closing.map_or(Offset(0), |closing| closing.upto),
            closed: closing.map_or(0, |closing| closing.number),
            is_complete: true,
            lacks_states: false,
            days: BTreeMap::new(),
        };
        let later = closing.map(|closing| serde_json::from_str::<Later>(&closing.payload));
        match later {
            None => {}
            Some(Ok(Later { later_takings })) => ledger.add_all(later_takings, 1),
            Some(Err(_)) => ledger.is_complete = false,
        }
        ledger
    }

    /// Entries after `folded` are no longer in the journal, whose first entry is `first`.
    pub fn skip(&mut self, folded: Offset, first: Offset) {
        self.lacks_states |= first.0 > folded.0 + 1;
        if first.0 > folded.max(self.after).0 + 1 {
            self.is_complete = false;
        }
    }

    /// Adds a payment of a projection that had no ledger. `time`: in Unix milliseconds, if it is known.
    pub fn add_payment(&mut self, time: Option<i64>, earned: Money, zone: &TimeZone) {
        let day = time.and_then(|time| self.day_of(time, earned.currency(), zone));
        self.add(day, earned.currency(), earned.minor());
    }

    /// Whether everything after the last closing is counted, and nothing twice.
    pub fn is_complete(&self) -> bool {
        self.is_complete && !self.lacks_states
    }

    /// Counts the entry at `offset`. `before` is the previous state of its payment.
    pub fn count(&mut self, offset: Offset, fact: &Fact<'_>, before: Option<&Row>, zone: &TimeZone) {
        if fact.kind != Kind::Payment || offset <= self.after {
            return;
        }
        // A record from Kafka, of a journal that was lost, is in no closing of this one.
        let own = before.filter(|before| matches!(before.source, Source::Entry(_)));
        if let Some(before) = own
            && let Some(earned) = before.amount.filter(|_| *before.status == *"SUCCESS")
        {
            let day = self.day_of(before.time, earned.currency(), zone);
            self.add(day, earned.currency(), -earned.minor());
        }
        if let Some(earned) = fact.amount.filter(|_| fact.status == "SUCCESS") {
            let day = self.day_of(fact.time, earned.currency(), zone);
            self.add(day, earned.currency(), earned.minor());
        }
    }

    /// Subtracts what a closing has counted, unless that was done already. `json` is the content of its entry.
    pub fn subtract(&mut self, json: &str) {
        let Ok(closing) = serde_json::from_str::<Closing>(json) else {
            tracing::error!("a closing in the journal cannot be read; the next one counts its takings again");
            return;
        };
        if closing.number <= self.closed {
            return;
        }
        self.closed = closing.number;
        self.is_complete = true;
        self.add_all(closing.takings, -1);
    }

    fn add_all(&mut self, takings: Vec<Taking>, sign: i64) {
        for Taking { date, currency, net } in takings {
            if let Some(net) = Money::sum_of(net, currency) {
                self.add(date, currency, sign * net.minor());
            }
        }
    }

    /// The takings of the days up to and including `date`, and those without a day: `date` first, the others by day, each by
    /// currency.
    pub fn upto(&self, date: Date) -> Vec<(Option<Date>, Money)> {
        let mut takings: Vec<_> = self
            .days
            .iter()
            .filter(|((day, _), _)| day.is_none_or(|day| day <= date))
            .map(|((day, currency), minor)| (*day, Money::sum(*minor, *currency)))
            .collect();
        takings.sort_by_key(|(day, _)| (*day != Some(date), day.is_none(), *day));
        takings
    }

    /// The takings of the days after `date`.
    pub fn after(&self, date: Date) -> impl Iterator<Item = (Option<Date>, Money)> {
        let later = self.days.iter().filter(move |((day, _), _)| *day > Some(date));
        later.map(|((day, currency), minor)| (*day, Money::sum(*minor, *currency)))
    }

    /// The takings of a day that no closing has counted, by currency.
    pub fn of(&self, date: Date) -> impl Iterator<Item = Money> {
        let days = self.days.iter().filter(move |((day, _), _)| *day == Some(date));
        days.map(|((_, currency), minor)| Money::sum(*minor, *currency))
    }

    fn add(&mut self, day: Option<Date>, currency: Currency, minor: i64) {
        let sum = self.days.entry((day, currency)).or_default();
        *sum = sum.saturating_add(minor);
        if *sum == 0 {
            self.days.remove(&(day, currency));
        }
    }

    /// The day to which a time belongs, if it is plausible.
    fn day_of(&self, time: i64, currency: Currency, zone: &TimeZone) -> Option<Date> {
        let day = |time: Timestamp| time.to_zoned(zone.clone()).date();
        let today = day(Timestamp::now());
        let day = day(Timestamp::from_millisecond(time).ok()?);
        let earliest = today.saturating_sub(Span::new().days(DAYS_BEFORE));
        let latest = today.saturating_add(Span::new().days(DAYS_AFTER));
        if day < earliest || day > latest {
            return None;
        }
        let key = (Some(day), currency);
        let of_day = self.days.keys().filter(|(of, _)| *of == Some(day));
        (self.days.contains_key(&key) || of_day.count() < MAX_CURRENCIES).then_some(day)
    }

    /// For the projection's file.
    pub fn to_json(&self) -> String {
        let stored = Stored {
            after: self.after.0,
            closed: self.closed,
            is_complete: self.is_complete,
            lacks_states: self.lacks_states,
            days: self
                .days
                .iter()
                .map(|((day, currency), minor)| (*day, *currency, *minor))
                .collect(),
        };
        // Cannot fail: there are only numbers and strings.
        serde_json::to_string(&stored).unwrap_or_default()
    }

    /// # Errors
    /// The JSON is not that of [`Self::to_json`].
    pub fn from_json(json: &str) -> Result<Self, serde_json::Error> {
        let stored: Stored = serde_json::from_str(json)?;
        Ok(Self {
            after: Offset(stored.after),
            closed: stored.closed,
            is_complete: stored.is_complete,
            lacks_states: stored.lacks_states,
            days: stored
                .days
                .into_iter()
                .map(|(day, currency, minor)| ((day, currency), minor))
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc() -> TimeZone {
        TimeZone::UTC
    }

    /// A time `days` from now, and its day.
    fn at(days: i32) -> (i64, Option<Date>) {
        let time = Timestamp::now() + jiff::SignedDuration::from_hours(24 * i64::from(days));
        (time.as_millisecond(), Some(time.to_zoned(utc()).date()))
    }

    fn payment(status: &str, minor: i64, days: i32) -> Fact<'static> {
        Fact {
            kind: Kind::Payment,
            id: "p".into(),
            order_id: None,
            status: status.to_owned().into(),
            amount: Some(Money::sum(minor, Currency::EUR)),
            refund_of: None,
            time: at(days).0,
        }
    }

    fn row(fact: &Fact<'_>, source: Source) -> Row {
        Row {
            seq: 1,
            order_id: None,
            status: (*fact.status).into(),
            time: fact.time,
            amount: fact.amount,
            refund_of: None,
            source,
            creator: "".into(),
            is_moved: false,
            corrections: 0,
            is_home: true,
        }
    }

    fn own(fact: &Fact<'_>) -> Row {
        row(fact, Source::Entry(Offset(1)))
    }

    fn kafka(fact: &Fact<'_>) -> Row {
        let source = Source::Kafka {
            name: "paris-1/till-1/1/1".into(),
            payload: "{}".into(),
            partition: 0,
            offset: 0,
        };
        row(fact, source)
    }

    fn sums(ledger: &Ledger) -> Vec<(Option<Date>, i64)> {
        let days = ledger.days.iter();
        days.map(|((day, _), minor)| (*day, *minor)).collect()
    }

    fn closing(number: u64, takings: &[(Option<Date>, &str)]) -> String {
        let takings: Vec<_> = takings
            .iter()
            .map(|(date, net)| {
                format!(
                    r#"{{"date":{},"currency":"EUR","net":{net}}}"#,
                    serde_json::json!(date)
                )
            })
            .collect();
        format!(r#"{{"number":{number},"takings":[{}]}}"#, takings.join(","))
    }

    #[test]
    fn a_payment_that_changes_after_its_day_was_closed_leaves_the_difference() {
        let mut ledger = Ledger::begin(None);
        let paid = payment("SUCCESS", 1_250, -1);
        ledger.count(Offset(1), &paid, None, &utc());
        assert_eq!(sums(&ledger), [(at(-1).1, 1_250)]);
        ledger.subtract(&closing(1, &[(at(-1).1, "12.50")]));
        assert_eq!(sums(&ledger), []);
        let failed = payment("FAILED", 1_250, 0);
        ledger.count(Offset(3), &failed, Some(&own(&paid)), &utc());
        assert_eq!(sums(&ledger), [(at(-1).1, -1_250)]);
        // A repeated fold of the same event or closing changes nothing.
        ledger.count(Offset(3), &failed, Some(&own(&failed)), &utc());
        ledger.subtract(&closing(1, &[(at(-1).1, "12.50")]));
        assert_eq!(sums(&ledger), [(at(-1).1, -1_250)]);
    }

    #[test]
    fn only_a_payment_of_this_journal_is_subtracted() {
        let mut ledger = Ledger::begin(None);
        let paid = payment("SUCCESS", 100, 0);
        ledger.count(Offset(1), &paid, Some(&kafka(&paid)), &utc());
        assert_eq!(sums(&ledger), [(at(0).1, 100)]);
    }

    #[test]
    fn a_rebuilt_projection_counts_only_what_the_newest_closing_left_and_what_came_after_it() {
        let later = serde_json::json!({"later_takings": [{"date": at(1).1, "currency": "EUR", "net": 3}]});
        let stored = StoredClosing {
            offset: Offset(7),
            number: 2,
            date: "2026-03-02".to_owned(),
            upto: Offset(5),
            payload: later.to_string().into(),
        };
        let mut ledger = Ledger::begin(Some(&stored));
        for offset in [4, 5, 6] {
            ledger.count(Offset(offset), &payment("SUCCESS", 100, 0), None, &utc());
        }
        ledger.subtract(&closing(2, &[(at(0).1, "1.00")]));
        assert_eq!(sums(&ledger), [(at(0).1, 100), (at(1).1, 300)]);
        assert!(ledger.is_complete());
        let (_, Some(today)) = at(0) else { panic!() };
        assert_eq!(ledger.after(today).count(), 1);
        ledger.subtract(&closing(3, &[(at(0).1, "1.00"), (at(1).1, "3.00")]));
        assert!(ledger.is_complete() && sums(&ledger).is_empty());
    }

    #[test]
    fn pruned_entries_make_it_incomplete_for_good_if_it_is_begun_without_them() {
        let mut ledger = Ledger::begin(None);
        ledger.skip(Offset(3), Offset(4));
        assert!(ledger.is_complete(), "entries that are folded already");
        ledger.skip(Offset(3), Offset(5));
        assert!(!ledger.is_complete());
        ledger.subtract(&closing(1, &[]));
        assert!(
            !ledger.is_complete(),
            "a payment of entry 4 may change, and its amount is not known"
        );
    }

    #[test]
    fn a_till_with_a_wrong_clock_fills_no_days_and_loses_no_money() {
        let mut ledger = Ledger::begin(None);
        for days in (-3_000..=3_000).step_by(100) {
            ledger.count(Offset(1), &payment("SUCCESS", 100, days), None, &utc());
        }
        let sums = sums(&ledger);
        assert_eq!(sums.iter().map(|(_, minor)| minor).sum::<i64>(), 6_100);
        assert_eq!(sums.len(), 1 + 5, "today, four days before, and no day: {sums:?}");
        let (_, Some(today)) = at(0) else { panic!() };
        let counted = ledger.upto(today);
        assert_eq!(
            counted.len(),
            sums.len(),
            "all of it is counted by the closing of today"
        );
        assert_eq!(counted[0].0, Some(today));
        assert_eq!(counted[5].0, None);
    }

    #[test]
    fn it_survives_the_file() {
        let mut ledger = Ledger::begin(None);
        ledger.count(Offset(1), &payment("SUCCESS", 100, 0), None, &utc());
        ledger.count(Offset(2), &payment("SUCCESS", -300, -3_000), None, &utc());
        assert_eq!(Ledger::from_json(&ledger.to_json()).unwrap(), ledger);
    }
}
