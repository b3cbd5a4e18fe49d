//! The built-in MQTT broker: rumqttd, for the demonstration and for a small shop without another broker.
//!
//! rumqttd keeps messages in memory and acknowledges them before anything is written. The end-to-end ack makes up for
//! both. It listens for MQTT 3.1.1 and MQTT 5 on separate loopback ports. In front of them is one public listener, the
//! _door_ ([`connection`]). It checks every packet ([`packet`]) and enforces the limits per client, because rumqttd
//! trusts its clients. Reasons and alternatives: docs/adr/0010-built-in-broker.md.
//!
//! There is no authentication: every client may publish as any till. Only the gateway's own connection has a password,
//! newly generated at each start, so that no other client can use its client id, publish acks or send commands.

mod connection;
mod limits;
mod packet;
mod places;
mod rate;
mod reader;
mod turns;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use rumqttd::{Broker, Config, ConnectionSettings, RouterConfig, ServerSettings};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::metrics::Metrics;
use comptoir_core::Secret;
use connection::{Door, Timeouts};
use limits::{Limits, MAX_CONNECTIONS, MAX_PACKET};
use turns::Turns;

/// Segments and segment size of rumqttd's log; it has one log per subscribed filter. If a message is overwritten before
/// its reader gets it, the till sends it again.
const SEGMENT_BYTES: usize = 1 << 20;
const SEGMENTS: usize = 4;
/// How long rumqttd may take to start listening, and the interval between attempts to connect.
const BIND_TIMEOUT: Duration = Duration::from_secs(10);
const BIND_RETRY: Duration = Duration::from_millis(5);
/// Most publishes to one client that wait for their PUBACK.
const MAX_IN_FLIGHT: usize = 200;

#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    #[error("mqtt.embedded: the built-in MQTT broker cannot start on {listen}: {problem}")]
    Start {
        listen: SocketAddr,
        problem: std::io::Error,
    },
}

/// The gateway's own client: the only one that may use its client id, and publish acks and commands.
#[derive(Debug, Clone)]
pub struct GatewayClient {
    pub client_id: String,
    pub user_name: String,
    pub password: Secret,
}

impl GatewayClient {
    /// Creates a client with a random password.
    pub fn new(client_id: String) -> Self {
        Self {
            client_id,
            user_name: "gateway".to_owned(),
            password: Secret::new(uuid::Uuid::new_v4().simple().to_string()),
        }
    }
}

/// A bound listener in front of rumqttd. [`EmbeddedBroker::run`] serves it.
pub struct EmbeddedBroker {
    listener: TcpListener,
    door: Arc<Door>,
    /// Cancelled when rumqttd's thread ends.
    ended: CancellationToken,
}

impl EmbeddedBroker {
    /// Binds `listen` and starts rumqttd.
    ///
    /// # Errors
    /// The address is in use or does not belong to this machine, or the thread cannot be started.
    pub async fn start(
        listen: SocketAddr,
        gateway: GatewayClient,
        metrics: Arc<Metrics>,
    ) -> Result<Self, BrokerError> {
        let failed = |problem| BrokerError::Start { listen, problem };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        if !listen.ip().is_loopback() {
            warn!(
                %listen,
                "the built-in MQTT broker has no authentication, and listens on the network: every client that reaches it can publish \
                 sales as any till. Let mqtt.embedded begin with 127.0.0.1, or use Mosquitto with users"
            );
        }
        let [mqtt_3, mqtt_5] = free_ports().map_err(failed)?;
        let mut broker = Broker::new(config(mqtt_3, mqtt_5));
        let ended = CancellationToken::new();
        let guard = ended.clone().drop_guard();
        // rumqttd has its own threads and cannot be stopped: it ends with the process. If one of its threads panics,
        // the process ends too (`platform/panics.rs`).
        std::thread::Builder::new()
            .name("mqtt-broker".to_owned())
            .spawn(move || {
                let _guard = guard;
                if let Err(problem) = broker.start() {
                    error!(%problem, "the built-in MQTT broker has stopped");
                }
            })
            .map_err(failed)?;
        // Until rumqttd listens, clients would be turned away.
        for port in [mqtt_3, mqtt_5] {
            wait_until_bound(port).await.map_err(failed)?;
        }
        Ok(Self {
            listener,
            door: Arc::new(Door {
                mqtt_3,
                mqtt_5,
                gateway,
                limits: Limits::default(),
                metrics,
                turns: Turns::default(),
                timeouts: Timeouts::default(),
            }),
            ended,
        })
    }

    /// The address that the listener is bound to.
    ///
    /// # Errors
    /// The operating system does not return the listener's address.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves connections until `stop`, or until rumqttd ends.
    pub async fn run(self, stop: CancellationToken) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.ended.cancelled() => return,
                Some(_) = connections.join_next() => {}
                accepted = self.listener.accept() => {
                    match accepted {
                        Ok((client, address)) => {
                            let door = Arc::clone(&self.door);
                            connections.spawn(async move { door.serve(client, address.ip()).await });
                        }
                        Err(problem) => {
                            debug!(%problem, "a connection could not be accepted");
                            tokio::time::sleep(Duration::from_millis(100)).await;
                        }
                    }
                }
            }
        }
    }
}

/// Two ports that are free now. rumqttd binds them a moment later. It cannot choose them itself, because it does not
/// report its choice.
fn free_ports() -> std::io::Result<[SocketAddr; 2]> {
    let bind = || StdListener::bind((Ipv4Addr::LOCALHOST, 0));
    // Bound at the same time, so that they differ.
    let (one, other) = (bind()?, bind()?);
    Ok([one.local_addr()?, other.local_addr()?])
}

/// Waits until rumqttd accepts connections on `port`.
async fn wait_until_bound(port: SocketAddr) -> std::io::Result<()> {
    let bound = async {
        while TcpStream::connect(port).await.is_err() {
            tokio::time::sleep(BIND_RETRY).await;
        }
    };
    tokio::time::timeout(BIND_TIMEOUT, bound)
        .await
        .map_err(Into::into)
}

fn config(mqtt_3: SocketAddr, mqtt_5: SocketAddr) -> Config {
    let server = |name: &str, listen| {
        let settings = ServerSettings {
            name: name.to_owned(),
            listen,
            tls: None,
            next_connection_delay_ms: 1,
            connections: ConnectionSettings {
                connection_timeout_ms: 5_000,
                max_payload_size: MAX_PACKET,
                max_inflight_count: MAX_IN_FLIGHT,
                auth: None,
                external_auth: None,
                // The gateway retains acks on topics that nobody has subscribed to yet.
                dynamic_filters: true,
            },
        };
        Some(HashMap::from([(name.to_owned(), settings)]))
    };
    Config {
        router: RouterConfig {
            // The door's limit applies. rumqttd notices the end of a connection a moment later.
            max_connections: 2 * MAX_CONNECTIONS,
            max_outgoing_packet_count: MAX_IN_FLIGHT as u64,
            max_segment_size: SEGMENT_BYTES,
            max_segment_count: SEGMENTS,
            ..RouterConfig::default()
        },
        v4: server("mqtt-3", mqtt_3),
        v5: server("mqtt-5", mqtt_5),
        ..Config::default()
    }
}

#[cfg(test)]
mod tests;
