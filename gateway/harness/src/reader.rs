//! Reads topics with `isolation.level=read_committed`. The promise of exactly-once holds for such readers.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};
use tokio::task::spawn_blocking;

use crate::eventually::within;
use crate::kafka::client;
use crate::record::Record;

/// How long a single request to Kafka may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// Pause between two attempts in a thread that may block.
const RETRY_PAUSE: Duration = Duration::from_millis(10);

/// Reads topics from their beginning.
#[derive(Debug, Clone)]
pub struct Reader {
    brokers: String,
}

impl Reader {
    pub fn new(brokers: &str) -> Self {
        Self {
            brokers: brokers.to_owned(),
        }
    }

    /// All records that were written before this call, topic after topic.
    ///
    /// Waits for transactions that are open: reads up to the high watermark, not to the last stable offset.
    ///
    /// # Errors
    /// A topic does not exist, a transaction stays open, or Kafka does not answer before the deadline.
    pub async fn read<T: AsRef<str>>(&self, topics: &[T], deadline: Duration) -> Result<Vec<Record>> {
        self.fold(topics, deadline, Vec::new(), |records, record| {
            records.push(record)
        })
        .await
    }

    /// Like [`Self::read`], for more records than fit in memory: passes each to `take`.
    ///
    /// # Errors
    /// Same as [`Self::read`].
    pub async fn fold<T: AsRef<str>, S: Send + 'static>(
        &self,
        topics: &[T],
        deadline: Duration,
        mut state: S,
        mut take: impl FnMut(&mut S, Record) + Send + 'static,
    ) -> Result<S> {
        let brokers = self.brokers.clone();
        let topics: Vec<_> = topics.iter().map(|topic| topic.as_ref().to_owned()).collect();
        let end = Instant::now() + deadline;
        spawn_blocking(move || {
            for topic in topics {
                read_topic(&brokers, &topic, end, &mut |record| take(&mut state, record))
                    .with_context(|| format!("read the topic {topic}"))?;
            }
            Ok(state)
        })
        .await?
    }

    /// Follows topics from their beginning. Waits for topics that do not exist yet.
    ///
    /// # Errors
    /// A topic does not exist at the deadline.
    pub async fn tail<T: AsRef<str>>(&self, topics: &[T], deadline: Duration) -> Result<Tail> {
        let mut config = client(&self.brokers);
        config
            .set("group.id", "harness")
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false");
        let consumer: Arc<StreamConsumer> = Arc::new(config.create().context("make a Kafka consumer")?);
        let mut assignment = TopicPartitionList::new();
        for topic in topics {
            let topic = topic.as_ref();
            let what = format!("the topic {topic}");
            let partitions = within(&what, deadline, async || {
                let (consumer, topic) = (Arc::clone(&consumer), topic.to_owned());
                spawn_blocking(move || partitions(&*consumer, &topic, REQUEST_TIMEOUT)).await?
            });
            for partition in partitions.await? {
                assignment.add_partition_offset(topic, partition, Offset::Beginning)?;
            }
        }
        consumer.assign(&assignment).context("assign partitions")?;
        Ok(Tail {
            consumer,
            records: Vec::new(),
        })
    }
}

/// Records as they become visible to a `read_committed` reader.
pub struct Tail {
    consumer: Arc<StreamConsumer>,
    records: Vec<Record>,
}

impl Tail {
    /// All records so far.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Waits for the next record.
    ///
    /// # Errors
    /// None came before the deadline, or Kafka reports a permanent error.
    pub async fn next(&mut self, deadline: Duration) -> Result<&Record> {
        let next = async {
            loop {
                match self.consumer.recv().await {
                    Ok(message) => return Ok(Record::from_message(&message)),
                    // The client reconnects by itself after losing its brokers.
                    Err(KafkaError::MessageConsumption(_)) => {}
                    Err(error) => bail!(error),
                }
            }
        };
        let record = tokio::time::timeout(deadline, next)
            .await
            .with_context(|| format!("no record came within {deadline:?}"))??;
        self.records.push(record);
        // Not empty: a record was just pushed.
        Ok(&self.records[self.records.len() - 1])
    }

    /// Reads until the records so far satisfy `enough`.
    ///
    /// # Errors
    /// They do not satisfy it by the deadline. The error says `what` was awaited and how many records came.
    pub async fn until(
        &mut self,
        what: &str,
        deadline: Duration,
        mut enough: impl FnMut(&[Record]) -> bool,
    ) -> Result<&[Record]> {
        let end = Instant::now() + deadline;
        while !enough(&self.records) {
            let left = end.saturating_duration_since(Instant::now());
            if let Err(error) = self.next(left).await {
                let seen = self.records.len();
                return Err(error)
                    .with_context(|| format!("waited {deadline:?} for {what}: {seen} records came"));
            }
        }
        Ok(&self.records)
    }
}

fn read_topic(brokers: &str, topic: &str, end: Instant, take: &mut dyn FnMut(Record)) -> Result<()> {
    let consumer = |isolation: &str| -> Result<BaseConsumer> {
        let mut config = client(brokers);
        config
            .set("group.id", "harness")
            .set("isolation.level", isolation)
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            // Nothing may be skipped unnoticed.
            .set("auto.offset.reset", "error")
            // The client reports the end of a partition only after an empty fetch.
            .set("fetch.wait.max.ms", "10");
        config.create().context("make a Kafka consumer")
    };
    let committed = consumer("read_committed")?;
    let uncommitted = consumer("read_uncommitted")?;
    let partitions = retry(end, || partitions(&uncommitted, topic, left(end)))?;
    let mut assignment = TopicPartitionList::new();
    for &partition in &partitions {
        let (_, high) = retry(end, || {
            Ok(uncommitted.fetch_watermarks(topic, partition, left(end))?)
        })?;
        // For a read_committed client the high watermark is the last stable offset, before which all transactions have
        // ended.
        retry(end, || {
            let (_, stable) = committed.fetch_watermarks(topic, partition, left(end))?;
            ensure!(
                stable >= high,
                "partition {partition}: a transaction is open at {stable}, before {high}"
            );
            Ok(())
        })?;
        assignment.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    committed.assign(&assignment).context("assign partitions")?;
    // A consumer's position does not advance over aborted records and commit markers, so it may never reach the high
    // watermark. The client reports the end of a partition at the last stable offset, which is not below the watermark.
    let mut unfinished: HashSet<i32> = partitions.into_iter().collect();
    while !unfinished.is_empty() {
        ensure!(
            left(end) > Duration::ZERO,
            "partitions {unfinished:?} were not read to the end in time"
        );
        match committed.poll(left(end).min(REQUEST_TIMEOUT)) {
            Some(Ok(message)) if unfinished.contains(&message.partition()) => {
                take(Record::from_message(&message));
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                unfinished.remove(&partition);
            }
            Some(Err(KafkaError::MessageConsumption(_)) | Ok(_)) | None => {}
            Some(Err(error)) => bail!(error),
        }
    }
    Ok(())
}

fn partitions(consumer: &impl Consumer, topic: &str, wait: Duration) -> Result<Vec<i32>> {
    let metadata = consumer.fetch_metadata(Some(topic), wait)?;
    let topic = metadata.topics().iter().find(|found| found.name() == topic);
    let partitions = topic
        .map(rdkafka::metadata::MetadataTopic::partitions)
        .unwrap_or_default();
    ensure!(!partitions.is_empty(), "no such topic");
    ensure!(
        partitions.iter().all(|partition| partition.leader() >= 0),
        "a partition has no leader"
    );
    Ok(partitions
        .iter()
        .map(rdkafka::metadata::MetadataPartition::id)
        .collect())
}

/// The time left for a request: until `end`, but at most [`REQUEST_TIMEOUT`].
fn left(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now()).min(REQUEST_TIMEOUT)
}

/// Repeats a blocking request until it succeeds.
///
/// At the deadline it returns the last error that is not a timeout, if there was one. The last attempts may have only a
/// millisecond each, too little for an answer, and their timeouts must not hide why the others failed.
fn retry<T>(end: Instant, mut request: impl FnMut() -> Result<T>) -> Result<T> {
    let mut last_error = None;
    loop {
        let error = match request() {
            Ok(answer) => return Ok(answer),
            Err(error) if is_timeout(&error) => last_error.unwrap_or(error),
            Err(error) => error,
        };
        if left(end) == Duration::ZERO {
            return Err(error);
        }
        last_error = Some(error);
        std::thread::sleep(RETRY_PAUSE);
    }
}

fn is_timeout(error: &anyhow::Error) -> bool {
    let code = error.downcast_ref().and_then(KafkaError::rdkafka_error_code);
    code == Some(RDKafkaErrorCode::OperationTimedOut)
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn an_error_is_not_hidden_by_later_timeouts() {
        let mut attempts = 0;
        let error = retry::<()>(Instant::now() + Duration::from_millis(50), || {
            attempts += 1;
            match attempts {
                1 => Err(anyhow!("no such topic")),
                _ => Err(KafkaError::MetadataFetch(RDKafkaErrorCode::OperationTimedOut).into()),
            }
        })
        .unwrap_err();
        assert!(attempts > 2, "there were only {attempts} attempts");
        assert_eq!(error.to_string(), "no such topic");
    }
}
