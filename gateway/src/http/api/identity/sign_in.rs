//! Set-up, sign-in and sign-out.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use comptoir_identity::{Act, Action, CredentialKind};
use serde_json::json;

use super::{accounts, accounts_for_sign_in, require_setup, session_of, with_cookie, without_cookie};
use crate::http::api::dto;
use crate::http::problem::operations::{self, problems};
use crate::http::security::caller::{Caller, Origin};
use crate::http::{AppState, Problem, ProblemType};

problems!(SessionProblems: operations::ANY, operations::ACCOUNTS);
problems!(SignInProblems: operations::ANY, operations::ACCOUNTS, operations::BODY, operations::JSON, &[
    ProblemType::SignInFailed, ProblemType::TooManyAttempts, ProblemType::PlainSignInRefused, ProblemType::SetupRequired,
]);
problems!(SetupProblems: operations::ANY, operations::ACCOUNTS, operations::BODY, operations::JSON, &[
    ProblemType::SetupCodeWrong, ProblemType::AlreadySetUp, ProblemType::TooManyAttempts, ProblemType::PlainSignInRefused,
]);
problems!(PasswordProblems: operations::ACCESS, operations::ACCOUNTS, operations::BODY, operations::JSON, &[
    ProblemType::SignInFailed, ProblemType::TooManyAttempts,
]);

/// Returns who is signed in, and whether the gateway requires sign-in.
#[utoipa::path(get, path = "/api/session", tag = "accounts", security(()),
    responses((status = 200, body = dto::Session), SessionProblems))]
pub async fn session(
    State(app): State<Arc<AppState>>,
    origin: Origin,
    caller: Caller,
) -> Result<Json<dto::Session>, Problem> {
    Ok(Json(session_of(&app, &origin, &caller).await?))
}

/// Signs a user in. The response sets the session cookie.
#[utoipa::path(post, path = "/api/session", tag = "accounts", security(()), request_body = dto::SignIn,
    responses((status = 200, body = dto::Session), SignInProblems))]
pub async fn sign_in(
    State(app): State<Arc<AppState>>,
    origin: Origin,
    body: Result<Json<dto::SignIn>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(body) = body?;
    let accounts = accounts_for_sign_in(&app, origin.transport)?;
    require_setup(accounts).await?;
    let signed_in = accounts
        .sign_in(origin.attempt(), &body.name, &body.password)
        .await;
    let signed_in = app.checked(&origin, &body.name, signed_in).await?;
    let caller = Caller::User(signed_in.principal.clone());
    app.audit(&caller, &origin, Action::SignedIn, |act| act).await;
    let session = session_of(&app, &origin, &caller).await?;
    Ok(with_cookie(&signed_in, origin.transport, Json(session)))
}

/// Signs out: ends the session of this request.
#[utoipa::path(delete, path = "/api/session", tag = "accounts", security(()),
    responses((status = 204, description = "The session has ended."), SessionProblems))]
pub async fn sign_out(
    State(app): State<Arc<AppState>>,
    origin: Origin,
    caller: Caller,
) -> Result<Response, Problem> {
    // Only an administrator removes a token, not the program that uses it.
    let browser = caller
        .principal()
        .filter(|principal| principal.kind != CredentialKind::Token);
    let id = browser.and_then(|principal| principal.id.as_deref());
    if let (Some(accounts), Some(id)) = (app.access.accounts(), id) {
        accounts.end(id).await?;
        app.audit(&caller, &origin, Action::SignedOut, |act| act).await;
    }
    Ok(without_cookie(origin.transport, StatusCode::NO_CONTENT))
}

/// Creates the first administrator, and signs them in.
#[utoipa::path(post, path = "/api/setup", tag = "accounts", security(()), request_body = dto::Setup,
    responses((status = 201, body = dto::Session), SetupProblems))]
pub async fn set_up(
    State(app): State<Arc<AppState>>,
    origin: Origin,
    body: Result<Json<dto::Setup>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(body) = body?;
    let accounts = accounts_for_sign_in(&app, origin.transport)?;
    let signed_in = accounts
        .set_up(origin.attempt(), &body.code, &body.name, &body.password)
        .await;
    let signed_in = app.checked(&origin, &body.name, signed_in).await?;
    let caller = Caller::User(signed_in.principal.clone());
    app.audit(&caller, &origin, Action::SetUp, |act| act).await;
    let session = session_of(&app, &origin, &caller).await?;
    let answer = (StatusCode::CREATED, Json(session));
    Ok(with_cookie(&signed_in, origin.transport, answer))
}

/// Changes the password of the signed-in user, and ends the user's other sessions.
#[utoipa::path(put, path = "/api/session/password", tag = "accounts", security(("token" = ["viewer"])),
    request_body = dto::NewPassword,
    responses((status = 204, description = "The password is changed."), PasswordProblems))]
pub async fn change_password(
    State(app): State<Arc<AppState>>,
    origin: Origin,
    caller: Caller,
    body: Result<Json<dto::NewPassword>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(body) = body?;
    let accounts = accounts(&app)?;
    let user = caller.principal().filter(|principal| principal.is_person());
    let user = user.ok_or_else(|| {
        Problem::new(
            ProblemType::Forbidden,
            "Screens and tokens have no password. Sign in as a user.",
        )
    })?;
    let changed = accounts
        .change_password(origin.attempt(), user, &body.current, &body.password)
        .await;
    app.checked(&origin, &user.name, changed).await?;
    let own = |act: Act| {
        act.on(&*user.name)
            .from_to(None, Some(json!({"password": "changed"})))
    };
    app.audit(&caller, &origin, Action::UserChanged, own).await;
    Ok(StatusCode::NO_CONTENT.into_response())
}
