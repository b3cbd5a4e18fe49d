//! The journal's handle for the rest of the gateway.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use sqlx::Row as _;
use tokio::sync::{mpsc, oneshot, watch};

use super::ack_snapshot::AckSnapshot;
use super::refusals::Refusals;
use super::sqlite::Readers;
use super::tail::Tail;
use super::{
    AppendError, CommandProgress, Forgotten, Identity, Offset, OpenError, ReadError, Receipt, RefusalReport,
    RelayReport, Rewrite, Runs, Signing, State, Submission, schema,
};
use comptoir_core::event::DeviceId;

/// A request to the writer.
pub(crate) enum Command {
    Append {
        batch: Vec<Submission>,
        reply: oneshot::Sender<Result<Receipt, AppendError>>,
    },
    ReportRelayed(RelayReport),
    /// Checks that the writer still works.
    Ping(oneshot::Sender<()>),
    /// Makes all earlier reports durable.
    SettleReports(oneshot::Sender<()>),
    /// Gives the journal a new identity, because it is a copy or has diverged from the records in Kafka.
    BranchOff(Offset, oneshot::Sender<Result<Identity, AppendError>>),
    MarkRetried(Offset),
    /// Everything up to this entry is in an archive.
    MarkArchived(Offset, oneshot::Sender<Result<(), AppendError>>),
    /// Frees a device's room in the journal.
    Forget(DeviceId, oneshot::Sender<Result<Option<Forgotten>, AppendError>>),
    /// Replaces the content of entries that are in Kafka.
    Rewrite(
        HashMap<Offset, Rewrite>,
        oneshot::Sender<Result<u64, AppendError>>,
    ),
    /// Requests a snapshot of how far events are acked.
    SnapshotAcks(oneshot::Sender<AckSnapshot>),
    /// Replaces the progress of the commands consumer.
    KeepProgress(CommandProgress),
    Close(oneshot::Sender<()>),
}

/// A handle to the journal. Cheap to clone.
#[derive(Clone)]
pub struct Journal {
    pub(crate) path: Arc<PathBuf>,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) readers: Readers,
    pub(crate) tail: Arc<Tail>,
    pub(crate) state: watch::Receiver<State>,
    pub(crate) identity: watch::Receiver<Identity>,
    pub(crate) signing: watch::Receiver<Signing>,
    /// [`Signing::accepts_unsigned_watermark`].
    pub(crate) accepts_unsigned: Arc<AtomicBool>,
    pub(crate) opened_at: Offset,
    pub(crate) runs: Arc<Runs>,
    /// The watermark of the bridge's last report, which the writer may not have made durable yet.
    pub(crate) reported: Arc<AtomicU64>,
    /// The same of the payments' watermark.
    pub(crate) reported_payments: Arc<AtomicU64>,
    /// Own records of the gateway that the bridge has reported since the start.
    pub(crate) own_in_kafka: Arc<AtomicU64>,
    pub(crate) read_from: Arc<AtomicI64>,
    /// The last entry in the projection. Entries above it are not pruned.
    pub(crate) folded: Arc<AtomicU64>,
    /// Entries above this one are not pruned, because no archive has them. `u64::MAX` if none is wanted.
    pub(crate) archived: Arc<AtomicU64>,
    pub(crate) refusals: Refusals,
}

impl Journal {
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a journal exists at `path`; if not, [`Journal::open`] would create one. Only reads, and may run beside a
    /// gateway that uses the journal.
    ///
    /// # Errors
    ///
    /// The file is not a journal, was written by a newer version, or cannot be read.
    pub async fn exists_at(path: &Path) -> Result<bool, OpenError> {
        schema::exists(path).await
    }

    /// The id under which Kafka stores this journal's watermark.
    pub fn uuid(&self) -> String {
        self.identity.borrow().uuid.clone()
    }

    /// The uuid of the journal that this one branched off, and the last entry that both share.
    pub fn parent(&self) -> Option<(String, Offset)> {
        let identity = self.identity.borrow();
        let parent = identity.parent.as_ref()?;
        Some((parent.uuid.clone(), parent.upto))
    }

    /// Which records in Kafka may lack a valid signature.
    pub fn signing(&self) -> Signing {
        Signing {
            accepts_unsigned_watermark: self.accepts_unsigned.load(Ordering::Relaxed),
            ..self.signing.borrow().clone()
        }
    }

    /// The public name of the secret that the journal at `path` was used with. Only reads, and may run beside a running
    /// gateway.
    ///
    /// # Errors
    ///
    /// There is no journal, or it cannot be read.
    pub async fn secret_at(path: &Path) -> Result<Option<String>, OpenError> {
        schema::secret(path).await
    }

    /// The last entry when the journal was opened. Later entries belong to this run.
    pub fn opened_at(&self) -> Offset {
        self.opened_at
    }

    /// The runs in which the entries were written.
    pub fn runs(&self) -> &Runs {
        &self.runs
    }

    pub fn state(&self) -> State {
        let mut state = *self.state.borrow();
        state.watermark = state.watermark.max(Offset(self.reported.load(Ordering::Acquire)));
        let payments = Offset(self.reported_payments.load(Ordering::Acquire));
        state.payments = state.payments.max(payments).max(state.watermark);
        state.own_in_kafka = self.own_in_kafka.load(Ordering::Relaxed);
        state
    }

    /// Follows the state, which changes with every commit.
    pub fn watch(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// The offset at which to start reading Kafka's watermark topic.
    pub fn read_from(&self) -> i64 {
        self.read_from.load(Ordering::Relaxed)
    }

    /// Commits a batch and fsyncs it. The batch is written even if the future is dropped.
    ///
    /// # Errors
    ///
    /// The journal is full, closed, or could not be written. See [`AppendError`] for what may have been stored.
    pub async fn append(&self, batch: Vec<Submission>) -> Result<Receipt, AppendError> {
        match self.submit(batch).await {
            Ok(receipt) => receipt.await.unwrap_or(Err(AppendError::Unanswered)),
            Err(error) => Err(error),
        }
    }

    /// Like [`Journal::append`], but returns as soon as the batch is in the writer's queue, so that the caller can
    /// prepare the next one. Waits while the queue is full.
    ///
    /// # Errors
    ///
    /// The journal is closed.
    pub async fn submit(
        &self,
        batch: Vec<Submission>,
    ) -> Result<oneshot::Receiver<Result<Receipt, AppendError>>, AppendError> {
        let (reply, receipt) = oneshot::channel();
        self.commands
            .send(Command::Append { batch, reply })
            .await
            .map_err(|_| AppendError::Closed)?;
        Ok(receipt)
    }

    /// Advances the watermark. The next commit makes it durable; until then the record in Kafka is the evidence.
    pub async fn report_relayed(&self, report: RelayReport) {
        let own = report
            .counts
            .iter()
            .filter(|((device, _), _)| device.is_gateway());
        let own = own.map(|(_, relayed)| relayed.events).sum();
        // Counted before the watermark moves; otherwise a pending event would briefly count as being in Kafka.
        self.own_in_kafka.fetch_add(own, Ordering::Relaxed);
        self.reported.fetch_max(report.upto.0, Ordering::Release);
        self.reported_payments
            .fetch_max(report.payments.0, Ordering::Release);
        self.read_from.store(report.read_from, Ordering::Relaxed);
        self.accepts_unsigned.store(false, Ordering::Relaxed);
        // If the writer is gone, the gateway is stopping and Kafka has the watermark.
        let _ = self.commands.send(Command::ReportRelayed(report)).await;
    }

    /// Waits until the writer has processed its queue up to this call. A failing disk does not delay this forever: the
    /// writer answers between its attempts. Never returns if the writer has ended.
    pub async fn ping(&self) {
        let (reply, answered) = oneshot::channel();
        if self.commands.send(Command::Ping(reply)).await.is_err() || answered.await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until [`Journal::devices`] includes everything that the bridge has reported so far.
    pub async fn settle_reports(&self) {
        let (reply, done) = oneshot::channel();
        if self.commands.send(Command::SettleReports(reply)).await.is_ok() {
            // If the writer drops the reply, the gateway is stopping.
            let _ = done.await;
        }
    }

    /// Gives the journal a new identity, for which Kafka has no watermark yet. Its entries up to and including `upto`
    /// are shared with its former identity.
    ///
    /// # Errors
    ///
    /// The journal is closed or could not be written.
    pub async fn branch_off(&self, upto: Offset) -> Result<(), AppendError> {
        let (reply, done) = oneshot::channel();
        self.commands
            .send(Command::BranchOff(upto, reply))
            .await
            .map_err(|_| AppendError::Closed)?;
        done.await.unwrap_or(Err(AppendError::Closed)).map(|_| ())
    }

    /// Records that a retry has stored a dead letter as an event.
    pub async fn mark_retried(&self, offset: Offset) {
        // If the writer is gone, the dead letter stays in the list, and a second retry becomes a duplicate.
        let _ = self.commands.send(Command::MarkRetried(offset)).await;
    }

    /// From now on, prunes only what is in an archive. Returns the last entry that is.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub async fn keep_unarchived(&self) -> Result<Offset, ReadError> {
        let rows = self
            .readers
            .fetch_all(sqlx::query("SELECT archived FROM chain"))
            .await?;
        let archived = rows.first().map_or(0, |row| row.get::<i64, _>("archived") as u64);
        self.archived.store(archived, Ordering::Relaxed);
        Ok(Offset(archived))
    }

    /// Records that everything up to and including `offset` is in an archive and may be pruned.
    ///
    /// # Errors
    ///
    /// The journal is closed or could not be written.
    pub async fn mark_archived(&self, offset: Offset) -> Result<(), AppendError> {
        let (reply, done) = oneshot::channel();
        self.commands
            .send(Command::MarkArchived(offset, reply))
            .await
            .map_err(|_| AppendError::Closed)?;
        done.await.unwrap_or(Err(AppendError::Closed))
    }

    /// The last entry in the projection.
    pub fn folded(&self) -> Offset {
        Offset(self.folded.load(Ordering::Relaxed))
    }

    /// Frees a device's room: removes epochs that stored nothing, and makes the others dormant, unless some of their
    /// events are not in Kafka yet. Dormant epochs take no room and keep their numbers, so a resent event is still a
    /// duplicate. `None` if the journal does not know the device.
    ///
    /// # Errors
    ///
    /// The journal is closed or could not be written.
    pub async fn forget(&self, device: DeviceId) -> Result<Option<Forgotten>, AppendError> {
        let (reply, done) = oneshot::channel();
        self.commands
            .send(Command::Forget(device, reply))
            .await
            .map_err(|_| AppendError::Closed)?;
        done.await.unwrap_or(Err(AppendError::Closed))
    }

    /// The devices whose events are refused, latest first.
    pub fn refusals(&self) -> Vec<RefusalReport> {
        self.refusals.current()
    }

    /// Tells the journal that the projection contains everything up to and including `offset`, so that it may be
    /// pruned.
    pub fn mark_folded(&self, offset: Offset) {
        self.folded.fetch_max(offset.0, Ordering::Relaxed);
    }

    /// Waits until the journal accepts events again.
    pub async fn wait_until_accepting(&self) {
        // If the writer is gone, the caller's next append reports it.
        let _ = self
            .state
            .clone()
            .wait_for(|state| !state.refusing)
            .await
            .map(|_| ());
    }

    /// Stops the writer once its queue is empty, and checkpoints the WAL into the file.
    pub async fn close(&self) {
        // Only the last connection to close checkpoints the WAL, and only the writer's is allowed to.
        self.readers.close().await;
        let (reply, done) = oneshot::channel();
        if self.commands.send(Command::Close(reply)).await.is_ok() {
            let _ = done.await;
        }
    }
}
