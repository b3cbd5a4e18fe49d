//! The hours in which only severe troubles are mailed.

use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::TimeZone;

/// The same hours of each day, in a time zone. They may include midnight.
#[derive(Debug, Clone, PartialEq)]
pub struct QuietHours {
    from: Time,
    until: Time,
    time_zone: TimeZone,
}

/// Why a text does not name quiet hours.
#[derive(Debug, thiserror::Error)]
#[error("not FROM-UNTIL TIME_ZONE; for example \"22:00-07:00 Europe/Paris\"")]
pub struct ParseQuietHoursError;

impl FromStr for QuietHours {
    type Err = ParseQuietHoursError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (hours, time_zone) = text.split_once(' ')?;
            let (from, until) = hours.split_once('-')?;
            let time = |text: &str| Time::strptime("%H:%M", text).ok();
            Some(Self {
                from: time(from)?,
                until: time(until)?,
                time_zone: TimeZone::get(time_zone.trim()).ok()?,
            })
        };
        parse()
            .filter(|hours| hours.from != hours.until)
            .ok_or(ParseQuietHoursError)
    }
}

impl QuietHours {
    pub fn contains(&self, now: Timestamp) -> bool {
        let time = now.to_zoned(self.time_zone.clone()).time();
        match self.from < self.until {
            true => self.from <= time && time < self.until,
            false => self.from <= time || time < self.until,
        }
    }

    pub fn time_zone(&self) -> &TimeZone {
        &self.time_zone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_hours_may_include_midnight_and_follow_the_clocks_of_their_time_zone() {
        let night: QuietHours = "22:00-07:00 Europe/Paris".parse().unwrap();
        let is_quiet = |hours: &QuietHours, time: &str| hours.contains(time.parse().unwrap());
        for (time, expected) in [
            ("2026-01-30T20:59:59Z", false),
            ("2026-01-30T21:00:00Z", true),
            ("2026-01-31T05:59:59Z", true),
            ("2026-01-31T06:00:00Z", false),
            // Summer time.
            ("2026-07-30T20:00:00Z", true),
            ("2026-07-31T05:00:00Z", false),
        ] {
            assert_eq!(is_quiet(&night, time), expected, "{time}");
        }
        let noon: QuietHours = "12:00-13:30 UTC".parse().unwrap();
        assert!(is_quiet(&noon, "2026-01-30T13:29:00Z") && !is_quiet(&noon, "2026-01-30T13:30:00Z"));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "22:00-07:00",
            "22-7 Europe/Paris",
            "22:00-25:00 UTC",
            "22:00-22:00 UTC",
            "22:00-07:00 Paris",
        ] {
            assert!(text.parse::<QuietHours>().is_err(), "{text}");
        }
    }
}
