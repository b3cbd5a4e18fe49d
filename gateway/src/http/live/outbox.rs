//! Bounds the amount and the age of the data that waits in the gateway for a live connection.
//!
//! Engine.IO's own buffer counts packets, which may be large, and does not report when one has left it. So the
//! connection itself measures what has left the gateway: the bytes written to a WebSocket, and the bytes fetched by
//! polling.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use axum::body::HttpBody as _;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::Response;

use crate::http::AppState;
use crate::http::connections::OpenConnection;

/// Most bytes that may wait for one client before the next packet is sent. A single larger packet may wait too.
const MAX_WAITING: u64 = 64 << 10;
/// How long a client may read nothing while data waits for it. A healthy client that is this slow reconnects and gets
/// the state again.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of a packet in addition to its event name and its data: `42["",]`. Must not exceed the real number, or a
/// packet would seem to wait forever; the WebSocket frame header comes on top.
const PACKET_OVERHEAD: u64 = 7;

/// Measures how much one live connection has read.
#[derive(Debug, Default)]
pub struct Meter {
    /// Bytes fetched by polling.
    polled: AtomicU64,
    /// Its WebSocket, with the bytes written to that connection before the upgrade.
    socket: Mutex<Option<(Arc<OpenConnection>, u64)>>,
}

impl Meter {
    fn socket(&self) -> MutexGuard<'_, Option<(Arc<OpenConnection>, u64)>> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Called when the connection becomes a WebSocket.
    pub fn set_socket(&self, connection: Arc<OpenConnection>) {
        let before = connection.written();
        connection.note_joined();
        *self.socket() = Some((connection, before));
    }

    fn taken(&self) -> u64 {
        let written = self
            .socket()
            .as_ref()
            .map_or(0, |(socket, before)| socket.written() - before);
        self.polled.load(Ordering::Relaxed) + written
    }
}

/// The meters of all live connections.
#[derive(Debug, Default)]
pub struct Meters(Mutex<Sessions>);

/// Indexed by Engine.IO session.
#[derive(Debug, Default)]
struct Sessions {
    meters: HashMap<String, Arc<Meter>>,
    /// The WebSockets of sessions that began with polling. Some clients join only after the upgrade.
    sockets: HashMap<String, Weak<OpenConnection>>,
}

impl Meters {
    fn lock(&self) -> MutexGuard<'_, Sessions> {
        // A panic in another thread leaves the maps consistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a meter for a session until the returned value is dropped. `own` is its WebSocket if it began with
    /// one.
    pub fn register(&self, session: String, own: Option<&Arc<OpenConnection>>) -> RegisteredMeter<'_> {
        let meter = Arc::new(Meter::default());
        let mut sessions = self.lock();
        let upgraded = sessions.sockets.get(&session).and_then(Weak::upgrade);
        if let Some(socket) = upgraded.or_else(|| own.cloned()) {
            meter.set_socket(socket);
        }
        sessions.meters.insert(session.clone(), Arc::clone(&meter));
        drop(sessions);
        RegisteredMeter {
            meters: self,
            session,
            meter,
        }
    }

    /// Whether the session's client has joined.
    pub fn has_joined(&self, session: &str) -> bool {
        self.lock().meters.contains_key(session)
    }

    fn find(&self, session: &str) -> Option<Arc<Meter>> {
        self.lock().meters.get(session).cloned()
    }

    /// Called when a session that began with polling becomes a WebSocket.
    fn upgrade(&self, session: &str, socket: Arc<OpenConnection>) {
        let mut sessions = self.lock();
        sessions.sockets.retain(|_, socket| socket.strong_count() > 0);
        sessions
            .sockets
            .insert(session.to_owned(), Arc::downgrade(&socket));
        if let Some(meter) = sessions.meters.get(session) {
            meter.set_socket(socket);
        }
    }
}

pub struct RegisteredMeter<'a> {
    meters: &'a Meters,
    session: String,
    pub meter: Arc<Meter>,
}

impl Drop for RegisteredMeter<'_> {
    fn drop(&mut self) {
        self.meters.lock().meters.remove(&self.session);
    }
}

/// Middleware: records how much Engine.IO sessions fetch by polling, and when they upgrade to WebSockets.
pub async fn measure(State(app): State<Arc<AppState>>, request: Request, next: Next) -> Response {
    let Some(session) = session(&request).map(str::to_owned) else {
        return next.run(request).await;
    };
    let is_poll = request.method() == Method::GET;
    let connection = request.extensions().get::<Arc<OpenConnection>>().cloned();
    let response = next.run(request).await;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        if let Some(connection) = connection {
            app.live.meters.upgrade(&session, connection);
        }
    } else if is_poll
        // Looked up only now: a client polls before it has joined, and gets the state with that poll.
        && let Some(meter) = app.live.meters.find(&session)
    {
        let bytes = response.body().size_hint().lower();
        meter.polled.fetch_add(bytes, Ordering::Relaxed);
    }
    response
}

/// The Engine.IO session that a request belongs to.
pub fn session(request: &Request) -> Option<&str> {
    let query = request.uri().query()?;
    let is_live = request.uri().path().starts_with("/socket.io");
    is_live
        .then(|| query.split('&').find_map(|pair| pair.strip_prefix("sid=")))
        .flatten()
}

/// Whether the request with these headers opened its session with a WebSocket.
pub fn begins_with_websocket(request: &Parts) -> bool {
    is_websocket(&request.uri)
}

fn is_websocket(uri: &Uri) -> bool {
    let query = uri.query().unwrap_or_default();
    query.split('&').any(|pair| pair == "transport=websocket")
}

/// The session that this request would upgrade from polling to a WebSocket.
pub fn upgraded_session(request: &Request) -> Option<&str> {
    session(request).filter(|_| is_websocket(request.uri()))
}

/// Whether a request would open a new live connection.
pub fn opens_session(request: &Request) -> bool {
    request.uri().path().starts_with("/socket.io") && session(request).is_none()
}

/// Tracks the unread data of one live connection.
pub struct Outbox {
    meter: Arc<Meter>,
    sent: u64,
    /// The bytes read when that number last changed, and the time of the change.
    progress: (u64, Instant),
}

/// The client has read nothing for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stalled;

impl Outbox {
    pub fn new(meter: Arc<Meter>) -> Self {
        Self {
            progress: (meter.taken(), Instant::now()),
            meter,
            sent: 0,
        }
    }

    /// A lower bound on a packet's bytes on the connection.
    pub fn size(event: &str, data: &str) -> u64 {
        (event.len() + data.len()) as u64 + PACKET_OVERHEAD
    }

    /// Records a packet. Must be called before Engine.IO gets it, because the client may read it at once.
    pub fn note_sent(&mut self, size: u64) {
        if self.waiting() == 0 {
            // Nothing was waiting, so the stall timeout starts now.
            self.progress.1 = Instant::now();
        }
        self.sent += size;
    }

    /// Reverts [`Outbox::note_sent`] for a packet that Engine.IO has not accepted.
    pub fn note_refused(&mut self, size: u64) {
        self.sent = self.sent.saturating_sub(size);
    }

    /// Bytes that wait in the gateway.
    pub fn waiting(&mut self) -> u64 {
        let taken = self.meter.taken();
        if taken != self.progress.0 {
            self.progress = (taken, Instant::now());
        }
        // `taken` also includes pings and the handshake. Levelling whenever nothing waits keeps them from accumulating.
        self.sent = self.sent.max(taken);
        self.sent - taken
    }

    /// Whether a packet of `size` bytes may be sent now.
    ///
    /// # Errors
    ///
    /// Data waits, and the client reads none of it.
    pub fn has_room(&mut self, size: u64) -> Result<bool, Stalled> {
        let waiting = self.waiting();
        if waiting == 0 || waiting + size <= MAX_WAITING {
            return Ok(true);
        }
        match self.progress.1.elapsed() < STALL_TIMEOUT {
            true => Ok(false),
            false => Err(Stalled),
        }
    }

    /// Whether the client has read everything.
    ///
    /// # Errors
    ///
    /// See [`Outbox::has_room`].
    pub fn is_empty(&mut self) -> Result<bool, Stalled> {
        self.has_room(MAX_WAITING + 1)
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;
    use crate::http::connections::ClientAddress;

    #[test]
    fn packets_wait_until_the_client_has_taken_the_ones_before() {
        let meter = Arc::new(Meter::default());
        let take = |bytes| meter.polled.fetch_add(bytes, Ordering::Relaxed);
        let mut outbox = Outbox::new(Arc::clone(&meter));
        assert_eq!(
            outbox.has_room(10 * MAX_WAITING),
            Ok(true),
            "one large packet may wait"
        );
        outbox.note_sent(10 * MAX_WAITING);
        assert_eq!(outbox.has_room(1), Ok(false));
        assert_eq!(outbox.is_empty(), Ok(false));
        take(9 * MAX_WAITING + 100);
        assert_eq!(outbox.has_room(100), Ok(true));
        assert_eq!(outbox.has_room(101), Ok(false));
        take(MAX_WAITING);
        assert_eq!((outbox.is_empty(), outbox.waiting()), (Ok(true), 0));
        outbox.note_sent(50);
        assert_eq!(
            outbox.waiting(),
            50,
            "what was taken besides does not count for later packets"
        );
    }

    #[test]
    fn the_size_of_a_packet_is_that_of_its_text() {
        let packet = r#"42["initial_data",{"orders":[]}]"#;
        assert_eq!(
            Outbox::size("initial_data", r#"{"orders":[]}"#),
            packet.len() as u64
        );
    }

    #[test]
    fn a_client_that_takes_nothing_is_stalled_after_a_while() {
        let meter = Arc::new(Meter::default());
        let mut outbox = Outbox::new(Arc::clone(&meter));
        outbox.note_sent(MAX_WAITING);
        let Some(long_ago) = Instant::now().checked_sub(STALL_TIMEOUT) else {
            return;
        };
        outbox.progress.1 = long_ago;
        assert_eq!(outbox.has_room(1), Err(Stalled));
        assert_eq!(outbox.has_room(0), Ok(true), "what fits does not ask");
        meter.polled.fetch_add(1, Ordering::Relaxed);
        assert_eq!(outbox.has_room(2), Ok(false), "it has taken a byte");
    }

    #[test]
    fn the_session_is_found_in_the_query() {
        let request = |uri: &str| Request::get(uri).body(Body::empty()).unwrap();
        let polling = request("/socket.io/?EIO=4&transport=polling&sid=abc&t=1");
        assert_eq!(session(&polling), Some("abc"));
        assert!(!opens_session(&polling));
        assert!(opens_session(&request("/socket.io/?EIO=4&transport=websocket")));
        assert_eq!(session(&request("/api/orders?sid=abc")), None);
        assert!(!opens_session(&request("/api/orders")));
    }

    #[test]
    fn a_meter_is_known_as_long_as_its_connection() {
        let meters = Meters::default();
        let registered = meters.register("abc".to_owned(), None);
        assert!(
            meters
                .find("abc")
                .is_some_and(|meter| Arc::ptr_eq(&meter, &registered.meter))
        );
        drop(registered);
        assert!(meters.find("abc").is_none());
    }

    #[test]
    fn a_client_that_joins_after_its_upgrade_is_measured_on_its_websocket() {
        let connections = crate::http::connections::tests::connections();
        let address = ClientAddress::new([127, 0, 0, 1].into());
        let polling = connections.admit(address).unwrap();
        let socket = connections.admit(address).unwrap();
        let meters = Meters::default();
        meters.upgrade("abc", Arc::clone(socket.connection()));
        let registered = meters.register("abc".to_owned(), Some(polling.connection()));
        let measured = registered
            .meter
            .socket()
            .as_ref()
            .map(|(socket, _)| Arc::clone(socket));
        assert!(Arc::ptr_eq(&measured.unwrap(), socket.connection()));
        // A session without an upgrade has its WebSocket from the start.
        let registered = meters.register("def".to_owned(), Some(polling.connection()));
        let measured = registered
            .meter
            .socket()
            .as_ref()
            .map(|(socket, _)| Arc::clone(socket));
        assert!(Arc::ptr_eq(&measured.unwrap(), polling.connection()));
    }
}
