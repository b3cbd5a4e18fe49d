//! The open connections of the HTTP port: how many there may be, and which of them are closed in favour of others.
//!
//! A connection that asks nothing costs a descriptor and some memory. Without a limit, anybody on the network could take
//! all descriptors, and the gateway could no longer reach MQTT, SQLite and Kafka. So HTTP has at most half of them. If that
//! limit is reached, a connection that waits for a request is closed in favour of the new one: of the sender with the most
//! connections, the one that waits the longest. So a flood displaces itself: one connection more, from
//! however many addresses, is not refused because of those that only hold connections open. Connections that are answered,
//! and live connections, are not closed. A WebSocket whose client does not join, or sends more than a page does, is.

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

/// Connections in all, if there are descriptors for them. A shop has a few dozen; the memory of this many idle ones is a
/// tenth of the unit's limit.
const MAX_CONNECTIONS: usize = 4_096;
/// Connections of one sender: a proxy on another machine has this many visitors, a browser has six connections.
const MAX_PER_SENDER: usize = 256;
/// From the beginning of a request, or of the connection, to the end of the request's head. Long enough for a phone at the
/// edge of the shop's Wi-Fi.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may wait for its next request. Longer than nginx keeps idle connections (60 s), because a request
/// that crosses with the close of its connection fails.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// How long a WebSocket may take to become a live connection.
pub const JOIN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may take no byte of what is being sent to it.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes that a client may send over its WebSocket, besides [`WEBSOCKET_BYTES_PER_SECOND`]. What it sends is kept until a message
/// is complete. A page sends a few hundred bytes when it joins, and answers pings.
const WEBSOCKET_BYTES: u64 = 64 << 10;
/// Three times what the answers to pings need.
const WEBSOCKET_BYTES_PER_SECOND: u64 = 1;
/// Bytes that a client sends over a WebSocket before it takes the place of its polling connection: the frame `2probe`.
const PROBE_BYTES: u64 = 12;
/// Closed connections whose tasks have not ended yet. If there are more, no connection is accepted for a moment.
const MAX_CLOSING: usize = 64;
/// If the limit is reached, one in so many connections is closed at once, so that the search for them is seldom.
const CLOSED_AT_ONCE: usize = 64;

#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    pub total: usize,
    pub per_sender: usize,
    pub head: Duration,
    pub idle: Duration,
    pub stall: Duration,
    /// From the upgrade to a WebSocket until its client has joined.
    pub join: Duration,
}

impl ConnectionLimits {
    /// The limits of a process that may open this many files.
    pub fn new(descriptors: usize) -> Self {
        // The other half is for ingest: MQTT, the journal, Kafka.
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

/// What a connection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The handshake, or the head of a request, is being received.
    Head,
    /// A request is being answered.
    Answering,
    /// Waits for the next request.
    Idle,
    /// A WebSocket.
    Upgraded,
}

/// One open connection.
#[derive(Debug)]
pub struct OpenConnection {
    client: ClientAddress,
    /// With the time since when.
    phase: Mutex<(Phase, Instant)>,
    close: CancellationToken,
    /// Bytes that were written to the client.
    written: AtomicU64,
    /// Bytes that were read since the connection has become a WebSocket.
    received: AtomicU64,
    /// Whether the WebSocket belongs to a client that has joined.
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

    /// Cancelled when the connection is to be closed.
    pub fn closing(&self) -> &CancellationToken {
        &self.close
    }

    /// Bytes that were written to the client, as far as the kernel has taken them.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// The handshake is complete: the head of the first request has its own time.
    pub fn await_request(&self) {
        self.enter(Phase::Head);
    }

    /// Whether no request is complete, so that the connection can be dropped without an answer.
    pub fn is_receiving_head(&self) -> bool {
        self.phase().0 == Phase::Head
    }

    /// Whether it is a WebSocket.
    fn is_upgraded(&self) -> bool {
        self.phase().0 == Phase::Upgraded
    }

    /// A request has arrived. The returned value is dropped when it is answered.
    pub fn begin_request(self: &Arc<Self>) -> RequestInProgress {
        self.enter(Phase::Answering);
        RequestInProgress(Arc::clone(self))
    }

    /// The WebSocket belongs to a client that has joined.
    pub fn note_joined(&self) {
        self.has_joined.store(true, Ordering::Relaxed);
    }

    /// Whether this is a WebSocket that nobody uses, or not yet.
    fn is_unused(&self) -> bool {
        !self.has_joined.load(Ordering::Relaxed) || self.received.load(Ordering::Relaxed) < PROBE_BYTES
    }

    /// Notes bytes that were read.
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

/// A client has sent more over its WebSocket than any has to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TooMuchInput;

/// A request that is being answered.
#[derive(Debug)]
pub struct RequestInProgress(Arc<OpenConnection>);

impl RequestInProgress {
    /// The connection has become a WebSocket.
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
    /// Connections whose sockets exist, including those that are being closed.
    sockets: AtomicUsize,
    socket_closed: Notify,
    /// Counts the turns of the loop that accepts connections.
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

    /// Closes at most `count` connections that wait for a request, of `of` or of the sender with the most connections,
    /// those first that wait the longest. Returns how many.
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

/// A connection's place among those that are allowed. Dropping it frees the place.
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
        // A panic in another thread leaves the table consistent: no change above can panic half way.
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

    /// Gives a new connection a place; `None` if there is none, and the connection must be dropped.
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

    /// Closes the connections that have waited for too long. Called twice a second, by the loop that accepts connections.
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

    /// Closes all connections: those that wait for a request at once, the others when they are answered.
    pub fn close_all(&self) {
        for connection in self.lock().open.values() {
            connection.close.cancel();
        }
    }

    /// How often the loop that accepts connections has turned, about twice a second.
    pub fn turns(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
pub(in crate::http) mod tests {
    use super::*;

    const LIMITS: ConnectionLimits = ConnectionLimits {
        total: 4,
        per_sender: 3,
        head: Duration::ZERO,
        idle: Duration::from_secs(3_600),
        stall: Duration::from_secs(3_600),
        join: Duration::ZERO,
    };

    pub fn connections() -> Arc<Connections> {
        Connections::new(LIMITS, Arc::new(Metrics::new().unwrap()))
    }

    fn client(address: &str) -> ClientAddress {
        ClientAddress::new(address.parse().unwrap())
    }

    fn is_closed(slot: &Slot) -> bool {
        slot.connection().closing().is_cancelled()
    }

    #[test]
    fn http_has_at_most_half_of_the_descriptors() {
        for (descriptors, total, per_sender) in [
            (1, 1, 1),
            (1_024, 512, 128),
            (8_192, 4_096, 256),
            (1 << 20, 4_096, 256),
        ] {
            let limits = ConnectionLimits::new(descriptors);
            assert_eq!(
                (limits.total, limits.per_sender),
                (total, per_sender),
                "{descriptors}"
            );
        }
    }

    #[test]
    fn a_flood_from_one_address_displaces_its_own_oldest_connection() {
        let connections = connections();
        let other = connections.admit(client("192.168.1.1")).unwrap();
        let flood: Vec<_> = (0..3)
            .map(|_| connections.admit(client("10.0.0.1")).unwrap())
            .collect();
        let more = connections.admit(client("10.0.0.1")).unwrap();
        let closed: Vec<bool> = flood.iter().map(is_closed).collect();
        assert_eq!(closed, [true, false, false]);
        assert!(!is_closed(&other) && !is_closed(&more));
        assert_eq!(connections.count(), 4);
    }

    #[test]
    fn if_all_places_are_taken_the_sender_with_the_most_waiting_connections_gives_one_up() {
        let connections = connections();
        let first = connections.admit(client("192.168.1.1")).unwrap();
        let flood: Vec<_> = (0..3)
            .map(|_| connections.admit(client("127.0.0.1")).unwrap())
            .collect();
        let newcomer = connections.admit(client("192.168.1.2")).unwrap();
        assert!(
            !is_closed(&first),
            "the oldest connection, but of a sender that has only this one"
        );
        let closed: Vec<bool> = flood.iter().map(is_closed).collect();
        assert_eq!(closed, [true, false, false]);
        assert!(!is_closed(&newcomer));
    }

    #[test]
    fn a_connection_that_is_answered_or_live_is_not_closed() {
        let connections = connections();
        let slots: Vec<_> = (0..4)
            .map(|_| connections.admit(client("127.0.0.1")).unwrap())
            .collect();
        let requests: Vec<_> = slots
            .iter()
            .map(|slot| slot.connection().begin_request())
            .collect();
        requests[0].upgrade();
        assert!(
            connections.admit(client("192.168.1.2")).is_none(),
            "there is nothing to close"
        );
        drop(requests);
        assert!(connections.admit(client("192.168.1.2")).is_some());
        assert!(!is_closed(&slots[0]), "a WebSocket");
        assert!(is_closed(&slots[1]), "idle");
    }

    #[test]
    fn half_a_head_expires_and_an_idle_connection_has_longer() {
        let connections = connections();
        let half = connections.admit(client("192.168.1.1")).unwrap();
        let idle = connections.admit(client("192.168.1.1")).unwrap();
        drop(idle.connection().begin_request());
        let answering = connections.admit(client("192.168.1.1")).unwrap();
        let _request = answering.connection().begin_request();
        connections.close_expired();
        assert!(is_closed(&half) && !is_closed(&idle) && !is_closed(&answering));
        assert_eq!(idle.connection().note_read(1), Ok(()));
        connections.close_expired();
        assert!(
            is_closed(&idle),
            "a byte of the next request has arrived, and no more in time"
        );
    }

    #[test]
    fn a_websocket_whose_client_does_not_join_or_never_speaks_is_closed() {
        let connections = connections();
        let websocket = || {
            let slot = connections.admit(client("192.168.1.1")).unwrap();
            let request = slot.connection().begin_request();
            request.upgrade();
            slot
        };
        let (silent, stranger, page) = (websocket(), websocket(), websocket());
        // Its session has joined by polling, but it never takes the session over.
        silent.connection().note_joined();
        assert_eq!(stranger.connection().note_read(100), Ok(()));
        page.connection().note_joined();
        assert_eq!(page.connection().note_read(100), Ok(()));
        connections.close_expired();
        assert!(is_closed(&silent) && is_closed(&stranger) && !is_closed(&page));
    }

    #[test]
    fn a_websocket_that_sends_more_than_a_page_does_fails() {
        let connections = connections();
        let slot = connections.admit(client("192.168.1.1")).unwrap();
        let connection = slot.connection();
        assert_eq!(connection.note_read(1 << 20), Ok(()), "the body of a request");
        connection.begin_request().upgrade();
        assert_eq!(connection.note_read(WEBSOCKET_BYTES as usize), Ok(()));
        assert_eq!(connection.note_read(100), Err(TooMuchInput));
    }

    #[tokio::test]
    async fn nothing_is_accepted_while_closed_connections_keep_their_sockets() {
        let connections = connections();
        let slots: Vec<_> = (0..LIMITS.total + MAX_CLOSING)
            .map(|_| connections.admit(client("127.0.0.1")).unwrap())
            .collect();
        let short = Duration::from_millis(20);
        let waiting = tokio::time::timeout(short, connections.wait_for_descriptors()).await;
        assert!(waiting.is_err());
        drop(slots);
        connections.wait_for_descriptors().await;
        assert_eq!(connections.count(), 0);
    }
}
