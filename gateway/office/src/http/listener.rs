//! Limits the open connections, so that those of the office itself, to Kafka and PostgreSQL, find descriptors.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::serve::Listener;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::connection::LimitedStream;

/// A listener with a limited number of open connections. Others wait in the kernel's queue.
pub struct LimitedListener {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

impl LimitedListener {
    pub fn new(listener: TcpListener, max_connections: usize) -> Self {
        let places = Arc::new(Semaphore::new(max_connections));
        Self { listener, places }
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
        let (stream, address) = Listener::accept(&mut self.listener).await;
        (LimitedStream::new(stream, place), address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}
