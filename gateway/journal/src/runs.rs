//! The runs of the journal: the entries that were written between one opening and the next.
//!
//! Two copies of a journal share their history up to the copy. Afterwards each has its own entries under the same
//! offsets. The random id of a run tells the copies apart, because only one of them continued that run.

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Row};

use super::Offset;

/// Most runs that are remembered.
const MAX_RUNS: i64 = 10_000;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Run {
    id: String,
    /// The run's first entry.
    first: Offset,
}

/// In order; the last one is the current run.
#[derive(Debug, Clone, Default)]
pub struct Runs(Vec<Run>);

impl Runs {
    /// Starts a run whose first entry will be the one after `last`.
    pub(super) async fn begin(connection: &mut SqliteConnection, last: Offset) -> Result<Self, sqlx::Error> {
        let first = last.0 as i64 + 1;
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        // Runs without entries carry no information.
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
                id: row.get("id"),
                first: Offset(row.get::<i64, _>("first") as u64),
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

    /// Whether a run is part of this journal's history.
    pub(super) async fn is_known(connection: &mut SqliteConnection, id: &str) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM run WHERE id = ?)")
            .bind(id)
            .fetch_one(connection)
            .await
    }

    /// The id of the run that wrote an entry. `None` for an entry before the first remembered run.
    pub fn of(&self, entry: Offset) -> Option<&str> {
        let after = self.0.partition_point(|run| run.first <= entry);
        Some(&self.0[after.checked_sub(1)?].id)
    }

    /// The last entry of a run in this journal. `None` if the run is not part of its history.
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
    async fn an_entry_belongs_to_the_run_that_wrote_it() {
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
            "it wrote no entry"
        );
        assert_eq!((second.of(Offset(0)), second.last_of("another")), (None, None));
    }
}
