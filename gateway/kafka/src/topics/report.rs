//! The result of an inspection, and its messages for the log, the gateway page and `gateway check`.

use std::collections::HashMap;
use std::fmt;

use super::violation::{Severity, Violation};

/// The outcome for a wrong setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepairOutcome {
    /// The gateway has corrected it.
    Repaired,
    /// The gateway will try to correct it. Only in [`InspectionMode::ReadOnly`](super::InspectionMode).
    Repairable,
    /// Kafka refused the correction. The bridge continues.
    Degraded,
    /// Kafka refused the correction. The bridge must stop.
    Blocking,
}

/// A setting of a topic that is or was wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deviation {
    /// Full name.
    pub topic: String,
    pub property: &'static str,
    pub found: String,
    /// The accepted values, for people.
    pub wanted: String,
    pub outcome: RepairOutcome,
    consequence: &'static str,
    /// The command that corrects it, for someone with sufficient rights.
    command: String,
}

impl Deviation {
    pub(super) fn new(topic: &str, violation: Violation, outcome: RepairOutcome, brokers: &str) -> Self {
        let outcome = match (outcome, violation.severity) {
            (RepairOutcome::Degraded, Severity::BreaksExactlyOnce) => RepairOutcome::Blocking,
            (outcome, _) => outcome,
        };
        let repair = violation.repair.iter();
        let repair: Vec<_> = repair.map(|(name, value)| format!("{name}={value}")).collect();
        Self {
            topic: topic.to_owned(),
            property: violation.property,
            found: violation.found,
            wanted: violation.wanted,
            outcome,
            consequence: violation.consequence,
            command: set_command(brokers, topic, &repair.join(",")),
        }
    }
}

/// The command that sets `settings` (`NAME=VALUE`, comma-separated) on a topic.
pub(crate) fn set_command(brokers: &str, topic: &str, settings: &str) -> String {
    format!(
        "kafka-configs.sh --bootstrap-server {brokers} --alter --entity-type topics --entity-name {topic} \
         --add-config {settings}"
    )
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            topic,
            property,
            found,
            wanted,
            consequence,
            command,
            ..
        } = self;
        match self.outcome {
            RepairOutcome::Repaired => {
                write!(
                    f,
                    "the topic {topic} had {property}={found}; the gateway has corrected it ({wanted})"
                )
            }
            RepairOutcome::Repairable => write!(
                f,
                "the topic {topic} has {property}={found} and needs {wanted}: the gateway corrects it at its start if it \
                 has the right"
            ),
            RepairOutcome::Degraded | RepairOutcome::Blocking => write!(
                f,
                "the topic {topic} has {property}={found} and needs {wanted}: {consequence}. The gateway could not \
                 change it (it needs the right ALTER_CONFIGS on the topic); run: {command}"
            ),
        }
    }
}

/// The state of the topics after an inspection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopicReport {
    pub deviations: Vec<Deviation>,
    /// Topics that were absent. The gateway has created them, or will in
    /// [`InspectionMode::ReadOnly`](super::InspectionMode).
    pub absent: Vec<String>,
    /// Why optional topics cannot be used, one sentence each. The bridge works without them.
    pub unusable: Vec<String>,
    /// Topics whose settings Kafka hides from this client.
    pub undescribed: Vec<String>,
    /// Topics that keep this machine's timestamps and could not be corrected.
    pub create_time: Vec<String>,
    pub limits: RecordSizeLimits,
    /// Number of Kafka brokers.
    pub brokers: usize,
}

impl TopicReport {
    /// The deviation that forces the bridge to stop.
    pub fn blocking_deviation(&self) -> Option<&Deviation> {
        let mut deviations = self.deviations.iter();
        deviations.find(|deviation| deviation.outcome == RepairOutcome::Blocking)
    }

    /// Problems that remain, one sentence each.
    pub fn warnings(&self) -> Vec<String> {
        let lasting = self.deviations.iter();
        let lasting = lasting.filter(|deviation| deviation.outcome != RepairOutcome::Repaired);
        let mut warnings: Vec<String> = lasting.map(ToString::to_string).collect();
        let unusable = self.unusable.iter();
        warnings.extend(
            unusable.map(|error| format!("head office does not see the state of this gateway: {error}")),
        );
        if !self.undescribed.is_empty() {
            warnings.push(format!(
                "Kafka does not show the gateway the settings of {}, so they are not verified: give its user the right \
                 DESCRIBE_CONFIGS on them",
                self.undescribed.join(", ")
            ));
        }
        warnings
    }

    /// The deviations that the gateway has corrected.
    pub fn repairs(&self) -> impl Iterator<Item = &Deviation> {
        let deviations = self.deviations.iter();
        deviations.filter(|deviation| deviation.outcome == RepairOutcome::Repaired)
    }
}

/// `max.message.bytes` by topic (full name). Topics with an unknown limit are absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordSizeLimits(pub(super) HashMap<String, u64>);

impl RecordSizeLimits {
    /// The limit of a topic, in bytes.
    pub fn of(&self, topic: &str) -> Option<u64> {
        self.0.get(topic).copied()
    }

    /// The smallest limit of all topics, in bytes.
    pub fn smallest(&self) -> Option<u64> {
        self.0.values().copied().min()
    }
}
