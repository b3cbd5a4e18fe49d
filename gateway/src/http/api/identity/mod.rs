//! Sign-in, users, sessions, tokens and wall screens.

pub mod audit;
pub mod pairing;
pub mod sessions;
pub mod sign_in;
pub mod tokens;
pub mod users;

use axum::response::{IntoResponse, Response};
use comptoir_http_rules::cookie::SESSION_COOKIE_LIFE;
use comptoir_identity::{Accounts, CredentialKind, Principal, SignedIn};

use super::dto;
use crate::http::listener::Transport;
use crate::http::security::access::{plain_sign_in_refused, session_cookie, setup_required};
use crate::http::security::caller::{Caller, Origin};
use crate::http::{AppState, Problem, ProblemType};

/// The accounts; an open gateway has none.
fn accounts(app: &AppState) -> Result<&Accounts, Problem> {
    app.access.accounts().ok_or_else(|| {
        Problem::new(
            ProblemType::OpenGateway,
            "This gateway is open: it has no users. To use accounts, remove `http.open` from its configuration.",
        )
    })
}

/// The accounts, for a request over this transport that may sign somebody in.
///
/// # Errors
/// The gateway is open, or credentials would cross the network unencrypted.
fn accounts_for_sign_in(app: &AppState, transport: Transport) -> Result<&Accounts, Problem> {
    let accounts = accounts(app)?;
    match app.access.refuses_credentials(transport) {
        true => Err(plain_sign_in_refused()),
        false => Ok(accounts),
    }
}

/// # Errors
/// There is no administrator yet.
async fn require_setup(accounts: &Accounts) -> Result<(), Problem> {
    match accounts.is_set_up().await? {
        true => Ok(()),
        false => Err(setup_required()),
    }
}

fn kind(kind: CredentialKind) -> dto::UserKind {
    match kind {
        CredentialKind::Session => dto::UserKind::Person,
        CredentialKind::Screen => dto::UserKind::Screen,
        CredentialKind::Token => dto::UserKind::Token,
    }
}

fn current_user(principal: &Principal) -> dto::CurrentUser {
    dto::CurrentUser {
        name: principal.name.clone(),
        role: principal.role.into(),
        kind: kind(principal.kind),
    }
}

/// The session information that a page needs, for this caller.
async fn session_of(app: &AppState, origin: &Origin, caller: &Caller) -> Result<dto::Session, Problem> {
    let setup_required = match app.access.accounts() {
        Some(accounts) => !accounts.is_set_up().await?,
        None => false,
    };
    Ok(dto::Session {
        setup_required,
        open: app.access.accounts().is_none(),
        user: caller.principal().map(current_user),
        plain: app.access.refuses_credentials(origin.transport),
    })
}

/// A response that signs a browser in.
fn with_cookie(signed_in: &SignedIn, transport: Transport, answer: impl IntoResponse) -> Response {
    session_cookie(transport).set(signed_in.secret.reveal(), SESSION_COOKIE_LIFE, answer)
}

/// A response that signs a browser out.
fn without_cookie(transport: Transport, answer: impl IntoResponse) -> Response {
    session_cookie(transport).remove(answer)
}
