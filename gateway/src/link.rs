//! Whether a peer is reached, since when, and what went wrong last: for people and for readiness.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use backon::BackoffBuilder;
use tokio::sync::watch;
use tracing::{info, warn};

/// How long to wait before each further attempt to reach a peer: a tenth of a second, then longer, up to
/// `longest`, with jitter, so that a shop's gateways do not all come back at once.
pub fn patience(longest: Duration) -> backon::ExponentialBackoff {
    backon::ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(longest)
        .with_jitter()
        .without_max_times()
        .build()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    /// Not configured: nobody to reach.
    Off,
    Down,
    Up,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkStatus {
    pub state: LinkState,
    pub since: Instant,
    /// What went wrong last; empties when the link is up.
    pub problem: Option<String>,
    /// What works less well than it should while the link is up, one sentence each.
    pub warnings: Vec<String>,
}

/// One peer's status. Clones share it.
#[derive(Clone)]
pub struct Link {
    peer: &'static str,
    status: watch::Sender<LinkStatus>,
}

impl Link {
    pub fn new(peer: &'static str, state: LinkState) -> Self {
        Self {
            peer,
            status: watch::Sender::new(LinkStatus {
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

    pub fn status(&self) -> LinkStatus {
        self.status.borrow().clone()
    }

    pub fn is_up(&self) -> bool {
        self.status.borrow().state == LinkState::Up
    }

    pub fn watch(&self) -> watch::Receiver<LinkStatus> {
        self.status.subscribe()
    }

    pub fn up(&self) {
        let changed = self.change(LinkState::Up, None, None);
        if changed {
            info!(peer = self.peer, "connected");
        }
    }

    /// Notes the problem; `since` moves only when the link was not down before.
    pub fn down(&self, problem: impl ToString) {
        let problem = problem.to_string();
        let changed = self.change(LinkState::Down, Some(problem.clone()), None);
        if changed {
            warn!(peer = self.peer, problem, "not reached");
        }
    }

    /// Changes the status without a log line. True if the state or the problem is another than before.
    pub fn set(&self, state: LinkState, problem: Option<String>, warnings: Vec<String>) -> bool {
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

    /// `warnings`: `None` keeps those that there are. True if the state or the problem is another than before.
    fn change(&self, state: LinkState, problem: Option<String>, warnings: Option<Vec<String>>) -> bool {
        let mut news = false;
        self.status.send_if_modified(|status| {
            let warnings = warnings.unwrap_or_else(|| status.warnings.clone());
            news = status.state != state || status.problem != problem;
            if !news && status.warnings == warnings {
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
        news
    }
}

/// Says when to complain of what goes on and on: once a minute.
#[derive(Default)]
pub struct Seldom(Mutex<Option<Instant>>);

const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

impl Seldom {
    /// True if nobody was told so within the last minute.
    pub fn due(&self) -> bool {
        // A panic elsewhere leaves a time.
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|last| last.elapsed() >= COMPLAIN_EVERY);
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
    fn complaints_are_seldom() {
        let complaints = Seldom::default();
        assert!(complaints.due());
        assert!((0..1_000).all(|_| !complaints.due()));
    }
}
