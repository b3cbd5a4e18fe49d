//! `GET /api/shops/{store}/stats` and `GET /api/comparison`.

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use comptoir_core::sale;
use jiff::Timestamp;
use serde::Deserialize;

use super::extract::{Path, Query};
use super::{AppState, database_unavailable, invalid_query, problem};
use crate::access::Caller;
use crate::comparison::{ComparisonQuery, compare, known_stores};
use crate::database::within;
use crate::sales::QueryError;
use crate::stats::{Period, is_known, shop_stats};

/// The query parameters of `GET /api/shops/{store}/stats`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StatsQuery {
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl StatsQuery {
    fn period(&self) -> Result<Period, (&'static str, String)> {
        for (name, time) in [("since", self.since), ("until", self.until)] {
            if time.is_some_and(|time| !sale::is_rfc3339(time)) {
                let text = format!("{name}: a year from 0000 to 9999, for example 2026-11-30T00:00:00Z");
                return Err((name, text));
            }
        }
        match (self.since, self.until) {
            (Some(since), Some(until)) if since >= until => {
                let text = "until: after `since`, for example 2026-12-01T00:00:00Z";
                Err(("until", text.to_owned()))
            }
            (since, until) => Ok(Period { since, until }.rounded()),
        }
    }
}

/// `GET /api/shops/{store}/stats`
pub(super) async fn stats(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    Path(store): Path,
    Query(query): Query<StatsQuery>,
) -> Response {
    let period = match query.period() {
        Ok(period) => period,
        Err((field, detail)) => return invalid_query(field, detail),
    };
    if !caller.shops.contains(&store) {
        return unknown_shop(&store);
    }
    let read = async {
        let mut connection = state.pool.acquire().await?;
        match is_known(&mut connection, &store).await? {
            true => shop_stats(&mut connection, &store, period, sale::now())
                .await
                .map(Some),
            false => Ok(None),
        }
    };
    match within(read).await {
        Ok(Some(stats)) => Json(stats).into_response(),
        Ok(None) => unknown_shop(&store),
        Err(error) => database_unavailable(&error),
    }
}

/// `GET /api/comparison`
pub(super) async fn comparison(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<ComparisonQuery>,
) -> Response {
    let plan = match query.check(sale::now()) {
        Ok(plan) => plan,
        Err(error) => return refuse(&error),
    };
    let read = async {
        let mut connection = state.pool.acquire().await?;
        let mut stores = known_stores(&mut connection, caller.shops.for_sql()).await?;
        if let Some(wanted) = &plan.stores {
            if let Some(unknown) = wanted.iter().find(|wanted| !stores.contains(wanted)) {
                return Ok(Err(unknown_shop(unknown)));
            }
            stores.clone_from(wanted);
        }
        if let Err(error) = plan.check_size(stores.len()) {
            return Ok(Err(refuse(&error)));
        }
        compare(&mut connection, &plan, &stores).await.map(Ok)
    };
    match within(read).await {
        Ok(Ok(comparison)) => Json(comparison).into_response(),
        Ok(Err(problem)) => problem,
        Err(error) => database_unavailable(&error),
    }
}

fn refuse(error: &QueryError) -> Response {
    invalid_query(error.parameter, error.to_string())
}

/// The same for a shop that does not exist and for one that the caller may not see.
fn unknown_shop(store: &str) -> Response {
    problem(
        StatusCode::NOT_FOUND,
        "urn:comptoir:problem:not-found",
        format!("There is no shop {store:?}."),
    )
}
