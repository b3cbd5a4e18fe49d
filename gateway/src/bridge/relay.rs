//! The relay: journal → Kafka, one transaction after another.
//!
//! A transaction takes the entries that are available: a single event leaves at once, a backlog leaves in transactions
//! as large as the uplink carries in time (`batch.rs`).
//!
//! Any error ends the session. The next session connects a new producer, which resolves the open transaction and fences
//! another producer with our transactional id, and then reads the watermark back from Kafka
//! ([`evidence`](super::evidence)). A commit whose reply was lost is therefore neither repeated nor skipped.

mod lanes;
mod places;
mod reconcile;
mod sender;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::ShopKeys;
use super::batch::TransactionSize;
use super::topic_watch::TopicWatch;
use crate::platform::clock::{Clock, Synchronisation};
use crate::platform::metrics::Metrics;
use crate::platform::peer::{Peer, backoff};
use crate::platform::shop_secret::SecretProblem;
use comptoir_core::mac::SignedRecord;
use comptoir_journal::{AppendError, Entry, EntryKind, Journal, Offset, ReadError, RelayedCounts};
use comptoir_kafka::{self as kafka, DeliveryReports, Settings, TopicReport, TransactionalProducer};
pub use lanes::PaymentPriority;
pub use places::PlaceReports;
use reconcile::RefusedWatermarks;
use sender::Sender;

/// Timeout of one Kafka operation, for example a transaction. A Kafka that replies at all replies within it.
const KAFKA_TIMEOUT: Duration = Duration::from_secs(20);
/// Longest backoff between sessions.
const MAX_BACKOFF: Duration = Duration::from_secs(10);
/// Mean backoff of a fenced gateway. It is longer, so that two gateways with one store name do not fence each other
/// constantly.
const FENCED_BACKOFF: Duration = Duration::from_secs(60);

/// Sends the journal's entries to Kafka.
pub struct Relay {
    pub settings: Settings,
    /// Without keys nothing is sent: the relay could not tell what is in Kafka already.
    pub keys: Result<ShopKeys, SecretProblem>,
    pub journal: Journal,
    pub peer: Peer,
    pub metrics: Arc<Metrics>,
    pub clock: Clock,
    /// Where to report the places of committed entries; `None` if the read-back reports them.
    pub places: Option<PlaceReports>,
    /// How payments are sent before other entries.
    pub priority: PaymentPriority,
    /// Whether large dead letters are truncated: Kafka rejected a record as too large, or one did not fit the uplink.
    pub is_truncating: AtomicBool,
}

#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error(transparent)]
    Kafka(#[from] kafka::Error),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Journal(#[from] AppendError),
    #[error(
        "entry {0} is missing from the journal, although it is not in Kafka yet; stop the gateway, keep a copy of the \
         journal file and report this"
    )]
    Hole(u64),
    #[error(
        "the clock of this machine is not synchronised, and Kafka keeps its time for the records of {topics} \
         (message.timestamp.type=CreateTime): it could reject or soon delete them. The bridge waits for the clock (NTP), or \
         until the topics have message.timestamp.type=LogAppendTime"
    )]
    Clock { topics: String },
}

/// Why a session ended without an error.
enum SessionEnd {
    Stopped,
    /// The topics have changed since the session started.
    TopicsChanged,
}

/// State that is kept across sessions.
struct RelayState {
    size: TransactionSize,
    /// Whether the outcome of the last transaction is unknown.
    is_in_doubt: bool,
    keys: ShopKeys,
    /// The last entry that this process handed to a producer.
    handed: Offset,
    /// The last entry whose place was reported or is being searched for.
    placed: Offset,
    /// Number of forged watermarks already counted. Each session reads the same ones again.
    refused: u64,
}

impl Relay {
    /// Runs until `stop`, on its own thread, because librdkafka's transaction calls block.
    pub fn run(self, runtime: &Handle, stop: &CancellationToken) {
        let keys = match &self.keys {
            Ok(keys) => keys.clone(),
            Err(problem) => {
                self.peer.down(problem);
                return runtime.block_on(stop.cancelled());
            }
        };
        let mut waits = backoff(MAX_BACKOFF);
        let mut state = RelayState {
            size: TransactionSize::default(),
            // The previous process may have crashed during a commit.
            is_in_doubt: true,
            keys,
            handed: Offset(0),
            placed: self
                .places
                .as_ref()
                .map_or(Offset(0), |places| places.placed_upto),
            refused: 0,
        };
        let topics = TopicWatch::new(self.settings.clone(), self.peer.clone(), KAFKA_TIMEOUT);
        while !stop.is_cancelled() {
            let begun = self.journal.state();
            let error = match self.session(&topics, &mut state, runtime, stop) {
                Ok(SessionEnd::Stopped) => return,
                Ok(SessionEnd::TopicsChanged) => continue,
                Err(error) => error,
            };
            let error = match error {
                RelayError::Kafka(error) => RelayError::Kafka(error.explained(&self.settings)),
                error => error,
            };
            self.metrics.relay_failures.inc();
            self.peer.down(&error);
            if let RelayError::Kafka(kafka::Error::TooLarge(_)) = error {
                self.is_truncating.store(true, Ordering::Relaxed);
            }
            let reached = self.journal.state();
            if reached.watermark > begun.watermark || reached.payments > begun.payments {
                waits = backoff(MAX_BACKOFF);
            }
            let wait = match error {
                RelayError::Kafka(kafka::Error::Fenced) => {
                    FENCED_BACKOFF.mul_f64(rand::random_range(0.5..1.5))
                }
                _ => waits.next().unwrap_or(MAX_BACKOFF),
            };
            debug!(%error, ?wait, "the session failed; connecting a new producer after a pause");
            runtime.block_on(async {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(wait) => {}
                }
            });
        }
    }

    /// One producer, from its connection to its first error.
    fn session(
        &self,
        topics: &TopicWatch,
        state: &mut RelayState,
        runtime: &Handle,
        stop: &CancellationToken,
    ) -> Result<SessionEnd, RelayError> {
        let watch = topics.clone();
        let Some(report) = blocking(runtime, stop, move || watch.inspect()) else {
            return Ok(SessionEnd::Stopped);
        };
        let report = report?;
        check_clock(&report, &self.clock)?;
        let deadline = kafka::Deadline::new(KAFKA_TIMEOUT, stop);
        let reports = match self.places {
            Some(_) => DeliveryReports::All,
            None => DeliveryReports::Rejected,
        };
        let producer = TransactionalProducer::connect(&self.settings, &report.limits, reports, &deadline)?;
        let journal = self.snapshot(state.handed);
        let keys = state.keys.clone();
        let (settings, token, snapshot) = (self.settings.clone(), stop.clone(), journal.clone());
        let watermarks = blocking(runtime, stop, move || {
            snapshot.watermarks(&settings, &keys, KAFKA_TIMEOUT * 2, &token)
        });
        let Some(watermarks) = watermarks else {
            return Ok(SessionEnd::Stopped);
        };
        let watermarks = watermarks?;
        let watermarks = runtime.block_on(self.judge(watermarks, &journal))?;
        self.report_refused(&watermarks.refused, topics, state);
        // A newly created topic had no watermark, even if the journal records no sent entry. The topic of earlier
        // versions may have one.
        let is_new = report
            .absent
            .contains(&self.settings.shop_topic(kafka::WATERMARKS));
        let is_lost = journal.may_be_in_kafka()
            && (!watermarks.cover(journal.local) || (is_new && !watermarks.have_any()));
        let events = match is_lost && state.is_in_doubt {
            false => Vec::new(),
            true => {
                warn!(
                    watermark = journal.local.upto.0,
                    "Kafka has lost this gateway's watermark: searching the event topics for the last sent event"
                );
                let keys = state.keys.clone();
                let (settings, token, snapshot) = (self.settings.clone(), stop.clone(), journal.clone());
                let events = blocking(runtime, stop, move || {
                    snapshot.events_beyond(&settings, &keys, KAFKA_TIMEOUT * 2, &token)
                });
                match events {
                    Some(events) => events?,
                    None => return Ok(SessionEnd::Stopped),
                }
            }
        };
        let progress = runtime.block_on(self.reconcile(watermarks, events, &journal, &state.keys))?;
        state.is_in_doubt = false;
        self.peer.up();
        self.search_places(state.placed, progress, runtime)?;
        state.placed = progress.upto;
        // Must follow `reconcile`, which may give the journal another uuid.
        let mut sender = Sender::new(self, producer, state.keys.clone(), report.limits.clone());
        let watch = topics.watch(runtime, report);
        sender.run(progress, watch, state, runtime, stop)
    }

    /// Counts, logs and shows watermarks forged in this journal's name.
    fn report_refused(&self, refused: &RefusedWatermarks, topics: &TopicWatch, state: &mut RelayState) {
        if let Some(warning) = refused.warning()
            && refused.count > state.refused
        {
            error!("{warning}");
            self.metrics
                .forged_watermarks
                .inc_by(refused.count - state.refused);
            state.refused = refused.count;
        }
        topics.set_forged(refused.warning());
    }
}

/// The parts of an entry's record that its signature covers. `name` is the entry's name as text; `value` is the
/// record's value.
fn signed<'a>(entry: &'a Entry, name: &'a str, value: &'a [u8]) -> SignedRecord<'a> {
    SignedRecord {
        ce_id: name.as_bytes(),
        ce_type: event_type(entry.kind).as_bytes(),
        key: entry.key.as_bytes(),
        value,
    }
}

/// The CloudEvents `type` of an entry's record.
fn event_type(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Event(kind) => kind.event_type(),
        EntryKind::DeadLetter => "comptoir.dead-letter",
        EntryKind::Audit(_) => "comptoir.audit",
        EntryKind::Closing => "comptoir.closing",
    }
}

/// Fails if Kafka stores this machine's time in records and the clock is not synchronised.
fn check_clock(report: &TopicReport, clock: &Clock) -> Result<(), RelayError> {
    let is_wrong = clock.status().synchronisation == Synchronisation::Unsynchronised;
    match is_wrong && !report.create_time.is_empty() {
        false => Ok(()),
        true => Err(RelayError::Clock {
            topics: report.create_time.join(", "),
        }),
    }
}

/// Counts entries by stream.
fn count(counts: &mut RelayedCounts, entries: &[Arc<Entry>]) {
    for entry in entries {
        let stream = (entry.name.device.clone(), entry.name.epoch);
        counts.entry(stream).or_default().count(entry);
    }
}

/// Runs `act` on a blocking thread, which is abandoned at the stop. `None` after the stop, and after a panic in `act`,
/// which ends the gateway.
fn blocking<T: Send + 'static>(
    runtime: &Handle,
    stop: &CancellationToken,
    act: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    runtime
        .block_on(stop.run_until_cancelled(runtime.spawn_blocking(act)))?
        .ok()
}
