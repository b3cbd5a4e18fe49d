//! The one writer: takes what has arrived, commits it, fsyncs it, and answers.

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Row};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::acked::{self, AckedFile};
use super::group::{Group, Known};
use super::mend::Broken;
use super::newest::Newest;
use super::positions;
use super::runs::Runs;
use super::stored::{branch_off, used_bytes};
use super::tail::Tail;
use super::transaction::{Failed, write};
use super::{AppendError, Command, Identity, Numbering, Offset, Receipt, Relayed, State, Submission, reused};
use crate::kafka::PositionTable;
use crate::sqlite::{Readers, WriteConnection};

/// A group commit takes no further batch beyond this many events or bytes.
const GROUP_EVENTS: usize = 4_096;
const GROUP_BYTES: usize = 4 << 20;
/// How long a watermark waits for an event to be committed with.
const REPORT_DELAY: Duration = Duration::from_millis(500);
/// Entries pruned in one transaction, so that events do not wait long behind it.
const PRUNE_ENTRIES: u64 = 4_096;

/// For each so many bytes that the journal may have, the fingerprint of one pruned entry is kept: a twentieth of it at most.
const BYTES_REMEMBERED: u64 = 2_048;

type Reply = oneshot::Sender<Result<Receipt, AppendError>>;

/// The writer task's state.
pub struct Writer {
    pub(super) path: Arc<PathBuf>,
    pub(super) connection: WriteConnection,
    pub(super) readers: Readers,
    pub(super) commands: mpsc::Receiver<Command>,
    /// Of its own commands, for the task that writes how far events are acked.
    pub(super) own: mpsc::WeakSender<Command>,
    pub(super) tail: Arc<Tail>,
    pub(super) state: watch::Sender<State>,
    pub(super) identity: watch::Sender<Identity>,
    pub(super) runs: Arc<Runs>,
    pub(super) folded: Arc<AtomicU64>,
    pub(super) known: Known,
    /// Streams of the newest events.
    pub(super) newest: Newest,
    pub(super) acked: Arc<Mutex<AckedFile>>,
    /// What the bridge has reported and no commit has carried yet, and since when.
    pub(super) report: Option<(Relayed, Instant)>,
    /// Of the commands, not yet on disk.
    pub(super) command_positions: Option<PositionTable>,
    /// The disk has failed, and nothing is written until it is seen to work.
    pub(super) broken: Option<Broken>,
    pub(super) _lock: File,
}

impl Writer {
    /// Runs until [`Journal::close`], or until every handle is gone.
    pub async fn run(mut self) {
        let stop = CancellationToken::new();
        let kept = acked::keep(
            Arc::clone(&self.acked),
            self.state.subscribe(),
            self.own.clone(),
            stop.clone(),
        );
        let keeper = tokio::spawn(kept);
        let mut closing = None;
        while closing.is_none() {
            if !self.mend_if_due().await {
                break;
            }
            let waited = tokio::time::timeout(self.patience(), self.commands.recv()).await;
            let mut next = match waited {
                Ok(Some(command)) => Some(command),
                Ok(None) => break,
                Err(_) => {
                    self.try_again();
                    None
                }
            };
            let (mut batches, mut settling) = (Vec::new(), Vec::new());
            let (mut events, mut bytes) = (0, 0);
            while let Some(command) = next {
                match command {
                    Command::Append { batch, reply } => {
                        events += batch.len();
                        bytes += batch.iter().map(|s| s.payload.len()).sum::<usize>();
                        batches.push((batch, reply));
                    }
                    Command::Relayed(relayed) => match &mut self.report {
                        Some((report, _)) => report.merge(relayed),
                        none => *none = Some((relayed, Instant::now())),
                    },
                    Command::Settle(done) => settling.push(done),
                    Command::BranchOff(upto, reply) => {
                        let _ = reply.send(self.branch_off(upto).await);
                    }
                    Command::Retried(offset) => self.note_retried(offset).await,
                    // Dropped: the task has ended.
                    Command::Acked(reply) => drop(reply.send(self.acked_now())),
                    Command::KeepPositions(positions) => self.command_positions = Some(positions),
                    Command::Close(done) => closing = Some(done),
                }
                next = (events < GROUP_EVENTS && bytes < GROUP_BYTES && closing.is_none())
                    .then(|| self.commands.try_recv().ok())
                    .flatten();
            }
            if !batches.is_empty() {
                self.commit(batches).await;
            }
            if self.report_is_due() || closing.is_some() || !settling.is_empty() {
                self.commit_report().await;
            }
            self.keep_command_positions().await;
            for done in settling {
                // Dropped: nobody waits any more.
                let _ = done.send(());
            }
            self.prune().await;
        }
        stop.cancel();
        // A panic there: the file says a little less.
        let _ = keeper.await;
        if let Err(error) = self.connection.close().await {
            warn!(%error, "the journal's last checkpoint failed; the next start makes up for it");
        }
        if closing.is_some() && self.broken.is_none() {
            self.write_acked().await;
        }
        if let Some(done) = closing {
            let _ = done.send(());
        }
    }

    /// How long to wait for a command: not for ever while there is something to prune or to mend.
    fn patience(&self) -> Duration {
        let unwritten = self.report.is_some() || self.command_positions.is_some();
        if let Some(broken) = &self.broken {
            broken.patience()
        } else if self.wants_room() || self.state.borrow().refusing || unwritten {
            REPORT_DELAY
        } else {
            Duration::from_secs(3_600)
        }
    }

    /// An event mostly comes along to carry the report, and saves a commit of its own. Room can only be made
    /// below a watermark that is durable.
    fn report_is_due(&self) -> bool {
        self.report.as_ref().is_some_and(|(_, since)| {
            since.elapsed() >= REPORT_DELAY || self.wants_room() || self.state.borrow().refusing
        })
    }

    /// The next batch may try again, if there is room.
    pub(super) fn try_again(&mut self) {
        if self.broken.is_some() {
            return;
        }
        self.state
            .send_if_modified(|state| state.bytes < state.max_bytes && std::mem::take(&mut state.refusing));
    }

    fn wants_room(&self) -> bool {
        let state = self.state.borrow();
        state.bytes >= state.max_bytes / 5 * 4
    }

    async fn commit(&mut self, batches: Vec<(Vec<Submission>, Reply)>) {
        let (batches, replies): (Vec<_>, Vec<_>) = batches.into_iter().unzip();
        let result = self.try_commit(batches).await;
        if let Err(error) = &result {
            if !self.state.borrow().refusing {
                warn!(%error, "the gateway is not accepting events until this is over; tills keep theirs");
            }
            self.state.send_modify(|state| state.refusing = true);
        } else if self.state.borrow().refusing {
            info!("events are accepted again");
            self.state.send_modify(|state| state.refusing = false);
        }
        match result {
            Ok(receipts) => {
                for (reply, receipt) in replies.into_iter().zip(receipts) {
                    // Dropped: the sender no longer waits, the events are safe all the same.
                    let _ = reply.send(Ok(receipt));
                }
            }
            Err(error) => {
                for reply in replies {
                    let _ = reply.send(Err(error.clone()));
                }
            }
        }
    }

    async fn try_commit(&mut self, batches: Vec<Vec<Submission>>) -> Result<Vec<Receipt>, AppendError> {
        let State { bytes, max_bytes, .. } = *self.state.borrow();
        if bytes >= max_bytes && !batches.is_empty() {
            return Err(AppendError::Full { bytes, max_bytes });
        }
        if let Some(broken) = &self.broken {
            return Err(AppendError::Storage(Arc::clone(&broken.error)));
        }
        let known = match self.known_fingerprints(&batches).await {
            Ok(known) => known,
            Err(error) => return Err(AppendError::Storage(self.broke(error).await)),
        };
        let mut group = Group {
            after: self.state.borrow().last,
            fingerprints: known,
            own_floor: self.identity.borrow().own_floor,
            ..Group::default()
        };
        for batch in batches {
            self.known.admit(batch, &mut group);
        }
        if !group.suspects.is_empty() {
            let kept = match self.connection.get().await {
                Ok(connection) => reused::keep(connection, &self.tail, &self.known, &mut group).await,
                Err(error) => Err(error),
            };
            if let Err(error) = kept {
                return Err(AppendError::Storage(self.broke(error).await));
            }
        }
        let report = self.report.take();
        let relayed = report.as_ref().map(|(relayed, _)| relayed);
        if let Some(relayed) = relayed {
            self.known.count_relayed(relayed, &mut group);
        }
        let written = match self.connection.get().await {
            Ok(connection) => write(connection, &group, relayed).await,
            Err(error) => Err(Failed {
                in_doubt: false,
                error,
            }),
        };
        match written {
            Ok(bytes) => {
                let upto = relayed.map_or(Offset(0), |relayed| relayed.upto);
                Ok(self.adopt(group, upto, bytes))
            }
            Err(Failed { in_doubt, error }) => {
                self.report = report;
                let error = self.broke(error).await;
                Err(match in_doubt && !group.entries.is_empty() {
                    true => AppendError::InDoubt(error),
                    false => AppendError::Storage(error),
                })
            }
        }
    }

    /// Makes the committed group the writer's memory, and tells everybody.
    fn adopt(&mut self, mut group: Group, watermark: Offset, bytes: u64) -> Vec<Receipt> {
        self.newest.note(group.streams.keys().copied());
        self.known.adopt(&mut group);
        let committed = group.entries.len() as u64;
        let last = group.entries.last().map(|entry| entry.offset);
        self.tail.push(group.entries, Instant::now());
        self.state.send_modify(|state| {
            state.last = last.unwrap_or(state.last);
            state.watermark = state.watermark.max(watermark);
            state.bytes = bytes;
            state.dead_letters += group.dead_letters;
            state.duplicates += group.duplicates;
            state.reused += group.reused;
            state.commits += 1;
            state.committed += committed;
        });
        group.receipts
    }

    async fn known_fingerprints(
        &mut self,
        batches: &[Vec<Submission>],
    ) -> Result<HashMap<[u8; 16], Offset>, sqlx::Error> {
        let hashes = batches
            .iter()
            .flatten()
            .filter_map(|submission| match submission.numbering {
                Numbering::Gateway { fingerprint } => fingerprint,
                Numbering::Terminal { .. } => None,
            });
        fingerprints(self.connection.get().await?, hashes).await
    }

    /// Makes the bridge's last report durable when no event comes along to carry it.
    async fn commit_report(&mut self) {
        if self.report.is_none() || self.broken.is_some() {
            return;
        }
        match self.try_commit(Vec::new()).await {
            // The disk works again, if it was that.
            Ok(_) => self.try_again(),
            Err(error) => warn!(%error, "the watermark is kept in memory for now; Kafka has it"),
        }
    }

    async fn keep_command_positions(&mut self) {
        let Some(kept) = self.command_positions.take_if(|_| self.broken.is_none()) else {
            return;
        };
        let written = match self.connection.get().await {
            Ok(connection) => positions::keep(connection, &kept).await,
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            warn!(%error, "after a crash the last commands would be handed on again");
            self.command_positions = Some(kept);
            self.broke(error).await;
        }
    }

    async fn branch_off(&mut self, upto: Offset) -> Result<Identity, AppendError> {
        if let Some(broken) = &self.broken {
            return Err(AppendError::Storage(Arc::clone(&broken.error)));
        }
        let own = self.known.highest_own();
        let branched = match self.connection.get().await {
            Ok(connection) => branch_off(connection, upto, own).await,
            Err(error) => Err(error),
        };
        match branched {
            Ok(identity) => {
                self.identity.send_replace(identity.clone());
                Ok(identity)
            }
            Err(error) => Err(AppendError::Storage(self.broke(error).await)),
        }
    }

    async fn note_retried(&mut self, offset: Offset) {
        let noted = match self.connection.get().await {
            Ok(connection) => sqlx::query("INSERT OR IGNORE INTO retried (offset, at) VALUES (?, ?)")
                .bind(offset.0 as i64)
                .bind(jiff::Timestamp::now().as_millisecond())
                .execute(connection)
                .await
                .map(|_| ()),
            Err(error) => Err(error),
        };
        if let Err(error) = noted {
            warn!(%error, offset = offset.0, "a retried dead letter stays listed");
            self.broke(error).await;
        }
    }

    /// Frees the front of what is in Kafka and folded, when the journal is four fifths full. While it is
    /// full this also makes the watermark durable, for only that lets entries go.
    async fn prune(&mut self) {
        if !self.wants_room() || self.broken.is_some() {
            return;
        }
        let state = *self.state.borrow();
        match self.try_prune().await {
            Ok(bytes) if state.refusing && bytes < state.max_bytes => {
                info!("events are accepted again");
                self.state.send_modify(|state| state.refusing = false);
            }
            Ok(_) => {}
            Err(error) => {
                self.broke(error).await;
            }
        }
    }

    async fn try_prune(&mut self) -> Result<u64, sqlx::Error> {
        let state = *self.state.borrow();
        let upto = state
            .watermark
            .min(Offset(self.folded.load(Ordering::Relaxed)))
            .min(Offset(state.first.0 + PRUNE_ENTRIES - 1));
        if upto < state.first {
            return Ok(state.bytes);
        }
        let connection = self.connection.get().await?;
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        // A twin may come long after its event has gone: a broker redelivers when it can.
        let remembered = upto.0.saturating_sub(state.max_bytes / BYTES_REMEMBERED);
        for (statement, upto) in [
            ("DELETE FROM entry WHERE offset <= ?", upto.0),
            ("DELETE FROM fingerprint WHERE offset <= ?", remembered),
            ("DELETE FROM numbered WHERE offset <= ?", remembered),
            ("DELETE FROM retried WHERE offset <= ?", upto.0),
        ] {
            sqlx::query(statement)
                .bind(upto as i64)
                .execute(&mut *transaction)
                .await?;
        }
        let dead_letters: i64 =
            sqlx::query_scalar("SELECT count(*) FROM entry INDEXED BY entry_dead_letter WHERE kind = 3")
                .fetch_one(&mut *transaction)
                .await?;
        transaction.commit().await?;
        let bytes = used_bytes(connection).await?;
        self.state.send_modify(|state| {
            state.first = Offset(upto.0 + 1);
            state.bytes = bytes;
            state.dead_letters = dead_letters as u64;
        });
        Ok(bytes)
    }
}

/// Those of the fingerprints that the journal remembers.
pub(super) async fn fingerprints(
    connection: &mut SqliteConnection,
    hashes: impl Iterator<Item = [u8; 16]>,
) -> Result<HashMap<[u8; 16], Offset>, sqlx::Error> {
    let hashes: Vec<String> = hashes
        .map(|hash| format!("{:032x}", u128::from_be_bytes(hash)))
        .collect();
    if hashes.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sqlx::query(
        "SELECT hash, offset FROM fingerprint WHERE hash IN (SELECT unhex(value) FROM json_each(?))",
    )
    .bind(serde_json::Value::from(hashes).to_string())
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let hash: Vec<u8> = row.get(0);
            let hash = <[u8; 16]>::try_from(hash)
                .map_err(|_| sqlx::Error::Decode("a fingerprint has 16 bytes".into()))?;
            Ok((hash, Offset(row.get::<i64, _>(1) as u64)))
        })
        .collect()
}
