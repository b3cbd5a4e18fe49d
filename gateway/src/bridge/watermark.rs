//! The watermark: every entry of the journal at or below it is in Kafka. Not Kafka's high watermark.
//!
//! It is a record in a compacted topic of the store, written in the same transaction as the events. Its key contains
//! the store _and_ the journal's uuid. A consumer group's offset would serve the same purpose, but Kafka deletes it
//! after a week without use: a shop that was closed for its holidays would send events twice.
//!
//! A watermark counts only if its signature is valid. Otherwise anyone who may write to the topic could make the
//! gateway believe that its events are in Kafka. Earlier versions wrote to one topic that all stores shared.
//!
//! Payments may overtake other entries. A second watermark in the same record says how far, and has a signature of its
//! own, so that earlier versions can verify the first one. `docs/adr/0021-payments-first.md` has the reasons.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::progress::Progress;
use comptoir_core::mac::MacKey;
use comptoir_journal::Offset;
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
    /// The watermark of payments. Absent if no payment has overtaken another entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payments: Option<PaymentsWatermark>,
    /// The message authentication code of the record's key, `offset`, `event` and `run`. Absent in earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
}

/// Every payment up to this entry is in Kafka. The entry is beyond [`Watermark::offset`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentsWatermark {
    /// Journal offset.
    pub offset: u64,
    /// `ce_id` of the entry at that offset.
    pub event: String,
    /// The run in which the journal accepted that entry.
    pub run: Option<String>,
    /// The message authentication code of the record's key, [`Watermark::offset`] and the other fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
}

impl Watermark {
    /// Signs the watermark for the record with this key.
    #[must_use]
    pub fn signed(mut self, key: &str, mac_key: &MacKey) -> Self {
        let offset = self.offset.to_string();
        self.mac = Some(mac_key.sign(&self.fields(key, &offset)));
        if let Some(payments) = &mut self.payments {
            let upto = payments.offset.to_string();
            payments.mac = Some(mac_key.sign(&payments.fields(key, &offset, &upto)));
        }
        self
    }

    /// Whether the watermark has a valid signature for the record with this key.
    pub fn is_signed(&self, key: &str, mac_key: &MacKey) -> bool {
        let offset = self.offset.to_string();
        let code = self.mac.as_deref().unwrap_or_default();
        mac_key.verify(&self.fields(key, &offset), code.as_bytes())
    }

    /// Removes the watermark of payments unless its signature is valid.
    fn verify_payments(&mut self, key: &str, mac_key: &MacKey) {
        let offset = self.offset.to_string();
        self.payments.take_if(|payments| {
            let upto = payments.offset.to_string();
            let code = payments.mac.as_deref().unwrap_or_default();
            !mac_key.verify(&payments.fields(key, &offset, &upto), code.as_bytes())
        });
    }

    /// What the watermark says to be in Kafka.
    pub fn progress(&self) -> Progress {
        let payments = self.payments.as_ref().map_or(0, |payments| payments.offset);
        Progress::new(Offset(self.offset), Offset(payments))
    }

    fn fields<'a>(&'a self, key: &'a str, offset: &'a str) -> [&'a [u8]; 4] {
        [key, offset, &self.event, self.run.as_deref().unwrap_or_default()].map(str::as_bytes)
    }
}

impl PaymentsWatermark {
    fn fields<'a>(&'a self, key: &'a str, offset: &'a str, upto: &'a str) -> [&'a [u8]; 5] {
        [
            key,
            offset,
            upto,
            &self.event,
            self.run.as_deref().unwrap_or_default(),
        ]
        .map(str::as_bytes)
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
                .is_none_or(|known| known.progress().is_at_most(watermark.progress())) =>
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
            && let Ok(mut watermark) = serde_json::from_slice::<Watermark>(record.payload())
        {
            let is_signed = watermark.is_signed(&keys[index], mac_key);
            // Without a valid signature nothing of it is believed; the bridge has to know that it names payments.
            if is_signed {
                watermark.verify_payments(&keys[index], mac_key);
            }
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
            payments: None,
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
    fn the_watermark_of_payments_counts_only_with_its_own_signature() {
        let (key, mac_key) = (key("paris-1", "j"), mac_key());
        let payments = |offset| PaymentsWatermark {
            offset,
            event: "paris-1/till-1/7/50".to_owned(),
            run: Some("r".to_owned()),
            mac: None,
        };
        let mut plain = watermark(7);
        let without = plain.clone().signed(&key, &mac_key);
        plain.payments = Some(payments(12));
        let signed = plain.signed(&key, &mac_key);
        assert_eq!(
            signed.mac, without.mac,
            "earlier versions can verify the watermark"
        );
        let verified = |mut watermark: Watermark, key: &str| {
            watermark.verify_payments(key, &mac_key);
            watermark.progress()
        };
        let ahead = Progress::new(Offset(7), Offset(12));
        assert_eq!(verified(signed.clone(), &key), ahead);
        let plain = Progress::new(Offset(7), Offset(7));
        let mut further = signed.clone();
        further.payments.as_mut().unwrap().offset = 13;
        assert_eq!(verified(further, &key), plain);
        let mut of_another_record = signed.clone();
        of_another_record.offset = 6;
        assert_eq!(verified(of_another_record, &key).payments, Offset(6));
        assert_eq!(verified(signed.clone(), "paris-1/k"), plain);
        let mut unsigned = signed;
        unsigned.payments.as_mut().unwrap().mac = None;
        assert_eq!(verified(unsigned, &key), plain);
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
