//! Compares shops, day by day or week by week, with the period before.
//!
//! A period consists of whole local days or weeks. Each is compared with the one as many days or weeks before it as the
//! period has: of seven days, each with the same day of the week before. A day that is not over is compared with the
//! same part of the other one.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, Unit};
use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx as _};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, Row as _};

use crate::database::quarter_of;
use crate::figures::{Figures, read_figures};
use crate::overview::Amount;
use crate::sales::QueryError;

/// Most days and most weeks of a period.
const MAX_DAYS: usize = 92;
const MAX_WEEKS: usize = 53;
/// Most figures in a response: shops times days.
const MAX_CELLS: usize = 50_000;
/// Most shops that a query names.
const MAX_STORES: usize = 1_000;

/// The query parameters of `GET /api/comparison`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComparisonQuery {
    /// `day` or `week`. Weeks begin on Monday.
    pub by: Option<String>,
    /// The first day: `2026-11-24`. Default: 7 days, or 4 weeks, before `until`.
    pub since: Option<String>,
    /// The day after the last one. Default: tomorrow.
    pub until: Option<String>,
    /// From the IANA database: `Europe/Paris`. Default: UTC.
    pub time_zone: Option<String>,
    /// Shops, separated by commas. Default: all.
    pub store: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum By {
    Day,
    Week,
}

impl By {
    fn days(self) -> i64 {
        match self {
            Self::Day => 1,
            Self::Week => 7,
        }
    }
}

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

/// A validated query.
#[derive(Debug, Clone)]
pub struct Plan {
    by: By,
    time_zone: TimeZone,
    name: String,
    /// The beginnings of the days or weeks of both periods, and the end of the last one.
    days: Vec<Date>,
    /// The same as times, in ascending order.
    bounds: Vec<Timestamp>,
    /// The part of the period before that the last day or week is compared with ends here. `None`: it is over.
    cut: Option<Timestamp>,
    /// `None`: all.
    pub stores: Option<Vec<String>>,
}

fn wrong(parameter: &'static str, text: impl Into<String>) -> QueryError {
    QueryError::new(parameter, text.into())
}

impl ComparisonQuery {
    /// # Errors
    /// Names the invalid parameter, with an example.
    pub fn check(self, now: Timestamp) -> Result<Plan, QueryError> {
        let by = match self.by.as_deref() {
            None | Some("day") => By::Day,
            Some("week") => By::Week,
            Some(_) => return Err(wrong("by", "by: day or week")),
        };
        let name = self.time_zone.unwrap_or_else(|| "UTC".to_owned());
        let time_zone = TimeZone::get(&name).map_err(|_| {
            let text = "time_zone: not a name of the IANA database; for example Europe/Paris";
            wrong("time_zone", text)
        })?;
        // As the database spells it.
        let name = time_zone.iana_name().map_or(name, str::to_owned);
        let stores = self.store.map(|stores| split_stores(&stores)).transpose()?;
        let today = now.to_zoned(time_zone.clone()).date();
        let current = begin(by, today);
        // The current day or week is the last one: there is nothing to compare after it.
        let last = current.checked_add(by.days().days()).unwrap_or(current);
        let until = match &self.until {
            Some(text) => begin_after(by, parse_day("until", text)?).min(last),
            None => last,
        };
        let default = match by {
            By::Day => 7,
            By::Week => 4,
        };
        let since = match &self.since {
            Some(text) => begin(by, parse_day("since", text)?),
            None => until.checked_sub((default * by.days()).days()).unwrap_or(until),
        };
        let plan = Plan::new(by, time_zone, name, since, until, stores)?;
        Ok(plan.with_cut(now))
    }
}

fn split_stores(text: &str) -> Result<Vec<String>, QueryError> {
    let mut stores: Vec<String> = text.split(',').map(str::to_owned).collect();
    stores.sort();
    stores.dedup();
    let is_sound = |store: &String| comptoir_core::event::DeviceId::gateway(store).is_ok();
    match stores.iter().all(is_sound) && stores.len() <= MAX_STORES {
        true => Ok(stores),
        false => {
            let text =
                format!("store: at most {MAX_STORES} shops, separated by commas; for example paris-1,lyon-2");
            Err(wrong("store", text))
        }
    }
}

fn parse_day(parameter: &'static str, text: &str) -> Result<Date, QueryError> {
    let day: Option<Date> = text.parse().ok();
    // `Date` also accepts a longer text that begins with a date.
    let day = day.filter(|day| day.to_string() == text && (1970..9000).contains(&day.year()));
    day.ok_or_else(|| {
        wrong(
            parameter,
            format!("{parameter}: not a day; for example 2026-11-30"),
        )
    })
}

/// The first day of the day or week that contains `day`.
fn begin(by: By, day: Date) -> Date {
    let past = match by {
        By::Day => 0,
        By::Week => i64::from(day.weekday().to_monday_zero_offset()),
    };
    day.checked_sub(past.days()).unwrap_or(day)
}

/// The first beginning of a day or week that is not before `day`.
fn begin_after(by: By, day: Date) -> Date {
    let start = begin(by, day);
    match start == day {
        true => day,
        false => start.checked_add(by.days().days()).unwrap_or(day),
    }
}

impl Plan {
    fn new(
        by: By,
        time_zone: TimeZone,
        name: String,
        since: Date,
        until: Date,
        stores: Option<Vec<String>>,
    ) -> Result<Self, QueryError> {
        let most = match by {
            By::Day => MAX_DAYS,
            By::Week => MAX_WEEKS,
        };
        let days = since.until((Unit::Day, until)).map_or(0, |span| span.get_days());
        let count = usize::try_from(i64::from(days) / by.days()).unwrap_or_default();
        if !(1..=most).contains(&count) {
            let text = format!(
                "since: before `until` and not in the future, and at most {most} {}s before it; for example {}",
                match by {
                    By::Day => "day",
                    By::Week => "week",
                },
                begin(by, until.yesterday().unwrap_or(until))
            );
            return Err(wrong("since", text));
        }
        let steps = 2 * count as i64;
        let days: Vec<Date> = (0..=steps)
            .rev()
            .filter_map(|step| until.checked_sub((step * by.days()).days()).ok())
            .collect();
        let start = |day: &Date| {
            let start = day
                .to_zoned(time_zone.clone())
                .and_then(|day| day.start_of_day())
                .ok()?;
            // Offsets of long ago were not whole quarters.
            Timestamp::from_second(quarter_of(start.timestamp())).ok()
        };
        let bounds: Vec<Timestamp> = days.iter().filter_map(start).collect();
        match bounds.len() == days.len() && days.len() as i64 == steps + 1 {
            true => Ok(Self {
                by,
                time_zone,
                name,
                days,
                bounds,
                cut: None,
                stores,
            }),
            false => Err(wrong(
                "since",
                "since: not a day of this time zone; for example 2026-11-30",
            )),
        }
    }

    /// Compares the last day or week, if it is not over, with the same part of the other one: until the same local
    /// time, on the same day of the week.
    fn with_cut(mut self, now: Timestamp) -> Self {
        let count = self.count();
        let (Some(end), Some(other_end)) = (self.bounds.last().copied(), self.bounds.get(count).copied())
        else {
            return self;
        };
        if now < end {
            let back = (count as i64 * self.by.days()).days();
            let other = now.to_zoned(self.time_zone.clone()).checked_sub(back).ok();
            let cut = other.and_then(|other| Timestamp::from_second(quarter_of(other.timestamp())).ok());
            self.cut = cut.map(|cut| cut.min(other_end));
        }
        self
    }

    /// How many days or weeks a period has.
    fn count(&self) -> usize {
        self.bounds.len() / 2
    }

    /// # Errors
    /// There would be too many figures.
    pub fn check_size(&self, shops: usize) -> Result<(), QueryError> {
        match shops.saturating_mul(self.count()) <= MAX_CELLS {
            true => Ok(()),
            false => {
                let text =
                    format!("store: {shops} shops over so many days are too many; choose fewer of either");
                Err(wrong("store", text))
            }
        }
    }
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

#[cfg(test)]
#[path = "comparison_tests.rs"]
mod tests;
