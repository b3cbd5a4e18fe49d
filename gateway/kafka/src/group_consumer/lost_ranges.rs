//! Records that a [`GroupConsumer`] can no longer read: Kafka has deleted them, or they are in a batch that cannot be
//! decoded.

use std::sync::atomic::Ordering;

use rdkafka::consumer::Consumer as _;

use super::context::REQUEST_TIMEOUT;
use super::{GroupConsumer, TopicPartition};
use crate::Error;
use crate::undecodable::first_readable;

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
            if let Some(to) = first_readable(&self.settings, &partition, from, end)? {
                ranges.push(LostRange { partition, from, to });
            }
        }
        Ok(ranges)
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
