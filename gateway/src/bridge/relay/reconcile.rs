//! The start of a session: determines how much of this journal is in Kafka, and moves the journal's watermark there.

use std::collections::HashMap;

use tracing::{error, info};

use super::super::ShopKeys;
use super::super::batch::{MAX_BYTES, MAX_ENTRIES};
use super::super::evidence::{EventEvidence, JournalSnapshot, WatermarkEvidence};
use super::super::watermark::Watermark;
use super::{Relay, RelayError, count, signed};
use comptoir_journal::{Entry, Offset, RelayReport};

/// The watermarks in Kafka, compared with the journal.
#[derive(Debug, Default)]
pub(super) struct JudgedWatermarks {
    /// The furthest signed watermark of this journal.
    own: Option<Watermark>,
    /// The furthest unsigned watermark of an earlier version that matches the journal.
    unsigned: Offset,
    /// The parent's furthest watermark, limited to the entries that this journal shares.
    inherited: Offset,
    /// Whether an earlier version has continued another copy of this journal.
    is_copy: bool,
    /// Watermarks written without the shop's secret.
    pub refused: RefusedWatermarks,
}

/// Watermarks that falsely claim to be this journal's.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct RefusedWatermarks {
    pub count: u64,
    /// The highest offset among them.
    pub highest: u64,
}

impl RefusedWatermarks {
    fn add(&mut self, watermark: &Watermark) {
        self.count += 1;
        self.highest = self.highest.max(watermark.offset);
    }

    /// The warning for the gateway page; `None` if there are none.
    pub fn warning(&self) -> Option<String> {
        let Self { count, highest } = self;
        (*count > 0).then(|| {
            format!(
                "{count} forged watermarks in Kafka claim that this shop's events up to {highest} are there. They are ignored. \
                 Somebody else writes under this shop's name: check who may write to the topic comptoir-watermarks"
            )
        })
    }
}

impl JudgedWatermarks {
    /// Whether any watermark counts.
    pub fn have_any(&self) -> bool {
        self.own.is_some() || self.inherited > Offset(0) || self.unsigned > Offset(0)
    }

    /// Whether the evidence is complete. Each transaction writes its watermark before the journal learns of the commit,
    /// so one must be at or beyond `local`.
    pub fn cover(&self, local: Offset) -> bool {
        let own = self
            .own
            .as_ref()
            .map_or(Offset(0), |watermark| Offset(watermark.offset));
        own.max(self.inherited).max(self.unsigned) >= local
    }
}

impl Relay {
    /// `handed` is the last entry that this process has handed to a producer.
    pub(super) fn snapshot(&self, handed: Offset) -> JournalSnapshot {
        let (parent, shared) = self.journal.parent().unwrap_or_default();
        let state = self.journal.state();
        JournalSnapshot {
            uuid: self.journal.uuid(),
            parent,
            shared,
            local: state.watermark,
            // Entries written since the journal was opened cannot have been sent in an earlier run.
            produced: handed.max(self.journal.opened_at()).max(state.watermark),
            signing: self.journal.signing(),
            read_from: self.journal.read_from(),
        }
    }

    /// Decides which watermarks count.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub(super) async fn judge(
        &self,
        found: WatermarkEvidence,
        journal: &JournalSnapshot,
    ) -> Result<JudgedWatermarks, RelayError> {
        let mut judged = JudgedWatermarks::default();
        // After the first signed watermark, unsigned ones no longer count.
        let accepts_unsigned = journal.signing.accepts_unsigned_watermark
            && found.own.signed.is_none()
            && found.parent.signed.is_none();
        for watermark in &found.own.unsigned {
            let offset = Offset(watermark.offset);
            if !accepts_unsigned {
                // The others are from an earlier version, and nothing depends on them any more.
                if offset > journal.signing.unsigned_upto {
                    judged.refused.add(watermark);
                }
            } else if offset == journal.local || self.matches(watermark, Offset(u64::MAX), journal).await? {
                judged.unsigned = judged.unsigned.max(offset);
            } else if offset > journal.local {
                match self.is_of_a_copy(watermark) {
                    true => judged.is_copy = true,
                    false => judged.refused.add(watermark),
                }
            }
        }
        if accepts_unsigned {
            for watermark in &found.parent.unsigned {
                if self.matches(watermark, journal.shared, journal).await? {
                    judged.inherited = judged.inherited.max(Offset(watermark.offset));
                }
            }
        }
        if let Some(watermark) = found.parent.signed {
            judged.inherited = Offset(watermark.offset).min(journal.shared);
        }
        if let Some(watermark) = found.own.signed {
            let is_possible = Offset(watermark.offset) <= journal.local
                || self.is_of_a_copy(&watermark)
                || (Offset(watermark.offset) <= journal.produced && self.is_named(&watermark).await?);
            match is_possible {
                true => judged.own = Some(watermark),
                false => judged.refused.add(&watermark),
            }
        }
        Ok(judged)
    }

    /// Whether an earlier version wrote the unsigned watermark for this journal: its run and its event match the entry,
    /// which is at or before `limit`.
    async fn matches(
        &self,
        watermark: &Watermark,
        limit: Offset,
        journal: &JournalSnapshot,
    ) -> Result<bool, RelayError> {
        let offset = Offset(watermark.offset);
        let is_of_run = watermark.run.is_some() && self.journal.runs().of(offset) == watermark.run.as_deref();
        Ok(is_of_run
            && offset <= limit
            && offset <= journal.signing.unsigned_upto
            && self.is_named(watermark).await?)
    }

    /// Whether the watermark names the journal's event at its offset.
    async fn is_named(&self, watermark: &Watermark) -> Result<bool, RelayError> {
        let entry = self.journal.entry(Offset(watermark.offset)).await?;
        Ok(entry.is_some_and(|entry| entry.name.to_string() == watermark.event))
    }

    /// Whether another copy of this journal wrote the watermark: this file lacks its run, or has less of it.
    fn is_of_a_copy(&self, watermark: &Watermark) -> bool {
        let last = match &watermark.run {
            Some(run) => self.journal.runs().last_of(run),
            None => Some(self.journal.state().last),
        };
        last.is_none_or(|last| Offset(watermark.offset) > last)
    }

    /// Compares the evidence in Kafka with the journal, and moves the journal's watermark forward accordingly. `events`
    /// are sorted, furthest first. Returns the watermark.
    ///
    /// # Errors
    /// The journal cannot be read or written.
    pub(super) async fn reconcile(
        &self,
        watermarks: JudgedWatermarks,
        events: Vec<EventEvidence>,
        journal: &JournalSnapshot,
        keys: &ShopKeys,
    ) -> Result<Offset, RelayError> {
        let local = journal.local;
        let mut upto = match watermarks.own.filter(|watermark| watermark.offset > local.0) {
            None => watermarks.inherited.max(watermarks.unsigned),
            Some(watermark) => self.settle(watermark, local).await?,
        };
        for event in events.into_iter().take_while(|event| event.offset > local) {
            let entry = self.journal.entry(event.offset).await?;
            if entry.is_some_and(|entry| is_evidence(&event, &entry, keys)) {
                upto = upto.max(event.offset);
                break;
            }
        }
        if watermarks.is_copy {
            self.branch_off(upto.max(local)).await?;
        }
        if upto <= local {
            return Ok(local);
        }
        info!(
            from = local.0,
            to = upto.0,
            "Kafka is ahead of the journal's watermark: moving the watermark forward"
        );
        let mut counts = HashMap::new();
        let mut at = local;
        while at < upto {
            let wanted = usize::try_from(upto.0 - at.0)
                .unwrap_or(MAX_ENTRIES)
                .min(MAX_ENTRIES);
            let entries = self.journal.read(at, wanted, MAX_BYTES).await?;
            let Some(last) = entries.last() else { break };
            at = last.offset;
            count(&mut counts, &entries);
        }
        self.journal
            .report_relayed(RelayReport {
                upto,
                read_from: journal.read_from,
                counts,
            })
            .await;
        Ok(upto)
    }

    /// Determines how much of this journal is in Kafka from a watermark beyond `local`. If the watermark cannot be this
    /// journal's, the file is a copy: it becomes a branch, so that the entries that only it has are sent.
    async fn settle(&self, watermark: Watermark, local: Offset) -> Result<Offset, RelayError> {
        let offset = Offset(watermark.offset);
        let last_shared = match &watermark.run {
            Some(run) => self.journal.runs().last_of(run),
            None => Some(self.journal.state().last),
        };
        let shared = match last_shared {
            Some(last) if offset <= last => return Ok(offset),
            // Kafka has more of that run than this file, so all of the run in this file is in Kafka.
            Some(last) => last,
            // The run began after the copy was made, at an unknown time. Entries beyond `local` may be sent twice.
            None => local,
        };
        self.branch_off(shared).await?;
        Ok(shared)
    }

    async fn branch_off(&self, shared: Offset) -> Result<(), RelayError> {
        self.journal.branch_off(shared).await?;
        error!(
            shared = shared.0,
            uuid = self.journal.uuid(),
            "the journal is a copy that was not made by `gateway backup`, and Kafka has newer events of the original: the \
             copy continues as a branch, with a uuid of its own"
        );
        Ok(())
    }
}

/// Whether the record in Kafka is this entry. A signed record is compared only by its unique event name, because a dead
/// letter may be truncated in Kafka.
fn is_evidence(event: &EventEvidence, entry: &Entry, keys: &ShopKeys) -> bool {
    let is_named = entry.name.to_string() == event.name;
    let is_whole = |code: &String| *code == signed(entry, &event.name, &entry.payload).sign(&keys.records);
    is_named && event.unsigned.as_ref().is_none_or(is_whole)
}
