//! What has to be done from time to time: the months of the table `event`, and the limit of `kept_apart`.

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _, tz::TimeZone};
use sqlx::{AssertSqlSafe, PgConnection, PgPool};

/// Months before the present one that have partitions of their own.
const MONTHS_BACK: i64 = 12;
/// Records that are kept apart, at most.
const MAX_KEPT: i64 = 10_000;
/// Key of the advisory lock: replicas do this one after another.
const LOCK: i64 = 0x636f_6d70_746f_6972;

/// Adds the months that are absent, and removes the oldest of too many records that are kept apart.
///
/// # Errors
/// PostgreSQL does not reply, denies it, or another transaction holds the table for long.
pub async fn maintain(pool: &PgPool, now: Timestamp) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin().await?;
    // A statement that waits for a table's lock blocks all statements behind it.
    sqlx::query("SET LOCAL lock_timeout = '2s'")
        .execute(&mut *transaction)
        .await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(LOCK)
        .execute(&mut *transaction)
        .await?;
    add_months(&mut transaction, now).await?;
    sqlx::query(
        "DELETE FROM kept_apart WHERE (topic, partition, record_offset) IN (SELECT topic, partition, record_offset \
         FROM kept_apart ORDER BY appended DESC OFFSET $1)",
    )
    .bind(MAX_KEPT)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await
}

/// Adds the partitions that are absent, from a year ago to next month. Takes the rows of a new month from `event_other`.
async fn add_months(connection: &mut PgConnection, now: Timestamp) -> Result<(), sqlx::Error> {
    for (first, next) in months_around(now) {
        let name = format!("event_{}_{:02}", first.year(), first.month());
        let is_there: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
            .bind(&name)
            .fetch_one(&mut *connection)
            .await?;
        if is_there {
            continue;
        }
        // The names and dates are our own.
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
    Ok(())
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
