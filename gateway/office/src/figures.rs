//! Sums of sales, read from the table `figure`.

use std::collections::BTreeMap;

use comptoir_core::sale::{Currency, Money};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use crate::overview::Amount;

/// Sums of the sales of a shop, or of several, over some time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    pub orders: i64,
    pub success_payments: i64,
    pub failed_payments: i64,
    pub deliveries: i64,
    /// Successful payments in minor units, by currency.
    pub revenue: BTreeMap<Currency, i64>,
    /// Payments by currency, successful or not.
    payments: BTreeMap<Currency, i64>,
}

impl Figures {
    pub fn add(&mut self, other: &Self) {
        self.orders = self.orders.saturating_add(other.orders);
        self.success_payments = self.success_payments.saturating_add(other.success_payments);
        self.failed_payments = self.failed_payments.saturating_add(other.failed_payments);
        self.deliveries = self.deliveries.saturating_add(other.deliveries);
        for (sums, others) in [
            (&mut self.revenue, &other.revenue),
            (&mut self.payments, &other.payments),
        ] {
            for (currency, value) in others {
                let sum = sums.entry(*currency).or_default();
                *sum = sum.saturating_add(*value);
            }
        }
    }

    /// The revenue in each currency, without sums of zero.
    pub fn amounts(&self) -> Vec<Amount> {
        let amounts = self.revenue.iter().filter(|(_, minor)| **minor != 0);
        amounts
            .map(|(currency, minor)| Amount {
                amount: Money::sum(*minor, *currency),
                currency: *currency,
            })
            .collect()
    }

    /// The currency of most payments; the first one by its code if several have as many.
    pub fn main_currency(&self) -> Option<Currency> {
        let most = self.payments.iter().rev().max_by_key(|(_, count)| **count);
        most.map(|(currency, _)| *currency)
    }

    /// The percentage of successful payments, with two decimals; 0 without payments.
    pub fn success_rate(&self) -> f64 {
        let payments = self.success_payments + self.failed_payments;
        if payments == 0 {
            return 0.0;
        }
        let rate = self.success_payments as f64 / payments as f64 * 100.0;
        (rate * 100.0).round() / 100.0
    }
}

/// Reads a row with the columns of the table `figure`, or sums of them.
///
/// # Errors
/// A column is missing.
pub fn read_figures(row: &PgRow) -> Result<Figures, sqlx::Error> {
    let code: String = row.try_get("currency")?;
    let mut figures = Figures {
        orders: row.try_get("orders")?,
        success_payments: row.try_get("success_payments")?,
        failed_payments: row.try_get("failed_payments")?,
        deliveries: row.try_get("deliveries")?,
        ..Figures::default()
    };
    // Sales without an amount have no currency.
    if let Ok(currency) = code.parse::<Currency>() {
        let payments = figures.success_payments + figures.failed_payments;
        if payments > 0 {
            figures.revenue.insert(currency, row.try_get("revenue")?);
            figures.payments.insert(currency, payments);
        }
    }
    Ok(figures)
}
