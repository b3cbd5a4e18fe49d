//! Timestamps of sales: whole milliseconds in the range of RFC 3339.

use jiff::Timestamp;

/// 0000-01-01T00:00:00Z in Unix milliseconds. The upper end of the range is [`Timestamp`]'s own, at the end of 9999.
const FIRST_TIME: i64 = -62_167_219_200_000;

/// The current time in whole milliseconds, the resolution of tills and journal.
pub fn now() -> Timestamp {
    to_the_millisecond(Timestamp::now())
}

/// `time` rounded down to the millisecond.
pub fn to_the_millisecond(time: Timestamp) -> Timestamp {
    // The milliseconds of a Timestamp are always within its range.
    Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time)
}

/// Whether `time` can be written in RFC 3339, whose years are 0000 to 9999.
pub fn is_rfc3339(time: Timestamp) -> bool {
    time.as_millisecond() >= FIRST_TIME
}
