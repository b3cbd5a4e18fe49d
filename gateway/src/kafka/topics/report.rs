//! What an inspection of the topics has found, in words for the log, the page and `gateway check`.

use std::collections::HashMap;
use std::fmt;

use super::description::{Severity, Violation};

/// What became of a setting that was not as it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The gateway has set it.
    Repaired,
    /// The gateway will try to set it. Only where nothing may be changed.
    Repairable,
    /// Kafka did not let the gateway set it, and the bridge goes on.
    Degraded,
    /// Kafka did not let the gateway set it, and the bridge must not go on.
    Refused,
}

/// A setting of a topic that is, or was, not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deviation {
    /// Full name.
    pub topic: String,
    pub property: &'static str,
    pub found: String,
    pub wanted: String,
    pub outcome: Outcome,
    consequence: &'static str,
    /// For somebody who may change it.
    command: String,
}

impl Deviation {
    pub(super) fn new(topic: &str, violation: Violation, outcome: Outcome, brokers: &str) -> Self {
        let outcome = match (outcome, violation.severity) {
            (Outcome::Degraded, Severity::BreaksExactlyOnce) => Outcome::Refused,
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

/// The command that sets something for a topic.
pub(in crate::kafka) fn set_command(brokers: &str, topic: &str, settings: &str) -> String {
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
            Outcome::Repaired => {
                write!(
                    f,
                    "the topic {topic} had {property}={found}; the gateway has corrected it ({wanted})"
                )
            }
            Outcome::Repairable => write!(
                f,
                "the topic {topic} has {property}={found} and needs {wanted}: the gateway sets it at its start, if it \
                 may"
            ),
            Outcome::Degraded | Outcome::Refused => write!(
                f,
                "the topic {topic} has {property}={found} and needs {wanted}: {consequence}. The gateway could not \
                 change it (it needs the right ALTER_CONFIGS on the topic); run: {command}"
            ),
        }
    }
}

/// The topics as they are after an inspection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    pub deviations: Vec<Deviation>,
    /// Topics that were absent: made, or, where nothing may be changed, to be made.
    pub absent: Vec<String>,
    /// Topics whose settings this client may not see.
    pub undescribed: Vec<String>,
    /// Topics that keep the time of this machine, and may not be altered.
    pub create_time: Vec<String>,
    pub limits: Limits,
    /// Brokers that answer.
    pub brokers: usize,
}

impl Report {
    /// Why the bridge must not go on.
    pub fn refusal(&self) -> Option<&Deviation> {
        let mut deviations = self.deviations.iter();
        deviations.find(|deviation| deviation.outcome == Outcome::Refused)
    }

    /// What is not as it should be, and stays so.
    pub fn warnings(&self) -> Vec<String> {
        let lasting = self.deviations.iter();
        let lasting = lasting.filter(|deviation| deviation.outcome != Outcome::Repaired);
        let mut warnings: Vec<String> = lasting.map(ToString::to_string).collect();
        if !self.undescribed.is_empty() {
            warnings.push(format!(
                "Kafka does not tell the gateway the settings of {}, so they are not verified: give it the right \
                 DESCRIBE_CONFIGS on them",
                self.undescribed.join(", ")
            ));
        }
        warnings
    }

    /// What the gateway has changed.
    pub fn repairs(&self) -> impl Iterator<Item = &Deviation> {
        let deviations = self.deviations.iter();
        deviations.filter(|deviation| deviation.outcome == Outcome::Repaired)
    }
}

/// `max.message.bytes` by topic (full name), as far as known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits(pub(super) HashMap<String, u64>);

impl Limits {
    pub fn of(&self, topic: &str) -> Option<u64> {
        self.0.get(topic).copied()
    }

    /// Of all topics.
    pub fn smallest(&self) -> Option<u64> {
        self.0.values().copied().min()
    }
}
