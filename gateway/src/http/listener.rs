//! Accepts connections and serves HTTP/1.1 on them. With a certificate, the port speaks TLS.
//!
//! Handshakes run concurrently and with a timeout, so that a client that stalls in the middle of one does not delay
//! others. A client that speaks plain HTTP to a TLS port is accepted too; [`require_tls`] decides on the response.
//! [`super::connections`] limits the connections and closes those that have waited too long; `axum::serve` could do
//! neither.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::uri::{PathAndQuery, Scheme};
use axum::http::{Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::serve::Listener;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::MissedTickBehavior;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::answers::AnswerBody;
use super::connections::{ClientAddress, ClientStream, Connections, OpenConnection, Slot};
use super::{Problem, ProblemType, trust};

/// The kernel's send buffer for a connection, in bytes. The default can be megabytes, and a slow client's heartbeat
/// would wait behind them for longer than its timeout.
const SEND_BUFFER: usize = 128 << 10;
/// Largest head of a request (request line and all headers), in bytes. Browsers stay far below 8 KiB.
const MAX_HEAD: usize = 16 << 10;
/// Bytes of a request or response that wait in a connection's buffer.
const MAX_BUFFER: usize = 64 << 10;
/// Long enough for a phone at the edge of the shop's Wi-Fi.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often connections that have waited too long are closed.
const SWEEP_INTERVAL: Duration = Duration::from_millis(500);
/// The first byte of a TLS connection: the type of a handshake record. No HTTP request begins with it.
const TLS_HANDSHAKE: u8 = 0x16;

type Connection = Either<Box<TlsStream<TcpStream>>, TcpStream>;

/// Serves connections until `stop`, then waits for the requests in progress.
pub async fn serve(
    mut listener: TcpListener,
    tls: Option<ServerConfig>,
    router: Router,
    connections: Arc<Connections>,
    stop: CancellationToken,
) {
    let acceptor = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
    let tasks = TaskTracker::new();
    let mut sweep = tokio::time::interval(SWEEP_INTERVAL);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let accepted = async {
            connections.wait_for_descriptors().await;
            // axum's implementation waits and retries when the process has no file descriptors left.
            Listener::accept(&mut listener).await
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            _ = sweep.tick() => connections.close_expired(),
            (socket, peer) = accepted => {
                if let Some(slot) = connections.admit(ClientAddress::new(peer.ip())) {
                    tasks.spawn(handle(socket, peer, slot, acceptor.clone(), router.clone()));
                }
            }
        }
    }
    drop(listener);
    connections.close_all();
    tasks.close();
    tasks.wait().await;
}

/// Serves one connection.
async fn handle(
    socket: TcpStream,
    peer: SocketAddr,
    slot: Slot,
    acceptor: Option<TlsAcceptor>,
    router: Router,
) {
    prepare(&socket);
    let connection = Arc::clone(slot.connection());
    let stream = match acceptor {
        None => Some(Either::Right(socket)),
        Some(acceptor) => tokio::select! {
            stream = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake(socket, acceptor)) => stream.ok().flatten(),
            () = connection.closing().cancelled() => None,
        },
    };
    let Some(stream) = stream else { return };
    connection.await_request();
    let transport = Transport::of(&stream, peer);
    let of_requests = Arc::clone(&connection);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (router, connection) = (router.clone(), Arc::clone(&of_requests));
        async move { Ok::<_, Infallible>(answer(request.map(Body::new), router, transport, &connection).await) }
    });
    let stream = TokioIo::new(ClientStream::new(stream, slot));
    let mut serving = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            // `Connections` enforces the timeouts for the head of a request and for the time before it.
            .header_read_timeout(None)
            .max_header_size(MAX_HEAD)
            .max_buf_size(MAX_BUFFER)
            .serve_connection(stream, service)
            .with_upgrades()
    );
    tokio::select! {
        // An error means that the client has gone away or does not speak HTTP.
        _ = serving.as_mut() => return,
        () = connection.closing().cancelled() => {}
    }
    if !connection.is_receiving_head() {
        serving.as_mut().graceful_shutdown();
        let _ = serving.await;
    }
}

async fn answer(
    mut request: Request,
    router: Router,
    transport: Transport,
    connection: &Arc<OpenConnection>,
) -> Response {
    let in_progress = connection.begin_request();
    let extensions = request.extensions_mut();
    extensions.insert(ConnectInfo(transport));
    extensions.insert(ConnectInfo(connection.client()));
    extensions.insert(Arc::clone(connection));
    let Ok(response) = router.oneshot(request).await.map_err(|never: Infallible| never);
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        in_progress.upgrade();
    }
    AnswerBody::wrap(response, in_progress)
}

fn prepare(socket: &TcpStream) {
    // Both settings only tune the connection, so a failure is harmless.
    let _ = rustix::net::sockopt::set_socket_send_buffer_size(socket, SEND_BUFFER);
    // Responses are written in one piece, so Nagle's algorithm would only delay them.
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
}

async fn handshake(socket: TcpStream, acceptor: TlsAcceptor) -> Option<Connection> {
    let mut first = [0];
    match socket.peek(&mut first).await {
        Ok(1) if first == [TLS_HANDSHAKE] => {}
        Ok(1) => return Some(Either::Right(socket)),
        _ => return None,
    }
    match acceptor.accept(socket).await {
        Ok(stream) => Some(Either::Left(Box::new(stream))),
        Err(error) => {
            // Usually a browser that does not trust the certificate and asks its user what to do.
            tracing::debug!(%error, "TLS handshake failed");
            None
        }
    }
}

/// How a request was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Tls,
    /// Unencrypted from this machine, so nobody on the network can read it.
    LocalPlaintext,
    /// Unencrypted from the network.
    RemotePlaintext,
}

impl Transport {
    fn of(stream: &Connection, peer: SocketAddr) -> Self {
        match stream {
            Either::Left(_) => Self::Tls,
            Either::Right(socket) => {
                let peer = peer.ip().to_canonical();
                let own = socket.local_addr().map(|own| own.ip().to_canonical());
                match peer.is_loopback() || own.is_ok_and(|own| own == peer) {
                    true => Self::LocalPlaintext,
                    false => Self::RemotePlaintext,
                }
            }
        }
    }
}

/// Middleware for a port with TLS: refuses or redirects unencrypted requests, see [`plain_http`].
pub async fn require_tls(
    ConnectInfo(transport): ConnectInfo<Transport>,
    request: Request,
    next: Next,
) -> Response {
    match plain_http(transport, &request) {
        PlainHttp::Serve => next.run(request).await,
        // A temporary redirect, because TLS may be turned off again.
        PlainHttp::Redirect(secure) => (
            StatusCode::TEMPORARY_REDIRECT,
            [(header::LOCATION, secure.to_string())],
        )
            .into_response(),
        PlainHttp::Refuse => Problem::new(
            ProblemType::HttpsRequired,
            "This gateway uses HTTPS and answers unencrypted requests from its own machine only. Use https:// with the same address; \
             /trust explains how to trust its certificate.",
        )
        .into_response(),
    }
}

/// What happens to a request on a port with TLS.
enum PlainHttp {
    Serve,
    Redirect(Uri),
    Refuse,
}

/// Decides on requests to a port with TLS; the only place that does.
///
/// Unencrypted requests are accepted only from this machine, for its watchdog, scripts and proxy. A browser on the
/// network is redirected to HTTPS, except for the page that explains how to trust the certificate. Other unencrypted
/// requests fail, so that no program keeps sending passwords and sales unencrypted.
fn plain_http(transport: Transport, request: &Request) -> PlainHttp {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    match transport {
        Transport::Tls | Transport::LocalPlaintext => PlainHttp::Serve,
        Transport::RemotePlaintext if is_read && trust::PATHS.contains(&request.uri().path()) => {
            PlainHttp::Serve
        }
        Transport::RemotePlaintext if is_read => {
            https_url(request).map_or(PlainHttp::Refuse, PlainHttp::Redirect)
        }
        Transport::RemotePlaintext => PlainHttp::Refuse,
    }
}

/// The requested URL with the scheme `https`.
fn https_url(request: &Request) -> Option<Uri> {
    let host = request.headers().get(header::HOST)?.to_str().ok()?;
    let path = request.uri().path_and_query().cloned();
    Uri::builder()
        .scheme(Scheme::HTTPS)
        .authority(host)
        .path_and_query(path.unwrap_or(PathAndQuery::from_static("/")))
        .build()
        .ok()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::any;
    use axum::{Router, middleware};
    use tower::ServiceExt as _;

    use super::*;

    async fn answer(transport: Transport, method: Method, host: &str) -> (u16, Option<String>) {
        answer_to("/orders?x=1", transport, method, host).await
    }

    async fn answer_to(uri: &str, transport: Transport, method: Method, host: &str) -> (u16, Option<String>) {
        let router: Router = Router::new()
            .route("/{page}", any("the page"))
            .layer(middleware::from_fn(require_tls));
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .header(header::HOST, host);
        let mut request = request.body(Body::empty()).unwrap();
        request.extensions_mut().insert(ConnectInfo(transport));
        let answer = router.oneshot(request).await.unwrap();
        let location = answer.headers().get(header::LOCATION);
        let location = location.map(|location| location.to_str().unwrap().to_owned());
        (answer.status().as_u16(), location)
    }

    #[tokio::test]
    async fn unencrypted_requests_from_the_network_are_redirected_or_rejected() {
        let host = "comptoir.local:8080";
        for transport in [Transport::Tls, Transport::LocalPlaintext] {
            assert_eq!(
                answer(transport, Method::GET, host).await,
                (200, None),
                "{transport:?}"
            );
            assert_eq!(
                answer(transport, Method::POST, host).await,
                (200, None),
                "{transport:?}"
            );
        }
        let (status, location) = answer(Transport::RemotePlaintext, Method::GET, host).await;
        assert_eq!(status, 307);
        assert_eq!(
            location.as_deref(),
            Some("https://comptoir.local:8080/orders?x=1")
        );
        // A POST is not redirected: its body has already been sent unencrypted, and the client should notice.
        assert_eq!(
            answer(Transport::RemotePlaintext, Method::POST, host).await,
            (403, None)
        );
        assert_eq!(
            answer(Transport::RemotePlaintext, Method::GET, "a b").await,
            (403, None)
        );
    }

    #[tokio::test]
    async fn how_to_trust_the_certificate_can_be_read_unencrypted_and_nothing_else_can() {
        let (host, plain) = ("comptoir.local:8080", Transport::RemotePlaintext);
        for (uri, method, expected) in [
            ("/trust", Method::GET, 200),
            ("/trust?x=1", Method::HEAD, 200),
            ("/authority.crt", Method::GET, 200),
            ("/trust", Method::POST, 403),
            ("/trusted", Method::GET, 307),
            ("/metrics", Method::GET, 307),
        ] {
            let (status, _) = answer_to(uri, plain, method.clone(), host).await;
            assert_eq!(status, expected, "{method} {uri}");
        }
    }
}
