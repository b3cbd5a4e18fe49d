//! HTTP: the API of the contract's section 4.

mod dead_letters;
mod problem;
mod sales;
mod status;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::response::Redirect;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::timeout::{RequestBodyTimeoutLayer, TimeoutLayer};

use crate::admin;
use crate::event::Kind;
use crate::ingest::decode::Decoder;
use crate::ingest::presence::Presence;
use crate::journal::Journal;
use crate::kafka::Positions;
use crate::link::Link;
use crate::metrics::Metrics;
use crate::projection::Projection;
use crate::sale::Currency;
pub use problem::Problem;

/// Largest request body.
const MAX_BODY: usize = 64 << 10;
/// A client that takes longer for its request is let go.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the handlers see of the gateway.
pub struct Shop {
    pub store: String,
    pub currency: Currency,
    pub journal: Journal,
    pub projection: Projection,
    pub decoder: Decoder,
    pub presence: Arc<Presence>,
    pub positions: Positions,
    pub mqtt: Link,
    pub kafka: Link,
    pub bridge: Link,
    pub metrics: Arc<Metrics>,
}

/// Every address that the gateway answers.
pub fn router(shop: Arc<Shop>) -> Router {
    let sales = |kind: Kind| {
        get(move |shop, query| sales::list(kind, shop, query))
            .post(move |shop, body| sales::create(kind, shop, body))
    };
    Router::new()
        // Until there are pages: what a person wants to see first.
        .route("/", get(async || Redirect::temporary("/api/gateway")))
        .route("/api/orders", sales(Kind::Order))
        .route("/api/payments", sales(Kind::Payment))
        .route("/api/deliveries", sales(Kind::Delivery))
        .route("/api/stats", get(status::stats))
        .route("/api/gateway", get(status::gateway))
        .route("/api/dead-letters", get(dead_letters::list))
        .route("/api/dead-letters/{offset}", get(dead_letters::show))
        .route("/api/dead-letters/{offset}/retry", post(dead_letters::retry))
        .route("/healthz", get(admin::healthz))
        .route("/readyz", get(admin::readyz))
        .route("/metrics", get(admin::metrics))
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(RequestBodyTimeoutLayer::new(PATIENCE))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::GATEWAY_TIMEOUT,
            PATIENCE * 2,
        ))
        .with_state(shop)
}

/// Serves until `stop`, then lets the requests under way end.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let served = axum::serve(listener, router)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "HTTP has ended");
    }
}
