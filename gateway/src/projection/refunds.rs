//! The refunds of a payment.

use sqlx::Row as _;

use super::{Projection, ProjectionError, kind_code};
use comptoir_core::event::Kind;
use comptoir_core::sale::Money;

/// A successful payment that pays back another one.
#[derive(Debug)]
pub struct Refund {
    pub payment_id: String,
    pub device: String,
    pub order_id: String,
    /// Negative.
    pub amount: Money,
}

/// The refunds of the payments with an id.
#[derive(Debug)]
pub enum Refunds {
    All(Vec<Refund>),
    /// There are more than are read.
    TooMany,
}

impl Projection {
    /// The successful refunds of the payments of `store` with this id, whatever order they name, including everything that
    /// is in the journal at the time of the call.
    ///
    /// # Errors
    ///
    /// The projection is behind the journal or has ended, or its file could not be read.
    pub async fn refunds_of(&self, payment_id: &str, store: &str) -> Result<Refunds, ProjectionError> {
        /// Most refunds that are read. Tills can send any number.
        const MAX_ROWS: usize = 1_000;
        let last = self.journal.state().last;
        self.wait_until_folded(last).await;
        if self.view().folded < last {
            return Err(ProjectionError::Behind);
        }
        self.flush().await?;
        let rows = sqlx::query(
            "SELECT id, device, coalesce(order_id, '') AS order_id, minor, currency FROM sale
             WHERE refund_of = ? AND store = ? AND kind = ? AND status = 'SUCCESS' LIMIT ?",
        )
        .bind(payment_id)
        .bind(store)
        .bind(kind_code(Kind::Payment))
        .bind(MAX_ROWS as i64 + 1);
        let rows = self.fetch_all(rows).await?;
        if rows.len() > MAX_ROWS {
            return Ok(Refunds::TooMany);
        }
        let refunds = rows.iter().filter_map(|row| {
            let currency = row.get::<Option<&str>, _>("currency")?.parse().ok()?;
            Some(Refund {
                payment_id: row.get("id"),
                device: row.get("device"),
                order_id: row.get("order_id"),
                amount: Money::from_signed(row.get::<Option<i64>, _>("minor")?, currency)?,
            })
        });
        Ok(Refunds::All(refunds.collect()))
    }
}
