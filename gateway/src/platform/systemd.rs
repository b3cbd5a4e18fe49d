//! Notifies systemd of readiness, of the status, and, if the unit has a watchdog, that the gateway still works.
//!
//! Outside systemd the variable `NOTIFY_SOCKET` is not set, and these functions do nothing.

use std::fmt::Display;
use std::time::Duration;

use sd_notify::NotifyState;
use tracing::warn;

/// Reports readiness, which lets `systemctl start` return. `systemctl status` shows `status`.
pub fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Announces an orderly stop.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// Notifies the watchdog as long as `check` succeeds within the time that it is given. So systemd restarts a process
/// that hangs. Never returns.
pub async fn watchdog<E: Display>(check: impl AsyncFn(Duration) -> Result<(), E>) {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return std::future::pending().await;
    };
    // Two attempts may fail before the limit is reached.
    let mut tick = tokio::time::interval(limit / 3);
    loop {
        tick.tick().await;
        match check(limit / 4).await {
            Ok(()) => notify(&[NotifyState::Watchdog]),
            Err(problem) => warn!(%problem, "the health check of the watchdog failed"),
        }
    }
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        warn!(%error, "systemd could not be notified");
    }
}
