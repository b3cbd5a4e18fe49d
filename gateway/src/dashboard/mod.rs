//! HTTP and Socket.IO: the contract's section 4.

mod body;
mod create;
mod dead_letters;
mod door;
pub mod dto;
mod live;
mod openapi;
mod pages;
mod password;
pub(crate) mod problem;
mod query;
mod sales;
mod same_site;
mod status;
mod toggle;
mod upgrade;

use std::sync::Arc;

use axum::{Router, middleware};
use rustls::ServerConfig;
use socketioxide::SocketIo;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::ConfigError;
use crate::ingest::decode::Decoder;
use crate::ingest::presence::Presence;
use crate::journal::Journal;
use crate::kafka::{Positions, Switch};
use crate::link::Link;
use crate::metrics::Metrics;
use crate::projection::Projection;
use crate::sale::Currency;
use body::Deadlines;
pub use create::WHEREABOUTS;
use door::{Arrival, Door};
pub use live::{Audience, Backlog, Live};
pub use password::Password;
pub use problem::{Problem, ProblemType};

/// What the handlers see of the gateway.
pub struct Shop {
    pub store: String,
    pub currency: Currency,
    /// With which the gateway would not run: it is on its last good ones then.
    pub settings_problems: Vec<ConfigError>,
    /// That whoever asks must say; `None`: whoever is on the network may.
    pub password: Option<Password>,
    /// Names of this machine that browsers may use, beside those that only a shop can have.
    pub hosts: Vec<String>,
    pub journal: Journal,
    pub projection: Projection,
    pub decoder: Decoder,
    pub presence: Arc<Presence>,
    pub positions: Positions,
    pub mqtt: Link,
    pub kafka: Link,
    pub bridge: Link,
    /// To Kafka's topic of commands.
    pub commands: Link,
    pub clock: Clock,
    /// The group that reads the topics back; `None` without Kafka.
    pub consumer_group: Option<String>,
    /// The demonstration's, which can be taken down.
    pub demo: Option<Switch>,
    pub audience: Audience,
    pub backlog: Backlog,
    pub metrics: Arc<Metrics>,
}

/// Every address that the gateway answers, and the handle that closes the pages' connections.
pub fn router(shop: &Arc<Shop>) -> (Router, SocketIo) {
    router_within(shop, Deadlines::default())
}

fn router_within(shop: &Arc<Shop>, deadlines: Deadlines) -> (Router, SocketIo) {
    let (live, io) = live::layer(shop);
    let router = openapi::api()
        .merge(pages::pages())
        .fallback(pages::file_or_nothing)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(middleware::from_fn_with_state(deadlines, body::whole))
        .with_state(Arc::clone(shop))
        // Outside of the time limit: these connections stay.
        .layer(live)
        .layer(middleware::from_fn(upgrade::check))
        .layer(middleware::from_fn_with_state(Arc::clone(shop), password::check))
        // Before anybody is asked for a password: a page of another site must not make the browser ask.
        .layer(middleware::from_fn_with_state(Arc::clone(shop), same_site::check));
    (router, io)
}

/// Serves until `stop`, then lets the requests under way end. With TLS, where there is some.
pub async fn serve(
    listener: TcpListener,
    tls: Option<ServerConfig>,
    (router, io): (Router, SocketIo),
    stop: CancellationToken,
) {
    let router = match tls {
        Some(_) => router.layer(middleware::from_fn(door::plain)),
        None => router,
    };
    let router = router.into_make_service_with_connect_info::<Arrival>();
    let served = axum::serve(Door::new(listener, tls), router)
        .with_graceful_shutdown(async move {
            stop.cancelled().await;
            io.close().await;
        })
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "HTTP has ended");
    }
}
