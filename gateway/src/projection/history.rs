//! One order with its payments, deliveries and corrections.

use sqlx::Row as _;

use super::authority::Correction;
use super::sale_rows::{PAGE_BYTES, SHOWABLE, first, listed, select_from, truncate_to};
use super::sale_state::SaleState;
use super::store::read_correction;
use super::{Projection, ProjectionError, kind_code};
use comptoir_core::event::Kind;

/// The result of looking up an order with its payments and deliveries.
#[derive(Debug)]
pub enum OrderHistory {
    /// Empty if the order is unknown.
    Found {
        sales: Vec<(Kind, SaleState)>,
        /// Oldest first.
        corrections: Vec<Correction>,
    },
    /// The caller named no store, and these stores have an order with this id.
    Ambiguous(Vec<String>),
}

impl Projection {
    /// An order of `store` with its payments and deliveries, in the order in which they were first seen. Without
    /// `store`, looks in `home` first, then in the other stores, if only one has an order with this id.
    ///
    /// # Errors
    ///
    /// The projection has ended, or its file or the journal could not be read.
    pub async fn order_history(
        &self,
        order_id: &str,
        store: Option<&str>,
        home: &str,
    ) -> Result<OrderHistory, ProjectionError> {
        self.flush().await?;
        let found = self.history_in(order_id, store.unwrap_or(home)).await?;
        if !found.is_empty() || store.is_some() {
            return self
                .with_corrections(order_id, store.unwrap_or(home), found)
                .await;
        }
        match self.stores_of(order_id).await?.as_slice() {
            [] => self.with_corrections(order_id, home, Vec::new()).await,
            [only] => {
                let found = self.history_in(order_id, only).await?;
                self.with_corrections(order_id, only, found).await
            }
            several => Ok(OrderHistory::Ambiguous(several.to_vec())),
        }
    }

    async fn with_corrections(
        &self,
        order_id: &str,
        store: &str,
        sales: Vec<(Kind, SaleState)>,
    ) -> Result<OrderHistory, ProjectionError> {
        /// Most corrections returned, newest first; only people read them.
        const MAX_ROWS: i64 = 100;
        let query = sqlx::query(
            "SELECT * FROM (SELECT * FROM correction WHERE order_id = ? AND store = ? ORDER BY entry DESC LIMIT ?)
             ORDER BY entry",
        )
        .bind(order_id)
        .bind(store)
        .bind(MAX_ROWS);
        let rows = self.fetch_all(query).await?;
        Ok(OrderHistory::Found {
            sales,
            corrections: rows.iter().map(read_correction).collect(),
        })
    }

    async fn history_in(
        &self,
        order_id: &str,
        store: &str,
    ) -> Result<Vec<(Kind, SaleState)>, ProjectionError> {
        /// Most payments and deliveries of an order; only people read them.
        const MAX_ROWS: i64 = 500;
        let select = select_from("sale");
        let sql = format!(
            "SELECT * FROM ({select} WHERE kind = ? AND id = ? AND store = ? AND {SHOWABLE})
             UNION ALL
             SELECT * FROM ({select} WHERE order_id = ? AND store = ? AND {SHOWABLE} ORDER BY seq LIMIT ?)"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(kind_code(Kind::Order))
            .bind(order_id)
            .bind(store)
            .bind(first(&self.journal))
            .bind(order_id)
            .bind(store)
            .bind(first(&self.journal))
            .bind(MAX_ROWS);
        let mut rows = self.fetch_all(query).await?;
        truncate_to(&mut rows, PAGE_BYTES, &self.journal).await?;
        let rows = listed(&self.journal, &rows).await?;
        Ok(rows.into_iter().map(|(kind, _, item)| (kind, item)).collect())
    }

    /// The stores that have an order with this id, or a payment or delivery for one.
    async fn stores_of(&self, order_id: &str) -> Result<Vec<String>, ProjectionError> {
        /// Most stores returned, enough to choose from.
        const MAX_STORES: i64 = 10;
        let sql = format!(
            "SELECT DISTINCT store FROM (
                 SELECT store FROM sale WHERE kind = ? AND id = ? AND {SHOWABLE}
                 UNION SELECT store FROM sale WHERE order_id = ? AND {SHOWABLE})
             ORDER BY store LIMIT ?"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(kind_code(Kind::Order))
            .bind(order_id)
            .bind(first(&self.journal))
            .bind(order_id)
            .bind(first(&self.journal))
            .bind(MAX_STORES);
        let rows = self.readers.fetch_all(query).await?;
        Ok(rows.iter().map(|row| row.get("store")).collect())
    }
}
