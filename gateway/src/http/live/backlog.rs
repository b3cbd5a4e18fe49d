//! The number of pending events over the last hour.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::http::api::dto;
use crate::platform::clock::Clock;

/// The interval between two points.
pub const INTERVAL: Duration = Duration::from_secs(10);
/// One hour.
const MAX_POINTS: usize = 360;

/// The number of events that were not yet in Kafka, sampled at regular intervals.
#[derive(Default)]
pub struct Backlog(Mutex<VecDeque<(Instant, u64)>>);

impl Backlog {
    /// The points, oldest first. Their times are those of the clock as it is set now.
    pub fn points(&self, clock: &Clock) -> Vec<dto::BacklogPoint> {
        // A panic in another thread leaves the points consistent.
        let points = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let points = points.iter().map(|&(at, pending)| dto::BacklogPoint {
            at: clock.time_of(at),
            pending,
        });
        points.collect()
    }

    pub(super) fn record(&self, pending: u64) {
        let mut points = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if points.len() == MAX_POINTS {
            points.pop_front();
        }
        points.push_back((Instant::now(), pending));
    }
}
