//! Statements over many rows: each statement crosses into SQLite's thread and back, so a batch is a few of
//! them, not one for each row.

use std::ops::Range;
use std::sync::Arc;

use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments as _, AssertSqlSafe, Sqlite};

/// Rows of a statement. Few sizes, so that each is prepared once and kept.
const SIZES: [usize; 5] = [256, 64, 16, 4, 1];

/// One statement, in each size.
pub struct Rows {
    columns: usize,
    statements: [Arc<str>; SIZES.len()],
}

impl Rows {
    /// The statement is `before`, one `(?, ?, …)` of so many columns for each row, and `after`.
    pub fn new(before: &str, columns: usize, after: &str) -> Self {
        let row = format!("({})", vec!["?"; columns].join(", "));
        let statement = |rows| format!("{before} {} {after}", vec![row.as_str(); rows].join(", "));
        Self {
            columns,
            statements: SIZES.map(|rows| statement(rows).into()),
        }
    }

    /// The statements for so many rows, each with the rows that it is for and that are to be bound.
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
    fn every_row_is_in_one_statement_of_its_size() {
        let insert = Rows::new("INSERT INTO t VALUES", 2, "RETURNING 1");
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
