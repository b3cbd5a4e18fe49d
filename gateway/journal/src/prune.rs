//! Pruning: deletes the oldest entries that are in Kafka, in the projection and, if archives are wanted, in one.

use std::sync::atomic::Ordering;

use sqlx::Connection as _;
use tracing::info;

use super::stored_state::{count_dead_letters, count_own_records, used_bytes};
use super::{Offset, Writer, chain};

/// Most entries deleted in one transaction, so that events do not wait long for it.
const MAX_ENTRIES: u64 = 4_096;

/// One fingerprint of a pruned entry is kept per this many bytes of the journal's limit. Together they take at most a
/// twentieth of it.
const BYTES_PER_FINGERPRINT: u64 = 2_048;

impl Writer {
    /// Whether the journal is at least four fifths full.
    pub(super) fn wants_room(&self) -> bool {
        let state = self.state.borrow();
        state.bytes >= state.max_bytes / 5 * 4
    }

    /// Prunes one step if the journal wants room.
    pub(super) async fn prune(&mut self) {
        if !self.wants_room() || self.outage.is_some() {
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
                self.begin_outage(error).await;
            }
        }
    }

    /// Returns the bytes in use afterwards.
    async fn try_prune(&mut self) -> Result<u64, sqlx::Error> {
        let state = *self.state.borrow();
        let upto = state
            .watermark
            .min(Offset(self.folded.load(Ordering::Relaxed)))
            .min(Offset(self.archived.load(Ordering::Relaxed)))
            .min(Offset(state.first.0 + MAX_ENTRIES - 1));
        if upto < state.first {
            return Ok(state.bytes);
        }
        let connection = self.connection.get().await?;
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        chain::advance(&mut transaction, upto).await?;
        // Fingerprints and digests stay longer than their entries, because a broker may redeliver an event much later.
        let remembered = upto.0.saturating_sub(state.max_bytes / BYTES_PER_FINGERPRINT);
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
        let dead_letters = count_dead_letters(&mut transaction).await?;
        let own_records = count_own_records(&mut transaction, Offset(0)).await?;
        transaction.commit().await?;
        let bytes = used_bytes(connection).await?;
        self.state.send_modify(|state| {
            state.first = Offset(upto.0 + 1);
            state.bytes = bytes;
            state.dead_letters = dead_letters;
            state.own_records = own_records;
        });
        Ok(bytes)
    }
}
