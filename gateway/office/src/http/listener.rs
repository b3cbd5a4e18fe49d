//! Limits the open connections, so that those of the office itself, to Kafka and PostgreSQL, find descriptors, and so that one
//! client does not take the places of all others.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use axum::serve::Listener;
use comptoir_identity::network_of;
use ipnet::IpNet;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::connection::LimitedStream;

/// Of one address. This machine and reverse proxies, which connect for many clients, may have all.
const MAX_OF_CLIENT: usize = 64;

/// The open connections by address; for IPv6 by network, because anyone can have many addresses of one.
#[derive(Default)]
struct Clients(Mutex<HashMap<IpAddr, usize>>);

impl Clients {
    /// Counts a connection. `None` if the address has too many already.
    fn admit(self: &Arc<Self>, address: IpAddr) -> Option<ClientPlace> {
        let network = network_of(address);
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(network).or_default();
        if *count >= MAX_OF_CLIENT {
            return None;
        }
        *count += 1;
        Some(ClientPlace {
            network,
            clients: Arc::clone(self),
        })
    }
}

/// A connection of a client; it no longer counts when this is dropped.
pub struct ClientPlace {
    network: IpAddr,
    clients: Arc<Clients>,
}

impl Drop for ClientPlace {
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

/// A listener with a limited number of open connections. Others wait in the kernel's queue.
pub struct LimitedListener {
    listener: TcpListener,
    places: Arc<Semaphore>,
    clients: Arc<Clients>,
    /// Their clients share their address.
    proxies: Vec<IpNet>,
}

impl LimitedListener {
    pub fn new(listener: TcpListener, max_connections: usize, proxies: Vec<IpNet>) -> Self {
        Self {
            listener,
            places: Arc::new(Semaphore::new(max_connections)),
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
            return (LimitedStream::new(stream, address, place, of_client), address);
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
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
