//! Open sessions and paired wall screens.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use comptoir_identity::{Action, Credential, CredentialKind, Error, Principal, Role};

use super::{accounts, kind};
use crate::http::api::dto;
use crate::http::problem::operations::{self, problems};
use crate::http::security::caller::{Caller, Origin};
use crate::http::{AppState, Problem, ProblemType};

problems!(ListProblems: operations::ACCESS, operations::ACCOUNTS);
problems!(EndProblems: operations::ACCESS, operations::ACCOUNTS, operations::BODY, &[
    ProblemType::MalformedPath, ProblemType::SessionNotFound,
]);

/// Whether the caller may see and end a session: administrators any, managers their own and screens, others only their
/// own.
fn may_manage(caller: &Caller, session: &Credential) -> bool {
    let is_own = |principal: &Principal| {
        session.kind == CredentialKind::Session && principal.is_person() && principal.name == session.name
    };
    match caller.role() {
        Some(Role::Administrator) => true,
        Some(Role::Manager) if session.kind == CredentialKind::Screen => true,
        _ => caller.principal().is_some_and(is_own),
    }
}

/// Lists open sessions and paired screens. Administrators get all, managers their own sessions and the screens, others
/// their own sessions.
#[utoipa::path(get, path = "/api/sessions", tag = "accounts", security(("token" = ["viewer"])),
    responses((status = 200, body = Vec<dto::OpenSession>), ListProblems))]
pub async fn list(
    State(app): State<Arc<AppState>>,
    caller: Caller,
) -> Result<Json<Vec<dto::OpenSession>>, Problem> {
    let current = caller.principal().and_then(|principal| principal.id.clone());
    let sessions = accounts(&app)?.credentials().await?.into_iter();
    let sessions = sessions
        .filter(|session| session.kind != CredentialKind::Token && may_manage(&caller, session))
        .map(|session| dto::OpenSession {
            is_current: current.as_ref() == Some(&session.id),
            id: session.id,
            user: session.name,
            role: session.role.into(),
            kind: kind(session.kind),
            created_at: session.created_at,
            last_seen_at: session.used_at,
            address: session.address.map(|address| address.to_canonical().to_string()),
            agent: session.agent,
        });
    Ok(Json(sessions.collect()))
}

/// Ends a session, or unpairs a screen. Its live connections are closed within five seconds.
#[utoipa::path(delete, path = "/api/sessions/{id}", tag = "accounts", security(("token" = ["viewer"])),
    params(("id" = String, Path, description = "The session's id.")),
    responses((status = 204, description = "The session has ended."), EndProblems))]
pub async fn end(
    State(app): State<Arc<AppState>>,
    origin: Origin,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path(id) = id.map_err(|rejection| Problem::of_path("id", &rejection))?;
    let accounts = accounts(&app)?;
    let sessions = accounts.credentials().await?.into_iter();
    let session = sessions
        .filter(|session| session.kind != CredentialKind::Token && may_manage(&caller, session))
        .find(|session| session.id == id)
        .ok_or(Error::NoSuchCredential)?;
    accounts.end(&session.id).await?;
    app.audit(&caller, &origin, Action::SessionEnded, |act| act.on(session.name))
        .await;
    Ok(StatusCode::NO_CONTENT)
}
