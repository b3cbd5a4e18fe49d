//! The topics: created if absent, inspected, and repaired as far as the gateway's rights allow. [`spec`] defines their
//! required settings.

mod admin;
mod report;
mod spec;
mod violation;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::debug;

use super::{Error, Settings};
use admin::{Admin, Presence};
pub(super) use report::set_command;
pub use report::{Deviation, RecordSizeLimits, RepairOutcome, TopicReport};
use spec::{APPEND_TIME, MAX_BYTES, TIMESTAMP_TYPE, TOPICS, TopicSpec};
use violation::TopicSettings;

/// Pause before retrying a change that Kafka has not made. A Kafka broker logs each denied attempt.
const RETRY_REPAIR_AFTER: Duration = Duration::from_secs(5);
/// Within this time a Kafka broker reports a change that it has made.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(2);
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// What an inspection may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InspectionMode {
    /// Create absent topics and repair settings.
    Repair,
    /// Change nothing.
    ReadOnly,
}

/// Inspects the topics of one gateway.
#[derive(Debug)]
pub struct TopicInspector {
    settings: Settings,
    mode: InspectionMode,
    /// When Kafka last failed to change a topic, by full name.
    denied: Mutex<HashMap<String, Instant>>,
}

impl TopicInspector {
    pub fn new(settings: Settings, mode: InspectionMode) -> Self {
        Self {
            settings,
            mode,
            denied: Mutex::default(),
        }
    }

    /// Compares the topics with the table in `spec.rs`, and creates and repairs them if the mode allows it. Blocks:
    /// call it on a blocking thread of a Tokio runtime.
    ///
    /// # Errors
    /// Kafka does not reply in time, or a topic that the bridge needs is absent and cannot be created. A wrong setting
    /// is not an error here: see [`TopicReport::blocking_deviation`].
    pub fn inspect(&self, within: Duration) -> Result<TopicReport, Error> {
        let admin = Admin::connect(&self.settings, within)?;
        let mut report = TopicReport::default();
        let (mut absent, mut present) = (Vec::new(), Vec::new());
        for topic in TOPICS {
            let (presence, brokers) = match admin.presence(&topic.full_name(&self.settings)) {
                Err(error @ Error::MissingRight { .. }) if topic.is_optional => {
                    report.unusable.push(error.to_string());
                    continue;
                }
                found => found?,
            };
            report.brokers = brokers;
            match presence {
                Presence::Present => present.push(topic),
                Presence::Absent => absent.push(topic),
            }
        }
        if self.mode == InspectionMode::ReadOnly {
            report.absent = self.names(&absent);
        } else if !absent.is_empty() {
            let (optional, required): (Vec<_>, Vec<_>) = absent.iter().partition(|topic| topic.is_optional);
            report.absent = admin.create(&required)?;
            match admin.create(&optional) {
                Ok(made) => report.absent.extend(made),
                Err(error) => report.unusable.push(error.to_string()),
            }
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

    fn names(&self, topics: &[&TopicSpec]) -> Vec<String> {
        topics
            .iter()
            .map(|topic| topic.full_name(&self.settings))
            .collect()
    }

    /// Repairs one topic if the mode allows it, and reports its deviations.
    fn judge(
        &self,
        topic: &TopicSpec,
        name: &str,
        settings: &TopicSettings,
        admin: &Admin<'_>,
        report: &mut TopicReport,
    ) {
        let mut violations = topic.violations(settings);
        let mut settings = settings.clone();
        if !violations.is_empty() && self.mode == InspectionMode::Repair && self.may_repair(name) {
            let repair = violations.iter().flat_map(|violation| &violation.repair);
            let changes: BTreeMap<&str, &str> = repair.map(|(name, value)| (*name, value.as_str())).collect();
            settings = change(admin, name, settings, &changes);
            let lasting = topic.violations(&settings);
            let is_lasting = |property| lasting.iter().any(|violation| violation.property == property);
            let repaired = violations.extract_if(.., |violation| !is_lasting(violation.property));
            report.deviations.extend(repaired.map(|violation| {
                Deviation::new(name, violation, RepairOutcome::Repaired, &self.settings.brokers)
            }));
            if !violations.is_empty() {
                self.denied().insert(name.to_owned(), Instant::now());
            }
        }
        let outcome = match self.mode {
            InspectionMode::Repair => RepairOutcome::Degraded,
            InspectionMode::ReadOnly => RepairOutcome::Repairable,
        };
        let lasting = violations.into_iter();
        let lasting =
            lasting.map(|violation| Deviation::new(name, violation, outcome, &self.settings.brokers));
        report.deviations.extend(lasting);
        let value = |property| settings.get(property).map(|setting| setting.value.as_str());
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
        // A panic elsewhere leaves the map consistent.
        self.denied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn may_repair(&self, topic: &str) -> bool {
        let denied = self.denied();
        denied
            .get(topic)
            .is_none_or(|at| at.elapsed() >= RETRY_REPAIR_AFTER)
    }
}

/// Asks Kafka for changes. Returns the topic's settings afterwards.
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
                debug!(%error, topic, "unknown whether the topic was altered");
                return settings;
            }
        };
        if let Some(described) = described.into_values().find(|settings| !settings.is_empty()) {
            settings = described;
        }
        let is_set = |(name, value): (&&str, &&str)| {
            settings.get(*name).is_some_and(|setting| setting.value == *value)
        };
        if changes.iter().all(is_set) || begun.elapsed() >= CHANGE_TIMEOUT {
            return settings;
        }
        std::thread::sleep(RETRY_PAUSE);
    }
}

/// Summarises the brokers and topics in one sentence. Blocks like [`TopicInspector::inspect`], but changes nothing.
///
/// # Errors
/// Kafka does not reply, or the gateway lacks the right to see a topic.
pub(super) fn summarise(settings: &Settings, within: Duration) -> Result<String, Error> {
    let report = TopicInspector::new(settings.clone(), InspectionMode::ReadOnly).inspect(within)?;
    let brokers = report.brokers;
    let mut summary = match report.absent.as_slice() {
        [] => format!(
            "{brokers} Kafka brokers answer; all {} topics are there",
            TOPICS.len()
        ),
        absent => format!(
            "{brokers} Kafka brokers answer; the gateway will create at start: {}",
            absent.join(", ")
        ),
    };
    for warning in report.warnings() {
        summary.push_str("; ");
        summary.push_str(&warning);
    }
    Ok(summary)
}
