//! Alerts: when a trouble of a shop begins or ends, a webhook is called and mails are sent.
//!
//! Every replica runs this. A lock in PostgreSQL lets only one of them compare at a time, and the message is stored in
//! the same transaction as the comparison. So each change is reported once, with at-least-once delivery.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use comptoir_alerts::ShopTrouble;
use comptoir_alerts::mail::channel;
use comptoir_alerts::mail_text::{DatedTrouble, MailChanges};
use comptoir_alerts::receivers::Receivers;
use comptoir_alerts::webhook::{Url, WebhookClient};
use comptoir_core::sale;
use jiff::Timestamp;
use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx as _};
use serde::Serialize;
use serde_json::Value;
use sqlx::{PgConnection, PgPool, Row as _};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::database::within;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::overview::{Trouble, read_as_of, troubles_of_all};

pub mod outbox;

/// Interval between comparisons.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// A message that could not be delivered for this long is dropped.
const GIVE_UP_AFTER: &str = "1 day";
/// Most messages delivered between two comparisons.
const AT_ONCE: usize = 20;
/// Interval at which it is checked whether the tables are there.
const PREPARED_EVERY: Duration = Duration::from_secs(1);
/// The channel of the messages for the webhook.
const WEBHOOK: &str = "webhook";
/// Messages for a receiver that no replica has any more are dropped after this time.
const FORGET_AFTER: &str = "3 days";
/// Key of the advisory lock.
const LOCK: i64 = 0x6f66_6669_6365_2d61;

/// The payload of a message. The webhook gets it with the `id` of the message, which is the same at each attempt.
#[derive(Debug, Clone, Serialize)]
struct Changes {
    time: Timestamp,
    began: Vec<ShopTrouble>,
    ended: Vec<ShopTrouble>,
}

/// A message to deliver now.
struct DueMessage {
    id: i64,
    /// Number of attempts, including this one.
    attempts: i32,
    body: String,
    /// Whether this attempt is the last.
    is_old: bool,
}

/// Sends alerts.
pub struct Alerts {
    pool: PgPool,
    /// The prefix of all topics.
    prefix: String,
    receivers: Receivers,
    client: WebhookClient,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
}

impl Alerts {
    /// Creates the HTTP client for the webhook.
    ///
    /// # Errors
    /// The operating system's certificates cannot be read.
    pub fn new(
        pool: PgPool,
        prefix: &str,
        receivers: Receivers,
        metrics: Arc<Metrics>,
        health: Arc<Health>,
    ) -> Result<Self, reqwest::Error> {
        Ok(Self {
            pool,
            prefix: prefix.to_owned(),
            receivers,
            client: WebhookClient::new()?,
            metrics,
            health,
        })
    }

    /// Runs until the stop. A delivery that has begun is finished and noted, so that the next start does not repeat it.
    pub async fn run(self, stop: CancellationToken) {
        // The tables are made at the first start.
        while !self.health.is_prepared() {
            if is_stopped_within(PREPARED_EVERY, &stop).await {
                return;
            }
        }
        let mut has_failed = false;
        loop {
            match within(self.compare(sale::now())).await {
                Ok(()) => has_failed = false,
                Err(error) => {
                    self.metrics.alerts_failed.inc();
                    if !has_failed {
                        warn!(%error, "the troubles of the shops were not compared; the office tries again");
                    }
                    has_failed = true;
                }
            }
            // A receiver that does not reply must not delay the other.
            for result in <[_; 2]>::from(tokio::join!(self.call_webhook(&stop), self.send_mails(&stop))) {
                if let Err(error) = result {
                    debug!(%error, "the messages cannot be read");
                }
            }
            if is_stopped_within(LOOK_EVERY, &stop).await {
                return;
            }
        }
    }

    async fn call_webhook(&self, stop: &CancellationToken) -> Result<(), sqlx::Error> {
        if let Some(webhook) = &self.receivers.webhook {
            for _ in 0..AT_ONCE {
                if stop.is_cancelled() || !self.deliver_one(webhook).await? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Sends each recipient what waits for them, in one mail.
    async fn send_mails(&self, stop: &CancellationToken) -> Result<(), sqlx::Error> {
        let Some(mailer) = &self.receivers.mail else {
            return Ok(());
        };
        for recipient in mailer.recipients() {
            if stop.is_cancelled() {
                break;
            }
            let is_quiet = mailer.is_quiet(sale::now());
            let due = outbox::claim(&self.pool, recipient, is_quiet, GIVE_UP_AFTER);
            let Some(due) = due.await? else { continue };
            let sent = mailer.send(recipient, &due.id(), &due.changes).await;
            let failure = sent.err();
            self.note_attempt(failure.as_ref(), due.attempts, due.is_old);
            if failure.is_none() || due.is_old {
                outbox::forget(&self.pool, recipient, due.digest).await?;
            }
        }
        Ok(())
    }

    fn note_attempt(&self, failure: Option<&impl Display>, attempts: i32, is_old: bool) {
        let Some(failure) = failure else {
            self.metrics.alerts_sent.inc();
            return;
        };
        self.metrics.alerts_failed.inc();
        match attempts {
            _ if is_old => {
                error!(%failure, "an alert could not be delivered for a day, and is given up");
            }
            1 => warn!(%failure, "an alert could not be delivered; the office tries again"),
            attempts => debug!(%failure, attempts, "an alert could not be delivered"),
        }
    }

    /// Stores the changes since the last comparison, and a message about them.
    async fn compare(&self, now: Timestamp) -> Result<(), sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        let is_ours: bool = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)")
            .bind(LOCK)
            .fetch_one(&mut *transaction)
            .await?;
        if !is_ours {
            return Ok(());
        }
        // Nothing has been read yet, or everything is being read again, so it is unknown which shops are silent.
        let Some(as_of) = read_as_of(&mut transaction, &self.prefix).await? else {
            return Ok(());
        };
        let present = troubles_of_all(&mut transaction, as_of).await?;
        let mut known = known(&mut transaction).await?;
        // While everything is read again, no shop counts as silent until the office has reached its former position.
        known.retain(|trouble, since| {
            let is_silence = trouble.trouble == Trouble::Silent.as_str();
            present.contains(trouble) || !is_silence || *since <= as_of
        });
        let stored: BTreeSet<ShopTrouble> = known.keys().cloned().collect();
        let began: Vec<ShopTrouble> = present.difference(&stored).cloned().collect();
        let ended: Vec<ShopTrouble> = stored.difference(&present).cloned().collect();
        if began.is_empty() && ended.is_empty() {
            return Ok(());
        }
        info!(
            began = began.len(),
            ended = ended.len(),
            "the troubles of the shops have changed"
        );
        let columns = |list: &[ShopTrouble]| -> (Vec<String>, Vec<String>) {
            list.iter()
                .map(|item| (item.store.clone(), item.trouble.clone()))
                .unzip()
        };
        let (stores, troubles) = columns(&began);
        sqlx::query(
            "INSERT INTO alert (store, trouble, since) SELECT *, $3 FROM unnest($1::text[], $2::text[])",
        )
        .bind(stores)
        .bind(troubles)
        .bind(now.to_sqlx())
        .execute(&mut *transaction)
        .await?;
        let (stores, troubles) = columns(&ended);
        sqlx::query(
            "DELETE FROM alert WHERE (store, trouble) IN (SELECT * FROM unnest($1::text[], $2::text[]))",
        )
        .bind(stores)
        .bind(troubles)
        .execute(&mut *transaction)
        .await?;
        self.enqueue(
            &mut transaction,
            Changes {
                time: now,
                began,
                ended,
            },
            &known,
        )
        .await?;
        transaction.commit().await
    }

    /// Stores a message for each receiver. `known`: when the troubles that have ended were noticed.
    async fn enqueue(
        &self,
        connection: &mut PgConnection,
        changes: Changes,
        known: &BTreeMap<ShopTrouble, Timestamp>,
    ) -> Result<(), sqlx::Error> {
        let is_severe = changes.began.iter().any(ShopTrouble::is_severe);
        let insert = "INSERT INTO notification (body, channel, is_severe) SELECT $1::json, channel, $3 \
                      FROM unnest($2::text[]) AS channel";
        if self.receivers.webhook.is_some() {
            // Cannot fail: times and strings only.
            let body = serde_json::to_string(&changes).unwrap_or_default();
            sqlx::query(insert)
                .bind(body)
                .bind(vec![WEBHOOK])
                .bind(is_severe)
                .execute(&mut *connection)
                .await?;
        }
        if let Some(mailer) = &self.receivers.mail {
            let Changes { time, began, ended } = changes;
            let since = |trouble: &ShopTrouble| known.get(trouble).copied().unwrap_or(time);
            let ended = ended.into_iter().map(|trouble| DatedTrouble {
                since: since(&trouble),
                trouble,
            });
            let ended = ended.collect();
            // Cannot fail: times and strings only.
            let body = serde_json::to_string(&MailChanges {
                time,
                began,
                ended,
                lasting: Vec::new(),
            })
            .unwrap_or_default();
            let channels: Vec<String> = mailer.recipients().iter().map(channel).collect();
            sqlx::query(insert)
                .bind(body)
                .bind(channels)
                .bind(is_severe)
                .execute(&mut *connection)
                .await?;
        }
        // Of receivers that were removed from the configuration.
        sqlx::query("DELETE FROM notification WHERE created < now() - $1::text::interval")
            .bind(FORGET_AFTER)
            .execute(connection)
            .await?;
        Ok(())
    }

    /// Delivers the oldest message if it is due. Returns `false` if it is not due or could not be delivered. No later
    /// message overtakes it.
    async fn deliver_one(&self, webhook: &Url) -> Result<bool, sqlx::Error> {
        let Some(message) = within(self.claim()).await? else {
            return Ok(false);
        };
        let failure = self.post(webhook, message.id, &message.body).await.err();
        self.note_attempt(failure.as_ref(), message.attempts, message.is_old);
        if failure.is_none() || message.is_old {
            let delete = sqlx::query("DELETE FROM notification WHERE id = $1").bind(message.id);
            within(delete.execute(&self.pool)).await?;
        }
        Ok(failure.is_none())
    }

    /// Takes the oldest message for one attempt, if it is due. The next attempt is due in 20 s, 40 s, 80 s … five
    /// minutes, which is longer than this one takes. So no transaction is open while the receiver works.
    async fn claim(&self) -> Result<Option<DueMessage>, sqlx::Error> {
        let row = sqlx::query(
            "UPDATE notification SET attempts = attempts + 1, \
             next_attempt = now() + least(20 * 2 ^ least(attempts, 10), 300) * interval '1 second' \
             WHERE id = (SELECT min(id) FROM notification WHERE channel = 'webhook') AND next_attempt <= now() \
             RETURNING id, attempts, body::text AS body, created < now() - $1::text::interval AS is_old",
        )
        .bind(GIVE_UP_AFTER)
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(DueMessage {
            id: row.try_get("id")?,
            attempts: row.try_get("attempts")?,
            body: row.try_get("body")?,
            is_old: row.try_get("is_old")?,
        }))
    }

    /// The error contains no part of the webhook's address, which may be a secret.
    async fn post(&self, webhook: &Url, id: i64, body: &str) -> Result<(), reqwest::Error> {
        let mut body: Value = serde_json::from_str(body).unwrap_or_default();
        body["id"] = id.into();
        self.client.post(webhook, &body).await
    }
}

/// Waits for the stop, but not longer than `pause`.
async fn is_stopped_within(pause: Duration, stop: &CancellationToken) -> bool {
    stop.run_until_cancelled(tokio::time::sleep(pause))
        .await
        .is_none()
}

/// The troubles that were reported, and when they began.
async fn known(connection: &mut PgConnection) -> Result<BTreeMap<ShopTrouble, Timestamp>, sqlx::Error> {
    let rows = sqlx::query("SELECT store, trouble, since FROM alert")
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            let trouble = ShopTrouble {
                store: row.try_get("store")?,
                trouble: row.try_get("trouble")?,
            };
            let since: SqlTimestamp = row.try_get("since")?;
            Ok((trouble, since.to_jiff()))
        })
        .collect()
}
