//! The open connections of the HTTP port: their limits, and which of them are closed to make room.
//!
//! An idle connection costs a descriptor and some memory. Without a limit, anyone on the network could take all
//! descriptors, and the gateway could no longer reach MQTT, SQLite and Kafka. So HTTP gets at most half of them. At the
//! limit, a new connection displaces one that waits for a request: among those of the sender with the most connections,
//! the one that has waited longest. So a flood displaces itself, and connections that are merely held open, from
//! however many addresses, do not keep a new one out. Connections with a request in progress and live connections are
//! not displaced. A WebSocket is closed if its client does not join or sends more than a page does.

mod client;
mod stream;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::platform::metrics::{HttpLimit, Metrics};
pub use client::{ClientAddress, Sender};
pub use stream::ClientStream;

/// Most connections in total, if there are enough descriptors. A shop has a few dozen; when idle, this many take a
/// tenth of the unit's memory limit.
const MAX_CONNECTIONS: usize = 4_096;
/// Most connections of one sender. A proxy on another machine has as many visitors; a browser opens six.
const MAX_PER_SENDER: usize = 256;
/// Time from the start of a request, or of the connection, to the end of the request's head. Long enough for a phone at
/// the edge of the shop's Wi-Fi.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may wait for its next request. Longer than nginx's idle timeout (60 s), because a request
/// fails if it crosses with the close of its connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// How long a WebSocket may take to become a live connection.
pub const JOIN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may go without reading any byte of its pending data.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes that a client may send over its WebSocket, in addition to [`WEBSOCKET_BYTES_PER_SECOND`]. Input is buffered
/// until a message is complete. A page sends a few hundred bytes when it joins, and then only pongs.
const WEBSOCKET_BYTES: u64 = 64 << 10;
/// Three times the rate of the pongs.
const WEBSOCKET_BYTES_PER_SECOND: u64 = 1;
/// Bytes that a client sends over a WebSocket before the WebSocket replaces its polling connection: the frame `2probe`.
const PROBE_BYTES: u64 = 12;
/// Most closed connections whose tasks have not ended yet. Above it, accepting pauses briefly.
const MAX_CLOSING: usize = 64;
/// At the limit, one in this many connections is closed at once, so that the search for them is rare.
const CLOSED_AT_ONCE: usize = 64;

#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    pub total: usize,
    pub per_sender: usize,
    pub head: Duration,
    pub idle: Duration,
    pub stall: Duration,
    /// From the upgrade to a WebSocket until its client must have joined.
    pub join: Duration,
}

impl ConnectionLimits {
    /// The limits for a process that may open this many files.
    pub fn new(descriptors: usize) -> Self {
        // The other half is reserved for ingest: MQTT, the journal, Kafka.
        let total = (descriptors / 2).clamp(1, MAX_CONNECTIONS);
        Self {
            total,
            per_sender: MAX_PER_SENDER.min(total.div_ceil(4)),
            head: HEAD_TIMEOUT,
            idle: IDLE_TIMEOUT,
            stall: STALL_TIMEOUT,
            join: JOIN_TIMEOUT,
        }
    }
}

/// The phase of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Receiving the TLS handshake or the head of a request.
    Head,
    /// A request is in progress.
    Answering,
    /// Waiting for the next request.
    Idle,
    /// Upgraded to a WebSocket.
    Upgraded,
}

/// One open connection.
#[derive(Debug)]
pub struct OpenConnection {
    client: ClientAddress,
    /// The phase, and when it began.
    phase: Mutex<(Phase, Instant)>,
    close: CancellationToken,
    /// Bytes written to the client.
    written: AtomicU64,
    /// Bytes read since the upgrade to a WebSocket.
    received: AtomicU64,
    /// Whether the client of the WebSocket has joined.
    has_joined: AtomicBool,
}

impl OpenConnection {
    fn phase(&self) -> MutexGuard<'_, (Phase, Instant)> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, phase: Phase) {
        *self.phase() = (phase, Instant::now());
    }

    pub fn client(&self) -> ClientAddress {
        self.client
    }

    /// Cancelled to close the connection.
    pub fn closing(&self) -> &CancellationToken {
        &self.close
    }

    /// Bytes written to the client that the kernel has accepted.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Called after the handshake: the head of the first request has its own timeout.
    pub fn await_request(&self) {
        self.enter(Phase::Head);
    }

    /// Whether no request is complete, so that the connection can be dropped without a response.
    pub fn is_receiving_head(&self) -> bool {
        self.phase().0 == Phase::Head
    }

    /// Whether it is a WebSocket.
    fn is_upgraded(&self) -> bool {
        self.phase().0 == Phase::Upgraded
    }

    /// Called when a request has arrived. Drop the returned value when the response is sent.
    pub fn begin_request(self: &Arc<Self>) -> RequestInProgress {
        self.enter(Phase::Answering);
        RequestInProgress(Arc::clone(self))
    }

    /// Called when the client of the WebSocket has joined.
    pub fn note_joined(&self) {
        self.has_joined.store(true, Ordering::Relaxed);
    }

    /// Whether this WebSocket is not in use, or not in use yet.
    fn is_unused(&self) -> bool {
        !self.has_joined.load(Ordering::Relaxed) || self.received.load(Ordering::Relaxed) < PROBE_BYTES
    }

    /// Counts bytes read from the client.
    ///
    /// # Errors
    /// A WebSocket has sent too much.
    fn note_read(&self, bytes: usize) -> Result<(), TooMuchInput> {
        let mut phase = self.phase();
        match phase.0 {
            Phase::Idle => *phase = (Phase::Head, Instant::now()),
            Phase::Upgraded => {
                let received = self.received.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
                let allowed = WEBSOCKET_BYTES + WEBSOCKET_BYTES_PER_SECOND * phase.1.elapsed().as_secs();
                if received > allowed {
                    return Err(TooMuchInput);
                }
            }
            Phase::Head | Phase::Answering => {}
        }
        Ok(())
    }

    fn note_written(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// A client has sent more over its WebSocket than it needs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TooMuchInput;

/// Marks a request as in progress until it is dropped.
#[derive(Debug)]
pub struct RequestInProgress(Arc<OpenConnection>);

impl RequestInProgress {
    /// Called when the connection becomes a WebSocket.
    pub fn upgrade(&self) {
        self.0.enter(Phase::Upgraded);
    }
}

impl Drop for RequestInProgress {
    fn drop(&mut self) {
        let mut phase = self.0.phase();
        if phase.0 == Phase::Answering {
            *phase = (Phase::Idle, Instant::now());
        }
    }
}

/// The open connections.
pub struct Connections {
    limits: ConnectionLimits,
    metrics: Arc<Metrics>,
    table: Mutex<Table>,
    /// Connections with an open socket, including those being closed.
    sockets: AtomicUsize,
    socket_closed: Notify,
    /// Counts the turns of the accept loop.
    turns: AtomicU64,
}

#[derive(Default)]
struct Table {
    next: u64,
    open: HashMap<u64, Arc<OpenConnection>>,
    by_sender: HashMap<Sender, usize>,
}

impl Table {
    fn count(&self, sender: Sender) -> usize {
        self.by_sender.get(&sender).copied().unwrap_or(0)
    }

    fn insert(&mut self, connection: Arc<OpenConnection>) -> u64 {
        *self.by_sender.entry(connection.client.sender()).or_default() += 1;
        let id = self.next;
        self.next += 1;
        self.open.insert(id, connection);
        id
    }

    fn remove(&mut self, id: u64) -> Option<Arc<OpenConnection>> {
        let connection = self.open.remove(&id)?;
        let sender = connection.client.sender();
        if let Some(count) = self.by_sender.get_mut(&sender) {
            *count -= 1;
            if *count == 0 {
                self.by_sender.remove(&sender);
            }
        }
        Some(connection)
    }

    /// Closes at most `count` connections that wait for a request, the longest-waiting first: those of the sender `of`,
    /// or of the sender with the most connections. Returns how many were closed.
    fn displace(&mut self, of: Option<Sender>, count: usize) -> usize {
        let mut waiting: Vec<_> = self
            .open
            .iter()
            .filter(|(_, connection)| of.is_none_or(|of| connection.client.sender() == of))
            .filter_map(|(id, connection)| {
                let (phase, since) = *connection.phase();
                let sender = connection.client.sender();
                matches!(phase, Phase::Head | Phase::Idle).then_some((*id, sender, since))
            })
            .collect();
        let busiest = waiting.iter().map(|(_, sender, _)| self.count(*sender)).max();
        waiting.retain(|(_, sender, _)| Some(self.count(*sender)) == busiest);
        waiting.sort_by_key(|(_, _, since)| *since);
        waiting.truncate(count);
        for (id, ..) in &waiting {
            self.close(*id);
        }
        waiting.len()
    }

    fn close(&mut self, id: u64) {
        if let Some(connection) = self.remove(id) {
            connection.close.cancel();
        }
    }
}

/// A connection's slot within the limits. Dropping the last clone frees it.
#[derive(Clone)]
pub struct Slot(Arc<Place>);

struct Place {
    id: u64,
    connection: Arc<OpenConnection>,
    connections: Arc<Connections>,
}

impl Slot {
    pub fn connection(&self) -> &Arc<OpenConnection> {
        &self.0.connection
    }

    pub fn stall_limit(&self) -> Duration {
        self.0.connections.limits.stall
    }

    fn note_limit(&self, limit: HttpLimit) {
        self.0.connections.metrics.http_limit(limit);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.lock().remove(self.id);
        self.connections.sockets.fetch_sub(1, Ordering::SeqCst);
        self.connections.socket_closed.notify_waiters();
    }
}

impl Connections {
    pub fn new(limits: ConnectionLimits, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            limits,
            metrics,
            table: Mutex::default(),
            sockets: AtomicUsize::new(0),
            socket_closed: Notify::new(),
            turns: AtomicU64::new(0),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // A panic in another thread leaves the table consistent: no change above can panic halfway.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn limits(&self) -> ConnectionLimits {
        self.limits
    }

    pub fn count(&self) -> usize {
        self.lock().open.len()
    }

    /// The number of WebSockets, of one sender or of all.
    pub fn websockets(&self, of: Option<Sender>) -> usize {
        self.count_of(of, OpenConnection::is_upgraded)
    }

    /// The number of WebSockets whose clients have not joined, of one sender or of all.
    pub fn unjoined(&self, of: Option<Sender>) -> usize {
        self.count_of(of, |connection| {
            connection.is_upgraded() && connection.is_unused()
        })
    }

    fn count_of(&self, of: Option<Sender>, is_counted: impl Fn(&OpenConnection) -> bool) -> usize {
        let table = self.lock();
        let connections = table.open.values();
        connections
            .filter(|connection| of.is_none_or(|of| connection.client.sender() == of))
            .filter(|connection| is_counted(connection))
            .count()
    }

    /// Waits while many closed connections still have their sockets.
    pub async fn wait_for_descriptors(&self) {
        loop {
            let closed = self.socket_closed.notified();
            if self.sockets.load(Ordering::SeqCst) < self.limits.total + MAX_CLOSING {
                return;
            }
            closed.await;
        }
    }

    /// Gives a new connection a slot; `None` if there is none, and the connection must be dropped.
    pub fn admit(self: &Arc<Self>, client: ClientAddress) -> Option<Slot> {
        let sender = client.sender();
        let mut table = self.lock();
        if sender != Sender::Loopback && table.count(sender) >= self.limits.per_sender {
            self.metrics.http_limit(HttpLimit::ConnectionsPerAddress);
            if table.displace(Some(sender), 1) == 0 {
                return None;
            }
        }
        if table.open.len() >= self.limits.total {
            self.metrics.http_limit(HttpLimit::Connections);
            if table.displace(None, self.limits.total.div_ceil(CLOSED_AT_ONCE)) == 0 {
                return None;
            }
        }
        let connection = Arc::new(OpenConnection {
            client,
            phase: Mutex::new((Phase::Head, Instant::now())),
            close: CancellationToken::new(),
            written: AtomicU64::new(0),
            received: AtomicU64::new(0),
            has_joined: AtomicBool::new(false),
        });
        let id = table.insert(Arc::clone(&connection));
        self.sockets.fetch_add(1, Ordering::SeqCst);
        Some(Slot(Arc::new(Place {
            id,
            connection,
            connections: Arc::clone(self),
        })))
    }

    /// Closes the connections that have waited too long. The accept loop calls this twice a second.
    pub fn close_expired(&self) {
        self.turns.fetch_add(1, Ordering::Relaxed);
        let mut table = self.lock();
        let expired: Vec<(u64, HttpLimit)> = table
            .open
            .iter()
            .filter_map(|(id, connection)| {
                let (phase, since) = *connection.phase();
                let (limit, reached) = match phase {
                    Phase::Head => (self.limits.head, HttpLimit::HeadTimeout),
                    Phase::Idle => (self.limits.idle, HttpLimit::IdleTimeout),
                    Phase::Upgraded if connection.is_unused() => (self.limits.join, HttpLimit::JoinTimeout),
                    Phase::Answering | Phase::Upgraded => return None,
                };
                (since.elapsed() >= limit).then_some((*id, reached))
            })
            .collect();
        for (id, reached) in expired {
            self.metrics.http_limit(reached);
            table.close(id);
        }
    }

    /// Closes all connections: those that wait for a request at once, the others when their response is sent.
    pub fn close_all(&self) {
        for connection in self.lock().open.values() {
            connection.close.cancel();
        }
    }

    /// Number of turns of the accept loop, about two per second.
    pub fn turns(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
pub(in crate::http) mod tests;
