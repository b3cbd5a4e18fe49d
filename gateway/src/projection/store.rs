//! The projection's file. It can always be made anew, so it is quick rather than safe: a power cut may cost
//! the last seconds of it (they are folded again), and a damaged file is thrown away.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection, Row as _};
use tracing::warn;

use super::fold::{Row, Source, Totals};
use super::words::Words;
use super::{Key, kind_code};
use crate::event::Kind;
use crate::journal::Offset;
use crate::rows::Rows;
use crate::sale::Money;

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
        "INSERT OR REPLACE INTO position (topic, partition, next) VALUES",
        3,
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
    pub connection: SqliteConnection,
    pub readers: SqlitePool,
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
    pub positions: HashMap<(String, i32), i64>,
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
    pub positions: &'a HashMap<(String, i32), i64>,
}

impl Store {
    /// Opens the file beside the journal, or begins a new one if it is of another journal or damaged.
    pub async fn open(path: &Path, journal: &str) -> Result<(Self, Progress), sqlx::Error> {
        match Self::try_open(path, journal).await {
            Ok(Some(opened)) => return Ok(opened),
            Ok(None) => {}
            Err(error) => {
                warn!(%error, path = %path.display(), "the dashboard's file is made anew");
            }
        }
        Self::begin(path, journal).await
    }

    /// Throws the file away, if there is one, and begins a new one.
    pub async fn begin(path: &Path, journal: &str) -> Result<(Self, Progress), sqlx::Error> {
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
        Self::try_open(path, journal)
            .await?
            .ok_or_else(|| sqlx::Error::Protocol("a new file has no journal yet".into()))
    }

    /// `None` if it is about another journal.
    async fn try_open(path: &Path, journal: &str) -> Result<Option<(Self, Progress)>, sqlx::Error> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .busy_timeout(Duration::from_secs(5));
        let mut connection = options
            .clone()
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .pragma("wal_autocheckpoint", "2000")
            .pragma("journal_size_limit", "16777216")
            .pragma("cache_size", "-4096")
            .thread_name(|_| "projection".to_owned())
            .connect()
            .await?;
        MIGRATIONS.run(&mut connection).await?;
        let progress = sqlx::query("SELECT journal, folded, totals, layout FROM progress")
            .fetch_optional(&mut connection)
            .await?;
        let mut at = Progress {
            layout: LAYOUT,
            next_seq: 1,
            ..Progress::default()
        };
        if let Some(row) = progress {
            if row.get::<&str, _>(0) != journal {
                connection.close().await?;
                return Ok(None);
            }
            at.layout = row.get(3);
            at.folded = Offset(row.get::<i64, _>(1) as u64);
            at.totals =
                serde_json::from_str(row.get(2)).map_err(|error| sqlx::Error::Decode(error.into()))?;
            // One by one: SQLite answers each from the b-tree's edge.
            for kind in Kind::ALL {
                let highest: Option<i64> = sqlx::query_scalar("SELECT max(seq) FROM sale WHERE kind = ?")
                    .bind(kind_code(kind))
                    .fetch_one(&mut connection)
                    .await?;
                at.next_seq = at.next_seq.max(highest.unwrap_or(0) as u64 + 1);
            }
            for row in sqlx::query("SELECT topic, partition, next FROM position")
                .fetch_all(&mut connection)
                .await?
            {
                at.positions.insert((row.get(0), row.get(1)), row.get(2));
            }
        }
        let readers = SqlitePoolOptions::new()
            .max_connections(2)
            .connect_with(
                options
                    .read_only(true)
                    .pragma("cache_size", "-1024")
                    .thread_name(|n| format!("projection-read-{n}")),
            )
            .await?;
        let store = Self {
            connection,
            readers,
            words: Words::default(),
            sweep: Sweep {
                wanted: true,
                ..Sweep::default()
            },
        };
        Ok(Some((store, at)))
    }

    /// Lets go of the file.
    pub async fn close(self) -> Result<(), sqlx::Error> {
        self.readers.close().await;
        self.connection.close().await
    }

    /// What the file knows of these.
    pub async fn rows(&mut self, keys: &[&Key]) -> Result<HashMap<Key, Row>, sqlx::Error> {
        let mut found = HashMap::new();
        for (range, mut query) in FIND.queries(keys.len()) {
            for key in &keys[range] {
                query = query
                    .bind(kind_code(key.kind))
                    .bind(Arc::clone(&key.id))
                    .bind(Arc::clone(&key.store))
                    .bind(Arc::clone(&key.device));
            }
            for row in query.fetch_all(&mut self.connection).await? {
                let (key, row) = read(&row);
                found.insert(key, row);
            }
        }
        Ok(found)
    }

    /// The devices of a store that have a payment of this id, as far as the file knows.
    pub async fn devices_of(&mut self, payment_id: &str, store: &str) -> Result<Vec<Arc<str>>, sqlx::Error> {
        let devices: Vec<String> =
            sqlx::query_scalar("SELECT device FROM sale WHERE kind = ? AND id = ? AND store = ?")
                .bind(kind_code(Kind::Payment))
                .bind(payment_id)
                .bind(store)
                .fetch_all(&mut self.connection)
                .await?;
        Ok(devices.into_iter().map(Arc::from).collect())
    }

    pub async fn flush(&mut self, flush: Flush<'_>) -> Result<(), sqlx::Error> {
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
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
            for ((topic, partition), next) in &positions[range] {
                query = query.bind(topic).bind(partition).bind(next);
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
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
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
        let mut lowest = None;
        // One by one: SQLite answers each from the b-tree's edge.
        for kind in Kind::ALL {
            let of_kind: Option<i64> = sqlx::query_scalar("SELECT min(seq) FROM sale WHERE kind = ?")
                .bind(kind_code(kind))
                .fetch_one(&mut self.connection)
                .await?;
            lowest = lowest.into_iter().chain(of_kind).min();
        }
        Ok(lowest.unwrap_or(0) as u64)
    }
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
        Store::open(&path, JOURNAL).await.unwrap().0
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
            .fetch_all(&mut store.connection)
            .await
            .unwrap()
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
