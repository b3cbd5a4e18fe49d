//! Whether this replica reads Kafka and writes PostgreSQL.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tracing::{info, warn};

/// The connections of this replica, as `/readyz` reports them.
#[derive(Debug, Default)]
pub struct Health {
    partitions: AtomicUsize,
    is_database_down: AtomicBool,
    /// Whether the tables exist.
    is_prepared: AtomicBool,
}

impl Health {
    /// Records that the replica reads this number of partitions.
    pub fn reading(&self, partitions: usize) {
        let before = self.partitions.swap(partitions, Ordering::Relaxed);
        if before != partitions {
            info!(partitions, "reading");
        }
    }

    pub fn partitions(&self) -> usize {
        self.partitions.load(Ordering::Relaxed)
    }

    /// Records a failure. Logs only the first one.
    pub fn database_failed(&self, error: &dyn std::error::Error) {
        if !self.is_database_down.swap(true, Ordering::Relaxed) {
            warn!(%error, "PostgreSQL does not store what was read; the office tries again");
        }
    }

    pub fn database_works(&self) {
        self.is_prepared.store(true, Ordering::Relaxed);
        if self.is_database_down.swap(false, Ordering::Relaxed) {
            info!("PostgreSQL stores again");
        }
    }

    /// Whether the tables are there.
    pub fn is_prepared(&self) -> bool {
        self.is_prepared.load(Ordering::Relaxed)
    }

    /// Whether the tables exist and the last write succeeded.
    pub fn is_database_up(&self) -> bool {
        self.is_prepared() && !self.is_database_down.load(Ordering::Relaxed)
    }
}
