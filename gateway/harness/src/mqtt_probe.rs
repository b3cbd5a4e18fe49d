//! A small MQTT 5 client: publishes any bytes, sees any message.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Packet;
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use url::Url;

const DEADLINE: Duration = Duration::from_secs(10);

/// A message from the MQTT broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    pub topic: String,
    pub payload: Bytes,
    /// It was kept by the MQTT broker, and is not new.
    pub retain: bool,
}

#[derive(Debug, Clone, Default)]
struct State {
    connected: bool,
    published: u64,
    subscribed: u64,
    broken: Option<String>,
}

/// One connection, QoS 1 throughout. It does not reconnect: after the MQTT broker was away, make another probe.
#[derive(Debug)]
pub struct MqttProbe {
    client: AsyncClient,
    state: watch::Receiver<State>,
    messages: UnboundedReceiver<Received>,
    published: u64,
    subscribed: u64,
    connection: JoinHandle<()>,
}

impl MqttProbe {
    /// A client with a name of its own and a session that ends with it.
    ///
    /// # Errors
    /// The MQTT broker does not accept within 10 s.
    pub async fn connect(url: &str) -> Result<Self> {
        Self::open(url, &format!("probe-{:08x}", rand::random::<u32>()), None).await
    }

    /// A client with a session that the MQTT broker keeps for an hour and goes on with.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn connect_persistent(url: &str, client_id: &str) -> Result<Self> {
        Self::open(url, client_id, Some(3600)).await
    }

    async fn open(url: &str, client_id: &str, expiry: Option<u32>) -> Result<Self> {
        let url = Url::parse(url).with_context(|| format!("read the address {url}"))?;
        let host = url.host_str().context("the address names no host")?;
        let mut options = MqttOptions::new(client_id, host, url.port().unwrap_or(1883));
        options
            .set_clean_start(expiry.is_none())
            .set_session_expiry_interval(expiry)
            .set_keep_alive(Duration::from_secs(30))
            .set_max_packet_size(Some(8 << 20));
        let (client, connection) = AsyncClient::new(options, 1000);
        let (state_in, state) = watch::channel(State::default());
        let (messages_in, messages) = unbounded_channel();
        let connection = tokio::spawn(drive(connection, state_in, messages_in));
        let mut probe = Self {
            client,
            state,
            messages,
            published: 0,
            subscribed: 0,
            connection,
        };
        probe.await_state("CONNACK", |state| state.connected).await?;
        Ok(probe)
    }

    /// Publishes and awaits the PUBACK.
    ///
    /// # Errors
    /// None comes within 10 s, or the connection breaks.
    pub async fn publish(&mut self, topic: &str, payload: impl Into<Bytes>) -> Result<()> {
        self.publish_all([(topic.to_owned(), payload.into(), false)])
            .await
    }

    /// Publishes a message to be kept, and awaits the PUBACK.
    ///
    /// # Errors
    /// As [`Self::publish`].
    pub async fn publish_retained(&mut self, topic: &str, payload: impl Into<Bytes>) -> Result<()> {
        self.publish_all([(topic.to_owned(), payload.into(), true)]).await
    }

    /// Publishes `(topic, payload, retain)` one after the other and awaits all PUBACKs at the end.
    ///
    /// # Errors
    /// As [`Self::publish`].
    pub async fn publish_all(
        &mut self,
        messages: impl IntoIterator<Item = (String, Bytes, bool)>,
    ) -> Result<()> {
        for (topic, payload, retain) in messages {
            self.client
                .publish(topic, QoS::AtLeastOnce, retain, payload)
                .await?;
            self.published += 1;
        }
        let published = self.published;
        self.await_state("PUBACK", |state| state.published >= published)
            .await
    }

    /// Subscribes and awaits the SUBACK.
    ///
    /// # Errors
    /// None comes within 10 s, it refuses, or the connection breaks.
    pub async fn subscribe(&mut self, filter: &str) -> Result<()> {
        self.client.subscribe(filter, QoS::AtLeastOnce).await?;
        self.subscribed += 1;
        let subscribed = self.subscribed;
        self.await_state("SUBACK", |state| state.subscribed >= subscribed)
            .await
    }

    /// The next message.
    ///
    /// # Errors
    /// None comes before the deadline, or the connection breaks.
    pub async fn next(&mut self, deadline: Duration) -> Result<Received> {
        let message = tokio::time::timeout(deadline, self.messages.recv())
            .await
            .with_context(|| format!("no MQTT message came within {deadline:?}"))?;
        message.ok_or_else(|| broken(&self.state.borrow()))
    }

    /// The next message that `wanted` accepts; others before it are dropped.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub async fn next_where(
        &mut self,
        deadline: Duration,
        mut wanted: impl FnMut(&Received) -> bool,
    ) -> Result<Received> {
        let end = tokio::time::Instant::now() + deadline;
        loop {
            let left = end.saturating_duration_since(tokio::time::Instant::now());
            let message = self
                .next(left)
                .await
                .with_context(|| format!("waited {deadline:?}"))?;
            if wanted(&message) {
                return Ok(message);
            }
        }
    }

    async fn await_state(&mut self, what: &str, mut reached: impl FnMut(&State) -> bool) -> Result<()> {
        let waited = self
            .state
            .wait_for(|state| reached(state) || state.broken.is_some());
        match tokio::time::timeout(DEADLINE, waited).await {
            Ok(Ok(state)) if reached(&state) => Ok(()),
            Ok(Ok(state)) => Err(broken(&state).context(format!("await the {what}"))),
            Ok(Err(_)) => bail!("the probe's connection is gone"),
            Err(_) => bail!("no {what} came within {DEADLINE:?}"),
        }
    }
}

impl Drop for MqttProbe {
    fn drop(&mut self) {
        // Without DISCONNECT, as a terminal whose power goes: a persistent session stays.
        self.connection.abort();
    }
}

fn broken(state: &State) -> anyhow::Error {
    let reason = state.broken.as_deref().unwrap_or("nobody says why");
    anyhow!("the probe's connection broke: {reason}")
}

async fn drive(mut connection: EventLoop, state: watch::Sender<State>, messages: UnboundedSender<Received>) {
    let reason = loop {
        match connection.poll().await {
            Ok(Event::Incoming(Packet::Publish(publish))) => {
                let topic = String::from_utf8_lossy(&publish.topic).into_owned();
                // Fails when the probe is being dropped.
                let _ = messages.send(Received {
                    topic,
                    payload: publish.payload,
                    retain: publish.retain,
                });
            }
            Ok(Event::Incoming(Packet::ConnAck(_))) => state.send_modify(|state| state.connected = true),
            Ok(Event::Incoming(Packet::PubAck(_))) => state.send_modify(|state| state.published += 1),
            Ok(Event::Incoming(Packet::SubAck(ack))) => {
                if ack
                    .return_codes
                    .iter()
                    .all(|code| format!("{code:?}").starts_with("Success"))
                {
                    state.send_modify(|state| state.subscribed += 1);
                } else {
                    break format!("SUBACK {:?}", ack.return_codes);
                }
            }
            Ok(_) => {}
            Err(error) => break error.to_string(),
        }
    };
    state.send_modify(|state| state.broken = Some(reason));
}
