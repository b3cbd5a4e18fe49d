//! Live pages by Socket.IO; `docs/interfaces/office-live.md` of the gateway describes the messages.
//!
//! Each replica follows the tail of the topics by itself ([`tail`]), independent of the partitions that it writes to
//! PostgreSQL. So a page that is connected to any replica sees the events of all shops that its user may see. Each event
//! is rendered once ([`item`]) and handed to the clients that want its shop ([`audience`]).
//!
//! The tail may be ahead of PostgreSQL or behind it. Therefore a client learns until where the tail had read when the
//! client joined, and `GET /api/sales` says until where PostgreSQL has read. `docs/adr/0019-office-live.md` of the gateway
//! explains how a page merges both.

mod audience;
mod item;
mod places;
mod sessions;
mod tail;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use comptoir_core::event::DeviceId;
use serde::Deserialize;
use socketioxide::extract::{SocketRef, State as SocketState, TryData};
use socketioxide::handler::ConnectHandler as _;
use socketioxide::layer::SocketIoLayer;
use socketioxide::{SocketIo, TransportType};

use crate::access::{Caller, VisibleShops};
use crate::http::{ClientConnection, Origin, problem};
use crate::metrics::Metrics;
use audience::{Audience, Subscription};
use item::PersonalData;
pub use places::Place;
use places::Places;
pub use sessions::watch_sessions;
pub use tail::LiveTail;

/// Most messages that wait for one client. One that is further behind is told to reload.
const MAX_WAITING: usize = 256;
/// How long a WebSocket may take to join. Its place is lost to others until then.
const JOIN_TIMEOUT: Duration = Duration::from_secs(10);
const PING_INTERVAL: Duration = Duration::from_secs(25);
/// A client that reads nothing for this long after a ping is disconnected.
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Clients send one message, when they join.
const MAX_PAYLOAD: u64 = 16 << 10;
/// The path of live connections.
pub const PATH: &str = "/socket.io";

/// The live connections of this replica.
pub struct Live {
    audience: Audience,
    places: Arc<Places>,
    metrics: Arc<Metrics>,
}

/// What a client may say when it joins.
#[derive(Debug, Default, Deserialize)]
struct Auth {
    /// The shop whose sales it wants. Absent: all that it may see.
    store: Option<String>,
}

/// Why a client may not join. It sees the text as the message of CONNECT_ERROR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rejection {
    SignInRequired,
    /// The shop does not exist, or the client may not see it.
    UnknownShop,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SignInRequired => "urn:comptoir:problem:sign-in-required",
            Self::UnknownShop => "urn:comptoir:problem:unknown-shop",
        })
    }
}

impl Live {
    /// `max_connections`: of the port. Some of them remain for requests.
    pub fn new(max_connections: usize, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            audience: Audience::new(Arc::clone(&metrics)),
            places: Places::of_port(max_connections),
            metrics,
        })
    }

    /// The layer that serves `/socket.io`. The transport is WebSocket only: the requests of a polling client could reach
    /// different replicas.
    pub fn layer(self: &Arc<Self>) -> SocketIoLayer {
        let (layer, io) = SocketIo::builder()
            .transports([TransportType::Websocket])
            .max_buffer_size(MAX_WAITING)
            .ping_interval(PING_INTERVAL)
            .ping_timeout(PING_TIMEOUT)
            .max_payload(MAX_PAYLOAD)
            .connect_timeout(JOIN_TIMEOUT)
            .with_state(Arc::clone(self))
            .build_layer();
        let admit = async |socket: SocketRef, auth: TryData<Auth>| {
            let caller = socket.req_parts().extensions.get::<Caller>();
            let caller = caller.ok_or(Rejection::SignInRequired)?;
            let (subscription, view) = admit(caller, auth.0.ok())?;
            let caller = caller.clone();
            socket.extensions.insert(AdmittedClient {
                caller,
                subscription,
                view,
            });
            Ok::<(), Rejection>(())
        };
        let join = async |socket: SocketRef, SocketState(live): SocketState<Arc<Self>>| {
            let Some(admitted) = socket.extensions.remove::<AdmittedClient>() else {
                return;
            };
            let of_disconnect = Arc::clone(&live);
            let id = socket.id;
            socket.on_disconnect(async move || of_disconnect.audience.leave(id));
            live.audience
                .join(socket, admitted.caller, admitted.subscription, admitted.view);
        };
        io.ns("/", join.with(admit));
        layer
    }
}

/// A client that may join.
#[derive(Debug, Clone)]
struct AdmittedClient {
    caller: Caller,
    subscription: Subscription,
    view: PersonalData,
}

/// The events that a client gets.
fn admit(caller: &Caller, auth: Option<Auth>) -> Result<(Subscription, PersonalData), Rejection> {
    // An invalid `auth` could mean a single shop.
    let auth = auth.ok_or(Rejection::UnknownShop)?;
    let subscription = match (auth.store, &caller.shops) {
        (Some(store), shops) => {
            let is_name = DeviceId::gateway(&store).is_ok();
            if !is_name || !shops.contains(&store) {
                return Err(Rejection::UnknownShop);
            }
            Subscription::Shops([store].into())
        }
        (None, VisibleShops::All) => Subscription::AllShops,
        (None, VisibleShops::Some(stores)) => Subscription::Shops(stores.iter().cloned().collect()),
    };
    Ok((subscription, PersonalData::of(caller.role)))
}

/// Middleware: refuses live connections beyond the limits.
pub async fn check(State(live): State<Arc<Live>>, request: Request, next: Next) -> Response {
    if !request.uri().path().starts_with(PATH) {
        return next.run(request).await;
    }
    let origin = request.extensions().get::<Origin>();
    let connection = request.extensions().get::<ConnectInfo<ClientConnection>>();
    // A stranger gets no place, only the answer to sign in; the connection ends as one without a request does.
    let is_somebody = request.extensions().get::<Caller>().is_some();
    if let Some((origin, ConnectInfo(connection))) = origin.zip(connection)
        && is_somebody
        && let Some(address) = origin.source.address
    {
        match live.places.take(address) {
            // The place is free again when the connection closes.
            Ok(place) => connection.become_live(place),
            Err(limit) => {
                live.metrics.live_refused.inc();
                return problem(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "urn:comptoir:problem:too-many-live-connections",
                    format!("{limit}. Close a page, then try again."),
                );
            }
        }
    }
    next.run(request).await
}
