//! The totals of one shop, under the names that the shop's own gateway uses in `GET /api/stats`.

use std::collections::BTreeMap;

use comptoir_core::sale::{Currency, Money};
use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx as _};
use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};

use crate::database::QUARTER_SECONDS;
use crate::figures::{Figures, read_figures};
use crate::overview::Amount;

/// Over how many days the hours are listed.
const LISTED: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How far ahead a till's clock may be for its sales to be listed.
const AHEAD: SignedDuration = SignedDuration::from_hours(1);
const HOUR_SECONDS: i64 = 3_600;

/// The totals of a shop.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ShopStats {
    pub store: String,
    /// The totals are of the sales from this time on; absent if they are of all sales. A whole quarter of an hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub since: Option<Timestamp>,
    /// And before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub until: Option<Timestamp>,
    pub total_orders: i64,
    pub total_payments: i64,
    pub success_payments: i64,
    pub failed_payments: i64,
    pub total_deliveries: i64,
    /// The sum of the successful payments in `currency`.
    #[cfg_attr(test, ts(type = "number"))]
    pub total_revenue: Money,
    /// The currency of most of the shop's payments.
    #[cfg_attr(test, ts(type = "string"))]
    pub currency: Currency,
    /// The sum of the successful payments in each currency.
    pub revenue: Vec<Amount>,
    /// Percent, 0 to 100.
    pub payment_success_rate: f64,
    /// The last seven days of the period by hour of UTC, oldest first. Hours without events are left out.
    pub orders_per_hour: Vec<ShopHour>,
}

/// The totals of one hour.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ShopHour {
    /// The beginning of the hour.
    pub hour: Timestamp,
    pub orders: i64,
    pub success_payments: i64,
    pub failed_payments: i64,
    pub deliveries: i64,
    /// In the currency of the totals.
    #[cfg_attr(test, ts(type = "number"))]
    pub revenue: Money,
    pub quarters: ShopQuarters,
}

/// The totals of an hour by its four quarters.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ShopQuarters {
    pub orders: [i64; 4],
    pub success_payments: [i64; 4],
    pub failed_payments: [i64; 4],
    pub deliveries: [i64; 4],
    #[cfg_attr(test, ts(type = "[number, number, number, number]"))]
    pub revenue: [Money; 4],
}

/// A period of whole quarters. `None`: without a limit.
#[derive(Debug, Clone, Copy, Default)]
pub struct Period {
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

impl Period {
    /// The smallest period of whole quarters that contains this one.
    pub fn rounded(self) -> Self {
        let at = |second: i64| Timestamp::from_second(second).ok();
        let down = |time: Timestamp| at(crate::database::quarter_of(time));
        let up = |time: Timestamp| match down(time) {
            Some(quarter) if quarter < time => at(quarter.as_second() + QUARTER_SECONDS),
            quarter => quarter,
        };
        Self {
            since: self.since.and_then(down),
            until: self.until.and_then(up),
        }
    }
}

/// Whether the office has heard of the shop.
///
/// # Errors
/// PostgreSQL does not reply.
pub async fn is_known(connection: &mut PgConnection, store: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM shop WHERE store = $1)")
        .bind(store)
        .fetch_one(connection)
        .await
}

/// # Errors
/// PostgreSQL does not reply.
pub async fn shop_stats(
    connection: &mut PgConnection,
    store: &str,
    period: Period,
    now: Timestamp,
) -> Result<ShopStats, sqlx::Error> {
    let totals = totals(connection, store, period).await?;
    let currency = main_currency(connection, store, &totals).await?;
    let end = period.until.map_or(now + AHEAD, |until| until.min(now + AHEAD));
    let start = period.since.map_or(end - LISTED, |since| since.max(end - LISTED));
    let hours = hours(connection, store, start, end, currency).await?;
    let minor = totals.revenue.get(&currency).copied().unwrap_or_default();
    Ok(ShopStats {
        store: store.to_owned(),
        since: period.since,
        until: period.until,
        total_orders: totals.orders,
        total_payments: totals.success_payments + totals.failed_payments,
        success_payments: totals.success_payments,
        failed_payments: totals.failed_payments,
        total_deliveries: totals.deliveries,
        total_revenue: Money::sum(minor, currency),
        currency,
        revenue: totals.amounts(),
        payment_success_rate: totals.success_rate(),
        orders_per_hour: hours,
    })
}

async fn totals(connection: &mut PgConnection, store: &str, period: Period) -> Result<Figures, sqlx::Error> {
    let rows = sqlx::query(TOTALS)
        .bind(store)
        .bind(period.since.map(|since| since.to_sqlx()))
        .bind(period.until.map(|until| until.to_sqlx()))
        .fetch_all(connection)
        .await?;
    let mut totals = Figures::default();
    for row in &rows {
        totals.add(&read_figures(row)?);
    }
    Ok(totals)
}

const TOTALS: &str = "SELECT currency, sum(orders)::bigint AS orders, sum(success_payments)::bigint AS success_payments, \
    sum(failed_payments)::bigint AS failed_payments, sum(deliveries)::bigint AS deliveries, \
    least(sum(revenue), 9223372036854775807)::bigint AS revenue FROM figure WHERE store = $1 \
    AND quarter >= coalesce($2, '-infinity') AND quarter < coalesce($3, 'infinity') GROUP BY currency";

/// The currency of most payments. Of a shop without any in the period, the newest; of one without any, EUR.
async fn main_currency(
    connection: &mut PgConnection,
    store: &str,
    totals: &Figures,
) -> Result<Currency, sqlx::Error> {
    if let Some(currency) = totals.main_currency() {
        return Ok(currency);
    }
    let newest: Option<String> = sqlx::query_scalar(
        "SELECT currency FROM figure WHERE store = $1 AND currency <> '' ORDER BY quarter DESC LIMIT 1",
    )
    .bind(store)
    .fetch_optional(connection)
    .await?;
    Ok(newest.and_then(|code| code.parse().ok()).unwrap_or(Currency::EUR))
}

const QUARTERS: &str = "SELECT quarter, currency, orders, success_payments, failed_payments, deliveries, \
    least(revenue, 9223372036854775807)::bigint AS revenue FROM figure \
    WHERE store = $1 AND quarter >= $2 AND quarter < $3";

async fn hours(
    connection: &mut PgConnection,
    store: &str,
    start: Timestamp,
    end: Timestamp,
    currency: Currency,
) -> Result<Vec<ShopHour>, sqlx::Error> {
    let rows = sqlx::query(QUARTERS)
        .bind(store)
        .bind(start.to_sqlx())
        .bind(end.to_sqlx())
        .fetch_all(connection)
        .await?;
    let mut hours: BTreeMap<i64, [Figures; 4]> = BTreeMap::new();
    for row in &rows {
        let (hour, quarter) = place(row)?;
        hours.entry(hour).or_default()[quarter].add(&read_figures(row)?);
    }
    Ok(hours
        .into_iter()
        .map(|(hour, quarters)| hour_of(hour, &quarters, currency))
        .collect())
}

/// The hour of a row, in Unix seconds, and which quarter of it the row is.
fn place(row: &PgRow) -> Result<(i64, usize), sqlx::Error> {
    let quarter: SqlTimestamp = row.try_get("quarter")?;
    let second = quarter.to_jiff().as_second();
    let hour = second.div_euclid(HOUR_SECONDS) * HOUR_SECONDS;
    // From 0 to 3.
    Ok((hour, ((second - hour) / QUARTER_SECONDS) as usize))
}

fn hour_of(hour: i64, quarters: &[Figures; 4], currency: Currency) -> ShopHour {
    let mut total = Figures::default();
    for quarter in quarters {
        total.add(quarter);
    }
    let revenue = |figures: &Figures| {
        Money::sum(
            figures.revenue.get(&currency).copied().unwrap_or_default(),
            currency,
        )
    };
    ShopHour {
        hour: Timestamp::from_second(hour).unwrap_or_default(),
        orders: total.orders,
        success_payments: total.success_payments,
        failed_payments: total.failed_payments,
        deliveries: total.deliveries,
        revenue: revenue(&total),
        quarters: ShopQuarters {
            orders: quarters.each_ref().map(|quarter| quarter.orders),
            success_payments: quarters.each_ref().map(|quarter| quarter.success_payments),
            failed_payments: quarters.each_ref().map(|quarter| quarter.failed_payments),
            deliveries: quarters.each_ref().map(|quarter| quarter.deliveries),
            revenue: quarters.each_ref().map(revenue),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_widened_to_whole_quarters() {
        let at = |text: &str| Some(text.parse::<Timestamp>().unwrap());
        let period = Period {
            since: at("2026-01-30T10:07:00Z"),
            until: at("2026-01-30T11:00:00.001Z"),
        };
        let rounded = period.rounded();
        assert_eq!(rounded.since, at("2026-01-30T10:00:00Z"));
        assert_eq!(rounded.until, at("2026-01-30T11:15:00Z"));
        assert_eq!(rounded.rounded().until, rounded.until);
    }
}
