//! Ends live connections whose session or token has ended, or has other rights now.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Live;
use crate::access::Caller;
use crate::accounts::AccountsError;
use crate::http::{Access, Mode};

/// How often the sessions are checked. An ended one must have no connection after 5 seconds.
const INTERVAL: Duration = Duration::from_secs(2);

/// Runs until `stop`.
pub async fn watch_sessions(live: Arc<Live>, access: Arc<Access>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        // While PostgreSQL does not reply, nobody can sign out either.
        if let Err(error) = check(&live, &access).await {
            warn!(%error, "the sessions of live connections could not be checked");
        }
    }
}

async fn check(live: &Live, access: &Access) -> Result<(), AccountsError> {
    let callers = live.audience.callers();
    if callers.is_empty() {
        return Ok(());
    }
    let is_open = access.mode().await? == Mode::Open;
    let ids = callers.iter().filter_map(Caller::credential_id);
    let grants = access.accounts.grants(ids).await?;
    live.audience.disconnect(|caller| match caller.credential_id() {
        None => !is_open,
        Some(id) => grants.get(id) != Some(&caller.grant()),
    });
    Ok(())
}
