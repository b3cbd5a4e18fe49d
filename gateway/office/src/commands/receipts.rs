//! The commands with their receipts: which shops have them.

use comptoir_core::command::HandledCommands;
use jiff::Timestamp;
use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx as _};
use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Row as _};

use super::store::{CommandSummary, SUMMARY};
use crate::access::VisibleShops;
use crate::record::StateRecord;

/// The state of each delivery, beside the newest state of its gateway. The states:
///
/// - `waiting`: not in Kafka
/// - `in-kafka`
/// - `handed-over`: the gateway has passed it to its MQTT broker
/// - `missed`: the gateway has continued behind it without it
/// - `unknown`: in Kafka, and the gateway does not say what it has handed over
const DELIVERIES: &str = "WITH delivery AS (SELECT command, store, sent, handed_over, CASE \
     WHEN handed_over IS NOT NULL THEN 'handed-over' WHEN sent IS NULL THEN 'waiting' \
     WHEN reports_commands IS NOT TRUE THEN 'unknown' \
     WHEN commands_epoch = epoch AND seq < commands_first THEN 'missed' ELSE 'in-kafka' END AS state \
     FROM command_delivery LEFT JOIN shop USING (store) WHERE $1::text[] IS NULL OR store = ANY($1))";

/// How many shops are in which state.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ReceiptCounts {
    pub shops: i64,
    pub waiting: i64,
    pub in_kafka: i64,
    pub handed_over: i64,
    pub missed: i64,
    pub unknown: i64,
}

/// A command with the number of its receipts.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct CommandItem {
    #[serde(flatten)]
    #[cfg_attr(test, ts(flatten))]
    pub summary: CommandSummary,
    pub receipts: ReceiptCounts,
}

/// A page of commands, newest first.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct CommandsPage {
    pub items: Vec<CommandItem>,
    /// The value for `after`; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub next: Option<i64>,
}

/// Whether a shop has a command.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Receipt {
    pub store: String,
    /// `waiting`, `in-kafka`, `handed-over`, `missed` or `unknown`.
    pub state: String,
    /// When Kafka had it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub in_kafka: Option<Timestamp>,
    /// When Kafka had the gateway's confirmation.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub handed_over: Option<Timestamp>,
}

/// A command with its content and all receipts.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct CommandDetails {
    #[serde(flatten)]
    #[cfg_attr(test, ts(flatten))]
    pub summary: CommandSummary,
    /// The record's value.
    #[cfg_attr(test, ts(type = "unknown"))]
    pub command: Box<RawValue>,
    /// Those that are not handed over come first.
    pub receipts: Vec<Receipt>,
}

/// A page of the commands to the shops `visible`, those before `after`.
///
/// # Errors
/// PostgreSQL does not reply.
pub async fn page(
    pool: &PgPool,
    visible: &VisibleShops,
    limit: u32,
    after: Option<i64>,
) -> Result<CommandsPage, sqlx::Error> {
    let sql = format!(
        "{DELIVERIES} SELECT {SUMMARY}, counts.* FROM (SELECT * FROM command WHERE id < $2 AND EXISTS \
         (SELECT FROM command_delivery WHERE command = id AND ($1::text[] IS NULL OR store = ANY($1))) \
         ORDER BY id DESC LIMIT $3) AS command, LATERAL (SELECT count(*) AS shops, \
         count(*) FILTER (WHERE state = 'waiting') AS waiting, count(*) FILTER (WHERE state = 'in-kafka') AS in_kafka, \
         count(*) FILTER (WHERE state = 'handed-over') AS handed_over, \
         count(*) FILTER (WHERE state = 'missed') AS missed, count(*) FILTER (WHERE state = 'unknown') AS unknown \
         FROM delivery WHERE command = id) AS counts ORDER BY id DESC"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(visible.for_sql())
        .bind(after.unwrap_or(i64::MAX))
        // One more than requested, to detect whether there is another page.
        .bind(i64::from(limit) + 1)
        .fetch_all(pool)
        .await?;
    let mut items = Vec::new();
    for row in rows.iter().take(limit as usize) {
        let receipts = ReceiptCounts {
            shops: row.try_get("shops")?,
            waiting: row.try_get("waiting")?,
            in_kafka: row.try_get("in_kafka")?,
            handed_over: row.try_get("handed_over")?,
            missed: row.try_get("missed")?,
            unknown: row.try_get("unknown")?,
        };
        let summary = CommandSummary::read(row)?;
        items.push(CommandItem { summary, receipts });
    }
    let has_more = rows.len() > items.len();
    let next = items.last().map(|item| item.summary.id).filter(|_| has_more);
    Ok(CommandsPage { items, next })
}

/// A command with the receipts of the shops `visible`. `None` if there is none, or if it went to none of them.
///
/// # Errors
/// PostgreSQL does not reply.
pub async fn details(
    pool: &PgPool,
    visible: &VisibleShops,
    id: i64,
) -> Result<Option<CommandDetails>, sqlx::Error> {
    let sql = format!(
        "{DELIVERIES} SELECT * FROM delivery WHERE command = $2 ORDER BY state = 'handed-over', store"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(visible.for_sql())
        .bind(id)
        .fetch_all(pool)
        .await?;
    let mut receipts = Vec::new();
    for row in &rows {
        let sent: Option<SqlTimestamp> = row.try_get("sent")?;
        let handed_over: Option<SqlTimestamp> = row.try_get("handed_over")?;
        receipts.push(Receipt {
            store: row.try_get("store")?,
            state: row.try_get("state")?,
            in_kafka: sent.map(SqlTimestamp::to_jiff),
            handed_over: handed_over.map(SqlTimestamp::to_jiff),
        });
    }
    let sql = format!("SELECT {SUMMARY}, value::text AS value FROM command WHERE id = $1");
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(id)
        .fetch_optional(pool)
        .await?;
    let Some(row) = row.filter(|_| !receipts.is_empty()) else {
        return Ok(None);
    };
    let value: String = row.try_get("value")?;
    Ok(Some(CommandDetails {
        summary: CommandSummary::read(&row)?,
        command: RawValue::from_string(value).map_err(|error| sqlx::Error::Decode(error.into()))?,
        receipts,
    }))
}

/// Notes when Kafka had these confirmations of gateways. Later states cannot withdraw them. The rows of the shops are
/// locked.
///
/// # Errors
/// PostgreSQL does not reply.
pub async fn note_handed_over(
    connection: &mut PgConnection,
    confirmed: &[(&StateRecord, HandledCommands)],
) -> Result<(), sqlx::Error> {
    if confirmed.is_empty() {
        return Ok(());
    }
    let numbers = |of: fn(&HandledCommands) -> u32| {
        let numbers = confirmed.iter().map(|(_, handled)| i64::from(of(handled)));
        numbers.collect::<Vec<_>>()
    };
    let appended = confirmed.iter().map(|(state, _)| state.place.appended.to_sqlx());
    sqlx::query(
        "UPDATE command_delivery AS delivery SET handed_over = state.appended FROM \
         unnest($1::text[], $2::timestamptz[], $3::bigint[], $4::bigint[], $5::bigint[]) \
         AS state (store, appended, epoch, first, last) WHERE delivery.store = state.store \
         AND delivery.epoch = state.epoch AND delivery.seq BETWEEN state.first AND state.last \
         AND delivery.handed_over IS NULL",
    )
    .bind(
        confirmed
            .iter()
            .map(|(state, _)| &*state.store)
            .collect::<Vec<_>>(),
    )
    .bind(appended.collect::<Vec<_>>())
    .bind(numbers(|handled| handled.epoch))
    .bind(numbers(|handled| handled.first))
    .bind(numbers(|handled| handled.last))
    .execute(connection)
    .await
    .map(drop)
}
