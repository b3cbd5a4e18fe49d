//! The topics, made at start if they are absent.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::types::RDKafkaErrorCode;
use tracing::info;

use super::{COMMANDS, DEAD_LETTERS, Error, Quiet, Settings, WATERMARKS};
use crate::event::Kind;

const DEFAULT_PARTITIONS: i32 = 3;

/// The watermark topic is read from its last known place at every start, so it is kept short.
const COMPACTED: [(&str, &str); 4] = [
    ("cleanup.policy", "compact"),
    ("segment.bytes", "16777216"),
    ("segment.ms", "3600000"),
    ("min.cleanable.dirty.ratio", "0.1"),
];

/// A dead letter is as large as an MQTT packet may be.
const LARGE: &str = "4194304";

/// Asks which topics there are and makes those that are missing.
pub async fn ensure_topics(settings: &Settings, within: Duration) -> Result<(), Error> {
    let act = "make the topics";
    let mut config = settings.client();
    settings.finish(&mut config);
    let admin: AdminClient<Quiet> = config.create_with_context(Quiet).map_err(Error::of(act))?;
    let (admin, metadata) = tokio::task::spawn_blocking(move || {
        let metadata = admin.inner().fetch_metadata(None, within);
        (admin, metadata)
    })
    .await
    .map_err(|error| Error::Failed {
        act,
        problem: error.to_string(),
    })?;
    let metadata = metadata.map_err(Error::of("list its topics"))?;
    let wanted: Vec<String> = Kind::ALL
        .iter()
        .map(|kind| kind.topic())
        .chain([DEAD_LETTERS, COMMANDS, WATERMARKS])
        .map(|name| settings.topic(name))
        .filter(|name| !metadata.topics().iter().any(|topic| topic.name() == name))
        .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let (watermarks, dead_letters) = (settings.topic(WATERMARKS), settings.topic(DEAD_LETTERS));
    let topics: Vec<NewTopic<'_>> = wanted
        .iter()
        .map(|name| {
            let partitions = settings.partitions.unwrap_or(DEFAULT_PARTITIONS);
            let partitions = if *name == watermarks { 1 } else { partitions };
            // -1: as the Kafka brokers are configured.
            let replication = TopicReplication::Fixed(settings.replication_factor.unwrap_or(-1));
            let topic = NewTopic::new(name, partitions, replication);
            if *name == watermarks {
                COMPACTED
                    .iter()
                    .fold(topic, |topic, (key, value)| topic.set(key, value))
            } else if *name == dead_letters {
                topic.set("max.message.bytes", LARGE)
            } else {
                topic
            }
        })
        .collect();
    let options = AdminOptions::new().operation_timeout(Some(within));
    for result in admin
        .create_topics(&topics, &options)
        .await
        .map_err(Error::of(act))?
    {
        match result {
            Ok(name) => info!(topic = name, "made the topic"),
            // Another gateway was quicker.
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, code)) => {
                return Err(Error::Failed {
                    act,
                    problem: format!("{name}: {code}"),
                });
            }
        }
    }
    Ok(())
}

/// Who answers there, and which of our topics exist, in one sentence.
pub fn describe(settings: &Settings, within: Duration) -> Result<String, Error> {
    let mut config = settings.client();
    settings.finish(&mut config);
    let act = "answer";
    let admin: AdminClient<Quiet> = config.create_with_context(Quiet).map_err(Error::of(act))?;
    let metadata = admin
        .inner()
        .fetch_metadata(None, within)
        .map_err(Error::of(act))?;
    let names = Kind::ALL
        .iter()
        .map(|kind| kind.topic())
        .chain([DEAD_LETTERS, COMMANDS, WATERMARKS]);
    let (mut there, mut absent) = (0, Vec::new());
    for name in names.map(|name| settings.topic(name)) {
        match metadata.topics().iter().any(|topic| topic.name() == name) {
            true => there += 1,
            false => absent.push(name),
        }
    }
    let brokers = metadata.brokers().len();
    Ok(match absent.is_empty() {
        true => format!("{brokers} Kafka brokers answer; all {there} topics are there"),
        false => format!(
            "{brokers} Kafka brokers answer; to be made at start: {}",
            absent.join(", ")
        ),
    })
}
