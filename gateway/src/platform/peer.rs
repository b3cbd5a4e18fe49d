//! The connection status of a peer (MQTT broker, Kafka): its state, since when, and the last problem. Read by people
//! and by `/readyz`.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use backon::BackoffBuilder;
use tokio::sync::watch;
use tracing::{info, warn};

/// Delays between reconnection attempts: from a tenth of a second, growing exponentially, up to `max_delay`. Jitter
/// keeps gateways from reconnecting all at once.
pub fn backoff(max_delay: Duration) -> backon::ExponentialBackoff {
    backon::ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(max_delay)
        .with_jitter()
        .without_max_times()
        .build()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerState {
    /// Not configured.
    Off,
    Down,
    Up,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerStatus {
    pub state: PeerState,
    pub since: Instant,
    /// The last problem; `None` while the peer is up.
    pub problem: Option<String>,
    /// Limitations while the peer is up, one sentence each.
    pub warnings: Vec<String>,
}

/// One peer's status. Clones share it.
#[derive(Clone)]
pub struct Peer {
    peer: &'static str,
    status: watch::Sender<PeerStatus>,
}

impl Peer {
    pub fn new(peer: &'static str, state: PeerState) -> Self {
        Self {
            peer,
            status: watch::Sender::new(PeerStatus {
                state,
                since: Instant::now(),
                problem: None,
                warnings: Vec::new(),
            }),
        }
    }

    /// The peer's name, for log lines.
    pub fn peer(&self) -> &'static str {
        self.peer
    }

    pub fn status(&self) -> PeerStatus {
        self.status.borrow().clone()
    }

    pub fn is_up(&self) -> bool {
        self.status.borrow().state == PeerState::Up
    }

    pub fn watch(&self) -> watch::Receiver<PeerStatus> {
        self.status.subscribe()
    }

    /// Sets the state to up. Keeps the warnings.
    pub fn up(&self) {
        let changed = self.change(PeerState::Up, None, None);
        if changed {
            info!(peer = self.peer, "connected");
        }
    }

    /// Sets the state to down, with the problem. `since` changes only if the peer was not down before.
    pub fn down(&self, problem: impl ToString) {
        let problem = problem.to_string();
        let changed = self.change(PeerState::Down, Some(problem.clone()), None);
        if changed {
            warn!(peer = self.peer, problem, "unreachable");
        }
    }

    /// Sets the whole status without logging. Returns true if the state or the problem has changed.
    pub fn set(&self, state: PeerState, problem: Option<String>, warnings: Vec<String>) -> bool {
        self.change(state, problem, Some(warnings))
    }

    /// Replaces the warnings; an empty list removes them.
    pub fn warn(&self, warnings: Vec<String>) {
        self.status.send_if_modified(|status| {
            let changed = status.warnings != warnings;
            status.warnings = warnings;
            changed
        });
    }

    /// Changes the status; `warnings` of `None` keeps the present ones. Returns true if the state or the problem has
    /// changed.
    fn change(&self, state: PeerState, problem: Option<String>, warnings: Option<Vec<String>>) -> bool {
        let mut is_changed = false;
        self.status.send_if_modified(|status| {
            let warnings = warnings.unwrap_or_else(|| status.warnings.clone());
            is_changed = status.state != state || status.problem != problem;
            if !is_changed && status.warnings == warnings {
                return false;
            }
            if status.state != state {
                status.since = Instant::now();
            }
            status.state = state;
            status.problem = problem;
            status.warnings = warnings;
            true
        });
        is_changed
    }
}

/// Limits the log lines about a persistent condition to one per minute.
#[derive(Default)]
pub struct WarningLimiter(Mutex<Option<Instant>>);

const WARNING_PERIOD: Duration = Duration::from_secs(60);

impl WarningLimiter {
    /// Whether more than a minute has passed since the last warning, so that the caller should log one now.
    pub fn due(&self) -> bool {
        // A panic in another thread leaves the time consistent.
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|last| last.elapsed() >= WARNING_PERIOD);
        if due {
            *last = Some(Instant::now());
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_warnings_are_suppressed_for_a_minute() {
        let limiter = WarningLimiter::default();
        assert!(limiter.due());
        assert!((0..1_000).all(|_| !limiter.due()));
    }
}
