//! HTTP and Socket.IO: the contract's section 4.

mod body;
mod create;
mod dead_letters;
pub mod dto;
mod live;
mod openapi;
mod pages;
mod password;
mod problem;
mod query;
mod sales;
mod same_site;
mod status;
mod toggle;

use std::sync::Arc;

use axum::serve::ListenerExt as _;
use axum::{Router, middleware};
use socketioxide::SocketIo;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::ConfigError;
use crate::ingest::decode::Decoder;
use crate::ingest::presence::Presence;
use crate::journal::Journal;
use crate::kafka::{Positions, Switch};
use crate::link::Link;
use crate::metrics::Metrics;
use crate::projection::Projection;
use crate::sale::Currency;
pub use create::WHEREABOUTS;
pub use live::{Audience, Backlog, Live};
pub use password::Password;
pub use problem::Problem;

/// What the kernel may hold for a connection. Megabytes, if nobody says: a slow client's heartbeat would wait behind
/// them for longer than it may.
const SEND_BUFFER: usize = 128 << 10;

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
    let (live, io) = live::layer(shop);
    let router = openapi::api()
        .merge(pages::pages())
        .fallback(pages::file_or_nothing)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(middleware::from_fn(body::whole))
        .with_state(Arc::clone(shop))
        // Outside of the time limit: these connections stay.
        .layer(live)
        .layer(middleware::from_fn_with_state(Arc::clone(shop), password::check))
        // Before anybody is asked for a password: a page of another site must not make the browser ask.
        .layer(middleware::from_fn_with_state(Arc::clone(shop), same_site::check));
    (router, io)
}

/// Serves until `stop`, then lets the requests under way end.
pub async fn serve(listener: TcpListener, (router, io): (Router, SocketIo), stop: CancellationToken) {
    let listener = listener.tap_io(|connection| {
        // Without either the connection works, too.
        let _ = rustix::net::sockopt::set_socket_send_buffer_size(&*connection, SEND_BUFFER);
        // Packets are written whole: nothing is gained by waiting for more, and a live page waits for each.
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY");
        }
    });
    let served = axum::serve(listener, router)
        .with_graceful_shutdown(async move {
            stop.cancelled().await;
            io.close().await;
        })
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "HTTP has ended");
    }
}
