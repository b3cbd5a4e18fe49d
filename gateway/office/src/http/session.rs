//! Sign-in with a password, sign-out, and the user's own password.

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use comptoir_http_rules::cookie::SESSION_COOKIE_LIFE;
use comptoir_identity::{Action, CredentialKind};

use super::access::{self, Mode, failure};
use super::extract::Body;
use super::origin::{Origin, Transport};
use super::{AppState, dto};
use crate::access::Caller;
use crate::accounts::{AccountsError, SignedIn, UserChange};

type MaybeCaller = Option<Extension<Caller>>;

/// The session information that a page needs, for this caller.
async fn session_of(
    state: &AppState,
    origin: &Origin,
    caller: Option<&Caller>,
) -> Result<dto::Session, AccountsError> {
    let mode = state.access.mode().await?;
    Ok(dto::Session {
        setup_required: mode == Mode::SetupRequired,
        open: mode == Mode::Open,
        user: caller.and_then(dto::CurrentUser::of),
        plain: state.access.refuses_credentials(origin),
        oidc: state.access.oidc.as_ref().map(|oidc| oidc.name().to_owned()),
    })
}

/// `GET /api/session`: who is signed in, and whether somebody has to.
pub async fn show(
    State(state): State<AppState>,
    Extension(origin): Extension<Origin>,
    caller: MaybeCaller,
) -> Response {
    match session_of(&state, &origin, caller.as_deref()).await {
        Ok(session) => Json(session).into_response(),
        Err(error) => failure(&error),
    }
}

/// `POST /api/session`: signs a user in. The answer sets a cookie.
pub async fn sign_in(
    State(state): State<AppState>,
    Extension(origin): Extension<Origin>,
    Body(body): Body<dto::SignIn>,
) -> Response {
    if state.access.refuses_credentials(&origin) {
        return access::plain_sign_in_refused();
    }
    let accounts = &state.access.accounts;
    let signed_in = match accounts.sign_in(&origin.source, &body.name, &body.password).await {
        Ok(signed_in) => signed_in,
        Err(error) => return failure(&error),
    };
    match session_of(&state, &origin, Some(&signed_in.caller)).await {
        Ok(session) => with_cookie(&signed_in, origin.transport, Json(session)),
        Err(error) => failure(&error),
    }
}

/// `DELETE /api/session`: ends the session of the request.
pub async fn sign_out(
    State(state): State<AppState>,
    Extension(origin): Extension<Origin>,
    caller: MaybeCaller,
) -> Response {
    let caller = caller.map(|Extension(caller)| caller);
    // Only an administrator removes a token, not the program that uses it.
    let session = caller
        .as_ref()
        .and_then(|caller| caller.credential.as_ref())
        .filter(|credential| credential.kind == CredentialKind::Session);
    if let Some(session) = session {
        let act = origin.act(caller.as_ref(), Action::SignedOut);
        if let Err(error) = state.access.accounts.end(&session.id, act).await {
            return failure(&error);
        }
    }
    access::session_cookie(origin.transport).remove(StatusCode::NO_CONTENT)
}

/// `PUT /api/session/password`: changes the password of the signed-in user, and ends its other sessions.
pub async fn change_password(
    State(state): State<AppState>,
    Extension(origin): Extension<Origin>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<dto::NewPassword>,
) -> Response {
    let Some(session) = caller.credential.as_ref().filter(|session| session.has_password) else {
        return access::forbidden("Only a user with a password in the office can change it.");
    };
    let accounts = &state.access.accounts;
    let changed = async {
        let (name, _) = accounts
            .verify(&origin.source, &caller.name, &body.current)
            .await?;
        let change = UserChange {
            password: Some(body.password),
            ..UserChange::default()
        };
        let act = origin.act(Some(&caller), Action::UserChanged);
        accounts.change_user(&name, change, Some(&session.id), act).await
    };
    match changed.await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => failure(&error),
    }
}

/// A response that signs a browser in.
pub fn with_cookie(signed_in: &SignedIn, transport: Transport, answer: impl IntoResponse) -> Response {
    access::session_cookie(transport).set(signed_in.secret.reveal(), SESSION_COOKIE_LIFE, answer)
}
