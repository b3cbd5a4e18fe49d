//! The journal's runs: which entries were taken in between one opening and the next.
//!
//! Two copies of a journal have one history up to the moment of the copy, and each its own afterwards, with the same
//! offsets. A run's random id tells them apart: only one of them has gone on with that run.

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Row};

use super::Offset;

/// Runs that are remembered.
const MAX_RUNS: i64 = 10_000;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Run {
    id: String,
    first: Offset,
}

/// In their order. The last one is the present one.
#[derive(Debug, Clone, Default)]
pub struct Runs(Vec<Run>);

impl Runs {
    /// Begins a run, whose first entry will be the next one behind `last`.
    pub(super) async fn begin(connection: &mut SqliteConnection, last: Offset) -> Result<Self, sqlx::Error> {
        let first = last.0 as i64 + 1;
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        // One that has taken nothing in says nothing.
        sqlx::query("DELETE FROM run WHERE first >= ?")
            .bind(first)
            .execute(&mut *transaction)
            .await?;
        sqlx::query("INSERT INTO run (id, first) VALUES (?, ?)")
            .bind(uuid::Uuid::new_v4().to_string())
            .bind(first)
            .execute(&mut *transaction)
            .await?;
        let rows = sqlx::query("SELECT id, first FROM run ORDER BY first DESC LIMIT ?")
            .bind(MAX_RUNS)
            .fetch_all(&mut *transaction)
            .await?;
        let mut runs: Vec<Run> = rows
            .iter()
            .map(|row| Run {
                id: row.get(0),
                first: Offset(row.get::<i64, _>(1) as u64),
            })
            .collect();
        runs.reverse();
        if let Some(oldest) = runs.first() {
            sqlx::query("DELETE FROM run WHERE first < ?")
                .bind(oldest.first.0 as i64)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(Self(runs))
    }

    /// Whether a run is one of this journal's.
    pub(super) async fn is_known(connection: &mut SqliteConnection, id: &str) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM run WHERE id = ?)")
            .bind(id)
            .fetch_one(connection)
            .await
    }

    /// The run in which an entry was taken in; `None` before the first that is remembered.
    pub fn of(&self, entry: Offset) -> Option<&str> {
        let after = self.0.partition_point(|run| run.first <= entry);
        Some(&self.0[after.checked_sub(1)?].id)
    }

    /// The last entry that a run can have here; `None` if it is not one of this journal's.
    pub fn last_of(&self, id: &str) -> Option<Offset> {
        let at = self.0.iter().position(|run| run.id == id)?;
        Some(match self.0.get(at + 1) {
            Some(next) => Offset(next.first.0 - 1),
            None => Offset(u64::MAX),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn entries_are_of_the_run_that_took_them_in() {
        let mut memory = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        sqlx::query("CREATE TABLE run (id TEXT PRIMARY KEY, first INTEGER NOT NULL)")
            .execute(&mut memory)
            .await
            .unwrap();
        let first = Runs::begin(&mut memory, Offset(0)).await.unwrap();
        let id = first.of(Offset(1)).unwrap().to_owned();
        assert_eq!(first.last_of(&id), Some(Offset(u64::MAX)));

        let idle = Runs::begin(&mut memory, Offset(7)).await.unwrap();
        let second = Runs::begin(&mut memory, Offset(7)).await.unwrap();
        assert_eq!(second.of(Offset(7)), Some(&*id));
        assert_eq!(second.last_of(&id), Some(Offset(7)));
        assert_ne!(second.of(Offset(8)), Some(&*id));
        assert_eq!(
            second.last_of(idle.of(Offset(8)).unwrap()),
            None,
            "it took nothing in"
        );
        assert_eq!((second.of(Offset(0)), second.last_of("another")), (None, None));
    }
}
