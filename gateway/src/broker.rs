//! The built-in MQTT broker: rumqttd, for the demonstration and for a small shop that has no other.
//!
//! It keeps its messages in memory and acknowledges before anything is written; the end-to-end ack makes up
//! for both. rumqttd listens for MQTT 3.1.1 and MQTT 5 on separate ports, so both are on loopback and one
//! public listener passes each connection on by the protocol level in its CONNECT.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::time::Duration;

use rumqttd::{Broker, Config, ConnectionSettings, RouterConfig, ServerSettings};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

/// Connections at a time.
const MAX_CONNECTIONS: usize = 1_024;
/// A client that does not say CONNECT by then is let go.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    #[error("the built-in MQTT broker cannot listen on {listen}: {problem}")]
    Listen {
        listen: SocketAddr,
        problem: std::io::Error,
    },
}

/// The listener, bound; [`EmbeddedBroker::run`] serves it.
pub struct EmbeddedBroker {
    listener: TcpListener,
    v4: SocketAddr,
    v5: SocketAddr,
    /// rumqttd's thread is at its end.
    ended: CancellationToken,
}

impl EmbeddedBroker {
    /// Binds `listen` and starts rumqttd behind it.
    pub async fn start(listen: SocketAddr) -> Result<Self, BrokerError> {
        let failed = |problem| BrokerError::Listen { listen, problem };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let (v4, v5) = (free_port().map_err(failed)?, free_port().map_err(failed)?);
        let mut broker = Broker::new(config(v4, v5));
        let ended = CancellationToken::new();
        let guard = ended.clone().drop_guard();
        // rumqttd has threads of its own and no way to be stopped: it ends with the process.
        std::thread::Builder::new()
            .name("mqtt-broker".to_owned())
            .spawn(move || {
                let _guard = guard;
                if let Err(problem) = broker.start() {
                    error!(%problem, "the built-in MQTT broker has ended");
                }
            })
            .map_err(failed)?;
        Ok(Self {
            listener,
            v4,
            v5,
            ended,
        })
    }

    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Passes connections on until `stop`, or until rumqttd has ended.
    pub async fn run(self, stop: CancellationToken) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.ended.cancelled() => return,
                Some(_) = connections.join_next() => {}
                accepted = self.listener.accept(), if connections.len() < MAX_CONNECTIONS => {
                    match accepted {
                        Ok((client, _)) => {
                            connections.spawn(pass_on(client, self.v4, self.v5));
                        }
                        Err(problem) => {
                            debug!(%problem, "accept");
                            tokio::time::sleep(Duration::from_millis(100)).await;
                        }
                    }
                }
            }
        }
    }
}

/// A port nobody has now. rumqttd binds it a moment later, and does not tell which if it is given none.
fn free_port() -> std::io::Result<SocketAddr> {
    StdListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn config(v4: SocketAddr, v5: SocketAddr) -> Config {
    let server = |name: &str, listen| {
        let settings = ServerSettings {
            name: name.to_owned(),
            listen,
            tls: None,
            next_connection_delay_ms: 1,
            connections: ConnectionSettings {
                connection_timeout_ms: 5_000,
                max_payload_size: 2 << 20,
                max_inflight_count: 200,
                auth: None,
                external_auth: None,
                dynamic_filters: true,
            },
        };
        Some(HashMap::from([(name.to_owned(), settings)]))
    };
    Config {
        router: RouterConfig {
            max_connections: MAX_CONNECTIONS,
            max_outgoing_packet_count: 200,
            max_segment_size: 4 << 20,
            max_segment_count: 4,
            ..RouterConfig::default()
        },
        v4: server("mqtt-3", v4),
        v5: server("mqtt-5", v5),
        ..Config::default()
    }
}

async fn pass_on(mut client: TcpStream, v4: SocketAddr, v5: SocketAddr) {
    let Ok(Some(level)) = tokio::time::timeout(PATIENCE, protocol_level(&client)).await else {
        return;
    };
    let server = if level >= 5 { v5 } else { v4 };
    let passed = async {
        let mut server = TcpStream::connect(server).await?;
        server.set_nodelay(true)?;
        client.set_nodelay(true)?;
        copy_bidirectional(&mut client, &mut server).await
    };
    if let Err(problem) = passed.await {
        debug!(%problem, "an MQTT connection ended");
    }
}

/// Looks at the CONNECT without taking it: MQTT 5, section 3.1 (the same in 3.1.1).
async fn protocol_level(client: &TcpStream) -> Option<u8> {
    let mut bytes = [0; 16];
    loop {
        client.readable().await.ok()?;
        let count = client.peek(&mut bytes).await.ok()?;
        let seen = &bytes[..count];
        // Byte 0 is the packet's type; then its length, 1 to 4 bytes of which the last has no high bit.
        if count == 0 || seen[0] != 0x10 {
            return None;
        }
        let length = seen[1..].iter().take(4).position(|byte| byte & 0x80 == 0);
        if let Some(end) = length {
            let name = end + 2;
            if let [high, low, ..] = seen[name..] {
                let level = name + 2 + usize::from(u16::from_be_bytes([high, low]));
                if level >= bytes.len() {
                    return None;
                }
                if let Some(level) = seen.get(level) {
                    return Some(*level);
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
