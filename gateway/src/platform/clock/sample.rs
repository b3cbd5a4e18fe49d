//! One reading of all clocks at the same moment.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use rustix::time::{ClockId, clock_gettime};

use super::synchronisation::{Synchronisation, synchronisation};

/// Longest accepted time for reading all clocks. Beyond it the thread was interrupted between two readings, and the
/// clocks would seem to differ.
const MAX_READING_TIME: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Copy)]
pub(super) struct ClockSample {
    pub(super) at: Instant,
    /// Time since boot. Unlike [`Instant`], it includes the time that the machine sleeps.
    pub(super) since_boot: Duration,
    pub(super) time: Timestamp,
    pub(super) synchronisation: Synchronisation,
}

impl ClockSample {
    pub(super) fn now() -> Self {
        let mut sample = Self::read();
        while since_boot() > sample.since_boot + MAX_READING_TIME {
            sample = Self::read();
        }
        sample
    }

    fn read() -> Self {
        let since_boot = since_boot();
        let (at, time) = (Instant::now(), Timestamp::now());
        Self {
            at,
            since_boot,
            time,
            synchronisation: synchronisation(time),
        }
    }

    /// The time of day minus the time since boot, which changes only when the clock is set.
    pub(super) fn offset(&self) -> SignedDuration {
        let since_boot = SignedDuration::try_from(self.since_boot).unwrap_or_default();
        self.time.as_duration() - since_boot
    }
}

fn since_boot() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default()
}
