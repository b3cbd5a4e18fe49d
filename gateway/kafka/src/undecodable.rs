//! Batches of records that cannot be decoded. librdkafka fetches such a batch over and over, and reads nothing after it.
//! Anyone who may write to a topic can create one, for example of zeros that decompress to gigabytes.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use super::consumer::{FetchSize, reader};
use super::group_consumer::TopicPartition;
use super::{Error, Settings};

/// How long to wait for the reply to a probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether librdkafka cannot decode a batch of records. Not the broker's own error for a damaged log (`InvalidMessage`):
/// another replica may have the records.
pub fn is_undecodable(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::BadCompression | RDKafkaErrorCode::BadMessage
    )
}

/// The first offset from `from` on, at most `end`, at which records can be decoded. `None` if that is `from` itself.
///
/// # Errors
/// Kafka does not reply.
pub fn first_readable(
    settings: &Settings,
    partition: &TopicPartition,
    from: i64,
    end: i64,
) -> Result<Option<i64>, Error> {
    let is_readable = |offset| match offset < end {
        true => is_readable(settings, partition, offset),
        false => Ok(true),
    };
    // Twice: records must not be skipped because of one damaged reply.
    if is_readable(from)? || is_readable(from)? {
        return Ok(None);
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
    Ok(Some(works.min(end)))
}

/// Whether the record at an offset can be decoded.
fn is_readable(settings: &Settings, (topic, partition): &TopicPartition, offset: i64) -> Result<bool, Error> {
    let failed = Error::of("return the records of a partition");
    // A new client for each probe, so that late replies to an earlier probe cannot be mistaken for replies to this one.
    let reader = reader(settings, "read_uncommitted", FetchSize::OneBatch).map_err(&failed)?;
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
