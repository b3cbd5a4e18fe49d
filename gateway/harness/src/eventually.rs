//! Awaits a condition with a deadline, instead of a fixed sleep.

use std::future::Future;
use std::panic::Location;
use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::time::Instant;

const POLL_INTERVAL: Duration = Duration::from_millis(15);

/// Polls `check` until it returns `Ok`, and returns that value.
///
/// The error of `check` says what was observed instead: `ensure!(pending == 0, "{pending} pending")`.
///
/// # Panics
/// The deadline has passed. The message says `what` was awaited and what was observed last.
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

/// Like [`eventually`], but returns an error.
///
/// # Errors
/// The deadline has passed. The error says `what` was awaited and what was observed last.
pub async fn within<T>(
    what: &str,
    deadline: Duration,
    mut check: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let end = Instant::now() + deadline;
    let mut last = anyhow!("the first check did not return");
    loop {
        // A check can hang: a client of a paused Kafka does. It must not outlive the deadline.
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
    async fn a_failing_check_ends_with_what_it_observed_last() {
        let mut checks = 0;
        let error = within("the moon", SHORT, async || -> Result<()> {
            checks += 1;
            Err(anyhow!("stars, check {checks}"))
        })
        .await
        .unwrap_err();
        assert!(checks > 1, "it checked only once");
        assert_eq!(
            format!("{error:#}"),
            format!("waited 60ms for the moon: stars, check {checks}")
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
            "waited 60ms for the moon: the first check did not return"
        );
    }

    #[tokio::test]
    async fn a_check_that_succeeds_is_returned_even_without_time_left() {
        assert_eq!(
            within("the moon", Duration::ZERO, async || Ok(7)).await.unwrap(),
            7
        );
    }
}
