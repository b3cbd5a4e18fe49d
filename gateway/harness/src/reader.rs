//! What a reader with `isolation.level=read_committed` finds in Kafka: the view that exactly-once is promised for.

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

const ANSWER: Duration = Duration::from_secs(2);

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

    /// All records up to what was written when this was called, topic after topic.
    ///
    /// Waits for transactions that are open then: the end is the high watermark, not the last stable offset.
    ///
    /// # Errors
    /// A topic is not there, a transaction stays open, or Kafka does not answer before the deadline.
    pub async fn read<T: AsRef<str>>(&self, topics: &[T], deadline: Duration) -> Result<Vec<Record>> {
        self.fold(topics, deadline, Vec::new(), |records, record| {
            records.push(record)
        })
        .await
    }

    /// As [`Self::read`], for more records than one wants to hold in memory.
    ///
    /// # Errors
    /// As [`Self::read`].
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

    /// Follows topics from their beginning; waits for those that are not there yet.
    ///
    /// # Errors
    /// A topic is not there when the deadline has passed.
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
                spawn_blocking(move || partitions(&*consumer, &topic, ANSWER)).await?
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

    /// The next record.
    ///
    /// # Errors
    /// None has come when the deadline has passed, or Kafka refuses for good.
    pub async fn next(&mut self, deadline: Duration) -> Result<&Record> {
        let next = async {
            loop {
                match self.consumer.recv().await {
                    Ok(message) => return Ok(Record::of(&message)),
                    // The client reconnects by itself when its brokers are gone.
                    Err(KafkaError::MessageConsumption(_)) => {}
                    Err(error) => bail!(error),
                }
            }
        };
        let record = tokio::time::timeout(deadline, next)
            .await
            .with_context(|| format!("no record came within {deadline:?}"))??;
        self.records.push(record);
        // Just pushed.
        Ok(&self.records[self.records.len() - 1])
    }

    /// Reads on until the records so far satisfy `enough`.
    ///
    /// # Errors
    /// They do not when the deadline has passed: with `what` was awaited and how many came.
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
            // The end of a partition is only told after an empty fetch.
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
        // For a read_committed client this is the last stable offset: up to there all transactions have ended.
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
    // A consumer's position does not move over aborted records and commit markers, so it may never reach the high
    // watermark. The end of a partition is told at the last stable offset, which was found to be beyond it.
    let mut unfinished: HashSet<i32> = partitions.into_iter().collect();
    while !unfinished.is_empty() {
        ensure!(
            left(end) > Duration::ZERO,
            "partitions {unfinished:?} were not read to the end in time"
        );
        match committed.poll(left(end).min(ANSWER)) {
            Some(Ok(message)) if unfinished.contains(&message.partition()) => take(Record::of(&message)),
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
    ensure!(!partitions.is_empty(), "there is no such topic");
    ensure!(
        partitions.iter().all(|partition| partition.leader() >= 0),
        "a partition has no leader"
    );
    Ok(partitions
        .iter()
        .map(rdkafka::metadata::MetadataPartition::id)
        .collect())
}

fn left(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now()).min(ANSWER)
}

/// Asks until there is an answer, for threads that may block.
///
/// In the end it fails with what Kafka has said last, if it has said anything. Time-outs do not count as that: the last
/// looks, of which there may be several of a millisecond each, have too little time for an answer.
fn retry<T>(end: Instant, mut ask: impl FnMut() -> Result<T>) -> Result<T> {
    let mut said = None;
    loop {
        let error = match ask() {
            Ok(answer) => return Ok(answer),
            Err(error) if timed_out(&error) => said.unwrap_or(error),
            Err(error) => error,
        };
        if left(end) == Duration::ZERO {
            return Err(error);
        }
        said = Some(error);
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn timed_out(error: &anyhow::Error) -> bool {
    let code = error.downcast_ref().and_then(KafkaError::rdkafka_error_code);
    code == Some(RDKafkaErrorCode::OperationTimedOut)
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn what_kafka_said_outlives_the_time_outs_after_it() {
        let mut looks = 0;
        let error = retry::<()>(Instant::now() + Duration::from_millis(50), || {
            looks += 1;
            match looks {
                1 => Err(anyhow!("no such topic")),
                _ => Err(KafkaError::MetadataFetch(RDKafkaErrorCode::OperationTimedOut).into()),
            }
        })
        .unwrap_err();
        assert!(looks > 2, "there were only {looks} looks");
        assert_eq!(error.to_string(), "no such topic");
    }
}
