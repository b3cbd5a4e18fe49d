//! Records that a [`GroupConsumer`] can no longer read: Kafka has deleted them, or they are in a batch that cannot be
//! decoded.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use super::context::REQUEST_TIMEOUT;
use super::{GroupConsumer, TopicPartition};
use crate::Error;
use crate::consumer::{FetchSize, reader};

/// How long to wait for the reply to a probe of [`GroupConsumer::undecodable_ranges`].
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// Records that can no longer be read, although nobody has read them: Kafka has deleted them, or they are in a batch
/// that cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostRange {
    pub partition: TopicPartition,
    /// The stored position.
    pub from: i64,
    /// The first readable offset. Below `from` if the partition was truncated, for example after the brokers lost their
    /// disks.
    pub to: i64,
}

impl GroupConsumer {
    /// Whether a batch could not be decoded since the last call. [`Self::undecodable_ranges`] finds it.
    pub fn is_undecodable(&self) -> bool {
        self.context().is_undecodable.swap(false, Ordering::Relaxed)
    }

    /// The ranges after the stored positions that cannot be decoded. librdkafka fetches such a batch over and over, and
    /// reads nothing after it. Anyone who may write to a topic can create one, for example of zeros that decompress to
    /// gigabytes.
    ///
    /// # Errors
    /// Kafka does not reply.
    pub fn undecodable_ranges(&self) -> Result<Vec<LostRange>, Error> {
        let assigned = self.context().partitions().clone();
        let mut ranges = Vec::new();
        for (partition, assigned) in assigned {
            let (first, end) = self
                .consumer
                .fetch_watermarks(&partition.0, partition.1, REQUEST_TIMEOUT)
                .map_err(Error::of("return the ends of a partition"))?;
            let stored = assigned.stored.filter(|_| !assigned.is_of_former_topic());
            let from = stored.map_or(first, |stored| stored.next.max(first));
            let is_readable = |offset| match offset < end {
                true => self.is_readable(&partition, offset),
                false => Ok(true),
            };
            // Twice: records must not be skipped because of one damaged reply.
            if is_readable(from)? || is_readable(from)? {
                continue;
            }
            // All offsets in the batch fail, and none after it. Searches in growing steps first, then by bisection.
            let (mut fails, mut step) = (from, 1);
            while !is_readable(fails + step)? {
                fails += step;
                step *= 2;
            }
            let mut works = fails + step;
            while works - fails > 1 {
                let middle = fails + (works - fails) / 2;
                match is_readable(middle)? {
                    true => works = middle,
                    false => fails = middle,
                }
            }
            let to = works.min(end);
            ranges.push(LostRange { partition, from, to });
        }
        Ok(ranges)
    }

    /// Whether the record at an offset can be decoded.
    fn is_readable(&self, (topic, partition): &TopicPartition, offset: i64) -> Result<bool, Error> {
        let failed = Error::of("return the records of a partition");
        // A new client for each probe, so that late replies to an earlier probe cannot be mistaken for replies to this
        // one.
        let reader = reader(&self.settings, "read_uncommitted", FetchSize::OneBatch).map_err(&failed)?;
        let mut assignment = TopicPartitionList::new();
        assignment
            .add_partition_offset(topic, *partition, Offset::Offset(offset))
            .map_err(&failed)?;
        reader.assign(&assignment).map_err(&failed)?;
        let deadline = Instant::now() + PROBE_TIMEOUT;
        while let Some(left) = deadline.checked_duration_since(Instant::now()) {
            match reader.poll(left) {
                Some(Ok(_) | Err(KafkaError::PartitionEOF(_))) => return Ok(true),
                Some(Err(error)) if error.rdkafka_error_code().is_some_and(is_undecodable) => {
                    return Ok(false);
                }
                // The broker is unreachable; librdkafka retries.
                Some(Err(_)) | None => {}
            }
        }
        Err(failed(KafkaError::Global(RDKafkaErrorCode::OperationTimedOut)))
    }

    /// Whether Kafka had no record at one of the positions since the last call. [`Self::lost_ranges`] returns the
    /// affected partitions.
    pub fn is_out_of_range(&self) -> bool {
        self.context().is_out_of_range.swap(false, Ordering::Relaxed)
    }

    /// The assigned partitions whose position is outside the range of offsets that Kafka has.
    ///
    /// # Errors
    /// Kafka does not reply.
    pub fn lost_ranges(&self) -> Result<Vec<LostRange>, Error> {
        let assigned = self.context().partitions().clone();
        let mut lost = Vec::new();
        for (partition, assigned) in assigned {
            let Some(stored) = assigned.stored.filter(|_| !assigned.is_of_former_topic()) else {
                continue;
            };
            let (low, high) = self
                .consumer
                .fetch_watermarks(&partition.0, partition.1, REQUEST_TIMEOUT)
                .map_err(Error::of("return the ends of a partition"))?;
            if stored.next < low || stored.next > high {
                lost.push(LostRange {
                    partition,
                    from: stored.next,
                    to: low,
                });
            }
        }
        Ok(lost)
    }
}

/// Whether librdkafka cannot decode a batch of records. Not the broker's own error for a damaged log (`InvalidMessage`):
/// another replica may have the records.
pub(super) fn is_undecodable(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::BadCompression | RDKafkaErrorCode::BadMessage
    )
}
