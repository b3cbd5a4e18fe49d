//! Which librdkafka properties the owner may set: all except those that the gateway and head office rely on.
//!
//! Every property in librdkafka's `CONFIGURATION.md` was reviewed, under each of its names. A property without a rule
//! is safe: it changes how Kafka is reached (TLS, SASL, addresses), how fast, or nothing.

mod table;

use table::RULES;

/// The restriction on a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PropertyRule {
    /// The gateway sets the property itself.
    Reserved { reason: &'static str },
    /// The value is a pointer or a callback, which only programs can set.
    NotText,
    /// A number from `min` to `max`.
    Range {
        min: u64,
        max: u64,
        is_zero_allowed: bool,
        /// Why values outside the range are refused.
        reason: &'static str,
    },
    /// Any value but this one.
    Forbidden {
        value: &'static str,
        reason: &'static str,
    },
}

/// A [`PropertyRule::Range`] without an upper limit.
const NO_LIMIT: u64 = u64::MAX;
const NOT_TEXT: &str = "only programs can set it; remove it";

/// Why the owner may not set this property to this value; `None` if it is allowed. Does not quote the value.
pub(super) fn violation(name: &str, value: &str) -> Option<String> {
    // Callbacks.
    if name.ends_with("_cb") {
        return Some(NOT_TEXT.to_owned());
    }
    let (_, rule) = RULES.iter().find(|(ruled, _)| *ruled == name)?;
    match *rule {
        PropertyRule::Reserved { reason } => Some(format!("set by the program itself ({reason}); remove it")),
        PropertyRule::NotText => Some(NOT_TEXT.to_owned()),
        PropertyRule::Forbidden {
            value: forbidden,
            reason,
        } => {
            let is_forbidden = value.trim().eq_ignore_ascii_case(forbidden);
            is_forbidden.then(|| format!("{forbidden} is not possible: {reason}"))
        }
        PropertyRule::Range {
            min,
            max,
            is_zero_allowed,
            reason,
        } => {
            // librdkafka itself rejects a value that is not a number.
            let value: i64 = value.trim().parse().ok()?;
            let is_allowed = match u64::try_from(value) {
                Ok(0) => is_zero_allowed,
                Ok(value) => (min..=max).contains(&value),
                Err(_) => false,
            };
            let range = match (min, max) {
                (_, NO_LIMIT) => format!("write at least {min}"),
                (0, _) => format!("write at most {max}"),
                _ => format!("write a number from {min} to {max}"),
            };
            (!is_allowed).then(|| format!("{range}: {reason}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_property_has_one_rule() {
        for (index, (name, _)) in RULES.iter().enumerate() {
            let again = RULES[index + 1..].iter().any(|(other, _)| other == name);
            assert!(!again, "{name}");
        }
    }

    #[test]
    fn a_reserved_property_is_rejected_whatever_its_value() {
        for name in [
            "enable.partition.eof",
            "auto.offset.reset",
            "group.protocol",
            "dr_msg_cb",
        ] {
            for value in ["true", "latest", "0", ""] {
                assert!(violation(name, value).is_some(), "{name}={value}");
            }
        }
        assert_eq!(
            violation("enable.partition.eof", "false").unwrap(),
            "set by the program itself (it is needed to find the end of the watermark topic); remove it"
        );
    }

    #[test]
    fn a_number_out_of_range_is_rejected_with_the_accepted_range() {
        for (name, value, expected) in [
            ("message.max.bytes", "1000", Some("write at least 1000000")),
            ("message.max.bytes", "1000000", None),
            ("linger.ms", "900000", Some("write at most 1000")),
            ("linger.ms", "0", None),
            ("message.timeout.ms", "0", None),
            ("message.timeout.ms", "1", Some("write at least 5000")),
            (
                "topic.metadata.refresh.interval.ms",
                "-1",
                Some("write a number from 1000"),
            ),
            ("fetch.max.bytes", "0", Some("write at least 1000")),
            ("socket.max.fails", "0", Some("write a number from 1 to 10")),
            ("partitioner", "random", Some("not possible")),
            ("partitioner", "consistent_random", None),
        ] {
            let violation = violation(name, value);
            match expected {
                None => assert_eq!(violation, None, "{name}={value}"),
                Some(expected) => assert!(
                    violation.clone().is_some_and(|why| why.contains(expected)),
                    "{name}={value}: {violation:?}"
                ),
            }
        }
    }

    /// Guards against misspelt names: a rule for a property that librdkafka does not know would never apply.
    #[test]
    fn librdkafka_knows_each_property_that_has_a_rule() {
        for (name, _) in RULES {
            let mut config = rdkafka::ClientConfig::new();
            config.set(*name, "no such value");
            let error = config
                .create_native_config()
                .err()
                .map(|error| format!("{error:?}"));
            let unknown = error.as_deref().is_some_and(|error| error.contains("UNKNOWN"));
            assert!(!unknown, "{name}: {error:?}");
        }
    }
}
