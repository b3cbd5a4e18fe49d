//! One live connection: first the state, then the events that the client missed, then every tick.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::ConnectInfo;
use socketioxide::extract::SocketRef;
use socketioxide::{SendError, SocketError};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::credentials;
use super::history::NextTick;
use super::outbox::{Outbox, Stalled, begins_with_websocket};
use super::pace::Pace;
use super::snapshot::Progress;
use super::tick::{self, Json, write};
use super::view::{PersonalData, item_in};
use crate::http::AppState;
use crate::http::api::dto;
use crate::http::api::sales::item;
use crate::http::api::status::{gateway_status, stats_of};
use crate::http::budget::Reservation;
use crate::http::connections::{ClientAddress, OpenConnection, Sender};
use crate::http::security::caller::Caller;
use crate::platform::metrics::HttpLimit;
use crate::projection::{Confirmation, ProjectionError};
use comptoir_journal::{EntryKind, Offset, ReadError};

/// Most unread ticks of a slow client with batches. More ticks would be larger than the state, which then replaces
/// them.
const MAX_UNREAD: u64 = 32;
/// The interval of `alive`. `web/src/lib/live/heartbeat.ts` considers a connection dead after two missed ones.
/// Engine.IO's own ping cannot be this frequent: it closes the connection of a client that answers late, as a slow
/// reader does.
const ALIVE_INTERVAL: Duration = Duration::from_secs(4);
/// Entries read from the journal at a time for a client that was away. Each client that does not read holds as many.
const READ_ENTRIES: usize = 64;
const READ_BYTES: usize = 64 << 10;

/// From this size, in bytes, a packet counts against the memory of all live connections, and the next packet waits
/// until the client has read it.
const LARGE_PACKET: u64 = 16 << 10;
/// Backoff between checks whether the client has read its data: shortest and longest.
const MIN_WAIT: Duration = Duration::from_millis(1);
const MAX_WAIT: Duration = Duration::from_millis(160);

/// Why a live connection ended.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    #[error("the client has disconnected")]
    Disconnected,
    #[error("the client does not read")]
    Stalled,
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Projection(#[from] ProjectionError),
}

impl From<Stalled> for ConnectionError {
    fn from(_: Stalled) -> Self {
        Self::Stalled
    }
}

/// Serves one client until it disconnects.
pub async fn serve(socket: &SocketRef, auth: dto::Auth, app: &AppState) {
    let disconnected = CancellationToken::new();
    let on_disconnect = disconnected.clone();
    socket.on_disconnect(async move || on_disconnect.cancel());
    let caller = socket.extensions.get::<Caller>().unwrap_or(Caller::Nobody);
    let request = &socket.req_parts().extensions;
    let client = request.get::<ConnectInfo<ClientAddress>>();
    let sender = client.map_or(Sender::Loopback, |client| client.0.sender());
    let view = request.get::<PersonalData>().copied();
    let view = view.unwrap_or_else(|| PersonalData::of(&caller));
    let _admitted = match app.live.admit(sender) {
        Ok(admitted) => admitted,
        Err(limit) => {
            // Rare: the request that opened the connection was still within the limit.
            app.metrics.http_limit(limit);
            let _ = socket.clone().disconnect();
            return;
        }
    };
    let own = request.get::<Arc<OpenConnection>>();
    let own = own.filter(|_| begins_with_websocket(socket.req_parts()));
    let registered = app.live.meters.register(socket.id.to_string(), own);
    debug!(after = auth.after, "live connection opened");
    let mut connection = LiveConnection {
        socket,
        is_batched: auth.batch,
        sender,
        view,
        app,
        pace: Pace::new(Instant::now()),
        outbox: Outbox::new(Arc::clone(&registered.meter)),
    };
    tokio::select! {
        () = disconnected.cancelled() => {}
        () = credentials::wait_for_end(&caller, app.audience.credentials.subscribe()) => {
            debug!("live connection closed: its session has ended");
            let _ = socket.clone().disconnect();
        }
        result = connection.run(auth.after.map(Offset)) => match result {
            // The client reconnects on its own and gets the state again.
            Err(error @ (ConnectionError::Read(_) | ConnectionError::Projection(_) | ConnectionError::Stalled)) => {
                debug!(%error, "live connection closed by the gateway");
                if matches!(error, ConnectionError::Stalled) {
                    app.metrics.http_limit(HttpLimit::WriteStall);
                }
                let _ = socket.clone().disconnect();
            }
            Err(ConnectionError::Disconnected) | Ok(()) => {}
        }
    }
    debug!("live connection ended");
}

struct LiveConnection<'a> {
    socket: &'a SocketRef,
    is_batched: bool,
    sender: Sender,
    view: PersonalData,
    app: &'a AppState,
    pace: Pace,
    outbox: Outbox,
}

impl LiveConnection<'_> {
    async fn run(&mut self, after: Option<Offset>) -> Result<(), ConnectionError> {
        let app = self.app;
        let _membership = app.audience.join(self.is_batched, self.view);
        // Follow first, then read the state: changes that the state misses arrive as ticks.
        let mut ticks = app.audience.ticks.follow();
        let mut sent = self.send_state().await?;
        if let Some(after) = after.filter(|_| !self.is_batched) {
            self.send_missed(after, sent.upto).await?;
        }
        let mut alive = tokio::time::interval(ALIVE_INTERVAL);
        alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let next = tokio::select! {
                next = ticks.next() => next,
                _ = alive.tick(), if self.is_batched => {
                    self.send("alive", &write(&())).await?;
                    continue;
                }
            };
            let tick = match next {
                NextTick::Tick(tick) => {
                    let has_gap = tick.has_gap || (self.is_batched && tick.is_batch_too_large);
                    Some(tick).filter(|_| !has_gap)
                }
                NextTick::Expired => None,
                NextTick::End => return Ok(()),
            };
            match tick {
                Some(tick) if self.is_batched && ticks.unread() <= MAX_UNREAD => {
                    if let Some(batch) = tick.batch.get(self.view) {
                        self.send("batch", batch).await?;
                    }
                }
                Some(tick) if !self.is_batched => {
                    let is_new = |version: Option<u64>| version.is_none_or(|version| version > sent.version);
                    for packet in tick.packets.iter().filter(|packet| is_new(packet.version)) {
                        // A tick without this view was made before the connection joined, so the state contains its
                        // packets.
                        if let Some(data) = packet.data.get(self.view) {
                            self.send(packet.event, data).await?;
                        }
                        sent.upto = packet.entry.unwrap_or(sent.upto);
                    }
                    sent.version = tick.version.max(sent.version);
                }
                _ => {
                    ticks.skip();
                    sent = match self.is_batched {
                        true => self.send_state().await?,
                        false => self.catch_up(sent).await?,
                    };
                }
            }
        }
    }

    /// Sends `initial_data`.
    async fn send_state(&mut self) -> Result<Progress, ConnectionError> {
        let app = self.app;
        let size = app.live.snapshots.get(app, self.view).await?.json.get().len();
        let _reserved = self.reserve(size as u64).await;
        // Taken only now, so that a client waiting for its turn holds no state.
        let snapshot = app.live.snapshots.get(app, self.view).await?;
        self.send_within_room("initial_data", &snapshot.json).await?;
        self.wait_until_taken().await?;
        Ok(snapshot.progress)
    }

    /// Brings a client whose ticks have expired up to date from the journal. Sends the whole state only if the journal
    /// does not have everything that the client missed.
    async fn catch_up(&mut self, sent: Progress) -> Result<Progress, ConnectionError> {
        let app = self.app;
        let (mut now, has_new_foreign) = app.projection.recent(|recent| {
            let now = Progress {
                version: recent.version,
                upto: recent.folded,
            };
            (now, recent.foreign > sent.version)
        });
        let is_pruned = app.journal.state().first.0 > sent.upto.0 + 1;
        if has_new_foreign || is_pruned {
            now = self.send_state().await?;
        }
        self.send_confirmations(sent).await?;
        self.send_missed(sent.upto, now.upto).await?;
        let stats = stats_of(&app.projection.view().totals, app.currency);
        self.send("stats_update", &write(&stats)).await?;
        let gateway = gateway_status(app).await?;
        self.send("gateway_status", &write(&gateway)).await?;
        Ok(now)
    }

    /// Sends confirmations, newer than `sent`, of events that the client already has.
    async fn send_confirmations(&mut self, sent: Progress) -> Result<(), ConnectionError> {
        let mut after = Offset(0);
        loop {
            let projection = &self.app.projection;
            let confirmed = projection.recent(|recent| {
                recent
                    .own_events
                    .confirmed_since(after, sent.upto, sent.version, READ_ENTRIES)
            });
            let Some((last, _)) = confirmed.last() else {
                return Ok(());
            };
            after = *last;
            let offsets: Vec<Offset> = confirmed.iter().map(|(entry, _)| *entry).collect();
            let entries = self.app.journal.entries(&offsets).await?;
            for (entry, place) in confirmed {
                let Some(entry) = entries.get(&entry) else {
                    continue;
                };
                let EntryKind::Event(kind) = entry.kind else {
                    continue;
                };
                let confirmed = Confirmation {
                    kind,
                    name: entry.name.to_string().into(),
                    order_id: entry.key.as_ref().into(),
                    place,
                };
                self.send("event_confirmed", &write(&tick::confirmation(&confirmed)))
                    .await?;
            }
        }
    }

    /// Sends the events from `after` to `upto` in journal order.
    async fn send_missed(&mut self, mut after: Offset, upto: Offset) -> Result<(), ConnectionError> {
        while after < upto {
            let mut entries = self.app.journal.read(after, READ_ENTRIES, READ_BYTES).await?;
            entries.retain(|entry| entry.offset <= upto);
            let Some(last) = entries.last() else { return Ok(()) };
            after = last.offset;
            let located = self.app.projection.locate(entries).await?;
            let state = self.app.journal.state();
            for (kind, row) in &located {
                if let Some(json) = item(row, state.in_kafka_upto(*kind)) {
                    let json = item_in(self.view, *kind, json);
                    self.send(tick::event(*kind), &json).await?;
                }
            }
        }
        Ok(())
    }

    /// Sends one packet, after waiting until the client's unread data is below the limit.
    async fn send(&mut self, event: &'static str, data: &Json) -> Result<(), ConnectionError> {
        let size = Outbox::size(event, data.get());
        if size <= LARGE_PACKET {
            return self.send_within_room(event, data).await;
        }
        let _reserved = self.reserve(size).await;
        self.send_within_room(event, data).await?;
        self.wait_until_taken().await
    }

    /// Reserves the bytes of a large packet from the budget of all live connections.
    async fn reserve(&self, size: u64) -> Reservation {
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        self.app.live.bytes.reserve(self.sender, size).await
    }

    /// Waits until the client has read everything.
    async fn wait_until_taken(&mut self) -> Result<(), ConnectionError> {
        let mut wait = MIN_WAIT;
        while !self.outbox.is_empty()? {
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(MAX_WAIT);
        }
        Ok(())
    }

    async fn send_within_room(&mut self, event: &'static str, data: &Json) -> Result<(), ConnectionError> {
        let size = Outbox::size(event, data.get());
        let mut wait = MIN_WAIT;
        while !self.outbox.has_room(size)? {
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(MAX_WAIT);
        }
        loop {
            let rest = self.pace.rest(Instant::now());
            if !rest.is_zero() {
                tokio::time::sleep(rest).await;
            }
            self.outbox.note_sent(size);
            match self.socket.emit(event, data) {
                Ok(()) => {
                    self.pace.accepted();
                    return Ok(());
                }
                Err(SendError::Socket(SocketError::InternalChannelFull)) => {
                    self.outbox.note_refused(size);
                    tokio::time::sleep(self.pace.full(Instant::now())).await;
                }
                Err(_) => return Err(ConnectionError::Disconnected),
            }
        }
    }
}
