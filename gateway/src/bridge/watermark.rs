//! The watermark: everything in the journal at or below it is in Kafka. Ours, not Kafka's high watermark.
//!
//! It is a record in a compacted topic, written in the same transaction as the events, under a key of the
//! store *and* the journal's uuid. A consumer group's offset would do the same, but Kafka forgets those
//! after a week without use: a shop that was closed for its holidays would send twice.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::kafka::{self, Settings};

/// Where marks are written. Earlier versions left that to the partitioner, so a mark may lie in any partition.
pub const PARTITION: i32 = 0;

/// Format of the record's value. JSON, to be read with any tool; fields may be added, none change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Journal offset.
    pub offset: u64,
    /// `ce_id` of the entry at that offset, for people.
    pub event: String,
    /// The run of the journal in which that entry was taken in: tells a journal from a copy of it that has gone its own
    /// way. Earlier versions wrote none.
    #[serde(default)]
    pub run: Option<String>,
}

/// The record's key.
pub fn key(store: &str, journal: &str) -> String {
    format!("{store}/{journal}")
}

/// The furthest mark of each of these journals, in all partitions, and where [`PARTITION`] ended then. It is read from
/// `from`, the others from their beginning.
///
/// # Errors
/// As [`kafka::read_to_end`].
pub fn read<const N: usize>(
    settings: &Settings,
    journals: [&str; N],
    from: i64,
    within: Duration,
    stop: &CancellationToken,
) -> Result<([Option<Mark>; N], i64), kafka::Error> {
    let keys = journals.map(|journal| key(&settings.identity, journal));
    let mut furthest: [Option<Mark>; N] = [const { None }; N];
    let from = |partition| if partition == PARTITION { from } else { 0 };
    let ends = kafka::read_to_end(settings, kafka::WATERMARKS, from, within, stop, |message| {
        if let Some(of) = keys.iter().position(|key| message.key() == key.as_bytes())
            && let Ok(mark) = serde_json::from_slice::<Mark>(message.payload())
            && furthest[of]
                .as_ref()
                .is_none_or(|known| known.offset <= mark.offset)
        {
            furthest[of] = Some(mark);
        }
    })?;
    Ok((furthest, ends.get(&PARTITION).copied().unwrap_or(0)))
}
