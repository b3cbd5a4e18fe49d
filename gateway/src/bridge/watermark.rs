//! The watermark: every entry of the journal at or below it is in Kafka. Not Kafka's high watermark.
//!
//! It is a record in a compacted topic of the store, written in the same transaction as the events. Its key contains
//! the store _and_ the journal's uuid. A consumer group's offset would serve the same purpose, but Kafka deletes it
//! after a week without use: a shop that was closed for its holidays would send events twice.
//!
//! A watermark counts only if its signature is valid. Otherwise anyone who may write to the topic could make the
//! gateway believe that its events are in Kafka. Earlier versions wrote to one topic that all stores shared.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use comptoir_core::mac::MacKey;
use comptoir_kafka::{self as kafka, ReadFrom, Settings};

/// The partition that watermarks are written to. In the shared topic of earlier versions the partitioner chose, so a
/// watermark may be in any partition.
pub const PARTITION: i32 = 0;
/// Most unsigned watermarks of a journal that are kept in memory. Anyone who may write to the topic can add more.
const MAX_UNSIGNED: usize = 1_000;

/// The record's value, as JSON so that any tool can read it. Fields may be added but never changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watermark {
    /// Journal offset.
    pub offset: u64,
    /// `ce_id` of the entry at that offset, for operators.
    pub event: String,
    /// The run in which the journal accepted that entry. Distinguishes a journal from a copy that has diverged. Absent
    /// in earlier versions.
    #[serde(default)]
    pub run: Option<String>,
    /// The message authentication code of the record's key and the other fields. Absent in earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
}

impl Watermark {
    /// Signs the watermark for the record with this key.
    #[must_use]
    pub fn signed(mut self, key: &str, mac_key: &MacKey) -> Self {
        let offset = self.offset.to_string();
        self.mac = Some(mac_key.sign(&self.fields(key, &offset)));
        self
    }

    /// Whether the watermark has a valid signature for the record with this key.
    pub fn is_signed(&self, key: &str, mac_key: &MacKey) -> bool {
        let offset = self.offset.to_string();
        let code = self.mac.as_deref().unwrap_or_default();
        mac_key.verify(&self.fields(key, &offset), code.as_bytes())
    }

    fn fields<'a>(&'a self, key: &'a str, offset: &'a str) -> [&'a [u8]; 4] {
        [key, offset, &self.event, self.run.as_deref().unwrap_or_default()].map(str::as_bytes)
    }
}

/// The key of a journal's watermark record.
pub fn key(store: &str, journal: &str) -> String {
    format!("{store}/{journal}")
}

/// The watermarks that the topic holds for one journal.
#[derive(Debug, Default)]
pub struct JournalWatermarks {
    /// The furthest watermark with a valid signature.
    pub signed: Option<Watermark>,
    /// Watermarks without a valid signature, the newest [`MAX_UNSIGNED`]: an earlier version wrote them, or they are
    /// forged.
    pub unsigned: VecDeque<Watermark>,
}

impl JournalWatermarks {
    /// Adds the watermarks of another topic.
    pub fn extend(&mut self, others: Self) {
        if let Some(signed) = others.signed {
            self.add(signed, true);
        }
        for watermark in others.unsigned {
            self.add(watermark, false);
        }
    }

    fn add(&mut self, watermark: Watermark, is_signed: bool) {
        match is_signed {
            true if self
                .signed
                .as_ref()
                .is_none_or(|known| known.offset <= watermark.offset) =>
            {
                self.signed = Some(watermark);
            }
            true => {}
            false => {
                if self.unsigned.len() == MAX_UNSIGNED {
                    self.unsigned.pop_front();
                }
                self.unsigned.push_back(watermark);
            }
        }
    }
}

/// Reads the watermarks of these journals from all partitions of a topic (full name): [`PARTITION`] from `from`, the
/// others from their beginning.
///
/// # Errors
/// See [`kafka::read_to_end`].
pub fn read<const N: usize>(
    settings: &Settings,
    topic: &str,
    mac_key: &MacKey,
    journals: [&str; N],
    from: ReadFrom,
    within: Duration,
    stop: &CancellationToken,
) -> Result<[JournalWatermarks; N], kafka::Error> {
    let keys = journals.map(|journal| key(&settings.identity, journal));
    let mut found: [JournalWatermarks; N] = std::array::from_fn(|_| JournalWatermarks::default());
    let from = |partition| match partition {
        PARTITION => from,
        _ => ReadFrom::Beginning,
    };
    kafka::read_to_end(settings, topic, from, within, stop, |record| {
        if let Some(index) = keys.iter().position(|key| record.key() == key.as_bytes())
            && let Ok(watermark) = serde_json::from_slice::<Watermark>(record.payload())
        {
            let is_signed = watermark.is_signed(&keys[index], mac_key);
            found[index].add(watermark, is_signed);
        }
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use comptoir_core::shop_secret::ShopSecret;

    fn mac_key() -> MacKey {
        ShopSecret::new(std::array::from_fn(|at| at as u8)).watermark_key()
    }

    fn watermark(offset: u64) -> Watermark {
        Watermark {
            offset,
            event: "paris-1/till-1/7/42".to_owned(),
            run: Some("r".to_owned()),
            mac: None,
        }
    }

    #[test]
    fn a_signature_fits_only_its_watermark_and_its_journal() {
        let (key, mac_key) = (key("paris-1", "j"), mac_key());
        let signed = watermark(7).signed(&key, &mac_key);
        // A golden value: the watermarks of an earlier version must count after an upgrade.
        assert_eq!(signed.mac.as_deref(), Some("v1.ZmfJfdZa8GN-xBwN957hdw"));
        assert!(signed.is_signed(&key, &mac_key));
        assert!(!watermark(7).is_signed(&key, &mac_key));
        let with = |change: fn(&mut Watermark)| {
            let mut changed = signed.clone();
            change(&mut changed);
            changed
        };
        for forged in [
            with(|mark| mark.offset = 8),
            with(|mark| mark.event.push('3')),
            with(|mark| mark.run = None),
            with(|mark| mark.mac = Some("v1.".to_owned())),
        ] {
            assert!(!forged.is_signed(&key, &mac_key), "{forged:?}");
        }
        assert!(!signed.is_signed("paris-1/k", &mac_key), "of another journal");
        let other = ShopSecret::new([1; 32]).watermark_key();
        assert!(!signed.is_signed(&key, &other), "of another shop");
    }

    #[test]
    fn the_furthest_signed_watermark_counts_and_the_unsigned_ones_are_bounded() {
        let mut found = JournalWatermarks::default();
        for offset in [3, 9, 5] {
            found.add(watermark(offset), true);
        }
        for offset in 0..2 * MAX_UNSIGNED as u64 {
            found.add(watermark(offset), false);
        }
        assert_eq!(found.signed.map(|watermark| watermark.offset), Some(9));
        assert_eq!(found.unsigned.len(), MAX_UNSIGNED);
        assert_eq!(found.unsigned.back().map(|mark| mark.offset), Some(1_999));
    }
}
