//! The projection's file. It can always be made anew, so it is quick rather than safe: a power cut may cost
//! the last seconds of it (they are folded again), and a damaged file is thrown away.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteRow, SqliteSynchronous};
use sqlx::{Connection, Row as _};
use tracing::warn;

use super::fold::{Row, Source, Totals};
use super::words::Words;
use super::{Key, kind_code};
use crate::event::Kind;
use crate::journal::Offset;
use crate::kafka::{Position, PositionTable, TopicId};
use crate::rows::Rows;
use crate::sale::Money;
use crate::sqlite::{Readers, WriteConnection, is_damage, is_damaged, is_disk_error};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/projection");

static FIND: LazyLock<Rows> = LazyLock::new(|| {
    Rows::new(
        "WITH wanted (kind, id, store, device) AS (VALUES",
        4,
        ") SELECT sale.kind, sale.id, seq, status, minor, currency, entry, name, payload, partition, offset,
                order_id, time, sale.store, sale.device
         FROM wanted CROSS JOIN sale ON sale.kind = wanted.kind AND sale.id = wanted.id
              AND sale.store = wanted.store AND sale.device = wanted.device",
    )
});
static PUT_SALE: LazyLock<Rows> = LazyLock::new(|| {
    Rows::new(
        "INSERT INTO sale (kind, seq, id, order_id, status, time, minor, currency, entry, name, payload, partition,
                           offset, store, device)
         VALUES",
        15,
        // Not REPLACE, which would write the index over id again, too.
        "ON CONFLICT (kind, seq) DO UPDATE SET
            order_id = excluded.order_id, status = excluded.status, time = excluded.time, minor = excluded.minor, currency = excluded.currency,
            entry = excluded.entry, name = excluded.name, payload = excluded.payload,
            partition = excluded.partition, offset = excluded.offset",
    )
});
static PUT_PLACE: LazyLock<Rows> = LazyLock::new(|| {
    Rows::new(
        "INSERT OR REPLACE INTO place (entry, partition, offset) VALUES",
        3,
        "",
    )
});
static PUT_POSITION: LazyLock<Rows> = LazyLock::new(|| {
    Rows::new(
        "INSERT OR REPLACE INTO position (topic, partition, next, topic_id) VALUES",
        4,
        "",
    )
});

/// Rows kept beyond what they were made of: some 50 MB.
const KEPT: u64 = 200_000;
/// Of the newest rows those from Kafka have their JSON here: some 20 MB. A longer one is not kept.
const SHOWN: u64 = 20_000;
const LONGEST: usize = 64 << 10;
/// Rows that one step of a sweep looks at: more than a flush writes, or the sweep would never arrive.
const SWEEP: u64 = 16_384;

/// Of the rows: 2 says whose each of them is.
pub(super) const LAYOUT: i64 = 2;

pub(super) struct Store {
    path: PathBuf,
    connection: WriteConnection,
    pub readers: Readers,
    words: Words,
    sweep: Sweep,
}

/// Where the search for rows that may go stands. It goes through the table in small steps, one with each flush, so that
/// none holds up the fold for long.
#[derive(Debug, Default)]
struct Sweep {
    /// The row at which the next step begins.
    at: u64,
    /// Since the last sweep began there is more that may go.
    wanted: bool,
    running: bool,
}

/// Where the fold stands.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// [`LAYOUT`], or an older one that [`super::upgrade`] is about to bring to it.
    pub layout: i64,
    pub folded: Offset,
    pub totals: Totals,
    pub positions: PositionTable,
    pub next_seq: u64,
}

/// Everything that one flush writes.
pub(super) struct Flush<'a> {
    pub journal: &'a str,
    pub folded: Offset,
    pub totals: &'a Totals,
    pub rows: &'a HashMap<Key, Row>,
    /// Journal offset, partition, Kafka offset.
    pub places: &'a [(u64, i32, i64)],
    pub positions: &'a PositionTable,
}

impl Store {
    /// Opens the file beside the journal, whose last entry is `last`; or begins a new one if it is of another journal, has
    /// folded what the journal does not have, or is damaged.
    pub async fn open(path: &Path, journal: &str, last: Offset) -> Result<(Self, Progress), sqlx::Error> {
        let mut opened = Self::try_open(path, journal, last).await;
        if opened
            .as_ref()
            .is_err_and(|error| is_damage(error) || is_disk_error(error))
        {
            // One read that fails may have been the only one.
            opened = Self::try_open(path, journal, last).await;
        }
        match opened {
            Ok(Some(opened)) => return Ok(opened),
            Ok(None) => {}
            Err(error) if is_damage(&error) || is_disk_error(&error) || is_of_other_schema(&error) => {
                warn!(%error, path = %path.display(), "the dashboard's file is made anew");
            }
            // No room, no right to write: the file is not to blame.
            Err(error) => return Err(error),
        }
        Self::begin(path, journal).await
    }

    /// Throws the file away, if there is one, and begins a new one.
    pub async fn begin(path: &Path, journal: &str) -> Result<(Self, Progress), sqlx::Error> {
        remove(path)?;
        Self::try_open(path, journal, Offset(0))
            .await?
            .ok_or_else(|| sqlx::Error::Protocol("a new file has no journal yet".into()))
    }

    /// `None` if it does not agree with the journal.
    async fn try_open(
        path: &Path,
        journal: &str,
        last: Offset,
    ) -> Result<Option<(Self, Progress)>, sqlx::Error> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .busy_timeout(Duration::from_secs(5));
        let connection = options
            .clone()
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .pragma("wal_autocheckpoint", "2000")
            .pragma("journal_size_limit", "16777216")
            .pragma("cache_size", "-4096")
            .thread_name(|_| "projection".to_owned());
        let mut connection = WriteConnection::open(connection).await?;
        let at = match read_progress(connection.get().await?, journal, last).await {
            Ok(Some(at)) => at,
            other => {
                // It is removed next.
                let _ = connection.close().await;
                return other.map(|_| None);
            }
        };
        let options = options
            .read_only(true)
            .pragma("cache_size", "-1024")
            .thread_name(|n| format!("projection-read-{n}"));
        let store = Self {
            path: path.to_owned(),
            connection,
            readers: Readers::open(2, options).await?,
            words: Words::default(),
            sweep: Sweep {
                wanted: true,
                ..Sweep::default()
            },
        };
        Ok(Some((store, at)))
    }

    /// Whether the file is damaged, or could only not be read for a moment.
    pub async fn is_damaged(&mut self) -> bool {
        match self.connection.get().await {
            Ok(connection) => is_damaged(connection).await,
            Err(_) => false,
        }
    }

    /// For statements that no other method here runs.
    pub async fn connection(&mut self) -> Result<&mut SqliteConnection, sqlx::Error> {
        self.connection.get().await
    }

    /// Lets go of the file.
    pub async fn close(mut self) -> Result<(), sqlx::Error> {
        self.readers.close().await;
        self.connection.close().await
    }

    /// Removes the file.
    pub async fn remove(mut self) -> Result<(), sqlx::Error> {
        self.readers.close().await;
        // Of a damaged file nothing is lost.
        let _ = self.connection.close().await;
        remove(&self.path)
    }

    /// What the file knows of these.
    pub async fn rows(&mut self, keys: &[&Key]) -> Result<HashMap<Key, Row>, sqlx::Error> {
        let found = self.try_rows(keys).await;
        self.connection.settle(found).await
    }

    async fn try_rows(&mut self, keys: &[&Key]) -> Result<HashMap<Key, Row>, sqlx::Error> {
        let connection = self.connection.get().await?;
        let mut found = HashMap::new();
        for (range, mut query) in FIND.queries(keys.len()) {
            for key in &keys[range] {
                query = query
                    .bind(kind_code(key.kind))
                    .bind(Arc::clone(&key.id))
                    .bind(Arc::clone(&key.store))
                    .bind(Arc::clone(&key.device));
            }
            for row in query.fetch_all(&mut *connection).await? {
                let (key, row) = read(&row);
                found.insert(key, row);
            }
        }
        Ok(found)
    }

    /// The devices of a store that have a payment of this id, as far as the file knows.
    pub async fn devices_of(&mut self, payment_id: &str, store: &str) -> Result<Vec<Arc<str>>, sqlx::Error> {
        let devices = self.try_devices_of(payment_id, store).await;
        self.connection.settle(devices).await
    }

    async fn try_devices_of(&mut self, payment_id: &str, store: &str) -> Result<Vec<Arc<str>>, sqlx::Error> {
        let devices: Vec<String> =
            sqlx::query_scalar("SELECT device FROM sale WHERE kind = ? AND id = ? AND store = ?")
                .bind(kind_code(Kind::Payment))
                .bind(payment_id)
                .bind(store)
                .fetch_all(self.connection.get().await?)
                .await?;
        Ok(devices.into_iter().map(Arc::from).collect())
    }

    /// Writes a stroke. After an error it is to be written again: whether it was already makes no difference.
    pub async fn flush(&mut self, flush: Flush<'_>) -> Result<(), sqlx::Error> {
        let flushed = self.try_flush(flush).await;
        self.connection.settle(flushed).await
    }

    async fn try_flush(&mut self, flush: Flush<'_>) -> Result<(), sqlx::Error> {
        let connection = self.connection.get().await?;
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        // In the order of the table: its pages are then touched once.
        let mut rows: Vec<_> = flush.rows.iter().collect();
        rows.sort_unstable_by_key(|(key, row)| (key.kind as u8, row.seq));
        for (range, mut query) in PUT_SALE.queries(rows.len()) {
            for (key, row) in &rows[range] {
                query = query
                    .bind(kind_code(key.kind))
                    .bind(row.seq as i64)
                    .bind(Arc::clone(&key.id))
                    .bind(row.order_id.clone())
                    .bind(Arc::clone(&row.status))
                    .bind(row.time)
                    .bind(row.amount.map(|amount| amount.minor()))
                    .bind(
                        row.amount
                            .map(|amount| self.words.share(amount.currency().code())),
                    );
                query = match &row.source {
                    Source::Entry(entry) => query
                        .bind(entry.0 as i64)
                        .bind(None::<&str>)
                        .bind(None::<&str>)
                        .bind(None::<i32>)
                        .bind(None::<i64>),
                    Source::Kafka {
                        name,
                        payload,
                        partition,
                        offset,
                    } => query
                        .bind(None::<i64>)
                        .bind(&**name)
                        .bind((payload.len() <= LONGEST).then_some(&**payload))
                        .bind(partition)
                        .bind(offset),
                };
                query = query.bind(Arc::clone(&key.store)).bind(Arc::clone(&key.device));
            }
            query.execute(&mut *transaction).await?;
        }
        for (range, mut query) in PUT_PLACE.queries(flush.places.len()) {
            for (entry, partition, offset) in &flush.places[range] {
                query = query.bind(*entry as i64).bind(partition).bind(offset);
            }
            query.execute(&mut *transaction).await?;
        }
        let positions: Vec<_> = flush.positions.iter().collect();
        for (range, mut query) in PUT_POSITION.queries(positions.len()) {
            for ((topic, partition), position) in &positions[range] {
                query = query
                    .bind(topic)
                    .bind(partition)
                    .bind(position.next)
                    .bind(position.topic_id.map(|id| id.to_bytes().to_vec()));
            }
            query.execute(&mut *transaction).await?;
        }
        sqlx::query(
            "INSERT OR REPLACE INTO progress (id, journal, folded, totals, layout) VALUES (1, ?, ?, ?, ?)",
        )
        .bind(flush.journal)
        .bind(flush.folded.0 as i64)
        .bind(serde_json::json!(flush.totals).to_string())
        .bind(LAYOUT)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await
    }

    /// There is something new that may go: the journal has let go of entries, or rows came from Kafka.
    pub fn want_sweep(&mut self) {
        self.sweep.wanted = true;
    }

    /// A step of letting go of all but the newest [`KEPT`] of what has nothing to show any more, because the journal has
    /// let go of it, or because only so much is kept from Kafka. The newest stay to be known again: an order that goes on
    /// after its entries have gone is not another one.
    pub async fn sweep(&mut self, first: Offset, next_seq: u64) -> Result<(), sqlx::Error> {
        let swept = self.try_sweep(first, next_seq).await;
        self.connection.settle(swept).await
    }

    async fn try_sweep(&mut self, first: Offset, next_seq: u64) -> Result<(), sqlx::Error> {
        if !self.sweep.running {
            if !self.sweep.wanted {
                return Ok(());
            }
            self.sweep = Sweep {
                at: self.lowest().await?,
                wanted: false,
                running: true,
            };
        }
        let from = self.sweep.at;
        let (shown, kept) = (next_seq.saturating_sub(SHOWN), next_seq.saturating_sub(KEPT));
        let to = (from + SWEEP).min(shown);
        let connection = self.connection.get().await?;
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query("DELETE FROM place WHERE entry < ?")
            .bind(first.0 as i64)
            .execute(&mut *transaction)
            .await?;
        sqlx::query(
            "DELETE FROM sale WHERE kind IN (0, 1, 2) AND seq >= ? AND seq < ? AND (entry IS NULL OR entry < ?)",
        )
        .bind(from as i64)
        .bind(to.min(kept) as i64)
        .bind(first.0 as i64)
        .execute(&mut *transaction)
        .await?;
        sqlx::query(
            "UPDATE sale SET payload = NULL WHERE kind IN (0, 1, 2) AND seq >= ? AND seq < ? AND payload IS NOT NULL",
        )
        .bind(from as i64)
        .bind(to as i64)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        self.sweep.at = to;
        self.sweep.running = to < shown;
        Ok(())
    }

    async fn lowest(&mut self) -> Result<u64, sqlx::Error> {
        let connection = self.connection.get().await?;
        let mut lowest = None;
        // One by one: SQLite answers each from the b-tree's edge.
        for kind in Kind::ALL {
            let of_kind: Option<i64> = sqlx::query_scalar("SELECT min(seq) FROM sale WHERE kind = ?")
                .bind(kind_code(kind))
                .fetch_one(&mut *connection)
                .await?;
            lowest = lowest.into_iter().chain(of_kind).min();
        }
        Ok(lowest.unwrap_or(0) as u64)
    }
}

/// Where the fold stands; `None` if that does not agree with the journal.
async fn read_progress(
    connection: &mut SqliteConnection,
    journal: &str,
    last: Offset,
) -> Result<Option<Progress>, sqlx::Error> {
    let verdict: String = sqlx::query_scalar("PRAGMA quick_check(1)")
        .fetch_one(&mut *connection)
        .await?;
    if verdict != "ok" {
        return Err(sqlx::Error::Decode(verdict.into()));
    }
    MIGRATIONS.run(&mut *connection).await?;
    let progress = sqlx::query("SELECT journal, folded, totals, layout FROM progress")
        .fetch_optional(&mut *connection)
        .await?;
    let mut at = Progress {
        layout: LAYOUT,
        next_seq: 1,
        ..Progress::default()
    };
    if let Some(row) = progress {
        at.folded = Offset(row.get::<i64, _>(1) as u64);
        if row.get::<&str, _>(0) != journal {
            return Ok(None);
        }
        if at.folded > last {
            warn!(
                folded = at.folded.0,
                last = last.0,
                "the dashboard's file knows events that the journal does not have: it is made anew"
            );
            return Ok(None);
        }
        at.layout = row.get(3);
        at.totals = serde_json::from_str(row.get(2)).map_err(|error| sqlx::Error::Decode(error.into()))?;
        // One by one: SQLite answers each from the b-tree's edge.
        for kind in Kind::ALL {
            let highest: Option<i64> = sqlx::query_scalar("SELECT max(seq) FROM sale WHERE kind = ?")
                .bind(kind_code(kind))
                .fetch_one(&mut *connection)
                .await?;
            at.next_seq = at.next_seq.max(highest.unwrap_or(0) as u64 + 1);
        }
        for row in sqlx::query("SELECT topic, partition, next, topic_id FROM position")
            .fetch_all(&mut *connection)
            .await?
        {
            let topic_id: Option<&[u8]> = row.get(3);
            let position = Position {
                next: row.get(2),
                topic_id: topic_id.and_then(TopicId::from_bytes),
            };
            at.positions.insert((row.get(0), row.get(1)), position);
        }
    }
    Ok(Some(at))
}

/// Not made by this version, nor by an earlier one.
fn is_of_other_schema(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Migrate(_))
}

fn remove(path: &Path) -> Result<(), sqlx::Error> {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match std::fs::remove_file(PathBuf::from(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(sqlx::Error::Io(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Reads a row of [`FIND`].
fn read(row: &SqliteRow) -> (Key, Row) {
    let kind = Kind::ALL[(row.get::<i64, _>(0) as usize).min(2)];
    let amount = row
        .get::<Option<i64>, _>(4)
        .zip(row.get::<Option<&str>, _>(5))
        .and_then(|(minor, code)| Money::from_minor(minor as u64, code.parse().ok()?).ok());
    let source = match row.get::<Option<i64>, _>(6) {
        Some(entry) => Source::Entry(Offset(entry as u64)),
        None => Source::Kafka {
            name: row.get::<&str, _>(7).into(),
            payload: row.get::<Option<&str>, _>(8).unwrap_or_default().into(),
            partition: row.get(9),
            offset: row.get(10),
        },
    };
    let seen = Row {
        seq: row.get::<i64, _>(2) as u64,
        order_id: row.get::<Option<&str>, _>(11).map(Into::into),
        status: row.get::<&str, _>(3).into(),
        time: row.get(12),
        amount,
        source,
    };
    let text = |column| -> Arc<str> { row.get::<&str, _>(column).into() };
    let key = Key {
        kind,
        id: text(1),
        store: text(13),
        device: text(14),
    };
    (key, seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOURNAL: &str = "the journal";

    async fn store(folder: &Path) -> Store {
        let path = folder.join("dashboard.db");
        Store::open(&path, JOURNAL, Offset(100)).await.unwrap().0
    }

    fn order(seq: u64) -> Key {
        Key::new(Kind::Order, &format!("o-{seq}"), "lyon-1", "till")
    }

    fn row(seq: u64, source: Source) -> (Key, Row) {
        let row = Row {
            seq,
            order_id: None,
            status: "Pending".into(),
            time: 1,
            amount: None,
            source,
        };
        (order(seq), row)
    }

    fn from_kafka(seq: u64) -> (Key, Row) {
        let source = Source::Kafka {
            name: "lyon-1/till/1/1".into(),
            payload: "{}".into(),
            partition: 0,
            offset: seq as i64,
        };
        row(seq, source)
    }

    async fn put(store: &mut Store, rows: impl IntoIterator<Item = (Key, Row)>) {
        let rows = rows.into_iter().collect();
        let flush = Flush {
            journal: JOURNAL,
            folded: Offset(0),
            totals: &Totals::default(),
            rows: &rows,
            places: &[],
            positions: &HashMap::new(),
        };
        store.flush(flush).await.unwrap();
    }

    /// Sequence numbers, and whether the JSON is here.
    async fn kept(store: &mut Store) -> Vec<(i64, bool)> {
        sqlx::query_as("SELECT seq, payload IS NOT NULL FROM sale ORDER BY seq")
            .fetch_all(store.connection.get().await.unwrap())
            .await
            .unwrap()
    }

    /// Writes a file that has folded up to 50, changes it, and opens it with a journal that ends at `last`: how far that
    /// has folded.
    async fn folded_after(change: impl FnOnce(&Path), last: u64) -> u64 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dashboard.db");
        let mut store = store(folder.path()).await;
        let rows = (1..=2_000).map(from_kafka).collect();
        let flush = Flush {
            journal: JOURNAL,
            folded: Offset(50),
            totals: &Totals::default(),
            rows: &rows,
            places: &[],
            positions: &HashMap::new(),
        };
        store.flush(flush).await.unwrap();
        store.readers.close().await;
        store.connection.close().await.unwrap();
        change(&path);
        let (mut store, at) = Store::open(&path, JOURNAL, Offset(last)).await.unwrap();
        put(&mut store, [from_kafka(1)]).await;
        at.folded.0
    }

    #[tokio::test]
    async fn a_file_that_does_not_agree_with_the_journal_or_is_damaged_is_made_anew() {
        let whole = |_: &Path| {};
        assert_eq!(folded_after(whole, 50).await, 50);
        assert_eq!(folded_after(whole, 80).await, 50);
        assert_eq!(folded_after(whole, 49).await, 0, "it is newer than the journal");
        let damage = |from: usize, to: usize, byte: u8| {
            move |path: &Path| {
                let mut bytes = std::fs::read(path).unwrap();
                let pages = bytes.len() / 4_096;
                bytes[from * pages / 4 * 4_096..to * pages / 4 * 4_096].fill(byte);
                std::fs::write(path, bytes).unwrap();
            }
        };
        assert_eq!(folded_after(damage(2, 3, 0xa5), 80).await, 0, "in the middle");
        assert_eq!(folded_after(damage(3, 4, 0), 80).await, 0, "zeros at the end");
        assert_eq!(folded_after(damage(0, 1, 0xa5), 80).await, 0, "at the beginning");
        let cut = |path: &Path| {
            let half = std::fs::metadata(path).unwrap().len() / 2;
            let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
            file.set_len(half).unwrap();
        };
        assert_eq!(folded_after(cut, 80).await, 0, "cut in half");
        let other = |path: &Path| std::fs::write(path, "my shopping list").unwrap();
        assert_eq!(folded_after(other, 80).await, 0);
    }

    #[tokio::test]
    async fn what_has_nothing_to_show_goes_and_what_the_journal_has_stays() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = store(folder.path()).await;
        let own = |seq, entry| row(seq, Source::Entry(Offset(entry)));
        put(
            &mut store,
            [own(1, 10), own(2, 20), from_kafka(3), from_kafka(4), own(5, 21)],
        )
        .await;
        // As if the newest row were KEPT beyond the fourth.
        store.sweep(Offset(20), KEPT + 4).await.unwrap();
        assert_eq!(kept(&mut store).await, [(2, false), (4, false), (5, false)]);
    }

    #[tokio::test]
    async fn one_id_of_two_stores_and_of_two_tills_is_several_rows() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = store(folder.path()).await;
        let keys = [
            Key::new(Kind::Order, "1", "lyon-1", "till-1"),
            Key::new(Kind::Order, "1", "paris-1", "till-1"),
            Key::new(Kind::Payment, "1", "paris-1", "till-1"),
            Key::new(Kind::Payment, "1", "paris-1", "till-2"),
        ];
        let rows = keys
            .iter()
            .zip(1..)
            .map(|(key, seq)| (key.clone(), row(seq, Source::Entry(Offset(seq))).1));
        put(&mut store, rows).await;
        let found = store.rows(&keys.iter().collect::<Vec<_>>()).await.unwrap();
        for (key, seq) in keys.iter().zip(1..) {
            assert_eq!(found[key].seq, seq, "{key:?}");
        }
        let elsewhere = Key::new(Kind::Payment, "1", "lyon-1", "till-1");
        assert!(store.rows(&[&elsewhere]).await.unwrap().is_empty());
        let mut devices = store.devices_of("1", "paris-1").await.unwrap();
        devices.sort();
        assert_eq!(devices, ["till-1".into(), "till-2".into()]);
    }

    #[tokio::test]
    async fn only_the_newest_from_kafka_have_their_json() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = store(folder.path()).await;
        put(&mut store, (1..=3).map(from_kafka)).await;
        store.sweep(Offset(1), SHOWN + 2).await.unwrap();
        assert_eq!(kept(&mut store).await, [(1, false), (2, true), (3, true)]);
        let known = store.rows(&[&order(1)]).await.unwrap();
        assert_eq!(known.len(), 1, "it is known again all the same");
    }

    #[tokio::test]
    async fn a_sweep_arrives_in_steps_and_begins_again_only_when_it_is_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = store(folder.path()).await;
        let far = SWEEP * 2 + 100;
        put(&mut store, [1, SWEEP + 50, far].map(from_kafka)).await;
        let next = KEPT + far + 1;
        let mut left = Vec::new();
        for _ in 0..4 {
            store.sweep(Offset(1), next).await.unwrap();
            left.push(kept(&mut store).await.len());
        }
        assert_eq!(left, [2, 1, 0, 0]);
        put(&mut store, [from_kafka(2)]).await;
        while store.sweep.running {
            store.sweep(Offset(1), next).await.unwrap();
        }
        store.sweep(Offset(1), next).await.unwrap();
        assert_eq!(kept(&mut store).await.len(), 1);
        store.want_sweep();
        store.sweep(Offset(1), next).await.unwrap();
        assert_eq!(kept(&mut store).await.len(), 0);
    }
}
