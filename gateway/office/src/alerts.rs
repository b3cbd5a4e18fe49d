//! Alerts: what begins and ends to be wrong with the shops is sent to a webhook.
//!
//! Every replica runs this. A lock in PostgreSQL lets one of them compare at a time, and what is to be sent is stored with the
//! comparison, so a change is reported once, and at least once delivered.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use comptoir_core::sale;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use reqwest::{Client, Url};
use serde::Serialize;
use serde_json::Value;
use sqlx::{PgConnection, PgPool, Row as _};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::metrics::Metrics;
use crate::overview::{ShopTrouble, troubles_of_all};

/// Interval between comparisons.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Of one attempt to deliver.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A message that could not be delivered for so long is given up.
const GIVE_UP_AFTER: &str = "1 day";
/// Messages that are delivered between two comparisons, at most.
const AT_ONCE: usize = 20;
/// Key of the advisory lock.
const LOCK: i64 = 0x6f66_6669_6365_2d61;

/// What is sent. The webhook gets it with the `id` of the message, which is the same at each attempt.
#[derive(Debug, Clone, Serialize)]
struct Changes {
    time: Timestamp,
    began: Vec<ShopTrouble>,
    ended: Vec<ShopTrouble>,
}

/// Sends alerts.
pub struct Alerts {
    pool: PgPool,
    /// Of all topics.
    prefix: String,
    webhook: Url,
    client: Client,
    metrics: Arc<Metrics>,
}

impl Alerts {
    /// # Errors
    /// The certificates of the operating system cannot be read.
    pub fn new(
        pool: PgPool,
        prefix: &str,
        webhook: Url,
        metrics: Arc<Metrics>,
    ) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .timeout(TIMEOUT)
            // The receiver is the one that was configured.
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self {
            pool,
            prefix: prefix.to_owned(),
            webhook,
            client,
            metrics,
        })
    }

    /// Runs until the stop.
    pub async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.watch()).await;
    }

    async fn watch(&self) {
        let mut has_failed = false;
        loop {
            match self.compare(sale::now()).await {
                Ok(()) => has_failed = false,
                Err(error) => {
                    self.metrics.alerts_failed.inc();
                    if !has_failed {
                        warn!(%error, "the troubles of the shops were not compared; the office tries again");
                    }
                    has_failed = true;
                }
            }
            for _ in 0..AT_ONCE {
                match self.deliver_one().await {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        debug!(%error, "the messages cannot be read");
                        break;
                    }
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Stores what has changed since the last comparison, and a message about it.
    async fn compare(&self, now: Timestamp) -> Result<(), sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        let is_ours: bool = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)")
            .bind(LOCK)
            .fetch_one(&mut *transaction)
            .await?;
        if !is_ours {
            return Ok(());
        }
        let present = troubles_of_all(&mut transaction, &self.prefix).await?;
        let known = known(&mut transaction).await?;
        let began: Vec<ShopTrouble> = present.difference(&known).cloned().collect();
        let ended: Vec<ShopTrouble> = known.difference(&present).cloned().collect();
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
        // Times and texts only: this cannot fail.
        let body = serde_json::to_string(&Changes {
            time: now,
            began,
            ended,
        })
        .unwrap_or_default();
        sqlx::query("INSERT INTO notification (body) VALUES ($1::json)")
            .bind(body)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await
    }

    /// Delivers the oldest message if it is due. `false` if it is not, or could not be delivered. No later message overtakes it.
    async fn deliver_one(&self) -> Result<bool, sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        let due = sqlx::query(
            "SELECT id, attempts, body::text AS body, created < now() - $1::text::interval AS is_old FROM notification \
             WHERE id = (SELECT min(id) FROM notification) AND next_attempt <= now() FOR UPDATE SKIP LOCKED",
        )
        .bind(GIVE_UP_AFTER)
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(row) = due else { return Ok(false) };
        let (id, attempts): (i64, i32) = (row.try_get("id")?, row.try_get("attempts")?);
        let body: String = row.try_get("body")?;
        let failure = self.post(id, &body).await.err();
        let is_old: bool = row.try_get("is_old")?;
        match &failure {
            None => self.metrics.alerts_sent.inc(),
            Some(failure) => {
                self.metrics.alerts_failed.inc();
                match is_old {
                    true => error!(%failure, "an alert could not be delivered for a day, and is given up"),
                    false if attempts == 0 => {
                        warn!(%failure, "an alert could not be delivered; the office tries again")
                    }
                    false => debug!(%failure, attempts, "an alert could not be delivered"),
                }
            }
        }
        let query = match failure.is_some() && !is_old {
            // 10 s, 20 s, 40 s … five minutes.
            true => sqlx::query(
                "UPDATE notification SET attempts = attempts + 1, \
                 next_attempt = now() + least(10 * 2 ^ least(attempts, 10), 300) * interval '1 second' WHERE id = $1",
            ),
            false => sqlx::query("DELETE FROM notification WHERE id = $1"),
        };
        query.bind(id).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(failure.is_none())
    }

    /// The error names no part of the webhook's address, which may be a secret.
    async fn post(&self, id: i64, body: &str) -> Result<(), reqwest::Error> {
        let mut body: Value = serde_json::from_str(body).unwrap_or_default();
        body["id"] = id.into();
        let post = self.client.post(self.webhook.clone()).json(&body).send();
        let result = post.await.and_then(reqwest::Response::error_for_status);
        result.map(|_| ()).map_err(reqwest::Error::without_url)
    }
}

async fn known(connection: &mut PgConnection) -> Result<BTreeSet<ShopTrouble>, sqlx::Error> {
    let rows = sqlx::query("SELECT store, trouble FROM alert")
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            Ok(ShopTrouble {
                store: row.try_get("store")?,
                trouble: row.try_get("trouble")?,
            })
        })
        .collect()
}
