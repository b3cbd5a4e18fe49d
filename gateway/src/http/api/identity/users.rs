//! Users of the pages.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use comptoir_identity::{Act, Action, UserName};
use serde_json::json;

use super::accounts;
use crate::http::api::dto;
use crate::http::problem::operations::{self, problems};
use crate::http::security::caller::{Caller, Origin};
use crate::http::{AppState, Problem, ProblemType};

problems!(ListProblems: operations::ACCESS, operations::ACCOUNTS);
problems!(AddProblems: operations::ACCESS, operations::ACCOUNTS, operations::BODY, operations::JSON, &[
    ProblemType::UserExists, ProblemType::TooManyAccounts, ProblemType::TooManyAttempts,
]);
problems!(ChangeProblems: operations::ACCESS, operations::ACCOUNTS, operations::BODY, operations::JSON, &[
    ProblemType::MalformedPath, ProblemType::UserNotFound, ProblemType::LastAdministrator, ProblemType::TooManyAttempts,
]);
problems!(RemoveProblems: operations::ACCESS, operations::ACCOUNTS, operations::BODY, &[
    ProblemType::MalformedPath, ProblemType::InvalidField, ProblemType::UserNotFound, ProblemType::LastAdministrator,
]);

fn user(user: &comptoir_identity::User) -> dto::User {
    dto::User {
        name: user.name.to_string(),
        role: user.role.into(),
        created_at: user.created_at,
        last_sign_in_at: user.signed_in_at,
        sessions: user.sessions,
    }
}

/// The name in the path, unparsed.
type NamePath = Result<Path<String>, PathRejection>;

fn name_in(path: NamePath) -> Result<UserName, Problem> {
    let Path(name) = path.map_err(|rejection| Problem::of_path("name", &rejection))?;
    Ok(UserName::new(&name)?)
}

/// Lists the users.
#[utoipa::path(get, path = "/api/users", tag = "accounts", security(("token" = ["administrator"])),
    responses((status = 200, body = Vec<dto::User>), ListProblems))]
pub async fn list(State(app): State<Arc<AppState>>) -> Result<Json<Vec<dto::User>>, Problem> {
    let users = accounts(&app)?.users().await?;
    Ok(Json(users.iter().map(user).collect()))
}

/// Adds a user.
#[utoipa::path(post, path = "/api/users", tag = "accounts", security(("token" = ["administrator"])),
    request_body = dto::NewUser, responses((status = 201, body = dto::User), AddProblems))]
pub async fn add(
    State(app): State<Arc<AppState>>,
    origin: Origin,
    caller: Caller,
    body: Result<Json<dto::NewUser>, JsonRejection>,
) -> Result<(StatusCode, Json<dto::User>), Problem> {
    let Json(body) = body?;
    let accounts = accounts(&app)?;
    let name = UserName::new(&body.name)?;
    accounts.add_user(&name, body.role.into(), &body.password).await?;
    let added = accounts.user(&name).await?;
    let role = json!({"role": added.role.name()});
    let describe = |act: Act| act.on(name.as_str()).from_to(None, Some(role));
    app.audit(&caller, &origin, Action::UserAdded, describe).await;
    Ok((StatusCode::CREATED, Json(user(&added))))
}

/// Changes a user's role or password. A new password ends the user's sessions.
#[utoipa::path(patch, path = "/api/users/{name}", tag = "accounts", security(("token" = ["administrator"])),
    params(("name" = String, Path, description = "The user's name.")), request_body = dto::UserChange,
    responses((status = 200, body = dto::User), ChangeProblems))]
pub async fn change(
    State(app): State<Arc<AppState>>,
    origin: Origin,
    caller: Caller,
    name: NamePath,
    body: Result<Json<dto::UserChange>, JsonRejection>,
) -> Result<Json<dto::User>, Problem> {
    let Json(body) = body?;
    let (accounts, name) = (accounts(&app)?, name_in(name)?);
    let before = accounts.user(&name).await?.role;
    let mut change = json!({});
    if let Some(role) = body.role {
        accounts.set_role(&name, role.into()).await?;
    }
    if let Some(password) = body.password {
        accounts.set_password(&name, &password, None).await?;
        change["password"] = "changed".into();
    }
    let changed = accounts.user(&name).await?;
    change["role"] = changed.role.name().into();
    let before = json!({"role": before.name()});
    let describe = |act: Act| act.on(name.as_str()).from_to(Some(before), Some(change));
    app.audit(&caller, &origin, Action::UserChanged, describe).await;
    Ok(Json(user(&changed)))
}

/// Removes a user and ends the user's sessions.
#[utoipa::path(delete, path = "/api/users/{name}", tag = "accounts", security(("token" = ["administrator"])),
    params(("name" = String, Path, description = "The user's name.")),
    responses((status = 204, description = "The user is removed."), RemoveProblems))]
pub async fn remove(
    State(app): State<Arc<AppState>>,
    origin: Origin,
    caller: Caller,
    name: NamePath,
) -> Result<StatusCode, Problem> {
    let name = name_in(name)?;
    accounts(&app)?.remove_user(&name).await?;
    app.audit(&caller, &origin, Action::UserRemoved, |act| act.on(name.as_str()))
        .await;
    Ok(StatusCode::NO_CONTENT)
}
