//! Deletes old events and sales, and keeps the figures that they add up to.
//!
//! A deleted event would count again if its record were read again, so the limit is stored first: from then on, no event
//! before it is taken over.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx as _};
use sqlx::{AssertSqlSafe, PgConnection, PgPool};
use tracing::info;

use super::maintenance::begin_maintenance;
use super::within;

/// Most rows that one transaction deletes.
const STEP: i64 = 5_000;
/// Most transactions of each kind in one run. The next run continues.
const STEPS: usize = 20;

const DELETE_SALES: &str = "DELETE FROM sale WHERE (store, kind, device, id) IN (SELECT store, kind, device, id FROM sale \
    WHERE time < $1 ORDER BY time LIMIT $2 FOR UPDATE SKIP LOCKED)";
/// Rows whose month has no partition.
const DELETE_OTHER_EVENTS: &str = "DELETE FROM event_other WHERE (store, device, epoch, seq, time) IN \
    (SELECT store, device, epoch, seq, time FROM event_other WHERE time < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)";

/// The first day that is kept if the sales of so many whole months are kept.
pub fn first_kept(now: Timestamp, months: u32) -> Option<Date> {
    let present = now.to_zoned(TimeZone::UTC).date().first_of_month();
    present.checked_sub(i64::from(months).months()).ok()
}

/// Deletes the events and sales that are older than so many months. A run deletes at most a hundred thousand sales.
///
/// # Errors
/// PostgreSQL does not reply or denies it, or another transaction locks the table for too long.
pub async fn expire(pool: &PgPool, now: Timestamp, months: u32) -> Result<(), sqlx::Error> {
    let Some(limit) = within(advance_limit(pool, now, months)).await? else {
        return Ok(());
    };
    while let Some(partition) = within(drop_oldest_partition(pool, limit)).await? {
        info!(
            partition,
            "the events of a month are older than retention.events: deleted"
        );
    }
    for (statement, what) in [(DELETE_OTHER_EVENTS, "events"), (DELETE_SALES, "sales")] {
        let mut deleted = 0;
        for _ in 0..STEPS {
            let rows = within(delete_step(pool, statement, limit)).await?;
            deleted += rows;
            if rows < STEP as u64 {
                break;
            }
        }
        if deleted > 0 {
            info!(deleted, before = %limit, "{what} are older than retention.events: deleted");
        }
    }
    Ok(())
}

/// Stores the limit, which never goes back, and returns it. `None` while another replica maintains the tables.
async fn advance_limit(pool: &PgPool, now: Timestamp, months: u32) -> Result<Option<Timestamp>, sqlx::Error> {
    let Some(mut transaction) = begin_maintenance(pool).await? else {
        return Ok(None);
    };
    // A wrong clock of either machine must not delete what is to be kept.
    let theirs: SqlTimestamp = sqlx::query_scalar("SELECT now()")
        .fetch_one(&mut *transaction)
        .await?;
    let Some(first) = first_kept(now.min(theirs.to_jiff()), months) else {
        return Ok(None);
    };
    let limit = first.to_zoned(TimeZone::UTC).map(|day| day.timestamp());
    let Ok(limit) = limit else { return Ok(None) };
    // Waits until the batches that were written under the former limit are committed: they hold a share lock.
    let limit: SqlTimestamp = sqlx::query_scalar(
        "UPDATE retention SET sales_before = greatest(sales_before, $1) RETURNING sales_before",
    )
    .bind(limit.to_sqlx())
    .fetch_one(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(Some(limit.to_jiff()))
}

/// Before which time no event is taken over, until the end of this transaction.
pub(super) async fn lock_limit(connection: &mut PgConnection) -> Result<Option<Timestamp>, sqlx::Error> {
    let limit: Option<SqlTimestamp> = sqlx::query_scalar(
        "SELECT CASE WHEN isfinite(sales_before) THEN sales_before END FROM retention FOR SHARE",
    )
    .fetch_one(connection)
    .await?;
    Ok(limit.map(SqlTimestamp::to_jiff))
}

/// Drops one monthly partition that ends before the limit. `None` if there is none, or if another replica maintains the
/// tables.
async fn drop_oldest_partition(pool: &PgPool, limit: Timestamp) -> Result<Option<String>, sqlx::Error> {
    let Some(mut transaction) = begin_maintenance(pool).await? else {
        return Ok(None);
    };
    let month = limit.to_zoned(TimeZone::UTC).date();
    // The names sort like the months.
    let oldest: Option<String> = sqlx::query_scalar(
        "SELECT min(relname::text) FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid \
         WHERE inhparent = 'event'::regclass AND relname ~ '^event_\\d{4}_\\d{2}$' AND relname::text COLLATE \"C\" < $1",
    )
    .bind(format!("event_{}_{:02}", month.year(), month.month()))
    .fetch_one(&mut *transaction)
    .await?;
    let Some(oldest) = oldest else { return Ok(None) };
    // A statement that waits for a table lock blocks all statements behind it.
    sqlx::query("SET LOCAL lock_timeout = '2s'")
        .execute(&mut *transaction)
        .await?;
    // The name consists of digits, so this is safe from SQL injection.
    sqlx::query(AssertSqlSafe(format!("DROP TABLE {oldest}")))
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(Some(oldest))
}

/// Returns how many rows were deleted. Other replicas may delete at the same time: each skips the rows of the others.
async fn delete_step(pool: &PgPool, statement: &'static str, limit: Timestamp) -> Result<u64, sqlx::Error> {
    let query = sqlx::query(statement).bind(limit.to_sqlx()).bind(STEP);
    Ok(query.execute(pool).await?.rows_affected())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_months_are_kept() {
        let at = |now: &str, months| first_kept(now.parse().unwrap(), months).unwrap().to_string();
        assert_eq!(at("2026-12-31T23:59:59Z", 12), "2025-12-01");
        assert_eq!(at("2026-03-31T00:00:00Z", 1), "2026-02-01");
    }
}
