//! Which entries a transaction takes: all in the journal's order, or payments before others.
//! `docs/adr/0021-payments-first.md` has the reasons.

use std::sync::Arc;

use super::super::batch::TransactionSize;
use super::super::progress::Progress;
use super::super::watermark::{PaymentsWatermark, Watermark};
use super::{RelayError, count};
use crate::platform::uplink::UplinkMeter;
use comptoir_core::event::Kind;
use comptoir_journal::{Entry, EntryKind, Journal, Offset, RelayedCounts};

/// When payments are sent before other entries.
pub struct PaymentPriority {
    /// Whether payments leave at once while other entries gather: `kafka.payments_at_once`.
    pub at_once: bool,
    /// Knows whether the day's bytes are nearly used up.
    pub uplink: Arc<UplinkMeter>,
}

/// The entries of one transaction.
pub(super) struct Batch {
    /// In the journal's order. May be empty.
    pub entries: Vec<Arc<Entry>>,
    /// How many entries and payload bytes were read for it, including those that it lacks.
    pub read: (usize, usize),
    /// Of the entries that the watermark passes with it.
    pub counts: RelayedCounts,
}

impl Batch {
    fn new(read: Vec<Arc<Entry>>) -> Self {
        Self {
            read: (read.len(), bytes_of(&read)),
            entries: read,
            counts: RelayedCounts::new(),
        }
    }
}

/// Payload bytes.
pub(super) fn bytes_of(entries: &[Arc<Entry>]) -> usize {
    entries.iter().map(|entry| entry.payload.len()).sum()
}

/// How far a session has sent the journal's entries, and its payments before the others.
pub(super) struct Lanes {
    journal: Journal,
    progress: Progress,
    /// `ce_id` of the entry at `progress.upto`; empty if the journal no longer has it.
    event: String,
    /// `ce_id` of the entry at `progress.payments`.
    payment: String,
    /// The last entry that was searched for payments.
    searched: Offset,
}

impl Lanes {
    /// # Errors
    /// The journal cannot be read.
    pub async fn resume(journal: Journal, progress: Progress) -> Result<Self, RelayError> {
        let mut names = [String::new(), String::new()];
        for (name, offset) in names.iter_mut().zip([progress.upto, progress.payments]) {
            if let Some(entry) = journal.entry(offset).await? {
                *name = entry.name.to_string();
            }
        }
        let [event, payment] = names;
        Ok(Self {
            journal,
            progress,
            event,
            payment,
            searched: progress.payments,
        })
    }

    /// The last entry of which it and all before it are in Kafka.
    pub fn upto(&self) -> Offset {
        self.progress.upto
    }

    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// The last entry that was searched for payments.
    pub fn searched(&self) -> Offset {
        self.searched.max(self.progress.upto)
    }

    /// Advances over the payments that come next; `None` if there are none.
    ///
    /// # Errors
    /// The journal cannot be read, or lacks an entry.
    pub async fn payments(&mut self, size: TransactionSize) -> Result<Option<Batch>, RelayError> {
        loop {
            let after = self.searched();
            let read = self.journal.read(after, size.entries(), size.bytes()).await?;
            check_order(after, &read)?;
            let Some(last) = read.last() else { return Ok(None) };
            self.searched = last.offset;
            let mut batch = Batch::new(read);
            batch.entries.retain(|entry| is_payment(entry));
            if let Some(last) = batch.entries.last() {
                self.payment = last.name.to_string();
                self.progress = Progress::new(self.progress.upto, last.offset);
                return Ok(Some(batch));
            }
        }
    }

    /// Advances over these entries, which follow [`Lanes::upto`]. The batch lacks the payments that are in Kafka already.
    ///
    /// # Errors
    /// The journal lacks an entry.
    pub fn all(&mut self, read: Vec<Arc<Entry>>) -> Result<Batch, RelayError> {
        check_order(self.progress.upto, &read)?;
        let sent = self.progress.payments;
        if let Some(last) = read.last() {
            self.event = last.name.to_string();
            self.progress = Progress::new(last.offset, sent);
        }
        let mut batch = Batch::new(read);
        count(&mut batch.counts, &batch.entries);
        batch
            .entries
            .retain(|entry| !is_payment(entry) || entry.offset > sent);
        Ok(batch)
    }

    /// The watermarks to send with the entries that were advanced over.
    pub fn watermark(&self) -> Watermark {
        let Progress { upto, payments } = self.progress;
        let run = |offset| self.journal.runs().of(offset).map(str::to_owned);
        Watermark {
            offset: upto.0,
            event: self.event.clone(),
            run: run(upto),
            payments: (payments > upto).then(|| PaymentsWatermark {
                offset: payments.0,
                event: self.payment.clone(),
                run: run(payments),
                mac: None,
            }),
            mac: None,
        }
    }
}

pub(super) fn is_payment(entry: &Entry) -> bool {
    entry.kind == EntryKind::Event(Kind::Payment)
}

/// Fails unless the entries begin after `after`.
fn check_order(after: Offset, entries: &[Arc<Entry>]) -> Result<(), RelayError> {
    match entries.first() {
        Some(first) if first.offset.0 != after.0 + 1 => Err(RelayError::Hole(after.0 + 1)),
        _ => Ok(()),
    }
}
