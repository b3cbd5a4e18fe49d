//! Socket.IO: every page sees what happens, as it happens.
//!
//! The projection's deltas are gathered into ticks: at once when it is quiet, ten a second under load. A tick is
//! written as JSON once, for all. Each connection has a task of its own ([`socket`]) that sends the ticks as fast
//! as its client takes them. The last ticks are kept, once for all ([`history`]); one that falls behind those reads on
//! in the journal, or gets the newest state anew if it wants batches, so nobody's slowness costs memory or anybody
//! else's time.

mod history;
mod pace;
mod socket;
mod tick;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use socketioxide::SocketIo;
use socketioxide::extract::{SocketRef, State, TryData};
use socketioxide::layer::SocketIoLayer;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::status::{gateway_status, stats_of};
use super::{Shop, dto};
use crate::clock::Clock;
use crate::projection::Delta;
use history::History;

/// Packets that wait in a connection; a tick without `batch` is many.
const PACKETS: usize = 256;
/// After so long each client is asked whether it lives.
const PING: Duration = Duration::from_secs(25);
/// Of long polling: a snapshot of large orders must fit.
const MAX_PAYLOAD: u64 = 8 << 20;
/// Between two ticks.
const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_millis(100);
/// How often totals and state are looked at.
const BEAT: Duration = Duration::from_millis(250);
/// Of the backlog's history: one point each, for an hour.
const POINT: Duration = Duration::from_secs(10);
const POINTS: usize = 360;

/// Who listens, and what they listen to.
#[derive(Default)]
pub struct Audience {
    ticks: History,
    each: AtomicUsize,
    batched: AtomicUsize,
}

impl Audience {
    fn seats(&self, batch: bool) -> &AtomicUsize {
        if batch { &self.batched } else { &self.each }
    }

    fn count(&self) -> usize {
        self.each.load(Ordering::SeqCst) + self.batched.load(Ordering::SeqCst)
    }

    /// Takes a seat, until it is dropped. Ticks are only written for whom there is a seat, so it is taken before
    /// the first look at the state.
    fn join(&self, batch: bool) -> Seat<'_> {
        let seats = self.seats(batch);
        seats.fetch_add(1, Ordering::SeqCst);
        Seat(seats)
    }
}

struct Seat<'a>(&'a AtomicUsize);

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// How much was not yet in Kafka, over the last hour.
#[derive(Default)]
pub struct Backlog(Mutex<VecDeque<(Instant, u64)>>);

impl Backlog {
    /// Oldest first, with their times by the clock as it is set now.
    pub fn points(&self, clock: &Clock) -> Vec<dto::BacklogPoint> {
        // A panic elsewhere leaves the points whole.
        let points = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let points = points.iter().map(|&(at, pending)| dto::BacklogPoint {
            at: clock.time_of(at),
            pending,
        });
        points.collect()
    }

    fn note(&self, pending: u64) {
        let mut points = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if points.len() == POINTS {
            points.pop_front();
        }
        points.push_back((Instant::now(), pending));
    }
}

/// The layer that answers `/socket.io`, and the handle that closes it.
pub fn layer(shop: &Arc<Shop>) -> (SocketIoLayer, SocketIo) {
    let (layer, io) = SocketIo::builder()
        .max_buffer_size(PACKETS)
        .ping_interval(PING)
        .max_payload(MAX_PAYLOAD)
        .with_state(Arc::clone(shop))
        .build_layer();
    io.ns(
        "/",
        async |socket: SocketRef, auth: TryData<dto::Auth>, State(shop): State<Arc<Shop>>| {
            // Whatever else somebody says when connecting, they get everything.
            let auth = auth.0.unwrap_or_default();
            socket::serve(&socket, auth, &shop).await;
        },
    );
    (layer, io)
}

/// The task that makes ticks.
pub struct Live {
    pub shop: Arc<Shop>,
}

impl Live {
    /// Runs until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let (told, status) = watch::channel(None);
        tokio::select! {
            () = self.ticks(status, stop) => {}
            () = self.look(told) => {}
        }
    }

    async fn ticks(&self, mut status: watch::Receiver<Option<dto::GatewayStatus>>, stop: CancellationToken) {
        let Some(mut deltas) = self.shop.projection.subscribe() else {
            return;
        };
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut point = tokio::time::interval(POINT);
        let mut gathered = Gathered::new();
        loop {
            let due = gathered.due();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = sleep_until(due) => {
                    while let Ok(delta) = deltas.try_recv() {
                        gathered.deltas.push(delta);
                    }
                    self.tick(&mut gathered, None);
                }
                delta = deltas.recv() => match delta {
                    // Who comes later is counted first and begins with the state, which has it.
                    Ok(_) if self.shop.audience.count() == 0 => gathered.stats_due = true,
                    Ok(delta) => gathered.deltas.push(delta),
                    Err(RecvError::Lagged(_)) => gathered.again = true,
                    Err(RecvError::Closed) => break,
                },
                Ok(()) = status.changed() => {
                    let status = status.borrow_and_update().clone();
                    self.tick(&mut gathered, status);
                }
                _ = beat.tick() => {
                    let patience = patience(self.shop.audience.count());
                    if gathered.stats_due && gathered.stats_at.elapsed() >= patience {
                        self.tick(&mut gathered, None);
                    }
                }
                _ = point.tick() => self.shop.backlog.note(self.shop.journal.state().pending()),
            }
        }
    }

    /// Looks at what changes without a delta: the links and the journal. Beside the ticks: it waits for the disk.
    async fn look(&self, told: watch::Sender<Option<dto::GatewayStatus>>) {
        loop {
            let audience = self.shop.audience.count();
            tokio::time::sleep(patience(audience)).await;
            if audience == 0 {
                told.send_if_modified(|told| {
                    *told = None;
                    false
                });
                continue;
            }
            match gateway_status(&self.shop).await {
                Ok(status) => {
                    told.send_if_modified(|told| {
                        let before = told.replace(status);
                        before != *told
                    });
                }
                Err(error) => debug!(%error, "the pages' state is late"),
            }
        }
    }

    fn tick(&self, gathered: &mut Gathered, status: Option<dto::GatewayStatus>) {
        let deltas = std::mem::take(&mut gathered.deltas);
        let again = std::mem::take(&mut gathered.again);
        let audience = &self.shop.audience;
        let count = audience.count();
        gathered.ticked = Instant::now();
        gathered.stats_due |= again || !deltas.is_empty();
        if count == 0 {
            return;
        }
        let mut stats = None;
        if gathered.stats_due && gathered.stats_at.elapsed() >= patience(count) {
            gathered.stats_due = false;
            gathered.stats_at = Instant::now();
            stats = Some(stats_of(&self.shop.projection.view().totals, self.shop.currency));
        }
        let mut tick = tick::render(&self.shop, &deltas, stats, status);
        tick.again |= again;
        gathered.pause = pause(tick.events, count);
        audience.ticks.push(tick);
    }
}

/// Under load, joined into fewer and larger ticks: every one costs each client a packet.
fn pause(events: usize, clients: usize) -> Duration {
    let cost = Duration::from_micros(1_000 * events as u64 + 100 * clients as u64);
    cost.clamp(SHORTEST, LONGEST)
}

/// Totals and state are large beside an event: they go less often the more clients there are.
fn patience(clients: usize) -> Duration {
    BEAT + Duration::from_millis(clients as u64)
}

/// What waits for the next tick.
struct Gathered {
    deltas: Vec<Arc<Delta>>,
    /// Deltas were lost: everybody needs the state anew.
    again: bool,
    ticked: Instant,
    pause: Duration,
    stats_due: bool,
    stats_at: Instant,
}

impl Gathered {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            deltas: Vec::new(),
            again: false,
            ticked: now,
            pause: SHORTEST,
            stats_due: false,
            stats_at: now,
        }
    }

    fn due(&self) -> Option<Instant> {
        (self.again || !self.deltas.is_empty()).then(|| self.ticked + self.pause)
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
