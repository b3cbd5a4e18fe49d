//! `initial_data`: the state that every client starts with, built once for all clients of a view.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::socket::ConnectionError;
use super::tick::{Json, write};
use super::view::{PersonalData, item_in};
use crate::http::AppState;
use crate::http::api::dto;
use crate::http::api::sales::item;
use crate::http::api::status::{gateway_status, stats_of};
use crate::projection::SaleState;
use comptoir_core::event::Kind;
use comptoir_journal::Offset;

/// Bytes for the rows of one kind: ten times what fifty typical rows need.
const KIND_BYTES: usize = 192 << 10;
/// Largest row in a snapshot or a batch, in bytes: an order of hundreds of lines. Larger rows appear only in lists and
/// in `new_order`.
pub const MAX_ROW: usize = 64 << 10;
/// How long an unchanged snapshot may be reused: as long as totals and status may be stale.
const FRESH: Duration = super::STATUS_INTERVAL;

/// How far a client is up to date.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Every row and delta up to this version.
    pub version: u64,
    /// Every event of the journal up to this offset.
    pub upto: Offset,
}

#[derive(Debug, Clone)]
pub struct Snapshot {
    pub json: Arc<Json>,
    pub progress: Progress,
    /// The number of ticks before the snapshot.
    ticks: u64,
    made: Instant,
}

/// The latest snapshot of each view.
#[derive(Default)]
pub struct Snapshots([Mutex<Option<Snapshot>>; 2]);

impl Snapshots {
    /// The present state. Concurrent requests share one snapshot.
    ///
    /// # Errors
    ///
    /// The journal cannot be read.
    pub async fn get(&self, app: &AppState, view: PersonalData) -> Result<Snapshot, ConnectionError> {
        // A request that waited for the lock reuses the snapshot of the request before it.
        let mut latest = self.0[view as usize].lock().await;
        if let Some(latest) = latest.as_ref().filter(|latest| latest.is_current(app)) {
            return Ok(latest.clone());
        }
        let snapshot = make(app, view).await?;
        *latest = Some(snapshot.clone());
        Ok(snapshot)
    }

    /// Frees snapshots that are no longer current.
    pub fn forget_old(&self) {
        for latest in &self.0 {
            // A locked snapshot is in use.
            if let Ok(mut latest) = latest.try_lock() {
                latest.take_if(|latest| latest.made.elapsed() >= FRESH);
            }
        }
    }
}

impl Snapshot {
    /// Whether the snapshot and the ticks from now on together contain everything.
    fn is_current(&self, app: &AppState) -> bool {
        self.made.elapsed() < FRESH
            && self.ticks == app.audience.ticks.end()
            && self.progress.version == app.projection.recent(|recent| recent.version)
    }
}

async fn make(app: &AppState, view: PersonalData) -> Result<Snapshot, ConnectionError> {
    let made = Instant::now();
    let ticks = app.audience.ticks.end();
    let gateway = gateway_status(app).await?;
    let state = app.journal.state();
    let (progress, totals, rows) = app.projection.recent(|recent| {
        let rows = Kind::ALL.map(|kind| {
            let newest = recent.newest(kind);
            newest.map(|(_, row)| row.clone()).collect::<Vec<SaleState>>()
        });
        let progress = Progress {
            version: recent.version,
            upto: recent.folded,
        };
        (progress, app.projection.view().totals, rows)
    });
    let mut kinds = Kind::ALL.into_iter().zip(rows);
    let [orders, payments, deliveries] = std::array::from_fn(|_| {
        let Some((kind, rows)) = kinds.next() else {
            return Vec::new();
        };
        let mut left = KIND_BYTES;
        let rows = rows.iter().filter(|row| {
            let bytes = row.payload().len();
            let is_within = bytes <= MAX_ROW.min(left);
            left -= if is_within { bytes } else { 0 };
            is_within
        });
        rows.filter_map(|row| Some(item_in(view, kind, item(row, state.in_kafka_upto(kind))?)))
            .collect()
    });
    let state = dto::InitialData {
        orders,
        payments,
        deliveries,
        stats: stats_of(&totals, app.currency),
        gateway,
    };
    Ok(Snapshot {
        json: Arc::new(write(&state)),
        progress,
        ticks,
        made,
    })
}
