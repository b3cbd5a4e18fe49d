//! Erases personal data from the JSON of other gateways' events.

use sqlx::{Connection as _, Row as _};

use super::super::kind_code;
use super::super::personal::{FOREIGN, ForeignScope, KINDS, STEP};
use super::{Store, reindex, sale_key};
use comptoir_core::sale::personal::without_personal_data;
use comptoir_journal::set_secure_delete;

impl Store {
    /// Erases the personal data of the sales in `scope`. Returns how many sales had some. Everything must be flushed
    /// before.
    pub async fn erase(&mut self, scope: &ForeignScope) -> Result<u64, sqlx::Error> {
        let erased = self.try_erase(scope).await;
        self.connection.settle(erased).await
    }

    async fn try_erase(&mut self, scope: &ForeignScope) -> Result<u64, sqlx::Error> {
        let connection = self.connection.get().await?;
        set_secure_delete(connection, true).await?;
        let mut count = 0;
        for kind in KINDS {
            let mut after: i64 = 0;
            loop {
                // One transaction per step, so that none becomes large.
                let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
                let rows = sqlx::query(FOREIGN)
                    .bind(kind_code(kind))
                    .bind(after)
                    .bind(STEP)
                    .fetch_all(&mut *transaction)
                    .await?;
                let Some(last) = rows.last() else {
                    transaction.rollback().await?;
                    break;
                };
                after = last.get("seq");
                for row in &rows {
                    if !scope.contains(row.get("store"), row.get("order_id"), row.get("time")) {
                        continue;
                    }
                    if let Some(json) = without_personal_data(kind, row.get("payload")) {
                        sqlx::query("UPDATE sale SET payload = ? WHERE kind = ? AND seq = ?")
                            .bind(json)
                            .bind(kind_code(kind))
                            .bind(row.get::<i64, _>("seq"))
                            .execute(&mut *transaction)
                            .await?;
                        let key = sale_key(kind, row.get::<i64, _>("seq") as u64);
                        reindex::mark_erased(&mut transaction, key).await?;
                        count += 1;
                    }
                }
                transaction.commit().await?;
            }
        }
        set_secure_delete(connection, false).await?;
        Ok(count)
    }
}
