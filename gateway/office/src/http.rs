//! The HTTP server: the page, the overview as JSON, live connections, liveness, readiness and metrics.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, Request, State};
use axum::http::uri::Authority;
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use comptoir_core::sale;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use tokio::sync::Semaphore;
use tracing::error;

use crate::access::Caller;
use crate::database::within;
use crate::health::Health;
use crate::live::{self, Live};
use crate::metrics::Metrics;
use crate::overview::read_as_of;
use crate::pages::pages;
use crate::sales::{self, Filter, SalesQuery};

mod connection;
mod listener;
mod overviews;

pub use connection::ClientConnection;
pub use listener::LimitedListener;
pub use overviews::OverviewCache;

/// Shared by the request handlers.
#[derive(Clone)]
pub struct AppState {
    pub pool: PgPool,
    pub overviews: OverviewCache,
    /// The prefix of all topics.
    pub prefix: String,
    pub metrics: Arc<Metrics>,
    pub health: Arc<Health>,
    /// Limits the CSV files written at the same time, because each holds a connection to PostgreSQL.
    pub exports: Arc<Semaphore>,
    pub live: Arc<Live>,
}

pub fn router(state: AppState) -> Router {
    Router::new()
        .route("/api/shops", get(shops))
        .route("/api/sales", get(sales))
        .route("/api/sales.csv", get(sales_csv))
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .merge(pages())
        .fallback(async || {
            problem(
                StatusCode::NOT_FOUND,
                "urn:comptoir:problem:not-found",
                "There is nothing at this address.",
            )
        })
        .layer(state.live.layer())
        .layer(middleware::from_fn_with_state(
            Arc::clone(&state.live),
            live::check,
        ))
        .layer(middleware::from_fn(identify))
        .layer(middleware::from_fn(by_local_name))
        .with_state(state)
}

/// Answers only requests for a local name of this machine. Otherwise a page of another site could read everything after
/// its owner lets the site's name resolve to 127.0.0.1 (DNS rebinding). Also refuses requests that a page of another
/// site makes the browser send: the page could not read the response, but it could keep PostgreSQL busy. A link to a
/// page is fine.
async fn by_local_name(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST);
    let authority = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let is_local = authority.is_some_and(|authority| {
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    });
    if is_local && is_from_another_site(&request) {
        return problem(
            StatusCode::FORBIDDEN,
            "urn:comptoir:problem:cross-site-request",
            "A page of another site may not load anything from the office.",
        );
    }
    match is_local {
        true => next.run(request).await,
        false => problem(
            StatusCode::MISDIRECTED_REQUEST,
            "urn:comptoir:problem:unknown-host",
            "The office answers under names of its own machine only: http://localhost, through an SSH tunnel for example.",
        ),
    }
}

/// Stores the [`Caller`] in the request.
async fn identify(mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(Caller::local());
    next.run(request).await
}

/// Whether the browser reports that a page of another site caused the request, other than by a link to a page.
fn is_from_another_site(request: &Request) -> bool {
    let says = |name: &str, value: &str| request.headers().get(name).is_some_and(|said| said == value);
    let is_link = says("sec-fetch-mode", "navigate")
        && says("sec-fetch-dest", "document")
        && !request.uri().path().starts_with("/api/");
    says("sec-fetch-site", "cross-site") && !is_link
}

/// An error response, `application/problem+json`.
#[derive(Debug, Serialize)]
struct Problem {
    r#type: &'static str,
    status: u16,
    detail: String,
    /// The parameter that is not valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'static str>,
}

pub(crate) fn problem(status: StatusCode, r#type: &'static str, detail: impl Into<String>) -> Response {
    respond(status, r#type, detail.into(), None)
}

/// `field`: the parameter that is not valid, where it is known.
fn invalid_query(field: Option<&'static str>, detail: String) -> Response {
    respond(
        StatusCode::BAD_REQUEST,
        "urn:comptoir:problem:invalid-query",
        detail,
        field,
    )
}

fn respond(
    status: StatusCode,
    r#type: &'static str,
    detail: String,
    field: Option<&'static str>,
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
    query: Result<Query<OverviewQuery>, QueryRejection>,
) -> Response {
    let query = match query {
        Ok(Query(query)) if query.since.is_none_or(sale::is_rfc3339) => query,
        Ok(_) => {
            let detail = "since: a year from 0000 to 9999, for example since=2026-11-30T00:00:00Z";
            return invalid_query(Some("since"), detail.to_owned());
        }
        Err(error) => {
            let detail = format!("{}; for example since=2026-11-30T00:00:00Z", error.body_text());
            return invalid_query(None, detail);
        }
    };
    let now = sale::now();
    let midnight = || {
        let day = now.to_zoned(TimeZone::UTC).start_of_day();
        day.map_or(now, |day| day.timestamp())
    };
    let day = query.since.unwrap_or_else(midnight);
    let overview = state.overviews.get(&state.pool, &state.prefix, now, day);
    match within(overview).await {
        Ok(overview) => {
            let overview = overview.of_shops(&caller.shops);
            ([(header::CACHE_CONTROL, "no-store")], Json(overview)).into_response()
        }
        Err(error) => database_unavailable(&error),
    }
}

/// `GET /api/sales`
async fn sales(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    query: Result<Query<SalesQuery>, QueryRejection>,
) -> Response {
    let filter = match filter(query, &caller) {
        Ok(filter) => filter,
        Err(problem) => return *problem,
    };
    match within(sales::page(&state.pool, &state.prefix, &filter)).await {
        Ok(page) => ([(header::CACHE_CONTROL, "no-store")], Json(page)).into_response(),
        Err(error) => database_unavailable(&error),
    }
}

/// `GET /api/sales.csv`
async fn sales_csv(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    query: Result<Query<SalesQuery>, QueryRejection>,
) -> Response {
    let filter = match filter(query, &caller) {
        Ok(filter) => filter,
        Err(problem) => return *problem,
    };
    let Ok(permit) = state.exports.clone().try_acquire_owned() else {
        return problem(
            StatusCode::TOO_MANY_REQUESTS,
            "urn:comptoir:problem:too-many-requests",
            "Other files are being written. Try again when they are done.",
        );
    };
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"sales.csv\""),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, sales::csv(state.pool, filter, permit)).into_response()
}

fn filter(
    query: Result<Query<SalesQuery>, QueryRejection>,
    caller: &Caller,
) -> Result<Filter, Box<Response>> {
    let Query(query) = query.map_err(|error| Box::new(invalid_query(None, error.body_text())))?;
    query
        .check(caller.shops.clone())
        .map_err(|error| Box::new(invalid_query(Some(error.parameter), error.to_string())))
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
