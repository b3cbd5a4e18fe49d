//! Compares shops, day by day or week by week, with the period before.
//!
//! A period consists of whole local days or weeks. Each is compared with the one as many days or weeks before it as the
//! period has: of seven days, each with the same day of the week before. A day that is not over is compared with the
//! same part of the other one.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx as _};
use serde::Serialize;
use sqlx::{PgConnection, Row as _};

use crate::figures::{Figures, read_figures};
use crate::overview::Amount;

pub use plan::{By, ComparisonQuery, Plan};

mod plan;

/// Figures of one shop, or of all, over some time.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Sums {
    pub orders: i64,
    /// Successful ones.
    pub payments: i64,
    pub deliveries: i64,
    /// The successful payments, by currency.
    pub revenue: Vec<Amount>,
}

/// Figures beside those of the period before.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Compared {
    pub now: Sums,
    pub before: Sums,
}

/// One shop, or all of them.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ShopComparison {
    /// Absent for all shops together.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub store: Option<String>,
    pub total: Compared,
    /// The days or weeks, as many as `starts`.
    pub steps: Vec<Compared>,
}

/// The shops beside each other, over the same days or weeks.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Comparison {
    pub by: By,
    pub time_zone: String,
    /// The first day.
    #[cfg_attr(test, ts(type = "string"))]
    pub since: Date,
    /// The day after the last one.
    #[cfg_attr(test, ts(type = "string"))]
    pub until: Date,
    /// The first day of the period before, which ends where this one begins.
    #[cfg_attr(test, ts(type = "string"))]
    pub before: Date,
    /// The first day of each day or week.
    #[cfg_attr(test, ts(type = "Array<string>"))]
    pub starts: Vec<Date>,
    /// The last day or week is not over: of the one it is compared with, only the same part counts.
    pub is_partial: bool,
    pub shops: Vec<ShopComparison>,
    pub total: ShopComparison,
}

const SUMS: &str = "SELECT store, width_bucket(quarter, $2::timestamptz[]) AS step, quarter >= $3 AS is_after_cut, currency, \
    sum(orders)::bigint AS orders, sum(success_payments)::bigint AS success_payments, \
    sum(failed_payments)::bigint AS failed_payments, sum(deliveries)::bigint AS deliveries, \
    least(sum(revenue), 9223372036854775807)::bigint AS revenue FROM figure \
    WHERE store = ANY($1) AND quarter >= $4 AND quarter < $5 GROUP BY 1, 2, 3, 4";

/// Compares the shops `stores`.
///
/// # Errors
/// PostgreSQL does not reply.
pub async fn compare(
    connection: &mut PgConnection,
    plan: &Plan,
    stores: &[String],
) -> Result<Comparison, sqlx::Error> {
    let count = plan.count();
    let (Some(first), Some(end)) = (plan.bounds.first(), plan.bounds.last()) else {
        return Err(sqlx::Error::RowNotFound);
    };
    let rows = sqlx::query(SUMS)
        .bind(stores)
        .bind(
            plan.bounds
                .iter()
                .map(|bound| bound.to_sqlx())
                .collect::<Vec<SqlTimestamp>>(),
        )
        .bind(plan.cut.unwrap_or(*end).to_sqlx())
        .bind(first.to_sqlx())
        .bind(end.to_sqlx())
        .fetch_all(connection)
        .await?;
    // The days or weeks of both periods, of each shop.
    let mut shops: BTreeMap<&str, Vec<Figures>> = stores
        .iter()
        .map(|store| (&**store, vec![Figures::default(); 2 * count]))
        .collect();
    let mut all = vec![Figures::default(); 2 * count];
    for row in &rows {
        let (store, step): (String, i32) = (row.try_get("store")?, row.try_get("step")?);
        // Steps are numbered from 1.
        let step = usize::try_from(step - 1).unwrap_or_default();
        // The part of the period before that the unfinished day is not compared with.
        if row.try_get("is_after_cut")? && step + 1 == count {
            continue;
        }
        let figures = read_figures(row)?;
        for steps in [Some(&mut all), shops.get_mut(&*store)] {
            if let Some(sum) = steps.and_then(|steps| steps.get_mut(step)) {
                sum.add(&figures);
            }
        }
    }
    let shops = shops.into_iter();
    Ok(Comparison {
        by: plan.by,
        time_zone: plan.name.clone(),
        since: plan.days[count],
        until: plan.days[2 * count],
        before: plan.days[0],
        starts: plan.days[count..2 * count].to_vec(),
        is_partial: plan.cut.is_some(),
        shops: shops
            .map(|(store, steps)| side_by_side(Some(store.to_owned()), &steps))
            .collect(),
        total: side_by_side(None, &all),
    })
}

/// `steps` are those of the period before, and those of this one.
fn side_by_side(store: Option<String>, steps: &[Figures]) -> ShopComparison {
    let (before, now) = steps.split_at(steps.len() / 2);
    let total = |steps: &[Figures]| {
        let mut total = Figures::default();
        for step in steps {
            total.add(step);
        }
        sums(&total)
    };
    ShopComparison {
        store,
        total: Compared {
            now: total(now),
            before: total(before),
        },
        steps: now
            .iter()
            .zip(before)
            .map(|(now, before)| Compared {
                now: sums(now),
                before: sums(before),
            })
            .collect(),
    }
}

fn sums(figures: &Figures) -> Sums {
    Sums {
        orders: figures.orders,
        payments: figures.success_payments,
        deliveries: figures.deliveries,
        revenue: figures.amounts(),
    }
}

/// The shops that the office knows, of those that the caller may see.
///
/// # Errors
/// PostgreSQL does not reply.
pub async fn known_stores(
    connection: &mut PgConnection,
    visible: Option<Vec<String>>,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar("SELECT store FROM shop WHERE $1::text[] IS NULL OR store = ANY($1) ORDER BY store")
        .bind(visible)
        .fetch_all(connection)
        .await
}
