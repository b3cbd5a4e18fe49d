//! The machine's clock: is it synchronised, and when was it set?
//!
//! A small computer without a battery-backed clock boots with the time at which it was switched off, and its clock
//! jumps when it reaches a time server. So the gateway never bases a wait on this clock; waits use the monotonic clock.
//! Only displayed times use it: they are stored as moments of the monotonic clock and converted when displayed.

mod sample;
mod synchronisation;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use sample::ClockSample;
pub use synchronisation::Synchronisation;

/// How often the clocks are sampled and compared.
const SAMPLE_PERIOD: Duration = Duration::from_secs(1);
/// Smallest change that counts as a jump. A time server corrects smaller errors gradually.
const MIN_JUMP: SignedDuration = SignedDuration::from_secs(1);
/// How long the status shows a jump.
const JUMP_SHOWN: Duration = Duration::from_secs(24 * 3_600);

const UNSYNCHRONISED: &str = "the machine's clock is not synchronised with a time server, so displayed times may be wrong; \
                              see `timedatectl status`";

/// A change of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockJump {
    at: Instant,
    /// Negative if the clock was set back.
    pub by: SignedDuration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockStatus {
    pub synchronisation: Synchronisation,
    /// The last jump, if it happened within 24 hours.
    pub jump: Option<ClockJump>,
    /// Number of jumps since the start.
    pub jumps: u64,
}

/// Watches the machine's clock. Clones share the state.
#[derive(Clone)]
pub struct Clock(Arc<Mutex<State>>);

#[derive(Debug, Clone, Copy)]
struct State {
    status: ClockStatus,
    /// A moment of the monotonic clock with its time of day, the base for computing other times.
    anchor: (Instant, Timestamp),
    /// See [`ClockSample::offset`].
    offset: SignedDuration,
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock {
    /// Takes the first sample. [`Self::watch`] takes the others.
    pub fn new() -> Self {
        Self::starting_at(ClockSample::now())
    }

    fn starting_at(sample: ClockSample) -> Self {
        Self(Arc::new(Mutex::new(State {
            status: ClockStatus {
                synchronisation: sample.synchronisation,
                jump: None,
                jumps: 0,
            },
            anchor: (sample.at, sample.time),
            offset: sample.offset(),
        })))
    }

    /// Samples the clocks until `stop`.
    pub async fn watch(self, stop: CancellationToken) {
        if self.status().synchronisation == Synchronisation::Unsynchronised {
            warn!("{UNSYNCHRONISED}");
        }
        let mut ticks = tokio::time::interval(SAMPLE_PERIOD);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = ticks.tick() => self.observe(ClockSample::now()),
            }
        }
    }

    pub fn status(&self) -> ClockStatus {
        let mut status = self.lock().status;
        status.jump = status.jump.filter(|jump| jump.at.elapsed() < JUMP_SHOWN);
        status
    }

    /// Converts a moment to a time of day, by the clock as it is set now.
    pub fn time_of(&self, moment: Instant) -> Timestamp {
        let (at, time) = self.lock().anchor;
        let since = |later: Instant, earlier: Instant| {
            SignedDuration::try_from(later.duration_since(earlier)).unwrap_or_default()
        };
        // Fails only if the clock is thousands of years off.
        match moment >= at {
            true => time.checked_add(since(moment, at)).unwrap_or(time),
            false => time.checked_sub(since(at, moment)).unwrap_or(time),
        }
    }

    fn observe(&self, sample: ClockSample) {
        let mut state = self.lock();
        let change = sample.offset() - state.offset;
        state.offset = sample.offset();
        if change.abs() >= MIN_JUMP {
            warn!(
                by = %format!("{change:#}"),
                "the machine's clock was set {}",
                if change.is_negative() { "back" } else { "forward" }
            );
            state.status.jump = Some(ClockJump {
                at: sample.at,
                by: change,
            });
            state.status.jumps += 1;
        }
        // Moves the anchor after a jump, and after a sleep, during which the monotonic clock stood still. Small
        // corrections do not move it; otherwise every displayed time would keep changing.
        let (at, time) = state.anchor;
        let elapsed = SignedDuration::try_from(sample.at.duration_since(at)).unwrap_or_default();
        let error = sample.time.duration_since(time) - elapsed;
        if error.abs() >= MIN_JUMP {
            state.anchor = (sample.at, sample.time);
        }
        match (state.status.synchronisation, sample.synchronisation) {
            (Synchronisation::Unsynchronised, Synchronisation::Synchronised) => {
                info!("the machine's clock is synchronised with a time server");
            }
            (Synchronisation::Synchronised | Synchronisation::Unknown, Synchronisation::Unsynchronised) => {
                warn!("{UNSYNCHRONISED}");
            }
            _ => {}
        }
        state.status.synchronisation = sample.synchronisation;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic in another thread leaves the state consistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClockJump {
    /// The time of the jump, by the clock as it is set now.
    pub fn time(&self, clock: &Clock) -> Timestamp {
        clock.time_of(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sample after `awake` and `asleep` seconds, during which the clock was set by `set`.
    fn later(from: ClockSample, awake: u64, set: SignedDuration, asleep: u64) -> ClockSample {
        let (awake, asleep) = (Duration::from_secs(awake), Duration::from_secs(asleep));
        ClockSample {
            at: from.at + awake,
            since_boot: from.since_boot + awake + asleep,
            time: from.time + awake + asleep + set,
            ..from
        }
    }

    #[test]
    fn setting_the_clock_counts_as_a_jump_but_a_small_correction_or_a_sleep_does_not() {
        let first = ClockSample::now();
        for (set, asleep, is_jump) in [
            (SignedDuration::from_hours(-1), 0, true),
            (SignedDuration::from_hours(24 * 365), 0, true),
            (SignedDuration::from_millis(-300), 0, false),
            (SignedDuration::ZERO, 3_600, false),
        ] {
            let clock = Clock::starting_at(first);
            let second = later(first, 10, set, asleep);
            clock.observe(second);
            let status = clock.status();
            assert_eq!(status.jump.map(|jump| jump.by), is_jump.then_some(set), "{set}");
            assert_eq!(status.jumps, u64::from(is_jump));
            // The next sample does not count the jump again.
            clock.observe(later(second, 1, SignedDuration::ZERO, 0));
            assert_eq!(clock.status().jumps, u64::from(is_jump), "{set}");
        }
    }

    #[test]
    fn the_time_of_an_earlier_moment_follows_the_clock_when_it_is_set() {
        let first = ClockSample::now();
        let clock = Clock::starting_at(first);
        assert_eq!(clock.time_of(first.at), first.time);
        let hour = SignedDuration::from_hours(1);
        clock.observe(later(first, 10, -hour, 0));
        assert_eq!(clock.time_of(first.at), first.time - hour);
        assert_eq!(
            clock.time_of(first.at + Duration::from_secs(60)),
            first.time - hour + Duration::from_secs(60)
        );
    }
}
