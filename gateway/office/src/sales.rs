//! The sales of all shops and years: as JSON, page by page, and as CSV, in constant memory.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use comptoir_core::event::{DeviceId, Kind};
use comptoir_core::sale::{Currency, Money, is_rfc3339};
use futures::StreamExt as _;
use jiff::Timestamp;
use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx as _};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Postgres, QueryBuilder, Row as _};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tracing::warn;

use crate::access::{Caller, VisibleShops};
use crate::fold::kind_name;
use crate::personal::without_personal_data;

/// Most sales on a page.
pub const MAX_LIMIT: u32 = 500;
const DEFAULT_LIMIT: u32 = 50;
/// A page ends once its values have this many bytes. One value may have 512 KiB.
const MAX_PAGE: usize = 4 << 20;
/// Longest search text, in characters.
const MAX_SEARCH: usize = 128;
/// Chunk size of a CSV file, in bytes, and how many chunks wait for the reader.
const PIECE: usize = 32 << 10;
const PIECES: usize = 4;
/// A reader of a CSV file that reads nothing for this long is considered gone.
const READER_TIMEOUT: Duration = Duration::from_secs(60);

/// The query parameters of `GET /api/sales` and `GET /api/sales.csv`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SalesQuery {
    pub store: Option<String>,
    /// `order`, `payment` or `delivery`.
    pub kind: Option<String>,
    /// Sales at or after this time.
    pub since: Option<Timestamp>,
    /// Sales before this time.
    pub until: Option<Timestamp>,
    /// A prefix of a sale's id or of its order's id.
    pub search: Option<String>,
    pub limit: Option<u32>,
    /// The `next` of the previous page.
    pub after: Option<String>,
}

/// An invalid parameter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct QueryError {
    pub parameter: &'static str,
    /// Names the parameter and what is accepted, with an example.
    text: String,
}

impl QueryError {
    pub fn new(parameter: &'static str, text: String) -> Self {
        Self { parameter, text }
    }
}

/// A sale in its present state.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct SaleItem {
    pub store: String,
    /// `order`, `payment` or `delivery`.
    pub kind: String,
    /// The device that created it.
    pub device: String,
    pub id: String,
    pub order_id: String,
    pub status: String,
    pub time: Timestamp,
    /// An exact decimal number. Deliveries have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional, as = "Option<f64>"))]
    pub amount: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional, as = "Option<String>"))]
    pub currency: Option<Currency>,
    /// Number of changes by other devices that were rejected.
    pub corrections: i32,
    /// Epoch and number of the device's newest event for this sale.
    pub epoch: u32,
    pub number: u32,
    /// The JSON as the gateway wrote it. `customer_email` and `address` are null for a role that does not see personal
    /// data.
    #[cfg_attr(test, ts(type = "unknown"))]
    pub value: Box<RawValue>,
}

/// A page of sales, newest first.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct SalesPage {
    pub items: Vec<SaleItem>,
    /// The value for `after`; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub next: Option<String>,
    /// Where reading continues in Kafka, by kind and partition: the items contain at least all records before.
    pub read: BTreeMap<&'static str, BTreeMap<i32, i64>>,
}

/// The sale after which a page begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Cursor {
    time: Timestamp,
    store: String,
    kind: String,
    device: String,
    id: String,
}

impl Cursor {
    fn encode(&self) -> String {
        // Cannot fail: strings and a time only.
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    fn decode(text: &str) -> Option<Self> {
        let json = URL_SAFE_NO_PAD.decode(text).ok()?;
        let cursor: Self = serde_json::from_slice(&json).ok()?;
        let texts = [&cursor.store, &cursor.kind, &cursor.device, &cursor.id];
        let is_sound = is_rfc3339(cursor.time) && texts.iter().all(|text| !text.contains('\0'));
        is_sound.then_some(cursor)
    }
}

/// A validated query.
#[derive(Debug, Clone)]
pub struct Filter {
    visible: VisibleShops,
    /// Whether the customers' e-mail and other addresses are shown.
    has_personal_data: bool,
    store: Option<String>,
    kind: Option<Kind>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    search: Option<String>,
    limit: u32,
    after: Option<Cursor>,
}

impl SalesQuery {
    /// Validates the query. The filter shows only what the caller may see.
    ///
    /// # Errors
    /// Names the invalid parameter, with an example.
    pub fn check(self, caller: &Caller) -> Result<Filter, QueryError> {
        let wrong = |parameter, text: String| QueryError { parameter, text };
        if let Some(store) = &self.store {
            DeviceId::gateway(store).map_err(|error| wrong("store", error.to_string()))?;
        }
        let named = |name: &String| Kind::ALL.into_iter().find(|kind| kind_name(*kind) == name);
        let kind = match &self.kind {
            Some(name) => {
                let error = || wrong("kind", "kind: one of order, payment and delivery".to_owned());
                Some(named(name).ok_or_else(error)?)
            }
            None => None,
        };
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            let text = format!("limit: from 1 to {MAX_LIMIT}, for example 50");
            return Err(wrong("limit", text));
        }
        let search = self.search.filter(|text| !text.is_empty());
        if search
            .as_ref()
            .is_some_and(|text| text.chars().count() > MAX_SEARCH || text.contains('\0'))
        {
            let text = format!("search: at most {MAX_SEARCH} characters of an id");
            return Err(wrong("search", text));
        }
        for (name, time) in [("since", self.since), ("until", self.until)] {
            if time.is_some_and(|time| !is_rfc3339(time)) {
                let text = format!("{name}: a year from 0000 to 9999, for example 2026-11-30T00:00:00Z");
                return Err(wrong(name, text));
            }
        }
        let after = match &self.after {
            Some(text) => {
                let error = || wrong("after", "after: not the `next` of another page".to_owned());
                Some(Cursor::decode(text).ok_or_else(error)?)
            }
            None => None,
        };
        Ok(Filter {
            visible: caller.shops.clone(),
            has_personal_data: caller.sees_personal_data(),
            store: self.store,
            kind,
            since: self.since,
            until: self.until,
            search,
            limit,
            after,
        })
    }
}

impl Filter {
    /// The rows, newest first. `limit` is `None` for all rows.
    fn query(&self, limit: Option<i64>) -> QueryBuilder<Postgres> {
        let mut query = QueryBuilder::new(
            "SELECT store, kind, device, id, creator, order_id, status, time, amount, currency, corrections, \
             creator_epoch, creator_seq, value::text AS value FROM sale WHERE true",
        );
        if let Some(stores) = self.visible.for_sql() {
            query.push(" AND store = ANY(").push_bind(stores).push(")");
        }
        if let Some(store) = &self.store {
            query.push(" AND store = ").push_bind(store.clone());
        }
        if let Some(kind) = self.kind {
            query.push(" AND kind = ").push_bind(kind_name(kind));
        }
        if let Some(since) = self.since {
            query.push(" AND time >= ").push_bind(since.to_sqlx());
        }
        if let Some(until) = self.until {
            query.push(" AND time < ").push_bind(until.to_sqlx());
        }
        if let Some(search) = &self.search {
            let pattern = format!(
                "{}%",
                search
                    .replace('\\', r"\\")
                    .replace('%', r"\%")
                    .replace('_', r"\_")
            );
            query.push(" AND (id LIKE ").push_bind(pattern.clone());
            query.push(" OR order_id LIKE ").push_bind(pattern).push(")");
        }
        if let Some(after) = &self.after {
            query.push(" AND (time, store, kind, device, id) < (");
            let mut values = query.separated(", ");
            values.push_bind(after.time.to_sqlx());
            for text in [&after.store, &after.kind, &after.device, &after.id] {
                values.push_bind(text.clone());
            }
            query.push(")");
        }
        query.push(" ORDER BY time DESC, store DESC, kind DESC, device DESC, id DESC");
        if let Some(limit) = limit {
            query.push(" LIMIT ").push_bind(limit);
        }
        query
    }
}

/// One page of sales. `prefix`: of all topics.
///
/// # Errors
/// PostgreSQL does not reply.
pub async fn page(pool: &PgPool, prefix: &str, filter: &Filter) -> Result<SalesPage, sqlx::Error> {
    // Before the sales, which then contain at least what was read until there.
    let positions = read_positions(pool, prefix).await?;
    // One more than requested, to detect whether there is another page.
    let mut query = filter.query(Some(i64::from(filter.limit) + 1));
    let mut rows = query.build().fetch(pool);
    let (mut items, mut bytes, mut last) = (Vec::new(), 0, None);
    while let Some(row) = rows.next().await {
        let row = row?;
        if items.len() == filter.limit as usize || bytes >= MAX_PAGE {
            let next = last.as_ref().map(Cursor::encode);
            return Ok(SalesPage {
                items,
                next,
                read: positions,
            });
        }
        let item = read(&row, filter)?;
        bytes += item.value.get().len();
        last = Some(cursor(&row)?);
        items.push(item);
    }
    Ok(SalesPage {
        items,
        next: None,
        read: positions,
    })
}

async fn read_positions(
    pool: &PgPool,
    prefix: &str,
) -> Result<BTreeMap<&'static str, BTreeMap<i32, i64>>, sqlx::Error> {
    let mut read: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    let topics = Kind::ALL.map(|kind| format!("{prefix}{}", kind.topic()));
    let rows: Vec<(String, i32, i64)> =
        sqlx::query_as("SELECT topic, partition, next FROM position WHERE topic = ANY($1)")
            .bind(&topics[..])
            .fetch_all(pool)
            .await?;
    for (topic, partition, next) in rows {
        let kind = topic.strip_prefix(prefix).and_then(Kind::from_topic);
        if let Some(kind) = kind {
            read.entry(kind_name(kind)).or_default().insert(partition, next);
        }
    }
    Ok(read)
}

fn cursor(row: &PgRow) -> Result<Cursor, sqlx::Error> {
    let time: SqlTimestamp = row.try_get("time")?;
    Ok(Cursor {
        time: time.to_jiff(),
        store: row.try_get("store")?,
        kind: row.try_get("kind")?,
        device: row.try_get("device")?,
        id: row.try_get("id")?,
    })
}

fn read(row: &PgRow, filter: &Filter) -> Result<SaleItem, sqlx::Error> {
    let time: SqlTimestamp = row.try_get("time")?;
    let (amount, code): (Option<i64>, Option<String>) = (row.try_get("amount")?, row.try_get("currency")?);
    let currency: Option<Currency> = code.and_then(|code| code.parse().ok());
    let invalid = |error: serde_json::Error| sqlx::Error::ColumnDecode {
        index: "value".to_owned(),
        source: error.into(),
    };
    let value = RawValue::from_string(row.try_get("value")?).map_err(invalid)?;
    Ok(SaleItem {
        store: row.try_get("store")?,
        kind: row.try_get("kind")?,
        device: row.try_get("creator")?,
        id: row.try_get("id")?,
        order_id: row.try_get("order_id")?,
        status: row.try_get("status")?,
        time: time.to_jiff(),
        amount: amount
            .zip(currency)
            .map(|(minor, currency)| Money::sum(minor, currency)),
        currency,
        corrections: row.try_get("corrections")?,
        epoch: unsigned(row, "creator_epoch")?,
        number: unsigned(row, "creator_seq")?,
        value: match filter.has_personal_data {
            true => value,
            false => without_personal_data(&value),
        },
    })
}

/// PostgreSQL has no unsigned integers.
fn unsigned(row: &PgRow, column: &str) -> Result<u32, sqlx::Error> {
    let number: i64 = row.try_get(column)?;
    u32::try_from(number).map_err(|error| sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: error.into(),
    })
}

/// The columns of the CSV file. Those after `corrections` come from the gateway's JSON.
const COLUMNS: [&str; 15] = [
    "store",
    "kind",
    "device",
    "id",
    "order_id",
    "status",
    "time",
    "amount",
    "currency",
    "corrections",
    "method",
    "product",
    "customer_name",
    "customer_email",
    "address",
];

/// The texts from the gateway's JSON that have their own columns.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Texts {
    method: Option<String>,
    product: Option<String>,
    customer_name: Option<String>,
    customer_email: Option<String>,
    address: Option<String>,
}

/// All sales that match the filter, as CSV. If PostgreSQL fails midway, the connection is cut before the end of the
/// file. `permit` is released at the end.
pub fn csv(pool: PgPool, filter: Filter, permit: OwnedSemaphorePermit) -> Body {
    let (pieces, reader) = mpsc::channel::<Result<Bytes, io::Error>>(PIECES);
    tokio::spawn(async move {
        let _permit = permit;
        if let Err(error) = write_csv(&pool, &filter, &pieces).await {
            warn!(%error, "a CSV file was not written to its end");
            // Fails if the reader has gone away.
            let _ = pieces.send_timeout(Err(error), READER_TIMEOUT).await;
        }
    });
    Body::from_stream(futures::stream::unfold(reader, async |mut reader| {
        let piece = reader.recv().await?;
        Some((piece, reader))
    }))
}

async fn write_csv(
    pool: &PgPool,
    filter: &Filter,
    pieces: &mpsc::Sender<Result<Bytes, io::Error>>,
) -> Result<(), io::Error> {
    let mut writer = csv::Writer::from_writer(Vec::with_capacity(PIECE + (PIECE >> 1)));
    writer.write_record(COLUMNS)?;
    let mut transaction = pool.begin().await.map_err(io::Error::other)?;
    // Replaces the limit for other requests. A slower reader would keep rows from being cleaned up for days.
    sqlx::query("SET LOCAL statement_timeout = '30min'")
        .execute(&mut *transaction)
        .await
        .map_err(io::Error::other)?;
    let mut query = filter.query(None);
    let mut rows = query.build().fetch(&mut *transaction);
    while let Some(row) = rows.next().await {
        let item = row.and_then(|row| read(&row, filter)).map_err(io::Error::other)?;
        write_row(&mut writer, &item)?;
        writer.flush()?;
        if writer.get_ref().len() >= PIECE {
            let full = writer
                .into_inner()
                .map_err(|error| io::Error::other(error.to_string()))?;
            send(pieces, full).await?;
            writer = csv::Writer::from_writer(Vec::with_capacity(PIECE + (PIECE >> 1)));
        }
    }
    let rest = writer
        .into_inner()
        .map_err(|error| io::Error::other(error.to_string()))?;
    send(pieces, rest).await
}

async fn send(pieces: &mpsc::Sender<Result<Bytes, io::Error>>, piece: Vec<u8>) -> Result<(), io::Error> {
    let sent = pieces.send_timeout(Ok(piece.into()), READER_TIMEOUT).await;
    sent.map_err(|_| io::Error::other("the reader takes nothing"))
}

fn write_row(writer: &mut csv::Writer<Vec<u8>>, item: &SaleItem) -> Result<(), io::Error> {
    let texts: Texts = serde_json::from_str(item.value.get()).unwrap_or_default();
    let amount = item
        .amount
        .map(|amount| serde_json::to_string(&amount))
        .transpose()?;
    let cells = [
        item.store.clone(),
        item.kind.clone(),
        item.device.clone(),
        cell(&item.id),
        cell(&item.order_id),
        item.status.clone(),
        item.time.to_string(),
        amount.unwrap_or_default(),
        item.currency
            .map(|currency| currency.code().to_owned())
            .unwrap_or_default(),
        item.corrections.to_string(),
        texts.method.unwrap_or_default(),
        cell(&texts.product.unwrap_or_default()),
        cell(&texts.customer_name.unwrap_or_default()),
        cell(&texts.customer_email.unwrap_or_default()),
        cell(&texts.address.unwrap_or_default()),
    ];
    writer.write_record(cells)?;
    Ok(())
}

/// Escapes text that somebody typed, because a spreadsheet would execute one that begins like a formula.
fn cell(text: &str) -> String {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_parameter_is_named() {
        let with = |query: SalesQuery| query.check(&Caller::local()).map(|_| ()).unwrap_err();
        let empty = SalesQuery::default;
        for (query, parameter, words) in [
            (
                SalesQuery {
                    store: Some("Paris".to_owned()),
                    ..empty()
                },
                "store",
                "store",
            ),
            (
                SalesQuery {
                    kind: Some("orders".to_owned()),
                    ..empty()
                },
                "kind",
                "kind: one of",
            ),
            (
                SalesQuery {
                    limit: Some(501),
                    ..empty()
                },
                "limit",
                "limit: from 1 to 500",
            ),
            (
                SalesQuery {
                    after: Some("x".to_owned()),
                    ..empty()
                },
                "after",
                "after: not",
            ),
            (
                SalesQuery {
                    search: Some("o".repeat(129)),
                    ..empty()
                },
                "search",
                "search: at most 128",
            ),
        ] {
            let error = with(query.clone());
            assert_eq!(error.parameter, parameter, "{query:?}");
            assert!(error.to_string().contains(words), "{error}");
        }
        assert!(empty().check(&Caller::local()).is_ok());
    }

    #[test]
    fn a_cursor_survives_the_way_to_the_client_and_back() {
        let cursor = Cursor {
            time: "2026-11-30T10:00:00.5Z".parse().unwrap(),
            store: "paris-1".to_owned(),
            kind: "payment".to_owned(),
            device: "till-1".to_owned(),
            id: "ä/&".to_owned(),
        };
        assert_eq!(Cursor::decode(&cursor.encode()), Some(cursor));
    }

    #[test]
    fn no_cell_is_a_formula() {
        assert_eq!(cell("=1+1"), "'=1+1");
        assert_eq!(cell("Pain"), "Pain");
    }
}
