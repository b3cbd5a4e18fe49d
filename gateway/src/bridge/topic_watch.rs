//! Inspects the topics at the start of a session and at intervals, and reports problems with them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{debug, error, info, warn};

use crate::platform::peer::Peer;
use comptoir_kafka::{self as kafka, InspectionMode, Settings, TopicInspector, TopicReport};

/// A transaction that takes longer than this may be waiting for a deleted topic.
const SLOW_TRANSACTION: Duration = Duration::from_secs(2);
/// Interval between inspections during a slow transaction.
const INSPECT_SLOW_EVERY: Duration = Duration::from_secs(10);
/// How often the watch checks whether an inspection is due.
const TICK: Duration = Duration::from_millis(500);

/// Inspects the topics. Clones share its state, which is kept across sessions.
#[derive(Clone)]
pub struct TopicWatch {
    inspector: Arc<TopicInspector>,
    peer: Peer,
    /// The logged warnings that still apply.
    logged: Arc<Mutex<Vec<String>>>,
    /// The relay's warning about forged watermarks in the watermark topic.
    forged: Arc<Mutex<Option<String>>>,
    /// Timeout of an inspection.
    within: Duration,
    /// Interval between inspections: someone may change a topic at any time.
    inspect_every: Duration,
}

/// The watch of one session. Dropping it ends the watch.
pub struct TopicWatchHandle {
    ended: tokio::sync::watch::Receiver<Option<Verdict>>,
    transaction: OpenTransaction,
    _stop: DropGuard,
}

/// When the open transaction began; `None` if none is open.
#[derive(Clone, Default)]
struct OpenTransaction(Arc<Mutex<Option<Instant>>>);

impl OpenTransaction {
    fn set(&self, begun: Option<Instant>) {
        // A panic elsewhere leaves the value consistent.
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = begun;
    }

    fn is_slow(&self) -> bool {
        let begun = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        begun.is_some_and(|begun| begun.elapsed() >= SLOW_TRANSACTION)
    }
}

/// Why a session must end.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// A topic was created or a setting has changed; the producer of the next session uses the present topics.
    Changed,
    /// A topic's settings would make the bridge send events twice.
    Refused(kafka::Error),
}

impl TopicWatch {
    /// `within` is the timeout of an inspection.
    pub fn new(settings: Settings, peer: Peer, within: Duration) -> Self {
        Self {
            inspect_every: settings.uplink.inspect_every(),
            inspector: Arc::new(TopicInspector::new(settings, InspectionMode::Repair)),
            peer,
            logged: Arc::default(),
            forged: Arc::default(),
            within,
        }
    }

    /// Inspects the topics, creates and repairs them, and reports problems. Blocks.
    ///
    /// # Errors
    /// Kafka does not reply, a topic cannot be created, or a topic's settings would make the bridge send events twice.
    pub fn inspect(&self) -> Result<TopicReport, kafka::Error> {
        let report = self.inspector.inspect(self.within)?;
        for topic in &report.absent {
            info!(topic, "created the topic");
        }
        for repair in report.repairs() {
            warn!(topic = repair.topic, "{repair}");
        }
        let warnings = report.warnings();
        self.log_changes(&warnings);
        self.show(warnings);
        match report.blocking_deviation() {
            Some(deviation) => Err(kafka::Error::Topic(Box::new(deviation.clone()))),
            None => Ok(report),
        }
    }

    /// Shows the warning about forged watermarks next to those about the topics; `None` removes it.
    pub fn set_forged(&self, warning: Option<String>) {
        *self.forged.lock().unwrap_or_else(PoisonError::into_inner) = warning;
        let warnings = self.logged.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.show(warnings);
    }

    fn show(&self, mut warnings: Vec<String>) {
        // A panic elsewhere leaves the value consistent.
        warnings.extend(self.forged.lock().unwrap_or_else(PoisonError::into_inner).clone());
        self.peer.warn(warnings);
    }

    /// Logs each warning once, and logs again when it no longer applies.
    fn log_changes(&self, warnings: &[String]) {
        // A panic elsewhere leaves the list consistent.
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        for warning in warnings.iter().filter(|warning| !logged.contains(warning)) {
            warn!("{warning}");
        }
        for warning in logged.iter().filter(|warning| !warnings.contains(warning)) {
            info!("resolved: {warning}");
        }
        *logged = warnings.to_vec();
    }

    /// Inspects the topics at intervals. `first` is their state at the start of the session.
    pub fn watch(&self, runtime: &Handle, first: TopicReport) -> TopicWatchHandle {
        self.watch_every(self.inspect_every, runtime, first)
    }

    /// Like [`Self::watch`], with a custom interval.
    pub fn watch_every(&self, interval: Duration, runtime: &Handle, first: TopicReport) -> TopicWatchHandle {
        let stop = CancellationToken::new();
        let (verdict, ended) = tokio::sync::watch::channel(None);
        let (watch, stopped) = (self.clone(), stop.clone());
        let transaction = OpenTransaction::default();
        let open = transaction.clone();
        runtime.spawn(async move {
            let mut inspected = Instant::now();
            while tokio::time::timeout(TICK.min(interval), stopped.cancelled())
                .await
                .is_err()
            {
                let age = inspected.elapsed();
                if age < interval && !(open.is_slow() && age >= INSPECT_SLOW_EVERY.min(interval)) {
                    continue;
                }
                let watch = watch.clone();
                let Ok(result) = tokio::task::spawn_blocking(move || watch.inspect()).await else {
                    return;
                };
                inspected = Instant::now();
                let reason = match result {
                    Ok(report) => {
                        let has_changed = !report.absent.is_empty()
                            || report.limits != first.limits
                            || report.create_time != first.create_time;
                        has_changed.then_some(Verdict::Changed)
                    }
                    Err(error @ kafka::Error::Topic(_)) => Some(Verdict::Refused(error)),
                    // The session itself notices that Kafka is unreachable.
                    Err(error) => {
                        debug!(%error, "the topics could not be inspected");
                        None
                    }
                };
                if reason.is_some() {
                    // Fails if the session has already ended.
                    let _ = verdict.send(reason);
                    return;
                }
            }
        });
        TopicWatchHandle {
            ended,
            transaction,
            _stop: stop.drop_guard(),
        }
    }
}

impl TopicWatchHandle {
    /// Records that a transaction has begun, or, with `None`, that it has ended.
    pub fn transaction(&self, begun: Option<Instant>) {
        self.transaction.set(begun);
    }

    /// Why the session must end; `None` while it may continue.
    pub fn verdict(&self) -> Option<Verdict> {
        self.ended.borrow().clone()
    }

    /// Waits until the session must end.
    pub async fn ended(&mut self) {
        if self.ended.wait_for(Option::is_some).await.is_err() {
            // The task ended without a verdict: after a panic, or with the runtime.
            error!("the topics are no longer watched; restart the gateway if this lasts");
            std::future::pending().await
        }
    }
}
