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
mod limits;
mod packet;
mod pauses;
pub mod presence;
mod reason;
mod report;
mod stores;
mod subscription;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Filter, Publish};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::config::MqttUrl;
use crate::event::DeviceId;
use crate::journal::{AppendError, Journal, Outcome, Receipt};
use crate::link::{Link, Seldom};
use crate::metrics::Metrics;
use crate::sale;
pub use connection::{ConnectionError, reach};
use connection::{Input, Opened, Output, Request};
use decode::Decoder;
use downlink::{Downlink, Stall};
use limits::Limits;
use packet::Incoming;
use pauses::{Attempt, Cause, Pauses};
use presence::{Presence, Status};
use reason::Reason;
use report::{Refusal, Report, SUMMARY_EVERY};
pub use stores::Stores;

/// Publishes held without their PUBACK at a time.
pub const RECEIVE_MAXIMUM: u16 = 1_000;
/// Bytes of the publishes held, in KiB. Holds the largest packet several times.
const IN_FLIGHT_KIB: u32 = 8 << 10;
/// Publishes decoded into one batch.
const BATCH: usize = 512;
/// Batches that wait for their commit while the next is decoded.
const BATCHES: usize = 4;
/// Tills that said that they are online and wait for their acks to be repeated. Beyond it they are not: what a till sends
/// again is acked anyway.
const ONLINE: usize = 1_024;
/// Epochs of a till whose acks are repeated.
const REPEATED_EPOCHS: u32 = 64;
/// Answers to pings that may come before the answer to the SUBSCRIBE, which was sent before them.
const PINGS_BEFORE_SUBACK: u32 = 2;
/// A publish that a broker which answers pings has not acknowledged for so long is not going to be.
const PUBACK_PATIENCE: Duration = Duration::from_secs(30);
/// Reason codes below it mean success.
const FAILURE: u8 = 0x80;
const RETAIN_NOT_SUPPORTED: u8 = 0x9A;

/// What ingest needs; see [`Ingest::run`].
pub struct Ingest {
    pub url: MqttUrl,
    pub client_id: String,
    pub stores: Stores,
    pub journal: Journal,
    pub decoder: Decoder,
    pub downlink: Arc<Downlink>,
    pub presence: Arc<Presence>,
    pub link: Link,
    pub metrics: Arc<Metrics>,
    pub complaints: Seldom,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Lost(#[from] ConnectionError),
    #[error("{0}")]
    Refused(#[from] AppendError),
}

impl Ended {
    fn cause(&self) -> Cause {
        match self {
            Self::Lost(error) => error.cause(),
            Self::Refused(_) => Cause::Journal,
        }
    }

    fn is_about_retain(&self) -> bool {
        let Self::Lost(ConnectionError::Ended(reason)) = self else {
            return false;
        };
        reason.code == RETAIN_NOT_SUPPORTED
    }
}

/// What one connection came to.
#[derive(Default)]
struct Course {
    /// Since when it is subscribed.
    since: Option<Instant>,
    /// The broker acknowledged an ack or a command.
    achieved: bool,
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
        let report = Report::new(self.link.clone());
        let summaries = async {
            let mut minutes = interval_at(Instant::now() + SUMMARY_EVERY, SUMMARY_EVERY);
            loop {
                minutes.tick().await;
                report.summarise();
            }
        };
        tokio::select! {
            () = self.connect_again_and_again(&stop, &report) => {}
            () = summaries => {}
        }
    }

    async fn connect_again_and_again(&self, stop: &CancellationToken, report: &Report) {
        let mut pauses = Pauses::new();
        // Some brokers refuse the retain flag without having said so in their CONNACK.
        let mut may_retain = true;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.journal.accepting() => {}
            }
            let mut course = Course::default();
            let ended = self.connection(stop, report, may_retain, &mut course).await;
            self.downlink.disconnected();
            self.presence.disconnected();
            let ended = match ended {
                Ok(()) | Err(Ended::Refused(AppendError::Closed)) => return,
                Err(ended) => ended,
            };
            may_retain &= !ended.is_about_retain();
            let attempt = pauses.judge(Attempt {
                cause: ended.cause(),
                lasted: course.since.map_or(Duration::ZERO, |since| since.elapsed()),
                achieved: course.achieved,
            });
            let problem = match (&ended, attempt.cause) {
                (Ended::Lost(ConnectionError::Closed), Cause::Twin) => {
                    ConnectionError::PerhapsTakenOver(self.client_id.clone()).to_string()
                }
                _ => ended.to_string(),
            };
            report.down(problem, attempt.cause);
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pauses.after(attempt)) => {}
            }
        }
    }

    /// One connection, from CONNECT until it is lost, or until `stop` and what was received is committed.
    async fn connection(
        &self,
        stop: &CancellationToken,
        report: &Report,
        may_retain: bool,
        course: &mut Course,
    ) -> Result<(), Ended> {
        let filters = self.stores.filters();
        let opened = connection::open(Request {
            url: &self.url,
            client_id: &self.client_id,
            receive_maximum: RECEIVE_MAXIMUM,
            filters: filters.clone(),
            former: self.stores.former(),
        });
        let Opened {
            input,
            output,
            session_present,
            mut limits,
        } = opened.await?;
        if !may_retain && limits.retain {
            limits.retain = false;
            limits.warnings.push(limits::NO_RETAIN.to_owned());
        }
        debug!(session_present, ?limits, "MQTT session");
        self.downlink.connected(limits.receive_maximum, limits.retain);
        let ping_every = limits.ping_every;
        let (publishes, received) = mpsc::channel(usize::from(RECEIVE_MAXIMUM));
        let (batches, submitted) = mpsc::channel(BATCHES);
        // No more are held at a time.
        let (committed, pubacks) = mpsc::channel(usize::from(RECEIVE_MAXIMUM));
        let (online, came_online) = mpsc::channel(ONLINE);
        // Where acks are retained, the broker gives each till its own.
        let online = (!limits.retain).then_some(online);
        tokio::try_join!(
            self.read(input, publishes, filters, limits, stop, report, course),
            self.decode(received, batches, online),
            self.acknowledge(submitted, committed),
            self.write(output, pubacks, ping_every, report),
            self.repeat_acks(came_online),
        )?;
        Ok(())
    }

    /// Takes in what comes, as far as there is room for it. At `stop` no more is taken in; what was goes
    /// through the other loops, which end one after the other.
    #[expect(
        clippy::too_many_arguments,
        reason = "what a connection is made of; only this reads from it"
    )]
    async fn read(
        &self,
        mut input: Input,
        publishes: mpsc::Sender<Received>,
        filters: Vec<Filter>,
        limits: Limits,
        stop: &CancellationToken,
        report: &Report,
        course: &mut Course,
    ) -> Result<(), Ended> {
        let topics: Vec<String> = filters.into_iter().map(|filter| filter.path).collect();
        let mut warnings = limits.warnings;
        let (mut pings, mut stall) = (0, Stall::default());
        let places = Arc::new(Semaphore::new(usize::from(RECEIVE_MAXIMUM)));
        let kib = Arc::new(Semaphore::new(IN_FLIGHT_KIB as usize));
        loop {
            let packet = tokio::select! {
                packet = input.next() => packet?,
                () = stop.cancelled() => return Ok(()),
            };
            match packet {
                Incoming::Publish(publish) => {
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
                Incoming::PubAck(ack) if ack.code < FAILURE => {
                    course.achieved = true;
                    self.downlink.acknowledged(ack.packet);
                }
                Incoming::PubAck(ack) if ack.code == RETAIN_NOT_SUPPORTED => {
                    return Err(ConnectionError::Ended(Reason {
                        code: ack.code,
                        text: ack.reason,
                        server: None,
                    })
                    .into());
                }
                Incoming::PubAck(ack) => {
                    self.refused(ack.packet, &Refusal::Answered(ack.code, ack.reason), report);
                }
                Incoming::SubAck(ack) => {
                    let granted = subscription::granted(&topics, &ack).map_err(ConnectionError::from)?;
                    warnings.extend(granted);
                    course.since = Some(Instant::now());
                    report.up(std::mem::take(&mut warnings));
                }
                Incoming::PingResp => {
                    pings += 1;
                    if course.since.is_none() && pings > PINGS_BEFORE_SUBACK {
                        return Err(ConnectionError::Unsubscribed.into());
                    }
                    let unacknowledged = stall.answered(self.downlink.oldest_in_flight());
                    if limits.ping_every * unacknowledged >= PUBACK_PATIENCE {
                        return Err(ConnectionError::Unacknowledged.into());
                    }
                    report.refresh();
                }
                Incoming::UnsubAck => {}
                Incoming::ConnAck(_) | Incoming::Disconnect(_) | Incoming::Unexpected => {
                    return Err(ConnectionError::Unexpected.into());
                }
            }
        }
    }

    async fn decode(
        &self,
        mut received: mpsc::Receiver<Received>,
        batches: mpsc::Sender<Submitted>,
        online: Option<mpsc::Sender<DeviceId>>,
    ) -> Result<(), Ended> {
        let mut buffer = Vec::with_capacity(BATCH);
        while received.recv_many(&mut buffer, BATCH).await > 0 {
            let now = sale::now();
            let mut submissions = Vec::with_capacity(buffer.len());
            let mut held = Vec::with_capacity(buffer.len());
            for received in buffer.drain(..) {
                let Publish { topic, payload, .. } = &received.publish;
                if self.stores.hear_topic(topic) {
                    match (self.presence.note(topic, payload), &online) {
                        (None, _) => submissions.push(self.decoder.decode(topic, payload, now)),
                        // Full: see `ONLINE`.
                        (Some(Status::Online(device)), Some(online)) => _ = online.try_send(device),
                        (Some(_), _) => {}
                    }
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

    /// Publishes the current acks of tills that come online, where the MQTT broker does not retain them.
    async fn repeat_acks(&self, mut came_online: mpsc::Receiver<DeviceId>) -> Result<(), Ended> {
        while let Some(device) = came_online.recv().await {
            match self.journal.acks(&device, REPEATED_EPOCHS).await {
                Ok(acks) => self.downlink.repeat(acks),
                // The till sends again what it has no ack for.
                Err(error) => debug!(%device, %error, "acks not repeated"),
            }
        }
        Ok(())
    }

    /// Sends PUBACKs, acks and commands, as many as there are in one write, and pings. Ends with the last
    /// PUBACK, behind which the acks that are due and a goodbye go out.
    async fn write(
        &self,
        mut output: Output,
        mut committed: mpsc::Receiver<Held>,
        ping_every: Duration,
        report: &Report,
    ) -> Result<(), Ended> {
        let mut done = Vec::new();
        let mut pings = interval_at(Instant::now() + ping_every, ping_every);
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
                let packet = outgoing.packet;
                if !output.publish(outgoing)? {
                    self.refused(packet, &Refusal::TooLarge, report);
                }
            }
            if !open {
                output.goodbye()?;
            }
            output.flush().await?;
            done.clear();
        }
        Ok(())
    }

    /// An ack that a till waits for, or a command, which is lost. A wrong access list refuses each of them.
    fn refused(&self, packet: u16, refusal: &Refusal, report: &Report) {
        if let Some(topic) = self.downlink.refused(packet) {
            self.metrics.refused.inc();
            report.refused(&topic, refusal, self.complaints.due());
        }
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
