//! The HTTP and Socket.IO server. `docs/interfaces/http.md` and `live.md` describe its interface.

mod admin;
mod answers;
pub mod api;
mod body;
mod budget;
pub mod connections;
mod finish;
mod listener;
mod live;
mod pages;
pub(crate) mod problem;
mod query;
mod rate;
mod request_span;
mod security;
#[cfg(test)]
mod testing;
mod trust;
mod upgrade;

use std::sync::Arc;

use axum::{Router, middleware};
use jiff::tz::TimeZone;
use rustls::ServerConfig;
use socketioxide::SocketIo;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::archive::automatic::ArchiveStatus;
use crate::config::{ConfigError, Follow};
use crate::ingest::decode::Decoder;
use crate::ingest::presence::Presence;
use crate::platform::alert_status::AlertStatus;
use crate::platform::clock::Clock;
use crate::platform::closing_key::ClosingKey;
use crate::platform::metrics::Metrics;
use crate::platform::peer::Peer;
use crate::platform::tls::TlsStatus;
use crate::platform::uplink::UplinkMeter;
use crate::projection::Projection;
pub use answers::budget as answer_budget;
pub use api::create::LOCATION_FIELDS;
use body::Timeouts;
use budget::ByteBudget;
use comptoir_core::sale::Currency;
use comptoir_http_rules::response_headers;
use comptoir_journal::Journal;
use comptoir_kafka::{Positions, Switch};
use connections::Connections;
pub use live::{Audience, Backlog, LiveConnections, LiveFeed};
pub use problem::{Problem, ProblemType};
pub use rate::RequestRates;
pub use security::access::Access;
use security::access::{self, Gate, Permissions};
pub use security::failure_log::FailureLog;
use security::same_site;

/// The parts of the gateway that HTTP handlers use.
pub struct AppState {
    pub store: String,
    pub currency: Currency,
    /// The time zone in which the shop's days begin.
    pub time_zone: TimeZone,
    /// Whether fields that a `POST` leaves out are invented: `demo.invent`.
    pub invents: bool,
    /// Errors in the present configuration, if the gateway runs with the fallback.
    pub settings_problems: Vec<ConfigError>,
    /// Whether sign-in is required, and the accounts.
    pub access: Access,
    /// Host names that browsers may use, in addition to IP addresses and private names.
    pub hosts: Vec<String>,
    /// `None` without `archive.path`.
    pub archive: Option<Arc<ArchiveStatus>>,
    /// Signs closings; `None` without the shop's secret.
    pub closing_key: Option<Arc<ClosingKey>>,
    /// Held from the read of the previous closing until the next one is stored.
    pub closing_turn: tokio::sync::Mutex<()>,
    pub journal: Journal,
    pub projection: Projection,
    pub decoder: Decoder,
    pub presence: Arc<Presence>,
    pub positions: Positions,
    pub mqtt: Peer,
    pub kafka: Peer,
    pub bridge: Peer,
    /// The consumer of the Kafka topic `commands`.
    pub commands: Peer,
    pub clock: Clock,
    /// `None` without a receiver of alerts.
    pub alerts: Option<Arc<AlertStatus>>,
    /// `None` if the port speaks plain HTTP.
    pub tls: Option<Arc<TlsStatus>>,
    /// `kafka.follow`
    pub follow: Follow,
    /// The consumer group of the read-back; `None` without Kafka, and with `kafka.follow = "own"`.
    pub consumer_group: Option<String>,
    /// Switches the demonstration's Kafka off and on; `None` outside `gateway demo`.
    pub demo: Option<Switch>,
    pub audience: Audience,
    pub live: LiveConnections,
    pub backlog: Backlog,
    /// `None` without Kafka.
    pub uplink: Option<Arc<UplinkMeter>>,
    pub metrics: Arc<Metrics>,
    /// The open connections of the HTTP port.
    pub connections: Arc<Connections>,
    pub request_rates: RequestRates,
    pub failure_log: FailureLog,
    /// The memory budget for responses.
    pub answers: ByteBudget,
}

/// All routes, and the handle that closes the live connections.
pub fn router(app: &Arc<AppState>) -> (Router, SocketIo) {
    router_with_timeouts(app, Timeouts::default())
}

fn router_with_timeouts(app: &Arc<AppState>, timeouts: Timeouts) -> (Router, SocketIo) {
    let (socket_io, io) = live::layer(app);
    let (api, document) = api::openapi::api();
    let gate = Arc::new(Gate {
        app: Arc::clone(app),
        permissions: Permissions::of(&document),
    });
    let changes = finish::Changes::new(Arc::clone(&app.metrics));
    let router = api
        .merge(pages::pages())
        .merge(trust::routes())
        .fallback(pages::static_file_or_not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(middleware::from_fn_with_state(changes, finish::run))
        .layer(middleware::from_fn_with_state(Arc::clone(app), answers::reserve))
        .layer(middleware::from_fn_with_state(timeouts, body::buffer))
        .with_state(Arc::clone(app))
        // Outside the timeouts, because live connections stay open.
        .layer(socket_io)
        .layer(middleware::from_fn(live::check_input))
        .layer(middleware::from_fn_with_state(Arc::clone(app), live::measure))
        .layer(middleware::from_fn_with_state(
            Arc::clone(app),
            live::check_limits,
        ))
        .layer(middleware::from_fn(upgrade::check))
        .layer(middleware::from_fn_with_state(gate, access::check))
        // Runs before authentication: a page of another site must not use the browser's credentials.
        .layer(middleware::from_fn_with_state(Arc::clone(app), same_site::check))
        .layer(middleware::from_fn_with_state(Arc::clone(app), rate::check))
        .layer(middleware::from_fn(response_headers::add))
        .layer(middleware::from_fn(request_span::enter));
    (router, io)
}

/// Serves until `stop`, then waits for the requests in progress. Uses TLS if `tls` is given.
pub async fn serve(
    listener: TcpListener,
    tls: Option<ServerConfig>,
    (router, io): (Router, SocketIo),
    connections: Arc<Connections>,
    stop: CancellationToken,
) {
    let router = match tls {
        Some(_) => router.layer(middleware::from_fn(listener::require_tls)),
        None => router,
    };
    let serving = listener::serve(listener, tls, router, connections, stop.clone());
    let closing_live_connections = async {
        stop.cancelled().await;
        io.close().await;
    };
    tokio::join!(serving, closing_live_connections);
}
