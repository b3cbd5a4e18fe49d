//! Looks at the topics at the start of a session and now and then while it lasts, and says what is wrong with them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{debug, error, info, warn};

use crate::kafka::{self, Mode, Report, Settings, TopicInspector};
use crate::link::Link;

/// Somebody may change a topic at any time. An inspection costs about 20 KB.
const INSPECT_EVERY: Duration = Duration::from_secs(60);
/// A transaction that takes longer may be waiting for a topic that is gone.
const SLOW: Duration = Duration::from_secs(2);
/// Between inspections for that reason.
const SLOW_EVERY: Duration = Duration::from_secs(10);
/// How often it is looked whether one is due.
const TICK: Duration = Duration::from_millis(500);

/// Shared by the sessions.
#[derive(Clone)]
pub struct TopicWatch {
    inspector: Arc<TopicInspector>,
    link: Link,
    /// What the log has been told already.
    said: Arc<Mutex<Vec<String>>>,
    within: Duration,
}

/// Watches until it is dropped.
pub struct Watching {
    ended: tokio::sync::watch::Receiver<Option<Verdict>>,
    transaction: Transaction,
    _stop: DropGuard,
}

/// When the open transaction was begun.
#[derive(Clone, Default)]
struct Transaction(Arc<Mutex<Option<Instant>>>);

impl Transaction {
    fn set(&self, begun: Option<Instant>) {
        // A panic elsewhere leaves a time.
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = begun;
    }

    fn is_slow(&self) -> bool {
        let begun = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        begun.is_some_and(|begun| begun.elapsed() >= SLOW)
    }
}

/// Why the session must end.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// A topic was absent, or another limit counts: a new producer takes the topics as they are now.
    Changed,
    Refused(kafka::Error),
}

impl TopicWatch {
    pub fn new(settings: Settings, link: Link, within: Duration) -> Self {
        Self {
            inspector: Arc::new(TopicInspector::new(settings, Mode::Repair)),
            link,
            said: Arc::default(),
            within,
        }
    }

    /// Inspects the topics, makes and repairs them, and says what is wrong. Blocks.
    ///
    /// # Errors
    /// Kafka does not answer, a topic cannot be made, or it is such that events could be sent twice.
    pub fn inspect(&self) -> Result<Report, kafka::Error> {
        let report = self.inspector.inspect(self.within)?;
        for topic in &report.absent {
            info!(topic, "made the topic");
        }
        for repair in report.repairs() {
            warn!(topic = repair.topic, "{repair}");
        }
        let warnings = report.warnings();
        self.say_new(&warnings);
        self.link.warn(warnings);
        match report.refusal() {
            Some(deviation) => Err(kafka::Error::Topic(Box::new(deviation.clone()))),
            None => Ok(report),
        }
    }

    /// Once each, until it has been right again.
    fn say_new(&self, warnings: &[String]) {
        // A panic elsewhere leaves the list whole.
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        for warning in warnings.iter().filter(|warning| !said.contains(warning)) {
            warn!("{warning}");
        }
        for warning in said.iter().filter(|warning| !warnings.contains(warning)) {
            info!("no longer: {warning}");
        }
        *said = warnings.to_vec();
    }

    /// Inspects now and then. `first` is how the topics were at the start.
    pub fn watch(&self, runtime: &Handle, first: Report) -> Watching {
        self.watch_every(INSPECT_EVERY, runtime, first)
    }

    /// As [`Self::watch`], with another pause.
    pub fn watch_every(&self, pause: Duration, runtime: &Handle, first: Report) -> Watching {
        let stop = CancellationToken::new();
        let (verdict, ended) = tokio::sync::watch::channel(None);
        let (watch, stopped) = (self.clone(), stop.clone());
        let transaction = Transaction::default();
        let open = transaction.clone();
        runtime.spawn(async move {
            let mut inspected = Instant::now();
            while tokio::time::timeout(TICK.min(pause), stopped.cancelled())
                .await
                .is_err()
            {
                let age = inspected.elapsed();
                if age < pause && !(open.is_slow() && age >= SLOW_EVERY.min(pause)) {
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
                    // The session finds out by itself whether Kafka is there.
                    Err(error) => {
                        debug!(%error, "the topics could not be inspected");
                        None
                    }
                };
                if reason.is_some() {
                    // Dropped: the session has ended.
                    let _ = verdict.send(reason);
                    return;
                }
            }
        });
        Watching {
            ended,
            transaction,
            _stop: stop.drop_guard(),
        }
    }
}

impl Watching {
    /// A transaction is open from `begun` on, or, with `None`, it has ended.
    pub fn transaction(&self, begun: Option<Instant>) {
        self.transaction.set(begun);
    }

    /// Why the session must end, if it must.
    pub fn verdict(&self) -> Option<Verdict> {
        self.ended.borrow().clone()
    }

    /// Waits until the session must end.
    pub async fn ended(&mut self) {
        if self.ended.wait_for(Option::is_some).await.is_err() {
            // The task is gone with its runtime.
            error!("the topics are no longer watched");
            std::future::pending().await
        }
    }
}
