//! Users, open sessions, tokens and the audit log.

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use comptoir_identity::{Action, CredentialKind, Error, Role, UserName};
use serde::Deserialize;

use super::access::failure;
use super::extract::{Body, Path, Query};
use super::origin::Origin;
use super::{AppState, dto, invalid_query};
use crate::access::Caller;
use crate::accounts::{AccountsError, Credential, MAX_ENTRIES, UserChange};

const DEFAULT_ENTRIES: u32 = 100;

fn answer(result: Result<impl IntoResponse, AccountsError>) -> Response {
    match result {
        Ok(response) => response.into_response(),
        Err(error) => failure(&error),
    }
}

/// `GET /api/users`
pub async fn users(State(state): State<AppState>) -> Response {
    let users = state.access.accounts.users().await;
    answer(users.map(|users| Json(users.into_iter().map(dto::User::from).collect::<Vec<_>>())))
}

/// `POST /api/users`
pub async fn add_user(
    State(state): State<AppState>,
    Extension(origin): Extension<Origin>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<dto::NewUser>,
) -> Response {
    let accounts = &state.access.accounts;
    let added = async {
        let name = UserName::new(&body.name)?;
        let grant = dto::grant(body.role, body.shops)?;
        let act = origin.act(Some(&caller), Action::UserAdded);
        accounts.add_user(&name, &grant, &body.password, act).await?;
        let user = dto::User::from(accounts.user(&name).await?);
        Ok((StatusCode::CREATED, Json(user)))
    };
    answer(added.await)
}

/// `PATCH /api/users/{name}`: a role with its shops, a password, or both.
pub async fn change_user(
    State(state): State<AppState>,
    Extension(origin): Extension<Origin>,
    Extension(caller): Extension<Caller>,
    Path(name): Path,
    Body(body): Body<dto::UserChange>,
) -> Response {
    if body.role.is_none() && body.shops.is_some() {
        return super::access::invalid_field("shops", "shops: send the role, too".to_owned());
    }
    let accounts = &state.access.accounts;
    let changed = async {
        let name = UserName::new(&name)?;
        let grant = body.role.map(|role| dto::grant(role, body.shops)).transpose()?;
        let change = UserChange {
            grant,
            password: body.password,
        };
        let act = origin.act(Some(&caller), Action::UserChanged);
        // An administrator who changes their own password stays signed in.
        accounts
            .change_user(&name, change, caller.credential_id(), act)
            .await?;
        Ok(Json(dto::User::from(accounts.user(&name).await?)))
    };
    answer(changed.await)
}

/// `DELETE /api/users/{name}`
pub async fn remove_user(
    State(state): State<AppState>,
    Extension(origin): Extension<Origin>,
    Extension(caller): Extension<Caller>,
    Path(name): Path,
) -> Response {
    let removed = async {
        let name = UserName::new(&name)?;
        let act = origin.act(Some(&caller), Action::UserRemoved);
        state.access.accounts.remove_user(&name, act).await?;
        Ok(StatusCode::NO_CONTENT)
    };
    answer(removed.await)
}

/// Whether the caller may see and end a session: administrators any, others only their own.
fn may_manage(caller: &Caller, session: &Credential) -> bool {
    // A user of the identity provider may have the name of an account.
    let is_own = caller.credential.as_ref().is_some_and(|own| {
        own.owner.is_some()
            && own.owner.as_deref() == session.owner.as_deref()
            && own.has_password == session.has_password
    });
    session.kind == CredentialKind::Session && (caller.role == Role::Administrator || is_own)
}

/// `GET /api/sessions`: all of them to administrators, to others their own.
pub async fn sessions(State(state): State<AppState>, Extension(caller): Extension<Caller>) -> Response {
    let current = caller.credential.as_ref().map(|credential| &*credential.id);
    let listed = state.access.accounts.credentials().await.map(|credentials| {
        let sessions = credentials.into_iter();
        let sessions = sessions.filter(|session| may_manage(&caller, session));
        let sessions = sessions.map(|session| dto::OpenSession {
            is_current: current == Some(&session.id),
            id: session.id,
            user: session.name,
            role: session.grant.role.into(),
            shops: session.grant.shops.for_sql(),
            kind: session.kind.into(),
            created_at: session.created,
            last_seen_at: session.used,
            address: session.address,
            agent: session.agent,
        });
        Json(sessions.collect::<Vec<_>>())
    });
    answer(listed)
}

/// `DELETE /api/sessions/{id}`
pub async fn end_session(
    State(state): State<AppState>,
    Extension(origin): Extension<Origin>,
    Extension(caller): Extension<Caller>,
    Path(id): Path,
) -> Response {
    let accounts = &state.access.accounts;
    let ended = async {
        let sessions = accounts.credentials().await?.into_iter();
        let session = sessions
            .filter(|session| may_manage(&caller, session))
            .find(|session| session.id == id)
            .ok_or(Error::NoSuchCredential)?;
        let act = origin.act(Some(&caller), Action::SessionEnded).on(session.name);
        accounts.end(&session.id, act).await?;
        Ok(StatusCode::NO_CONTENT)
    };
    answer(ended.await)
}

/// `GET /api/tokens`: without their secrets.
pub async fn tokens(State(state): State<AppState>) -> Response {
    let listed = state.access.accounts.credentials().await.map(|credentials| {
        let tokens = credentials.into_iter();
        let tokens = tokens.filter(|token| token.kind == CredentialKind::Token);
        let tokens = tokens.map(|token| dto::Token {
            id: token.id,
            name: token.name,
            role: token.grant.role.into(),
            shops: token.grant.shops.for_sql(),
            created_at: token.created,
            last_used_at: token.used,
        });
        Json(tokens.collect::<Vec<_>>())
    });
    answer(listed)
}

/// `POST /api/tokens`
pub async fn add_token(
    State(state): State<AppState>,
    Extension(origin): Extension<Origin>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<dto::NewToken>,
) -> Response {
    let added = async {
        let grant = dto::grant(body.role, body.shops)?;
        let act = origin.act(Some(&caller), Action::TokenAdded);
        let (id, token) = state.access.accounts.add_token(&body.name, &grant, act).await?;
        let created = dto::CreatedToken {
            id,
            name: body.name.trim().to_owned(),
            role: body.role,
            shops: grant.shops.for_sql(),
            token: token.reveal().to_owned(),
        };
        Ok((StatusCode::CREATED, Json(created)))
    };
    answer(added.await)
}

/// `DELETE /api/tokens/{id}`
pub async fn remove_token(
    State(state): State<AppState>,
    Extension(origin): Extension<Origin>,
    Extension(caller): Extension<Caller>,
    Path(id): Path,
) -> Response {
    let accounts = &state.access.accounts;
    let removed = async {
        let tokens = accounts.credentials().await?.into_iter();
        let token = tokens
            .filter(|token| token.kind == CredentialKind::Token)
            .find(|token| token.id == id)
            .ok_or(Error::NoSuchCredential)?;
        let act = origin.act(Some(&caller), Action::TokenRemoved).on(token.name);
        accounts.end(&token.id, act).await?;
        Ok(StatusCode::NO_CONTENT)
    };
    answer(removed.await)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditQuery {
    limit: Option<u32>,
    cursor: Option<i64>,
}

/// `GET /api/audit`
pub async fn audit(State(state): State<AppState>, Query(query): Query<AuditQuery>) -> Response {
    let limit = query.limit.unwrap_or(DEFAULT_ENTRIES);
    if !(1..=MAX_ENTRIES).contains(&limit) {
        let detail = format!("limit: from 1 to {MAX_ENTRIES}, for example 100");
        return invalid_query("limit", detail);
    }
    let entries = state.access.accounts.entries(query.cursor, limit).await;
    answer(entries.map(|entries| {
        let is_full = entries.len() == limit as usize;
        let next_cursor = entries
            .last()
            .filter(|_| is_full)
            .map(|entry| entry.id.to_string());
        let entries = entries.into_iter().map(dto::AuditEntry::from).collect();
        Json(dto::AuditPage { entries, next_cursor })
    }))
}
