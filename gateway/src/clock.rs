//! The machine's clock: whether something sets it right, and when it was set.
//!
//! A small computer without a battery for its clock begins where it was switched off, and jumps when a time server is
//! reached. No wait of the gateway's depends on this clock: those are measured on the monotonic one. Times that are shown
//! do; so they are kept as moments of the monotonic clock and become times of day when somebody asks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use jiff::{SignedDuration, Timestamp};
use rustix::time::{ClockId, clock_gettime};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How often the clocks are compared.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Less than this a time server corrects by and by.
const JUMP: SignedDuration = SignedDuration::from_secs(1);
/// In which the clocks are read.
const BRIEF: Duration = Duration::from_millis(100);
/// How long a jump is worth telling.
const TOLD: Duration = Duration::from_secs(24 * 3_600);

/// Whether something sets the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Synchronisation {
    Synchronised,
    /// Not yet, or no more.
    Unsynchronised,
    /// The operating system does not say, or what it says is about another machine's clock.
    Unknown,
}

/// The clock was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jump {
    at: Instant,
    /// Backwards if negative.
    pub by: SignedDuration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockStatus {
    pub synchronisation: Synchronisation,
    /// The last one of the last 24 hours.
    pub jump: Option<Jump>,
    /// Since the start.
    pub jumps: u64,
}

/// What the clock has been seen to do. Clones share it.
#[derive(Clone)]
pub struct Clock(Arc<Mutex<State>>);

#[derive(Debug, Clone, Copy)]
struct State {
    status: ClockStatus,
    /// The time of day at this moment.
    known: (Instant, Timestamp),
    /// The time of day less the time since the machine was switched on: changes when the clock is set.
    ahead: SignedDuration,
}

/// What the clocks say at one moment.
#[derive(Debug, Clone, Copy)]
struct Reading {
    at: Instant,
    /// Goes on while the machine sleeps, which [`Instant`] does not.
    since_boot: Duration,
    time: Timestamp,
    synchronisation: Synchronisation,
}

impl Reading {
    fn now() -> Self {
        let mut reading = Self::once();
        // The machine may have had something else to do in between: the two clocks would then seem to differ.
        while since_boot() > reading.since_boot + BRIEF {
            reading = Self::once();
        }
        reading
    }

    fn once() -> Self {
        let since_boot = since_boot();
        let (at, time) = (Instant::now(), Timestamp::now());
        Self {
            at,
            since_boot,
            time,
            synchronisation: synchronisation(time),
        }
    }

    fn ahead(&self) -> SignedDuration {
        let since_boot = SignedDuration::try_from(self.since_boot).unwrap_or_default();
        self.time.as_duration() - since_boot
    }
}

fn since_boot() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default()
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock {
    /// Looks at it once.
    pub fn new() -> Self {
        let reading = Reading::now();
        Self(Arc::new(Mutex::new(State {
            status: ClockStatus {
                synchronisation: reading.synchronisation,
                jump: None,
                jumps: 0,
            },
            known: (reading.at, reading.time),
            ahead: reading.ahead(),
        })))
    }

    /// Watches it until `stop`.
    pub async fn watch(self, stop: CancellationToken) {
        if self.status().synchronisation == Synchronisation::Unsynchronised {
            warn!("{UNSYNCHRONISED}");
        }
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = looks.tick() => self.look(Reading::now()),
            }
        }
    }

    pub fn status(&self) -> ClockStatus {
        let mut status = self.lock().status;
        status.jump = status.jump.filter(|jump| jump.at.elapsed() < TOLD);
        status
    }

    /// The time of day of a moment, by the clock as it is set now.
    pub fn time_of(&self, moment: Instant) -> Timestamp {
        let (at, time) = self.lock().known;
        let since = |later: Instant, earlier: Instant| {
            SignedDuration::try_from(later.duration_since(earlier)).unwrap_or_default()
        };
        // Out of range only for clocks that are thousands of years off.
        match moment >= at {
            true => time.checked_add(since(moment, at)).unwrap_or(time),
            false => time.checked_sub(since(at, moment)).unwrap_or(time),
        }
    }

    fn look(&self, reading: Reading) {
        let mut state = self.lock();
        let jumped = reading.ahead() - state.ahead;
        state.ahead = reading.ahead();
        if jumped.abs() >= JUMP {
            warn!(
                by = %format!("{jumped:#}"),
                "the machine's clock was set {}",
                if jumped.is_negative() { "back" } else { "forward" }
            );
            state.status.jump = Some(Jump {
                at: reading.at,
                by: jumped,
            });
            state.status.jumps += 1;
        }
        // Also where the machine has slept. Not for each small correction: what is shown would change each time.
        let (at, time) = state.known;
        let elapsed = SignedDuration::try_from(reading.at.duration_since(at)).unwrap_or_default();
        let error = reading.time.duration_since(time) - elapsed;
        if error.abs() >= JUMP {
            state.known = (reading.at, reading.time);
        }
        match (state.status.synchronisation, reading.synchronisation) {
            (Synchronisation::Unsynchronised, Synchronisation::Synchronised) => {
                info!("the machine's clock is synchronised with a time server");
            }
            (Synchronisation::Synchronised | Synchronisation::Unknown, Synchronisation::Unsynchronised) => {
                warn!("{UNSYNCHRONISED}");
            }
            _ => {}
        }
        state.status.synchronisation = reading.synchronisation;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves the state whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Jump {
    /// When it happened, by the clock as it is set now.
    pub fn time(&self, clock: &Clock) -> Timestamp {
        clock.time_of(self.at)
    }
}

const UNSYNCHRONISED: &str = "the machine's clock is not synchronised with a time server: times that are shown may be wrong. \
                              `timedatectl status` says more";

/// What the kernel says of its clock, where that is this machine's to set.
fn synchronisation(now: Timestamp) -> Synchronisation {
    match (kernel_says_synchronised(), is_set_by_systemd()) {
        (Some(true), _) => Synchronisation::Synchronised,
        (Some(false), true) => Synchronisation::Unsynchronised,
        // Nobody could have started a program before it was made.
        _ if program_made().is_some_and(|made| now < made) => Synchronisation::Unsynchronised,
        _ => Synchronisation::Unknown,
    }
}

/// Containers have their host's clock, and often a kernel that says nothing of it. Elsewhere a time server may be followed
/// in ways that the kernel does not know of, as in many virtual machines.
fn is_set_by_systemd() -> bool {
    use std::path::Path;
    use std::sync::LazyLock;

    static BY_SYSTEMD: LazyLock<bool> = LazyLock::new(|| {
        let in_container = ["/run/systemd/container", "/.dockerenv", "/run/.containerenv"];
        Path::new("/run/systemd/system").is_dir() && !in_container.iter().any(|path| Path::new(path).exists())
    });
    *BY_SYSTEMD
}

fn program_made() -> Option<Timestamp> {
    use std::sync::LazyLock;

    static MADE: LazyLock<Option<Timestamp>> = LazyLock::new(|| {
        let made: SystemTime = std::env::current_exe().ok()?.metadata().ok()?.modified().ok()?;
        Timestamp::try_from(made).ok()
    });
    *MADE
}

#[expect(unsafe_code, reason = "there is no safe way to ask")]
fn kernel_says_synchronised() -> Option<bool> {
    // SAFETY: all of it is numbers, for which 0 stands for "change nothing".
    let mut answer: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: it writes to `answer`.
    let state = unsafe { libc::adjtimex(&raw mut answer) };
    (state >= 0).then_some(answer.status & libc::STA_UNSYNC == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock_at(reading: Reading) -> Clock {
        let clock = Clock::new();
        *clock.lock() = State {
            status: ClockStatus {
                synchronisation: reading.synchronisation,
                jump: None,
                jumps: 0,
            },
            known: (reading.at, reading.time),
            ahead: reading.ahead(),
        };
        clock
    }

    /// After so long, with the clock set by so much, and having slept for so long.
    fn later(from: Reading, awake: u64, set: SignedDuration, asleep: u64) -> Reading {
        let (awake, asleep) = (Duration::from_secs(awake), Duration::from_secs(asleep));
        Reading {
            at: from.at + awake,
            since_boot: from.since_boot + awake + asleep,
            time: from.time + awake + asleep + set,
            ..from
        }
    }

    #[test]
    fn a_clock_that_is_set_is_noticed_in_both_directions_and_a_correction_or_a_sleep_is_not() {
        let first = Reading::now();
        for (set, asleep, noticed) in [
            (SignedDuration::from_hours(-1), 0, true),
            (SignedDuration::from_hours(24 * 365), 0, true),
            (SignedDuration::from_millis(-300), 0, false),
            (SignedDuration::ZERO, 3_600, false),
        ] {
            let clock = clock_at(first);
            let second = later(first, 10, set, asleep);
            clock.look(second);
            let status = clock.status();
            assert_eq!(status.jump.map(|jump| jump.by), noticed.then_some(set), "{set}");
            assert_eq!(status.jumps, u64::from(noticed));
            // Once.
            clock.look(later(second, 1, SignedDuration::ZERO, 0));
            assert_eq!(clock.status().jumps, u64::from(noticed), "{set}");
        }
    }

    #[test]
    fn a_moment_has_its_time_of_day_also_after_the_clock_was_set() {
        let first = Reading::now();
        let clock = clock_at(first);
        assert_eq!(clock.time_of(first.at), first.time);
        let hour = SignedDuration::from_hours(1);
        clock.look(later(first, 10, -hour, 0));
        assert_eq!(clock.time_of(first.at), first.time - hour);
        assert_eq!(
            clock.time_of(first.at + Duration::from_secs(60)),
            first.time - hour + Duration::from_secs(60)
        );
    }

    #[test]
    fn a_clock_that_stands_before_the_program_was_made_is_not_synchronised() {
        let state = synchronisation(Timestamp::UNIX_EPOCH);
        // A kernel that says it is right is believed.
        let expected = match kernel_says_synchronised() {
            Some(true) => Synchronisation::Synchronised,
            _ => Synchronisation::Unsynchronised,
        };
        assert_eq!(state, expected);
    }
}
