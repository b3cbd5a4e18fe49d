//! Rows: looked up by key, and written in batches.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use jiff::tz::TimeZone;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection as _, Row as _};

use super::super::authority::Correction;
use super::super::ledger::Ledger;
use super::super::row::{Row, Source};
use super::super::shops::OtherShops;
use super::super::totals::Totals;
use super::super::{Key, kind_code, kind_of};
use super::{LAYOUT, Store, changes, search};
use comptoir_core::event::Kind;
use comptoir_core::record::PartitionOffset;
use comptoir_core::sale::Money;
use comptoir_journal::Offset;
use comptoir_journal::batch_statement::BatchStatement;
use comptoir_kafka::PositionTable;

static FIND: LazyLock<BatchStatement> = LazyLock::new(|| {
    BatchStatement::new(
        "WITH wanted (kind, id, store, device) AS (VALUES",
        4,
        ") SELECT sale.kind, sale.id, seq, status, minor, currency, entry, name, payload, partition, offset,
                order_id, time, sale.store, sale.device, creator, moved, corrections, home, refund_of
         FROM wanted CROSS JOIN sale ON sale.kind = wanted.kind AND sale.id = wanted.id
              AND sale.store = wanted.store AND sale.device = wanted.device",
    )
});
static PUT_SALE: LazyLock<BatchStatement> = LazyLock::new(|| {
    BatchStatement::new(
        "INSERT INTO sale (kind, seq, id, order_id, status, time, minor, currency, entry, name, payload, partition,
                           offset, store, device, creator, moved, corrections, home, refund_of)
         VALUES",
        20,
        // Not REPLACE, which would also rewrite the index over the id.
        "ON CONFLICT (kind, seq) DO UPDATE SET
            order_id = excluded.order_id, status = excluded.status, time = excluded.time, minor = excluded.minor, currency = excluded.currency,
            entry = excluded.entry, name = excluded.name, payload = excluded.payload,
            partition = excluded.partition, offset = excluded.offset, creator = excluded.creator,
            moved = excluded.moved, corrections = excluded.corrections, home = excluded.home,
            refund_of = excluded.refund_of",
    )
});
static PUT_PLACE: LazyLock<BatchStatement> = LazyLock::new(|| {
    BatchStatement::new(
        "INSERT OR REPLACE INTO place (entry, partition, offset) VALUES",
        3,
        "",
    )
});
static PUT_POSITION: LazyLock<BatchStatement> = LazyLock::new(|| {
    BatchStatement::new(
        "INSERT OR REPLACE INTO position (topic, partition, next, topic_id) VALUES",
        4,
        "",
    )
});

/// Number of rows read at a time for a new ledger.
const STEP: i64 = 2_048;

/// Longest JSON from Kafka that is stored, in bytes. Longer ones cannot be shown.
const MAX_PAYLOAD: usize = 64 << 10;

/// The place of a journal entry in Kafka.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct EntryPlace {
    pub entry: Offset,
    pub place: PartitionOffset,
}

/// Everything that one flush writes.
pub(in super::super) struct FlushBatch<'a> {
    /// The journal's uuid.
    pub journal: &'a str,
    pub folded: Offset,
    pub totals: &'a Totals,
    pub ledger: &'a Ledger,
    pub rows: &'a HashMap<Key, Row>,
    pub places: &'a [EntryPlace],
    pub corrections: &'a [Correction],
    pub positions: &'a PositionTable,
    pub others: &'a OtherShops,
}

impl Store {
    /// The rows with these keys that the file has.
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

    /// The devices of a store that have a payment with this id, according to the file.
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

    /// The ledger of a file that has none. What is in the revenue without a row was swept, and its day is not known.
    pub async fn ledger_of_payments(
        &mut self,
        totals: &Totals,
        zone: &TimeZone,
    ) -> Result<Ledger, sqlx::Error> {
        let connection = self.connection.get().await?;
        let (mut ledger, mut rest, mut after) = (Ledger::begin(None), totals.revenue.clone(), 0);
        loop {
            let rows = sqlx::query(
                "SELECT seq, entry, time, minor, currency, status FROM sale
                 WHERE kind = ? AND seq > ? AND home = 1 ORDER BY seq LIMIT ?",
            )
            .bind(kind_code(Kind::Payment))
            .bind(after)
            .bind(STEP)
            .fetch_all(&mut *connection)
            .await?;
            let Some(last) = rows.last() else { break };
            after = last.get("seq");
            for row in rows
                .iter()
                .filter(|row| row.get::<&str, _>("status") == "SUCCESS")
            {
                let Some(earned) = amount(row) else { continue };
                if let Some(rest) = rest.get_mut(earned.currency().code()) {
                    *rest = rest.saturating_sub(earned.minor());
                }
                if row.get::<Option<i64>, _>("entry").is_some() {
                    ledger.add_payment(Some(row.get("time")), earned, zone);
                }
            }
        }
        for (currency, minor) in rest {
            if let Ok(currency) = currency.parse() {
                ledger.add_payment(None, Money::sum(minor, currency), zone);
            }
        }
        Ok(ledger)
    }

    /// Writes a batch. Idempotent, so the caller repeats it after an error.
    pub async fn flush(&mut self, batch: FlushBatch<'_>) -> Result<(), sqlx::Error> {
        let flushed = self.try_flush(batch).await;
        self.connection.settle(flushed).await
    }

    async fn try_flush(&mut self, batch: FlushBatch<'_>) -> Result<(), sqlx::Error> {
        let connection = self.connection.get().await?;
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        // In table order, so that each page is touched only once.
        let mut rows: Vec<_> = batch.rows.iter().collect();
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
                            .map(|amount| self.interner.intern(amount.currency().code())),
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
                        .bind((payload.len() <= MAX_PAYLOAD).then_some(&**payload))
                        .bind(partition)
                        .bind(offset),
                };
                query = query
                    .bind(Arc::clone(&key.store))
                    .bind(Arc::clone(&key.device))
                    .bind(Arc::clone(&row.creator))
                    .bind(row.is_moved)
                    .bind(row.corrections)
                    .bind(row.is_home)
                    .bind(row.refund_of.clone());
            }
            query.execute(&mut *transaction).await?;
        }
        let blocks = &self.blocks;
        let changed = rows.iter().filter(|(_, row)| search::is_indexed(blocks, row.seq));
        let changed = changed.map(|(key, row)| search::sale_key(key.kind, row.seq));
        changes::note(&mut transaction, changed).await?;
        for correction in batch.corrections {
            put_correction(&mut transaction, correction).await?;
        }
        for (range, mut query) in PUT_PLACE.queries(batch.places.len()) {
            for EntryPlace { entry, place } in &batch.places[range] {
                query = query
                    .bind(entry.0 as i64)
                    .bind(place.partition)
                    .bind(place.offset);
            }
            query.execute(&mut *transaction).await?;
        }
        let positions: Vec<_> = batch.positions.iter().collect();
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
        for (store, totals) in batch.others.changed() {
            sqlx::query("INSERT OR REPLACE INTO shop (store, totals) VALUES (?, ?)")
                .bind(Arc::clone(store))
                .bind(serde_json::json!(totals).to_string())
                .execute(&mut *transaction)
                .await?;
        }
        sqlx::query(
            "INSERT OR REPLACE INTO progress (id, journal, folded, totals, layout, ledger) VALUES (1, ?, ?, ?, ?, ?)",
        )
        .bind(batch.journal)
        .bind(batch.folded.0 as i64)
        .bind(serde_json::json!(batch.totals).to_string())
        .bind(LAYOUT)
        .bind(batch.ledger.to_json())
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await
    }
}

async fn put_correction(
    connection: &mut SqliteConnection,
    correction: &Correction,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT OR REPLACE INTO correction
         (entry, kind, id, store, order_id, device, status, minor, currency, time, applied)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(correction.entry.0 as i64)
    .bind(kind_code(correction.kind))
    .bind(Arc::clone(&correction.id))
    .bind(Arc::clone(&correction.store))
    .bind(Arc::clone(&correction.order_id))
    .bind(&*correction.device)
    .bind(correction.status.as_deref())
    .bind(correction.amount.map(|amount| amount.minor()))
    .bind(correction.amount.map(|amount| amount.currency().code()))
    .bind(correction.time)
    .bind(correction.is_applied)
    .execute(connection)
    .await
    .map(|_| ())
}

/// The columns `minor` and `currency`.
fn amount(row: &SqliteRow) -> Option<Money> {
    let minor = row.get::<Option<i64>, _>("minor");
    minor
        .zip(row.get::<Option<&str>, _>("currency"))
        .and_then(|(minor, code)| Money::from_signed(minor, code.parse().ok()?))
}

/// Reads a row of the table `correction`.
pub(in super::super) fn read_correction(row: &SqliteRow) -> Correction {
    let amount = amount(row);
    let text = |column| -> Arc<str> { row.get::<&str, _>(column).into() };
    Correction {
        entry: Offset(row.get::<i64, _>("entry") as u64),
        kind: kind_of(row),
        id: text("id"),
        store: text("store"),
        order_id: text("order_id"),
        device: row.get::<&str, _>("device").into(),
        status: row.get::<Option<&str>, _>("status").map(Into::into),
        amount,
        time: row.get("time"),
        is_applied: row.get("applied"),
    }
}

/// Reads a row of [`FIND`].
fn read(row: &SqliteRow) -> (Key, Row) {
    let amount = row
        .get::<Option<i64>, _>("minor")
        .zip(row.get::<Option<&str>, _>("currency"))
        .and_then(|(minor, code)| Money::from_signed(minor, code.parse().ok()?));
    let source = match row.get::<Option<i64>, _>("entry") {
        Some(entry) => Source::Entry(Offset(entry as u64)),
        None => Source::Kafka {
            name: row.get::<&str, _>("name").into(),
            payload: row.get::<Option<&str>, _>("payload").unwrap_or_default().into(),
            partition: row.get("partition"),
            offset: row.get("offset"),
        },
    };
    let state = Row {
        seq: row.get::<i64, _>("seq") as u64,
        order_id: row.get::<Option<&str>, _>("order_id").map(Into::into),
        status: row.get::<&str, _>("status").into(),
        time: row.get("time"),
        amount,
        refund_of: row.get::<Option<&str>, _>("refund_of").map(Into::into),
        source,
        creator: row.get::<&str, _>("creator").into(),
        is_moved: row.get("moved"),
        corrections: row.get("corrections"),
        is_home: row.get("home"),
    };
    let text = |column| -> Arc<str> { row.get::<&str, _>(column).into() };
    let key = Key {
        kind: kind_of(row),
        id: text("id"),
        store: text("store"),
        device: text("device"),
    };
    (key, state)
}
