//! The rules by property. Properties without a rule may be set freely.

use super::{NO_LIMIT, PropertyRule};

const EXACTLY_ONCE: &str = "exactly-once delivery depends on it";
const POSITIONS: &str = "the positions are stored with the data";
const NO_MEMBER: &str = "the program manages its consumers";
const TOO_SHORT: &str = "a healthy Kafka may take longer";
const TOO_LONG: &str = "the program would seem to hang for that long";

const fn reserved(reason: &'static str) -> PropertyRule {
    PropertyRule::Reserved { reason }
}

const fn forbidden(value: &'static str, reason: &'static str) -> PropertyRule {
    PropertyRule::Forbidden { value, reason }
}

const fn range(min: u64, max: u64, reason: &'static str) -> PropertyRule {
    PropertyRule::Range {
        min,
        max,
        is_zero_allowed: false,
        reason,
    }
}

/// A range, or 0, which disables the feature or removes the limit.
const fn range_or_zero(min: u64, max: u64, reason: &'static str) -> PropertyRule {
    PropertyRule::Range {
        min,
        max,
        is_zero_allowed: true,
        reason,
    }
}

pub(super) const RULES: &[(&str, PropertyRule)] = &[
    ("bootstrap.servers", reserved("use kafka.brokers")),
    ("metadata.broker.list", reserved("use kafka.brokers")),
    // The producer.
    ("transactional.id", reserved("it is derived from `store`")),
    ("enable.idempotence", reserved(EXACTLY_ONCE)),
    ("enable.gapless.guarantee", reserved(EXACTLY_ONCE)),
    ("acks", reserved(EXACTLY_ONCE)),
    ("request.required.acks", reserved(EXACTLY_ONCE)),
    ("max.in.flight", reserved(EXACTLY_ONCE)),
    ("max.in.flight.requests.per.connection", reserved(EXACTLY_ONCE)),
    ("retries", reserved(EXACTLY_ONCE)),
    ("message.send.max.retries", reserved(EXACTLY_ONCE)),
    ("queuing.strategy", reserved("events must keep their order")),
    ("msg_order_cmp", reserved("events must keep their order")),
    (
        "delivery.report.only.error",
        reserved("the gateway handles delivery errors only"),
    ),
    (
        "partitioner",
        forbidden("random", "all events of an order must be in one partition"),
    ),
    // The consumers.
    ("group.id", reserved("it is derived from `store`")),
    ("group.instance.id", reserved(NO_MEMBER)),
    ("group.protocol", reserved(NO_MEMBER)),
    ("group.protocol.type", reserved(NO_MEMBER)),
    ("group.remote.assignor", reserved(NO_MEMBER)),
    ("partition.assignment.strategy", reserved(NO_MEMBER)),
    ("max.poll.interval.ms", reserved(NO_MEMBER)),
    ("isolation.level", reserved(EXACTLY_ONCE)),
    (
        "enable.partition.eof",
        reserved("it is needed to find the end of the watermark topic"),
    ),
    ("enable.auto.commit", reserved(POSITIONS)),
    ("auto.commit.enable", reserved(POSITIONS)),
    ("enable.auto.offset.store", reserved(POSITIONS)),
    ("auto.offset.reset", reserved(POSITIONS)),
    ("offset.store.method", reserved(POSITIONS)),
    ("offset.store.path", reserved(POSITIONS)),
    ("offset.store.sync.interval.ms", reserved(POSITIONS)),
    (
        "consume.callback.max.messages",
        reserved("the gateway does not use consume callbacks"),
    ),
    // All clients.
    (
        "statistics.interval.ms",
        reserved("the gateway page needs the statistics"),
    ),
    (
        "enabled_events",
        reserved("the gateway selects the events that it handles"),
    ),
    (
        "log_level",
        reserved("use log.filter, for example comptoir_kafka=debug"),
    ),
    ("log.queue", reserved("the gateway parses librdkafka's log")),
    ("log.thread.name", reserved("the gateway parses librdkafka's log")),
    (
        "log.connection.close",
        reserved("the gateway parses librdkafka's log"),
    ),
    (
        "allow.auto.create.topics",
        reserved("the gateway creates its topics with their own settings"),
    ),
    (
        "topic.blacklist",
        reserved("use kafka.topic_prefix to choose other topics"),
    ),
    (
        "metadata.recovery.strategy",
        reserved("the gateway must follow brokers to new addresses"),
    ),
    (
        "internal.termination.signal",
        reserved("the signal could terminate the gateway"),
    ),
    (
        "api.version.request",
        reserved("transactions need the API versions that it requests"),
    ),
    (
        "api.version.fallback.ms",
        reserved("transactions need the API versions that Kafka reports"),
    ),
    (
        "broker.version.fallback",
        reserved("transactions need the API versions that Kafka reports"),
    ),
    (
        "plugin.library.paths",
        reserved("plug-ins could change what the gateway does"),
    ),
    ("interceptors", PropertyRule::NotText),
    ("opaque", PropertyRule::NotText),
    ("default_topic_conf", PropertyRule::NotText),
    ("ssl_key", PropertyRule::NotText),
    ("ssl_certificate", PropertyRule::NotText),
    ("ssl_ca", PropertyRule::NotText),
    ("ssl_engine_callback_data", PropertyRule::NotText),
    // Numbers outside these ranges would stop or severely slow the gateway.
    (
        "message.max.bytes",
        range(1_000_000, NO_LIMIT, "larger events would block all that follow"),
    ),
    (
        "receive.message.max.bytes",
        range(
            10_000_000,
            NO_LIMIT,
            "larger responses of Kafka would be rejected",
        ),
    ),
    (
        "queue.buffering.max.messages",
        range_or_zero(10_000, NO_LIMIT, "a transaction must fit into the queue"),
    ),
    (
        "queue.buffering.max.kbytes",
        range(8_192, NO_LIMIT, "a transaction must fit into the queue"),
    ),
    ("queue.buffering.max.ms", range_or_zero(0, 1_000, TOO_LONG)),
    ("linger.ms", range_or_zero(0, 1_000, TOO_LONG)),
    ("message.timeout.ms", range_or_zero(5_000, NO_LIMIT, TOO_SHORT)),
    ("delivery.timeout.ms", range_or_zero(5_000, NO_LIMIT, TOO_SHORT)),
    ("request.timeout.ms", range(1_000, NO_LIMIT, TOO_SHORT)),
    (
        "transaction.timeout.ms",
        range(
            5_000,
            900_000,
            "Kafka allows at most 15 minutes, and a commit needs some seconds",
        ),
    ),
    ("socket.timeout.ms", range(1_000, NO_LIMIT, TOO_SHORT)),
    (
        "api.version.request.timeout.ms",
        range(1_000, NO_LIMIT, TOO_SHORT),
    ),
    (
        "connections.max.idle.ms",
        range_or_zero(10_000, NO_LIMIT, "connections would be closed while in use"),
    ),
    (
        "socket.max.fails",
        range(1, 10, "a hanging connection would be kept"),
    ),
    (
        "broker.address.ttl",
        range_or_zero(
            0,
            300_000,
            "a broker that moves to another address would not be found",
        ),
    ),
    ("reconnect.backoff.ms", range_or_zero(0, 60_000, TOO_LONG)),
    ("reconnect.backoff.max.ms", range_or_zero(0, 60_000, TOO_LONG)),
    ("retry.backoff.ms", range(1, 10_000, TOO_LONG)),
    ("retry.backoff.max.ms", range(1, 10_000, TOO_LONG)),
    (
        "topic.metadata.refresh.interval.ms",
        range(
            1_000,
            900_000,
            "partitions move between brokers, and the gateway must notice in time",
        ),
    ),
    (
        "topic.metadata.refresh.fast.interval.ms",
        range(1, 10_000, TOO_LONG),
    ),
    (
        "metadata.max.age.ms",
        range(10_000, NO_LIMIT, "topics would be forgotten while in use"),
    ),
    (
        "fetch.max.bytes",
        range(1_000, NO_LIMIT, "each response must hold a record"),
    ),
    ("fetch.wait.max.ms", range_or_zero(0, 300_000, TOO_LONG)),
    ("fetch.queue.backoff.ms", range_or_zero(0, 10_000, TOO_LONG)),
    ("fetch.error.backoff.ms", range_or_zero(0, 10_000, TOO_LONG)),
];
