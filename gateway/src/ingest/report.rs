//! Reports the state of the MQTT connection to people: as the peer's status and in a few log lines.
//!
//! Repeated losses for the same reason are logged once, and then summarised once a minute.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use comptoir_mqtt::{ReasonCode, ReasonText};
use tokio::time::Instant;
use tracing::{info, warn};

use super::advice::on_refused_publish;
use super::backoff::{Cause, STABLE_BESIDE_TWIN_AFTER};
use crate::platform::peer::{Peer, PeerState};

/// How often [`Report::summarise`] is called.
pub const SUMMARY_INTERVAL: Duration = Duration::from_secs(60);
/// How long the page shows a publish that the broker refused.
const REFUSAL_SHOWN_FOR: Duration = Duration::from_secs(120);

pub struct Report {
    peer: Peer,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The last logged reason, until a connection has lasted.
    logged_problem: Option<String>,
    /// Whether "connected" has been logged since then.
    is_connected_logged: bool,
    /// Connections lost for that reason since then.
    repeated: u32,
    connected_at: Option<Instant>,
    /// Warnings about the limits of this connection's broker.
    limits: Vec<String>,
    /// The warning that another gateway has the same client id, from an earlier connection.
    twin: Option<String>,
    /// The last publish that the broker refused.
    refusal: Option<(Instant, String)>,
    /// The last logged limits.
    logged_limits: Vec<String>,
}

impl Report {
    pub fn new(peer: Peer) -> Self {
        Self {
            peer,
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves the state consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Called when the broker has granted the subscriptions and events flow. `limits` are warnings.
    pub fn connected(&self, limits: Vec<String>) {
        let mut state = self.lock();
        state.connected_at = Some(Instant::now());
        state.refusal = None;
        if state.logged_limits != limits {
            for warning in &limits {
                warn!("{warning}");
            }
            state.logged_limits.clone_from(&limits);
        }
        state.limits = limits;
        self.peer.set(PeerState::Up, None, state.warnings());
        if !std::mem::replace(&mut state.is_connected_logged, true) {
            info!(peer = self.peer.peer(), "connected");
        }
    }

    /// Called when the connection is lost or could not be made.
    pub fn disconnected(&self, problem: String, cause: Cause) {
        let mut state = self.lock();
        if cause == Cause::Twin {
            state.twin = Some(problem.clone());
        }
        let was_connected = state.connected_at.take().is_some();
        self.peer.set(PeerState::Down, Some(problem.clone()), Vec::new());
        if state.logged_problem.as_ref() == Some(&problem) {
            state.repeated += u32::from(was_connected);
            return;
        }
        warn!(peer = self.peer.peer(), problem, "no connection");
        state.logged_problem = Some(problem);
        state.is_connected_logged = false;
        state.repeated = 0;
    }

    /// Called when the broker refuses an ack or a command. `is_due` says whether to log this refusal; that is so once a
    /// minute.
    pub fn publish_refused(&self, topic: &str, refusal: &Refusal, is_due: bool) {
        let sentence = refusal.sentence(topic);
        let mut state = self.lock();
        if is_due {
            warn!("{sentence}; comptoir_mqtt_refused_total counts them");
        } else if state.refusal.is_some() {
            return;
        }
        state.refusal = Some((Instant::now(), sentence));
        if self.peer.is_up() {
            self.peer.warn(state.warnings());
        }
    }

    /// Withdraws warnings that no longer apply. Called after each ping.
    pub fn refresh(&self) {
        let mut state = self.lock();
        if state
            .refusal
            .as_ref()
            .is_some_and(|(at, _)| at.elapsed() >= REFUSAL_SHOWN_FOR)
        {
            state.refusal = None;
        }
        if state
            .connected_at
            .is_some_and(|at| at.elapsed() >= STABLE_BESIDE_TWIN_AFTER)
        {
            state.twin = None;
        }
        if self.peer.is_up() {
            self.peer.warn(state.warnings());
        }
    }

    /// Logs how often the connection was lost for the same reason. Called every [`SUMMARY_INTERVAL`].
    pub fn summarise(&self) {
        let mut state = self.lock();
        let repeated = std::mem::take(&mut state.repeated);
        if let Some(problem) = &state.logged_problem
            && repeated > 0
        {
            warn!(
                peer = self.peer.peer(),
                problem, repeated, "lost repeatedly within the last minute"
            );
        } else if state
            .connected_at
            .is_some_and(|at| at.elapsed() >= SUMMARY_INTERVAL)
        {
            // The connection has lasted, so the next loss is logged, whatever its reason.
            state.logged_problem = None;
        }
    }
}

impl State {
    fn warnings(&self) -> Vec<String> {
        let refusal = self.refusal.iter().map(|(_, sentence)| sentence.clone());
        self.limits
            .iter()
            .chain(&self.twin)
            .cloned()
            .chain(refusal)
            .collect()
    }
}

/// Why the broker did not get a publish.
pub enum Refusal {
    /// The publish is larger than the broker accepts and was not sent.
    TooLarge,
    /// The PUBACK's reason code and reason string.
    PubAck(ReasonCode, Option<String>),
}

impl Refusal {
    fn sentence(&self, topic: &str) -> String {
        let consequence = match topic.ends_with("/ack") {
            true => "the till keeps its sales and sends them again",
            false => "the till does not get it",
        };
        match self {
            Self::TooLarge => format!(
                "the MQTT broker does not accept a packet as large as the one for {topic}: {consequence}; {}",
                on_refused_publish(ReasonCode::PACKET_TOO_LARGE)
            ),
            Self::PubAck(code, text) => format!(
                "the MQTT broker refused what was published to {topic}: {code}: {consequence}; {}{}",
                on_refused_publish(*code),
                ReasonText(text.as_deref())
            ),
        }
    }
}
