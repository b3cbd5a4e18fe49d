//! Reading a whole topic once, without a group.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use tokio_util::sync::CancellationToken;

use super::consumer::{Message, reader};
use super::{Error, Quiet, Settings};

const ACT: &str = "give its watermarks";
const STEP: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// One past the last record of each partition, committed or not.
pub type Ends = BTreeMap<i32, i64>;

/// Reads every partition of a topic to where its end was at the call, committed records only. `from` gives where to begin
/// in a partition; a place that is not there, as in a topic that was made anew, means its beginning.
///
/// Transactions of others that are open on a partition are waited for: what they hide may be ours.
///
/// # Errors
/// Kafka does not answer for the time `within`, a transaction stays open for that long, or `stop` was cancelled.
pub fn read_to_end(
    settings: &Settings,
    name: &str,
    from: impl Fn(i32) -> i64,
    within: Duration,
    stop: &CancellationToken,
    mut each: impl FnMut(&Message<'_>),
) -> Result<Ends, Error> {
    let topic = settings.topic(name);
    let deadline = Instant::now() + within;
    let (starts, ends) = bounds(settings, &topic, from, deadline)?;
    let consumer = reader(settings, "read_committed").map_err(Error::of(ACT))?;
    let mut assignment = TopicPartitionList::new();
    let mut unread = HashSet::new();
    for (&partition, &end) in &ends {
        if starts[&partition] >= end {
            continue;
        }
        wait_stable(&consumer, &topic, partition, end, deadline)?;
        assignment
            .add_partition_offset(&topic, partition, Offset::Offset(starts[&partition]))
            .map_err(Error::of(ACT))?;
        unread.insert(partition);
    }
    if unread.is_empty() {
        return Ok(ends);
    }
    consumer.assign(&assignment).map_err(Error::of(ACT))?;
    // A long topic may take long: only silence is an error.
    let mut heard = Instant::now();
    while !unread.is_empty() {
        match consumer.poll(Duration::from_millis(500)) {
            Some(Ok(message)) => {
                heard = Instant::now();
                each(&Message(message));
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                unread.remove(&partition);
            }
            Some(Err(error)) => return Err(Error::of(ACT)(error)),
            None => {}
        }
        if heard.elapsed() >= within || stop.is_cancelled() {
            return Err(Error::TimedOut { act: ACT, within });
        }
    }
    Ok(ends)
}

/// Where to begin, and where each partition ends.
fn bounds(
    settings: &Settings,
    topic: &str,
    from: impl Fn(i32) -> i64,
    deadline: Instant,
) -> Result<(BTreeMap<i32, i64>, Ends), Error> {
    let client = reader(settings, "read_uncommitted").map_err(Error::of(ACT))?;
    let (mut starts, mut ends) = (BTreeMap::new(), Ends::new());
    for partition in partitions(&client, topic, deadline)? {
        let (low, end) = retried(deadline, || client.fetch_watermarks(topic, partition, STEP))?;
        let from = from(partition);
        starts.insert(partition, if from > end { low } else { from.max(low) });
        ends.insert(partition, end);
    }
    Ok((starts, ends))
}

/// Waits until no transaction is open before `end`.
fn wait_stable(
    committed: &BaseConsumer<Quiet>,
    topic: &str,
    partition: i32,
    end: i64,
    deadline: Instant,
) -> Result<(), Error> {
    loop {
        let (_, stable) = retried(deadline, || committed.fetch_watermarks(topic, partition, STEP))?;
        if stable >= end {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(Error::Undecided {
                topic: topic.to_owned(),
                stable,
            });
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

fn partitions(client: &BaseConsumer<Quiet>, topic: &str, deadline: Instant) -> Result<Vec<i32>, Error> {
    retried(deadline, || {
        let metadata = client.client().fetch_metadata(Some(topic), STEP)?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        let partitions = found.map(|found| found.partitions()).unwrap_or_default();
        if partitions.is_empty() {
            return Err(KafkaError::MetadataFetch(
                RDKafkaErrorCode::UnknownTopicOrPartition,
            ));
        }
        Ok(partitions.iter().map(|partition| partition.id()).collect())
    })
}

/// A topic that was just made is not known to every Kafka broker yet, and may not have a leader.
fn retried<T>(deadline: Instant, ask: impl Fn() -> Result<T, KafkaError>) -> Result<T, Error> {
    loop {
        match ask() {
            Err(error) if is_passing(&error) && Instant::now() < deadline => std::thread::sleep(LOOK_AGAIN),
            answer => return answer.map_err(Error::of(ACT)),
        }
    }
}

fn is_passing(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownPartition
                | RDKafkaErrorCode::LeaderNotAvailable
                | RDKafkaErrorCode::NotLeaderForPartition
        )
    )
}

/// One past the last record of a topic's first partition, committed or not.
///
/// # Errors
/// Kafka does not answer within a few seconds.
pub fn end_of(settings: &Settings, name: &str) -> Result<i64, Error> {
    reader(settings, "read_uncommitted")
        .map_err(Error::of(ACT))?
        .fetch_watermarks(&settings.topic(name), 0, STEP)
        .map(|(_, end)| end)
        .map_err(Error::of(ACT))
}
