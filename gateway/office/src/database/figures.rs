//! Keeps the sums in the table `figure` equal to what the table `sale` adds up to, in the transaction that changes sales.

use std::collections::BTreeMap;

use comptoir_core::event::Kind;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;

use crate::fold::{Sale, SaleKey};

/// The time zones of the world differ by multiples of this, so any local day consists of whole quarters.
pub const QUARTER_SECONDS: i64 = 15 * 60;
/// The status of a payment that counts as revenue.
const SUCCESS: &str = "SUCCESS";

/// What a sale adds to the figures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    orders: i64,
    success_payments: i64,
    failed_payments: i64,
    deliveries: i64,
    /// Minor units.
    revenue: i128,
}

/// Store, beginning of the quarter in Unix seconds, and currency: the key of a row.
type RowKey = (String, i64, &'static str);

/// The differences that a batch makes, sorted as all replicas lock the rows.
#[derive(Debug, Default)]
pub struct FigureChanges(BTreeMap<RowKey, Counts>);

impl FigureChanges {
    /// Adds a sale if `by` is 1, subtracts it if `by` is -1.
    pub fn count(&mut self, key: &SaleKey, sale: &Sale, by: i64) {
        let currency = sale.amount.map_or("", |(_, currency)| currency.code());
        let row = (key.store.clone(), quarter_of(sale.time), currency);
        let counts = self.0.entry(row).or_default();
        match key.kind {
            Kind::Order => counts.orders += by,
            Kind::Delivery => counts.deliveries += by,
            Kind::Payment if sale.status == SUCCESS => {
                counts.success_payments += by;
                let minor = sale.amount.map_or(0, |(minor, _)| minor);
                counts.revenue += i128::from(by) * i128::from(minor);
            }
            Kind::Payment => counts.failed_payments += by,
        }
    }

    /// Adds the differences to the table.
    ///
    /// # Errors
    /// PostgreSQL does not reply.
    pub async fn store(mut self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        // A new status of an order, for example, changes no figure.
        self.0.retain(|_, counts| *counts != Counts::default());
        if self.0.is_empty() {
            return Ok(());
        }
        let column = |of: fn(&Counts) -> i64| self.0.values().map(of).collect::<Vec<_>>();
        let quarters = self
            .0
            .keys()
            .map(|(_, quarter, _)| Timestamp::from_second(*quarter).unwrap_or_default().to_sqlx());
        // In the order of the key, so that replicas that change the same rows wait for one another, without deadlocks.
        sqlx::query(
            "INSERT INTO figure AS stored (store, quarter, currency, orders, success_payments, failed_payments, \
             deliveries, revenue) SELECT store, quarter, currency, orders, success_payments, failed_payments, deliveries, \
             revenue::numeric FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::bigint[], $5::bigint[], \
             $6::bigint[], $7::bigint[], $8::text[]) WITH ORDINALITY AS new (store, quarter, currency, orders, \
             success_payments, failed_payments, deliveries, revenue, place) ORDER BY place \
             ON CONFLICT (store, quarter, currency) DO UPDATE SET orders = stored.orders + excluded.orders, \
             success_payments = stored.success_payments + excluded.success_payments, \
             failed_payments = stored.failed_payments + excluded.failed_payments, \
             deliveries = stored.deliveries + excluded.deliveries, revenue = stored.revenue + excluded.revenue",
        )
        .bind(self.0.keys().map(|(store, ..)| &**store).collect::<Vec<_>>())
        .bind(quarters.collect::<Vec<_>>())
        .bind(self.0.keys().map(|(_, _, currency)| *currency).collect::<Vec<_>>())
        .bind(column(|counts| counts.orders))
        .bind(column(|counts| counts.success_payments))
        .bind(column(|counts| counts.failed_payments))
        .bind(column(|counts| counts.deliveries))
        .bind(self.0.values().map(|counts| counts.revenue.to_string()).collect::<Vec<_>>())
        .execute(connection)
        .await?;
        Ok(())
    }
}

/// The beginning of the quarter of an hour that contains `time`, in Unix seconds.
pub fn quarter_of(time: Timestamp) -> i64 {
    let second = time.as_millisecond().div_euclid(1_000);
    second.div_euclid(QUARTER_SECONDS) * QUARTER_SECONDS
}

#[cfg(test)]
mod tests {
    use comptoir_core::sale::Currency;

    use super::*;

    fn payment(status: &str, minor: i64, time: &str) -> (SaleKey, Sale) {
        let key = SaleKey {
            store: "paris-1".to_owned(),
            kind: Kind::Payment,
            device: "till-1".to_owned(),
            id: "p-1".to_owned(),
        };
        let sale = Sale {
            creator: "till-1".to_owned(),
            newest: (7, 1),
            order_id: "o-1".to_owned(),
            status: status.to_owned(),
            time: time.parse().unwrap(),
            amount: Some((minor, Currency::EUR)),
            corrections: 0,
            value: String::new(),
        };
        (key, sale)
    }

    #[test]
    fn a_payment_that_fails_later_moves_to_the_failed_ones_of_its_new_quarter() {
        let mut changes = FigureChanges::default();
        let (key, paid) = payment("SUCCESS", 1_250, "2026-01-30T10:14:59.999Z");
        let (_, failed) = payment("FAILED", 1_250, "2026-01-30T10:15:00Z");
        changes.count(&key, &paid, -1);
        changes.count(&key, &failed, 1);
        let rows: Vec<Counts> = changes.0.into_values().collect();
        let none = Counts::default();
        let expected = [
            Counts {
                success_payments: -1,
                revenue: -1_250,
                ..none
            },
            Counts {
                failed_payments: 1,
                ..none
            },
        ];
        assert_eq!(rows, expected);
    }

    #[test]
    fn quarters_begin_before_their_times_in_every_century() {
        let text = |time: &str| {
            let quarter = Timestamp::from_second(quarter_of(time.parse().unwrap())).unwrap();
            quarter.to_string()
        };
        assert_eq!(text("2026-01-30T10:29:59Z"), "2026-01-30T10:15:00Z");
        assert_eq!(text("1969-12-31T23:59:59.5Z"), "1969-12-31T23:45:00Z");
    }
}
