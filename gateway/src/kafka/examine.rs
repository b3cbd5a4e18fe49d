//! What `gateway check` asks of Kafka: what the gateway would do, without changing anything.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

use super::consumer::{self, Context};
use super::inquiry::{Inquiry, Right, TopicDescription};
use super::{COMMANDS, DEAD_LETTERS, Error, Resource, Settings, WATERMARKS, describe};
use crate::event::Kind;

const POLL: Duration = Duration::from_millis(20);
/// More than librdkafka writes into its log while it is waited for.
const LINES: usize = 200;

/// Reaches every Kafka broker under the address that it advertises, and looks whether the gateway has the rights that it
/// needs on its topics. What it found, in one sentence. Blocks; to be called on a thread of a Tokio runtime that may block.
///
/// # Errors
/// Kafka is not reached, with the last reason that librdkafka met; one of its brokers is not; a right is missing.
pub fn examine(settings: &Settings, within: Duration) -> Result<String, Error> {
    let act = "answer";
    let explained = |error: Error| error.explained(settings);
    let consumer = consumer::create(settings, "-check", Context::of(settings)).map_err(Error::of(act))?;
    let consumer = Arc::new(consumer);
    let brokers = brokers(settings, &consumer, within)?;
    let topics = wait(&consumer, within, {
        let broker = brokers.first().copied().unwrap_or_default();
        let inquiry = Inquiry::topics(&consumer, broker, &names(settings), within);
        move || inquiry.described(Duration::ZERO)
    });
    let topics = topics.map_err(|error| explained(Error::of(act)(error)))?;
    for topic in topics {
        rights(settings, &topic)?;
    }
    describe(settings, within).map_err(explained)
}

fn names(settings: &Settings) -> Vec<String> {
    let kinds = Kind::ALL.iter().map(|kind| kind.topic());
    let names = kinds.chain([DEAD_LETTERS, COMMANDS, WATERMARKS]);
    names.map(|name| settings.topic(name)).collect()
}

/// Waits for an answer, and meanwhile serves the client's log, in which the reasons stand.
fn wait<T>(
    consumer: &BaseConsumer<Context>,
    within: Duration,
    mut answer: impl FnMut() -> Option<Result<T, KafkaError>>,
) -> Result<T, KafkaError> {
    let deadline = Instant::now() + within + within;
    loop {
        // Reads nothing: no partition is assigned.
        let _ = consumer.poll(POLL);
        if let Some(answer) = answer() {
            return answer;
        }
        if Instant::now() >= deadline {
            return Err(KafkaError::AdminOp(RDKafkaErrorCode::OperationTimedOut));
        }
    }
}

/// The brokers, each of which was reached under the address that it advertises.
fn brokers(
    settings: &Settings,
    consumer: &Arc<BaseConsumer<Context>>,
    within: Duration,
) -> Result<Vec<i32>, Error> {
    let topic = settings.topic(COMMANDS);
    let metadata = consumer.fetch_metadata(Some(&topic), within);
    let metadata = metadata.map_err(|error| {
        serve_log(consumer);
        Error::of("answer")(error).explained(settings)
    })?;
    let mut asked = Vec::new();
    for broker in metadata.brokers() {
        let (id, address) = (broker.id(), format!("{}:{}", broker.host(), broker.port()));
        asked.push((id, address, Inquiry::broker(consumer, id, within)));
    }
    let mut brokers = Vec::new();
    for (id, address, inquiry) in asked {
        let answered = wait(consumer, within, || inquiry.answered(Duration::ZERO));
        // That it does not tell its settings to everybody is an answer, too.
        if let Err(error) = answered
            && let Error::NoAnswer { problem, .. } = Error::of("answer")(error)
        {
            serve_log(consumer);
            let reason = settings.reasons.of_broker(id).unwrap_or_else(|| {
                format!("{address} (the address that Kafka broker {id} advertises): {problem}")
            });
            return Err(Error::Unreachable {
                act: "answer",
                reason,
            });
        }
        brokers.push(id);
    }
    Ok(brokers)
}

/// What librdkafka met is in its log, which waits to be served.
fn serve_log(consumer: &BaseConsumer<Context>) {
    for _ in 0..LINES {
        let _ = consumer.poll(Duration::ZERO);
    }
}

/// Whether the gateway may do with a topic what it has to. One that is absent will be made.
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
    if !is(COMMANDS) && !topic.allows(Right::Write) {
        return missing("WRITE");
    }
    Ok(())
}
