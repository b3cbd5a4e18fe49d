//! Searches: see `docs/adr/0025-search.md`.

use std::collections::BTreeSet;

use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row as _};

use super::list::{Cursor, Freshness, ListFilter, ListOrder};
use super::sale_rows::{PAGE_BYTES, listed, truncate_to};
use super::sale_state::SaleState;
use super::search_words::SearchWords;
use super::store::{BLOCK, sale_key};
use super::{Projection, ProjectionError, Request};
use comptoir_core::event::Kind;
use comptoir_journal::sqlite::is_damage;

/// Rows that are read at a time where nothing is indexed.
const SCAN: u32 = 500;

/// One step of a search.
#[derive(Debug, Default)]
pub struct SearchStep {
    /// Sales that may have the words, newest first; all that have them are among them.
    pub candidates: Vec<SaleState>,
    /// Rows that the step has read.
    pub examined: usize,
    /// The next step begins after this row. `None` if everything was searched.
    pub next: Option<Cursor>,
}

/// What a step reads.
enum Step {
    /// Rows that are not indexed, down to this one.
    Unindexed { floor: u64 },
    /// Keys of rows that the index has found, and the row after which the next step begins.
    Found { seqs: Vec<u64>, next: u64 },
}

impl Projection {
    /// One step of a search, in the order of the sales' first events: among at most [`SCAN`] rows that are not indexed, or
    /// the newest `wanted` that the index finds in a block. `with_hidden`: whether the caller may see all fields.
    ///
    /// # Errors
    ///
    /// The projection has ended, or its file or the journal could not be read.
    pub async fn search(
        &self,
        kind: Kind,
        filter: ListFilter<'_>,
        words: &SearchWords,
        with_hidden: bool,
        before: Option<Cursor>,
        wanted: u32,
    ) -> Result<SearchStep, ProjectionError> {
        // An item keeps its place in this order, and its row is its cursor.
        let filter = ListFilter {
            order: ListOrder::FirstEvent,
            ..filter
        };
        let start = match before {
            None => u64::MAX,
            Some(Cursor::Row(row)) => row,
            // Of a list in the other order.
            Some(Cursor::Time { .. }) => return self.scan(kind, filter, before, 0).await,
        };
        let step = self
            .find_step(kind, &words.expression(with_hidden), start, wanted)
            .await?;
        match step {
            Step::Unindexed { floor } => self.scan(kind, filter, before, floor).await,
            Step::Found { seqs, next } => self.sales_of(kind, filter, &seqs, next).await,
        }
    }

    /// Asks the index. In one transaction, because a block may be dropped.
    async fn find_step(
        &self,
        kind: Kind,
        expression: &str,
        start: u64,
        wanted: u32,
    ) -> Result<Step, ProjectionError> {
        let read = self.readers.read(async |pool| {
            let mut transaction = pool.begin().await?;
            let blocks = sqlx::query("SELECT block, upto FROM search_block ORDER BY block DESC")
                .fetch_all(&mut *transaction)
                .await?;
            for row in &blocks {
                let (block, upto) = (row.get::<i64, _>("block") as u64, row.get::<i64, _>("upto") as u64);
                let begin = block * BLOCK;
                if start > upto {
                    return Ok(Step::Unindexed { floor: upto });
                }
                if start <= begin {
                    continue;
                }
                let (from, to) = (sale_key(kind, begin), sale_key(kind, start));
                let indexed: Vec<i64> = sqlx::query_scalar(AssertSqlSafe(format!(
                    "SELECT rowid FROM search_{block} WHERE search_{block} MATCH ? AND rowid >= ? AND rowid < ?
                     ORDER BY rowid DESC LIMIT ?"
                )))
                .bind(expression)
                .bind(from)
                .bind(to)
                .bind(wanted)
                .fetch_all(&mut *transaction)
                .await?;
                // Their new words are not in the index yet.
                let changed: Vec<i64> = sqlx::query_scalar(
                    "SELECT sale FROM search_changed WHERE sale >= ? AND sale < ? ORDER BY sale DESC LIMIT ?",
                )
                .bind(from)
                .bind(to)
                .bind(wanted)
                .fetch_all(&mut *transaction)
                .await?;
                let keys: BTreeSet<i64> = indexed.into_iter().chain(changed).collect();
                let newest = keys.iter().rev().take(wanted as usize);
                let seqs: Vec<u64> = newest.map(|key| (key - sale_key(kind, 0)) as u64).collect();
                let next = match seqs.last() {
                    Some(last) if seqs.len() == wanted as usize => *last,
                    _ => begin,
                };
                return Ok(Step::Found { seqs, next });
            }
            Ok(Step::Unindexed { floor: 0 })
        });
        let step = read.await;
        if step.as_ref().is_err_and(is_damage) {
            // If the queue is full, the next reader reports the damage.
            let _ = self.requests.try_send(Request::Damaged);
        }
        Ok(step?)
    }

    /// The next rows down to `floor`.
    async fn scan(
        &self,
        kind: Kind,
        filter: ListFilter<'_>,
        before: Option<Cursor>,
        floor: u64,
    ) -> Result<SearchStep, ProjectionError> {
        let page = self
            .list(kind, filter, before, SCAN, Freshness::AsWritten)
            .await?;
        let read = page.items.len();
        let candidates: Vec<SaleState> = page
            .items
            .into_iter()
            .filter(|sale| sale.row.is_none_or(|row| row >= floor))
            .collect();
        Ok(SearchStep {
            examined: read,
            next: match candidates.len() < read {
                true => Some(Cursor::Row(floor)),
                false => page.next,
            },
            candidates,
        })
    }

    /// The sales with these row numbers that the filter selects.
    async fn sales_of(
        &self,
        kind: Kind,
        filter: ListFilter<'_>,
        seqs: &[u64],
        next: u64,
    ) -> Result<SearchStep, ProjectionError> {
        let mut step = SearchStep {
            examined: seqs.len(),
            next: (next > 0).then_some(Cursor::Row(next)),
            ..SearchStep::default()
        };
        if seqs.is_empty() {
            return Ok(step);
        }
        let query = filter.query(filter.sql_of_rows(), kind, &self.journal);
        let mut rows: Vec<SqliteRow> = self
            .fetch_all(query.bind(serde_json::json!(seqs).to_string()))
            .await?;
        let found = rows.len();
        truncate_to(&mut rows, PAGE_BYTES, &self.journal).await?;
        if let Some(last) = rows.last().filter(|_| rows.len() < found) {
            step.next = Some(Cursor::Row(last.get::<i64, _>("seq") as u64));
        }
        let sales = listed(&self.journal, &rows).await?;
        step.candidates = sales.into_iter().map(|(_, _, sale)| sale).collect();
        Ok(step)
    }
}
