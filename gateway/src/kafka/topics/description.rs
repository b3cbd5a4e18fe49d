//! What each topic must be. Creation, verification and repair all read this table.

use std::collections::BTreeMap;

use super::super::{COMMANDS, DEAD_LETTERS, WATERMARKS};
use crate::event::Kind;

/// What Kafka itself takes unless it is told otherwise.
const EVENT_BYTES: &str = "1048588";
/// An order of 256 KiB of JSON, with its headers and with its numbers and names written out.
const LARGEST_EVENT: u64 = 524_288;
/// A dead letter is as large as an MQTT packet may be.
const DEAD_LETTER_BYTES: &str = "4194304";

const POLICY: &str = "cleanup.policy";
const RETENTION_TIME: &str = "retention.ms";
const RETENTION_BYTES: &str = "retention.bytes";
pub(super) const TIMESTAMP_TYPE: &str = "message.timestamp.type";
pub(super) const MAX_BYTES: &str = "max.message.bytes";
pub(super) const APPEND_TIME: &str = "LogAppendTime";
const UNLIMITED: &str = "-1";

/// One topic: how it is made, and what it must be when somebody else has made or changed it.
#[derive(Debug)]
pub(super) struct TopicDescription {
    /// Without the prefix.
    pub name: &'static str,
    /// It has one partition when the gateway makes it, whatever `kafka.partitions` says. More do no harm.
    pub is_single: bool,
    pub settings: &'static [Setting],
}

#[derive(Debug)]
pub(super) struct Setting {
    pub name: &'static str,
    /// What the gateway makes the topic with; `None`: Kafka's default will do.
    pub initial: Option<&'static str>,
    pub rule: Rule,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Rule {
    /// Anybody may change it.
    Free,
    AppendTime,
    AtLeast {
        least: u64,
        repair: &'static str,
        otherwise: &'static str,
    },
    /// Only older records of the same key are removed.
    OnlyCompacted,
    /// Each record stays as long as the retention says, also if a later one has its key.
    NotCompacted,
}

/// What follows from a setting that is not as it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The bridge goes on, and says so.
    Degrades,
    /// Exactly once would no longer hold.
    BreaksExactlyOnce,
}

/// A setting that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Violation {
    pub property: &'static str,
    pub found: String,
    pub wanted: String,
    pub consequence: &'static str,
    pub severity: Severity,
    /// What makes it right.
    pub repair: Vec<(&'static str, String)>,
}

/// A setting as Kafka describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Described {
    pub value: String,
    /// It was set for this topic, and is not a default.
    pub is_own: bool,
}

pub(super) type TopicSettings = BTreeMap<String, Described>;

const fn free(name: &'static str, initial: &'static str) -> Setting {
    Setting {
        name,
        initial: Some(initial),
        rule: Rule::Free,
    }
}

const APPEND: Setting = Setting {
    name: TIMESTAMP_TYPE,
    initial: Some(APPEND_TIME),
    rule: Rule::AppendTime,
};

const NOT_COMPACTED: Setting = Setting {
    name: POLICY,
    initial: Some("delete"),
    rule: Rule::NotCompacted,
};

const EVENT: &[Setting] = &[
    APPEND,
    NOT_COMPACTED,
    Setting {
        name: MAX_BYTES,
        initial: Some(EVENT_BYTES),
        rule: Rule::AtLeast {
            least: LARGEST_EVENT,
            repair: EVENT_BYTES,
            otherwise: "a larger event stops the bridge",
        },
    },
];

pub(super) const TOPICS: &[TopicDescription] = &[
    TopicDescription {
        name: Kind::Order.topic(),
        is_single: false,
        settings: EVENT,
    },
    TopicDescription {
        name: Kind::Payment.topic(),
        is_single: false,
        settings: EVENT,
    },
    TopicDescription {
        name: Kind::Delivery.topic(),
        is_single: false,
        settings: EVENT,
    },
    TopicDescription {
        name: DEAD_LETTERS,
        is_single: false,
        settings: &[
            APPEND,
            NOT_COMPACTED,
            Setting {
                name: MAX_BYTES,
                initial: Some(DEAD_LETTER_BYTES),
                rule: Rule::AtLeast {
                    least: 4_194_304,
                    repair: DEAD_LETTER_BYTES,
                    otherwise: "of a larger dead letter only the beginning is sent",
                },
            },
        ],
    },
    // Others write it, so only they know what it must be.
    TopicDescription {
        name: COMMANDS,
        is_single: false,
        settings: &[],
    },
    TopicDescription {
        name: WATERMARKS,
        is_single: true,
        settings: &[
            APPEND,
            Setting {
                name: POLICY,
                initial: Some("compact"),
                rule: Rule::OnlyCompacted,
            },
            Setting {
                name: MAX_BYTES,
                initial: Some(EVENT_BYTES),
                rule: Rule::AtLeast {
                    least: 16_384,
                    repair: EVENT_BYTES,
                    otherwise: "a larger watermark stops the bridge",
                },
            },
            // Each start reads the topic from the last known place, so it is kept short.
            free("segment.bytes", "16777216"),
            free("segment.ms", "3600000"),
            free("min.cleanable.dirty.ratio", "0.1"),
        ],
    },
];

impl TopicDescription {
    /// What is wrong with a topic that has these settings.
    pub fn violations(&self, settings: &TopicSettings) -> Vec<Violation> {
        let each = self.settings.iter();
        each.filter_map(|setting| setting.violation(settings)).collect()
    }
}

impl Setting {
    fn violation(&self, settings: &TopicSettings) -> Option<Violation> {
        // What this Kafka does not know, or does not tell, cannot be judged.
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
                "while the clock of this machine is wrong, Kafka refuses the records or deletes them too early",
                Severity::Degrades,
                set(APPEND_TIME),
            ),
            // A value that is no number is none of Kafka's.
            Rule::AtLeast { least, .. } if found.parse().unwrap_or(u64::MAX) >= least => None,
            Rule::AtLeast {
                least,
                repair,
                otherwise,
            } => violation(
                &format!("at least {least}"),
                otherwise,
                Severity::Degrades,
                set(repair),
            ),
            Rule::OnlyCompacted if !has(found, "delete") && has(found, "compact") => None,
            Rule::OnlyCompacted => {
                let unlimited = |name| settings.get(name).is_some_and(|of| of.value == UNLIMITED);
                let (consequence, severity) =
                    if has(found, "delete") && !(unlimited(RETENTION_TIME) && unlimited(RETENTION_BYTES)) {
                        (
                            "Kafka would delete the record of what has been sent, and a restart could send \
                             events twice",
                            Severity::BreaksExactlyOnce,
                        )
                    } else {
                        ("the topic grows without end", Severity::Degrades)
                    };
                violation("compact", consequence, severity, set("compact"))
            }
            Rule::NotCompacted if !has(found, "compact") => None,
            Rule::NotCompacted => {
                let mut repair = set("delete");
                if !has(found, "delete") {
                    // Nothing has been deleted for its age so far, and a repair must not begin with it.
                    for name in [RETENTION_TIME, RETENTION_BYTES] {
                        repair.push((name, UNLIMITED.to_owned()));
                    }
                }
                violation(
                    "delete",
                    "Kafka removes all events of an order but the last",
                    Severity::Degrades,
                    repair,
                )
            }
        }
    }
}

fn has(policies: &str, policy: &str) -> bool {
    policies.split(',').any(|one| one.trim() == policy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str) -> &'static TopicDescription {
        TOPICS.iter().find(|topic| topic.name == name).unwrap()
    }

    fn settings(pairs: &[(&str, &str)]) -> TopicSettings {
        let described = |value: &str| Described {
            value: value.to_owned(),
            is_own: true,
        };
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), described(value)))
            .collect()
    }

    #[test]
    fn a_topic_as_the_gateway_makes_it_fits() {
        for topic in TOPICS {
            let initial = topic.settings.iter();
            let made: Vec<_> = initial.filter_map(|of| Some((of.name, of.initial?))).collect();
            assert_eq!(topic.violations(&settings(&made)), [], "{}", topic.name);
        }
    }

    #[test]
    fn a_watermark_that_could_be_deleted_breaks_exactly_once() {
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
    fn the_repair_of_a_compacted_event_topic_deletes_nothing() {
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
            "its retention counted before"
        );
    }

    #[test]
    fn smaller_limits_and_another_timestamp_type_are_found() {
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
