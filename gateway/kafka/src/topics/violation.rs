//! Finds the settings of a topic that break the rules of [`spec`](super::spec), how severe that is, and how to repair
//! them.

use std::collections::BTreeMap;

use super::spec::{APPEND_TIME, RETENTION_BYTES, RETENTION_TIME, Rule, SettingSpec, TopicSpec, UNLIMITED};

/// The severity of a wrong setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The bridge continues with a warning.
    Degrades,
    /// The bridge stops, because it could send events twice.
    BreaksExactlyOnce,
}

/// A setting that breaks its rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Violation {
    pub property: &'static str,
    pub found: String,
    /// The accepted values, for people.
    pub wanted: String,
    pub consequence: &'static str,
    pub severity: Severity,
    /// The settings to apply as a repair.
    pub repair: Vec<(&'static str, String)>,
}

/// A setting as Kafka reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SettingValue {
    pub value: String,
    /// Whether it is set for this topic, as opposed to a default.
    pub is_own: bool,
}

/// Settings by name.
pub(super) type TopicSettings = BTreeMap<String, SettingValue>;

impl TopicSpec {
    /// The rules that a topic with these settings breaks.
    pub fn violations(&self, settings: &TopicSettings) -> Vec<Violation> {
        let each = self.settings.iter();
        each.filter_map(|setting| setting.violation(settings)).collect()
    }
}

impl SettingSpec {
    fn violation(&self, settings: &TopicSettings) -> Option<Violation> {
        // Absent if this Kafka does not know or does not report the setting.
        let found = settings.get(self.name)?.value.as_str();
        let violation = |wanted: &str, consequence, severity, repair| {
            Some(Violation {
                property: self.name,
                found: found.to_owned(),
                wanted: wanted.to_owned(),
                consequence,
                severity,
                repair,
            })
        };
        let set = |value: &str| vec![(self.name, value.to_owned())];
        match self.rule {
            Rule::Free => None,
            Rule::AppendTime if found == APPEND_TIME => None,
            Rule::AppendTime => violation(
                APPEND_TIME,
                "while the clock of this machine is wrong, Kafka rejects the records or deletes them too early",
                Severity::Degrades,
                set(APPEND_TIME),
            ),
            // Kafka itself accepts only numbers for such a setting.
            Rule::AtLeast { min, .. } if found.parse().unwrap_or(u64::MAX) >= min => None,
            Rule::AtLeast {
                min,
                repair,
                consequence,
            } => violation(
                &format!("at least {min}"),
                consequence,
                Severity::Degrades,
                set(repair),
            ),
            Rule::OnlyCompacted if !has(found, "delete") && has(found, "compact") => None,
            Rule::OnlyCompacted => {
                let unlimited = |name| {
                    settings
                        .get(name)
                        .is_some_and(|setting| setting.value == UNLIMITED)
                };
                let (consequence, severity) = if has(found, "delete")
                    && !(unlimited(RETENTION_TIME) && unlimited(RETENTION_BYTES))
                {
                    (
                        "Kafka would delete the watermark, which records what has been sent, and a restart could \
                             send events twice",
                        Severity::BreaksExactlyOnce,
                    )
                } else {
                    ("the topic grows without limit", Severity::Degrades)
                };
                violation("compact", consequence, severity, set("compact"))
            }
            Rule::NotCompacted if !has(found, "compact") => None,
            Rule::NotCompacted => {
                let mut repair = set("delete");
                if !has(found, "delete") {
                    // Kafka has not deleted records by age so far, and a repair must not start that.
                    for name in [RETENTION_TIME, RETENTION_BYTES] {
                        repair.push((name, UNLIMITED.to_owned()));
                    }
                }
                violation(
                    "delete",
                    "Kafka deletes all events of an order except the last",
                    Severity::Degrades,
                    repair,
                )
            }
        }
    }
}

/// Whether a `cleanup.policy` contains `policy`.
fn has(policies: &str, policy: &str) -> bool {
    policies.split(',').any(|name| name.trim() == policy)
}

#[cfg(test)]
mod tests {
    use super::super::super::{COMMANDS, WATERMARKS};
    use super::super::spec::{MAX_BYTES, POLICY, TIMESTAMP_TYPE, TOPICS};
    use super::*;

    fn topic(name: &str) -> &'static TopicSpec {
        TOPICS.iter().find(|topic| topic.name == name).unwrap()
    }

    fn settings(pairs: &[(&str, &str)]) -> TopicSettings {
        let described = |value: &str| SettingValue {
            value: value.to_owned(),
            is_own: true,
        };
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), described(value)))
            .collect()
    }

    #[test]
    fn a_topic_that_the_gateway_creates_follows_its_own_rules() {
        for topic in TOPICS {
            let initial = topic.settings.iter();
            let made: Vec<_> = initial
                .filter_map(|setting| Some((setting.name, setting.initial?)))
                .collect();
            assert_eq!(topic.violations(&settings(&made)), [], "{}", topic.name);
        }
    }

    #[test]
    fn a_policy_that_could_delete_the_watermark_breaks_exactly_once() {
        for (policy, expected) in [
            ("delete", Some(Severity::BreaksExactlyOnce)),
            ("compact,delete", Some(Severity::BreaksExactlyOnce)),
            ("delete, compact", Some(Severity::BreaksExactlyOnce)),
            ("compact", None),
        ] {
            let found = topic(WATERMARKS).violations(&settings(&[(POLICY, policy)]));
            let severity = found.first().map(|violation| violation.severity);
            assert_eq!(severity, expected, "{policy}");
        }
        let kept = [
            (POLICY, "delete"),
            (RETENTION_TIME, "-1"),
            (RETENTION_BYTES, "-1"),
        ];
        let found = topic(WATERMARKS).violations(&settings(&kept));
        assert_eq!(found[0].severity, Severity::Degrades);
    }

    #[test]
    fn repairing_a_compacted_event_topic_deletes_no_records() {
        let found = topic("payments").violations(&settings(&[(POLICY, "compact")]));
        let kept = |name| (name, "-1".to_owned());
        assert_eq!(
            found[0].repair,
            [
                (POLICY, "delete".to_owned()),
                kept(RETENTION_TIME),
                kept(RETENTION_BYTES)
            ]
        );
        let found = topic("payments").violations(&settings(&[(POLICY, "compact,delete")]));
        assert_eq!(
            found[0].repair,
            [(POLICY, "delete".to_owned())],
            "its retention applied before"
        );
    }

    #[test]
    fn a_smaller_limit_and_another_timestamp_type_are_violations() {
        let found = topic("orders").violations(&settings(&[
            (TIMESTAMP_TYPE, "CreateTime"),
            (MAX_BYTES, "100000"),
            (POLICY, "delete"),
        ]));
        let properties: Vec<_> = found.iter().map(|violation| violation.property).collect();
        assert_eq!(properties, [TIMESTAMP_TYPE, MAX_BYTES]);
        assert!(
            topic("orders")
                .violations(&settings(&[(MAX_BYTES, "600000")]))
                .is_empty()
        );
        assert!(
            topic(COMMANDS)
                .violations(&settings(&[(POLICY, "compact")]))
                .is_empty()
        );
    }
}
