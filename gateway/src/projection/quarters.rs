//! Counts by quarter of an hour.
//!
//! The offset of every time zone from UTC is a multiple of 15 minutes, so a page can sum quarters into its own hours
//! and days. Old quarters are dropped by number, never by their age on the wall clock: a temporarily wrong clock, or an
//! event with an absurd time, loses no counts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub const QUARTER_MS: i64 = 15 * 60_000;
/// Most quarters up to [`AHEAD`] from now: three full days and a night.
const KEPT: usize = 4 * 24 * 3 + 32;
/// Most quarters later than [`AHEAD`]: from tills with absurd clocks, or from the present itself while this machine's
/// clock is slow.
const KEPT_AHEAD: usize = 4 * 24;
/// Number of quarters from now beyond which a time counts as in the future, even if this machine's clock is somewhat
/// slow.
const AHEAD: i64 = 4 * 24;

/// The counts of a quarter of an hour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    #[serde(skip_serializing_if = "is_none")]
    pub orders: u64,
    #[serde(skip_serializing_if = "is_none")]
    pub success_payments: u64,
    #[serde(skip_serializing_if = "is_none")]
    pub failed_payments: u64,
    #[serde(skip_serializing_if = "is_none")]
    pub deliveries: u64,
    /// Successful payments in the shop's currency, in minor units.
    #[serde(skip_serializing_if = "is_none")]
    pub revenue: i64,
}

fn is_none<T: Default + PartialEq>(count: &T) -> bool {
    *count == T::default()
}

/// Counts, indexed by the number of quarters since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Quarters(BTreeMap<i64, Counts>);

impl Quarters {
    /// The counts for an event at `time`. `None` if that quarter is older than all that are kept. Both times are in
    /// Unix milliseconds.
    pub fn of(&mut self, time: i64, now: i64) -> Option<&mut Counts> {
        let quarter = time.div_euclid(QUARTER_MS);
        if !self.0.contains_key(&quarter) && !self.make_room(quarter, now.div_euclid(QUARTER_MS)) {
            return None;
        }
        Some(self.0.entry(quarter).or_default())
    }

    /// The existing counts for `time` (Unix milliseconds), to subtract an event. `None` if they were dropped.
    pub fn kept(&mut self, time: i64) -> Option<&mut Counts> {
        self.0.get_mut(&time.div_euclid(QUARTER_MS))
    }

    /// All counts, oldest first, with their numbers of quarters since 1970.
    pub fn iter(&self) -> impl Iterator<Item = (i64, &Counts)> {
        self.0.iter().map(|(quarter, counts)| (*quarter, counts))
    }

    /// Drops the oldest quarter if there are too many. False if `quarter` itself would be the oldest.
    fn make_room(&mut self, quarter: i64, now: i64) -> bool {
        let horizon = now.saturating_add(AHEAD);
        let (oldest, full) = match quarter > horizon {
            true => {
                let mut ahead = self.0.range(horizon + 1..).map(|(quarter, _)| *quarter);
                let oldest = ahead.next();
                (oldest, ahead.count() + 1 >= KEPT_AHEAD)
            }
            false => {
                let mut before = self.0.range(..=horizon).map(|(quarter, _)| *quarter);
                let oldest = before.next();
                (oldest, before.count() + 1 >= KEPT)
            }
        };
        match oldest {
            Some(oldest) if full && quarter < oldest => false,
            Some(oldest) if full => self.0.remove(&oldest).is_some(),
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY: i64 = 24 * 3_600_000;
    /// 2027-01-15T08:00:00Z.
    const NOW: i64 = 1_800_000_000_000;

    /// Three days of a shop that never closes.
    fn full() -> Quarters {
        let mut quarters = Quarters::default();
        for time in (NOW - 3 * DAY..=NOW).step_by(QUARTER_MS as usize) {
            quarters.of(time, time).unwrap().orders += 1;
        }
        quarters
    }

    fn orders_since(quarters: &Quarters, time: i64) -> u64 {
        let since = time.div_euclid(QUARTER_MS);
        let counted = quarters.iter().filter(|(quarter, _)| *quarter >= since);
        counted.map(|(_, counts)| counts.orders).sum()
    }

    #[test]
    fn a_clock_that_is_ten_years_fast_for_a_while_loses_no_counts() {
        let mut quarters = full();
        let before = quarters.clone();
        let wrong = NOW + 3_650 * DAY;
        for minute in 0..60 {
            quarters.of(wrong + minute * 60_000, wrong).unwrap().orders += 1;
        }
        for (quarter, counts) in before.iter() {
            assert_eq!(quarters.kept(quarter * QUARTER_MS), Some(&mut counts.clone()));
        }
        quarters.of(NOW, NOW).unwrap().orders += 1;
        assert_eq!(orders_since(&quarters, NOW) - 60, 2);
    }

    #[test]
    fn with_a_slow_clock_events_are_counted_at_the_tills_time() {
        for wrong in [0, NOW - 10 * DAY] {
            let mut quarters = full();
            for quarter in 1..=90 {
                let time = NOW + quarter * QUARTER_MS;
                quarters.of(time, wrong).unwrap().orders += 1;
            }
            assert_eq!(orders_since(&quarters, NOW), 91, "now is {wrong}");
            assert!(
                orders_since(&quarters, NOW - DAY) >= 91 + 96,
                "yesterday is still counted"
            );
        }
    }

    #[test]
    fn a_week_of_a_shop_that_never_closes_is_bounded_and_keeps_its_last_three_days() {
        let mut quarters = Quarters::default();
        for time in (NOW - 7 * DAY..=NOW).step_by(QUARTER_MS as usize) {
            quarters.of(time, time).unwrap().orders += 1;
        }
        assert_eq!(quarters.iter().count(), KEPT);
        assert_eq!(orders_since(&quarters, NOW - 3 * DAY), 3 * 96 + 1);
        assert!(
            quarters.of(NOW - 30 * DAY, NOW).is_none(),
            "older than all of them"
        );
    }

    proptest! {
        // Each case fills three days.
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn absurd_times_do_not_displace_real_ones(times in prop::collection::vec(any::<i64>(), 0..600)) {
            let mut quarters = full();
            let real = orders_since(&quarters, NOW - 3 * DAY);
            for time in times {
                if time.saturating_sub(NOW).unsigned_abs() < 5 * DAY as u64 {
                    continue;
                }
                if let Some(counts) = quarters.of(time, NOW) {
                    counts.deliveries += 1;
                }
            }
            prop_assert_eq!(orders_since(&quarters, NOW - 3 * DAY), real);
            prop_assert!(quarters.iter().count() <= KEPT + KEPT_AHEAD);
        }

        #[test]
        fn quarters_survive_the_file(counts in prop::collection::btree_map(any::<i64>(), (any::<u64>(), any::<i64>()), 0..20)) {
            let counts = counts.into_iter().map(|(quarter, (orders, revenue))| {
                (quarter, Counts { orders, revenue, ..Counts::default() })
            });
            let quarters = Quarters(counts.collect());
            let json = serde_json::to_string(&quarters).unwrap();
            prop_assert_eq!(serde_json::from_str::<Quarters>(&json).unwrap(), quarters);
        }
    }
}
