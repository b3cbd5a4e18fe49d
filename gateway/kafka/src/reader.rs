//! Bounded reads: reads a whole topic once, without a group.

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use tokio_util::sync::CancellationToken;

use super::consumer::{BorrowedRecord, FetchSize, reader};
use super::settings::LogOnlyContext;
use super::{Error, Settings};

const ACT: &str = "return the records of a topic";
/// Timeout of one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// One past the last record of each partition, committed or not.
type EndOffsets = BTreeMap<i32, i64>;

/// Where to start in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFrom {
    Beginning,
    /// An offset. An offset beyond the end, as after the topic was recreated, means the beginning.
    Offset(i64),
    /// This many offsets before the end. Transaction markers count too.
    Last(i64),
}

/// Reads the committed records of every partition of a topic (full name), up to its end at the time of the call. `from`
/// says where to start in a partition.
///
/// Waits for other producers' open transactions on a partition, because our own records may be behind them.
///
/// # Errors
/// Kafka is silent for the duration `within`, a transaction stays open for that long, or `stop` is cancelled.
pub fn read_to_end(
    settings: &Settings,
    topic: &str,
    from: impl Fn(i32) -> ReadFrom,
    within: Duration,
    stop: &CancellationToken,
    mut each: impl FnMut(&BorrowedRecord<'_>),
) -> Result<(), Error> {
    let deadline = Instant::now() + within;
    let (starts, ends) = bounds(settings, topic, from, deadline)?;
    let consumer = reader(settings, "read_committed", FetchSize::Default).map_err(Error::of(ACT))?;
    let mut assignment = TopicPartitionList::new();
    let mut unread = HashSet::new();
    for (&partition, &end) in &ends {
        if starts[&partition] >= end {
            continue;
        }
        wait_stable(&consumer, topic, partition, end, deadline)?;
        assignment
            .add_partition_offset(topic, partition, Offset::Offset(starts[&partition]))
            .map_err(Error::of(ACT))?;
        unread.insert(partition);
    }
    if unread.is_empty() {
        return Ok(());
    }
    consumer.assign(&assignment).map_err(Error::of(ACT))?;
    // A long topic may take a long time; only silence is an error.
    let mut last_record = Instant::now();
    while !unread.is_empty() {
        match consumer.poll(Duration::from_millis(500)) {
            Some(Ok(record)) => {
                last_record = Instant::now();
                each(&BorrowedRecord(record));
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                unread.remove(&partition);
            }
            Some(Err(error)) => return Err(Error::of(ACT)(error)),
            None => {}
        }
        if last_record.elapsed() >= within || stop.is_cancelled() {
            return Err(Error::TimedOut { act: ACT, within });
        }
    }
    Ok(())
}

/// Start and end of the read in each partition.
fn bounds(
    settings: &Settings,
    topic: &str,
    from: impl Fn(i32) -> ReadFrom,
    deadline: Instant,
) -> Result<(BTreeMap<i32, i64>, EndOffsets), Error> {
    let client = reader(settings, "read_uncommitted", FetchSize::Default).map_err(Error::of(ACT))?;
    let (mut starts, mut ends) = (BTreeMap::new(), EndOffsets::new());
    for partition in partitions(&client, topic, deadline)? {
        let (low, end) = with_retries(deadline, ACT, || {
            client.fetch_watermarks(topic, partition, REQUEST_TIMEOUT)
        })?;
        let start = match from(partition) {
            ReadFrom::Offset(offset) if offset <= end => offset,
            ReadFrom::Beginning | ReadFrom::Offset(_) => low,
            ReadFrom::Last(count) => end - count,
        };
        starts.insert(partition, start.max(low));
        ends.insert(partition, end);
    }
    Ok((starts, ends))
}

/// Waits until no transaction is open before `end`: until the last stable offset reaches it.
fn wait_stable(
    committed: &BaseConsumer<LogOnlyContext>,
    topic: &str,
    partition: i32,
    end: i64,
    deadline: Instant,
) -> Result<(), Error> {
    loop {
        let (_, stable) = with_retries(deadline, ACT, || {
            committed.fetch_watermarks(topic, partition, REQUEST_TIMEOUT)
        })?;
        if stable >= end {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(Error::Undecided {
                topic: topic.to_owned(),
                stable,
            });
        }
        std::thread::sleep(RETRY_PAUSE);
    }
}

fn partitions(
    client: &BaseConsumer<LogOnlyContext>,
    topic: &str,
    deadline: Instant,
) -> Result<Vec<i32>, Error> {
    with_retries(deadline, ACT, || {
        let metadata = client.client().fetch_metadata(Some(topic), REQUEST_TIMEOUT)?;
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

/// Retries, because brokers may not know a newly created topic yet, and it may not have a leader.
pub(super) fn with_retries<T>(
    deadline: Instant,
    act: &'static str,
    ask: impl Fn() -> Result<T, KafkaError>,
) -> Result<T, Error> {
    loop {
        match ask() {
            Err(error) if is_transient(&error) && Instant::now() < deadline => {
                std::thread::sleep(RETRY_PAUSE)
            }
            answer => return answer.map_err(Error::of(act)),
        }
    }
}

fn is_transient(error: &KafkaError) -> bool {
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

/// Whether a topic exists, as far as this client can see.
///
/// # Errors
/// Kafka does not reply in time.
pub fn topic_exists(settings: &Settings, topic: &str, within: Duration) -> Result<bool, Error> {
    let client = reader(settings, "read_uncommitted", FetchSize::Default).map_err(Error::of(ACT))?;
    let metadata = client.client().fetch_metadata(Some(topic), within);
    let metadata = metadata.map_err(Error::of(ACT))?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    Ok(found.is_some_and(|found| found.error().is_none()))
}

/// Reads committed records of a topic (full name) that Kafka appended since a time (Unix ms), up to about `most` bytes.
/// `each` may stop earlier.
///
/// # Errors
/// Kafka does not reply in time.
pub fn read_since(
    settings: &Settings,
    topic: &str,
    since: i64,
    most: usize,
    within: Duration,
    mut each: impl FnMut(&BorrowedRecord<'_>) -> ControlFlow<()>,
) -> Result<(), Error> {
    let deadline = Instant::now() + within;
    let consumer = reader(settings, "read_committed", FetchSize::OneBatch).map_err(Error::of(ACT))?;
    let mut times = TopicPartitionList::new();
    for partition in partitions(&consumer, topic, deadline)? {
        times
            .add_partition_offset(topic, partition, Offset::Offset(since))
            .map_err(Error::of(ACT))?;
    }
    let found = consumer
        .offsets_for_times(times, REQUEST_TIMEOUT)
        .map_err(Error::of(ACT))?;
    let mut assignment = TopicPartitionList::new();
    let mut unread = HashSet::new();
    for at in found.elements() {
        if let Offset::Offset(offset) = at.offset() {
            assignment
                .add_partition_offset(topic, at.partition(), Offset::Offset(offset))
                .map_err(Error::of(ACT))?;
            unread.insert(at.partition());
        }
    }
    if unread.is_empty() {
        return Ok(());
    }
    consumer.assign(&assignment).map_err(Error::of(ACT))?;
    let mut bytes = 0;
    while !unread.is_empty() && bytes < most && Instant::now() < deadline {
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => {
                let record = BorrowedRecord(message);
                bytes += record.key().len() + record.payload().len();
                record.headers(|key, value| bytes += key.len() + value.len());
                if each(&record).is_break() {
                    break;
                }
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                unread.remove(&partition);
            }
            Some(Err(error)) => return Err(Error::of(ACT)(error)),
            None => {}
        }
    }
    Ok(())
}

/// The result of reading one offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordAt {
    /// A committed record with this `ce_id`.
    Found { ce_id: Option<String>, payload: Vec<u8> },
    /// The offset has no committed record; the next one, if any, is at a later offset.
    Absent,
    /// Kafka has deleted the record, because its retention time has passed.
    Expired,
}

/// Reads one committed record of a topic (full name).
///
/// # Errors
/// Kafka does not reply in time.
pub fn record_at(
    settings: &Settings,
    topic: &str,
    partition: i32,
    offset: i64,
    within: Duration,
) -> Result<RecordAt, Error> {
    let deadline = Instant::now() + within;
    let consumer = reader(settings, "read_committed", FetchSize::OneBatch).map_err(Error::of(ACT))?;
    let ask = || consumer.fetch_watermarks(topic, partition, REQUEST_TIMEOUT);
    let (low, high) = with_retries(deadline, ACT, ask)?;
    if offset < low {
        return Ok(RecordAt::Expired);
    }
    if offset >= high {
        return Ok(RecordAt::Absent);
    }
    let mut assignment = TopicPartitionList::new();
    assignment
        .add_partition_offset(topic, partition, Offset::Offset(offset))
        .map_err(Error::of(ACT))?;
    consumer.assign(&assignment).map_err(Error::of(ACT))?;
    while Instant::now() < deadline {
        match consumer.poll(Duration::from_millis(500)) {
            Some(Ok(message)) => {
                let record = BorrowedRecord(message);
                if record.offset() != offset {
                    return Ok(RecordAt::Absent);
                }
                let mut ce_id = None;
                record.headers(|key, value| {
                    if key == "ce_id" {
                        ce_id = std::str::from_utf8(value).ok().map(str::to_owned);
                    }
                });
                let payload = record.payload().to_vec();
                return Ok(RecordAt::Found { ce_id, payload });
            }
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(RecordAt::Absent),
            Some(Err(error)) => return Err(Error::of(ACT)(error)),
            None => {}
        }
    }
    Err(Error::TimedOut { act: ACT, within })
}
