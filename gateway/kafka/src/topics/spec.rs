//! The required settings of each topic. Creation, inspection and repair all read this table.

use super::super::{AUDIT, CLOSINGS, COMMANDS, DEAD_LETTERS, GATEWAYS, Settings, WATERMARKS};
use comptoir_core::event::Kind;

/// `max.message.bytes` of the event topics: Kafka's default.
const EVENT_BYTES: &str = "1048588";
/// The largest event, in bytes: an order that arrived as 256 KiB of JSON, with its numbers and names written out, and
/// its headers.
const LARGEST_EVENT: u64 = 524_288;
/// `max.message.bytes` of the dead letters: the largest MQTT packet.
const DEAD_LETTER_BYTES: &str = "4194304";

pub(super) const POLICY: &str = "cleanup.policy";
pub(super) const RETENTION_TIME: &str = "retention.ms";
pub(super) const RETENTION_BYTES: &str = "retention.bytes";
pub(super) const TIMESTAMP_TYPE: &str = "message.timestamp.type";
pub(super) const MAX_BYTES: &str = "max.message.bytes";
pub(super) const APPEND_TIME: &str = "LogAppendTime";
pub(super) const UNLIMITED: &str = "-1";

/// How the gateway creates a topic, and the settings that it must have even if someone else has created or changed it.
#[derive(Debug)]
pub(super) struct TopicSpec {
    /// Without prefix and store.
    pub name: &'static str,
    /// Whether each store has its own topic of this name.
    pub is_of_shop: bool,
    /// Whether the gateway creates it with one partition, whatever `kafka.partitions` is. More partitions do no harm.
    pub is_single: bool,
    /// Whether the bridge works without it.
    pub is_optional: bool,
    pub settings: &'static [SettingSpec],
}

impl TopicSpec {
    pub fn full_name(&self, settings: &Settings) -> String {
        match self.is_of_shop {
            true => settings.shop_topic(self.name),
            false => settings.topic(self.name),
        }
    }
}

/// A setting of a topic, and its accepted values.
#[derive(Debug)]
pub(super) struct SettingSpec {
    pub name: &'static str,
    /// The value at creation; `None` for Kafka's default.
    pub initial: Option<&'static str>,
    pub rule: Rule,
}

/// Accepted values of a setting.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rule {
    /// Any value is accepted.
    Free,
    /// `LogAppendTime`.
    AppendTime,
    AtLeast {
        min: u64,
        repair: &'static str,
        /// The consequence of a smaller value.
        consequence: &'static str,
    },
    /// Kafka removes only older records with the same key.
    OnlyCompacted,
    /// Kafka keeps every record for the retention time, even if a later one has the same key.
    NotCompacted,
}

const fn free(name: &'static str, initial: &'static str) -> SettingSpec {
    SettingSpec {
        name,
        initial: Some(initial),
        rule: Rule::Free,
    }
}

const APPEND: SettingSpec = SettingSpec {
    name: TIMESTAMP_TYPE,
    initial: Some(APPEND_TIME),
    rule: Rule::AppendTime,
};

const NOT_COMPACTED: SettingSpec = SettingSpec {
    name: POLICY,
    initial: Some("delete"),
    rule: Rule::NotCompacted,
};

const EVENT: &[SettingSpec] = &[
    APPEND,
    NOT_COMPACTED,
    SettingSpec {
        name: MAX_BYTES,
        initial: Some(EVENT_BYTES),
        rule: Rule::AtLeast {
            min: LARGEST_EVENT,
            repair: EVENT_BYTES,
            consequence: "a larger event stops the bridge",
        },
    },
];

pub(super) const TOPICS: &[TopicSpec] = &[
    TopicSpec {
        name: Kind::Order.topic(),
        is_of_shop: false,
        is_single: false,
        is_optional: false,
        settings: EVENT,
    },
    TopicSpec {
        name: Kind::Payment.topic(),
        is_of_shop: false,
        is_single: false,
        is_optional: false,
        settings: EVENT,
    },
    TopicSpec {
        name: Kind::Delivery.topic(),
        is_of_shop: false,
        is_single: false,
        is_optional: false,
        settings: EVENT,
    },
    TopicSpec {
        name: DEAD_LETTERS,
        is_of_shop: false,
        is_single: false,
        is_optional: false,
        settings: &[
            APPEND,
            NOT_COMPACTED,
            SettingSpec {
                name: MAX_BYTES,
                initial: Some(DEAD_LETTER_BYTES),
                rule: Rule::AtLeast {
                    min: 4_194_304,
                    repair: DEAD_LETTER_BYTES,
                    consequence: "a larger dead letter is truncated",
                },
            },
        ],
    },
    TopicSpec {
        name: AUDIT,
        is_of_shop: false,
        is_single: false,
        is_optional: false,
        settings: EVENT,
    },
    TopicSpec {
        name: CLOSINGS,
        is_of_shop: false,
        is_single: false,
        is_optional: false,
        settings: &[
            APPEND,
            NOT_COMPACTED,
            free(RETENTION_TIME, UNLIMITED),
            SettingSpec {
                name: MAX_BYTES,
                initial: Some(EVENT_BYTES),
                rule: Rule::AtLeast {
                    min: 1_048_588,
                    repair: EVENT_BYTES,
                    consequence: "a larger closing stops the bridge",
                },
            },
        ],
    },
    // A state is published again within minutes, so a wrong setting does little harm.
    TopicSpec {
        name: GATEWAYS,
        is_of_shop: false,
        is_single: true,
        is_optional: true,
        settings: &[
            APPEND,
            free(POLICY, "compact"),
            free("segment.bytes", "1048576"),
            free("segment.ms", "3600000"),
            free("min.cleanable.dirty.ratio", "0.1"),
        ],
    },
    // Head office writes the commands, so it decides on the topic's settings.
    TopicSpec {
        name: COMMANDS,
        is_of_shop: false,
        is_single: false,
        is_optional: false,
        settings: &[],
    },
    TopicSpec {
        name: COMMANDS,
        is_of_shop: true,
        is_single: true,
        is_optional: false,
        settings: &[],
    },
    TopicSpec {
        name: WATERMARKS,
        is_of_shop: true,
        is_single: true,
        is_optional: false,
        settings: &[
            APPEND,
            SettingSpec {
                name: POLICY,
                initial: Some("compact"),
                rule: Rule::OnlyCompacted,
            },
            SettingSpec {
                name: MAX_BYTES,
                initial: Some(EVENT_BYTES),
                rule: Rule::AtLeast {
                    min: 16_384,
                    repair: EVENT_BYTES,
                    consequence: "a larger watermark stops the bridge",
                },
            },
            // Kafka compacts only closed segments and always keeps one open, so segments have the smallest size that
            // Kafka allows.
            free("segment.bytes", "1048576"),
            free("segment.ms", "86400000"),
            free("min.cleanable.dirty.ratio", "0.1"),
        ],
    },
];
