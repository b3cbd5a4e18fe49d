//! What people are told of the MQTT connection: the link's status, and few log lines.
//!
//! A connection that is lost again and again for the same reason is logged once, and then in one line a minute.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use super::pauses::{Cause, LASTED_BESIDE_TWIN};
use super::reason::{Code, Quoted, publish_advice};
use crate::link::{Link, LinkState};

/// Between two summaries.
pub const SUMMARY_EVERY: Duration = Duration::from_secs(60);
/// For so long the page shows that the broker refused a publish.
const REFUSAL_SHOWN: Duration = Duration::from_secs(120);

pub struct Report {
    link: Link,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The reason that was logged last, until the connection has held.
    logged: Option<String>,
    /// "connected" was logged since.
    connected_logged: bool,
    /// Connections lost for that reason since it was logged.
    repeated: u32,
    up_since: Option<Instant>,
    /// What the broker of this connection limits.
    limits: Vec<String>,
    /// That another gateway has the same client id: the broker said so of an earlier connection.
    twin: Option<String>,
    /// The last publish that it refused.
    refusal: Option<(Instant, String)>,
    /// The warnings that were logged last.
    warned: Vec<String>,
}

impl Report {
    pub fn new(link: Link) -> Self {
        Self {
            link,
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves the state whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Events flow. `limits`: what the broker makes work less well.
    pub fn up(&self, limits: Vec<String>) {
        let mut state = self.lock();
        state.up_since = Some(Instant::now());
        state.refusal = None;
        if state.warned != limits {
            for warning in &limits {
                warn!("{warning}");
            }
            state.warned.clone_from(&limits);
        }
        state.limits = limits;
        self.link.set(LinkState::Up, None, state.warnings());
        if !std::mem::replace(&mut state.connected_logged, true) {
            info!(peer = self.link.peer(), "connected");
        }
    }

    /// The connection is lost, or could not be made.
    pub fn down(&self, problem: String, cause: Cause) {
        let mut state = self.lock();
        if cause == Cause::Twin {
            state.twin = Some(problem.clone());
        }
        let was_up = state.up_since.take().is_some();
        self.link.set(LinkState::Down, Some(problem.clone()), Vec::new());
        if state.logged.as_ref() == Some(&problem) {
            state.repeated += u32::from(was_up);
            return;
        }
        warn!(peer = self.link.peer(), problem, "not reached");
        state.logged = Some(problem);
        state.connected_logged = false;
        state.repeated = 0;
    }

    /// The broker does not take an ack or a command. Logged once a minute: `is_due` says whether it is time.
    pub fn refused(&self, topic: &str, refusal: &Refusal, is_due: bool) {
        let sentence = refusal.sentence(topic);
        let mut state = self.lock();
        if is_due {
            warn!("{sentence}; comptoir_mqtt_refused_total counts them");
        } else if state.refusal.is_some() {
            return;
        }
        state.refusal = Some((Instant::now(), sentence));
        if self.link.is_up() {
            self.link.warn(state.warnings());
        }
    }

    /// To be called every now and then: takes back what is over.
    pub fn refresh(&self) {
        let mut state = self.lock();
        if state
            .refusal
            .as_ref()
            .is_some_and(|(at, _)| at.elapsed() >= REFUSAL_SHOWN)
        {
            state.refusal = None;
        }
        if state
            .up_since
            .is_some_and(|since| since.elapsed() >= LASTED_BESIDE_TWIN)
        {
            state.twin = None;
        }
        if self.link.is_up() {
            self.link.warn(state.warnings());
        }
    }

    /// To be called every [`SUMMARY_EVERY`].
    pub fn summarise(&self) {
        let mut state = self.lock();
        let repeated = std::mem::take(&mut state.repeated);
        if let Some(problem) = &state.logged
            && repeated > 0
        {
            warn!(
                peer = self.link.peer(),
                problem, repeated, "lost again and again within the last minute"
            );
        } else if state
            .up_since
            .is_some_and(|since| since.elapsed() >= SUMMARY_EVERY)
        {
            // It holds. The next loss is news.
            state.logged = None;
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

/// Why the broker does not have a publish.
pub enum Refusal {
    /// Larger than what its CONNACK allows; it was not sent.
    TooLarge,
    /// The PUBACK's reason code, and the broker's own words.
    Answered(u8, Option<String>),
}

impl Refusal {
    fn sentence(&self, topic: &str) -> String {
        let consequence = match topic.ends_with("/ack") {
            true => "the till keeps its sales and sends them again",
            false => "the till does not get it",
        };
        match self {
            Self::TooLarge => format!(
                "the MQTT broker takes no packet as large as the one for {topic}: {consequence}; {}",
                publish_advice(0x95)
            ),
            Self::Answered(code, text) => format!(
                "the MQTT broker refused what was published to {topic}: {}: {consequence}; {}{}",
                Code(*code),
                publish_advice(*code),
                Quoted(text.as_deref())
            ),
        }
    }
}
