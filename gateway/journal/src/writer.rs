//! The writer task, which alone writes to the journal's file. It collects the commands that have arrived, commits their
//! events ([`super::commit`]), and does its other work in between.

use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use comptoir_core::chain::ChainHash;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::ack_file::{self, AckFile};
use super::ack_snapshot::AckSnapshot;
use super::outage::Outage;
use super::recent_streams::RecentStreams;
use super::runs::Runs;
use super::sqlite::{Readers, WriteConnection};
use super::stored_state::{self, branch_off};
use super::streams::StreamTable;
use super::tail::Tail;
use super::{
    AppendError, Command, CommandProgress, Identity, Offset, OpenError, Receipt, RelayReport, Signing, State,
    Submission, command_progress,
};

/// A group commit with this many events or bytes takes no further batch.
const GROUP_EVENTS: usize = 4_096;
const GROUP_BYTES: usize = 4 << 20;
/// How long a watermark waits for an event whose commit can make it durable.
const REPORT_DELAY: Duration = Duration::from_millis(500);

pub(super) type Reply = oneshot::Sender<Result<Receipt, AppendError>>;

/// The state of the writer task.
pub struct Writer {
    pub(super) path: Arc<PathBuf>,
    pub(super) connection: WriteConnection,
    pub(super) readers: Readers,
    pub(super) commands: mpsc::Receiver<Command>,
    /// The sending side of `commands`, for the task that writes the ack file.
    pub(super) own_commands: mpsc::WeakSender<Command>,
    pub(super) tail: Arc<Tail>,
    pub(super) state: watch::Sender<State>,
    pub(super) identity: watch::Sender<Identity>,
    pub(super) signing: watch::Sender<Signing>,
    /// [`Signing::accepts_unsigned_watermark`].
    pub(super) accepts_unsigned: Arc<AtomicBool>,
    pub(super) runs: Arc<Runs>,
    /// The last entry in the projection.
    pub(super) folded: Arc<AtomicU64>,
    /// The last entry that may be pruned because an archive has it; `u64::MAX` without archives.
    pub(super) archived: Arc<AtomicU64>,
    /// The hash of the last entry.
    pub(super) chain_head: ChainHash,
    pub(super) streams: StreamTable,
    pub(super) recent: RecentStreams,
    pub(super) ack_file: Arc<Mutex<AckFile>>,
    /// The bridge's reports that no commit has made durable yet, and when the first of them arrived.
    pub(super) report: Option<(RelayReport, Instant)>,
    /// Positions of the commands consumer that are not on disk yet.
    pub(super) command_progress: Option<CommandProgress>,
    /// Set while the disk fails. Nothing is written until it works again.
    pub(super) outage: Option<Outage>,
    pub(super) _lock: File,
}

/// The commands that one round of the writer handles.
#[derive(Default)]
struct Round {
    batches: Vec<(Vec<Submission>, Reply)>,
    events: usize,
    bytes: usize,
    settling: Vec<oneshot::Sender<()>>,
}

impl Round {
    fn has_room(&self) -> bool {
        self.events < GROUP_EVENTS && self.bytes < GROUP_BYTES
    }
}

impl Writer {
    /// Sets the gateway's own store, whose devices have their own limit in the journal.
    #[must_use]
    pub fn of_store(mut self, store: &str) -> Self {
        self.streams.set_home(store);
        let names_used_up = self.streams.are_names_used_up();
        self.state
            .send_modify(|state| state.names_used_up = names_used_up);
        self
    }

    /// Records the secret that signs records from now on. With `in_place_of_lost`, the previous secret is lost, and
    /// records that it signed count as unsigned.
    ///
    /// # Errors
    ///
    /// The journal cannot be written.
    pub async fn bind_secret(&mut self, secret: &str, in_place_of_lost: bool) -> Result<(), OpenError> {
        let last = self.state.borrow().last;
        let signing = match self.connection.get().await {
            Ok(connection) => {
                async {
                    match in_place_of_lost {
                        true => stored_state::replace_secret(connection, secret, last).await?,
                        false => stored_state::bind_secret(connection, secret).await?,
                    }
                    stored_state::signing(connection).await
                }
                .await
            }
            Err(error) => Err(error),
        };
        let signing = signing.map_err(|problem| OpenError::Storage {
            path: (*self.path).clone(),
            problem,
        })?;
        self.accepts_unsigned
            .store(signing.accepts_unsigned_watermark, Ordering::Relaxed);
        self.signing.send_replace(signing);
        Ok(())
    }

    /// Runs until [`Journal::close`](super::Journal::close), or until every handle is gone.
    pub async fn run(mut self) {
        let stop = CancellationToken::new();
        let ack_keeper = tokio::spawn(ack_file::keep_current(
            Arc::clone(&self.ack_file),
            self.state.subscribe(),
            self.own_commands.clone(),
            stop.clone(),
        ));
        let mut closing = None;
        while closing.is_none() {
            if !self.recover_if_due().await {
                break;
            }
            let received = tokio::time::timeout(self.wait_limit(), self.commands.recv()).await;
            let first = match received {
                Ok(Some(command)) => Some(command),
                Ok(None) => break,
                Err(_) => {
                    self.accept_if_room();
                    None
                }
            };
            let mut round = Round::default();
            let mut next = first;
            while let Some(command) = next {
                self.handle(command, &mut round, &mut closing).await;
                next = (round.has_room() && closing.is_none())
                    .then(|| self.commands.try_recv().ok())
                    .flatten();
            }
            if !round.batches.is_empty() {
                self.commit(round.batches).await;
            }
            if self.report_is_due() || closing.is_some() || !round.settling.is_empty() {
                self.commit_report().await;
            }
            self.write_command_progress().await;
            for done in round.settling {
                // The receiver may have stopped waiting.
                let _ = done.send(());
            }
            self.prune().await;
        }
        stop.cancel();
        // If that task has panicked, the ack file is slightly older.
        let _ = ack_keeper.await;
        if let Err(error) = self.connection.close().await {
            warn!(%error, "the journal's last checkpoint failed; the next start repeats it");
        }
        if closing.is_some() && self.outage.is_none() {
            self.write_ack_file().await;
        }
        if let Some(done) = closing {
            let _ = done.send(());
        }
    }

    async fn handle(
        &mut self,
        command: Command,
        round: &mut Round,
        closing: &mut Option<oneshot::Sender<()>>,
    ) {
        match command {
            Command::Append { batch, reply } => {
                round.events += batch.len();
                round.bytes += batch.iter().map(|s| s.payload.len()).sum::<usize>();
                round.batches.push((batch, reply));
            }
            // The caller may have stopped waiting.
            Command::Ping(reply) => drop(reply.send(())),
            Command::ReportRelayed(later) => match &mut self.report {
                Some((report, _)) => report.merge(later),
                none => *none = Some((later, Instant::now())),
            },
            Command::SettleReports(done) => round.settling.push(done),
            Command::BranchOff(upto, reply) => {
                let _ = reply.send(self.branch_off(upto).await);
            }
            Command::MarkRetried(offset) => self.mark_retried(offset).await,
            // The caller may have stopped waiting.
            Command::MarkArchived(offset, reply) => drop(reply.send(self.mark_archived(offset).await)),
            Command::Forget(device, reply) => {
                let forgotten = self.forget(&device).await;
                let names_used_up = self.streams.are_names_used_up();
                self.state
                    .send_modify(|state| state.names_used_up = names_used_up);
                // The caller may have stopped waiting.
                let _ = reply.send(forgotten);
            }
            // The caller may have stopped waiting.
            Command::Rewrite(entries, reply) => drop(reply.send(self.rewrite(entries).await)),
            // Fails if the ack file's task has ended.
            Command::SnapshotAcks(reply) => drop(reply.send(self.ack_snapshot())),
            Command::KeepProgress(progress) => self.command_progress = Some(progress),
            Command::Close(done) => *closing = Some(done),
        }
    }

    /// How long to wait for a command: not forever while there is something to write, to prune or to recover.
    fn wait_limit(&self) -> Duration {
        let has_unwritten = self.report.is_some() || self.command_progress.is_some();
        if let Some(outage) = &self.outage {
            outage.retry_delay()
        } else if self.wants_room() || self.state.borrow().refusing || has_unwritten {
            REPORT_DELAY
        } else {
            Duration::from_secs(3_600)
        }
    }

    /// Whether the report needs its own commit. Usually an event's commit makes it durable. But pruning can only make
    /// room below a durable watermark.
    fn report_is_due(&self) -> bool {
        self.report.as_ref().is_some_and(|(_, since)| {
            since.elapsed() >= REPORT_DELAY || self.wants_room() || self.state.borrow().refusing
        })
    }

    /// Accepts events again if the disk works and there is room.
    pub(super) fn accept_if_room(&mut self) {
        if self.outage.is_some() {
            return;
        }
        self.state
            .send_if_modified(|state| state.bytes < state.max_bytes && std::mem::take(&mut state.refusing));
    }

    async fn write_command_progress(&mut self) {
        let Some(progress) = self.command_progress.take_if(|_| self.outage.is_none()) else {
            return;
        };
        let written = match self.connection.get().await {
            Ok(connection) => command_progress::write(connection, &progress).await,
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            warn!(%error, "the progress of the commands could not be written; after a crash the last commands would be sent again");
            self.command_progress = Some(progress);
            self.begin_outage(error).await;
        }
    }

    async fn branch_off(&mut self, upto: Offset) -> Result<Identity, AppendError> {
        if let Some(outage) = &self.outage {
            return Err(AppendError::Storage(Arc::clone(&outage.error)));
        }
        let own = self.streams.highest_own();
        let branched = match self.connection.get().await {
            Ok(connection) => branch_off(connection, upto, own).await,
            Err(error) => Err(error),
        };
        match branched {
            Ok(identity) => {
                self.identity.send_replace(identity.clone());
                Ok(identity)
            }
            Err(error) => Err(AppendError::Storage(self.begin_outage(error).await)),
        }
    }

    async fn mark_archived(&mut self, offset: Offset) -> Result<(), AppendError> {
        if let Some(outage) = &self.outage {
            return Err(AppendError::Storage(Arc::clone(&outage.error)));
        }
        let marked = match self.connection.get().await {
            Ok(connection) => sqlx::query("UPDATE chain SET archived = max(archived, ?)")
                .bind(offset.0 as i64)
                .execute(connection)
                .await
                .map(|_| ()),
            Err(error) => Err(error),
        };
        match marked {
            Ok(()) => {
                self.archived.fetch_max(offset.0, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => Err(AppendError::Storage(self.begin_outage(error).await)),
        }
    }

    async fn mark_retried(&mut self, offset: Offset) {
        let marked = match self.connection.get().await {
            Ok(connection) => sqlx::query("INSERT OR IGNORE INTO retried (offset, at) VALUES (?, ?)")
                .bind(offset.0 as i64)
                .bind(jiff::Timestamp::now().as_millisecond())
                .execute(connection)
                .await
                .map(|_| ()),
            Err(error) => Err(error),
        };
        if let Err(error) = marked {
            warn!(%error, offset = offset.0, "a retried dead letter could not be marked and stays in the list");
            self.begin_outage(error).await;
        }
    }

    /// How far events are acked at this moment.
    fn ack_snapshot(&self) -> AckSnapshot {
        let last = self.state.borrow().last;
        AckSnapshot {
            journal: self.identity.borrow().uuid.clone(),
            run: self.runs.of(last).unwrap_or_default().to_owned(),
            last: last.0,
            streams: self.recent.acked(&self.streams),
        }
    }

    /// Writes the ack file at once.
    pub(super) async fn write_ack_file(&self) {
        let (file, acks) = (Arc::clone(&self.ack_file), self.ack_snapshot());
        let written = tokio::task::spawn_blocking(move || ack_file::lock(&file).write(&acks)).await;
        if let Ok(Err(error)) = written {
            warn!(%error, "the record of acked events could not be written beside the journal");
        }
    }
}
