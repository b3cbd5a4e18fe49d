//! All sales of a period, for the figures of a day.

use sqlx::Sqlite;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};

use super::ledger::Ledger;
use super::projector::Projector;
use super::sale_rows::{HOME, PAGE_BYTES, leading, listed, select_from};
use super::sale_state::SaleState;
use super::{Projection, ProjectionError, Request, kind_code};
use comptoir_core::event::Kind;
use comptoir_journal::Offset;

/// Most sales of one kind in a period; more than a day of the busiest shop. The rows are in memory, their events are not.
const MAX_SALES: usize = 50_000;
/// Most sales whose events are in memory at a time; fewer if they are large.
const STEP: usize = 500;

impl Projection {
    /// Calls `visit` for every sale of this shop whose newest event is in the period (Unix milliseconds, without `to`),
    /// newest first. The sales are those of one moment. False if some are missing: their events are no longer kept, or
    /// there are more than are read.
    ///
    /// # Errors
    ///
    /// The projection has ended, or its file or the journal could not be read.
    pub async fn visit_period(
        &self,
        kind: Kind,
        period: (i64, i64),
        visit: impl FnMut(&SaleState),
    ) -> Result<bool, ProjectionError> {
        let rows = self.fetch_all(period_query(kind, period)).await?;
        self.visit(&rows, visit).await
    }

    /// The sales of a period (Unix milliseconds, without its end) and what no closing has counted, at the same moment: the
    /// fold waits meanwhile.
    ///
    /// # Errors
    ///
    /// The projection has ended, its file could not be read, or it does not work at the moment.
    pub async fn day_rows(&self, period: (i64, i64)) -> Result<DayRows, ProjectionError> {
        self.ask(|reply| Request::Day(period, reply)).await?
    }

    /// What no closing has counted yet.
    ///
    /// # Errors
    ///
    /// The projection has ended.
    pub async fn ledger(&self) -> Result<Ledger, ProjectionError> {
        self.ask(Request::Ledger).await
    }

    /// Like [`Self::visit_period`], for the rows of [`Self::day_rows`].
    ///
    /// # Errors
    ///
    /// The journal could not be read.
    pub async fn visit_day(
        &self,
        rows: &DayRows,
        mut visit: impl FnMut(Kind, &SaleState),
    ) -> Result<bool, ProjectionError> {
        let mut is_complete = true;
        for (kind, rows) in [(Kind::Order, &rows.orders), (Kind::Payment, &rows.payments)] {
            is_complete &= self.visit(rows, |sale| visit(kind, sale)).await?;
        }
        Ok(is_complete)
    }

    async fn visit(
        &self,
        rows: &[SqliteRow],
        mut visit: impl FnMut(&SaleState),
    ) -> Result<bool, ProjectionError> {
        let (mut visited, mut rest) = (0, &rows[..rows.len().min(MAX_SALES)]);
        while !rest.is_empty() {
            let step = leading(rest, STEP, PAGE_BYTES, &self.journal).await?;
            let (now, later) = rest.split_at(step);
            let sales = listed(&self.journal, now).await?;
            visited += sales.len();
            sales.iter().for_each(|(_, _, sale)| visit(sale));
            rest = later;
            // Other requests of this thread go on in between.
            tokio::task::yield_now().await;
        }
        Ok(visited == rows.len())
    }
}

impl Projector {
    pub(super) async fn day_rows(&mut self, period: (i64, i64)) -> Result<DayRows, ProjectionError> {
        if self.paused_until.is_some() {
            return Err(ProjectionError::Behind);
        }
        self.flush().await?;
        let readers = &self.store.readers;
        Ok(DayRows {
            upto: self.progress.folded,
            ledger: self.ledger.clone(),
            orders: readers.fetch_all(period_query(Kind::Order, period)).await?,
            payments: readers.fetch_all(period_query(Kind::Payment, period)).await?,
        })
    }
}

/// The sales of a period at one moment.
pub struct DayRows {
    /// The last journal entry that is counted.
    pub upto: Offset,
    pub ledger: Ledger,
    orders: Vec<SqliteRow>,
    payments: Vec<SqliteRow>,
}

fn period_query(kind: Kind, (from, to): (i64, i64)) -> Query<'static, Sqlite, SqliteArguments> {
    sqlx::query(sqlx::AssertSqlSafe(period_sql()))
        .bind(kind_code(kind))
        .bind(from)
        .bind(to)
        .bind(MAX_SALES as i64 + 1)
}

fn period_sql() -> String {
    let select = select_from("sale INDEXED BY sale_time");
    format!(
        "{select} WHERE kind = ? AND {HOME} AND time >= ? AND time < ? ORDER BY time DESC, seq DESC LIMIT ?"
    )
}
