//! The main loop of a session: sends entries in transactions until something fails.

use std::fmt::{Display, Write as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, debug_span, field, trace};

use super::super::ShopKeys;
use super::super::batch::TransactionSize;
use super::super::progress::Progress;
use super::super::topic_watch::{TopicWatchHandle, Verdict};
use super::super::watermark::{self as watermarks, Watermark};
use super::lanes::{Batch, Lanes, PaymentPriority, bytes_of};
use super::{KAFKA_TIMEOUT, Relay, RelayError, RelayState, SessionEnd, event_type, signed};
use comptoir_core::event::Kind;
use comptoir_core::mac::MAC_HEADER;
use comptoir_journal::{Entry, EntryKind, Offset, ReadError, RelayReport, State};
use comptoir_kafka::{self as kafka, Delivery, Record, RecordSizeLimits, Settings, TransactionalProducer};

/// The length, in bytes, to which a dead letter is truncated if it is too large for a topic that the gateway did not
/// create, or too large for a slow uplink within the timeout.
const TRUNCATED_BYTES: usize = 256 << 10;

/// How often the client's callbacks are served while there is nothing to send.
const IDLE: Duration = Duration::from_secs(1);
/// Timeout of [`TransactionalProducer::count_traffic`].
const COUNT_TIMEOUT: Duration = Duration::from_secs(3);

/// Full names of the topics, built once per session.
struct TopicNames {
    /// Indexed by [`Kind`].
    events: [String; 3],
    dead_letters: String,
    audit: String,
    closings: String,
    watermarks: String,
}

impl TopicNames {
    fn new(settings: &Settings) -> Self {
        Self {
            events: Kind::ALL.map(|kind| settings.topic(kind.topic())),
            dead_letters: settings.topic(kafka::DEAD_LETTERS),
            audit: settings.topic(kafka::AUDIT),
            closings: settings.topic(kafka::CLOSINGS),
            watermarks: settings.shop_topic(kafka::WATERMARKS),
        }
    }
}

/// Sends the entries of one session through one producer.
pub(super) struct Sender<'a> {
    relay: &'a Relay,
    producer: TransactionalProducer,
    keys: ShopKeys,
    topics: TopicNames,
    limits: RecordSizeLimits,
    /// Key of the watermark record.
    key: String,
    /// The journal's uuid, the header `ce_journal`.
    journal: String,
    /// The header `ce_source`.
    source: String,
    buffers: HeaderBuffers,
}

/// Buffers for header values that are numbers and times. Reused, so that a record allocates nothing for them.
#[derive(Default)]
struct HeaderBuffers {
    id: String,
    offset: String,
    time: String,
    length: String,
}

fn set(buffer: &mut String, value: impl Display) {
    buffer.clear();
    // Writing to a String cannot fail.
    let _ = write!(buffer, "{value}");
}

impl<'a> Sender<'a> {
    pub fn new(
        relay: &'a Relay,
        producer: TransactionalProducer,
        keys: ShopKeys,
        limits: RecordSizeLimits,
    ) -> Self {
        let settings = &relay.settings;
        let journal = relay.journal.uuid();
        Self {
            relay,
            producer,
            keys,
            topics: TopicNames::new(settings),
            limits,
            key: watermarks::key(&settings.identity, &journal),
            journal,
            source: format!("/comptoir/{}", settings.identity),
            buffers: HeaderBuffers::default(),
        }
    }

    /// Sends the entries after `progress` until the stop, an error, or a change of the topics.
    ///
    /// # Errors
    /// A transaction fails, or the journal cannot be read.
    pub fn run(
        &mut self,
        progress: Progress,
        mut watch: TopicWatchHandle,
        state: &mut RelayState,
        runtime: &Handle,
        stop: &CancellationToken,
    ) -> Result<SessionEnd, RelayError> {
        let journal = self.relay.journal.clone();
        let mut changes = journal.watch();
        let mut ahead = None;
        let delay = self.relay.settings.uplink.delay();
        let PaymentPriority { at_once, uplink } = &self.relay.priority;
        let mut lanes = runtime.block_on(Lanes::resume(journal.clone(), progress))?;
        // When the first entry of the gathering batch was seen.
        let mut gathering: Option<Instant> = None;
        while !stop.is_cancelled() {
            match watch.verdict() {
                None => {}
                Some(Verdict::Changed) => return Ok(SessionEnd::TopicsChanged),
                Some(Verdict::Refused(error)) => return Err(error.into()),
            }
            let (level, size) = (journal.state(), state.size);
            // A journal that fills up would soon refuse payments, too.
            let is_payments_only = uplink.is_nearly_used_up() && level.bytes < level.max_bytes / 5 * 4;
            if is_payments_only
                && let Some(delay) = delay.filter(|_| !at_once)
                && level.last > lanes.searched()
            {
                // They gather, too, because bytes are scarce.
                let full = Offset(lanes.searched().0 + size.entries() as u64 - 1);
                runtime.block_on(entry_after(full, delay, &mut changes, &mut watch, stop));
            }
            if (is_payments_only || (*at_once && delay.is_some()))
                && let Some(batch) = runtime.block_on(lanes.payments(size))?
            {
                self.send_batch(&batch, &lanes, &watch, state, runtime, stop)?;
                continue;
            }
            let (at, searched) = (lanes.upto(), lanes.searched());
            if is_payments_only {
                self.producer.idle();
                runtime.block_on(entry_after(searched, IDLE, &mut changes, &mut watch, stop));
                continue;
            }
            let entries = match ahead.take() {
                Some(read) => runtime.block_on(join(read))?,
                None => runtime.block_on(journal.read(at, size.entries(), size.bytes()))?,
            };
            let Some(last) = entries.last() else {
                self.producer.idle();
                runtime.block_on(entry_after(at, IDLE, &mut changes, &mut watch, stop));
                continue;
            };
            if let Some(delay) = delay
                && entries.len() < size.entries()
                && bytes_of(&entries) < size.bytes()
            {
                let left = delay.saturating_sub(gathering.get_or_insert_with(Instant::now).elapsed());
                if !left.is_zero() {
                    let full = Offset(at.0.saturating_add(size.entries() as u64 - 1));
                    // Each new entry may be a payment that leaves at once.
                    let after = match at_once {
                        true => searched.min(full),
                        false => full,
                    };
                    runtime.block_on(entry_after(after, left, &mut changes, &mut watch, stop));
                    continue;
                }
            }
            gathering = None;
            // Read-ahead: the next entries come from disk while Kafka commits these.
            let (next, after) = (journal.clone(), last.offset);
            ahead = Some(runtime.spawn(async move { next.read(after, size.entries(), size.bytes()).await }));
            let batch = lanes.all(entries)?;
            self.send_batch(&batch, &lanes, &watch, state, runtime, stop)?;
            if self.relay.places.is_some() {
                state.placed = lanes.upto();
            }
        }
        Ok(SessionEnd::Stopped)
    }

    /// Sends a batch in a transaction, with the watermarks of `lanes`, and reports it to the journal and the projection.
    fn send_batch(
        &mut self,
        batch: &Batch,
        lanes: &Lanes,
        watch: &TopicWatchHandle,
        state: &mut RelayState,
        runtime: &Handle,
        stop: &CancellationToken,
    ) -> Result<(), RelayError> {
        let begun = Instant::now();
        let entries = &batch.entries;
        let progress = lanes.progress();
        state.is_in_doubt = true;
        state.handed = state.handed.max(progress.payments);
        watch.transaction(Some(begun));
        let deliveries = self
            .transaction(entries, lanes.watermark(), stop)
            .inspect_err(|error| self.note_failure(error, &mut state.size, entries, bytes_of(entries)))?;
        state.is_in_doubt = false;
        watch.transaction(None);
        let (read, bytes) = batch.read;
        state.size.record_success(read, bytes, begun.elapsed());
        let journal = &self.relay.journal;
        runtime.block_on(journal.report_relayed(RelayReport {
            upto: progress.upto,
            payments: progress.payments,
            read_from: journal.read_from(),
            counts: batch.counts.clone(),
        }));
        if let Some(places) = &self.relay.places {
            places.report(entries, &deliveries, &self.relay.settings, runtime);
        }
        if self.relay.priority.uplink.budget.is_some() {
            // Otherwise the transactions of a backlog would exceed the budget before their bytes are counted.
            self.producer
                .count_traffic(&kafka::Deadline::new(COUNT_TIMEOUT, stop));
        }
        Ok(())
    }

    /// Makes the next transactions smaller if the failure may be due to size.
    fn note_failure(
        &self,
        error: &kafka::Error,
        size: &mut TransactionSize,
        entries: &[Arc<Entry>],
        bytes: usize,
    ) {
        match error {
            kafka::Error::TimedOut { .. } | kafka::Error::NoAnswer { .. } | kafka::Error::Failed { .. } => {}
            // Kafka rejects a batch as a whole. Sent one by one, the entries before the oversized one get through, and
            // it is identified.
            kafka::Error::TooLarge(_) => return size.shrink_to_one(),
            _ => return,
        }
        size.record_failure(entries.len(), bytes);
        debug!(
            entries = entries.len(),
            bytes,
            next = size.entries(),
            "the transaction failed; the next ones are smaller"
        );
        // A single entry cannot be split. A dead letter can be truncated.
        if matches!(error, kafka::Error::TimedOut { .. })
            && let [only] = entries
            && only.payload.len() > TRUNCATED_BYTES
        {
            self.relay.is_truncating.store(true, Ordering::Relaxed);
        }
    }

    /// Returns the places of the entries, by index, as far as Kafka reported them.
    fn transaction(
        &mut self,
        entries: &[Arc<Entry>],
        watermark: Watermark,
        stop: &CancellationToken,
    ) -> Result<Vec<Delivery>, kafka::Error> {
        let span = debug_span!(
            "transaction",
            first = entries.first().map(|entry| entry.offset.0),
            last = entries.last().map(|entry| entry.offset.0),
            entries = entries.len(),
            ce_id = field::Empty,
        );
        if let [only] = entries
            && !span.is_disabled()
        {
            span.record("ce_id", field::display(&only.name));
        }
        let _entered = span.entered();
        let begun = Instant::now();
        let deadline = kafka::Deadline::new(KAFKA_TIMEOUT, stop);
        self.producer.begin()?;
        for (index, entry) in entries.iter().enumerate() {
            self.send(index, entry, &deadline)?;
        }
        let watermark = watermark.signed(&self.key, &self.keys.watermarks);
        let payload = serde_json::json!(watermark).to_string();
        self.producer.send(
            &Record {
                topic: &self.topics.watermarks,
                partition: Some(watermarks::PARTITION),
                key: self.key.as_bytes(),
                payload: payload.as_bytes(),
                headers: &[],
                id: entries.len(),
            },
            &deadline,
        )?;
        let deliveries = self.producer.commit(&deadline)?;
        debug!("committed");
        let events = entries.iter().filter(|entry| !entry.kind.is_own_record()).count();
        self.relay.metrics.relayed.inc_by(events as u64);
        self.relay.metrics.transactions.inc();
        self.relay
            .metrics
            .transaction_seconds
            .observe(begun.elapsed().as_secs_f64());
        Ok(deliveries)
    }

    /// Queues one entry as a CloudEvents 1.0 message (Kafka protocol binding, binary content mode).
    fn send(
        &mut self,
        index: usize,
        entry: &Entry,
        deadline: &kafka::Deadline<'_>,
    ) -> Result<(), kafka::Error> {
        trace!(offset = entry.offset.0, ce_id = %entry.name, "send");
        set(&mut self.buffers.id, &entry.name);
        set(&mut self.buffers.offset, entry.offset.0);
        // The journal made every entry's time from a Timestamp, so it is in range.
        let time = Timestamp::from_millisecond(entry.time).unwrap_or(Timestamp::UNIX_EPOCH);
        set(&mut self.buffers.time, time);
        set(&mut self.buffers.length, entry.payload.len());
        let HeaderBuffers {
            id,
            offset,
            time,
            length,
        } = &self.buffers;
        let (topic, content) = match entry.kind {
            EntryKind::Event(kind) => (&self.topics.events[kind as usize], "application/json"),
            EntryKind::DeadLetter => (&self.topics.dead_letters, "application/octet-stream"),
            EntryKind::Audit(_) => (&self.topics.audit, "application/json"),
            EntryKind::Closing => (&self.topics.closings, "application/json"),
        };
        // Half of the topic's limit leaves room for key and headers.
        let limit = self.limits.of(&self.topics.dead_letters).unwrap_or(u64::MAX) / 2;
        let most = TRUNCATED_BYTES.min(usize::try_from(limit).unwrap_or(TRUNCATED_BYTES));
        let is_dead_letter = entry.kind == EntryKind::DeadLetter;
        let is_truncated =
            is_dead_letter && self.relay.is_truncating.load(Ordering::Relaxed) && entry.payload.len() > most;
        let payload = match is_truncated {
            true => &entry.payload[..most],
            false => &*entry.payload,
        };
        let code = signed(entry, id, payload).sign(&self.keys.records);
        let headers: [(&str, &[u8]); 12] = [
            ("ce_specversion", b"1.0"),
            ("ce_id", id.as_bytes()),
            ("ce_source", self.source.as_bytes()),
            ("ce_type", event_type(entry.kind).as_bytes()),
            ("ce_time", time.as_bytes()),
            ("content-type", content.as_bytes()),
            // Extensions that let the read-back recognise this gateway's events.
            ("ce_journal", self.journal.as_bytes()),
            ("ce_journaloffset", offset.as_bytes()),
            (MAC_HEADER, code.as_bytes()),
            // For dead letters only.
            ("ce_mqtttopic", entry.key.as_bytes()),
            (
                "ce_reason",
                entry.reason.as_deref().unwrap_or_default().as_bytes(),
            ),
            // For truncated dead letters only: the full length in bytes. The journal keeps the whole.
            ("ce_cutfrom", length.as_bytes()),
        ];
        let used = match entry.kind {
            EntryKind::Event(_) | EntryKind::Audit(_) | EntryKind::Closing => headers.len() - 3,
            EntryKind::DeadLetter if is_truncated => headers.len(),
            EntryKind::DeadLetter => headers.len() - 1,
        };
        self.producer.send(
            &Record {
                topic,
                partition: None,
                key: entry.key.as_bytes(),
                payload,
                headers: &headers[..used],
                id: index,
            },
            deadline,
        )
    }
}

/// Waits until the journal has an entry after this one, at most for `limit`, and not beyond the end of the session.
async fn entry_after(
    offset: Offset,
    limit: Duration,
    changes: &mut watch::Receiver<State>,
    topics: &mut TopicWatchHandle,
    stop: &CancellationToken,
) {
    tokio::select! {
        // Fails when the journal is closed, at the end of the gateway.
        _ = changes.wait_for(|state| state.last > offset) => {}
        () = stop.cancelled() => {}
        () = topics.ended() => {}
        () = tokio::time::sleep(limit) => {}
    }
}

async fn join(
    read: tokio::task::JoinHandle<Result<Vec<Arc<Entry>>, ReadError>>,
) -> Result<Vec<Arc<Entry>>, ReadError> {
    // Fails only after a panic or at the end of the runtime, when there is nothing left to send.
    read.await.unwrap_or_else(|_| Ok(Vec::new()))
}
