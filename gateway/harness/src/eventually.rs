//! Awaiting a condition until a deadline, instead of sleeping and hoping.

use std::future::Future;
use std::panic::Location;
use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::time::Instant;

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
    let mut last = anyhow!("the first look did not come back");
    loop {
        // A check that hangs (a stopped Kafka does that to its clients) must not outlive the deadline.
        match tokio::time::timeout_at(end, check()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(observed)) => last = observed,
            Err(_) => {}
        }
        if Instant::now() >= end {
            return Err(last.context(format!("waited {deadline:?} for {what}")));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(60);

    #[tokio::test]
    async fn a_check_that_fails_at_once_ends_with_what_it_saw_last() {
        let mut looks = 0;
        let error = within("the moon", SHORT, async || -> Result<()> {
            looks += 1;
            Err(anyhow!("stars, look {looks}"))
        })
        .await
        .unwrap_err();
        assert!(looks > 1, "it looked only once");
        assert_eq!(
            format!("{error:#}"),
            format!("waited 60ms for the moon: stars, look {looks}")
        );
    }

    #[tokio::test]
    async fn a_check_that_hangs_ends_at_the_deadline() {
        let error = within("the moon", SHORT, async || -> Result<()> {
            std::future::pending().await
        })
        .await
        .unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            "waited 60ms for the moon: the first look did not come back"
        );
    }

    #[tokio::test]
    async fn what_comes_is_returned_even_without_time_left() {
        assert_eq!(
            within("the moon", Duration::ZERO, async || Ok(7)).await.unwrap(),
            7
        );
    }
}
