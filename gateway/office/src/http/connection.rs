//! One connection of the port. It ends if the head of a request does not arrive in time. A live one also ends if its client
//! stops reading, or sends more than a page does.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_send_buffer_size;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;

use super::listener::ClientPlace;
use super::origin::Peer;
use crate::live::Place;

/// How long the head of a request may take, and a new connection until its first one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may read nothing of what waits for it.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// The kernel's send buffer for a connection, in bytes. The default can be megabytes.
const SEND_BUFFER: usize = 128 << 10;
/// Bytes that the client of a live connection may send, in addition to one for each second. Input is buffered until a
/// message is complete. A page sends a few hundred bytes when it joins, and then only pongs.
const LIVE_INPUT: u64 = 64 << 10;

/// A connection, as handlers see it.
#[derive(Debug, Clone)]
pub struct ClientConnection {
    peer: Peer,
    live: Arc<OnceLock<LiveUse>>,
    requests: Arc<Requests>,
}

/// The requests of a connection.
#[derive(Debug, Default)]
struct Requests {
    begun: AtomicUsize,
    ended: AtomicUsize,
}

/// A request whose head has arrived; it ends when this is dropped.
pub struct RequestInProgress(Arc<Requests>);

impl Drop for RequestInProgress {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

/// Set once a connection is live.
#[derive(Debug)]
struct LiveUse {
    since: Instant,
    /// Freed when the connection closes.
    _place: Place,
}

impl ClientConnection {
    /// A connection that no page keeps open, for tests.
    #[cfg(test)]
    pub(super) fn of_peer(peer: Peer) -> Self {
        Self {
            peer,
            live: Arc::default(),
            requests: Arc::default(),
        }
    }

    /// The head of a request has arrived.
    pub(super) fn begin_request(&self) -> RequestInProgress {
        self.requests.begun.fetch_add(1, Ordering::Relaxed);
        RequestInProgress(Arc::clone(&self.requests))
    }

    /// The other end, which may be a proxy.
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// From now on, the limits of a live connection apply. It keeps the first place that it gets.
    pub fn become_live(&self, place: Place) {
        // A second request on the same connection gives its place back.
        let _ = self.live.set(LiveUse {
            since: Instant::now(),
            _place: place,
        });
    }
}

/// The byte stream of a connection, with its place among the port's connections.
pub struct LimitedStream {
    stream: TcpStream,
    remote: SocketAddr,
    live: Arc<OnceLock<LiveUse>>,
    requests: Arc<Requests>,
    /// Runs while the head of the request after this many others is awaited.
    head: Option<(usize, Pin<Box<Sleep>>)>,
    /// Bytes read since the connection is live.
    received: u64,
    /// Runs while the client reads nothing.
    stall: Option<Pin<Box<Sleep>>>,
    has_stalled: bool,
    /// Wakes the reading task: only that task notices that a WebSocket can no longer be written to.
    reader: Option<Waker>,
    _place: OwnedSemaphorePermit,
    _of_client: Option<ClientPlace>,
}

impl LimitedStream {
    pub fn new(
        stream: TcpStream,
        remote: SocketAddr,
        place: OwnedSemaphorePermit,
        of_client: Option<ClientPlace>,
    ) -> Self {
        // Fails only if the client has gone, which the first read will notice.
        let _ = stream.set_nodelay(true);
        let _ = set_socket_send_buffer_size(&stream, SEND_BUFFER);
        Self {
            stream,
            remote,
            live: Arc::default(),
            requests: Arc::default(),
            // The first request.
            head: Some((0, Box::pin(tokio::time::sleep(HEAD_TIMEOUT)))),
            received: 0,
            stall: None,
            has_stalled: false,
            reader: None,
            _place: place,
            _of_client: of_client,
        }
    }

    /// The connection, as handlers see it.
    pub(super) fn connection(&self) -> ClientConnection {
        ClientConnection {
            peer: Peer::new(self.remote, self.stream.local_addr().ok()),
            live: Arc::clone(&self.live),
            requests: Arc::clone(&self.requests),
        }
    }

    /// Whether the head of a request has not arrived in time.
    fn is_head_late(&mut self, context: &mut Context<'_>) -> bool {
        let begun = self.requests.begun.load(Ordering::Relaxed);
        match &mut self.head {
            Some((after, timeout)) if *after == begun => timeout.as_mut().poll(context).is_ready(),
            // It has arrived.
            head => {
                *head = None;
                false
            }
        }
    }

    /// Notes that bytes have arrived. Between two requests they begin a head.
    fn note_read(&mut self) {
        let begun = self.requests.begun.load(Ordering::Relaxed);
        if self.head.is_none()
            && self.requests.ended.load(Ordering::Relaxed) == begun
            && self.live.get().is_none()
        {
            self.head = Some((begun, Box::pin(tokio::time::sleep(HEAD_TIMEOUT))));
        }
    }

    /// Whether a live client has sent too much, after `bytes` more.
    fn is_too_much(&mut self, bytes: usize) -> bool {
        let Some(live) = self.live.get() else {
            return false;
        };
        self.received += bytes as u64;
        self.received > LIVE_INPUT + live.since.elapsed().as_secs()
    }

    /// Checks the result of a write: an error if the client has read nothing for too long.
    fn watch<T>(&mut self, written: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stall = None;
            return written;
        }
        let stall = self
            .stall
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(STALL_TIMEOUT)));
        if stall.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        self.has_stalled = true;
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for LimitedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.has_stalled || self.is_head_late(cx) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if read.is_pending() {
            self.reader = Some(cx.waker().clone());
            return read;
        }
        self.note_read();
        if self.is_too_much(buf.filled().len() - before) {
            return Poll::Ready(Err(io::ErrorKind::QuotaExceeded.into()));
        }
        read
    }
}

impl AsyncWrite for LimitedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch(written, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch(flushed, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.watch(shut, cx)
    }
}
