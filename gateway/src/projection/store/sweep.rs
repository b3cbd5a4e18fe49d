//! The sweep: deletes rows that can no longer be shown.
//!
//! Rows without an entry in the journal, and rows from Kafka beyond the newest, cannot be shown. The newest of them
//! stay, so that a later event is recognised as a new state of a known sale.

use sqlx::Connection as _;

use super::super::kind_code;
use super::Store;
use comptoir_core::event::Kind;
use comptoir_journal::Offset;

/// Number of the newest rows that are kept even if they cannot be shown: some 50 MB.
pub(super) const KEPT: u64 = 200_000;
/// Number of newest rows from Kafka that keep their JSON: some 20 MB.
pub(super) const SHOWN: u64 = 20_000;
/// Rows examined per step. Must exceed the rows that a flush writes, or the sweep would never catch up.
pub(super) const STEP: u64 = 16_384;

/// The progress of the sweep. It walks the table in small steps, one per flush, so that none delays the fold for long.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    /// The first row of the next step.
    pub next: u64,
    /// Whether rows may have become deletable since the last sweep began.
    pub is_wanted: bool,
    pub is_running: bool,
}

impl Store {
    /// Requests another sweep, because the journal has pruned entries or rows have arrived from Kafka.
    pub fn want_sweep(&mut self) {
        self.sweep.is_wanted = true;
    }

    /// Runs one step if a sweep is wanted. `first` is the journal's first entry, `next_seq` the number of the next new
    /// row.
    pub async fn sweep(&mut self, first: Offset, next_seq: u64) -> Result<(), sqlx::Error> {
        let swept = self.try_sweep(first, next_seq).await;
        self.connection.settle(swept).await
    }

    async fn try_sweep(&mut self, first: Offset, next_seq: u64) -> Result<(), sqlx::Error> {
        if !self.sweep.is_running {
            if !self.sweep.is_wanted {
                return Ok(());
            }
            self.sweep = Sweep {
                next: self.lowest().await?,
                is_wanted: false,
                is_running: true,
            };
        }
        let from = self.sweep.next;
        let (shown, kept) = (next_seq.saturating_sub(SHOWN), next_seq.saturating_sub(KEPT));
        let to = (from + STEP).min(shown);
        let connection = self.connection.get().await?;
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        for statement in [
            "DELETE FROM place WHERE entry < ?",
            "DELETE FROM correction WHERE entry < ?",
        ] {
            sqlx::query(statement)
                .bind(first.0 as i64)
                .execute(&mut *transaction)
                .await?;
        }
        sqlx::query(
            "UPDATE sale SET payload = NULL WHERE kind IN (0, 1, 2) AND seq >= ? AND seq < ? AND payload IS NOT NULL",
        )
        .bind(from as i64)
        .bind(to as i64)
        .execute(&mut *transaction)
        .await?;
        // The last step also looks at the newest rows, whose entries a small journal may have pruned.
        let searched = if to < shown { to } else { next_seq };
        Self::mark_unshowable(&mut transaction, from, searched, first).await?;
        sqlx::query(
            "DELETE FROM sale WHERE kind IN (0, 1, 2) AND seq >= ? AND seq < ? AND (entry IS NULL OR entry < ?)",
        )
        .bind(from as i64)
        .bind(to.min(kept) as i64)
        .bind(first.0 as i64)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        self.sweep.next = to;
        self.sweep.is_running = to < shown;
        match self.sweep.is_running {
            true => Ok(()),
            false => self.drop_blocks(first).await,
        }
    }

    /// The number of the oldest row. 0 if there is none.
    pub(super) async fn lowest(&mut self) -> Result<u64, sqlx::Error> {
        let connection = self.connection.get().await?;
        let mut lowest = None;
        // One query per kind: SQLite answers it from the edge of the b-tree.
        for kind in Kind::ALL {
            let of_kind: Option<i64> = sqlx::query_scalar("SELECT min(seq) FROM sale WHERE kind = ?")
                .bind(kind_code(kind))
                .fetch_one(&mut *connection)
                .await?;
            lowest = lowest.into_iter().chain(of_kind).min();
        }
        Ok(lowest.unwrap_or(0) as u64)
    }
}
