//! A Kafka with a second listener whose bytes are counted, as on the bill for a mobile uplink.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::{Kafka, KafkaSettings};
use crate::scratch::free_port;

/// A listener that clients reach through a proxy.
#[derive(Debug, Clone, Copy)]
pub struct MeteredListener {
    pub port: u16,
    /// The port of the proxy, which Kafka tells its clients.
    pub advertised: u16,
}

/// Bytes between Kafka and its clients, without the headers of TCP and IP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Sent to Kafka.
    pub sent: u64,
    pub received: u64,
}

impl Traffic {
    pub fn total(self) -> u64 {
        self.sent + self.received
    }

    /// The traffic since `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            sent: self.sent - earlier.sent,
            received: self.received - earlier.received,
        }
    }
}

#[derive(Debug, Default)]
struct Counters {
    sent: AtomicU64,
    received: AtomicU64,
}

/// One node with a [`MeteredListener`].
#[derive(Debug)]
pub struct MeteredKafka {
    kafka: Kafka,
    brokers: String,
    counters: Arc<Counters>,
    proxy: JoinHandle<()>,
}

impl MeteredKafka {
    /// Starts the node and waits until it is ready.
    ///
    /// # Errors
    /// Same as [`Kafka::start_with`], or no port is free.
    pub async fn start() -> Result<Self> {
        let proxy = TcpListener::bind("127.0.0.1:0").await?;
        let advertised = proxy.local_addr()?.port();
        let port = free_port()?;
        let counters = Arc::new(Counters::default());
        let kafka = Kafka::start_with(KafkaSettings {
            metered: Some(MeteredListener { port, advertised }),
            ..KafkaSettings::default()
        })
        .await?;
        Ok(Self {
            kafka,
            brokers: format!("127.0.0.1:{advertised}"),
            proxy: tokio::spawn(run(proxy, port, Arc::clone(&counters))),
            counters,
        })
    }

    /// `host:port` of the listener whose bytes are counted.
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// The node, through its other listener.
    pub fn uncounted(&self) -> &Kafka {
        &self.kafka
    }

    /// The bytes so far.
    pub fn traffic(&self) -> Traffic {
        Traffic {
            sent: self.counters.sent.load(Ordering::Relaxed),
            received: self.counters.received.load(Ordering::Relaxed),
        }
    }
}

impl Drop for MeteredKafka {
    fn drop(&mut self) {
        self.proxy.abort();
    }
}

async fn run(proxy: TcpListener, port: u16, counters: Arc<Counters>) {
    while let Ok((client, _)) = proxy.accept().await {
        // If Kafka cannot be reached, the client's connection is closed too.
        let Ok(kafka) = TcpStream::connect(("127.0.0.1", port)).await else {
            continue;
        };
        // Fails only on a closed socket.
        let _ = (client.set_nodelay(true), kafka.set_nodelay(true));
        let ((from_client, to_client), (from_kafka, to_kafka)) = (client.into_split(), kafka.into_split());
        let sent = Arc::clone(&counters);
        tokio::spawn(async move { copy(from_client, to_kafka, &sent.sent).await });
        let received = Arc::clone(&counters);
        tokio::spawn(async move { copy(from_kafka, to_client, &received.received).await });
    }
}

/// Copies until one side closes its connection.
async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, count: &AtomicU64) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(bytes @ 1..) = from.read(&mut buffer).await {
        count.fetch_add(bytes as u64, Ordering::Relaxed);
        if to.write_all(&buffer[..bytes]).await.is_err() {
            break;
        }
    }
}
