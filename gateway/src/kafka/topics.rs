//! The topics: made if they are absent, verified, and repaired where the gateway may.

mod admin;
mod description;
mod report;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::debug;

use super::{Error, Settings};
use admin::{Admin, Presence};
use description::{APPEND_TIME, MAX_BYTES, TIMESTAMP_TYPE, TOPICS, TopicDescription, TopicSettings};
pub(super) use report::set_command;
pub use report::{Deviation, Limits, Outcome, Report};

/// A right that was refused is not asked for more often: a Kafka broker logs each attempt.
const ATTEMPT_EVERY: Duration = Duration::from_secs(5);
/// A Kafka broker that has changed a topic tells so within this time.
const SETTLED: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What an inspection may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Make what is absent, and repair.
    Repair,
    /// Change nothing.
    Look,
}

/// Looks after the topics of one gateway.
#[derive(Debug)]
pub struct TopicInspector {
    settings: Settings,
    mode: Mode,
    /// When Kafka last did not let us change a topic, by its name.
    denied: Mutex<HashMap<String, Instant>>,
}

impl TopicInspector {
    pub fn new(settings: Settings, mode: Mode) -> Self {
        Self {
            settings,
            mode,
            denied: Mutex::default(),
        }
    }

    /// Compares the topics with what they must be, and makes and repairs them as far as it may. Blocks; to be called on a
    /// thread of a Tokio runtime that may block.
    ///
    /// # Errors
    /// Kafka does not answer in time, or a topic is absent and cannot be made. That a topic is not as it must be is no
    /// error here: see [`Report::refusal`].
    pub fn inspect(&self, within: Duration) -> Result<Report, Error> {
        let admin = Admin::connect(&self.settings, within)?;
        let mut report = Report::default();
        let (mut absent, mut present) = (Vec::new(), Vec::new());
        for topic in TOPICS {
            let (presence, brokers) = admin.presence(&self.settings.topic(topic.name))?;
            report.brokers = brokers;
            match presence {
                Presence::Present => present.push(topic),
                Presence::Absent => absent.push(topic),
            }
        }
        if self.mode == Mode::Look {
            report.absent = self.names(&absent);
        } else if !absent.is_empty() {
            report.absent = admin.create(&absent)?;
            for (topic, name) in absent.iter().zip(self.names(&absent)) {
                let limit = topic.settings.iter().find(|setting| setting.name == MAX_BYTES);
                let limit = limit.and_then(|setting| setting.initial?.parse().ok());
                report.limits.0.extend(limit.map(|limit| (name, limit)));
            }
        }
        let names = self.names(&present);
        if names.is_empty() {
            return Ok(report);
        }
        let Some(described) = admin.describe(&names)? else {
            return Ok(report);
        };
        for (topic, name) in present.into_iter().zip(names) {
            match described.get(&name).filter(|settings| !settings.is_empty()) {
                Some(settings) => self.judge(topic, &name, settings, &admin, &mut report),
                None if topic.settings.is_empty() => {}
                None => report.undescribed.push(name),
            }
        }
        Ok(report)
    }

    fn names(&self, topics: &[&TopicDescription]) -> Vec<String> {
        topics
            .iter()
            .map(|topic| self.settings.topic(topic.name))
            .collect()
    }

    fn judge(
        &self,
        topic: &TopicDescription,
        name: &str,
        settings: &TopicSettings,
        admin: &Admin<'_>,
        report: &mut Report,
    ) {
        let mut violations = topic.violations(settings);
        let mut settings = settings.clone();
        if !violations.is_empty() && self.mode == Mode::Repair && self.may_try(name) {
            let repair = violations.iter().flat_map(|violation| &violation.repair);
            let changes: BTreeMap<&str, &str> = repair.map(|(name, value)| (*name, value.as_str())).collect();
            settings = change(admin, name, settings, &changes);
            let lasting = topic.violations(&settings);
            let is_lasting = |property| lasting.iter().any(|of| of.property == property);
            let repaired = violations.extract_if(.., |violation| !is_lasting(violation.property));
            report.deviations.extend(
                repaired.map(|violation| {
                    Deviation::new(name, violation, Outcome::Repaired, &self.settings.brokers)
                }),
            );
            if !violations.is_empty() {
                self.denied().insert(name.to_owned(), Instant::now());
            }
        }
        let outcome = match self.mode {
            Mode::Repair => Outcome::Degraded,
            Mode::Look => Outcome::Repairable,
        };
        let lasting = violations.into_iter();
        let lasting =
            lasting.map(|violation| Deviation::new(name, violation, outcome, &self.settings.brokers));
        report.deviations.extend(lasting);
        let value = |property| settings.get(property).map(|of| of.value.as_str());
        if topic
            .settings
            .iter()
            .any(|setting| setting.name == TIMESTAMP_TYPE)
            && value(TIMESTAMP_TYPE).is_some_and(|kind| kind != APPEND_TIME)
        {
            report.create_time.push(name.to_owned());
        }
        let limit = value(MAX_BYTES).and_then(|bytes| bytes.parse().ok());
        if let Some(limit) = limit.filter(|_| !topic.settings.is_empty()) {
            report.limits.0.insert(name.to_owned(), limit);
        }
    }

    fn denied(&self) -> std::sync::MutexGuard<'_, HashMap<String, Instant>> {
        // A panic elsewhere leaves the map whole.
        self.denied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn may_try(&self, topic: &str) -> bool {
        let denied = self.denied();
        denied.get(topic).is_none_or(|at| at.elapsed() >= ATTEMPT_EVERY)
    }
}

/// Asks for changes, and gives the settings that the topic has then.
fn change(
    admin: &Admin<'_>,
    topic: &str,
    mut settings: TopicSettings,
    changes: &BTreeMap<&str, &str>,
) -> TopicSettings {
    if let Err(error) = admin.alter(topic, &settings, changes) {
        debug!(%error, topic, "the topic could not be altered");
        return settings;
    }
    let begun = Instant::now();
    loop {
        let described = match admin.describe(&[topic.to_owned()]) {
            Ok(described) => described.unwrap_or_default(),
            Err(error) => {
                debug!(%error, topic, "nobody knows whether the topic was altered");
                return settings;
            }
        };
        if let Some(described) = described.into_values().find(|of| !of.is_empty()) {
            settings = described;
        }
        let is_set = |(name, value): (&&str, &&str)| settings.get(*name).is_some_and(|of| of.value == *value);
        if changes.iter().all(is_set) || begun.elapsed() >= SETTLED {
            return settings;
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Who answers there, and how the topics are, in one sentence. Blocks as [`TopicInspector::inspect`] does, and changes
/// nothing.
///
/// # Errors
/// Kafka does not answer, or the gateway may not see a topic.
pub fn describe(settings: &Settings, within: Duration) -> Result<String, Error> {
    let report = TopicInspector::new(settings.clone(), Mode::Look).inspect(within)?;
    let brokers = report.brokers;
    let mut said = match report.absent.as_slice() {
        [] => format!(
            "{brokers} Kafka brokers answer; all {} topics are there",
            TOPICS.len()
        ),
        absent => format!(
            "{brokers} Kafka brokers answer; to be made at start: {}",
            absent.join(", ")
        ),
    };
    for warning in report.warnings() {
        said.push_str("; ");
        said.push_str(&warning);
    }
    Ok(said)
}
