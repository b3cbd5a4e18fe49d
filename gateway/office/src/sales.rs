//! The sales of all shops and years: as JSON, page by page, and as CSV, in constant memory.

mod csv;
mod query;

use std::collections::BTreeMap;

use comptoir_core::event::Kind;
use comptoir_core::sale::personal::with_hidden_fields;
use comptoir_core::sale::{Currency, Money};
use futures::StreamExt as _;
use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row as _};

pub use self::csv::csv;
use self::query::Cursor;
pub use self::query::{Filter, MAX_LIMIT, QueryError, SalesQuery};
use crate::fold::kind_name;

/// A page ends once its values have this many bytes. One value may have 512 KiB.
const MAX_PAGE: usize = 4 << 20;

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
        last = Some(Cursor::after(&row)?);
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
            false => with_hidden_fields(value.get()),
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
