//! Reports this gateway's troubles to people, by a webhook and by e-mail. `docs/adr/0024-alerts.md` has the reasons.
//!
//! * [`comparison`]: what began and ended since the last report.
//! * [`outbox`]: what waits for each receiver, in a file.
//!
//! Nothing here depends on Kafka, which may be the trouble.

mod comparison;
mod outbox;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use comptoir_alerts::ShopTrouble;
use comptoir_alerts::mail::{self, Mailbox, Mailer};
use comptoir_alerts::mail_text::{DatedTrouble, MailChanges, Sender};
use comptoir_alerts::receivers::{Receivers, ReceiversConfig};
use comptoir_alerts::webhook::{Url, WebhookClient};
use futures::future::join_all;
use jiff::Timestamp;
use serde_json::json;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::config::{Config, ConfigError};
use crate::fleet::StateSources;
use crate::fleet::state::Trouble;
use crate::platform::alert_status::AlertStatus;
use crate::platform::metrics::Metrics;
use crate::platform::peer::PeerState;
use comparison::{Comparison, Report};
use outbox::{Delivery, Filter, Outbox};

/// Interval between comparisons.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often a receiver without messages checks whether the quiet hours are over.
const CHECK_EVERY: Duration = Duration::from_secs(10);
/// Pause after the first failed attempt. It doubles with each further one, up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(10);
const MAX_PAUSE: Duration = Duration::from_secs(300);
/// How long an attempt in progress may take after the stop, so that the next start does not repeat it.
const STOP_GRACE: Duration = Duration::from_secs(3);
/// The name of the webhook in the outbox.
const WEBHOOK: &str = "webhook";

/// Everybody who gets alerts according to a configuration.
///
/// # Errors
/// Names the invalid key, with an example.
pub fn receivers(config: &Config) -> Result<Receivers, ConfigError> {
    let alerts = config.alerts.clone();
    let receivers = ReceiversConfig {
        webhook: alerts.webhook,
        smtp_url: alerts.smtp_url,
        from: alerts.from,
        to: alerts.to,
        language: alerts.language,
        quiet: alerts.quiet,
        page: alerts.page,
    };
    receivers
        .receivers(Sender::Gateway, config.time_zone())
        .map_err(|error| ConfigError::for_key(format!("alerts.{}", error.key), error.message))
}

/// Reports the troubles of this gateway.
pub struct Alerts {
    store: String,
    sources: StateSources,
    receivers: Receivers,
    client: WebhookClient,
    /// `alerts.after`
    after: Duration,
    outbox: Outbox,
    metrics: Arc<Metrics>,
    status: Arc<AlertStatus>,
}

/// One receiver.
#[derive(Clone, Copy)]
enum Receiver<'a> {
    Webhook(&'a Url),
    Mail(&'a Mailer, &'a Mailbox),
}

impl Receiver<'_> {
    /// The name in the outbox.
    fn name(self) -> String {
        match self {
            Self::Webhook(_) => WEBHOOK.to_owned(),
            Self::Mail(_, recipient) => mail::channel(recipient),
        }
    }

    /// What may be delivered at this time.
    fn filter(self, now: Timestamp) -> Filter {
        match self {
            Self::Webhook(_) => Filter::OldestAlone,
            Self::Mail(mailer, _) if mailer.is_quiet(now) => Filter::AllSevere,
            Self::Mail(..) => Filter::All,
        }
    }

    /// For the log, which contains no addresses.
    fn kind(self) -> &'static str {
        match self {
            Self::Webhook(_) => "webhook",
            Self::Mail(..) => "mail",
        }
    }
}

/// By their names, so that a recipient who is listed twice gets each mail once.
fn by_name(receivers: &Receivers) -> BTreeMap<String, Receiver<'_>> {
    let webhook = receivers.webhook.iter().map(Receiver::Webhook);
    let mails = receivers.mail.iter().flat_map(|mailer| {
        let recipients = mailer.recipients().iter();
        recipients.map(move |recipient| Receiver::Mail(mailer, recipient))
    });
    webhook
        .chain(mails)
        .map(|receiver| (receiver.name(), receiver))
        .collect()
}

impl Alerts {
    /// Reads what was reported before. `None` if there is no receiver.
    ///
    /// # Errors
    /// The operating system's certificates cannot be read.
    pub fn open(
        receivers: Receivers,
        after: Duration,
        journal: &Path,
        sources: StateSources,
        metrics: Arc<Metrics>,
    ) -> anyhow::Result<Option<Self>> {
        if receivers.is_empty() {
            return Ok(None);
        }
        let names: Vec<String> = by_name(&receivers).into_keys().collect();
        let has_webhook = receivers.webhook.is_some();
        let status = AlertStatus::new(has_webhook, names.len() - usize::from(has_webhook));
        let status = Arc::new(status);
        Ok(Some(Self {
            store: sources.store.clone(),
            sources,
            client: WebhookClient::new()?,
            receivers,
            after,
            outbox: Outbox::open(journal, &names, Arc::clone(&status)),
            metrics,
            status,
        }))
    }

    pub fn status(&self) -> Arc<AlertStatus> {
        Arc::clone(&self.status)
    }

    /// Runs until the stop. A receiver that does not reply delays neither the others nor the comparisons.
    pub async fn run(self, stop: CancellationToken) {
        let receivers = by_name(&self.receivers).into_values();
        let deliveries = join_all(receivers.map(|receiver| self.deliver_all(receiver, &stop)));
        tokio::join!(stop.run_until_cancelled(self.compare_all()), deliveries);
    }

    async fn compare_all(&self) {
        let mut comparison = Comparison::new(self.after, self.outbox.reported().await);
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let present = present(&self.sources);
            if let Some(report) = comparison.compare(&present, Instant::now(), |at| self.time_of(at)) {
                let dropped = self.report(report, &comparison).await;
                if dropped > 0 {
                    self.metrics.alerts_dropped.inc_by(dropped as u64);
                    error!(
                        dropped,
                        "too many alerts wait for their receivers, and the oldest are dropped"
                    );
                }
            }
        }
    }

    /// Stores a message, and returns how many older ones were dropped.
    async fn report(&self, report: Report, comparison: &Comparison) -> usize {
        info!(began = ?report.began, ended = ?report.ended.iter().map(|(word, _)| word).collect::<Vec<_>>(), "troubles are reported");
        let trouble = |trouble| ShopTrouble {
            store: self.store.clone(),
            trouble,
        };
        let dated = |(word, since)| DatedTrouble {
            trouble: trouble(word),
            since,
        };
        let changes = MailChanges {
            time: self.time_of(report.at),
            began: report.began.into_iter().map(trouble).collect(),
            ended: report.ended.into_iter().map(dated).collect(),
            lasting: report.lasting.into_iter().map(dated).collect(),
        };
        let is_severe = changes.began.iter().any(ShopTrouble::is_severe);
        let reported = comparison.reported().clone();
        self.outbox.add(changes, is_severe, reported).await
    }

    /// In milliseconds, as the times of sales.
    fn time_of(&self, moment: Instant) -> Timestamp {
        let time = self.sources.clock.time_of(moment);
        Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time)
    }

    /// Delivers what waits for a receiver until the stop. No later message overtakes one that failed, except severe ones
    /// in the quiet hours.
    async fn deliver_all(&self, receiver: Receiver<'_>, stop: &CancellationToken) {
        let name = receiver.name();
        let mut added = self.outbox.added();
        let mut waited = Duration::ZERO;
        while !stop.is_cancelled() {
            let filter = receiver.filter(self.time_of(Instant::now()));
            let Some(delivery) = self.outbox.claim(&name, filter, waited).await else {
                waited = Duration::ZERO;
                let changed = tokio::time::timeout(CHECK_EVERY, added.changed());
                let _ = stop.run_until_cancelled(changed).await;
                continue;
            };
            let stopped = async {
                stop.cancelled().await;
                tokio::time::sleep(STOP_GRACE).await;
            };
            let failure = tokio::select! {
                result = self.attempt(receiver, &delivery) => result.err(),
                () = stopped => return,
            };
            self.note_attempt(receiver, failure.as_deref(), &delivery);
            waited = match failure {
                Some(_) if !delivery.is_last => pause_after(delivery.attempts),
                _ => {
                    self.outbox.remove(&name, delivery.id).await;
                    Duration::ZERO
                }
            };
            let _ = stop.run_until_cancelled(tokio::time::sleep(waited)).await;
        }
    }

    /// The error contains no address.
    async fn attempt(&self, receiver: Receiver<'_>, delivery: &Delivery) -> Result<(), String> {
        match receiver {
            Receiver::Webhook(url) => {
                for changes in &delivery.changes {
                    let ended: Vec<_> = changes.ended.iter().map(|ended| &ended.trouble).collect();
                    let message = json!({
                        "id": delivery.id,
                        "time": changes.time,
                        "store": self.store,
                        "began": changes.began,
                        "ended": ended,
                    });
                    let called = self.client.post(url, &message).await;
                    called.map_err(|error| describe(&error))?;
                }
                Ok(())
            }
            Receiver::Mail(mailer, recipient) => {
                // Another shop's gateway may have sent a message at the same millisecond.
                let id = format!("{}.{}", delivery.id, self.store);
                let sent = mailer.send(recipient, &id, &delivery.changes).await;
                sent.map_err(|error| error.without_reply())
            }
        }
    }

    fn note_attempt(&self, receiver: Receiver<'_>, failure: Option<&str>, delivery: &Delivery) {
        let (receiver, attempts) = (receiver.kind(), delivery.attempts);
        self.status.note_attempt(failure.is_none());
        let Some(failure) = failure else {
            self.metrics.alerts_sent.inc();
            if attempts > 1 {
                info!(receiver, attempts, "the alert was delivered");
            }
            return;
        };
        self.metrics.alerts_failed.inc();
        if delivery.is_last {
            self.metrics.alerts_dropped.inc();
            error!(
                receiver,
                failure, "an alert could not be delivered for a day, and is given up"
            );
        } else if attempts == 1 {
            warn!(
                receiver,
                failure, "an alert could not be delivered; the gateway tries again"
            );
        } else {
            debug!(receiver, failure, attempts, "an alert could not be delivered");
        }
    }
}

/// The words of the present troubles. While Kafka is unreachable, no sale can be sent, and that commands do not arrive
/// is not said besides, as on the gateway page. An idle bridge notices the outage later, when there is a sale to send.
fn present(sources: &StateSources) -> BTreeSet<&'static str> {
    let mut troubles = BTreeSet::from_iter(sources.problems());
    if sources.kafka.status().state == PeerState::Down {
        troubles.insert(Trouble::BridgeDown);
        troubles.remove(&Trouble::CommandsDown);
    }
    troubles.into_iter().map(Trouble::as_str).collect()
}

/// Includes the cause, such as a refused connection.
pub fn describe(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// 10 s, 20 s, 40 s … five minutes.
fn pause_after(attempts: u32) -> Duration {
    let doublings = attempts.saturating_sub(1).min(10);
    FIRST_PAUSE.saturating_mul(1 << doublings).min(MAX_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_five_minutes() {
        let pauses = [1, 2, 3, 5, 6, 1_000].map(|attempts| pause_after(attempts).as_secs());
        assert_eq!(pauses, [10, 20, 40, 160, 300, 300]);
    }
}
