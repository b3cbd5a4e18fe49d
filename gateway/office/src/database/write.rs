//! Writes one batch of records and the positions after it in one transaction.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use comptoir_core::command::HandledCommands;
use comptoir_core::event::Kind;
use comptoir_core::sale::Currency;
use comptoir_kafka::{Position, TopicPartition};
use futures::TryStreamExt as _;
use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx as _};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Row as _};

use super::figures::FigureChanges;
use super::retention::lock_limit;
use crate::commands::receipts::note_handed_over;
use crate::fold::{Sale, SaleKey, fold, key_of, kind_name};
use crate::record::{ApartRecord, CheckedRecord, EventRecord, Reason, StateRecord};

/// Timeout of one batch.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Most bytes of stored sales that one transaction loads. A single sale may have half a megabyte.
const MAX_LOADED: usize = 32 << 20;
/// Most records that one transaction keeps apart; further ones are only counted. Anyone who may write to a topic can
/// send many.
const MAX_APART: usize = 100;
/// How far a gateway's clock may be ahead of Kafka's.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);

/// Why a batch was not written. None of it was.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Another replica has read this partition in the meantime.
    #[error("another replica has read {0:?} since")]
    Overtaken(TopicPartition),
    /// PostgreSQL rejects these values, and always will.
    #[error("PostgreSQL cannot store a record: {0}")]
    Unstorable(sqlx::Error),
    /// The sales that the records change do not fit into the memory for one transaction.
    #[error("the sales that the records change have more than {MAX_LOADED} bytes")]
    TooLarge,
    #[error("PostgreSQL has not replied for {} s", TIMEOUT.as_secs())]
    TimedOut,
    #[error(transparent)]
    Database(sqlx::Error),
}

impl From<sqlx::Error> for WriteError {
    fn from(error: sqlx::Error) -> Self {
        // The error classes that depend only on the values: data exception, integrity constraint violation, program
        // limit exceeded.
        const OF_VALUES: [&str; 3] = ["22", "23", "54"];
        let code = error.as_database_error().and_then(|error| error.code());
        match code {
            Some(code) if OF_VALUES.iter().any(|class| code.starts_with(class)) => Self::Unstorable(error),
            _ => Self::Database(error),
        }
    }
}

/// The changes made by a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// Number of new events.
    pub events: usize,
    /// Number of events that were already stored.
    pub repeated: usize,
    /// Number of events of a time whose sales the retention has deleted.
    pub expired: usize,
    pub states: usize,
    pub apart: BTreeMap<Reason, usize>,
}

/// The position of a partition before and after the batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advance {
    /// `None` if the partition was never read.
    pub from: Option<i64>,
    pub to: Position,
    /// When Kafka appended the last record.
    pub as_of: Timestamp,
}

/// Writes the records and advances the positions atomically. The records of a partition are in order.
///
/// # Errors
/// See [`WriteError`]. If PostgreSQL does not reply in time, everything may have been written.
pub async fn write(
    pool: &PgPool,
    records: &[CheckedRecord],
    positions: &BTreeMap<TopicPartition, Advance>,
) -> Result<Written, WriteError> {
    // A server that has vanished never replies, so a timeout is needed.
    let write = write_batch(pool, records, positions);
    tokio::time::timeout(TIMEOUT, write)
        .await
        .unwrap_or(Err(WriteError::TimedOut))
}

async fn write_batch(
    pool: &PgPool,
    records: &[CheckedRecord],
    positions: &BTreeMap<TopicPartition, Advance>,
) -> Result<Written, WriteError> {
    let mut transaction = pool.begin().await?;
    let connection = &mut *transaction;
    // First, so that a replica that was overtaken does no further work.
    for (partition, advance) in positions {
        advance_position(connection, partition, advance).await?;
    }
    let (mut events, mut states, mut apart) = (Vec::new(), Vec::new(), Vec::new());
    for record in records {
        match record {
            CheckedRecord::Event(event) => events.push(&**event),
            CheckedRecord::State(state) => states.push(state),
            CheckedRecord::Apart(record) => apart.push(record),
        }
    }
    let expired = remove_expired(connection, &mut events).await?;
    let fresh = insert_events(connection, &events).await?;
    let mut written = Written {
        events: fresh.len(),
        repeated: events.len() - fresh.len(),
        expired,
        states: states.len(),
        ..Written::default()
    };
    let changes = fold_sales(connection, &fresh).await?;
    let known = lock_shops(connection, &fresh, &states).await?;
    changes.store(connection).await?;
    note_sales(connection, &fresh).await?;
    keep_states(connection, states, known).await?;
    for record in &apart {
        *written.apart.entry(record.reason).or_default() += 1;
    }
    apart.truncate(MAX_APART);
    keep_apart(connection, &apart).await?;
    transaction.commit().await?;
    Ok(written)
}

async fn advance_position(
    connection: &mut PgConnection,
    (topic, partition): &TopicPartition,
    advance: &Advance,
) -> Result<(), WriteError> {
    let query = match advance.from {
        Some(_) => sqlx::query(
            "UPDATE position SET next = $3, topic_id = coalesce($5, topic_id), as_of = greatest(as_of, $6) \
             WHERE topic = $1 AND partition = $2 AND next = $4",
        ),
        None => sqlx::query(
            "INSERT INTO position (topic, partition, next, topic_id, as_of) SELECT $1, $2, $3, $5, $6 WHERE $4::bigint IS NULL \
             ON CONFLICT DO NOTHING",
        ),
    };
    let changed = query
        .bind(topic)
        .bind(partition)
        .bind(advance.to.next)
        .bind(advance.from)
        .bind(advance.to.topic_id.map(|id| id.to_bytes().to_vec()))
        .bind(advance.as_of.to_sqlx())
        .execute(connection)
        .await?;
    match changed.rows_affected() {
        1 => Ok(()),
        _ => Err(WriteError::Overtaken((topic.clone(), *partition))),
    }
}

/// Removes the events whose copies may have been deleted: they would count again. Returns how many there were.
async fn remove_expired(
    connection: &mut PgConnection,
    events: &mut Vec<&EventRecord>,
) -> Result<usize, sqlx::Error> {
    let count = events.len();
    if count > 0
        && let Some(limit) = lock_limit(connection).await?
    {
        events.retain(|event| event.time >= limit);
    }
    Ok(count - events.len())
}

type EventKey = (String, String, i64, i64, i64);

fn event_key(event: &EventRecord) -> EventKey {
    let name = &event.name;
    let (store, device) = (name.device.store().to_owned(), name.device.device().to_owned());
    let (epoch, seq) = (i64::from(name.epoch), i64::from(name.seq));
    (store, device, epoch, seq, event.time.as_millisecond())
}

/// Inserts the events. Returns the new ones, in order.
async fn insert_events<'a>(
    connection: &mut PgConnection,
    events: &[&'a EventRecord],
) -> Result<Vec<&'a EventRecord>, sqlx::Error> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let column = |of: fn(&EventRecord) -> String| events.iter().map(|event| of(event)).collect::<Vec<_>>();
    let rows = sqlx::query(
        "INSERT INTO event (store, device, epoch, seq, time, kind, id, partition, record_offset, value) \
         SELECT store, device, epoch, seq, time, kind, id, partition, record_offset, value::json FROM unnest(\
         $1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::timestamptz[], $6::text[], $7::text[], $8::int[], \
         $9::bigint[], $10::text[]) \
         AS new (store, device, epoch, seq, time, kind, id, partition, record_offset, value) \
         ON CONFLICT DO NOTHING \
         RETURNING store, device, epoch, seq, time",
    )
    .bind(column(|event| event.name.device.store().to_owned()))
    .bind(column(|event| event.name.device.device().to_owned()))
    .bind(events.iter().map(|event| i64::from(event.name.epoch)).collect::<Vec<_>>())
    .bind(events.iter().map(|event| i64::from(event.name.seq)).collect::<Vec<_>>())
    .bind(events.iter().map(|event| event.time.to_sqlx()).collect::<Vec<_>>())
    .bind(column(|event| kind_name(event.kind).to_owned()))
    .bind(column(|event| event.id.clone()))
    .bind(events.iter().map(|event| event.place.partition).collect::<Vec<_>>())
    .bind(events.iter().map(|event| event.place.offset).collect::<Vec<_>>())
    .bind(column(|event| event.value.clone()))
    .fetch_all(connection)
    .await?;
    let mut inserted = BTreeSet::new();
    for row in &rows {
        let time: SqlTimestamp = row.try_get("time")?;
        let key: EventKey = (
            row.try_get("store")?,
            row.try_get("device")?,
            row.try_get("epoch")?,
            row.try_get("seq")?,
            time.to_jiff().as_millisecond(),
        );
        inserted.insert(key);
    }
    // If an event is in the batch twice, the first one counts.
    let fresh = events.iter().filter(|event| inserted.remove(&event_key(event)));
    Ok(fresh.copied().collect())
}

/// Folds the events into the sales. Returns how this changes the figures.
async fn fold_sales(
    connection: &mut PgConnection,
    events: &[&EventRecord],
) -> Result<FigureChanges, WriteError> {
    let mut figures = FigureChanges::default();
    if events.is_empty() {
        return Ok(figures);
    }
    // All replicas use the same order, to prevent deadlocks.
    let keys: BTreeSet<SaleKey> = events.iter().map(|event| key_of(event)).collect();
    let mut sales = load_sales(connection, &keys).await?;
    for (key, sale) in &sales {
        figures.count(key, sale, -1);
    }
    for event in events {
        let key = key_of(event);
        let sale = fold(sales.remove(&key), event);
        sales.insert(key, sale);
    }
    for (key, sale) in &sales {
        figures.count(key, sale, 1);
    }
    let mut changed: Vec<(SaleKey, Sale)> = sales.into_iter().collect();
    changed.sort_by(|(a, _), (b, _)| a.cmp(b));
    let column = |of: fn(&SaleKey, &Sale) -> String| {
        changed
            .iter()
            .map(|(key, sale)| of(key, sale))
            .collect::<Vec<_>>()
    };
    sqlx::query(
        "INSERT INTO sale (store, kind, device, id, creator, order_id, status, time, amount, currency, corrections, value, \
         creator_epoch, creator_seq) \
         SELECT store, kind, device, id, creator, order_id, status, time, amount, currency, corrections, value::json, \
         creator_epoch, creator_seq FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], \
         $7::text[], $8::timestamptz[], $9::bigint[], $10::text[], $11::int[], $12::text[], $13::bigint[], $14::bigint[]) \
         AS new (store, kind, device, id, creator, order_id, status, time, amount, currency, corrections, value, \
         creator_epoch, creator_seq) \
         ON CONFLICT (store, kind, device, id) DO UPDATE SET creator = excluded.creator, order_id = excluded.order_id, \
         status = excluded.status, time = excluded.time, amount = excluded.amount, currency = excluded.currency, \
         corrections = excluded.corrections, value = excluded.value, creator_epoch = excluded.creator_epoch, \
         creator_seq = excluded.creator_seq",
    )
    .bind(column(|key, _| key.store.clone()))
    .bind(column(|key, _| kind_name(key.kind).to_owned()))
    .bind(column(|key, _| key.device.clone()))
    .bind(column(|key, _| key.id.clone()))
    .bind(column(|_, sale| sale.creator.clone()))
    .bind(column(|_, sale| sale.order_id.clone()))
    .bind(column(|_, sale| sale.status.clone()))
    .bind(changed.iter().map(|(_, sale)| sale.time.to_sqlx()).collect::<Vec<_>>())
    .bind(changed.iter().map(|(_, sale)| sale.amount.map(|(minor, _)| minor)).collect::<Vec<_>>())
    .bind(
        changed
            .iter()
            .map(|(_, sale)| sale.amount.map(|(_, currency)| currency.code()))
            .collect::<Vec<_>>(),
    )
    .bind(changed.iter().map(|(_, sale)| sale.corrections).collect::<Vec<_>>())
    .bind(column(|_, sale| sale.value.clone()))
    .bind(changed.iter().map(|(_, sale)| i64::from(sale.newest.0)).collect::<Vec<_>>())
    .bind(changed.iter().map(|(_, sale)| i64::from(sale.newest.1)).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(figures)
}

async fn load_sales(
    connection: &mut PgConnection,
    keys: &BTreeSet<SaleKey>,
) -> Result<HashMap<SaleKey, Sale>, WriteError> {
    let column = |of: fn(&SaleKey) -> &str| keys.iter().map(of).collect::<Vec<_>>();
    let mut rows = sqlx::query(
        "SELECT store, kind, device, id, creator, order_id, status, time, amount, currency, corrections, \
         creator_epoch, creator_seq, value::text AS value FROM sale JOIN unnest($1::text[], $2::text[], $3::text[], $4::text[]) \
         AS wanted (store, kind, device, id) USING (store, kind, device, id) \
         ORDER BY store, kind, device, id FOR UPDATE OF sale",
    )
    .bind(column(|key| &key.store))
    .bind(column(|key| kind_name(key.kind)))
    .bind(column(|key| &key.device))
    .bind(column(|key| &key.id))
    .fetch(connection);
    let (mut sales, mut bytes) = (HashMap::new(), 0);
    while let Some(row) = rows.try_next().await? {
        let (key, sale) = read_sale(&row)?;
        bytes += sale.value.len();
        if bytes > MAX_LOADED {
            return Err(WriteError::TooLarge);
        }
        sales.insert(key, sale);
    }
    Ok(sales)
}

fn read_sale(row: &PgRow) -> Result<(SaleKey, Sale), sqlx::Error> {
    let kind: String = row.try_get("kind")?;
    let invalid = |column: &str, value: &str| sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: format!("{value:?} is not a {column}").into(),
    };
    let kind = Kind::ALL
        .into_iter()
        .find(|known| kind_name(*known) == kind)
        .ok_or_else(|| invalid("kind", &kind))?;
    let currency: Option<String> = row.try_get("currency")?;
    let currency: Option<Currency> = match currency {
        Some(code) => Some(code.parse().map_err(|_| invalid("currency", &code))?),
        None => None,
    };
    let time: SqlTimestamp = row.try_get("time")?;
    let key = SaleKey {
        store: row.try_get("store")?,
        kind,
        device: row.try_get("device")?,
        id: row.try_get("id")?,
    };
    let sale = Sale {
        creator: row.try_get("creator")?,
        newest: (
            number(row.try_get("creator_epoch")?),
            number(row.try_get("creator_seq")?),
        ),
        order_id: row.try_get("order_id")?,
        status: row.try_get("status")?,
        time: time.to_jiff(),
        amount: row.try_get::<Option<i64>, _>("amount")?.zip(currency),
        corrections: row.try_get("corrections")?,
        value: row.try_get("value")?,
    };
    Ok((key, sale))
}

/// An epoch or a number that was stored from a `u32`.
fn number(stored: i64) -> u32 {
    u32::try_from(stored).unwrap_or_default()
}

/// How new a gateway's stored state is: its own time, and the largest time of a state that was ahead of Kafka's clock.
#[derive(Debug, Clone, Copy, Default)]
struct StateTimes {
    state: Option<Timestamp>,
    future: Option<Timestamp>,
}

/// Locks the rows of the shops that a batch changes, in a fixed order, to prevent deadlocks between replicas.
async fn lock_shops(
    connection: &mut PgConnection,
    events: &[&EventRecord],
    states: &[&StateRecord],
) -> Result<HashMap<String, StateTimes>, sqlx::Error> {
    let mut stores: Vec<&str> = events.iter().map(|event| event.name.device.store()).collect();
    stores.extend(states.iter().map(|state| &*state.store));
    let rows = sqlx::query(
        "SELECT store, state_time, future_time FROM shop WHERE store = ANY($1) ORDER BY store FOR UPDATE",
    )
    .bind(stores)
    .fetch_all(connection)
    .await?;
    let time = |row: &PgRow, column: &str| {
        let time: Option<SqlTimestamp> = row.try_get(column)?;
        Ok::<_, sqlx::Error>(time.map(SqlTimestamp::to_jiff))
    };
    let read = |row: &PgRow| {
        let times = StateTimes {
            state: time(row, "state_time")?,
            future: time(row, "future_time")?,
        };
        Ok((row.try_get("store")?, times))
    };
    rows.iter().map(read).collect()
}

/// Records when the shops last sold something. Only new events count, because anyone can write a copy of a signed
/// record.
async fn note_sales(connection: &mut PgConnection, fresh: &[&EventRecord]) -> Result<(), sqlx::Error> {
    let mut sold: BTreeMap<&str, Timestamp> = BTreeMap::new();
    for event in fresh {
        let appended = event.place.appended;
        let newest = sold.entry(event.name.device.store()).or_insert(appended);
        *newest = appended.max(*newest);
    }
    let (stores, times): (Vec<&str>, Vec<SqlTimestamp>) = sold
        .into_iter()
        .map(|(store, time)| (store, time.to_sqlx()))
        .unzip();
    sqlx::query(
        "INSERT INTO shop (store, heard, sold) SELECT store, at, at FROM unnest($1::text[], $2::timestamptz[]) \
         AS new (store, at) ORDER BY store ON CONFLICT (store) DO UPDATE SET \
         heard = greatest(shop.heard, excluded.heard), sold = greatest(shop.sold, excluded.sold)",
    )
    .bind(stores)
    .bind(times)
    .execute(connection)
    .await?;
    Ok(())
}

/// The newest state of a gateway in a batch.
struct NewestState<'a> {
    record: &'a StateRecord,
    times: StateTimes,
    heard: Timestamp,
}

/// Keeps the newest state of each gateway, by the state's own time, so that a rewritten old record changes nothing. A
/// time in the future, from a gateway with a wrong clock, counts as the time at which Kafka appended the state;
/// otherwise no later state would count once the clock is right. Such a state counts only once; otherwise it could be
/// written again until its time has come. `known` is the stored state.
async fn keep_states(
    connection: &mut PgConnection,
    mut states: Vec<&StateRecord>,
    known: HashMap<String, StateTimes>,
) -> Result<(), sqlx::Error> {
    states.sort_by(|a, b| (&a.store, a.place.offset).cmp(&(&b.store, b.place.offset)));
    let mut newest: BTreeMap<&str, NewestState<'_>> = BTreeMap::new();
    for record in states {
        let appended = record.place.appended;
        let is_ahead = record.time.duration_since(appended) > AHEAD;
        let (time, future) = (record.time.min(appended), is_ahead.then_some(record.time));
        let before = newest.get(&*record.store);
        let times = before.map_or_else(
            || known.get(&record.store).copied().unwrap_or_default(),
            |before| before.times,
        );
        // `None` is before every time.
        if Some(time) <= times.state || (is_ahead && future <= times.future) {
            continue;
        }
        let times = StateTimes {
            state: Some(time),
            future: future.max(times.future),
        };
        let heard = before.map_or(appended, |before| appended.max(before.heard));
        newest.insert(&record.store, NewestState { record, times, heard });
    }
    if newest.is_empty() {
        return Ok(());
    }
    let newest: Vec<NewestState<'_>> = newest.into_values().collect();
    let column = |of: fn(&NewestState<'_>) -> Option<Timestamp>| {
        newest
            .iter()
            .map(|state| of(state).map(|time| time.to_sqlx()))
            .collect::<Vec<_>>()
    };
    let commands = |of: fn(HandledCommands) -> u32| {
        newest
            .iter()
            .map(|state| {
                state
                    .record
                    .handled_commands
                    .map(|handled| i64::from(of(handled)))
            })
            .collect::<Vec<_>>()
    };
    sqlx::query(
        "INSERT INTO shop (store, heard, state, state_time, future_time, reports_commands, commands_epoch, commands_first, \
         commands_last) SELECT store, heard, state::json, state_time, future_time, reports, epoch, first, last \
         FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::boolean[], \
         $7::bigint[], $8::bigint[], $9::bigint[]) \
         AS new (store, heard, state, state_time, future_time, reports, epoch, first, last) ORDER BY store \
         ON CONFLICT (store) DO UPDATE SET heard = greatest(shop.heard, excluded.heard), state = excluded.state, \
         state_time = excluded.state_time, future_time = greatest(shop.future_time, excluded.future_time), \
         reports_commands = excluded.reports_commands, commands_epoch = excluded.commands_epoch, \
         commands_first = excluded.commands_first, commands_last = excluded.commands_last \
         WHERE excluded.state_time > coalesce(shop.state_time, '-infinity')",
    )
    .bind(newest.iter().map(|state| &*state.record.store).collect::<Vec<_>>())
    .bind(column(|state| Some(state.heard)))
    .bind(newest.iter().map(|state| &*state.record.value).collect::<Vec<_>>())
    .bind(column(|state| state.times.state))
    .bind(column(|state| state.times.future))
    .bind(newest.iter().map(|state| state.record.reports_commands).collect::<Vec<_>>())
    .bind(commands(|handled| handled.epoch))
    .bind(commands(|handled| handled.first))
    .bind(commands(|handled| handled.last))
    .execute(&mut *connection)
    .await?;
    let confirmed = newest
        .iter()
        .filter_map(|state| Some((state.record, state.record.handled_commands?)));
    note_handed_over(connection, &confirmed.collect::<Vec<_>>()).await
}

async fn keep_apart(connection: &mut PgConnection, apart: &[&ApartRecord]) -> Result<(), sqlx::Error> {
    if apart.is_empty() {
        return Ok(());
    }
    let texts = |of: fn(&ApartRecord) -> &str| apart.iter().map(|record| of(record)).collect::<Vec<_>>();
    let bytes = |of: fn(&ApartRecord) -> &[u8]| apart.iter().map(|record| of(record)).collect::<Vec<_>>();
    let times: Vec<SqlTimestamp> = apart
        .iter()
        .map(|record| record.place.appended.to_sqlx())
        .collect();
    sqlx::query(
        "INSERT INTO kept_apart (topic, partition, record_offset, appended, reason, name, key, value) \
         SELECT * FROM unnest($1::text[], $2::int[], $3::bigint[], $4::timestamptz[], $5::text[], $6::text[], \
         $7::bytea[], $8::bytea[]) ON CONFLICT DO NOTHING",
    )
    .bind(texts(|record| &record.place.topic))
    .bind(apart.iter().map(|record| record.place.partition).collect::<Vec<_>>())
    .bind(apart.iter().map(|record| record.place.offset).collect::<Vec<_>>())
    .bind(times)
    .bind(texts(|record| record.reason.as_str()))
    .bind(texts(|record| &record.name))
    .bind(bytes(|record| &record.key))
    .bind(bytes(|record| &record.value))
    .execute(&mut *connection)
    .await?;
    Ok(())
}
