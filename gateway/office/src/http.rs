//! The HTTP server: the page, the overview as JSON, live connections, liveness, readiness and metrics.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Extension, State};
use axum::http::{StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, patch, put};
use comptoir_core::sale;
use comptoir_http_rules::response_headers;
use futures::StreamExt as _;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use tokio::sync::Notify;
use tracing::error;

use crate::access::Caller;
use crate::database::within;
use crate::health::Health;
use crate::live::{self, Live};
use crate::metrics::Metrics;
use crate::overview::read_as_of;
use crate::pages::pages;
use crate::sales::{self, Filter, SalesQuery};

mod access;
mod commands;
mod connection;
pub mod dto;
mod exports;
mod extract;
mod figures;
mod listener;
mod manage;
mod oidc;
mod origin;
mod overviews;
mod routes;
mod server;
mod session;
mod site;

pub use access::{Access, Mode};
pub use commands::CommandTargets;
pub use connection::ClientConnection;
pub use exports::{Export, Exports};
use extract::Query;
pub use listener::LimitedListener;
pub use origin::Origin;
pub use overviews::OverviewCache;
pub use routes::{ROUTES, Requirement, Route};
pub use server::serve;
pub use site::Hosts;

/// Largest body of a request, in bytes.
const MAX_BODY: usize = 256 << 10;
/// How long a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(20);

/// Shared by the request handlers.
#[derive(Clone)]
pub struct AppState {
    pub pool: PgPool,
    pub overviews: OverviewCache,
    /// The prefix of all topics.
    pub prefix: String,
    pub metrics: Arc<Metrics>,
    pub health: Arc<Health>,
    pub exports: Exports,
    /// Who may use the office.
    pub access: Arc<Access>,
    /// Notified when a command was stored.
    pub stored_commands: Arc<Notify>,
    pub live: Arc<Live>,
}

pub fn router(state: AppState) -> Router {
    Router::new()
        .route("/api/shops", get(shops))
        .route("/api/shops/{store}/stats", get(figures::stats))
        .route("/api/comparison", get(figures::comparison))
        .route("/api/sales", get(sales))
        .route("/api/sales.csv", get(sales_csv))
        .merge(commands::routes())
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .merge(pages())
        .fallback(async || not_found())
        .merge(accounts())
        .method_not_allowed_fallback(async || method_not_allowed())
        .layer(middleware::from_fn(body_timeout))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(state.live.layer())
        .layer(middleware::from_fn_with_state(
            Arc::clone(&state.live),
            live::check,
        ))
        .layer(middleware::from_fn_with_state(state.clone(), access::check))
        .layer(middleware::from_fn_with_state(state.clone(), site::check))
        .layer(middleware::from_fn(response_headers::add))
        .with_state(state)
}

/// Sign-in and the management of accounts.
fn accounts() -> Router<AppState> {
    let session = get(session::show)
        .post(session::sign_in)
        .delete(session::sign_out);
    Router::new()
        .route("/api/session", session)
        .route("/api/session/password", put(session::change_password))
        .route("/api/sessions", get(manage::sessions))
        .route("/api/sessions/{id}", delete(manage::end_session))
        .route("/api/users", get(manage::users).post(manage::add_user))
        .route(
            "/api/users/{name}",
            patch(manage::change_user).delete(manage::remove_user),
        )
        .route("/api/tokens", get(manage::tokens).post(manage::add_token))
        .route("/api/tokens/{id}", delete(manage::remove_token))
        .route("/api/audit", get(manage::audit))
        .route("/login/oidc", get(oidc::begin))
        .route("/login/oidc/callback", get(oidc::finish))
}

/// An error response, `application/problem+json`.
#[derive(Debug, Serialize)]
struct Problem {
    r#type: &'static str,
    status: u16,
    detail: String,
    /// The parameter or field that is not valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<Cow<'static, str>>,
}

pub(crate) fn problem(status: StatusCode, r#type: &'static str, detail: impl Into<String>) -> Response {
    respond(status, r#type, detail.into(), None)
}

fn not_found() -> Response {
    problem(
        StatusCode::NOT_FOUND,
        "urn:comptoir:problem:not-found",
        "There is nothing at this address.",
    )
}

fn method_not_allowed() -> Response {
    problem(
        StatusCode::METHOD_NOT_ALLOWED,
        "urn:comptoir:problem:method-not-allowed",
        "This address has no such method. The header Allow lists those that it has.",
    )
}

/// Middleware: a body that does not arrive in time ends, so it counts as incomplete.
async fn body_timeout(request: axum::extract::Request, next: middleware::Next) -> Response {
    let request = request.map(|body| {
        let in_time = Box::pin(tokio::time::sleep(BODY_TIMEOUT));
        axum::body::Body::from_stream(body.into_data_stream().take_until(in_time))
    });
    next.run(request).await
}

/// `field`: the invalid parameter.
fn invalid_query(field: &'static str, detail: String) -> Response {
    respond(
        StatusCode::BAD_REQUEST,
        "urn:comptoir:problem:invalid-query",
        detail,
        Some(field.into()),
    )
}

fn respond(
    status: StatusCode,
    r#type: &'static str,
    detail: String,
    field: Option<Cow<'static, str>>,
) -> Response {
    let problem = Problem {
        r#type,
        status: status.as_u16(),
        detail,
        field,
    };
    (
        status,
        [(header::CONTENT_TYPE, "application/problem+json")],
        Json(problem),
    )
        .into_response()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OverviewQuery {
    /// The start of the day over which sales are summed. Default: midnight in UTC.
    since: Option<Timestamp>,
}

/// `GET /api/shops`
async fn shops(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<OverviewQuery>,
) -> Response {
    if !query.since.is_none_or(sale::is_rfc3339) {
        let detail = "since: a year from 0000 to 9999, for example since=2026-11-30T00:00:00Z";
        return invalid_query("since", detail.to_owned());
    }
    let now = sale::now();
    let midnight = || {
        let day = now.to_zoned(TimeZone::UTC).start_of_day();
        day.map_or(now, |day| day.timestamp())
    };
    let day = query.since.unwrap_or_else(midnight);
    let overview = state.overviews.get(&state.pool, &state.prefix, now, day);
    match within(overview).await {
        Ok(overview) => Json(overview.of_shops(&caller.shops)).into_response(),
        Err(error) => database_unavailable(&error),
    }
}

/// `GET /api/sales`
async fn sales(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<SalesQuery>,
) -> Response {
    let filter = match filter(query, &caller) {
        Ok(filter) => filter,
        Err(problem) => return *problem,
    };
    match within(sales::page(&state.pool, &state.prefix, &filter)).await {
        Ok(page) => Json(page).into_response(),
        Err(error) => database_unavailable(&error),
    }
}

/// `GET /api/sales.csv`
async fn sales_csv(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<SalesQuery>,
) -> Response {
    let filter = match filter(query, &caller) {
        Ok(filter) => filter,
        Err(problem) => return *problem,
    };
    let place = match state.exports.begin(&caller.identity()) {
        Ok(place) => place,
        Err(busy) => {
            let detail = format!("{busy}. Try again when it is done.");
            let r#type = "urn:comptoir:problem:too-many-requests";
            return problem(StatusCode::TOO_MANY_REQUESTS, r#type, detail);
        }
    };
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"sales.csv\""),
    ];
    (headers, sales::csv(state.pool, filter, place)).into_response()
}

fn filter(query: SalesQuery, caller: &Caller) -> Result<Filter, Box<Response>> {
    let refuse = |error: sales::QueryError| Box::new(invalid_query(error.parameter, error.to_string()));
    query.check(caller).map_err(refuse)
}

fn database_unavailable(error: &sqlx::Error) -> Response {
    error!(%error, "PostgreSQL does not answer a request");
    problem(
        StatusCode::SERVICE_UNAVAILABLE,
        "urn:comptoir:problem:database-unavailable",
        "PostgreSQL does not reply. Try again.",
    )
}

/// `GET /readyz`: whether this replica can answer requests. It need not read a partition, because there may be more
/// replicas than partitions.
async fn ready(State(state): State<AppState>) -> Response {
    let is_connected = within(sqlx::query("SELECT 1").execute(&state.pool)).await.is_ok();
    match is_connected && state.health.is_database_up() {
        true => (StatusCode::OK, "ready").into_response(),
        false => (StatusCode::SERVICE_UNAVAILABLE, "PostgreSQL does not reply").into_response(),
    }
}

/// `GET /metrics`
async fn metrics(State(state): State<AppState>) -> Response {
    let as_of = async {
        let mut connection = state.pool.acquire().await?;
        read_as_of(&mut connection, &state.prefix).await
    };
    let read_until = match within(as_of).await {
        Ok(Some(as_of)) => format!(
            "# HELP comptoir_office_read_until_seconds Everything until this time was read, in Unix seconds\n\
             # TYPE comptoir_office_read_until_seconds gauge\ncomptoir_office_read_until_seconds {}\n",
            as_of.as_second()
        ),
        // Before the first state, and while PostgreSQL is unreachable.
        Ok(None) | Err(_) => String::new(),
    };
    let text = format!(
        "{}{read_until}# HELP comptoir_office_partitions Partitions that this replica reads\n\
         # TYPE comptoir_office_partitions gauge\ncomptoir_office_partitions {}\n",
        state.metrics.text(),
        state.health.partitions()
    );
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
