//! MQTT in: from a terminal's publish to its ack.
//!
//! One connection is four loops that hand on through bounded channels:
//!
//! ```text
//! read ──publishes──▶ decode ──batches──▶ journal
//!                                            │ committed and fsynced
//! write ◀──PUBACKs──── acknowledge ◀─────────┘ receipts
//!   ▲                        │
//!   └──acks, commands── downlink
//! ```
//!
//! `read`, `decode` and `acknowledge` wait only for the journal, and `write` only for the MQTT broker to take
//! what it is sent. So they cannot wait in a circle, and the PUBACKs go out however slow the disk is.
//!
//! At most [`RECEIVE_MAXIMUM`] publishes, and [`IN_FLIGHT_KIB`] of them, are held without their PUBACK: that
//! is all the gateway ever holds. The broker is told so, and where it sends more all the same it is not read
//! until there is room. PUBACKs go out in the order of receipt and only after the commit. When the journal
//! refuses, the connection is closed and taken up again when there is room; the terminals keep what is not
//! acked.
//!
//! The session is persistent: the broker redelivers what has no PUBACK. An ack cannot reach another
//! connection than its publish came on, for all of this is made anew for each.

mod connection;
pub mod decode;
pub mod downlink;
pub mod presence;

use std::sync::Arc;
use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Filter, Packet, Publish, SubscribeReasonCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::config::MqttUrl;
use crate::event::Kind;
use crate::journal::{AppendError, Journal, Outcome, Receipt};
use crate::link::{Link, patience};
use crate::metrics::Metrics;
use crate::sale;
pub use connection::{ConnectionError, reach};
use connection::{Input, Opened, Output, PING_EVERY, Request};
use decode::Decoder;
use downlink::Downlink;
use presence::Presence;

/// Publishes held without their PUBACK at a time.
pub const RECEIVE_MAXIMUM: u16 = 1_000;
/// Bytes of the publishes held, in KiB. Holds the largest packet several times.
const IN_FLIGHT_KIB: u32 = 8 << 10;
/// Publishes decoded into one batch.
const BATCH: usize = 512;
/// Batches that wait for their commit while the next is decoded.
const BATCHES: usize = 4;

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
    #[error(transparent)]
    Lost(#[from] ConnectionError),
    #[error("the MQTT broker refused to subscribe us: {0:?}")]
    Unsubscribed(SubscribeReasonCode),
    #[error("{0}")]
    Refused(#[from] AppendError),
}

/// A publish, and its share of what may be held.
struct Received {
    publish: Publish,
    held: Held,
}

/// A publish without its PUBACK. Dropping it makes room for another.
struct Held {
    /// 0: of QoS 0, which has none.
    packet: u16,
    _place: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

/// A batch in the journal's queue.
struct Submitted {
    held: Vec<Held>,
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
        let Opened {
            input,
            output,
            session_present,
            receive_maximum,
        } = connection::open(Request {
            url: &self.url,
            client_id: &self.client_id,
            receive_maximum: RECEIVE_MAXIMUM,
            filters: filters(),
        })
        .await?;
        debug!(session_present, receive_maximum, "MQTT session");
        self.downlink.connected(receive_maximum);
        let (publishes, received) = mpsc::channel(usize::from(RECEIVE_MAXIMUM));
        let (batches, submitted) = mpsc::channel(BATCHES);
        // No more are held at a time.
        let (committed, pubacks) = mpsc::channel(usize::from(RECEIVE_MAXIMUM));
        tokio::try_join!(
            self.read(input, publishes, stop, connected),
            self.decode(received, batches),
            self.acknowledge(submitted, committed),
            self.write(output, pubacks),
        )?;
        Ok(())
    }

    /// Takes in what comes, as far as there is room for it. At `stop` no more is taken in; what was goes
    /// through the other loops, which end one after the other.
    async fn read(
        &self,
        mut input: Input,
        publishes: mpsc::Sender<Received>,
        stop: &CancellationToken,
        connected: &mut bool,
    ) -> Result<(), Ended> {
        let places = Arc::new(Semaphore::new(usize::from(RECEIVE_MAXIMUM)));
        let kib = Arc::new(Semaphore::new(IN_FLIGHT_KIB as usize));
        loop {
            let packet = tokio::select! {
                packet = input.next() => packet?,
                () = stop.cancelled() => return Ok(()),
            };
            match packet {
                Packet::Publish(publish) => {
                    let size = (publish.payload.len() / 1024) as u32 + 1;
                    let place = places.clone().acquire_owned().await;
                    let bytes = kib.clone().acquire_many_owned(size.min(IN_FLIGHT_KIB)).await;
                    // The semaphores are never closed.
                    let (Ok(place), Ok(bytes)) = (place, bytes) else {
                        continue;
                    };
                    let packet = match publish.qos {
                        QoS::AtMostOnce => 0,
                        QoS::AtLeastOnce | QoS::ExactlyOnce => publish.pkid,
                    };
                    let held = Held {
                        packet,
                        _place: place,
                        _bytes: bytes,
                    };
                    if publishes.send(Received { publish, held }).await.is_err() {
                        // The loop behind has ended, and try_join! is about to say why.
                        std::future::pending::<()>().await;
                    }
                }
                Packet::PubAck(ack) => self.downlink.acknowledged(ack.pkid),
                Packet::SubAck(ack) => {
                    for code in ack.return_codes {
                        if !matches!(code, SubscribeReasonCode::Success(_)) {
                            return Err(Ended::Unsubscribed(code));
                        }
                    }
                    *connected = true;
                    self.link.up();
                }
                Packet::PingResp(_) => {}
                _ => return Err(ConnectionError::Unexpected.into()),
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
            let mut held = Vec::with_capacity(buffer.len());
            for received in buffer.drain(..) {
                let Publish { topic, payload, .. } = &received.publish;
                if !self.presence.note(topic, payload) {
                    submissions.push(self.decoder.decode(topic, payload, now));
                }
                held.push(received.held);
            }
            self.metrics.received.inc_by(submissions.len() as u64);
            let receipt = self.journal.submit(submissions).await?;
            if batches.send(Submitted { held, receipt }).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
        Ok(())
    }

    async fn acknowledge(
        &self,
        mut submitted: mpsc::Receiver<Submitted>,
        committed: mpsc::Sender<Held>,
    ) -> Result<(), Ended> {
        while let Some(batch) = submitted.recv().await {
            let receipt = batch.receipt.await.unwrap_or(Err(AppendError::Closed))?;
            self.count(&receipt);
            // The terminals wait for these; the PUBACKs only open the broker's window.
            self.downlink.ack(receipt.acks);
            for held in batch.held {
                if held.packet != 0 && committed.send(held).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        }
        Ok(())
    }

    /// Sends PUBACKs, acks and commands, as many as there are in one write, and pings. Ends with the last
    /// PUBACK, behind which the acks that are due and a goodbye go out.
    async fn write(&self, mut output: Output, mut committed: mpsc::Receiver<Held>) -> Result<(), Ended> {
        let mut done = Vec::new();
        let mut pings = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut open = true;
        while open {
            tokio::select! {
                count = committed.recv_many(&mut done, usize::from(RECEIVE_MAXIMUM)) => {
                    for held in &done {
                        output.puback(held.packet)?;
                    }
                    open = count > 0;
                }
                () = self.downlink.due() => {}
                _ = pings.tick() => output.ping()?,
            }
            while !output.is_full()
                && let Some(outgoing) = self.downlink.take()
            {
                output.publish(outgoing)?;
            }
            if !open {
                output.goodbye()?;
            }
            output.flush().await?;
            done.clear();
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
