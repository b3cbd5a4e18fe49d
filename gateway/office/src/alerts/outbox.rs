//! The outboxes of the recipients of mails.
//!
//! Everything that waits for a recipient becomes one mail, at least once. Which messages a mail consists of is stored
//! before the first attempt, so that each attempt sends the same mail with the same Message-ID.

use comptoir_alerts::mail::{Mailbox, channel};
use comptoir_alerts::mail_text::MailChanges;
use sqlx::{PgPool, Row as _};

use crate::database::within;

/// Most messages in one mail.
const MAX_MESSAGES: i64 = 500;

/// A mail to send now.
pub struct DueMail {
    pub digest: i64,
    /// Number of attempts, including this one.
    pub attempts: i32,
    /// Whether this attempt is the last.
    pub is_old: bool,
    /// When the first message was stored.
    created: i64,
    pub changes: Vec<MailChanges>,
}

impl DueMail {
    /// The same at each attempt, and another one in another database.
    pub fn id(&self) -> String {
        format!("{}.{}", self.digest, self.created)
    }
}

/// Takes what waits for a recipient for one attempt, if it is due.
///
/// # Errors
/// PostgreSQL does not reply.
pub async fn claim(
    pool: &PgPool,
    recipient: &Mailbox,
    is_quiet: bool,
    give_up_after: &str,
) -> Result<Option<DueMail>, sqlx::Error> {
    within(claim_in(pool, &channel(recipient), is_quiet, give_up_after)).await
}

/// The next attempt is due in 40 s, 80 s, 160 s … ten minutes, which is longer than this one takes. So no transaction is open
/// while the mail server works.
async fn claim_in(
    pool: &PgPool,
    channel: &str,
    is_quiet: bool,
    give_up_after: &str,
) -> Result<Option<DueMail>, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    // One replica at a time decides what the next mail is.
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(channel)
        .execute(&mut *transaction)
        .await?;
    // What was tried before comes first. During the quiet hours, only severe troubles are sent.
    let digest: Option<i64> = sqlx::query_scalar(
        "SELECT min(digest) FROM notification WHERE channel = $1 AND (is_severe OR NOT $2)",
    )
    .bind(channel)
    .bind(is_quiet)
    .fetch_one(&mut *transaction)
    .await?;
    let digest = match digest {
        Some(digest) => Some(digest),
        None => {
            sqlx::query_scalar(
                "WITH due AS (SELECT id FROM notification WHERE channel = $1 AND digest IS NULL AND (is_severe OR NOT $2) \
                 ORDER BY id LIMIT $3), \
                 changed AS (UPDATE notification SET digest = (SELECT min(id) FROM due) WHERE id IN (TABLE due)) \
                 SELECT min(id) FROM due",
            )
            .bind(channel)
            .bind(is_quiet)
            .bind(MAX_MESSAGES)
            .fetch_one(&mut *transaction)
            .await?
        }
    };
    let Some(digest): Option<i64> = digest else {
        return Ok(None);
    };
    let rows = sqlx::query(
        "WITH claimed AS (UPDATE notification SET attempts = attempts + 1, \
         next_attempt = now() + least(40 * 2 ^ least(attempts, 10), 600) * interval '1 second' \
         WHERE channel = $1 AND digest = $2 AND next_attempt <= now() RETURNING *) \
         SELECT attempts, body::text AS body, created < now() - $3::text::interval AS is_old, \
         floor(extract(epoch FROM created) * 1000)::bigint AS created FROM claimed ORDER BY id",
    )
    .bind(channel)
    .bind(digest)
    .bind(give_up_after)
    .fetch_all(&mut *transaction)
    .await?;
    transaction.commit().await?;
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    let changes = rows.iter().map(|row| row.try_get::<String, _>("body"));
    let changes: Vec<String> = changes.collect::<Result<_, _>>()?;
    Ok(Some(DueMail {
        digest,
        attempts: first.try_get("attempts")?,
        is_old: first.try_get("is_old")?,
        created: first.try_get("created")?,
        // Cannot fail: the office has written them.
        changes: changes
            .iter()
            .filter_map(|body| serde_json::from_str(body).ok())
            .collect(),
    }))
}

/// Removes a mail from the outbox.
///
/// # Errors
/// PostgreSQL does not reply.
pub async fn forget(pool: &PgPool, recipient: &Mailbox, digest: i64) -> Result<(), sqlx::Error> {
    let delete = sqlx::query("DELETE FROM notification WHERE channel = $1 AND digest = $2")
        .bind(channel(recipient))
        .bind(digest)
        .execute(pool);
    within(delete).await.map(drop)
}
