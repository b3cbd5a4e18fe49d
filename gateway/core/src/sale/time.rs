//! Timestamps of sales: whole milliseconds, in the range of RFC 3339.

use jiff::Timestamp;

/// 0000-01-01T00:00:00Z in Unix milliseconds. The other end of the range is that of [`Timestamp`], at the end of 9999.
const FIRST_TIME: i64 = -62_167_219_200_000;

/// The current time in whole milliseconds, the resolution of the tills and of the journal.
pub fn now() -> Timestamp {
    to_the_millisecond(Timestamp::now())
}

/// `time` without the fraction of its millisecond.
pub fn to_the_millisecond(time: Timestamp) -> Timestamp {
    // The milliseconds of a Timestamp are always within the range of a Timestamp.
    Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time)
}

/// Whether RFC 3339, whose years are 0000 to 9999, can represent `time`.
pub fn is_rfc3339(time: Timestamp) -> bool {
    time.as_millisecond() >= FIRST_TIME
}
