//! A small MQTT 5 client for tests: publishes any bytes and receives any message.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use comptoir_mqtt::{
    BrokerAddress, BrokerPacket, ConnectOptions, Connection, Credentials, InFlight, Input, OutboundPublish,
    Output,
};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, timeout};
use url::Url;

/// Timeout for each step that needs an answer from the broker.
const DEADLINE: Duration = Duration::from_secs(10);
const KEEP_ALIVE_S: u16 = 30;
const PING_INTERVAL: Duration = Duration::from_secs(10);
const MAX_PACKET: u32 = 8 << 20;
const READ_SIZE: u32 = 16 << 10;
/// Maximum number of publishes and subscriptions that wait to be written.
const QUEUED_COMMANDS: usize = 1_000;

/// A message from the MQTT broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MqttMessage {
    pub topic: String,
    pub payload: Bytes,
    /// Whether this is a retained message, so not a new one.
    pub retain: bool,
}

/// The progress of the connection task.
#[derive(Debug, Clone, Default)]
struct Progress {
    /// Publishes with a PUBACK.
    published: u64,
    /// Subscriptions with a SUBACK that grants them.
    subscribed: u64,
    /// Why the connection is lost.
    failure: Option<String>,
}

#[derive(Debug)]
enum Command {
    Publish {
        topic: String,
        payload: Bytes,
        retain: bool,
    },
    Subscribe(String),
}

/// Packets that the reading half reports to the writing half.
enum Received {
    Publish { packet_id: u16 },
    PubAck { packet_id: u16 },
}

/// One connection, QoS 1 throughout. It does not reconnect: make another probe after an outage of the MQTT broker.
#[derive(Debug)]
pub struct MqttProbe {
    commands: mpsc::Sender<Command>,
    progress: watch::Receiver<Progress>,
    messages: mpsc::UnboundedReceiver<MqttMessage>,
    published: u64,
    subscribed: u64,
    connection: JoinHandle<()>,
}

impl MqttProbe {
    /// A client with a random client id and a session that ends with the connection.
    ///
    /// # Errors
    /// The MQTT broker does not accept within 10 s.
    pub async fn connect(url: &str) -> Result<Self> {
        Self::open(url, &format!("probe-{:08x}", rand::random::<u32>()), None, None).await
    }

    /// A client that resumes its session, which the MQTT broker keeps for an hour.
    ///
    /// # Errors
    /// Same as [`Self::connect`].
    pub async fn connect_persistent(url: &str, client_id: &str) -> Result<Self> {
        Self::open(url, client_id, Some(3600), None).await
    }

    /// A client with this id, user and password, and a session that ends with the connection.
    ///
    /// # Errors
    /// Same as [`Self::connect`].
    pub async fn connect_as(url: &str, client_id: &str, user: &str, password: &str) -> Result<Self> {
        let credentials = Credentials {
            user_name: user.to_owned(),
            password: password.to_owned(),
        };
        Self::open(url, client_id, None, Some(credentials)).await
    }

    async fn open(
        url: &str,
        client_id: &str,
        session_expiry_s: Option<u32>,
        credentials: Option<Credentials>,
    ) -> Result<Self> {
        let parsed = Url::parse(url).with_context(|| format!("read the address {url}"))?;
        let address = BrokerAddress {
            host: parsed.host_str().context("the address names no host")?,
            port: parsed.port().unwrap_or(1883),
        };
        let options = ConnectOptions {
            client_id: client_id.to_owned(),
            credentials,
            clean_start: session_expiry_s.is_none(),
            session_expiry_s: session_expiry_s.unwrap_or(0),
            keep_alive_s: KEEP_ALIVE_S,
            receive_maximum: None,
            max_packet: MAX_PACKET,
            read_size: READ_SIZE,
            last_will: None,
        };
        let connection = timeout(DEADLINE, Connection::open(address, false, options))
            .await
            .with_context(|| format!("no CONNACK came within {DEADLINE:?}"))??;
        let (commands_in, commands) = mpsc::channel(QUEUED_COMMANDS);
        let (progress_in, progress) = watch::channel(Progress::default());
        let (messages_in, messages) = mpsc::unbounded_channel();
        Ok(Self {
            commands: commands_in,
            progress,
            messages,
            published: 0,
            subscribed: 0,
            connection: tokio::spawn(drive(connection, commands, progress_in, messages_in)),
        })
    }

    /// Publishes and awaits the PUBACK.
    ///
    /// # Errors
    /// No PUBACK comes within 10 s, or the connection is lost.
    pub async fn publish(&mut self, topic: &str, payload: impl Into<Bytes>) -> Result<()> {
        self.publish_all([(topic.to_owned(), payload.into(), false)])
            .await
    }

    /// Publishes a message that the broker retains, and awaits the PUBACK.
    ///
    /// # Errors
    /// Same as [`Self::publish`].
    pub async fn publish_retained(&mut self, topic: &str, payload: impl Into<Bytes>) -> Result<()> {
        self.publish_all([(topic.to_owned(), payload.into(), true)]).await
    }

    /// Publishes `(topic, payload, retain)` one after the other and awaits all PUBACKs at the end.
    ///
    /// # Errors
    /// Same as [`Self::publish`].
    pub async fn publish_all(
        &mut self,
        messages: impl IntoIterator<Item = (String, Bytes, bool)>,
    ) -> Result<()> {
        for (topic, payload, retain) in messages {
            self.command(Command::Publish {
                topic,
                payload,
                retain,
            })
            .await?;
            self.published += 1;
        }
        let published = self.published;
        self.await_progress("PUBACK", |progress| progress.published >= published)
            .await
    }

    /// Subscribes and awaits the SUBACK.
    ///
    /// # Errors
    /// No SUBACK comes within 10 s, it refuses, or the connection is lost.
    pub async fn subscribe(&mut self, filter: &str) -> Result<()> {
        self.command(Command::Subscribe(filter.to_owned())).await?;
        self.subscribed += 1;
        let subscribed = self.subscribed;
        self.await_progress("SUBACK", |progress| progress.subscribed >= subscribed)
            .await
    }

    /// The next message.
    ///
    /// # Errors
    /// No message comes before the deadline, or the connection is lost.
    pub async fn next(&mut self, deadline: Duration) -> Result<MqttMessage> {
        let message = timeout(deadline, self.messages.recv())
            .await
            .with_context(|| format!("no MQTT message came within {deadline:?}"))?;
        message.ok_or_else(|| self.failure())
    }

    /// The next message that `wanted` accepts. Messages before it are dropped.
    ///
    /// # Errors
    /// Same as [`Self::next`].
    pub async fn next_where(
        &mut self,
        deadline: Duration,
        mut wanted: impl FnMut(&MqttMessage) -> bool,
    ) -> Result<MqttMessage> {
        let end = Instant::now() + deadline;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let message = self
                .next(left)
                .await
                .with_context(|| format!("waited {deadline:?}"))?;
            if wanted(&message) {
                return Ok(message);
            }
        }
    }

    async fn command(&self, command: Command) -> Result<()> {
        let sent = self.commands.send(command).await;
        sent.map_err(|_| self.failure())
    }

    async fn await_progress(
        &mut self,
        packet: &str,
        mut is_reached: impl FnMut(&Progress) -> bool,
    ) -> Result<()> {
        let waited = self
            .progress
            .wait_for(|progress| is_reached(progress) || progress.failure.is_some());
        // An inner error means that the connection task is gone.
        let Ok(waited) = timeout(DEADLINE, waited).await.map(|waited| waited.map(drop)) else {
            bail!("no {packet} came within {DEADLINE:?}");
        };
        match waited {
            Ok(()) if is_reached(&self.progress.borrow()) => Ok(()),
            _ => Err(self.failure().context(format!("await the {packet}"))),
        }
    }

    fn failure(&self) -> anyhow::Error {
        let progress = self.progress.borrow();
        let reason = progress.failure.as_deref().unwrap_or("for an unknown reason");
        anyhow!("the probe's connection is lost: {reason}")
    }
}

impl Drop for MqttProbe {
    fn drop(&mut self) {
        // Sends no DISCONNECT, like a till that loses power: a persistent session stays.
        self.connection.abort();
    }
}

async fn drive(
    connection: Connection,
    commands: mpsc::Receiver<Command>,
    progress: watch::Sender<Progress>,
    messages: mpsc::UnboundedSender<MqttMessage>,
) {
    let (received_in, received) = mpsc::unbounded_channel();
    let writer = Writer {
        output: connection.output,
        in_flight: InFlight::new(connection.limits.receive_maximum),
        commands,
        received,
    };
    let Err(error) = tokio::try_join!(
        read(connection.input, &progress, &messages, received_in),
        writer.run(),
    ) else {
        return;
    };
    progress.send_modify(|progress| progress.failure = Some(error.to_string()));
}

/// Receives packets until the connection is lost.
async fn read(
    mut input: Input,
    progress: &watch::Sender<Progress>,
    messages: &mpsc::UnboundedSender<MqttMessage>,
    received: mpsc::UnboundedSender<Received>,
) -> Result<()> {
    loop {
        match input.next().await? {
            BrokerPacket::Publish(publish) => {
                if let Some(packet_id) = publish.packet_id {
                    received.send(Received::Publish { packet_id })?;
                }
                // An error means that the probe is being dropped.
                let _ = messages.send(MqttMessage {
                    topic: String::from_utf8_lossy(&publish.topic).into_owned(),
                    payload: publish.payload,
                    retain: publish.is_retained,
                });
            }
            BrokerPacket::PubAck(ack) => {
                received.send(Received::PubAck {
                    packet_id: ack.packet_id,
                })?;
                progress.send_modify(|progress| progress.published += 1);
            }
            BrokerPacket::SubAck(ack) => match ack.codes.iter().find(|code| code.is_failure()) {
                Some(code) => bail!("SUBACK: {code}"),
                None => progress.send_modify(|progress| progress.subscribed += 1),
            },
            BrokerPacket::PingResp | BrokerPacket::UnsubAck => {}
            packet => bail!("unexpected {packet:?}"),
        }
    }
}

/// The writing half. It never waits for the reading half. Otherwise both would block if the broker stopped reading
/// until its own output is read.
struct Writer {
    output: Output,
    in_flight: InFlight<()>,
    commands: mpsc::Receiver<Command>,
    received: mpsc::UnboundedReceiver<Received>,
}

impl Writer {
    /// Sends packets until the connection is lost.
    async fn run(mut self) -> Result<()> {
        let mut pings = interval(PING_INTERVAL);
        loop {
            tokio::select! {
                Some(received) = self.received.recv() => self.answer(received)?,
                Some(command) = self.commands.recv(), if self.in_flight.has_room() => self.put(command)?,
                _ = pings.tick() => self.output.packets().ping()?,
            }
            while !self.output.packets().is_full() {
                if let Ok(received) = self.received.try_recv() {
                    self.answer(received)?;
                } else if self.in_flight.has_room()
                    && let Ok(command) = self.commands.try_recv()
                {
                    self.put(command)?;
                } else {
                    break;
                }
            }
            self.output.flush().await?;
        }
    }

    fn answer(&mut self, received: Received) -> Result<()> {
        match received {
            Received::Publish { packet_id } => self.output.packets().puback(packet_id)?,
            Received::PubAck { packet_id } => _ = self.in_flight.remove(packet_id),
        }
        Ok(())
    }

    fn put(&mut self, command: Command) -> Result<()> {
        match command {
            Command::Publish {
                topic,
                payload,
                retain,
            } => {
                let packet_id = self.in_flight.push(());
                self.output.packets().publish(OutboundPublish {
                    packet_id,
                    topic: topic.into(),
                    payload,
                    retain,
                })?;
            }
            Command::Subscribe(filter) => {
                let packet_id = self.in_flight.next_id();
                self.output.packets().subscribe(packet_id, [filter])?;
            }
        }
        Ok(())
    }
}
