//! One overview for all pages that ask within a moment: it sums up the day's sales of all shops.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use sqlx::PgPool;
use tokio::sync::{Mutex, Semaphore};

use crate::overview::{Overview, overview};

/// Pages ask every five seconds.
const MAX_AGE: Duration = Duration::from_secs(2);
/// Days that are kept: pages in different time zones ask for different beginnings of the day.
const MAX_DAYS: usize = 8;
/// Pages ask for the sales of their own day. Sums over a longer time are slow, so one is made at a time.
const LONGEST_DAY: SignedDuration = SignedDuration::from_hours(48);

/// The overviews of the last moment. Clones share them.
#[derive(Clone)]
pub struct OverviewCache(Arc<Cache>);

struct Cache {
    /// The oldest request first.
    days: std::sync::Mutex<Vec<CachedDay>>,
    /// For sums over a longer time than a day.
    long: Semaphore,
}

/// An overview, and when it was read.
type Slot = Arc<Mutex<Option<(Instant, Arc<Overview>)>>>;

/// Requests for the same day wait for one another, so that many of them are one query.
struct CachedDay {
    day: Timestamp,
    overview: Slot,
}

impl Default for OverviewCache {
    fn default() -> Self {
        Self(Arc::new(Cache {
            days: std::sync::Mutex::default(),
            long: Semaphore::new(1),
        }))
    }
}

impl OverviewCache {
    /// The overview with the sales since `day`.
    ///
    /// # Errors
    /// PostgreSQL does not reply.
    pub async fn get(
        &self,
        pool: &PgPool,
        prefix: &str,
        now: Timestamp,
        day: Timestamp,
    ) -> Result<Arc<Overview>, sqlx::Error> {
        let slot = self.slot(day);
        let mut cached = slot.lock().await;
        if let Some((read, overview)) = &*cached
            && read.elapsed() < MAX_AGE
        {
            return Ok(Arc::clone(overview));
        }
        let _turn = match now.duration_since(day) > LONGEST_DAY {
            // The semaphore is never closed.
            true => self.0.long.acquire().await.ok(),
            false => None,
        };
        let overview = Arc::new(overview(pool, prefix, now, day).await?);
        *cached = Some((Instant::now(), Arc::clone(&overview)));
        Ok(overview)
    }

    fn slot(&self, day: Timestamp) -> Slot {
        // A panic elsewhere leaves the list consistent.
        let mut days = self.0.days.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = days.iter().find(|known| known.day == day) {
            return Arc::clone(&known.overview);
        }
        if days.len() == MAX_DAYS {
            days.remove(0);
        }
        let overview = Arc::default();
        days.push(CachedDay {
            day,
            overview: Arc::clone(&overview),
        });
        overview
    }
}
