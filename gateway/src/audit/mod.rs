//! Copies the audit log from the accounts file into the journal. The bridge sends it to Kafka from there.
//!
//! The log in the accounts file is an outbox: an act and its entry are written there even if the journal is full. The
//! name of an entry derives from its id in the log, and the journal stores each name once. So a crash between copying
//! an entry and recording the copy duplicates nothing. Audit entries have their own share of the journal; entries
//! beyond it stay in the outbox. `docs/adr/0014-audit.md` has the reasons.

pub mod record;

use std::time::Duration;

use comptoir_core::event::DeviceId;
use comptoir_identity::{Accounts, ChainedRow, EntryClass};
use comptoir_journal::{
    AppendError, AuditClass, Discipline, EntryKind, Journal, Numbering, Offset, Outcome, Payload, ReadError,
    Submission,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// Most entries of each class that are copied at once.
const BATCH: u32 = 64;
/// How often the log is polled for entries of other processes, such as `gateway users add`.
const POLL: Duration = Duration::from_secs(2);
/// Pause after an error in the accounts file or the journal.
const RETRY: Duration = Duration::from_secs(10);

/// Copies the audit log into the journal.
pub struct AuditCopier {
    accounts: Accounts,
    journal: Journal,
    device: DeviceId,
    /// The classes that have no room in the journal, with the committed watermark at the last attempt: room appears
    /// only when the watermark moves.
    full: [Option<Offset>; 2],
}

#[derive(Debug, thiserror::Error)]
enum CopyError {
    #[error(transparent)]
    Accounts(#[from] comptoir_identity::Error),
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(
        "the audit log has more entries than the journal can name; move the accounts file away to start a new one"
    )]
    Number,
}

impl AuditCopier {
    /// Copies the log of `accounts`. `device` is this gateway's device name.
    pub fn new(accounts: Accounts, journal: Journal, device: DeviceId) -> Self {
        Self {
            accounts,
            journal,
            device,
            full: [None; 2],
        }
    }

    /// Runs until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        // If the stop interrupts a copy, the next start repeats the batch and the journal drops the duplicates.
        stop.run_until_cancelled(self.copy_all()).await;
    }

    async fn copy_all(&mut self) {
        let mut has_checked = false;
        let mut has_failed = false;
        loop {
            let copied = match has_checked {
                true => self.copy().await,
                false => self.resend_lost().await.map(|()| {
                    has_checked = true;
                    true
                }),
            };
            let wait = match copied {
                Ok(true) => continue,
                Ok(false) => {
                    has_failed = false;
                    POLL
                }
                Err(error) => {
                    match has_failed {
                        true => debug!(%error, "the audit log could not be copied into the journal"),
                        false => warn!(
                            %error,
                            "the audit log could not be copied into the journal; it waits in the accounts file, and the \
                             gateway tries again"
                        ),
                    }
                    has_failed = true;
                    RETRY
                }
            };
            // A new entry ends the pause early, except after an error.
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.accounts.wait_for_audit(), if !has_failed => {}
            }
        }
    }

    /// Schedules entries for another copy if the journal has lost them with a part of its files.
    async fn resend_lost(&mut self) -> Result<(), CopyError> {
        let outbox = self.accounts.audit_outbox(0).await?;
        let lost = self.journal.lost_numbers(&self.device, outbox.epoch).await?;
        if let Some((first, _)) = lost.first() {
            warn!(
                first,
                "the journal has lost entries of the audit log; they are copied again"
            );
            self.accounts.rewind_outbox(u64::from(first - 1)).await?;
        }
        Ok(())
    }

    /// Copies the oldest entries that the journal does not have. Returns whether there may be more.
    async fn copy(&mut self) -> Result<bool, CopyError> {
        // Uses the committed state, not the reported one: a report makes room only when it is committed.
        let state = *self.journal.watch().borrow();
        if state.refusing || state.bytes >= state.max_bytes {
            return Ok(false);
        }
        let outbox = self.accounts.audit_outbox(BATCH).await?;
        let mut entries = outbox.entries;
        entries.retain(|(class, _)| self.full[*class as usize].is_none_or(|full| full < state.watermark));
        if entries.is_empty() {
            return Ok(false);
        }
        let batch = entries
            .iter()
            .map(|(class, entry)| self.submission(outbox.epoch, *class, entry))
            .collect::<Result<Vec<_>, _>>()?;
        let receipt = self.journal.append(batch).await?;
        let mut journaled = [None; 2];
        let mut refused = [false; 2];
        for ((class, entry), outcome) in entries.iter().zip(receipt.outcomes) {
            let index = *class as usize;
            match outcome {
                Outcome::Stored(..) | Outcome::Duplicate if !refused[index] => {
                    journaled[index] = Some(entry.row.id)
                }
                Outcome::Stored(..) | Outcome::Duplicate => {}
                Outcome::Refused(_) | Outcome::AheadOfGap => refused[index] = true,
            }
        }
        for class in [EntryClass::Act, EntryClass::FailedSignIn] {
            let index = class as usize;
            if let Some(id) = journaled[index] {
                self.accounts.set_journaled(class, id).await?;
            }
            if refused[index] && self.full[index].is_none() {
                warn!(
                    ?class,
                    "entries of the audit log have no room in the journal until Kafka has taken some; they wait in the \
                     accounts file, and tills are not affected"
                );
            }
            let was_sent = entries.iter().any(|(sent, _)| *sent == class);
            if was_sent {
                self.full[index] = refused[index].then_some(state.watermark);
            }
        }
        Ok(journaled.iter().any(Option::is_some))
    }

    fn submission(&self, epoch: u32, class: EntryClass, entry: &ChainedRow) -> Result<Submission, CopyError> {
        let digest = entry.hash.0.first_chunk().copied().unwrap_or_default();
        Ok(Submission {
            device: self.device.clone(),
            encoding: None,
            numbering: Numbering::Till {
                epoch,
                seq: u32::try_from(entry.row.id).map_err(|_| CopyError::Number)?,
                oldest: 0,
                // Failed sign-ins may wait while other entries are copied.
                discipline: Discipline::AnyOrder,
                // An accounts file restored from an older copy has different entries under the same ids.
                digest: Some(i64::from_be_bytes(digest)),
            },
            kind: EntryKind::Audit(match class {
                EntryClass::Act => AuditClass::Act,
                EntryClass::FailedSignIn => AuditClass::FailedSignIn,
            }),
            time: entry.row.at.as_millisecond(),
            key: self.device.store().into(),
            payload: Payload::Json(record::json(self.device.store(), entry).into()),
            reason: None,
        })
    }
}

#[cfg(test)]
mod tests;
