//! The search index: see `docs/adr/0025-search.md`.
//!
//! Rows are indexed in blocks of [`BLOCK`] numbers, each in an FTS5 table of its own, so that no query, no merge and no
//! deletion grows with the number of sales. A block is filled in steps of [`STEP`] rows: a step writes one segment of the
//! FTS5 table, and segments are never merged, because each merge would write them to the card again. The newest rows, of
//! which there are fewer than a step, are not indexed: a search reads them.
//!
//! The newest blocks come first, so that a file of an earlier version is soon as fast as it will be.

use std::collections::{BTreeMap, HashMap};

use jiff::tz::TimeZone;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Connection as _, Row as _};

use super::super::sale_rows::{PAGE_BYTES, SHOWABLE, first, leading, listed, select_from};
use super::super::search_words::{SearchText, form};
use super::super::{ProjectionError, kind_code};
use super::Store;
use super::reindex::resume_erasures;
use comptoir_core::event::Kind;
use comptoir_journal::{Journal, Offset, set_secure_delete};

/// Row numbers per block.
pub(in super::super) const BLOCK: u64 = 1 << 17;
/// Row numbers per step. At most so many rows are not indexed.
const STEP: u64 = 4_096;
/// Most bytes of words in a step, unless it has only one row.
const STEP_BYTES: usize = 8 << 20;
/// Rows read at a time.
const READ: u64 = 512;
/// The key of a row in the index. The keys of a kind are in the order of its rows.
pub(in super::super) fn sale_key(kind: Kind, seq: u64) -> i64 {
    (kind_code(kind) << 48) | seq as i64
}

pub(super) fn kind_and_seq(key: i64) -> (Kind, u64) {
    (
        Kind::ALL[((key >> 48) as usize).min(2)],
        (key & 0xffff_ffff_ffff) as u64,
    )
}

/// What is indexed: the end of the indexed rows of each block.
pub(super) type Blocks = BTreeMap<u64, u64>;

/// Whether a row is in the index, if it can be shown.
pub(super) fn is_indexed(blocks: &Blocks, seq: u64) -> bool {
    blocks.get(&(seq / BLOCK)).is_some_and(|upto| seq < *upto)
}

impl Store {
    /// Reads what is indexed. An index with other words is discarded, and so made anew.
    pub async fn open_search(&mut self, zone: &TimeZone) -> Result<(), sqlx::Error> {
        let connection = self.connection.get().await?;
        let rows = sqlx::query("SELECT block, upto FROM search_block")
            .fetch_all(&mut *connection)
            .await?;
        let number = |row: &SqliteRow, column| row.get::<i64, _>(column) as u64;
        self.blocks = rows
            .iter()
            .map(|row| (number(row, "block"), number(row, "upto")))
            .collect();
        let stored: Option<String> = sqlx::query_scalar("SELECT form FROM search_form")
            .fetch_optional(&mut *connection)
            .await?;
        let form = form(zone);
        if stored.as_deref() == Some(&form) {
            return resume_erasures(connection).await;
        }
        set_secure_delete(connection, true).await?;
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        for block in self.blocks.keys() {
            execute(&mut transaction, format!("DROP TABLE IF EXISTS search_{block}")).await?;
        }
        for table in ["search_block", "search_text", "search_pending", "search_changed"] {
            execute(&mut transaction, format!("DELETE FROM {table}")).await?;
        }
        sqlx::query("INSERT OR REPLACE INTO search_form (id, form) VALUES (1, ?)")
            .bind(form)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        set_secure_delete(self.connection.get().await?, false).await?;
        self.blocks.clear();
        Ok(())
    }

    /// Indexes the next rows before `end`, the number after the newest row in the file. Returns whether there are more.
    pub async fn index_step(
        &mut self,
        journal: &Journal,
        zone: &TimeZone,
        end: u64,
    ) -> Result<bool, ProjectionError> {
        let Some((block, from, mut to)) = self.next_step(end).await? else {
            return Ok(false);
        };
        let texts = loop {
            if let Some(texts) = self.step_texts(journal, zone, from, to).await? {
                break texts;
            }
            to = from + (to - from) / 2;
        };
        let written = self.write_step(block, to, &texts).await;
        self.connection.settle(written).await?;
        self.blocks.insert(block, to);
        Ok(self.next_step(end).await?.is_some())
    }

    /// The words of the rows of a step, in the order of their keys, because FTS5 ends its segment where they are not in
    /// order. `None` if they are too large for one step.
    async fn step_texts(
        &mut self,
        journal: &Journal,
        zone: &TimeZone,
        from: u64,
        to: u64,
    ) -> Result<Option<Vec<(i64, SearchText)>>, ProjectionError> {
        let (mut texts, mut bytes) = (Vec::new(), 0);
        for kind in Kind::ALL {
            let mut after = from;
            while after < to {
                let rows = sqlx::query(AssertSqlSafe(format!(
                    "{} WHERE kind = ? AND {SHOWABLE} AND seq >= ? AND seq < ? ORDER BY seq LIMIT ?",
                    select_from("sale")
                )))
                .bind(kind_code(kind))
                .bind(first(journal))
                .bind(after as i64)
                .bind(to as i64)
                .bind(READ as i64);
                let rows = self.readers.fetch_all(rows).await?;
                let count = leading(&rows, rows.len(), PAGE_BYTES, journal).await?;
                let Some(last) = rows[..count].last() else { break };
                after = last.get::<i64, _>("seq") as u64 + 1;
                for (kind, seq, sale) in listed(journal, &rows[..count]).await? {
                    let text = SearchText::of(sale.payload(), zone);
                    bytes += text.open.len() + text.hidden.len();
                    texts.push((sale_key(kind, seq), text));
                }
                if bytes > STEP_BYTES && to - from > 1 {
                    return Ok(None);
                }
            }
        }
        Ok(Some(texts))
    }

    /// The block and the row numbers of the next step.
    async fn next_step(&mut self, end: u64) -> Result<Option<(u64, u64, u64)>, sqlx::Error> {
        let Some(newest) = end.checked_sub(1).map(|last| last / BLOCK) else {
            return Ok(None);
        };
        let oldest = self.lowest().await? / BLOCK;
        for block in (oldest..=newest).rev() {
            let from = self.blocks.get(&block).copied().unwrap_or(block * BLOCK);
            let block_end = (block + 1) * BLOCK;
            let to = block_end.min(from + STEP);
            if from < to && to <= end {
                return Ok(Some((block, from, to)));
            }
        }
        Ok(None)
    }

    pub(super) async fn write_step(
        &mut self,
        block: u64,
        upto: u64,
        texts: &[(i64, SearchText)],
    ) -> Result<(), sqlx::Error> {
        let is_new = !self.blocks.contains_key(&block);
        let connection = self.connection.get().await?;
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        if is_new {
            // The words are in `search_text`, from which FTS5 would have to be told the former ones anyway. Searches need
            // neither positions nor sizes.
            execute(
                &mut transaction,
                format!(
                    "CREATE VIRTUAL TABLE search_{block} USING fts5(open, hidden, content='', detail=column, columnsize=0,
                     tokenize=\"unicode61 remove_diacritics 2\")"
                ),
            )
            .await?;
            for (setting, value) in [("secure-delete", 1), ("automerge", 0), ("crisismerge", 1_000)] {
                let set = format!(
                    "INSERT INTO search_{block} (search_{block}, rank) VALUES ('{setting}', {value})"
                );
                execute(&mut transaction, set).await?;
            }
        }
        // In one statement each, because FTS5 ends its segment with a statement.
        let texts: Vec<_> = texts.iter().map(|(key, text)| (*key, text)).collect();
        for insert_key in [
            "INSERT INTO search_text (sale",
            &format!("INSERT INTO search_{block} (rowid"),
        ] {
            insert(&mut transaction, insert_key, &texts).await?;
        }
        sqlx::query("INSERT OR REPLACE INTO search_block (block, upto) VALUES (?, ?)")
            .bind(block as i64)
            .bind(upto as i64)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await
    }

    /// The words of those of these rows that can be shown.
    pub(super) async fn texts_of(
        &mut self,
        journal: &Journal,
        zone: &TimeZone,
        keys: &[i64],
    ) -> Result<HashMap<i64, SearchText>, ProjectionError> {
        let mut texts = HashMap::new();
        for kind in Kind::ALL {
            let of_kind = keys.iter().map(|key| kind_and_seq(*key));
            let mut seqs: Vec<u64> = of_kind
                .filter(|(of, _)| *of == kind)
                .map(|(_, seq)| seq)
                .collect();
            while !seqs.is_empty() {
                let rows = sqlx::query(AssertSqlSafe(format!(
                    "{} WHERE kind = ? AND {SHOWABLE} AND seq IN (SELECT value FROM json_each(?)) ORDER BY seq",
                    select_from("sale")
                )))
                .bind(kind_code(kind))
                .bind(first(journal))
                .bind(serde_json::json!(seqs).to_string());
                let rows = self.readers.fetch_all(rows).await?;
                let count = leading(&rows, rows.len(), PAGE_BYTES, journal).await?;
                let Some(last) = rows[..count].last() else { break };
                let last = last.get::<i64, _>("seq") as u64;
                seqs.retain(|seq| *seq > last);
                for (kind, seq, sale) in listed(journal, &rows[..count]).await? {
                    texts.insert(sale_key(kind, seq), SearchText::of(sale.payload(), zone));
                }
            }
        }
        Ok(texts)
    }

    /// Empties blocks whose rows can no longer be shown, and drops those that have no rows. Cheaper than row by row.
    pub(super) async fn drop_blocks(&mut self, first: Offset) -> Result<(), sqlx::Error> {
        let lowest = self.lowest().await?;
        let Some(newest) = self.blocks.keys().next_back().copied() else {
            return Ok(());
        };
        for block in Vec::from_iter(self.blocks.range(..newest).map(|(block, _)| *block)) {
            let (begin, end) = (block * BLOCK, (block + 1) * BLOCK);
            let connection = self.connection.get().await?;
            if self.emptied.contains(&block) && end > lowest {
                continue;
            }
            if end > lowest && has_showable(connection, begin, end, first).await? {
                // Blocks after it have younger rows.
                break;
            }
            set_secure_delete(connection, true).await?;
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            for kind in Kind::ALL {
                for table in ["search_text", "search_pending", "search_changed"] {
                    sqlx::query(AssertSqlSafe(format!(
                        "DELETE FROM {table} WHERE sale >= ? AND sale < ?"
                    )))
                    .bind(sale_key(kind, begin))
                    .bind(sale_key(kind, end))
                    .execute(&mut *transaction)
                    .await?;
                }
            }
            if end > lowest {
                let delete = format!("INSERT INTO search_{block} (search_{block}) VALUES ('delete-all')");
                execute(&mut transaction, delete).await?;
            } else {
                execute(&mut transaction, format!("DROP TABLE search_{block}")).await?;
                execute(
                    &mut transaction,
                    format!("DELETE FROM search_block WHERE block = {block}"),
                )
                .await?;
            }
            transaction.commit().await?;
            set_secure_delete(self.connection.get().await?, false).await?;
            if end > lowest {
                self.emptied.insert(block);
            } else {
                self.emptied.remove(&block);
                self.blocks.remove(&block);
            }
        }
        Ok(())
    }
}

async fn has_showable(
    connection: &mut SqliteConnection,
    begin: u64,
    end: u64,
    first: Offset,
) -> Result<bool, sqlx::Error> {
    for kind in Kind::ALL {
        let found: Option<i64> = sqlx::query_scalar(AssertSqlSafe(format!(
            "SELECT 1 FROM sale WHERE kind = ? AND {SHOWABLE} AND seq >= ? AND seq < ? LIMIT 1"
        )))
        .bind(kind_code(kind))
        .bind(first.0 as i64)
        .bind(begin as i64)
        .bind(end as i64)
        .fetch_optional(&mut *connection)
        .await?;
        if found.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Reads a row of `search_text`.
pub(super) fn text_of(row: &SqliteRow) -> SearchText {
    SearchText {
        open: row.get("open"),
        hidden: row.get("hidden"),
    }
}

/// Adds texts with an `INSERT INTO TABLE (KEY` without its other columns.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    insert_key: &str,
    texts: &[(i64, &SearchText)],
) -> Result<(), sqlx::Error> {
    let rows: Vec<_> = texts
        .iter()
        .map(|(key, text)| serde_json::json!([key, text.open, text.hidden]))
        .collect();
    sqlx::query(AssertSqlSafe(format!(
        "{insert_key}, open, hidden) SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?)"
    )))
    .bind(serde_json::Value::from(rows).to_string())
    .execute(connection)
    .await
    .map(|_| ())
}

/// Executes a statement that ends before its list of keys.
pub(super) async fn for_keys(
    connection: &mut SqliteConnection,
    statement: &str,
    keys: &[i64],
) -> Result<(), sqlx::Error> {
    sqlx::query(AssertSqlSafe(format!(
        "{statement} (SELECT value FROM json_each(?))"
    )))
    .bind(serde_json::json!(keys).to_string())
    .execute(connection)
    .await
    .map(|_| ())
}

async fn execute(connection: &mut SqliteConnection, statement: String) -> Result<(), sqlx::Error> {
    sqlx::query(AssertSqlSafe(statement))
        .execute(connection)
        .await
        .map(|_| ())
}
