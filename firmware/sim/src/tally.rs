//! The counters of a run, its progress and its summary.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use jiff::Timestamp;
use serde::Serialize;

use crate::faults::Kind;

/// A monotonic clock in microseconds since the run began, and its offset to Unix time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    started_ms: u64,
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        let now = Timestamp::now().as_millisecond();
        Self {
            start: Instant::now(),
            started_ms: u64::try_from(now).unwrap_or(0),
        }
    }

    /// Microseconds since the start, at least 1.
    pub fn micros(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros())
            .unwrap_or(u64::MAX)
            .max(1)
    }

    /// Milliseconds since the start.
    pub fn millis(&self) -> u64 {
        self.micros() / 1000
    }

    /// The Unix time in milliseconds at `micros` after the start.
    pub fn unix_ms(&self, micros: u64) -> u64 {
        self.started_ms.saturating_add(micros / 1000)
    }

    /// The instant `millis` after the start.
    pub fn instant(&self, millis: u64) -> Instant {
        self.start
            .checked_add(Duration::from_millis(millis))
            .unwrap_or(self.start)
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

/// The progress of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Number of tills (a replay adds one when its store first appears).
    pub tills: u64,
    /// Number of connected tills.
    pub connected_tills: u64,
    /// Number of tills that have ended, with everything sold and acked.
    pub finished_tills: u64,
    /// Events sold by this run.
    pub sold: u64,
    /// Events of this run's tills that the gateway has acked end to end.
    pub acked: u64,
    /// Unacked events in the queues, including those that an earlier run left on disk.
    pub unacked: u64,
    /// Events lost by a till's flash.
    pub lost: u64,
    /// Repeated publishes of an event.
    pub resent: u64,
    /// Number of events that the run will sell in all, if known.
    pub total: Option<u64>,
    /// Time since the start.
    pub elapsed: Duration,
    /// The last problem of a till, as long as a till is neither connected nor finished.
    pub trouble: Option<String>,
}

/// The result of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The seed from which the run's events were generated.
    pub seed: u64,
    /// Number of tills.
    #[serde(rename = "terminals")]
    pub tills: u64,
    /// Events sold by this run.
    pub sold: u64,
    /// Events acked end to end, including an earlier run's events in queues on disk.
    pub acked: u64,
    /// Events still in the queues: 0 unless the run was stopped.
    pub unacked: u64,
    /// Events that a till's flash lost before they were acked: 0 unless flash faults were requested.
    pub lost: u64,
    /// Publishes of events.
    pub published: u64,
    /// Repeated publishes among them.
    pub resent: u64,
    /// Connections made; one per till if none was lost.
    pub connects: u64,
    /// Commands received.
    pub commands: u64,
    /// Number of faults of each kind; kinds without one are left out.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub faults: BTreeMap<&'static str, u64>,
    /// Seconds from the start to the last ack.
    pub seconds: f64,
    /// Acked events per second of that time.
    pub events_per_second: f64,
    /// Time from an event's first publish to its end-to-end ack.
    pub ack_latency_ms: Latency,
}

/// Percentiles, in milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[expect(missing_docs, reason = "the names are the percentiles")]
pub struct Latency {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p99_9: f64,
    pub max: f64,
}

/// The counters that all tills share.
#[derive(Debug)]
pub struct Tally {
    pub tills: AtomicU64,
    pub connected: AtomicU64,
    pub finished: AtomicU64,
    pub connects: AtomicU64,
    pub sold: AtomicU64,
    pub acked: AtomicU64,
    /// Events found in queues on disk.
    pub inherited: AtomicU64,
    pub lost: AtomicU64,
    pub published: AtomicU64,
    pub resent: AtomicU64,
    pub commands: AtomicU64,
    faults: [AtomicU64; Kind::ALL.len()],
    last_ack: AtomicU64,
    trouble: Mutex<Option<String>>,
    latency: Mutex<Histogram<u64>>,
}

/// The longest latency that the histogram resolves: an hour.
const MAX_LATENCY_MICROS: u64 = 3_600_000_000;

impl Tally {
    pub fn new() -> Result<Self, hdrhistogram::CreationError> {
        Ok(Self {
            tills: AtomicU64::new(0),
            connected: AtomicU64::new(0),
            finished: AtomicU64::new(0),
            connects: AtomicU64::new(0),
            sold: AtomicU64::new(0),
            acked: AtomicU64::new(0),
            inherited: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            faults: Default::default(),
            published: AtomicU64::new(0),
            resent: AtomicU64::new(0),
            commands: AtomicU64::new(0),
            last_ack: AtomicU64::new(0),
            trouble: Mutex::new(None),
            latency: Mutex::new(Histogram::new_with_max(MAX_LATENCY_MICROS, 3)?),
        })
    }

    /// Counts `count` acked events and their latencies. `published` has the time of each one's first publish; 0 for an event
    /// that only an earlier run published.
    pub fn acked(&self, now: u64, count: u32, published: impl Iterator<Item = u64>) {
        let mut latency = lock(&self.latency);
        for published in published {
            if published > 0 {
                latency.saturating_record(now.saturating_sub(published));
            }
        }
        drop(latency);
        self.acked.fetch_add(u64::from(count), Relaxed);
        self.last_ack.fetch_max(now, Relaxed);
    }

    /// Remembers the last problem.
    pub fn trouble(&self, what: String) {
        *lock(&self.trouble) = Some(what);
    }

    /// Counts a fault that struck.
    pub fn struck(&self, kind: Kind) {
        self.faults[kind as usize].fetch_add(1, Relaxed);
    }

    pub fn progress(&self, total: Option<u64>, elapsed: Duration) -> Progress {
        let (tills, finished) = (self.tills.load(Relaxed), self.finished.load(Relaxed));
        let connected = self.connected.load(Relaxed);
        // In this order, so that `acked + lost` never exceeds `sold + inherited`.
        let (acked, lost) = (self.acked.load(Relaxed), self.lost.load(Relaxed));
        let (sold, inherited) = (self.sold.load(Relaxed), self.inherited.load(Relaxed));
        let trouble = lock(&self.trouble).clone();
        Progress {
            tills,
            connected_tills: connected,
            finished_tills: finished,
            sold,
            acked,
            unacked: (sold + inherited).saturating_sub(acked + lost),
            lost,
            resent: self.resent.load(Relaxed),
            total,
            elapsed,
            trouble: trouble.filter(|_| connected + finished < tills),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "for people to read")]
    pub fn summary(&self, seed: u64) -> Summary {
        let latency = lock(&self.latency);
        let ms = |micros: u64| micros as f64 / 1000.0;
        let at = |quantile| ms(latency.value_at_quantile(quantile));
        let progress = self.progress(None, Duration::ZERO);
        let seconds = ms(self.last_ack.load(Relaxed)) / 1000.0;
        Summary {
            seed,
            tills: progress.tills,
            sold: progress.sold,
            acked: progress.acked,
            unacked: progress.unacked,
            lost: progress.lost,
            published: self.published.load(Relaxed),
            resent: progress.resent,
            connects: self.connects.load(Relaxed),
            commands: self.commands.load(Relaxed),
            faults: Kind::ALL
                .into_iter()
                .map(|kind| (kind.as_str(), self.faults[kind as usize].load(Relaxed)))
                .filter(|&(_, count)| count > 0)
                .collect(),
            seconds,
            events_per_second: if seconds > 0.0 {
                progress.acked as f64 / seconds
            } else {
                0.0
            },
            ack_latency_ms: Latency {
                p50: at(0.5),
                p90: at(0.9),
                p99: at(0.99),
                p99_9: at(0.999),
                max: ms(latency.max()),
            },
        }
    }
}

/// Ignores poisoning: a panic while counting leaves the count off by a few at worst.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
