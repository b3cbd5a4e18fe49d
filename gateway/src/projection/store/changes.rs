//! Rows that change after they were indexed.
//!
//! Only words that the row did not have are added to the index, and none is removed: a search compares each proposed row
//! with its words anyway. To remove a word, FTS5 looks for it in all segments; only an erasure needs that. The new words
//! of many rows are written together, because each write makes a segment. Until then searches read these rows.

use std::collections::{BTreeSet, HashMap};

use jiff::tz::TimeZone;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection as _, Row as _};

use super::super::ProjectionError;
use super::super::search_words::SearchText;
use super::search::{BLOCK, for_keys, kind_and_seq};
use super::{Store, search};
use comptoir_journal::{Journal, set_secure_delete};

/// Rows with new words that are written together.
const BATCH: usize = 1_024;
/// Rows that are examined together.
const EXAMINED: i64 = 256;

/// What a changed row adds to the index.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    Nothing,
    /// The words to add, and all words that the index then has of the row.
    Words {
        added: SearchText,
        all: SearchText,
    },
    /// A word became hidden or open. The row must be indexed anew: a row has each word only once in the index.
    Moved,
}

/// Notes indexed rows that have changed.
pub(super) async fn note(
    connection: &mut SqliteConnection,
    keys: impl IntoIterator<Item = i64>,
) -> Result<(), sqlx::Error> {
    let keys: Vec<i64> = keys.into_iter().collect();
    if keys.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT OR REPLACE INTO search_changed (sale, has_new_words) SELECT value, 0 FROM json_each(?)",
    )
    .bind(serde_json::json!(keys).to_string())
    .execute(connection)
    .await
    .map(|_| ())
}

impl Store {
    /// Examines some of the changed rows, or writes the new words of many. Returns whether there are more.
    pub async fn index_changes(
        &mut self,
        journal: &Journal,
        zone: &TimeZone,
    ) -> Result<bool, ProjectionError> {
        let connection = self.connection.get().await?;
        let unexamined: Vec<i64> = sqlx::query_scalar(
            "SELECT sale FROM search_changed WHERE has_new_words = 0 ORDER BY sale LIMIT ?",
        )
        .bind(EXAMINED)
        .fetch_all(&mut *connection)
        .await?;
        if !unexamined.is_empty() {
            let changes = self.changes(journal, zone, &unexamined).await?;
            let examined = self.write_examined(&changes).await;
            self.connection.settle(examined).await?;
            return Ok(true);
        }
        let keys: Vec<i64> = sqlx::query_scalar("SELECT sale FROM search_changed ORDER BY sale LIMIT ?")
            .bind(BATCH as i64)
            .fetch_all(connection)
            .await?;
        if keys.len() < BATCH {
            return Ok(false);
        }
        let changes = self.changes(journal, zone, &keys).await?;
        let moved = keys_of(&changes, |change| *change == Change::Moved);
        // Before the rows are no longer noted.
        self.index_anew(journal, zone, &moved).await?;
        let written = self.write_changes(&changes).await;
        self.connection.settle(written).await?;
        Ok(true)
    }

    /// What these rows add to the index, in their order.
    async fn changes(
        &mut self,
        journal: &Journal,
        zone: &TimeZone,
        keys: &[i64],
    ) -> Result<Vec<(i64, Change)>, ProjectionError> {
        let mut texts = self.texts_of(journal, zone, keys).await?;
        let former = sqlx::query(
            "SELECT sale, open, hidden FROM search_text WHERE sale IN (SELECT value FROM json_each(?))",
        )
        .bind(serde_json::json!(keys).to_string())
        .fetch_all(self.connection.get().await?)
        .await?;
        let mut former: HashMap<i64, SearchText> = former
            .iter()
            .map(|row| (row.get("sale"), search::text_of(row)))
            .collect();
        let change_of = |key: &i64| match texts.remove(key) {
            Some(text) => (*key, Change::of(former.remove(key).unwrap_or_default(), text)),
            // The row can no longer be shown: the sweep removes its words.
            None => (*key, Change::Nothing),
        };
        Ok(keys.iter().map(change_of).collect())
    }

    async fn write_examined(&mut self, changes: &[(i64, Change)]) -> Result<(), sqlx::Error> {
        let without = keys_of(changes, |change| *change == Change::Nothing);
        let with = keys_of(changes, |change| *change != Change::Nothing);
        let connection = self.connection.get().await?;
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        for_keys(
            &mut transaction,
            "DELETE FROM search_changed WHERE sale IN",
            &without,
        )
        .await?;
        for_keys(
            &mut transaction,
            "UPDATE search_changed SET has_new_words = 1 WHERE sale IN",
            &with,
        )
        .await?;
        transaction.commit().await
    }

    /// `changes` are in the order of their keys, because FTS5 starts another segment if they are not.
    async fn write_changes(&mut self, changes: &[(i64, Change)]) -> Result<(), sqlx::Error> {
        let blocks: BTreeSet<u64> = changes
            .iter()
            .map(|(key, _)| kind_and_seq(*key).1 / BLOCK)
            .collect();
        let connection = self.connection.get().await?;
        // The former words of a row must not be left in its page, where no erasure would find them.
        set_secure_delete(connection, true).await?;
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        for block in blocks {
            let (mut added, mut all) = (Vec::new(), Vec::new());
            for (key, change) in changes {
                if let Change::Words {
                    added: new,
                    all: union,
                } = change
                    && kind_and_seq(*key).1 / BLOCK == block
                {
                    added.push((*key, new));
                    all.push((*key, union));
                }
            }
            search::insert(
                &mut transaction,
                &format!("INSERT INTO search_{block} (rowid"),
                &added,
            )
            .await?;
            search::insert(&mut transaction, "INSERT OR REPLACE INTO search_text (sale", &all).await?;
        }
        for_keys(
            &mut transaction,
            "DELETE FROM search_changed WHERE sale IN",
            &keys_of(changes, |_| true),
        )
        .await?;
        transaction.commit().await?;
        set_secure_delete(self.connection.get().await?, false).await
    }
}

/// The keys of some of the changes, in order.
fn keys_of(changes: &[(i64, Change)], is_wanted: impl Fn(&Change) -> bool) -> Vec<i64> {
    let wanted = changes.iter().filter(|(_, change)| is_wanted(change));
    wanted.map(|(key, _)| *key).collect()
}

impl Change {
    fn of(former: SearchText, now: SearchText) -> Self {
        let words = |text: &str| -> BTreeSet<String> {
            text.split(' ')
                .filter(|word| !word.is_empty())
                .map(str::to_owned)
                .collect()
        };
        let joined = |words: BTreeSet<String>| Vec::from_iter(words).join(" ");
        let (former_open, former_hidden) = (words(&former.open), words(&former.hidden));
        let open: BTreeSet<String> = words(&now.open).difference(&former_open).cloned().collect();
        let hidden: BTreeSet<String> = words(&now.hidden).difference(&former_hidden).cloned().collect();
        if open.is_empty() && hidden.is_empty() {
            return Self::Nothing;
        }
        if !open.is_disjoint(&former_hidden) || !hidden.is_disjoint(&former_open) {
            return Self::Moved;
        }
        Self::Words {
            all: SearchText {
                open: joined(&former_open | &open),
                hidden: joined(&former_hidden | &hidden),
            },
            added: SearchText {
                open: joined(open),
                hidden: joined(hidden),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(open: &str, hidden: &str) -> SearchText {
        SearchText {
            open: open.to_owned(),
            hidden: hidden.to_owned(),
        }
    }

    #[test]
    fn only_words_that_a_row_did_not_have_are_added() {
        let former = || text("cmd lea thé", "paris rue");
        let change = |open, hidden| Change::of(former(), text(open, hidden));
        assert_eq!(change("cmd lea", "rue"), Change::Nothing);
        assert_eq!(
            change("cmd zoe", "paris rue"),
            Change::Words {
                added: text("zoe", ""),
                all: text("cmd lea thé zoe", "paris rue")
            }
        );
        assert_eq!(
            change("cmd lea", "lyon rue"),
            Change::Words {
                added: text("", "lyon"),
                all: text("cmd lea thé", "lyon paris rue")
            }
        );
        assert_eq!(change("cmd paris", ""), Change::Moved);
        assert_eq!(change("", "lea"), Change::Moved);
        assert_eq!(
            Change::of(SearchText::default(), text("cmd", "rue")),
            Change::Words {
                added: text("cmd", "rue"),
                all: text("cmd", "rue")
            }
        );
    }
}
