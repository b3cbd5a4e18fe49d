//! Periodic maintenance: the monthly partitions of the table `event`, and the limit of `kept_apart`.

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _, tz::TimeZone};
use sqlx::{AssertSqlSafe, PgPool, Postgres, Transaction};

use super::retention::first_kept;

/// How many past months have their own partitions.
const MONTHS_BACK: i64 = 12;
/// Most records in `kept_apart` for the same reason.
const MAX_KEPT: i64 = 2_000;
/// Commands are kept for as long as a gateway keeps personal data. At most this many are deleted at once.
const COMMANDS_KEPT: &str = "400 days";
const COMMANDS_AT_ONCE: i64 = 1_000;
/// Key of the advisory lock: one replica at a time does this.
const LOCK: i64 = 0x636f_6d70_746f_6972;

/// Adds missing monthly partitions, removes the oldest records from `kept_apart` if there are too many, and deletes old
/// commands. `retention`: how many months of events are kept, if not all.
///
/// # Errors
/// PostgreSQL does not reply or denies it, or another transaction locks the table for too long.
pub async fn maintain(pool: &PgPool, now: Timestamp, retention: Option<u32>) -> Result<(), sqlx::Error> {
    // In separate transactions: a lock on a table must not make the records pile up.
    let trimmed = super::within(trim_kept_apart(pool)).await;
    let deleted = super::within(delete_commands(pool)).await;
    super::within(add_months(pool, now, retention)).await?;
    trimmed.and(deleted)
}

/// Begins a transaction in which only one replica at a time maintains the tables. `None` while another replica does.
pub(super) async fn begin_maintenance(
    pool: &PgPool,
) -> Result<Option<Transaction<'static, Postgres>>, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let is_ours: bool = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)")
        .bind(LOCK)
        .fetch_one(&mut *transaction)
        .await?;
    Ok(is_ours.then_some(transaction))
}

async fn trim_kept_apart(pool: &PgPool) -> Result<(), sqlx::Error> {
    let Some(mut transaction) = begin_maintenance(pool).await? else {
        return Ok(());
    };
    sqlx::query(
        "DELETE FROM kept_apart WHERE (topic, partition, record_offset) IN (SELECT topic, partition, record_offset FROM \
         (SELECT *, row_number() OVER (PARTITION BY reason ORDER BY appended DESC) AS age FROM kept_apart) AS kept \
         WHERE age > $1)",
    )
    .bind(MAX_KEPT)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await
}

/// Deletes old commands with their deliveries. No lock is needed: two replicas may do it at the same time.
async fn delete_commands(pool: &PgPool) -> Result<(), sqlx::Error> {
    sqlx::query(
        "DELETE FROM command WHERE id IN (SELECT id FROM command WHERE created < now() - $1::text::interval \
         ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED)",
    )
    .bind(COMMANDS_KEPT)
    .bind(COMMANDS_AT_ONCE)
    .execute(pool)
    .await
    .map(drop)
}

/// Adds missing partitions, from a year ago to next month. Moves the rows of a new month out of `event_other`.
async fn add_months(pool: &PgPool, now: Timestamp, retention: Option<u32>) -> Result<(), sqlx::Error> {
    let Some(mut transaction) = begin_maintenance(pool).await? else {
        return Ok(());
    };
    let connection = &mut *transaction;
    // A statement that waits for a table lock blocks all statements behind it.
    sqlx::query("SET LOCAL lock_timeout = '2s'")
        .execute(&mut *connection)
        .await?;
    let first_kept = retention.and_then(|months| first_kept(now, months));
    for (first, next) in months_around(now) {
        // The retention would drop it again.
        if first_kept.is_some_and(|kept| first < kept) {
            continue;
        }
        let name = format!("event_{}_{:02}", first.year(), first.month());
        let is_there: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
            .bind(&name)
            .fetch_one(&mut *connection)
            .await?;
        if is_there {
            continue;
        }
        // The names and dates are our own, so this is safe from SQL injection.
        let statements = [
            format!("CREATE TABLE {name} (LIKE event INCLUDING ALL)"),
            format!(
                "WITH moved AS (DELETE FROM event_other WHERE time >= '{first}T00:00:00Z' AND time < '{next}T00:00:00Z' \
                 RETURNING *) INSERT INTO {name} SELECT * FROM moved"
            ),
            format!(
                "ALTER TABLE event ATTACH PARTITION {name} FOR VALUES FROM ('{first}T00:00:00Z') TO ('{next}T00:00:00Z')"
            ),
        ];
        for statement in statements {
            sqlx::query(AssertSqlSafe(statement))
                .execute(&mut *connection)
                .await?;
        }
    }
    transaction.commit().await
}

/// The first day of each month, and of the month after it.
fn months_around(now: Timestamp) -> impl Iterator<Item = (Date, Date)> {
    let present = now.to_zoned(TimeZone::UTC).date().first_of_month();
    (-MONTHS_BACK..=1).filter_map(move |months| {
        let first = present.checked_add(months.months()).ok()?;
        Some((first, first.checked_add(1.month()).ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_month_for_a_year_back_and_for_the_next() {
        let months: Vec<_> = months_around("2026-12-31T23:59:59Z".parse().unwrap()).collect();
        assert_eq!(months.len(), 14);
        let text = |at: usize| (months[at].0.to_string(), months[at].1.to_string());
        assert_eq!(text(0), ("2025-12-01".to_owned(), "2026-01-01".to_owned()));
        assert_eq!(text(13), ("2027-01-01".to_owned(), "2027-02-01".to_owned()));
    }
}
