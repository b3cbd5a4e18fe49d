//! Limits the open connections, so that those of the office itself, to Kafka and PostgreSQL, find descriptors, and so that one
//! client does not take the places of all others.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::serve::Listener;
use comptoir_identity::network_of;
use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Of the usual 1,024 descriptors of a process.
const MAX_CONNECTIONS: usize = 512;
/// Of one address. This machine and reverse proxies, which connect for many clients, may have all.
const MAX_OF_CLIENT: usize = 64;

/// The open connections by address; for IPv6 by network, because anyone can have many addresses of one.
#[derive(Default)]
struct Clients(Mutex<HashMap<IpAddr, usize>>);

impl Clients {
    /// Counts a connection. `None` if the address has too many already.
    fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let network = network_of(address);
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(network).or_default();
        if *count >= MAX_OF_CLIENT {
            return None;
        }
        *count += 1;
        Some(Place {
            network,
            clients: Arc::clone(self),
        })
    }
}

/// A connection of a client; it no longer counts when this is dropped.
struct Place {
    network: IpAddr,
    clients: Arc<Clients>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.clients.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.network);
            }
        }
    }
}

/// A listener with at most [`MAX_CONNECTIONS`] open connections. Others wait in the kernel's queue.
pub struct LimitedListener {
    listener: TcpListener,
    places: Arc<Semaphore>,
    clients: Arc<Clients>,
    /// Their clients share their address.
    proxies: Vec<IpNet>,
}

impl LimitedListener {
    pub fn new(listener: TcpListener, proxies: Vec<IpNet>) -> Self {
        Self {
            listener,
            places: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            clients: Arc::default(),
            proxies,
        }
    }

    fn is_limited(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        !address.is_loopback() && !self.proxies.iter().any(|network| network.contains(&address))
    }
}

impl Listener for LimitedListener {
    type Io = LimitedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        // The semaphore is never closed.
        let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
            std::future::pending().await
        };
        loop {
            let (stream, address) = Listener::accept(&mut self.listener).await;
            let of_client = match self.is_limited(address.ip()) {
                true => match self.clients.admit(address.ip()) {
                    Some(of_client) => Some(of_client),
                    // Dropping the stream closes the connection.
                    None => continue,
                },
                false => None,
            };
            let stream = LimitedStream {
                stream,
                _place: place,
                _of_client: of_client,
            };
            return (stream, address);
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// A connection with its place.
pub struct LimitedStream {
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
    _of_client: Option<Place>,
}

impl LimitedStream {
    /// The own address of the connection.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }
}

impl AsyncRead for LimitedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for LimitedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_a_limit_of_its_own_and_gets_its_places_back() {
        let clients = Arc::new(Clients::default());
        let [one, neighbour, other] =
            ["2001:db8::1", "2001:db8::2", "203.0.113.5"].map(|text| text.parse::<IpAddr>().unwrap());
        let open: Vec<_> = (0..MAX_OF_CLIENT).map(|_| clients.admit(one).unwrap()).collect();
        assert!(clients.admit(one).is_none() && clients.admit(neighbour).is_none());
        assert!(clients.admit(other).is_some());
        drop(open);
        assert!(clients.admit(one).is_some());
        assert!(clients.0.lock().unwrap().is_empty());
    }
}
