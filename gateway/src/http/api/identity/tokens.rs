//! Tokens of programs.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use comptoir_identity::{Act, Action, CredentialKind, Error};
use serde_json::json;

use super::accounts;
use crate::http::api::dto;
use crate::http::problem::operations::{self, problems};
use crate::http::security::caller::{Caller, Origin};
use crate::http::{AppState, Problem, ProblemType};

problems!(ListProblems: operations::ACCESS, operations::ACCOUNTS);
problems!(AddProblems: operations::ACCESS, operations::ACCOUNTS, operations::BODY, operations::JSON, &[
    ProblemType::TooManyAccounts,
]);
problems!(RemoveProblems: operations::ACCESS, operations::ACCOUNTS, operations::BODY, &[
    ProblemType::MalformedPath, ProblemType::SessionNotFound,
]);

/// Lists the tokens, without their secrets.
#[utoipa::path(get, path = "/api/tokens", tag = "accounts", security(("token" = ["administrator"])),
    responses((status = 200, body = Vec<dto::Token>), ListProblems))]
pub async fn list(State(app): State<Arc<AppState>>) -> Result<Json<Vec<dto::Token>>, Problem> {
    let tokens = accounts(&app)?.credentials().await?.into_iter();
    let tokens = tokens
        .filter(|token| token.kind == CredentialKind::Token)
        .map(|token| dto::Token {
            id: token.id,
            name: token.name,
            role: token.role.into(),
            created_at: token.created_at,
            last_used_at: token.used_at,
        });
    Ok(Json(tokens.collect()))
}

/// Creates a token for a program.
#[utoipa::path(post, path = "/api/tokens", tag = "accounts", security(("token" = ["administrator"])),
    request_body = dto::NewToken, responses((status = 201, body = dto::CreatedToken), AddProblems))]
pub async fn add(
    State(app): State<Arc<AppState>>,
    origin: Origin,
    caller: Caller,
    body: Result<Json<dto::NewToken>, JsonRejection>,
) -> Result<(StatusCode, Json<dto::CreatedToken>), Problem> {
    let Json(body) = body?;
    let (id, token) = accounts(&app)?
        .add_token(&body.name, body.role.into(), None)
        .await?;
    let role = json!({"role": body.role});
    let describe = |act: Act| act.on(body.name.trim()).from_to(None, Some(role));
    app.audit(&caller, &origin, Action::TokenAdded, describe).await;
    let created = dto::CreatedToken {
        id,
        name: body.name.trim().to_owned(),
        role: body.role,
        token: token.reveal().to_owned(),
    };
    Ok((StatusCode::CREATED, Json(created)))
}

/// Removes a token.
#[utoipa::path(delete, path = "/api/tokens/{id}", tag = "accounts", security(("token" = ["administrator"])),
    params(("id" = String, Path, description = "The token's id.")),
    responses((status = 204, description = "The token is removed."), RemoveProblems))]
pub async fn remove(
    State(app): State<Arc<AppState>>,
    origin: Origin,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path(id) = id.map_err(|rejection| Problem::of_path("id", &rejection))?;
    let accounts = accounts(&app)?;
    let tokens = accounts.credentials().await?;
    let token = tokens
        .into_iter()
        .find(|token| token.kind == CredentialKind::Token && token.id == id)
        .ok_or(Error::NoSuchCredential)?;
    accounts.end(&id).await?;
    app.audit(&caller, &origin, Action::TokenRemoved, |act| act.on(token.name))
        .await;
    Ok(StatusCode::NO_CONTENT)
}
