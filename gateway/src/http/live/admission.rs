//! Limits on the number of live connections and on the memory of their unsent packets.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::outbox::{Meters, opens_session, upgraded_session};
use super::snapshot::Snapshots;
use crate::http::budget::ByteBudget;
use crate::http::connections::{ClientAddress, ConnectionLimits, Sender};
use crate::http::security::caller::Caller;
use crate::http::{AppState, Problem, ProblemType};
use crate::platform::metrics::HttpLimit;

/// One live connection per this many connections of the port: the pages themselves load over other connections.
const CONNECTIONS_PER_LIVE: usize = 4;
/// One in this many live connections may be open without credentials.
const UNJOINED_PART: usize = 4;
/// The same for an open gateway.
const UNJOINED_PART_IF_OPEN: usize = 2;
/// Bytes of large packets, such as `initial_data`, that wait for clients. Engine.IO needs twice as much memory for
/// them.
const MAX_BYTES: u32 = 32 << 20;
/// The part of [`MAX_BYTES`] for one sender.
const MAX_BYTES_PER_SENDER: u32 = 8 << 20;

/// The limits and the shared resources of the live connections.
pub struct LiveConnections {
    total: usize,
    per_sender: usize,
    by_sender: Mutex<HashMap<Sender, usize>>,
    pub(super) bytes: ByteBudget,
    pub(super) snapshots: Snapshots,
    pub(super) meters: Meters,
}

impl LiveConnections {
    pub fn new(connections: ConnectionLimits) -> Self {
        Self {
            total: connections.total.div_ceil(CONNECTIONS_PER_LIVE),
            per_sender: connections.per_sender.div_ceil(CONNECTIONS_PER_LIVE),
            by_sender: Mutex::default(),
            bytes: ByteBudget::new(MAX_BYTES, MAX_BYTES_PER_SENDER),
            snapshots: Snapshots::default(),
            meters: Meters::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Sender, usize>> {
        // A panic in another thread leaves the map consistent.
        self.by_sender.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The limit that one more connection would exceed if the sender already has `own` connections and all senders have
    /// `all`.
    fn exceeded(&self, sender: Sender, own: usize, all: usize) -> Option<HttpLimit> {
        if sender != Sender::Loopback && own >= self.per_sender {
            Some(HttpLimit::LiveConnectionsPerAddress)
        } else if all >= self.total {
            Some(HttpLimit::LiveConnections)
        } else {
            None
        }
    }

    /// Counts a connection until the returned value is dropped.
    ///
    /// # Errors
    ///
    /// The limit that has been reached.
    pub(super) fn admit(&self, sender: Sender) -> Result<AdmittedConnection<'_>, HttpLimit> {
        let mut by_sender = self.lock();
        let own = by_sender.get(&sender).copied().unwrap_or(0);
        if let Some(limit) = self.exceeded(sender, own, by_sender.values().sum()) {
            return Err(limit);
        }
        *by_sender.entry(sender).or_default() += 1;
        Ok(AdmittedConnection {
            connections: self,
            sender,
        })
    }
}

#[derive(Debug)]
pub(super) struct AdmittedConnection<'a> {
    connections: &'a LiveConnections,
    sender: Sender,
}

impl std::fmt::Debug for LiveConnections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveConnections")
            .field("total", &self.total)
            .finish_non_exhaustive()
    }
}

impl Drop for AdmittedConnection<'_> {
    fn drop(&mut self) {
        let mut by_sender = self.connections.lock();
        if let Some(count) = by_sender.get_mut(&self.sender) {
            *count -= 1;
            if *count == 0 {
                by_sender.remove(&self.sender);
            }
        }
    }
}

/// Middleware: rejects a new live connection beyond the limits, so that its client learns the reason. The Socket.IO
/// connection itself is counted when it opens.
pub async fn check(State(app): State<Arc<AppState>>, request: Request, next: Next) -> Response {
    if let Some(limit) = reached(&app, &request) {
        app.metrics.http_limit(limit);
        let whose = match limit {
            HttpLimit::LiveConnectionsPerAddress => {
                format!("This address has {} live connections", app.live.per_sender)
            }
            _ => format!("The gateway has {} live connections", app.live.total),
        };
        return Problem::new(
            ProblemType::TooManyLiveConnections,
            format!("{whose}, which is the limit. Close a page, then try again."),
        )
        .into_response();
    }
    next.run(request).await
}

/// The limit that a request for a live connection would exceed.
fn reached(app: &AppState, request: &Request) -> Option<HttpLimit> {
    let upgraded = upgraded_session(request);
    if upgraded.is_none() && !opens_session(request) {
        return None;
    }
    let client = request.extensions().get::<ConnectInfo<ClientAddress>>();
    let sender = client.map_or(Sender::Loopback, |client| client.0.sender());
    let own_sockets = app.connections.websockets(Some(sender));
    let sockets = app.connections.websockets(None);
    if upgraded.is_some_and(|session| app.live.meters.has_joined(session)) {
        // The session is already counted, but it could be asked for any number of WebSockets.
        return app.live.exceeded(sender, own_sockets, sockets);
    }
    // Count polling clients too, and WebSockets that have not joined.
    let (own, all) = {
        let by_sender = app.live.lock();
        let own = by_sender.get(&sender).copied().unwrap_or(0);
        (own, by_sender.values().sum::<usize>())
    };
    let part = match request.extensions().get::<Caller>() {
        Some(Caller::User(_)) => None,
        // A program that will send `auth.token` looks the same as a client without credentials until it joins.
        Some(Caller::Nobody) => Some(UNJOINED_PART),
        // On an open gateway, leave room for pages beside WebSockets that never join.
        Some(Caller::Anybody) | None => Some(UNJOINED_PART_IF_OPEN),
    };
    if let Some(part) = part {
        let is_beyond = |of, limit: usize| app.connections.unjoined(of) >= limit.div_ceil(part);
        if sender != Sender::Loopback && is_beyond(Some(sender), app.live.per_sender) {
            return Some(HttpLimit::LiveConnectionsPerAddress);
        }
        if is_beyond(None, app.live.total) {
            return Some(HttpLimit::LiveConnections);
        }
    }
    app.live.exceeded(sender, own.max(own_sockets), all.max(sockets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_connections_are_limited_in_all_and_for_each_address_but_this_machine() {
        let limits = ConnectionLimits {
            total: 16,
            per_sender: 8,
            ..ConnectionLimits::new(1_024)
        };
        let live = LiveConnections::new(limits);
        let sender = |last| ClientAddress::new([192, 168, 1, last].into()).sender();
        let first = live.admit(sender(1)).unwrap();
        let _second = live.admit(sender(1)).unwrap();
        assert_eq!(
            live.admit(sender(1)).unwrap_err(),
            HttpLimit::LiveConnectionsPerAddress
        );
        drop(first);
        let _third = live.admit(sender(1)).unwrap();
        let _local = live.admit(Sender::Loopback).unwrap();
        let local = live.admit(Sender::Loopback).unwrap();
        assert_eq!(
            live.admit(Sender::Loopback).unwrap_err(),
            HttpLimit::LiveConnections
        );
        assert_eq!(live.admit(sender(2)).unwrap_err(), HttpLimit::LiveConnections);
        drop(local);
        assert!(live.admit(sender(2)).is_ok());
    }
}
