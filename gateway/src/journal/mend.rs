//! After the disk has failed: nothing is written until it is seen to work, and then what is in the file counts.
//!
//! A COMMIT that failed is in doubt: its frames may be in the WAL, and may come to life in the next recovery. So the
//! connection is opened anew, a transaction is written behind the last one that SQLite knows (over whatever the failed one
//! has left there), and the writer's memory is made of what is in the file then.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::Connection as _;
use tracing::{error, info, warn};

use super::stored::{Loaded, identity, load, used_bytes};
use super::{Identity, Writer, schema, wal};
use crate::sqlite::is_full;

const FIRST_WAIT: Duration = Duration::from_millis(500);
const MAX_WAIT: Duration = Duration::from_secs(2);

/// The disk does not work, as far as is known.
pub(super) struct Broken {
    /// The first error, or that of the last attempt.
    pub error: Arc<sqlx::Error>,
    /// Not only was there no room: what was synced before may not be on the disk.
    doubtful: bool,
    next: Instant,
    wait: Duration,
}

impl Broken {
    /// Until the next attempt.
    pub fn patience(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }
}

/// What the file says after the disk has failed.
struct Found {
    identity: Identity,
    loaded: Loaded,
    bytes: u64,
}

impl Writer {
    /// A use of the connection has failed: nothing more is accepted until [`Writer::mend_if_due`] has mended it.
    pub(super) async fn broke(&mut self, error: sqlx::Error) -> Arc<sqlx::Error> {
        let doubtful = !is_full(&error);
        let error = Arc::new(error);
        // Failing a second time says nothing new.
        let _ = self.connection.close().await;
        drop(tokio::spawn(self.readers.replace()));
        if !self.state.borrow().refusing {
            warn!(%error, "the journal cannot be written: the gateway is not accepting events; tills keep theirs");
        }
        self.state.send_modify(|state| state.refusing = true);
        match &mut self.broken {
            Some(broken) => {
                broken.wait = (broken.wait * 2).min(MAX_WAIT);
                broken.next = Instant::now() + broken.wait;
                broken.doubtful |= doubtful;
                broken.error = Arc::clone(&error);
            }
            none => {
                *none = Some(Broken {
                    error: Arc::clone(&error),
                    doubtful,
                    next: Instant::now() + FIRST_WAIT,
                    wait: FIRST_WAIT,
                });
            }
        }
        error
    }

    /// Tries the disk again when it is time. False if the journal lacks what this process has acked: only a new start can
    /// make that right.
    pub(super) async fn mend_if_due(&mut self) -> bool {
        let Some(broken) = &self.broken else {
            return true;
        };
        if !broken.patience().is_zero() {
            return true;
        }
        match self.look(broken.doubtful).await {
            Ok(found) => self.adopt_found(found),
            Err(error) => {
                self.broke(error).await;
                true
            }
        }
    }

    /// Opens the file anew, sees that it can be written, and reads it.
    async fn look(&mut self, doubtful: bool) -> Result<Found, sqlx::Error> {
        let path = Arc::clone(&self.path);
        let connection = self.connection.get().await?;
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        // Says what it says, and takes a page and a sync.
        schema::mark(&mut transaction, schema::JOURNAL).await?;
        transaction.commit().await?;
        if doubtful {
            wal::write_anew(connection, &path).await?;
        }
        Ok(Found {
            identity: identity(connection).await?,
            loaded: load(connection).await?,
            bytes: used_bytes(connection).await?,
        })
    }

    fn adopt_found(&mut self, found: Found) -> bool {
        let Found {
            identity,
            loaded,
            bytes,
        } = found;
        let last = self.state.borrow().last;
        if loaded.state.last < last {
            error!(
                acked = last.0,
                last = loaded.state.last.0,
                "the journal's files were changed while the gateway ran, and lack what it has acked: it has to start anew"
            );
            return false;
        }
        // What waits for its turn was not acked, and is sent again; its devices' rows may be others now.
        self.known = loaded.known;
        self.identity.send_if_modified(|known| {
            let changed = *known != identity;
            *known = identity;
            changed
        });
        self.report
            .take_if(|(report, _)| report.upto <= loaded.state.watermark);
        self.broken = None;
        self.state.send_modify(|state| {
            state.first = loaded.state.first;
            state.last = loaded.state.last;
            state.watermark = loaded.state.watermark;
            state.dead_letters = loaded.state.dead_letters;
            state.lost = loaded.state.lost;
            state.bytes = bytes;
        });
        self.try_again();
        if !self.state.borrow().refusing {
            info!(
                in_doubt = loaded.state.last.0 - last.0,
                "the journal can be written again: events are accepted"
            );
        }
        true
    }
}
