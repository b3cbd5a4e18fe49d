//! Disk outages: after an error nothing is written until the disk works again, and then the file's content is
//! authoritative.
//!
//! A failed COMMIT is in doubt: its frames may be in the WAL, and the next recovery may apply them. So the writer opens
//! a new connection, writes a transaction after the last one that SQLite knows (overwriting any frames of the failed
//! one), and rebuilds its memory from the file.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::Connection as _;
use tracing::{error, info, warn};

use super::sqlite::is_full;
use super::stored_state::{StoredState, identity, load, used_bytes};
use super::{Identity, Writer, schema, wal};

const FIRST_BACKOFF: Duration = Duration::from_millis(500);
const MAX_BACKOFF: Duration = Duration::from_secs(2);

/// A period from a disk error until the disk works again.
pub(super) struct Outage {
    /// The most recent error.
    pub error: Arc<sqlx::Error>,
    /// Whether there was an error other than a full disk. If so, data synced earlier may not be on the disk.
    is_disk_suspect: bool,
    next_attempt: Instant,
    backoff: Duration,
}

impl Outage {
    /// The time until the next attempt to recover.
    pub fn retry_delay(&self) -> Duration {
        self.next_attempt.saturating_duration_since(Instant::now())
    }
}

/// The file's content, reread after a disk error.
struct RereadFile {
    identity: Identity,
    stored: StoredState,
    bytes: u64,
}

impl Writer {
    /// Handles an error of the connection: the journal accepts nothing until [`Writer::recover_if_due`] succeeds.
    /// Returns the error in a form that waiting senders can share.
    pub(super) async fn begin_outage(&mut self, error: sqlx::Error) -> Arc<sqlx::Error> {
        let is_disk_suspect = !is_full(&error);
        let error = Arc::new(error);
        // A second error while closing adds no information.
        let _ = self.connection.close().await;
        drop(tokio::spawn(self.readers.replace()));
        if !self.state.borrow().refusing {
            warn!(%error, "the journal cannot be written: the gateway is not accepting events; tills keep theirs");
        }
        self.state.send_modify(|state| state.refusing = true);
        match &mut self.outage {
            Some(outage) => {
                outage.backoff = (outage.backoff * 2).min(MAX_BACKOFF);
                outage.next_attempt = Instant::now() + outage.backoff;
                outage.is_disk_suspect |= is_disk_suspect;
                outage.error = Arc::clone(&error);
            }
            none => {
                *none = Some(Outage {
                    error: Arc::clone(&error),
                    is_disk_suspect,
                    next_attempt: Instant::now() + FIRST_BACKOFF,
                    backoff: FIRST_BACKOFF,
                });
            }
        }
        error
    }

    /// Tries the disk again when the backoff has expired. False if the file lacks entries that this process has acked,
    /// which only a restart can handle.
    pub(super) async fn recover_if_due(&mut self) -> bool {
        let Some(outage) = &self.outage else {
            return true;
        };
        if !outage.retry_delay().is_zero() {
            return true;
        }
        match self.reread_file(outage.is_disk_suspect).await {
            Ok(file) => self.end_outage(file),
            Err(error) => {
                self.begin_outage(error).await;
                true
            }
        }
    }

    /// Reopens the file, checks that it can be written, and reads it.
    async fn reread_file(&mut self, is_disk_suspect: bool) -> Result<RereadFile, sqlx::Error> {
        let path = Arc::clone(&self.path);
        let connection = self.connection.get().await?;
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        // Writes an unchanged value, to test a page write and a sync.
        schema::mark(&mut transaction, schema::JOURNAL).await?;
        transaction.commit().await?;
        if is_disk_suspect {
            wal::rewrite(connection, &path).await?;
        }
        Ok(RereadFile {
            identity: identity(connection).await?,
            stored: load(connection).await?,
            bytes: used_bytes(connection).await?,
        })
    }

    fn end_outage(&mut self, file: RereadFile) -> bool {
        let RereadFile {
            identity,
            stored,
            bytes,
        } = file;
        let last = self.state.borrow().last;
        if stored.state.last < last {
            error!(
                acked = last.0,
                last = stored.state.last.0,
                "the journal's files were changed while the gateway ran, and lack events that it has acked: the gateway has \
                 to restart"
            );
            return false;
        }
        // Drops the reorder buffer: its events were not acked and will be sent again, and the rows of their devices may
        // have changed.
        let before = std::mem::replace(&mut self.streams, stored.streams);
        self.streams.continue_from(before);
        self.chain_head = stored.chain_head;
        self.identity.send_if_modified(|current| {
            let has_changed = *current != identity;
            *current = identity;
            has_changed
        });
        if let Some((report, _)) = &mut self.report
            && report.upto <= stored.state.watermark
        {
            // The commit in doubt has counted them.
            report.counts.clear();
        }
        self.report.take_if(|(report, _)| {
            report.upto <= stored.state.watermark && report.payments <= stored.state.payments
        });
        self.outage = None;
        self.state.send_modify(|state| {
            state.first = stored.state.first;
            state.last = stored.state.last;
            state.watermark = stored.state.watermark;
            state.payments = stored.state.payments;
            state.dead_letters = stored.state.dead_letters;
            // Nothing was pruned meanwhile, so the difference comes from a commit in doubt.
            state.own_stored += stored.state.own_records.saturating_sub(state.own_records);
            state.own_records = stored.state.own_records;
            state.lost = stored.state.lost;
            state.bytes = bytes;
        });
        self.accept_if_room();
        if !self.state.borrow().refusing {
            info!(
                in_doubt = stored.state.last.0 - last.0,
                "the journal can be written again: events are accepted"
            );
        }
        true
    }
}
