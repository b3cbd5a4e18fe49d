//! `gateway check` for Kafka: tests everything that the gateway needs, without changing anything.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

use super::admin_request::{AdminRequest, Right, TopicDescription};
use super::consumer::{self, Context};
use super::topics::summarise;
use super::{AUDIT, CLOSINGS, COMMANDS, DEAD_LETTERS, Error, Resource, Settings, WATERMARKS};
use comptoir_core::event::Kind;

/// How often replies are polled for.
const POLL: Duration = Duration::from_millis(20);
/// More lines than librdkafka logs during one request.
const MAX_LOG_LINES: usize = 200;
const ACT: &str = "answer";

/// Connects to every Kafka broker at its advertised address, and checks that the gateway has the rights that it needs
/// on its topics. Returns the findings in one sentence. Blocks: call it on a blocking thread of a Tokio runtime.
///
/// # Errors
/// Kafka or one of its brokers is unreachable (with the newest error that librdkafka logged), or a right is missing.
pub fn check_cluster(settings: &Settings, within: Duration) -> Result<String, Error> {
    let explained = |error: Error| error.explained(settings);
    let consumer = consumer::create(
        settings,
        "-check",
        settings.uplink.longest_poll(),
        Context::of(settings),
    )
    .map_err(Error::of(ACT))?;
    let consumer = Arc::new(consumer);
    let brokers = brokers(settings, &consumer, within)?;
    let topics = wait(&consumer, within, {
        let broker = brokers.first().copied().unwrap_or_default();
        let request = AdminRequest::topics(&consumer, broker, &names(settings), within);
        move || request.described(Duration::ZERO)
    });
    let topics = topics.map_err(|error| explained(Error::of(ACT)(error)))?;
    for topic in topics {
        rights(settings, &topic)?;
    }
    summarise(settings, within).map_err(explained)
}

fn names(settings: &Settings) -> Vec<String> {
    let kinds = Kind::ALL.iter().map(|kind| kind.topic());
    let shared = kinds.chain([DEAD_LETTERS, AUDIT, CLOSINGS, COMMANDS]);
    let of_shop = [COMMANDS, WATERMARKS].map(|name| settings.shop_topic(name));
    shared.map(|name| settings.topic(name)).chain(of_shop).collect()
}

/// Waits for a reply, and meanwhile serves the client's log, which names connection errors.
fn wait<T>(
    consumer: &BaseConsumer<Context>,
    within: Duration,
    mut reply: impl FnMut() -> Option<Result<T, KafkaError>>,
) -> Result<T, KafkaError> {
    let deadline = Instant::now() + within + within;
    loop {
        // Returns no records, because no partition is assigned.
        let _ = consumer.poll(POLL);
        if let Some(reply) = reply() {
            return reply;
        }
        if Instant::now() >= deadline {
            return Err(KafkaError::AdminOp(RDKafkaErrorCode::OperationTimedOut));
        }
    }
}

/// The ids of all brokers, once each has replied at its advertised address.
fn brokers(
    settings: &Settings,
    consumer: &Arc<BaseConsumer<Context>>,
    within: Duration,
) -> Result<Vec<i32>, Error> {
    let topic = settings.topic(COMMANDS);
    let metadata = consumer.fetch_metadata(Some(&topic), within);
    let metadata = metadata.map_err(|error| {
        serve_log(consumer);
        Error::of(ACT)(error).explained(settings)
    })?;
    let mut asked = Vec::new();
    for broker in metadata.brokers() {
        let (id, address) = (broker.id(), format!("{}:{}", broker.host(), broker.port()));
        asked.push((id, address, AdminRequest::broker(consumer, id, within)));
    }
    let mut brokers = Vec::new();
    for (id, address, request) in asked {
        let answered = wait(consumer, within, || request.answered(Duration::ZERO));
        // A broker that refuses to show its settings is still reachable.
        if let Err(error) = answered
            && let Error::NoAnswer { problem, .. } = Error::of(ACT)(error)
        {
            serve_log(consumer);
            let reason = settings.connection_errors.of_broker(id).unwrap_or_else(|| {
                format!("{address} (the address that Kafka broker {id} advertises): {problem}")
            });
            return Err(Error::Unreachable { act: ACT, reason });
        }
        brokers.push(id);
    }
    Ok(brokers)
}

/// Serves the queued lines of librdkafka's log, so that connection errors are recorded.
fn serve_log(consumer: &BaseConsumer<Context>) {
    for _ in 0..MAX_LOG_LINES {
        let _ = consumer.poll(Duration::ZERO);
    }
}

/// Checks the gateway's rights on a topic. An absent topic passes, because the gateway will create it.
fn rights(settings: &Settings, topic: &TopicDescription) -> Result<(), Error> {
    let missing = |right| {
        Err(Error::MissingRight {
            right,
            resource: Resource::Topic(topic.name.clone()),
        })
    };
    match topic.error {
        None => {}
        Some(RDKafkaErrorCode::TopicAuthorizationFailed) => return missing("DESCRIBE"),
        Some(_) => return Ok(()),
    }
    let is = |name: &str| settings.topic(name) == topic.name;
    if !is(DEAD_LETTERS) && !topic.allows(Right::Read) {
        return missing("READ");
    }
    let is_commands = is(COMMANDS) || settings.shop_topic(COMMANDS) == topic.name;
    if !is_commands && !topic.allows(Right::Write) {
        return missing("WRITE");
    }
    Ok(())
}
