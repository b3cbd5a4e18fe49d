//! Which of librdkafka's properties the owner may set: all but those on which the gateway itself relies.
//!
//! Each property of librdkafka's `CONFIGURATION.md` was gone through, under each of its names. What is not named here
//! works: it changes how Kafka is reached (TLS, SASL, addresses), how fast, or nothing.

/// Why a property is not the owner's to set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// The gateway has set it, for this reason.
    Ours(&'static str),
    /// Not as text.
    NoText,
    /// From, to, and why not less or more. 0 may be allowed beside.
    Within(u64, u64, Zero, &'static str),
    /// Not this value, for this reason.
    Not(&'static str, &'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Zero {
    Allowed,
    Refused,
}

use Rule::{NoText, Not, Ours, Within};
use Zero::{Allowed, Refused};

const EXACTLY_ONCE: &str = "exactly-once delivery rests on it";
const POSITIONS: &str = "the gateway keeps its own positions";
const NO_MEMBER: &str = "the gateway reads without being a member of a consumer group";
const TOO_SHORT: &str = "a Kafka that is well may take longer";
const TOO_LONG: &str = "the gateway would seem to hang for as long";

const RULES: &[(&str, Rule)] = &[
    ("bootstrap.servers", Ours("it is kafka.brokers")),
    ("metadata.broker.list", Ours("it is kafka.brokers")),
    // The producer.
    ("transactional.id", Ours("it is made of the store's name")),
    ("enable.idempotence", Ours(EXACTLY_ONCE)),
    ("enable.gapless.guarantee", Ours(EXACTLY_ONCE)),
    ("acks", Ours(EXACTLY_ONCE)),
    ("request.required.acks", Ours(EXACTLY_ONCE)),
    ("max.in.flight", Ours(EXACTLY_ONCE)),
    ("max.in.flight.requests.per.connection", Ours(EXACTLY_ONCE)),
    ("retries", Ours(EXACTLY_ONCE)),
    ("message.send.max.retries", Ours(EXACTLY_ONCE)),
    ("queuing.strategy", Ours("events keep their order")),
    ("msg_order_cmp", Ours("events keep their order")),
    (
        "delivery.report.only.error",
        Ours("the gateway looks at errors only"),
    ),
    (
        "partitioner",
        Not("random", "the events of one order belong into one partition"),
    ),
    // The readers.
    ("group.id", Ours("it is made of the store's name")),
    ("group.instance.id", Ours(NO_MEMBER)),
    ("group.protocol", Ours(NO_MEMBER)),
    ("group.protocol.type", Ours(NO_MEMBER)),
    ("group.remote.assignor", Ours(NO_MEMBER)),
    ("partition.assignment.strategy", Ours(NO_MEMBER)),
    ("max.poll.interval.ms", Ours(NO_MEMBER)),
    ("isolation.level", Ours(EXACTLY_ONCE)),
    (
        "enable.partition.eof",
        Ours("the gateway finds the end of its watermarks by it"),
    ),
    ("enable.auto.commit", Ours(POSITIONS)),
    ("auto.commit.enable", Ours(POSITIONS)),
    ("enable.auto.offset.store", Ours(POSITIONS)),
    ("auto.offset.reset", Ours(POSITIONS)),
    ("offset.store.method", Ours(POSITIONS)),
    ("offset.store.path", Ours(POSITIONS)),
    ("offset.store.sync.interval.ms", Ours(POSITIONS)),
    (
        "consume.callback.max.messages",
        Ours("the gateway reads by other functions"),
    ),
    // All clients.
    (
        "statistics.interval.ms",
        Ours("the gateway page shows the statistics"),
    ),
    ("enabled_events", Ours("the gateway chooses its events")),
    (
        "log_level",
        Ours("use log.filter, for example comptoir_gateway::kafka=debug"),
    ),
    ("log.queue", Ours("the gateway reads librdkafka's log")),
    ("log.thread.name", Ours("the gateway reads librdkafka's log")),
    ("log.connection.close", Ours("the gateway reads librdkafka's log")),
    (
        "allow.auto.create.topics",
        Ours("the gateway makes its topics, with their settings"),
    ),
    (
        "topic.blacklist",
        Ours("use kafka.topic_prefix to choose other topics"),
    ),
    (
        "metadata.recovery.strategy",
        Ours("the gateway follows brokers that get other addresses"),
    ),
    (
        "internal.termination.signal",
        Ours("the signal could end the gateway"),
    ),
    (
        "api.version.request",
        Ours("transactions need the versions that it asks for"),
    ),
    (
        "api.version.fallback.ms",
        Ours("transactions need the versions that Kafka names"),
    ),
    (
        "broker.version.fallback",
        Ours("transactions need the versions that Kafka names"),
    ),
    (
        "plugin.library.paths",
        Ours("other code could change what the gateway does"),
    ),
    ("interceptors", NoText),
    ("opaque", NoText),
    ("default_topic_conf", NoText),
    ("ssl_key", NoText),
    ("ssl_certificate", NoText),
    ("ssl_ca", NoText),
    ("ssl_engine_callback_data", NoText),
    // Numbers with which nothing would work, or hardly ever.
    (
        "message.max.bytes",
        Within(
            1_000_000,
            MOST,
            Refused,
            "larger events would hold up all that follow",
        ),
    ),
    (
        "receive.message.max.bytes",
        Within(
            10_000_000,
            MOST,
            Refused,
            "larger answers of Kafka's would be refused",
        ),
    ),
    (
        "queue.buffering.max.messages",
        Within(10_000, MOST, Allowed, "a transaction has to fit"),
    ),
    (
        "queue.buffering.max.kbytes",
        Within(8_192, MOST, Refused, "a transaction has to fit"),
    ),
    ("queue.buffering.max.ms", Within(0, 1_000, Allowed, TOO_LONG)),
    ("linger.ms", Within(0, 1_000, Allowed, TOO_LONG)),
    ("message.timeout.ms", Within(5_000, MOST, Allowed, TOO_SHORT)),
    ("delivery.timeout.ms", Within(5_000, MOST, Allowed, TOO_SHORT)),
    ("request.timeout.ms", Within(1_000, MOST, Refused, TOO_SHORT)),
    (
        "transaction.timeout.ms",
        Within(
            5_000,
            900_000,
            Refused,
            "Kafka allows 15 minutes, and needs some seconds",
        ),
    ),
    ("socket.timeout.ms", Within(1_000, MOST, Refused, TOO_SHORT)),
    (
        "api.version.request.timeout.ms",
        Within(1_000, MOST, Refused, TOO_SHORT),
    ),
    (
        "connections.max.idle.ms",
        Within(
            10_000,
            MOST,
            Allowed,
            "connections would be closed while they are used",
        ),
    ),
    (
        "socket.max.fails",
        Within(1, 10, Refused, "a connection that hangs would be kept"),
    ),
    (
        "broker.address.ttl",
        Within(
            0,
            300_000,
            Allowed,
            "a broker that gets another address would not be found",
        ),
    ),
    ("reconnect.backoff.ms", Within(0, 60_000, Allowed, TOO_LONG)),
    ("reconnect.backoff.max.ms", Within(0, 60_000, Allowed, TOO_LONG)),
    ("retry.backoff.ms", Within(1, 10_000, Refused, TOO_LONG)),
    ("retry.backoff.max.ms", Within(1, 10_000, Refused, TOO_LONG)),
    (
        "topic.metadata.refresh.interval.ms",
        Within(1_000, 900_000, Refused, "partitions move between brokers"),
    ),
    (
        "topic.metadata.refresh.fast.interval.ms",
        Within(1, 10_000, Refused, TOO_LONG),
    ),
    (
        "metadata.max.age.ms",
        Within(
            10_000,
            MOST,
            Refused,
            "topics would be forgotten while they are used",
        ),
    ),
    (
        "fetch.max.bytes",
        Within(1_000, MOST, Refused, "each answer has to hold a record"),
    ),
    ("fetch.wait.max.ms", Within(0, 5_000, Allowed, TOO_LONG)),
    ("fetch.queue.backoff.ms", Within(0, 10_000, Allowed, TOO_LONG)),
    ("fetch.error.backoff.ms", Within(0, 10_000, Allowed, TOO_LONG)),
];

const MOST: u64 = u64::MAX;

/// Why the owner may not set this property to this value. Does not quote the value.
pub(super) fn refusal(name: &str, value: &str) -> Option<String> {
    if name.ends_with("_cb") {
        return Some(NOT_TEXT.to_owned());
    }
    let (_, rule) = RULES.iter().find(|(ruled, _)| *ruled == name)?;
    match *rule {
        Ours(why) => Some(format!("set by the gateway ({why}); remove it")),
        NoText => Some(NOT_TEXT.to_owned()),
        Not(refused, why) => {
            let is_refused = value.trim().eq_ignore_ascii_case(refused);
            is_refused.then(|| format!("{refused} is not possible: {why}"))
        }
        Within(least, most, zero, why) => {
            // What is no number librdkafka refuses.
            let value: i64 = value.trim().parse().ok()?;
            let allowed = match u64::try_from(value) {
                Ok(0) => zero == Allowed,
                Ok(value) => (least..=most).contains(&value),
                Err(_) => false,
            };
            let range = match (least, most) {
                (_, MOST) => format!("write at least {least}"),
                (0, _) => format!("write at most {most}"),
                _ => format!("write a number from {least} to {most}"),
            };
            (!allowed).then(|| format!("{range}: {why}"))
        }
    }
}

const NOT_TEXT: &str = "only programs can set it; remove it";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_one_rule() {
        for (index, (name, _)) in RULES.iter().enumerate() {
            let again = RULES[index + 1..].iter().any(|(other, _)| other == name);
            assert!(!again, "{name}");
        }
    }

    #[test]
    fn what_the_gateway_relies_on_is_refused_whatever_its_value() {
        for name in [
            "enable.partition.eof",
            "auto.offset.reset",
            "group.protocol",
            "dr_msg_cb",
        ] {
            for value in ["true", "latest", "0", ""] {
                assert!(refusal(name, value).is_some(), "{name}={value}");
            }
        }
        assert_eq!(
            refusal("enable.partition.eof", "false").unwrap(),
            "set by the gateway (the gateway finds the end of its watermarks by it); remove it"
        );
    }

    #[test]
    fn numbers_with_which_nothing_would_work_are_refused_with_those_that_do() {
        for (name, value, said) in [
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
            let refusal = refusal(name, value);
            match said {
                None => assert_eq!(refusal, None, "{name}={value}"),
                Some(said) => assert!(
                    refusal.clone().is_some_and(|why| why.contains(said)),
                    "{name}={value}: {refusal:?}"
                ),
            }
        }
    }

    /// All that librdkafka knows: it must refuse what it does not know, or a rule would be for nothing.
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
