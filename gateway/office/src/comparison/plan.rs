//! Which days or weeks are compared.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, Unit};
use serde::{Deserialize, Serialize};

use crate::database::quarter_of;
use crate::sales::QueryError;

/// Most days and most weeks of a period.
const MAX_DAYS: usize = 92;
const MAX_WEEKS: usize = 53;
/// Most shops times days of a period. Summing so many takes PostgreSQL about a second.
const MAX_SHOP_DAYS: usize = 50_000;
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

/// A validated query.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(super) by: By,
    time_zone: TimeZone,
    pub(super) name: String,
    /// The beginnings of the days or weeks of both periods, and the end of the last one.
    pub(super) days: Vec<Date>,
    /// The same as times, in ascending order.
    pub(super) bounds: Vec<Timestamp>,
    /// The part of the period before that the last day or week is compared with ends here. `None`: it is over.
    pub(super) cut: Option<Timestamp>,
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
    pub(super) fn count(&self) -> usize {
        self.bounds.len() / 2
    }

    /// # Errors
    /// There would be too many figures.
    pub fn check_size(&self, shops: usize) -> Result<(), QueryError> {
        let days = self.count() * self.by.days() as usize;
        match shops.saturating_mul(days) <= MAX_SHOP_DAYS {
            true => Ok(()),
            false => {
                let text = format!(
                    "store: {shops} shops over {days} days are too many; choose at most {} shops, or fewer days",
                    MAX_SHOP_DAYS / days
                );
                Err(wrong("store", text))
            }
        }
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
