//! Evidence of how much of this journal is in Kafka, read at the start of a session.
//!
//! Usually the watermark is the evidence. If it is gone (the topic was deleted or recreated), the events themselves
//! serve: each carries its journal's uuid and its journal offset. Transactions are in order, so the lost watermark was
//! at the furthest event that is in Kafka. Payments may overtake other entries, so they show only how far payments are.
//!
//! Others may write to these topics, so only records signed with the shop's keys count. Records of earlier versions are
//! unsigned; they count once, after the upgrade, if they match the journal. `docs/adr/0011-kafka-is-not-trusted.md` has
//! the rules; [`reconcile`](super::relay) applies them, because they need the journal's entries.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::info;

use super::ShopKeys;
use super::progress::Progress;
use super::watermark::{self, JournalWatermarks, Watermark};
use comptoir_core::event::Kind;
use comptoir_core::mac::{MAC_HEADER, SignedRecord};
use comptoir_journal::{Offset, Signing};
use comptoir_kafka::{self as kafka, AUDIT, BorrowedRecord, CLOSINGS, DEAD_LETTERS, ReadFrom, Settings};

/// The journal's state that Kafka is compared with.
#[derive(Debug, Clone)]
pub struct JournalSnapshot {
    pub uuid: String,
    /// The uuid of the journal that this one branched from; empty if there is none.
    pub parent: String,
    /// The last entry that this journal shares with its parent.
    pub shared: Offset,
    /// The journal's own watermarks. Kafka may be ahead of them.
    pub local: Progress,
    /// The last entry that a producer may have received, in this run or an earlier one.
    pub produced: Offset,
    /// An offset in the watermark topic that earlier versions shared. Our newest watermark there is at or after it.
    pub read_from: i64,
    pub signing: Signing,
}

/// A record in an event topic that shows an entry to be in Kafka.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventEvidence {
    pub offset: Offset,
    pub is_payment: bool,
    /// The record's `ce_id`.
    pub name: String,
    /// For a record without a valid signature: the signature that its content would have. The journal's entry must have
    /// the same one.
    pub unsigned: Option<String>,
}

/// How many offsets at the end of the watermark topic are read first: some 20 KB. Only this store writes to the topic,
/// so the newest watermark is among them, unless another copy of the journal has written since.
const TAIL: i64 = 100;

/// The watermarks that the topics hold for this journal, before they are judged.
#[derive(Debug, Default)]
pub struct WatermarkEvidence {
    pub own: JournalWatermarks,
    pub parent: JournalWatermarks,
}

impl JournalSnapshot {
    /// Whether Kafka may have any record of this journal. Entries of a new journal that no producer has received cannot
    /// be there.
    pub fn may_be_in_kafka(&self) -> bool {
        self.produced > Offset(0) || !self.parent.is_empty()
    }

    /// Reads the watermarks in up to three steps: the end of the store's topic; the whole topic, if no signed watermark
    /// at its end covers the journal's own; and the topic that earlier versions shared, if that is still not enough.
    ///
    /// # Errors
    /// See [`kafka::read_to_end`].
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
        let progress = found.signed(self.shared);
        progress != Progress::default() && self.local.is_at_most(progress)
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

    /// The entries beyond `local.upto` that are in Kafka, furthest first. A copy that has diverged has other events at the
    /// same offsets, so the caller must compare the names.
    ///
    /// Reads the event topics from their beginning; needed only if the watermark is lost.
    ///
    /// # Errors
    /// See [`kafka::read_to_end`].
    pub fn events_beyond(
        &self,
        settings: &Settings,
        keys: &ShopKeys,
        within: Duration,
        stop: &CancellationToken,
    ) -> Result<Vec<EventEvidence>, kafka::Error> {
        let mut found = Vec::new();
        let topics = Kind::ALL.map(Kind::topic);
        for name in topics.into_iter().chain([DEAD_LETTERS, AUDIT, CLOSINGS]) {
            let is_payment = name == Kind::Payment.topic();
            kafka::read_to_end(
                settings,
                &settings.topic(name),
                |_| ReadFrom::Beginning,
                within,
                stop,
                |record| {
                    let entry = self.entry(record, is_payment, keys);
                    found.extend(entry.filter(|entry| entry.offset > self.local.upto));
                },
            )?;
        }
        found.sort_unstable_by(|a, b| b.cmp(a));
        Ok(found)
    }

    /// The entry of this journal that a signed record holds, or that an unsigned one of an earlier version may hold.
    fn entry(&self, record: &BorrowedRecord<'_>, is_payment: bool, keys: &ShopKeys) -> Option<EventEvidence> {
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
            is_payment,
            name: String::from_utf8_lossy(ce_id).into_owned(),
            unsigned: (!is_signed).then(|| signed.sign(&keys.records)),
        })
    }
}

impl WatermarkEvidence {
    /// The furthest signed watermarks. The parent's count only up to `shared`, the last entry that both journals have.
    pub fn signed(&self, shared: Offset) -> Progress {
        let progress = |watermarks: &JournalWatermarks| {
            let signed = watermarks.signed.as_ref();
            signed.map_or(Progress::default(), Watermark::progress)
        };
        progress(&self.own).max(progress(&self.parent).min(shared))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_signed_watermarks_count_and_the_parents_only_for_shared_entries() {
        let of = |offset| JournalWatermarks {
            signed: Some(Watermark {
                offset,
                ..Watermark::default()
            }),
            ..JournalWatermarks::default()
        };
        let upto = |offset| Progress::new(Offset(offset), Offset(0));
        assert_eq!(WatermarkEvidence::default().signed(Offset(9)), upto(0));
        let own = WatermarkEvidence {
            own: of(7),
            ..WatermarkEvidence::default()
        };
        assert_eq!(own.signed(Offset(0)), upto(7));
        let inherited = WatermarkEvidence {
            parent: of(7),
            ..WatermarkEvidence::default()
        };
        assert_eq!(inherited.signed(Offset(9)), upto(7));
        assert_eq!(inherited.signed(Offset(5)), upto(5));
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
        assert_eq!(forged.signed(Offset(9)), upto(0));
    }
}
