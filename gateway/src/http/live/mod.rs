//! Socket.IO: every page sees events as they happen; `docs/interfaces/live.md` describes the messages.
//!
//! The projection's deltas are collected into ticks: immediate ones while it is quiet, ten per second under load. Each
//! tick is rendered as JSON once for all clients of a view ([`view`]). Each connection has its own task ([`socket`]),
//! which sends the ticks as fast as its client reads. All connections share one buffer of the latest ticks
//! ([`history`]). A connection that falls behind the buffer continues from the journal, or, if it uses batches, gets
//! the newest state again. So a slow client costs neither memory nor other clients' time. Unread data for one client is
//! bounded ([`outbox`], [`admission`]), and a client that stops reading is disconnected.

mod admission;
mod audience;
mod backlog;
mod credentials;
mod history;
mod input;
mod outbox;
mod pace;
mod snapshot;
mod socket;
#[cfg(test)]
mod tests;
mod tick;
mod view;

use std::sync::Arc;
use std::time::{Duration, Instant};

use socketioxide::SocketIo;
use socketioxide::extract::{SocketRef, State, TryData};
use socketioxide::handler::ConnectHandler as _;
use socketioxide::layer::SocketIoLayer;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span, debug, debug_span};

use super::AppState;
use super::api::dto;
use super::api::status::{gateway_status, stats_of};
use super::connections::JOIN_TIMEOUT;
use super::request_span;
use crate::projection::Delta;
pub use admission::{LiveConnections, check as check_limits};
pub use audience::Audience;
pub use backlog::Backlog;
pub use input::check as check_input;
pub use outbox::measure;
pub use view::{PersonalData, item_in};

/// Most packets queued in a connection. Without `batch`, a tick is many packets.
const MAX_PACKETS: usize = 256;
/// The interval of Engine.IO's pings.
const PING_INTERVAL: Duration = Duration::from_secs(25);
/// Largest long-polling payload, in bytes; a snapshot of large orders must fit. [`input`] limits the payloads of
/// clients.
const MAX_PAYLOAD: u64 = 8 << 20;
/// Shortest pause between two ticks.
const MIN_PAUSE: Duration = Duration::from_millis(10);
const MAX_PAUSE: Duration = Duration::from_millis(100);
/// How often totals and status are checked.
const STATUS_INTERVAL: Duration = Duration::from_millis(250);

/// The layer that serves `/socket.io`, and the handle that closes it.
pub fn layer(app: &Arc<AppState>) -> (SocketIoLayer, SocketIo) {
    let (layer, io) = SocketIo::builder()
        .max_buffer_size(MAX_PACKETS)
        .ping_interval(PING_INTERVAL)
        .max_payload(MAX_PAYLOAD)
        .connect_timeout(JOIN_TIMEOUT)
        .with_state(Arc::clone(app))
        .build_layer();
    // Admission identifies the caller, who is stored for the handler.
    let admit = async |socket: SocketRef, auth: TryData<dto::Auth>, State(app): State<Arc<AppState>>| {
        let token = auth.0.ok().and_then(|auth| auth.token);
        let caller = credentials::admit(&app, socket.req_parts(), token.as_ref()).await?;
        socket.extensions.insert(caller);
        Ok::<(), credentials::Rejection>(())
    };
    let serve = async |socket: SocketRef, auth: TryData<dto::Auth>, State(app): State<Arc<AppState>>| {
        // An invalid `auth` counts as absent; the client then receives the default messages.
        let auth = auth.0.unwrap_or_default();
        let span = match tracing::enabled!(tracing::Level::DEBUG) {
            true => debug_span!("live", id = request_span::next_id(), batch = auth.batch),
            false => Span::none(),
        };
        socket::serve(&socket, auth, &app).instrument(span).await;
    };
    io.ns("/", serve.with(admit));
    (layer, io)
}

/// The task that produces the ticks.
pub struct LiveFeed {
    pub app: Arc<AppState>,
}

impl LiveFeed {
    /// Runs until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let (sender, status) = watch::channel(None);
        tokio::select! {
            () = self.make_ticks(status, stop) => {}
            () = self.watch_status(sender) => {}
            () = self.watch_credentials() => {}
        }
    }

    /// Publishes changes of the credentials to the live connections, which then close if their session has ended.
    async fn watch_credentials(&self) {
        match self.app.access.accounts() {
            Some(accounts) => credentials::watch_credentials(accounts, &self.app.audience.credentials).await,
            None => std::future::pending().await,
        }
    }

    async fn make_ticks(
        &self,
        mut status: watch::Receiver<Option<dto::GatewayStatus>>,
        stop: CancellationToken,
    ) {
        let Some(mut deltas) = self.app.projection.subscribe() else {
            return;
        };
        let mut stats_interval = tokio::time::interval(STATUS_INTERVAL);
        stats_interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut backlog_interval = tokio::time::interval(backlog::INTERVAL);
        let mut pending = PendingTick::new();
        loop {
            let due = pending.due();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = sleep_until(due) => {
                    while let Ok(delta) = deltas.try_recv() {
                        pending.deltas.push(delta);
                    }
                    self.tick(&mut pending, None);
                }
                delta = deltas.recv() => match delta {
                    // Nobody is listening. A client that connects later is counted before it reads the state, so its
                    // state contains the delta.
                    Ok(_) if self.app.audience.count() == 0 => pending.are_stats_due = true,
                    Ok(delta) => pending.deltas.push(delta),
                    Err(RecvError::Lagged(_)) => pending.has_gap = true,
                    Err(RecvError::Closed) => break,
                },
                Ok(()) = status.changed() => {
                    let status = status.borrow_and_update().clone();
                    self.tick(&mut pending, status);
                }
                _ = stats_interval.tick() => {
                    let interval = status_interval(self.app.audience.count());
                    if pending.are_stats_due && pending.stats_at.elapsed() >= interval {
                        self.tick(&mut pending, None);
                    }
                }
                _ = backlog_interval.tick() => {
                    self.app.backlog.record(self.app.journal.state().pending());
                    if let Some(uplink) = self.app.uplink.clone() {
                        tokio::task::spawn_blocking(move || uplink.tick());
                    }
                    self.app.live.snapshots.forget_old();
                }
            }
        }
    }

    /// Polls the state that changes without a delta: the connections and the journal. Runs concurrently with
    /// `make_ticks`, because it waits for the disk.
    async fn watch_status(&self, sender: watch::Sender<Option<dto::GatewayStatus>>) {
        loop {
            let audience = self.app.audience.count();
            tokio::time::sleep(status_interval(audience)).await;
            if audience == 0 {
                sender.send_if_modified(|latest| {
                    *latest = None;
                    false
                });
                continue;
            }
            match gateway_status(&self.app).await {
                Ok(status) => {
                    sender.send_if_modified(|latest| {
                        let before = latest.replace(status);
                        before != *latest
                    });
                }
                Err(error) => {
                    debug!(%error, "the gateway status could not be read; live connections keep the last one")
                }
            }
        }
    }

    fn tick(&self, pending: &mut PendingTick, status: Option<dto::GatewayStatus>) {
        let deltas = std::mem::take(&mut pending.deltas);
        let has_gap = std::mem::take(&mut pending.has_gap);
        let audience = &self.app.audience;
        let count = audience.count();
        pending.previous = Instant::now();
        pending.are_stats_due |= has_gap || !deltas.is_empty();
        if count == 0 {
            return;
        }
        let mut stats = None;
        if pending.are_stats_due && pending.stats_at.elapsed() >= status_interval(count) {
            pending.are_stats_due = false;
            pending.stats_at = Instant::now();
            stats = Some(stats_of(&self.app.projection.view().totals, self.app.currency));
        }
        let mut tick = tick::render(&self.app, &deltas, stats, status);
        tick.has_gap |= has_gap;
        pending.pause = pause(tick.events, count);
        audience.ticks.push(tick);
    }
}

/// The pause before the next tick. It grows with the load, because every tick costs one packet per client.
fn pause(events: usize, clients: usize) -> Duration {
    let cost = Duration::from_micros(1_000 * events as u64 + 100 * clients as u64);
    cost.clamp(MIN_PAUSE, MAX_PAUSE)
}

/// How often totals and status are sent. The interval grows with the number of clients, because both are large compared
/// with an event.
fn status_interval(clients: usize) -> Duration {
    STATUS_INTERVAL + Duration::from_millis(clients as u64)
}

/// The contents of the next tick.
struct PendingTick {
    deltas: Vec<Arc<Delta>>,
    /// Whether deltas were lost, so that every client needs the state again.
    has_gap: bool,
    /// When the previous tick was made.
    previous: Instant,
    pause: Duration,
    are_stats_due: bool,
    /// When the totals were last sent.
    stats_at: Instant,
}

impl PendingTick {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            deltas: Vec::new(),
            has_gap: false,
            previous: now,
            pause: MIN_PAUSE,
            are_stats_due: false,
            stats_at: now,
        }
    }

    fn due(&self) -> Option<Instant> {
        (self.has_gap || !self.deltas.is_empty()).then(|| self.previous + self.pause)
    }
}

/// Waits until `due`, or forever if it is `None`.
async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
