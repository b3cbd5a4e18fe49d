//! Evidence of how far Kafka is with this journal, read at the start of a session.
//!
//! Usually the watermark is the evidence. If it is gone (the topic was deleted or recreated), the events themselves are: each
//! carries its journal's uuid and its journal offset, and transactions are in order, so the watermark was at the furthest
//! event that is in Kafka.
//!
//! Others may write to these topics, so only what is signed with the shop's keys counts. What earlier versions wrote is not
//! signed; it counts once, after the upgrade, if it matches the journal. `docs/adr/0011-kafka-is-not-trusted.md` has the
//! rules; [`reconcile`](super::relay) applies them, because they need the journal's entries.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::info;

use super::ShopKeys;
use super::watermark::{self, JournalWatermarks};
use comptoir_core::event::Kind;
use comptoir_core::mac::{MAC_HEADER, SignedRecord};
use comptoir_journal::{Offset, Signing};
use comptoir_kafka::{self as kafka, AUDIT, BorrowedRecord, DEAD_LETTERS, ReadFrom, Settings};

/// The state of the journal to compare Kafka with.
#[derive(Debug, Clone)]
pub struct JournalSnapshot {
    pub uuid: String,
    /// The uuid of the journal that it branched from; empty if there is none.
    pub parent: String,
    /// The last entry that it shares with its parent.
    pub shared: Offset,
    /// The journal's own watermark. Kafka may be ahead of it.
    pub local: Offset,
    /// The last entry that may have been handed to a producer, in this life of the journal or in an earlier one.
    pub produced: Offset,
    /// An offset in the shared watermark topic of earlier versions. Our newest watermark there is not before it.
    pub read_from: i64,
    pub signing: Signing,
}

/// An entry that is in Kafka, according to a record in an event topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventEvidence {
    pub offset: Offset,
    /// The record's `ce_id`.
    pub name: String,
    /// Of a record without a valid signature: the signature that its content would have. The journal's entry must have the
    /// same.
    pub unsigned: Option<String>,
}

/// Offsets at the end of the watermark topic that are read first: some 20 KB. The topic is this store's alone, so the newest
/// watermark is among them, unless another copy of the journal has written since.
const TAIL: i64 = 100;

/// What the watermark topics hold about this journal, unjudged.
#[derive(Debug, Default)]
pub struct WatermarkEvidence {
    pub own: JournalWatermarks,
    pub parent: JournalWatermarks,
}

impl JournalSnapshot {
    /// Whether Kafka may have anything of this journal. What was written since a journal was made, and was not handed to a
    /// producer, cannot be there.
    pub fn may_be_in_kafka(&self) -> bool {
        self.produced > Offset(0) || !self.parent.is_empty()
    }

    /// Reads the watermarks: the end of the store's topic, the whole of it if no signed one there covers what the journal
    /// knows, and, if that is not enough either, the topic that earlier versions shared.
    ///
    /// # Errors
    /// As [`kafka::read_to_end`].
    pub fn watermarks(
        &self,
        settings: &Settings,
        keys: &ShopKeys,
        within: Duration,
        stop: &CancellationToken,
    ) -> Result<WatermarkEvidence, kafka::Error> {
        if !self.may_be_in_kafka() {
            return Ok(WatermarkEvidence::default());
        }
        let topic = settings.shop_topic(kafka::WATERMARKS);
        let read = |topic: &str, from| self.read(topic, settings, keys, from, within, stop);
        let mut found = read(&topic, ReadFrom::Last(TAIL))?;
        if self.is_covered_by(&found) {
            return Ok(found);
        }
        found = read(&topic, ReadFrom::Beginning)?;
        if self.is_covered_by(&found) {
            return Ok(found);
        }
        let shared = settings.topic(kafka::WATERMARKS);
        if kafka::topic_exists(settings, &shared, within)? {
            info!(
                topic = shared,
                "the store's topic has no watermark that covers the journal: reading the topic of earlier versions"
            );
            let mut earlier = read(&shared, ReadFrom::Offset(self.read_from))?;
            if self.read_from > 0 && !self.is_covered_by(&earlier) {
                earlier = read(&shared, ReadFrom::Beginning)?;
            }
            found.own.extend(earlier.own);
            found.parent.extend(earlier.parent);
        }
        Ok(found)
    }

    /// Whether there is a signed watermark at or beyond the journal's own.
    fn is_covered_by(&self, found: &WatermarkEvidence) -> bool {
        let offset = found.signed(self.shared);
        offset > Offset(0) && offset >= self.local
    }

    fn read(
        &self,
        topic: &str,
        settings: &Settings,
        keys: &ShopKeys,
        from: ReadFrom,
        within: Duration,
        stop: &CancellationToken,
    ) -> Result<WatermarkEvidence, kafka::Error> {
        let journals = [self.uuid.as_str(), self.parent.as_str()];
        let [own, parent] = watermark::read(settings, topic, &keys.watermarks, journals, from, within, stop)?;
        Ok(WatermarkEvidence { own, parent })
    }

    /// The entries beyond `local` that are in Kafka, furthest first. A copy that has diverged has other events at the same
    /// offsets, so the caller must compare the names.
    ///
    /// Reads the event topics from their beginning. Needed only if the watermark is lost.
    ///
    /// # Errors
    /// As [`kafka::read_to_end`].
    pub fn events_beyond(
        &self,
        settings: &Settings,
        keys: &ShopKeys,
        within: Duration,
        stop: &CancellationToken,
    ) -> Result<Vec<EventEvidence>, kafka::Error> {
        let mut found = Vec::new();
        let topics = Kind::ALL.map(Kind::topic);
        for name in topics.into_iter().chain([DEAD_LETTERS, AUDIT]) {
            kafka::read_to_end(
                settings,
                &settings.topic(name),
                |_| ReadFrom::Beginning,
                within,
                stop,
                |record| {
                    found.extend(self.entry(record, keys).filter(|entry| entry.offset > self.local));
                },
            )?;
        }
        found.sort_unstable_by(|a, b| b.cmp(a));
        Ok(found)
    }

    /// The entry of this journal that a record is, if it is signed, or may be if an earlier version wrote it.
    fn entry(&self, record: &BorrowedRecord<'_>, keys: &ShopKeys) -> Option<EventEvidence> {
        let (mut is_own, mut is_inherited, mut offset) = (false, false, None);
        let (mut ce_id, mut ce_type, mut code) = (&[][..], &[][..], &[][..]);
        record.headers(|key, value| match key {
            "ce_journal" => {
                is_own = value == self.uuid.as_bytes();
                is_inherited = !self.parent.is_empty() && value == self.parent.as_bytes();
            }
            "ce_journaloffset" => {
                offset = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
            }
            "ce_id" => ce_id = value,
            "ce_type" => ce_type = value,
            MAC_HEADER => code = value,
            _ => {}
        });
        let offset = offset.map(Offset)?;
        let is_here = is_own && offset <= self.produced || is_inherited && offset <= self.shared;
        if !is_here {
            return None;
        }
        let signed = SignedRecord {
            ce_id,
            ce_type,
            key: record.key(),
            value: record.payload(),
        };
        let is_signed = signed.verify(&keys.records, code);
        let may_be_unsigned = self.signing.accepts_unsigned_watermark && offset <= self.signing.unsigned_upto;
        (is_signed || may_be_unsigned).then(|| EventEvidence {
            offset,
            name: String::from_utf8_lossy(ce_id).into_owned(),
            unsigned: (!is_signed).then(|| signed.sign(&keys.records)),
        })
    }
}

impl WatermarkEvidence {
    /// The furthest signed watermark, with the parent's limited to `shared`, the last entry that both have.
    pub fn signed(&self, shared: Offset) -> Offset {
        let offset = |watermarks: &JournalWatermarks| {
            let signed = watermarks.signed.as_ref();
            signed.map_or(Offset(0), |watermark| Offset(watermark.offset))
        };
        offset(&self.own).max(offset(&self.parent).min(shared))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::watermark::Watermark;

    #[test]
    fn only_signed_watermarks_count_and_the_parents_only_for_shared_entries() {
        let of = |offset| JournalWatermarks {
            signed: Some(Watermark {
                offset,
                ..Watermark::default()
            }),
            ..JournalWatermarks::default()
        };
        assert_eq!(WatermarkEvidence::default().signed(Offset(9)), Offset(0));
        let own = WatermarkEvidence {
            own: of(7),
            ..WatermarkEvidence::default()
        };
        assert_eq!(own.signed(Offset(0)), Offset(7));
        let inherited = WatermarkEvidence {
            parent: of(7),
            ..WatermarkEvidence::default()
        };
        assert_eq!(inherited.signed(Offset(9)), Offset(7));
        assert_eq!(inherited.signed(Offset(5)), Offset(5));
        let forged = JournalWatermarks {
            unsigned: [Watermark {
                offset: 1_000,
                ..Watermark::default()
            }]
            .into(),
            ..JournalWatermarks::default()
        };
        let forged = WatermarkEvidence {
            own: forged,
            ..WatermarkEvidence::default()
        };
        assert_eq!(forged.signed(Offset(9)), Offset(0));
    }
}
