//! MQTT in: from a terminal's publish to its ack.
//!
//! One connection is five loops that hand on through bounded channels:
//!
//! ```text
//! poll ──publishes──▶ decode ──batches──▶ journal
//!  ▲                                         │ committed and fsynced
//!  ├──PUBACKs── puback ◀─┬─ acknowledge ◀────┘ receipts
//!  └──acks, commands── send
//! ```
//!
//! `poll` waits only for `decode` and `acknowledge`, and those wait only for the journal; what goes out
//! (`puback`, `send`) may wait for `poll`. So they cannot wait in a circle, whatever the MQTT broker does.
//!
//! The MQTT broker may have [`RECEIVE_MAXIMUM`] publishes unacknowledged, and [`IN_FLIGHT_KIB`] bounds
//! their bytes: that is all the gateway ever holds. PUBACKs go out in the order of receipt and only after
//! the commit. When the journal refuses, the connection is closed and taken up again when there is room;
//! the terminals keep what is not acked.
//!
//! rumqttc 0.25 keeps events and packet ids of a lost connection, so every connection has a client and an
//! event loop of its own, and an ack cannot reach another connection than its publish came on. The session
//! itself is persistent: the broker redelivers.

pub mod decode;
pub mod downlink;
pub mod presence;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Filter, Packet, Publish, SubscribeReasonCode};
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use rumqttc::{Outgoing, Transport};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::config::MqttUrl;
use crate::event::Kind;
use crate::journal::{AppendError, Journal, Outcome, Receipt};
use crate::link::{Link, patience};
use crate::metrics::Metrics;
use crate::sale;
use decode::Decoder;
use downlink::Downlink;
use presence::Presence;

/// Publishes that the MQTT broker may have unacknowledged at a time.
pub const RECEIVE_MAXIMUM: u16 = 1_000;
/// Largest MQTT packet taken. A larger one the broker does not deliver.
const MAX_PACKET: u32 = 2 << 20;
/// Bytes of the publishes held, in KiB. Holds the largest packet several times.
const IN_FLIGHT_KIB: u32 = 16 << 10;
/// Publishes decoded into one batch.
const BATCH: usize = 512;
/// Requests that wait for the client to write them. Few: acks that wait outside are conflated.
const REQUESTS: usize = 64;
/// Batches that wait for their commit while the next is decoded.
const BATCHES: usize = 4;
/// The broker keeps the session, and what comes for it, for a week without us.
const SESSION_EXPIRY: u32 = 7 * 24 * 3_600;
const KEEP_ALIVE: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: u64 = 5;

/// What ingest needs; see [`Ingest::run`].
pub struct Ingest {
    pub url: MqttUrl,
    pub client_id: String,
    pub journal: Journal,
    pub decoder: Decoder,
    pub downlink: Arc<Downlink>,
    pub presence: Arc<Presence>,
    pub link: Link,
    pub metrics: Arc<Metrics>,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("{0}")]
    Lost(#[from] Box<rumqttc::v5::ConnectionError>),
    #[error("the MQTT broker refused to subscribe us: {0:?}")]
    Unsubscribed(SubscribeReasonCode),
    #[error("{0}")]
    Refused(#[from] AppendError),
    #[error("the MQTT client has ended")]
    ClientGone,
}

/// A publish, and its share of the bytes that may be held.
struct Received {
    publish: Publish,
    _share: OwnedSemaphorePermit,
}

/// A batch in the journal's queue.
struct Submitted {
    publishes: Vec<Received>,
    receipt: oneshot::Receiver<Result<Receipt, AppendError>>,
}

impl Ingest {
    /// Connects, and connects again, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut waits = patience(MAX_WAIT);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.journal.accepting() => {}
            }
            let mut connected = false;
            let ended = self.connection(&stop, &mut connected).await;
            self.downlink.disconnected();
            self.presence.disconnected();
            if connected {
                waits = patience(MAX_WAIT);
            }
            match ended {
                Ok(()) => return,
                Err(Ended::Refused(AppendError::Closed)) => return,
                Err(ended) => self.link.down(ended),
            }
            let wait = waits.next().unwrap_or(MAX_WAIT);
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// One connection, from CONNECT until it is lost, or until `stop` and what was received is committed.
    async fn connection(&self, stop: &CancellationToken, connected: &mut bool) -> Result<(), Ended> {
        let (client, events) = AsyncClient::new(self.options(), REQUESTS);
        let (publishes, received) = mpsc::channel(usize::from(RECEIVE_MAXIMUM));
        let (batches, submitted) = mpsc::channel(BATCHES);
        // Every publish that is not acknowledged has a packet id of its own: there are no more of them.
        let (committed, pubacks) = mpsc::channel(usize::from(u16::MAX));
        let drained = CancellationToken::new();
        tokio::try_join!(
            self.poll(&client, events, publishes, stop, &drained, connected),
            self.decode(received, batches),
            self.acknowledge(submitted, committed),
            puback(&client, pubacks, &drained),
            self.send(&client, stop),
        )?;
        Ok(())
    }

    fn options(&self) -> MqttOptions {
        let mut options = MqttOptions::new(&self.client_id, &self.url.host, self.url.port);
        if let Some((user, password)) = &self.url.credentials {
            options.set_credentials(user, password.reveal());
        }
        if self.url.tls {
            options.set_transport(Transport::tls_with_default_config());
        }
        let mut network = rumqttc::NetworkOptions::new();
        network.set_tcp_nodelay(true);
        network.set_connection_timeout(CONNECT_TIMEOUT);
        options
            .set_network_options(network)
            .set_connection_timeout(CONNECT_TIMEOUT)
            .set_keep_alive(KEEP_ALIVE)
            .set_clean_start(false)
            .set_session_expiry_interval(Some(SESSION_EXPIRY))
            .set_receive_maximum(Some(RECEIVE_MAXIMUM))
            .set_max_packet_size(Some(MAX_PACKET))
            .set_manual_acks(true)
            .set_outgoing_inflight_upper_limit(downlink::IN_FLIGHT as u16 * 2);
        options
    }

    /// Drives the connection. Nothing here waits for the journal's disk: only for room in a channel, which
    /// the other loops make without us.
    async fn poll(
        &self,
        client: &AsyncClient,
        mut events: EventLoop,
        publishes: mpsc::Sender<Received>,
        stop: &CancellationToken,
        drained: &CancellationToken,
        connected: &mut bool,
    ) -> Result<(), Ended> {
        let held = Arc::new(Semaphore::new(IN_FLIGHT_KIB as usize));
        let mut publishes = Some(publishes);
        let mut stopped = pin!(stop.cancelled());
        let mut finished = pin!(drained.cancelled());
        loop {
            if stop.is_cancelled() && publishes.is_some() {
                // No more is taken in; what was goes through the other loops, and its acks come out here.
                publishes = None;
            }
            if drained.is_cancelled() {
                // The PUBACKs of all that was received are queued: say goodbye behind them, and give it a
                // moment to be sent.
                let _ = client.try_disconnect();
                let goodbye = async { while events.poll().await.is_ok() {} };
                let _ = tokio::time::timeout(Duration::from_millis(200), goodbye).await;
                return Ok(());
            }
            let event = tokio::select! {
                event = events.poll() => event.map_err(Box::new)?,
                // poll() is dropped half way only here, where this connection ends anyway.
                () = &mut stopped, if publishes.is_some() => continue,
                () = &mut finished => continue,
            };
            match event {
                Event::Incoming(Packet::ConnAck(ack)) => {
                    debug!(session_present = ack.session_present, "MQTT session");
                    client
                        .try_subscribe_many(filters())
                        .map_err(|_| Ended::ClientGone)?;
                }
                Event::Incoming(Packet::SubAck(ack)) => {
                    for code in ack.return_codes {
                        if !matches!(code, SubscribeReasonCode::Success(_)) {
                            return Err(Ended::Unsubscribed(code));
                        }
                    }
                    *connected = true;
                    self.link.up();
                }
                Event::Incoming(Packet::Publish(publish)) => {
                    let Some(publishes) = &publishes else { continue };
                    let size = (publish.payload.len() / 1024) as u32 + 1;
                    // The semaphore is never closed.
                    let Ok(share) = held.clone().acquire_many_owned(size.min(IN_FLIGHT_KIB)).await else {
                        continue;
                    };
                    let received = Received {
                        publish,
                        _share: share,
                    };
                    if publishes.send(received).await.is_err() {
                        // The loop behind has ended, and try_join! is about to say why.
                        std::future::pending::<()>().await;
                    }
                }
                Event::Incoming(Packet::PubAck(ack)) => self.downlink.acknowledged(ack.pkid),
                Event::Outgoing(Outgoing::Publish(packet)) => self.downlink.sent(packet),
                _ => {}
            }
        }
    }

    async fn decode(
        &self,
        mut received: mpsc::Receiver<Received>,
        batches: mpsc::Sender<Submitted>,
    ) -> Result<(), Ended> {
        let mut buffer = Vec::with_capacity(BATCH);
        while received.recv_many(&mut buffer, BATCH).await > 0 {
            let now = sale::now();
            let mut submissions = Vec::with_capacity(buffer.len());
            let mut publishes = Vec::with_capacity(buffer.len());
            for mut received in buffer.drain(..) {
                let Publish { topic, payload, .. } = &received.publish;
                if !self.presence.note(topic, payload) {
                    submissions.push(self.decoder.decode(topic, payload, now));
                }
                received.publish.payload.clear();
                publishes.push(received);
            }
            self.metrics.received.inc_by(submissions.len() as u64);
            let receipt = self.journal.submit(submissions).await?;
            let batch = Submitted { publishes, receipt };
            if batches.send(batch).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
        Ok(())
    }

    async fn acknowledge(
        &self,
        mut submitted: mpsc::Receiver<Submitted>,
        committed: mpsc::Sender<Publish>,
    ) -> Result<(), Ended> {
        while let Some(batch) = submitted.recv().await {
            let receipt = batch.receipt.await.unwrap_or(Err(AppendError::Closed))?;
            self.count(&receipt);
            // The terminals wait for these; the PUBACKs only open the broker's window.
            self.downlink.ack(receipt.acks);
            for received in batch.publishes {
                if received.publish.qos != QoS::AtMostOnce {
                    committed
                        .try_send(received.publish)
                        .map_err(|_| Ended::ClientGone)?;
                }
            }
        }
        Ok(())
    }

    fn count(&self, receipt: &Receipt) {
        let count = |of: fn(&Outcome) -> bool| receipt.outcomes.iter().filter(|o| of(o)).count();
        let stored = count(|outcome| matches!(outcome, Outcome::Stored(..)));
        let duplicate = count(|outcome| *outcome == Outcome::Duplicate);
        let ahead = count(|outcome| *outcome == Outcome::AheadOfGap);
        self.metrics.stored.inc_by(stored as u64 + receipt.after_gap);
        self.metrics.duplicates.inc_by(duplicate as u64);
        self.metrics.ahead_of_gap.inc_by(ahead as u64);
    }

    /// Publishes acks and commands as they become due.
    async fn send(&self, client: &AsyncClient, stop: &CancellationToken) -> Result<(), Ended> {
        loop {
            let outgoing = tokio::select! {
                outgoing = self.downlink.next() => outgoing,
                // What is left is published after the next start: acks are made anew from every resend.
                () = stop.cancelled() => return Ok(()),
            };
            client
                .publish(
                    outgoing.topic,
                    QoS::AtLeastOnce,
                    outgoing.retain,
                    outgoing.payload,
                )
                .await
                .map_err(|_| Ended::ClientGone)?;
        }
    }
}

/// Acknowledges to the MQTT broker, in the order of receipt.
async fn puback(
    client: &AsyncClient,
    mut pubacks: mpsc::Receiver<Publish>,
    drained: &CancellationToken,
) -> Result<(), Ended> {
    while let Some(publish) = pubacks.recv().await {
        client.ack(&publish).await.map_err(|_| Ended::ClientGone)?;
    }
    drained.cancel();
    Ok(())
}

const MAX_WAIT: Duration = Duration::from_secs(15);

/// All stores' terminals: which of them may publish is the MQTT broker's to say.
fn filters() -> Vec<Filter> {
    Kind::ALL
        .map(Kind::topic)
        .into_iter()
        .chain(["status"])
        .map(|leaf| Filter::new(format!("pos/+/+/{leaf}"), QoS::AtLeastOnce))
        .collect()
}
