//! The start of a session: determines how much of this journal is in Kafka, and moves the journal's watermark there.

use std::collections::HashMap;

use tracing::{error, info};

use super::super::ShopKeys;
use super::super::batch::{MAX_BYTES, MAX_ENTRIES};
use super::super::evidence::{EventEvidence, JournalSnapshot, WatermarkEvidence};
use super::super::progress::Progress;
use super::super::watermark::{PaymentsWatermark, Watermark};
use super::{Relay, RelayError, count, signed};
use comptoir_journal::{Entry, Offset, RelayReport};

/// The watermarks in Kafka, compared with the journal.
#[derive(Debug, Default)]
pub(super) struct JudgedWatermarks {
    /// The furthest signed watermark of this journal.
    own: Option<Watermark>,
    /// The furthest unsigned watermark of an earlier version that matches the journal.
    unsigned: Offset,
    /// What is in Kafka according to the parent's furthest watermark, of the entries that this journal shares.
    inherited: Progress,
    /// Whether an earlier version has continued another copy of this journal.
    is_copy: bool,
    /// Whether a watermark that counts without a valid signature names payments beyond it, which cannot be believed.
    hides_payments: bool,
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
        self.own.is_some() || self.inherited != Progress::default() || self.unsigned > Offset(0)
    }

    /// Whether the evidence is complete. Each transaction writes its watermarks before the journal learns of the commit,
    /// so some must be at or beyond `local`.
    pub fn cover(&self, local: Progress) -> bool {
        let own = self.own.as_ref().map(Watermark::progress).unwrap_or_default();
        !self.hides_payments && local.is_at_most(own.max(self.others()))
    }

    /// What is in Kafka according to other watermarks than this journal's signed one.
    fn others(&self) -> Progress {
        self.inherited.max(Progress::new(self.unsigned, Offset(0)))
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
            local: Progress::new(state.watermark, state.payments),
            // Entries written since the journal was opened cannot have been sent in an earlier run.
            produced: handed.max(self.journal.opened_at()).max(state.payments),
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
            } else if offset == journal.local.upto
                || self.matches(watermark, Offset(u64::MAX), journal).await?
            {
                judged.unsigned = judged.unsigned.max(offset);
                judged.hides_payments |= watermark.payments.is_some();
            } else if offset > journal.local.upto {
                match self.is_of_a_copy(Mark::from(watermark)) {
                    true => judged.is_copy = true,
                    false => judged.refused.add(watermark),
                }
            }
        }
        if accepts_unsigned {
            for watermark in &found.parent.unsigned {
                if self.matches(watermark, journal.shared, journal).await? {
                    let inherited = Progress::new(Offset(watermark.offset), Offset(0));
                    judged.inherited = judged.inherited.max(inherited);
                    judged.hides_payments |= watermark.payments.is_some();
                }
            }
        }
        if let Some(watermark) = found.parent.signed {
            judged.inherited = watermark.progress().min(journal.shared);
        }
        if let Some(watermark) = found.own.signed {
            let mark = Mark::from(&watermark);
            let mut is_possible = self.is_possible(mark, journal.local.upto, journal).await?;
            if let Some(payments) = &watermark.payments {
                let mark = Mark::from(payments);
                is_possible &= self.is_possible(mark, journal.local.payments, journal).await?;
            }
            match is_possible {
                true => judged.own = Some(watermark),
                false => judged.refused.add(&watermark),
            }
        }
        Ok(judged)
    }

    /// Whether a signed watermark can be this journal's, which knows that everything up to `local` is in Kafka.
    async fn is_possible(
        &self,
        mark: Mark<'_>,
        local: Offset,
        journal: &JournalSnapshot,
    ) -> Result<bool, RelayError> {
        Ok(mark.offset <= local
            || self.is_of_a_copy(mark)
            || (mark.offset <= journal.produced && self.is_named(mark).await?))
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
            && self.is_named(Mark::from(watermark)).await?)
    }

    /// Whether the watermark names the journal's event at its offset.
    async fn is_named(&self, mark: Mark<'_>) -> Result<bool, RelayError> {
        let entry = self.journal.entry(mark.offset).await?;
        Ok(entry.is_some_and(|entry| entry.name.to_string() == mark.event))
    }

    /// Whether another copy of this journal wrote the watermark: this file lacks its run, or has less of it.
    fn is_of_a_copy(&self, mark: Mark<'_>) -> bool {
        self.last_of_run(mark).is_none_or(|last| mark.offset > last)
    }

    /// The last entry that this file has of the watermark's run; `None` if the file lacks the run.
    fn last_of_run(&self, mark: Mark<'_>) -> Option<Offset> {
        match mark.run {
            Some(run) => self.journal.runs().last_of(run),
            None => Some(self.journal.state().last),
        }
    }

    /// Compares the evidence in Kafka with the journal, and moves the journal's watermarks forward accordingly. `events`
    /// are sorted, furthest first. Returns the watermarks.
    ///
    /// # Errors
    /// The journal cannot be read or written.
    pub(super) async fn reconcile(
        &self,
        watermarks: JudgedWatermarks,
        events: Vec<EventEvidence>,
        journal: &JournalSnapshot,
        keys: &ShopKeys,
    ) -> Result<Progress, RelayError> {
        let local = journal.local;
        let mut found = watermarks.others();
        if let Some(own) = watermarks.own.filter(|own| !own.progress().is_at_most(local)) {
            found = found.max(self.settle(&own, local).await?);
        }
        for is_payment in [false, true] {
            let events = events.iter().filter(|event| event.is_payment == is_payment);
            for event in events {
                let entry = self.journal.entry(event.offset).await?;
                if entry.is_some_and(|entry| is_evidence(event, &entry, keys)) {
                    found = found.max(match is_payment {
                        true => Progress::new(Offset(0), event.offset),
                        false => Progress::new(event.offset, Offset(0)),
                    });
                    break;
                }
            }
        }
        let progress = found.max(local);
        if watermarks.is_copy {
            self.branch_off(progress.payments).await?;
        }
        if progress == local {
            return Ok(local);
        }
        let Progress { upto, payments } = progress;
        info!(
            from = local.upto.0,
            to = upto.0,
            payments = payments.0,
            "Kafka is ahead of the journal's watermarks: moving the watermarks forward"
        );
        let mut counts = HashMap::new();
        let mut at = local.upto;
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
                payments,
                read_from: journal.read_from,
                counts,
            })
            .await;
        Ok(progress)
    }

    /// Determines how much of this journal is in Kafka from watermarks beyond `local`. If a watermark cannot be this
    /// journal's, the file is a copy: it becomes a branch, so that the entries that only it has are sent.
    async fn settle(&self, watermark: &Watermark, local: Progress) -> Result<Progress, RelayError> {
        let payments = watermark.payments.as_ref().map(Mark::from);
        let marks = [
            Some((Mark::from(watermark), local.upto)),
            payments.map(|mark| (mark, local.payments)),
        ];
        // The last entry that this file certainly shares with the journal that wrote the watermarks. If the file lacks the
        // run of a watermark, entries beyond it may be sent twice: it is unknown when the copy was made.
        let mut shared = local.payments;
        let mut is_copy = false;
        for (mark, local) in marks.into_iter().flatten() {
            let last = self.last_of_run(mark);
            is_copy |= mark.offset > local && last.is_none_or(|last| mark.offset > last);
            // If Kafka has more of the run than this file, all of the run in this file is shared.
            shared = shared.max(last.map_or(Offset(0), |last| last.min(mark.offset)));
        }
        if !is_copy {
            return Ok(watermark.progress());
        }
        self.branch_off(shared).await?;
        Ok(watermark.progress().min(shared))
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

/// One of the two watermarks of a record.
#[derive(Clone, Copy)]
struct Mark<'a> {
    offset: Offset,
    event: &'a str,
    run: Option<&'a str>,
}

impl<'a> From<&'a Watermark> for Mark<'a> {
    fn from(watermark: &'a Watermark) -> Self {
        Self {
            offset: Offset(watermark.offset),
            event: &watermark.event,
            run: watermark.run.as_deref(),
        }
    }
}

impl<'a> From<&'a PaymentsWatermark> for Mark<'a> {
    fn from(payments: &'a PaymentsWatermark) -> Self {
        Self {
            offset: Offset(payments.offset),
            event: &payments.event,
            run: payments.run.as_deref(),
        }
    }
}

/// Whether the record in Kafka is this entry. A signed record is compared only by its unique event name, because a dead
/// letter may be truncated in Kafka.
fn is_evidence(event: &EventEvidence, entry: &Entry, keys: &ShopKeys) -> bool {
    let is_named = entry.name.to_string() == event.name;
    let is_whole = |code: &String| *code == signed(entry, &event.name, &entry.payload).sign(&keys.records);
    is_named && event.unsigned.as_ref().is_none_or(is_whole)
}
