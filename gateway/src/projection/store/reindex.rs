//! Rows of which words must be removed from the index: those whose personal data was erased, and those that can no longer be
//! shown. They are marked in `search_pending` before, so that the next start completes what was cut off.

use std::collections::HashMap;

use jiff::tz::TimeZone;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection as _};

use super::super::ProjectionError;
use super::super::search_words::SearchText;
use super::Store;
use super::search::{BLOCK, for_keys, is_indexed, kind_and_seq, text_of};
use comptoir_journal::{Journal, Offset, set_secure_delete};

/// Rows that are indexed again in one transaction.
const REINDEX: u64 = 256;

/// Why words of a row must be removed from the index.
#[derive(Debug, Clone, Copy)]
pub(in super::super) enum Reason {
    /// The row can no longer be shown. That is not urgent: no search finds it.
    Unshowable = 0,
    Erased = 1,
    /// An erasure is about to rewrite its entries. It is not indexed again before that is done: its words would be the
    /// former ones. If the gateway ends meanwhile, the next start indexes it again.
    BeingErased = 2,
}

/// Marks a row whose JSON was erased.
pub(super) async fn mark_erased(connection: &mut SqliteConnection, key: i64) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT OR REPLACE INTO search_pending (sale, reason) VALUES (?, ?)")
        .bind(key)
        .bind(Reason::Erased as i64)
        .execute(connection)
        .await
        .map(|_| ())
}

/// Marks what an erasure was about to rewrite when the gateway ended.
pub(super) async fn resume_erasures(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE search_pending SET reason = ? WHERE reason = ?")
        .bind(Reason::Erased as i64)
        .bind(Reason::BeingErased as i64)
        .execute(connection)
        .await
        .map(|_| ())
}

impl Store {
    /// Marks the orders, named by store and id, and their deliveries.
    pub async fn mark_orders(
        &mut self,
        orders: impl IntoIterator<Item = &(String, String)>,
        reason: Reason,
    ) -> Result<(), sqlx::Error> {
        let orders = serde_json::json!(Vec::from_iter(orders)).to_string();
        let marked = async {
            let connection = self.connection.get().await?;
            sqlx::query(
                "WITH named AS MATERIALIZED (SELECT value ->> 0 AS store, value ->> 1 AS id FROM json_each(?1))
                 INSERT OR REPLACE INTO search_pending (sale, reason)
                 SELECT (kind << 48) | seq, ?2 FROM named CROSS JOIN sale
                 WHERE kind = 0 AND sale.id = named.id AND sale.store = named.store
                 UNION SELECT (kind << 48) | seq, ?2 FROM named CROSS JOIN sale
                 WHERE sale.order_id = named.id AND sale.store = named.store AND kind = 2",
            )
            .bind(orders)
            .bind(reason as i64)
            .execute(connection)
            .await
            .map(|_| ())
        };
        let marked = marked.await;
        self.connection.settle(marked).await
    }

    /// Indexes all rows again that were erased.
    pub async fn index_erased(&mut self, journal: &Journal, zone: &TimeZone) -> Result<(), ProjectionError> {
        while self.index_marked(Reason::Erased, journal, zone).await? {}
        Ok(())
    }

    /// Removes some of the rows that can no longer be shown from the index. Returns whether there may be more.
    pub async fn index_unshowable(
        &mut self,
        journal: &Journal,
        zone: &TimeZone,
    ) -> Result<bool, ProjectionError> {
        self.index_marked(Reason::Unshowable, journal, zone).await
    }

    /// Indexes some rows again. False if none is marked for this reason.
    async fn index_marked(
        &mut self,
        reason: Reason,
        journal: &Journal,
        zone: &TimeZone,
    ) -> Result<bool, ProjectionError> {
        let keys: Vec<i64> =
            sqlx::query_scalar("SELECT sale FROM search_pending WHERE reason = ? ORDER BY sale LIMIT ?")
                .bind(reason as i64)
                .bind(REINDEX as i64)
                .fetch_all(self.connection.get().await?)
                .await?;
        self.index_anew(journal, zone, &keys).await?;
        Ok(!keys.is_empty())
    }

    /// Replaces what is indexed of these rows, where it differs.
    pub(super) async fn index_anew(
        &mut self,
        journal: &Journal,
        zone: &TimeZone,
        keys: &[i64],
    ) -> Result<(), ProjectionError> {
        if keys.is_empty() {
            return Ok(());
        }
        let texts = self.texts_of(journal, zone, keys).await?;
        let written = self.write_texts(keys, &texts).await;
        self.connection.settle(written).await?;
        Ok(())
    }

    /// Replaces what is indexed of rows, where it differs.
    async fn write_texts(
        &mut self,
        keys: &[i64],
        texts: &HashMap<i64, SearchText>,
    ) -> Result<(), sqlx::Error> {
        let connection = self.connection.get().await?;
        set_secure_delete(connection, true).await?;
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        for key in keys {
            let (_, seq) = kind_and_seq(*key);
            if is_indexed(&self.blocks, seq) {
                put_text(&mut transaction, seq / BLOCK, *key, texts.get(key)).await?;
            }
        }
        let unmark = format!(
            "DELETE FROM search_pending WHERE reason <> {} AND sale IN",
            Reason::BeingErased as i64
        );
        for_keys(&mut transaction, &unmark, keys).await?;
        transaction.commit().await?;
        set_secure_delete(self.connection.get().await?, false).await
    }

    /// Marks the rows from `from` to `to` that are indexed and can no longer be shown.
    pub(super) async fn mark_unshowable(
        connection: &mut SqliteConnection,
        from: u64,
        to: u64,
        first: Offset,
    ) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT OR IGNORE INTO search_pending (sale, reason) SELECT search_text.sale, ? FROM sale
             CROSS JOIN search_text ON search_text.sale = (kind << 48) | seq
             WHERE kind IN (0, 1, 2) AND seq >= ? AND seq < ? AND payload IS NULL AND (entry IS NULL OR entry < ?)",
        )
        .bind(Reason::Unshowable as i64)
        .bind(from as i64)
        .bind(to as i64)
        .bind(first.0 as i64)
        .execute(connection)
        .await
        .map(|_| ())
    }
}

/// Replaces what is indexed of a row, if it differs. `text`: `None` if the row can no longer be shown.
async fn put_text(
    connection: &mut SqliteConnection,
    block: u64,
    key: i64,
    text: Option<&SearchText>,
) -> Result<(), sqlx::Error> {
    let former = sqlx::query("SELECT open, hidden FROM search_text WHERE sale = ?")
        .bind(key)
        .fetch_optional(&mut *connection)
        .await?
        .map(|row| text_of(&row));
    if former.as_ref() == text {
        return Ok(());
    }
    if let Some(former) = former {
        sqlx::query(AssertSqlSafe(format!(
            "INSERT INTO search_{block} (search_{block}, rowid, open, hidden) VALUES ('delete', ?, ?, ?)"
        )))
        .bind(key)
        .bind(former.open)
        .bind(former.hidden)
        .execute(&mut *connection)
        .await?;
        sqlx::query("DELETE FROM search_text WHERE sale = ?")
            .bind(key)
            .execute(&mut *connection)
            .await?;
    }
    if let Some(text) = text {
        for table in ["search_text (sale".to_owned(), format!("search_{block} (rowid")] {
            sqlx::query(AssertSqlSafe(format!(
                "INSERT INTO {table}, open, hidden) VALUES (?, ?, ?)"
            )))
            .bind(key)
            .bind(&text.open)
            .bind(&text.hidden)
            .execute(&mut *connection)
            .await?;
        }
    }
    Ok(())
}
