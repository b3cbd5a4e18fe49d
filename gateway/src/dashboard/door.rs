//! Where connections come in: over TLS where there is a certificate, on the same port.
//!
//! Handshakes are made beside each other and with a limit, so that nobody waits behind a client that begins one and says
//! no more. A client that speaks plain HTTP to a port with TLS is let in as well: what it may see says [`plain`].

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request};
use axum::http::uri::{PathAndQuery, Scheme};
use axum::http::{Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::serve::{IncomingStream, Listener};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

use super::{Problem, ProblemType};

/// What the kernel may hold for a connection. Megabytes, if nobody says: a slow client's heartbeat would wait behind
/// them for longer than it may.
const SEND_BUFFER: usize = 128 << 10;
/// Of a handshake, on a phone at the end of the shop's Wi-Fi.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The first byte of a TLS connection: the record of a handshake. No HTTP request begins with it.
const TLS_HANDSHAKE: u8 = 0x16;

type Connection = Either<Box<TlsStream<TcpStream>>, TcpStream>;

/// Accepts connections.
pub struct Door {
    tcp: TcpListener,
    tls: Option<TlsAcceptor>,
    /// Connections of which it is not known yet what they are.
    arriving: JoinSet<Option<(Connection, SocketAddr)>>,
}

impl Door {
    pub fn new(tcp: TcpListener, tls: Option<ServerConfig>) -> Self {
        Self {
            tcp,
            tls: tls.map(|config| TlsAcceptor::from(Arc::new(config))),
            arriving: JoinSet::new(),
        }
    }
}

impl Listener for Door {
    type Io = Connection;
    type Addr = SocketAddr;

    // Given up in the middle, it loses no connection: one that waits in `arriving` stays there.
    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            tokio::select! {
                // Waits by itself where there are no descriptors left.
                (socket, peer) = Listener::accept(&mut self.tcp) => {
                    prepare(&socket);
                    let Some(acceptor) = self.tls.clone() else {
                        return (Either::Right(socket), peer);
                    };
                    self.arriving.spawn(async move {
                        let arrived = tokio::time::timeout(HANDSHAKE, arrive(socket, acceptor));
                        arrived.await.ok().flatten().map(|connection| (connection, peer))
                    });
                }
                Some(arrived) = self.arriving.join_next() => {
                    if let Ok(Some(arrived)) = arrived {
                        return arrived;
                    }
                }
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

fn prepare(socket: &TcpStream) {
    // Without either the connection works, too.
    let _ = rustix::net::sockopt::set_socket_send_buffer_size(socket, SEND_BUFFER);
    // Packets are written whole: nothing is gained by waiting for more, and a live page waits for each.
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
}

async fn arrive(socket: TcpStream, acceptor: TlsAcceptor) -> Option<Connection> {
    let mut first = [0];
    match socket.peek(&mut first).await {
        Ok(1) if first == [TLS_HANDSHAKE] => {}
        Ok(1) => return Some(Either::Right(socket)),
        _ => return None,
    }
    match acceptor.accept(socket).await {
        Ok(stream) => Some(Either::Left(Box::new(stream))),
        Err(error) => {
            // Mostly a browser that does not know the certificate, and whose person is being asked.
            tracing::debug!(%error, "a TLS handshake has failed");
            None
        }
    }
}

/// How a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    Tls,
    /// Plain, from this machine: nobody else hears it.
    Inside,
    /// Plain, over the network.
    Outside,
}

impl Connected<IncomingStream<'_, Door>> for Arrival {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        match stream.io() {
            Either::Left(_) => Self::Tls,
            Either::Right(socket) => {
                let peer = stream.remote_addr().ip().to_canonical();
                let ours = socket.local_addr().map(|ours| ours.ip().to_canonical());
                match peer.is_loopback() || ours.is_ok_and(|ours| ours == peer) {
                    true => Self::Inside,
                    false => Self::Outside,
                }
            }
        }
    }
}

/// Where there is TLS, plain HTTP is for this machine only: its watchdog, its scripts, a proxy on it. A browser that comes
/// so over the network is sent to where it is encrypted; nothing else is answered, so that no program goes on to send
/// passwords and sales in clear.
pub async fn plain(ConnectInfo(arrival): ConnectInfo<Arrival>, request: Request, next: Next) -> Response {
    if arrival != Arrival::Outside {
        return next.run(request).await;
    }
    if matches!(*request.method(), Method::GET | Method::HEAD)
        && let Some(secure) = secure(&request)
    {
        // Not for ever: certificates are also taken away again.
        return (
            StatusCode::TEMPORARY_REDIRECT,
            [(header::LOCATION, secure.to_string())],
        )
            .into_response();
    }
    Problem::new(
        ProblemType::HttpsRequired,
        "This gateway answers the network only over TLS. Use https:// with the same address.",
    )
    .into_response()
}

/// The same address, with TLS.
fn secure(request: &Request) -> Option<Uri> {
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

    async fn answer(arrival: Arrival, method: Method, host: &str) -> (u16, Option<String>) {
        let router: Router = Router::new()
            .route("/{page}", any("the page"))
            .layer(middleware::from_fn(plain));
        let request = Request::builder()
            .method(method)
            .uri("/orders?x=1")
            .header(header::HOST, host);
        let mut request = request.body(Body::empty()).unwrap();
        request.extensions_mut().insert(ConnectInfo(arrival));
        let answer = router.oneshot(request).await.unwrap();
        let location = answer.headers().get(header::LOCATION);
        let location = location.map(|location| location.to_str().unwrap().to_owned());
        (answer.status().as_u16(), location)
    }

    #[tokio::test]
    async fn plain_http_over_the_network_is_sent_to_where_it_is_encrypted() {
        let host = "comptoir.local:8080";
        for arrival in [Arrival::Tls, Arrival::Inside] {
            assert_eq!(
                answer(arrival, Method::GET, host).await,
                (200, None),
                "{arrival:?}"
            );
            assert_eq!(
                answer(arrival, Method::POST, host).await,
                (200, None),
                "{arrival:?}"
            );
        }
        let (status, location) = answer(Arrival::Outside, Method::GET, host).await;
        assert_eq!(status, 307);
        assert_eq!(
            location.as_deref(),
            Some("https://comptoir.local:8080/orders?x=1")
        );
        // What it carries was shown already; it is not to be sent again as if nothing were wrong.
        assert_eq!(answer(Arrival::Outside, Method::POST, host).await, (403, None));
        assert_eq!(answer(Arrival::Outside, Method::GET, "a b").await, (403, None));
    }
}
