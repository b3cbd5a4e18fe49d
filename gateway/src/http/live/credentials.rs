//! Authenticates live connections, and ends them with their credentials.
//!
//! A client authenticates as in the API, or with `auth.token` when it connects to the namespace. Every [`INTERVAL`], a
//! task compares the valid credentials with those of the live connections.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::http::request::Parts;
use comptoir_core::Secret;
use comptoir_identity::{Accounts, Role};
use tokio::sync::watch;
use tracing::warn;

use crate::http::security::access::plain_sign_in_refused;
use crate::http::security::caller::{Caller, Origin};
use crate::http::{AppState, Problem, ProblemType};

/// Short enough to close an ended session's connections within five seconds.
const INTERVAL: Duration = Duration::from_secs(2);

/// The reason for a rejected connection. The client sees the problem's type as the message of CONNECT_ERROR.
#[derive(Debug)]
pub struct Rejection(ProblemType);

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.urn())
    }
}

impl From<Problem> for Rejection {
    fn from(problem: Problem) -> Self {
        Self(problem.kind())
    }
}

/// Authenticates a handshake with these headers and this `auth.token`.
///
/// # Errors
/// Nobody is signed in.
pub async fn admit(app: &AppState, parts: &Parts, token: Option<&Secret>) -> Result<Caller, Rejection> {
    let Some(accounts) = app.access.accounts() else {
        return Ok(Caller::Anybody);
    };
    if !accounts.is_set_up().await.map_err(Problem::from)? {
        return Err(Rejection(ProblemType::SetupRequired));
    }
    // Set by the access check.
    let by_headers = parts.extensions.get::<Caller>();
    if let Some(caller @ Caller::User(_)) = by_headers {
        return Ok(caller.clone());
    }
    let origin = Origin::of(&parts.extensions, &parts.headers);
    let Some(token) = token else {
        return Err(Rejection(ProblemType::SignInRequired));
    };
    if app.access.refuses_credentials(origin.transport) {
        return Err(plain_sign_in_refused().into());
    }
    match app.access.caller_of(&origin, Some(token.reveal())).await? {
        Caller::Nobody => Err(Rejection(ProblemType::SignInRequired)),
        caller => Ok(caller),
    }
}

/// The valid credentials with their roles, for the live connections.
pub type ValidCredentials = watch::Receiver<Arc<HashMap<String, Role>>>;

/// Reads the valid credentials every [`INTERVAL`].
pub async fn watch_credentials(accounts: &Accounts, sender: &watch::Sender<Arc<HashMap<String, Role>>>) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if sender.receiver_count() == 0 {
            continue;
        }
        match accounts.roles().await {
            Ok(roles) => {
                sender.send_replace(Arc::new(roles));
            }
            Err(error) => warn!(%error, "the sessions of live connections could not be checked"),
        }
    }
}

/// Waits until the caller's credential has ended or has another role.
pub async fn wait_for_end(caller: &Caller, mut valid: ValidCredentials) {
    let credential = caller.principal().and_then(|principal| {
        Some((
            principal.id.as_ref().or(principal.password_id.as_ref())?,
            principal.role,
        ))
    });
    let Some((id, role)) = credential else {
        return std::future::pending().await;
    };
    // The present value may be older than the credential.
    while valid.changed().await.is_ok() {
        if valid.borrow_and_update().get(id) != Some(&role) {
            return;
        }
    }
}
