//! SQL statements for many rows. Each statement makes a round trip to SQLite's thread, so a batch uses a few large
//! statements instead of one per row.

use std::ops::Range;
use std::sync::Arc;

use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments as _, AssertSqlSafe, Sqlite};

/// Rows per statement. There are only a few sizes, so that each statement is prepared once and cached.
const SIZES: [usize; 5] = [256, 64, 16, 4, 1];

/// One statement in each of the sizes.
pub struct BatchStatement {
    columns: usize,
    statements: [Arc<str>; SIZES.len()],
}

impl BatchStatement {
    /// The statement consists of `before`, one `(?, ?, …)` with `columns` placeholders per row, and `after`.
    pub fn new(before: &str, columns: usize, after: &str) -> Self {
        let row = format!("({})", vec!["?"; columns].join(", "));
        let statement = |rows| format!("{before} {} {after}", vec![row.as_str(); rows].join(", "));
        Self {
            columns,
            statements: SIZES.map(|rows| statement(rows).into()),
        }
    }

    /// The statements for `rows` rows. The caller binds the values of the rows in each range to its statement.
    pub fn queries(
        &self,
        rows: usize,
    ) -> impl Iterator<Item = (Range<usize>, Query<'static, Sqlite, SqliteArguments>)> {
        self.split(rows).map(|(range, statement)| {
            let mut arguments = SqliteArguments::default();
            arguments.reserve(range.len() * self.columns, 0);
            (range, sqlx::query_with(AssertSqlSafe(statement), arguments))
        })
    }

    fn split(&self, rows: usize) -> impl Iterator<Item = (Range<usize>, Arc<str>)> {
        let mut from = 0;
        std::iter::from_fn(move || {
            let left = rows - from;
            let at = SIZES.iter().position(|&size| size <= left)?;
            let range = from..from + SIZES[at];
            from = range.end;
            Some((range, self.statements[at].clone()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_in_exactly_one_statement() {
        let insert = BatchStatement::new("INSERT INTO t VALUES", 2, "RETURNING 1");
        for rows in [0, 1, 3, 4, 63, 64, 65, 255, 256, 1_000] {
            let mut next = 0;
            for (range, statement) in insert.split(rows) {
                assert_eq!(range.start, next);
                next = range.end;
                assert_eq!(statement.matches("(?, ?)").count(), range.len());
            }
            assert_eq!(next, rows);
        }
    }
}
