//! The shops: when they last sold something, and the newest state of each gateway.

use std::collections::{BTreeMap, HashMap};

use comptoir_core::command::HandledCommands;
use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx as _};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};

use crate::commands::receipts::note_handed_over;
use crate::record::{EventRecord, StateRecord};

/// How far a gateway's clock may be ahead of Kafka's.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);

/// How new a gateway's stored state is: its own time, and the largest time of a state that was ahead of Kafka's clock.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct StateTimes {
    state: Option<Timestamp>,
    future: Option<Timestamp>,
}

/// Locks the rows of the shops that a batch changes, in a fixed order, to prevent deadlocks between replicas.
pub(super) async fn lock_shops(
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
pub(super) async fn note_sales(
    connection: &mut PgConnection,
    fresh: &[&EventRecord],
) -> Result<(), sqlx::Error> {
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
pub(super) async fn keep_states(
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
