//! All sales of a period, for the figures of a day.

use super::sale_rows::{HOME, PAGE_BYTES, leading, listed, select_from};
use super::sale_state::SaleState;
use super::{Projection, ProjectionError, kind_code};
use comptoir_core::event::Kind;

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
        (from, to): (i64, i64),
        mut visit: impl FnMut(&SaleState),
    ) -> Result<bool, ProjectionError> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(period_sql()))
            .bind(kind_code(kind))
            .bind(from)
            .bind(to)
            .bind(MAX_SALES as i64 + 1);
        let rows = self.fetch_all(rows).await?;
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

fn period_sql() -> String {
    let select = select_from("sale INDEXED BY sale_time");
    format!(
        "{select} WHERE kind = ? AND {HOME} AND time >= ? AND time < ? ORDER BY time DESC, seq DESC LIMIT ?"
    )
}
