//! The loops of one connection. The header of `ingest` has a diagram.

use std::sync::Arc;
use std::time::Duration;

use comptoir_mqtt::{
    BrokerPacket, Error as SessionError, InboundPublish, Input, Output, PubAck, Reason, ReasonCode,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::decode::log_batch;
use super::limits::Limits;
use super::presence::Status;
use super::puback_watch::PubAckWatch;
use super::report::{Refusal, Report};
use super::{ConnectionError, Ingest, IngestError, Progress, RECEIVE_MAXIMUM, subscription};
use comptoir_core::event::DeviceId;
use comptoir_core::sale;
use comptoir_journal::{AppendError, Outcome, Receipt};

/// Most payload held without a PUBACK, in KiB: several times the largest packet.
pub const UNACKED_KIB: u32 = 8 << 10;
/// Most publishes decoded into one batch.
const BATCH: usize = 512;
/// Batches that may wait for their commit while the next one is decoded.
const BATCHES: usize = 4;
/// Tills that have come online and wait for their acks to be repeated. Beyond this number acks are not repeated: a till
/// that resends an event gets an ack anyway.
const ONLINE_TILLS: usize = 1_024;
/// Most epochs of a till whose acks are repeated.
const REPEATED_EPOCHS: u32 = 64;
/// How many pings may be answered before the SUBACK, although the SUBSCRIBE was sent before them.
const PINGS_BEFORE_SUBACK: u32 = 2;
/// If a broker answers pings but has not acknowledged a publish for this long, it will not acknowledge it.
const PUBACK_TIMEOUT: Duration = Duration::from_secs(30);

/// Shared by the loops of one connection.
pub struct Pipeline<'a> {
    pub ingest: &'a Ingest,
    pub report: &'a Report,
    pub stop: &'a CancellationToken,
}

/// A publish that has not been acknowledged with a PUBACK.
struct UnackedPublish {
    publish: InboundPublish,
    puback: OwedPubAck,
}

/// The PUBACK owed for a publish, and the publish's share of [`RECEIVE_MAXIMUM`] and [`UNACKED_KIB`]. Dropping it makes
/// room for another publish.
struct OwedPubAck {
    /// `None` at QoS 0, which has no PUBACK.
    packet_id: Option<u16>,
    _place: OwnedSemaphorePermit,
    _kib: OwnedSemaphorePermit,
}

/// A batch in the journal's queue, with the PUBACKs to send after its commit.
struct PendingBatch {
    pubacks: Vec<OwedPubAck>,
    receipt: oneshot::Receiver<Result<Receipt, AppendError>>,
}

/// Bounds the unacknowledged publishes by number and by size.
struct UnackedBudget {
    places: Arc<Semaphore>,
    kib: Arc<Semaphore>,
}

impl UnackedBudget {
    fn new() -> Self {
        Self {
            places: Arc::new(Semaphore::new(usize::from(RECEIVE_MAXIMUM))),
            kib: Arc::new(Semaphore::new(UNACKED_KIB as usize)),
        }
    }

    /// Waits until there is room for the publish. `None` only if a semaphore is closed, which never happens.
    async fn reserve(&self, publish: &InboundPublish) -> Option<OwedPubAck> {
        let kib = (publish.payload.len() / 1024) as u32 + 1;
        let place = self.places.clone().acquire_owned().await.ok()?;
        let kib = self.kib.clone().acquire_many_owned(kib.min(UNACKED_KIB));
        Some(OwedPubAck {
            packet_id: publish.packet_id,
            _place: place,
            _kib: kib.await.ok()?,
        })
    }
}

impl Pipeline<'_> {
    pub async fn run(
        &self,
        input: Input,
        output: Output,
        topics: Vec<String>,
        limits: Limits,
        progress: &mut Progress,
    ) -> Result<(), IngestError> {
        let ping_interval = limits.ping_interval;
        let (publishes, received) = mpsc::channel(usize::from(RECEIVE_MAXIMUM));
        let (batches, pending) = mpsc::channel(BATCHES);
        // As large as the number of unacknowledged publishes, so that `acknowledge` never waits for `write`.
        let (committed, pubacks) = mpsc::channel(usize::from(RECEIVE_MAXIMUM));
        let (online, came_online) = mpsc::channel(ONLINE_TILLS);
        // If acks are retained, a till gets its ack from the broker.
        let online = (!limits.retain).then_some(online);
        tokio::try_join!(
            self.read(input, publishes, topics, limits, progress),
            self.decode(received, batches, online),
            self.acknowledge(pending, committed),
            self.write(output, pubacks, ping_interval),
            self.repeat_acks(came_online),
        )?;
        Ok(())
    }

    /// Receives packets while there is room for publishes. Ends at `stop`; everything received passes through the other
    /// loops, which then end one after the other.
    async fn read(
        &self,
        mut input: Input,
        publishes: mpsc::Sender<UnackedPublish>,
        topics: Vec<String>,
        limits: Limits,
        progress: &mut Progress,
    ) -> Result<(), IngestError> {
        let (downlink, report) = (&self.ingest.downlink, self.report);
        let mut warnings = limits.warnings;
        let (mut pings, mut puback_watch) = (0, PubAckWatch::default());
        let budget = UnackedBudget::new();
        loop {
            let packet = tokio::select! {
                packet = input.next() => packet,
                () = self.stop.cancelled() => return Ok(()),
            };
            match packet.map_err(|error| ConnectionError::of_session(error, &self.ingest.client_id))? {
                BrokerPacket::Publish(publish) => {
                    let Some(puback) = budget.reserve(&publish).await else {
                        continue;
                    };
                    if publishes.send(UnackedPublish { publish, puback }).await.is_err() {
                        // `decode` has failed, and `try_join!` is about to return its error.
                        std::future::pending::<()>().await;
                    }
                }
                BrokerPacket::PubAck(ack) if !ack.code.is_failure() => {
                    progress.has_delivered = true;
                    downlink.acknowledged(ack.packet_id);
                }
                BrokerPacket::PubAck(ack) if ack.code == ReasonCode::RETAIN_NOT_SUPPORTED => {
                    return Err(SessionError::Disconnected(Reason {
                        code: ack.code,
                        text: ack.reason_text,
                        server: None,
                    })
                    .into());
                }
                BrokerPacket::PubAck(PubAck {
                    packet_id,
                    code,
                    reason_text,
                }) => self.publish_refused(packet_id, &Refusal::PubAck(code, reason_text)),
                BrokerPacket::SubAck(suback) => {
                    let granted = subscription::check(&topics, &suback).map_err(ConnectionError::from)?;
                    warnings.extend(granted);
                    progress.subscribed_at = Some(Instant::now());
                    report.connected(std::mem::take(&mut warnings));
                }
                BrokerPacket::PingResp => {
                    pings += 1;
                    if progress.subscribed_at.is_none() && pings > PINGS_BEFORE_SUBACK {
                        return Err(ConnectionError::NoSubAck.into());
                    }
                    let pings_waited = puback_watch.ping_answered(downlink.oldest_in_flight());
                    if limits.ping_interval * pings_waited >= PUBACK_TIMEOUT {
                        return Err(ConnectionError::NoPubAck.into());
                    }
                    report.refresh();
                }
                BrokerPacket::UnsubAck => {}
                BrokerPacket::ConnAck(_) | BrokerPacket::Disconnect(_) | BrokerPacket::Unexpected => {
                    return Err(SessionError::UnexpectedPacket.into());
                }
            }
        }
    }

    /// Decodes publishes in batches and submits them to the journal.
    async fn decode(
        &self,
        mut received: mpsc::Receiver<UnackedPublish>,
        batches: mpsc::Sender<PendingBatch>,
        online: Option<mpsc::Sender<DeviceId>>,
    ) -> Result<(), IngestError> {
        let Ingest {
            stores,
            presence,
            decoder,
            ..
        } = self.ingest;
        let mut buffer = Vec::with_capacity(BATCH);
        while received.recv_many(&mut buffer, BATCH).await > 0 {
            let now = sale::now();
            let mut submissions = Vec::with_capacity(buffer.len());
            let mut pubacks = Vec::with_capacity(buffer.len());
            for UnackedPublish { publish, puback } in buffer.drain(..) {
                let (topic, payload) = (&publish.topic, &publish.payload);
                if stores.includes_topic(topic) {
                    match (presence.record(topic, payload), &online) {
                        (None, _) => {
                            let (submission, cards) = decoder.decode_counting(topic, payload, now);
                            if cards > 0 {
                                self.note_card_numbers(&submission.device, cards);
                            }
                            submissions.push(submission);
                        }
                        // Fails if the channel is full: see `ONLINE_TILLS`.
                        (Some(Status::Online(device)), Some(online)) => _ = online.try_send(device),
                        (Some(_), _) => {}
                    }
                }
                pubacks.push(puback);
            }
            log_batch(&submissions);
            self.ingest.metrics.received.inc_by(submissions.len() as u64);
            let receipt = self.ingest.journal.submit(submissions).await?;
            if batches.send(PendingBatch { pubacks, receipt }).await.is_err() {
                // `acknowledge` has failed, and `try_join!` is about to return its error.
                std::future::pending::<()>().await;
            }
        }
        Ok(())
    }

    /// Waits for the commit of each batch, then passes on its acks and PUBACKs.
    async fn acknowledge(
        &self,
        mut pending: mpsc::Receiver<PendingBatch>,
        committed: mpsc::Sender<OwedPubAck>,
    ) -> Result<(), IngestError> {
        while let Some(batch) = pending.recv().await {
            let receipt = batch.receipt.await.unwrap_or(Err(AppendError::Closed))?;
            self.count(&receipt);
            // Acks first, because tills wait for them; PUBACKs only open the broker's window.
            self.ingest.downlink.ack(receipt.acks);
            for puback in batch.pubacks {
                if puback.packet_id.is_some() && committed.send(puback).await.is_err() {
                    // `write` has failed, and `try_join!` is about to return its error.
                    std::future::pending::<()>().await;
                }
            }
        }
        Ok(())
    }

    /// Publishes the current acks of tills that come online, if the MQTT broker does not retain them.
    async fn repeat_acks(&self, mut came_online: mpsc::Receiver<DeviceId>) -> Result<(), IngestError> {
        while let Some(device) = came_online.recv().await {
            match self.ingest.journal.acks(&device, REPEATED_EPOCHS).await {
                Ok(acks) => self.ingest.downlink.repeat(acks),
                // The till resends its unacknowledged events.
                Err(error) => debug!(%device, %error, "acks not repeated"),
            }
        }
        Ok(())
    }

    /// Sends pings, PUBACKs, acks and commands, as many as are ready in one write. After the last PUBACK it sends the
    /// due acks and a DISCONNECT, and ends.
    async fn write(
        &self,
        mut output: Output,
        mut committed: mpsc::Receiver<OwedPubAck>,
        ping_interval: Duration,
    ) -> Result<(), IngestError> {
        let downlink = &self.ingest.downlink;
        let mut pubacks = Vec::new();
        let mut pings = interval_at(Instant::now() + ping_interval, ping_interval);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_open = true;
        while is_open {
            tokio::select! {
                count = committed.recv_many(&mut pubacks, usize::from(RECEIVE_MAXIMUM)) => {
                    for packet_id in pubacks.iter().filter_map(|puback| puback.packet_id) {
                        output.packets().puback(packet_id)?;
                    }
                    is_open = count > 0;
                }
                () = downlink.due() => {}
                _ = pings.tick() => output.packets().ping()?,
            }
            while !output.packets().is_full()
                && let Some(publish) = downlink.take()
            {
                let packet_id = publish.packet_id;
                match output.packets().publish(publish) {
                    Err(SessionError::PacketTooLarge { .. }) => {
                        self.publish_refused(packet_id, &Refusal::TooLarge);
                    }
                    put => put?,
                }
            }
            if !is_open {
                output.packets().disconnect()?;
            }
            output.flush().await?;
            // The PUBACKs are sent, so there is room for other publishes now.
            pubacks.clear();
        }
        Ok(())
    }

    /// Drops an ack or a command that the broker does not accept. With a wrong access list the broker refuses every
    /// one.
    fn publish_refused(&self, packet_id: u16, refusal: &Refusal) {
        if let Some(topic) = self.ingest.downlink.refused(packet_id) {
            self.ingest.metrics.refused.inc();
            let is_due = self.ingest.refusal_warnings.due();
            self.report.publish_refused(&topic, refusal, is_due);
        }
    }

    /// Counts masked card numbers, and logs them without the numbers.
    fn note_card_numbers(&self, device: &DeviceId, count: usize) {
        self.ingest.metrics.card_numbers_masked.inc_by(count as u64);
        if self.ingest.card_warnings.due() {
            warn!(
                %device,
                count,
                "a card number in a text of a sale was masked before it was stored; comptoir_card_numbers_masked_total counts them"
            );
        }
    }

    fn count(&self, receipt: &Receipt) {
        let metrics = &self.ingest.metrics;
        let count = |is: fn(&Outcome) -> bool| receipt.outcomes.iter().filter(|outcome| is(outcome)).count();
        let stored = count(|outcome| matches!(outcome, Outcome::Stored(..)));
        let duplicates = count(|outcome| *outcome == Outcome::Duplicate);
        let ahead_of_gap = count(|outcome| *outcome == Outcome::AheadOfGap);
        metrics.stored.inc_by(stored as u64 + receipt.after_gap);
        metrics.duplicates.inc_by(duplicates as u64);
        metrics.ahead_of_gap.inc_by(ahead_of_gap as u64);
        metrics.dead_letters_truncated.inc_by(receipt.truncated);
        for outcome in &receipt.outcomes {
            if let Outcome::Refused(refusal) = outcome {
                metrics.events_refused.with_label_values(&[refusal.name()]).inc();
            }
        }
    }
}
