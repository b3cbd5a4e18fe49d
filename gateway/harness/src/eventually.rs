//! Awaiting a condition until a deadline, instead of sleeping and hoping.

use std::future::Future;
use std::panic::Location;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

const POLL_INTERVAL: Duration = Duration::from_millis(15);

/// Polls `check` until it answers `Ok`, and returns that.
///
/// The error of `check` is what was observed instead: `ensure!(pending == 0, "{pending} pending")`.
///
/// # Panics
/// When the deadline has passed: with `what` was awaited and what was observed last.
#[track_caller]
pub fn eventually<T>(
    what: &str,
    deadline: Duration,
    check: impl AsyncFnMut() -> Result<T>,
) -> impl Future<Output = T> {
    let caller = Location::caller();
    async move {
        match within(what, deadline, check).await {
            Ok(value) => value,
            Err(error) => panic!("{caller}: {error:#}"),
        }
    }
}

/// As [`eventually`], for those who return errors.
///
/// # Errors
/// When the deadline has passed: with `what` was awaited and what was observed last.
pub async fn within<T>(
    what: &str,
    deadline: Duration,
    mut check: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let end = Instant::now() + deadline;
    let mut last = None;
    loop {
        // A check that hangs (a stopped Kafka does that to its clients) must not outlive the deadline.
        let left = end.saturating_duration_since(Instant::now());
        match tokio::time::timeout(left, check()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(observed)) => last = Some(observed),
            Err(_) => {
                let last = last.unwrap_or_else(|| anyhow!("the first look did not come back"));
                return Err(last).with_context(|| format!("waited {deadline:?} for {what}"));
            }
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
