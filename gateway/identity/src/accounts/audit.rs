//! The audit log.

use super::Accounts;
use crate::Error;
use crate::audit::{Act, AuditEntry, ChainError, ChainReport, EntryClass, Outbox};

impl Accounts {
    /// Adds an entry to the audit log.
    ///
    /// # Errors
    /// The file cannot be written.
    pub async fn audit(&self, act: Act) -> Result<(), Error> {
        self.store().await?.audit(&act).await?;
        self.0.audited.notify_one();
        Ok(())
    }

    /// The newest entries of the audit log before the entry `before`, newest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn audit_entries(&self, before: Option<u64>, limit: u32) -> Result<Vec<AuditEntry>, Error> {
        self.store().await?.audit_entries(before, limit).await
    }

    /// Verifies the hash chain of the audit log. The inner error says where the log does not fit the chain.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn verify_audit(&self) -> Result<Result<ChainReport, ChainError>, Error> {
        self.store().await?.verify_audit().await
    }

    /// The oldest audit entries that the journal does not have, at most `limit` of each class.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn audit_outbox(&self, limit: u32) -> Result<Outbox, Error> {
        self.store().await?.audit_outbox(limit).await
    }

    /// Records that the journal has every entry of a class up to and including `id`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub async fn set_journaled(&self, class: EntryClass, id: u64) -> Result<(), Error> {
        self.store().await?.set_journaled(class, id).await
    }

    /// Returns the entries after `id` to the outbox, because the journal has lost some of them.
    ///
    /// # Errors
    /// The file cannot be written.
    pub async fn rewind_outbox(&self, id: u64) -> Result<(), Error> {
        self.store().await?.rewind_outbox(id).await
    }

    /// Waits until this process adds an audit entry. Does not notice entries of the command line.
    pub async fn wait_for_audit(&self) {
        self.0.audited.notified().await;
    }
}
