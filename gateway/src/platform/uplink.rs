//! How many bytes the connection to Kafka has carried today, and how many it may carry: on a metered uplink they cost
//! money.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::{Timestamp, Zoned, civil};
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::state_file;

/// How often the day's count is written to its file.
const SAVE_EVERY: Duration = Duration::from_secs(60);
/// Bytes that the file may lack besides, so that an idle gateway does not write it every minute.
const SAVE_FROM: u64 = 16 << 10;

/// Counts the traffic of each day, in the time zone of the machine.
pub struct UplinkMeter {
    /// How long events are gathered on a metered uplink; `None` if they leave at once.
    pub delay: Option<Duration>,
    /// `kafka.uplink_budget`
    pub budget: Option<u64>,
    /// Reads the counters, which count since the start of the gateway.
    count: Box<dyn Fn() -> Counted + Send + Sync>,
    day: Mutex<Day>,
    /// `None` without a budget: then only the pages need the count, and it begins with the gateway.
    file: Option<PathBuf>,
}

/// The present day.
struct Day {
    date: civil::Date,
    /// When the count began.
    since: Timestamp,
    /// Counted by earlier runs of the gateway.
    earlier: Counted,
    /// The counters when this run began the day.
    base: Counted,
    saved: (Instant, u64),
    /// Whether the budget was nearly used up at the last [`UplinkMeter::tick`].
    is_nearly_used_up: bool,
}

/// What the connection to Kafka has carried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Bytes.
    pub sent: u64,
    /// Bytes.
    pub received: u64,
    /// Events committed to Kafka.
    pub events: u64,
}

impl Counted {
    /// Bytes in both directions.
    fn bytes(self) -> u64 {
        self.sent + self.received
    }

    fn plus(self, other: Self) -> Self {
        Self {
            sent: self.sent + other.sent,
            received: self.received + other.received,
            events: self.events + other.events,
        }
    }

    fn since(self, base: Self) -> Self {
        Self {
            sent: self.sent.saturating_sub(base.sent),
            received: self.received.saturating_sub(base.received),
            events: self.events.saturating_sub(base.events),
        }
    }
}

/// The traffic of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayTraffic {
    /// When the count began: at midnight, or at a start of the gateway.
    pub since: Timestamp,
    pub counted: Counted,
}

/// The content of the file.
#[derive(Debug, Serialize, Deserialize)]
struct DayFile {
    date: civil::Date,
    since: Timestamp,
    #[serde(flatten)]
    counted: Counted,
}

impl UplinkMeter {
    /// With a budget, continues the count of this day from a file next to the journal: `journal.db` has
    /// `journal-uplink.json`. A file that cannot be read counts as empty.
    pub fn open(
        delay: Option<Duration>,
        budget: Option<u64>,
        journal: &Path,
        count: impl Fn() -> Counted + Send + Sync + 'static,
    ) -> Self {
        let now = Zoned::now();
        let file = budget.map(|_| state_file::beside(journal, "uplink"));
        let unknown = "the bytes that the connection to Kafka has carried today are unknown";
        let saved = file
            .as_deref()
            .and_then(|file| state_file::read::<DayFile>(file, unknown))
            .filter(|saved| saved.date == now.date());
        let earlier = saved.as_ref().map_or(Counted::default(), |saved| saved.counted);
        let day = Day {
            date: now.date(),
            since: saved.map_or(now.timestamp(), |saved| saved.since),
            earlier,
            base: Counted::default(),
            saved: (Instant::now(), earlier.bytes()),
            is_nearly_used_up: false,
        };
        Self {
            delay,
            budget,
            count: Box::new(count),
            day: Mutex::new(day),
            file,
        }
    }

    /// The bytes since the start of the gateway.
    pub fn total(&self) -> Counted {
        (self.count)()
    }

    /// The traffic of this day.
    pub fn today(&self) -> DayTraffic {
        self.day_of(&Zoned::now(), &mut self.lock())
    }

    /// Whether nine tenths of the day's budget are used up, so that only payments may be sent.
    pub fn is_nearly_used_up(&self) -> bool {
        self.is_nearly_used_up_in(&mut self.lock())
    }

    fn is_nearly_used_up_in(&self, day: &mut Day) -> bool {
        self.budget
            .is_some_and(|budget| self.day_of(&Zoned::now(), day).counted.bytes() >= budget - budget / 10)
    }

    /// Begins a new day at midnight, logs when the budget is nearly used up, and writes the day's count to its file if that
    /// is due. Blocks. Call it every few seconds.
    pub fn tick(&self) {
        let mut day = self.lock();
        let bytes = self.day_of(&Zoned::now(), &mut day).counted.bytes();
        let is_nearly_used_up = self.is_nearly_used_up_in(&mut day);
        let was_nearly_used_up = std::mem::replace(&mut day.is_nearly_used_up, is_nearly_used_up);
        let (at, saved) = day.saved;
        drop(day);
        match (was_nearly_used_up, is_nearly_used_up) {
            (false, true) => warn!(
                bytes,
                budget = self.budget,
                "nine tenths of the day's bytes (kafka.uplink_budget) are used up: only payments are sent to Kafka until \
                 midnight"
            ),
            (true, false) => info!(bytes, budget = self.budget, "all events are sent to Kafka again"),
            _ => {}
        }
        if at.elapsed() >= SAVE_EVERY && bytes.abs_diff(saved) >= SAVE_FROM {
            self.save();
        }
    }

    /// Writes the day's count to its file. Blocks.
    pub fn save(&self) {
        let Some(path) = &self.file else { return };
        let mut day = self.lock();
        let today = self.day_of(&Zoned::now(), &mut day);
        let content = DayFile {
            date: day.date,
            since: today.since,
            counted: today.counted,
        };
        day.saved = (Instant::now(), today.counted.bytes());
        drop(day);
        if let Err(error) = state_file::write(path, &content) {
            warn!(%error, file = %path.display(), "the bytes that the connection to Kafka has carried today cannot be recorded");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Day> {
        // A panic elsewhere leaves the value consistent.
        self.day.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn day_of(&self, now: &Zoned, day: &mut Day) -> DayTraffic {
        let count = self.total();
        if day.date != now.date() {
            *day = Day {
                date: now.date(),
                since: now.timestamp(),
                earlier: Counted::default(),
                base: count,
                saved: (day.saved.0, 0),
                is_nearly_used_up: day.is_nearly_used_up,
            };
        }
        DayTraffic {
            since: day.since,
            counted: day.earlier.plus(count.since(day.base)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn meter(budget: Option<u64>, journal: &Path) -> UplinkMeter {
        UplinkMeter::open(None, budget, journal, Counted::default)
    }

    #[test]
    fn a_new_day_starts_at_midnight_of_the_time_zone() {
        let events = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&events);
        let meter = UplinkMeter::open(None, None, Path::new("journal.db"), move || Counted {
            events: count.load(Ordering::Relaxed),
            ..Counted::default()
        });
        let at = |text: &str| {
            let now = text.parse::<Zoned>().unwrap();
            (
                meter.day_of(&now, &mut meter.lock()).counted.events,
                now.timestamp(),
            )
        };
        at("2026-12-01T23:59:50+01:00[+01:00]");
        events.store(7, Ordering::Relaxed);
        assert_eq!(at("2026-12-01T23:59:59+01:00[+01:00]").0, 7);
        let (count, midnight) = at("2026-12-02T00:00:00+01:00[+01:00]");
        assert_eq!(count, 0);
        events.store(9, Ordering::Relaxed);
        assert_eq!(at("2026-12-02T23:59:59+01:00[+01:00]").0, 2);
        assert_eq!(meter.lock().since, midnight);
    }

    #[test]
    fn a_restart_grants_no_new_budget() {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("journal.db");
        let file = folder.path().join("journal-uplink.json");
        let used = |date: civil::Date| DayFile {
            date,
            since: Timestamp::now(),
            counted: Counted {
                sent: 8_000_000,
                received: 1_000_000,
                events: 3,
            },
        };
        let today = Zoned::now().date();
        state_file::write(&file, &used(today)).unwrap();
        let first = meter(Some(10_000_000), &journal);
        assert!(first.is_nearly_used_up());
        first.save();
        let second = meter(Some(10_000_000), &journal);
        assert_eq!(second.today().counted.bytes(), 9_000_000);
        assert!(!meter(Some(10_000_001), &journal).is_nearly_used_up());
        state_file::write(&file, &used(today.yesterday().unwrap())).unwrap();
        assert!(!meter(Some(10_000_000), &journal).is_nearly_used_up());
        std::fs::write(&file, "{").unwrap();
        assert!(!meter(Some(10_000_000), &journal).is_nearly_used_up());
    }
}
