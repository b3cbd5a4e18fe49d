//! Events and the sales that they change.

use std::collections::{BTreeSet, HashMap};

use comptoir_core::event::Kind;
use comptoir_core::sale::Currency;
use futures::TryStreamExt as _;
use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx as _};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};

use super::WriteError;
use crate::database::figures::FigureChanges;
use crate::database::retention::lock_limit;
use crate::fold::{Sale, SaleKey, fold, key_of, kind_name};
use crate::record::EventRecord;

/// Most bytes of stored sales that one transaction loads. A single sale may have half a megabyte.
pub(super) const MAX_LOADED: usize = 32 << 20;

/// Removes the events whose copies may have been deleted: they would count again. Returns how many there were.
pub(super) async fn remove_expired(
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
pub(super) async fn insert_events<'a>(
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
pub(super) async fn fold_sales(
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
