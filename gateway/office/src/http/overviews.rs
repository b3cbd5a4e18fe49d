//! One overview for all pages that ask within a moment: it sums up the day's sales of all shops.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sqlx::PgPool;
use tokio::sync::Mutex;

use crate::overview::{Overview, overview};

/// Pages ask every five seconds.
const MAX_AGE: Duration = Duration::from_secs(2);
/// Days that are kept: pages in different time zones ask for different beginnings of the day.
const MAX_DAYS: usize = 8;

/// The overviews of the last moment. Clones share them.
#[derive(Clone, Default)]
pub struct OverviewCache(Arc<Mutex<Vec<CachedOverview>>>);

struct CachedOverview {
    day: Timestamp,
    read: Instant,
    overview: Arc<Overview>,
}

impl OverviewCache {
    /// The overview with the sales since `day`. Requests wait for one another, so that many of them are one query.
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
        let mut cached = self.0.lock().await;
        cached.retain(|cached| cached.read.elapsed() < MAX_AGE);
        if let Some(cached) = cached.iter().find(|cached| cached.day == day) {
            return Ok(Arc::clone(&cached.overview));
        }
        let overview = Arc::new(overview(pool, prefix, now, day).await?);
        if cached.len() == MAX_DAYS {
            cached.remove(0);
        }
        cached.push(CachedOverview {
            day,
            read: Instant::now(),
            overview: Arc::clone(&overview),
        });
        Ok(overview)
    }
}
