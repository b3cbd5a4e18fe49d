//! `/api/commands`: sends commands to shops and tills, and says who has received them.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Extension, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use comptoir_core::event::DeviceId;
use serde::{Deserialize, Serialize};
use tracing::info;

use super::extract::{Path, Query};
use super::{AppState, database_unavailable, invalid_query, problem, respond};
use crate::access::{Caller, VisibleShops};
use crate::commands::content::{FieldError, NewCommand, parse};
use crate::commands::receipts;
use crate::commands::store::{StoreError, store, tills_of};
use crate::database::within;

/// Longest body, in bytes. The largest price list has some 40 KB.
const MAX_BODY: usize = 64 << 10;
const MAX_LIMIT: u32 = 200;
const DEFAULT_LIMIT: u32 = 50;
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Longest idempotency key, in characters.
const MAX_KEY: usize = 128;
const INVALID: &str = "urn:comptoir:problem:invalid-command";
const FORBIDDEN: &str = "urn:comptoir:problem:forbidden";

pub(super) fn routes() -> Router<AppState> {
    let create = axum::routing::post(send).layer(middleware::from_fn(only_json));
    Router::new()
        .route("/api/commands", create.get(list))
        .route("/api/commands/targets", get(targets))
        .route("/api/commands/{id}", get(details))
        .layer(DefaultBodyLimit::max(MAX_BODY))
}

/// A form of another site cannot send JSON.
async fn only_json(request: Request, next: Next) -> Response {
    let is_json = request.headers().get(header::CONTENT_TYPE).is_some_and(|value| {
        let media = value.to_str().unwrap_or_default().split(';').next();
        media.is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json"))
    });
    match is_json {
        true => next.run(request).await,
        false => problem(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "urn:comptoir:problem:unsupported-media-type",
            "The body must be JSON: send the header Content-Type: application/json.",
        ),
    }
}

/// `POST /api/commands`
async fn send(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(error) => {
            let detail = format!("{}; a command has at most {MAX_BODY} bytes", error.body_text());
            return problem(error.status(), INVALID, detail);
        }
    };
    let (key, command) = match idempotency_key(&headers).and_then(|key| Ok((key, parse(&body)?))) {
        Ok(request) => request,
        Err(error) => return invalid(error),
    };
    if let Some(refusal) = refuse_target(&caller, &command) {
        return refusal;
    }
    let stored = match store(&state.pool, &caller, key.as_deref(), &command).await {
        Ok(stored) => stored,
        Err(error) => return not_stored(error),
    };
    if stored.is_new {
        info!(id = stored.id, by = &*caller.name, to = %command.target, kind = command.kind, "a command was accepted");
        state.stored_commands.notify_one();
    }
    let location = format!("/api/commands/{}", stored.id);
    match within(receipts::details(&state.pool, &caller.shops, stored.id)).await {
        Ok(Some(details)) => {
            (StatusCode::CREATED, [(header::LOCATION, location)], Json(details)).into_response()
        }
        // It was deleted since, or the shops that the caller may see have changed.
        Ok(None) => not_found(),
        Err(error) => database_unavailable(&error),
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, FieldError> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    let key = value
        .to_str()
        .ok()
        .filter(|key| (1..=MAX_KEY).contains(&key.len()));
    let error = || FieldError {
        field: "Idempotency-Key".to_owned(),
        detail: format!("from 1 to {MAX_KEY} ASCII characters, for example a UUID"),
    };
    key.map(|key| Some(key.to_owned())).ok_or_else(error)
}

/// The shops must be visible to the caller.
fn refuse_target(caller: &Caller, command: &NewCommand) -> Option<Response> {
    let is_visible = match command.target.store() {
        Some(store) => caller.shops.contains(store),
        None => caller.shops == VisibleShops::All,
    };
    let refuse = |detail| respond(StatusCode::FORBIDDEN, FORBIDDEN, detail, Some("to".into()));
    match (is_visible, command.target.store()) {
        (true, _) => None,
        (false, Some(store)) => Some(refuse(format!("You may not send commands to {store}."))),
        (false, None) => {
            let detail = "Only somebody who sees all shops may send a command to all; name one of yours.";
            Some(refuse(detail.to_owned()))
        }
    }
}

fn invalid(error: FieldError) -> Response {
    let field = Some(error.field).filter(|field| !field.is_empty());
    respond(
        StatusCode::UNPROCESSABLE_ENTITY,
        INVALID,
        error.detail,
        field.map(Into::into),
    )
}

fn not_stored(error: StoreError) -> Response {
    let detail = error.to_string();
    let unprocessable = |field: &'static str, detail| {
        respond(
            StatusCode::UNPROCESSABLE_ENTITY,
            INVALID,
            detail,
            Some(field.into()),
        )
    };
    match error {
        StoreError::UnknownShop(_) | StoreError::NoShops => unprocessable(
            "to",
            format!("{detail}; it knows a shop once its gateway has published to Kafka"),
        ),
        StoreError::KeyReused => unprocessable("Idempotency-Key", format!("{detail}; use a new one")),
        StoreError::TooManyUnsent(_) => respond(
            StatusCode::TOO_MANY_REQUESTS,
            "urn:comptoir:problem:too-many-commands",
            format!("{detail}; see why in the office's log"),
            Some("to".into()),
        ),
        StoreError::Database(error) => database_unavailable(&error),
    }
}

fn not_found() -> Response {
    problem(
        StatusCode::NOT_FOUND,
        "urn:comptoir:problem:not-found",
        "There is no command with this number to a shop that you may see.",
    )
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    limit: Option<u32>,
    /// The `next` of the previous page.
    after: Option<i64>,
}

/// `GET /api/commands`
async fn list(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<ListQuery>,
) -> Response {
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        let detail = format!("limit: from 1 to {MAX_LIMIT}, for example 50");
        return invalid_query("limit", detail);
    }
    let page = receipts::page(&state.pool, &caller.shops, limit, query.after);
    match within(page).await {
        Ok(page) => Json(page).into_response(),
        Err(error) => database_unavailable(&error),
    }
}

/// `GET /api/commands/{id}`
async fn details(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    Path(id): Path,
) -> Response {
    let Ok(id) = id.parse() else {
        return not_found();
    };
    match within(receipts::details(&state.pool, &caller.shops, id)).await {
        Ok(Some(details)) => Json(details).into_response(),
        Ok(None) => not_found(),
        Err(error) => database_unavailable(&error),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TargetsQuery {
    store: String,
}

/// The tills of a shop, as its gateway has listed them.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct CommandTargets {
    pub tills: Vec<String>,
}

/// `GET /api/commands/targets`
async fn targets(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    Query(TargetsQuery { store }): Query<TargetsQuery>,
) -> Response {
    if let Err(error) = DeviceId::gateway(&store) {
        return invalid_query("store", error.to_string());
    }
    if !caller.shops.contains(&store) {
        let detail = format!("You may not see {store}.");
        return problem(StatusCode::FORBIDDEN, FORBIDDEN, detail);
    }
    match within(tills_of(&state.pool, &store)).await {
        Ok(tills) => Json(CommandTargets { tills }).into_response(),
        Err(error) => database_unavailable(&error),
    }
}

#[cfg(test)]
mod tests;
