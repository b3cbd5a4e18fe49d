//! Stores commands with one delivery for each of their shops.

use comptoir_core::event::DeviceId;
use comptoir_core::sale::Currency;
use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use serde::Serialize;
use sqlx::{PgConnection, PgPool, Row as _};

use super::content::{NewCommand, Target};
use crate::access::Caller;
use crate::database::within;

/// Most unsent commands of a shop. A shop whose topic cannot be written must not fill the database.
const MAX_UNSENT: i64 = 1_000;

/// Why a command was not stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the office has not heard of the shop {0}")]
    UnknownShop(String),
    #[error("the office has not heard of any shop")]
    NoShops,
    #[error("{MAX_UNSENT} commands to {0} are not in Kafka yet")]
    TooManyUnsent(String),
    /// The author has used the idempotency key for another command.
    #[error("another command was sent with this key")]
    KeyReused,
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// A stored command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredCommand {
    pub id: i64,
    /// Whether this request has stored it, and not an earlier one with the same idempotency key.
    pub is_new: bool,
}

/// Stores a command. After this returns, it will be sent. `key`: the author's idempotency key.
///
/// # Errors
/// See [`StoreError`].
pub async fn store(
    pool: &PgPool,
    author: &Caller,
    key: Option<&str>,
    command: &NewCommand,
) -> Result<StoredCommand, StoreError> {
    let stored = async { Ok(store_now(pool, author, key, command).await) };
    within(stored).await?
}

async fn store_now(
    pool: &PgPool,
    author: &Caller,
    key: Option<&str>,
    command: &NewCommand,
) -> Result<StoredCommand, StoreError> {
    let mut transaction = pool.begin().await?;
    let connection = &mut *transaction;
    let id: Option<i64> = sqlx::query_scalar(
        "INSERT INTO command (author, target, kind, value, idempotency_key, author_identity) \
         VALUES ($1, $2, $3, $4::json, $5, $6) \
         ON CONFLICT (author_identity, idempotency_key) DO NOTHING RETURNING id",
    )
    .bind(&*author.name)
    .bind(command.target.to_string())
    .bind(command.kind)
    .bind(&command.value)
    .bind(key)
    .bind(author.identity())
    .fetch_optional(&mut *connection)
    .await?;
    let Some(id) = id else {
        return earlier(connection, author, key, command).await;
    };
    let stores = stores_of(connection, &command.target).await?;
    refuse_if_full(connection, &stores).await?;
    sqlx::query("INSERT INTO command_stream (store) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING")
        .bind(&stores)
        .execute(&mut *connection)
        .await?;
    sqlx::query("INSERT INTO command_delivery (command, store) SELECT $1, unnest($2::text[])")
        .bind(id)
        .bind(&stores)
        .execute(&mut *connection)
        .await?;
    transaction.commit().await?;
    Ok(StoredCommand { id, is_new: true })
}

/// The command that was stored with the same key.
async fn earlier(
    connection: &mut PgConnection,
    author: &Caller,
    key: Option<&str>,
    command: &NewCommand,
) -> Result<StoredCommand, StoreError> {
    let row = sqlx::query(
        "SELECT id, target = $3 AND value::text = $4 AS is_same FROM command \
         WHERE author_identity = $1 AND idempotency_key = $2",
    )
    .bind(author.identity())
    .bind(key)
    .bind(command.target.to_string())
    .bind(&command.value)
    .fetch_one(connection)
    .await?;
    match row.try_get("is_same")? {
        true => Ok(StoredCommand {
            id: row.try_get("id")?,
            is_new: false,
        }),
        false => Err(StoreError::KeyReused),
    }
}

/// The shops of a target, in a fixed order, to prevent deadlocks.
async fn stores_of(connection: &mut PgConnection, target: &Target) -> Result<Vec<String>, StoreError> {
    let store = target.store();
    let stores: Vec<String> =
        sqlx::query_scalar("SELECT store FROM shop WHERE $1::text IS NULL OR store = $1 ORDER BY store")
            .bind(store)
            .fetch_all(connection)
            .await?;
    match (stores.is_empty(), store) {
        (true, Some(store)) => Err(StoreError::UnknownShop(store.to_owned())),
        (true, None) => Err(StoreError::NoShops),
        (false, _) => Ok(stores),
    }
}

async fn refuse_if_full(connection: &mut PgConnection, stores: &[String]) -> Result<(), StoreError> {
    let full: Option<String> = sqlx::query_scalar(
        "SELECT store FROM command_delivery WHERE sent IS NULL AND store = ANY($1) \
         GROUP BY store HAVING count(*) >= $2 ORDER BY store LIMIT 1",
    )
    .bind(stores)
    .bind(MAX_UNSENT)
    .fetch_optional(connection)
    .await?;
    full.map_or(Ok(()), |store| Err(StoreError::TooManyUnsent(store)))
}

/// The tills of a shop, from the newest state of its gateway. Tills of other shops on the same gateway are left out.
///
/// # Errors
/// PostgreSQL does not reply.
pub async fn tills_of(pool: &PgPool, store: &str) -> Result<Vec<String>, sqlx::Error> {
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT device->>'device' AS name FROM shop, json_array_elements(state->'devices') AS device \
         WHERE store = $1 ORDER BY name",
    )
    .bind(store)
    .fetch_all(pool)
    .await?;
    let tills = names.into_iter();
    Ok(tills.filter(|till| DeviceId::new(store, till).is_ok()).collect())
}

/// What a command says, in short.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct CommandSummary {
    pub id: i64,
    /// Who sent it.
    pub author: String,
    pub created: Timestamp,
    /// `*` for all shops, `paris-1` or `paris-1/till-3`.
    pub to: String,
    /// `message`, `price_list` or `order_status`.
    pub kind: String,
    /// Of a message.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub text: Option<String>,
    /// Number of prices.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub prices: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional, as = "Option<String>"))]
    pub currency: Option<Currency>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub order_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub status: Option<String>,
}

/// The columns of [`CommandSummary`], of the table `command`.
pub(super) const SUMMARY: &str = "id, author, created, target, kind, value->>'text' AS text, value->>'currency' AS currency, \
     json_array_length(value->'prices') AS prices, value->>'order_id' AS order_id, value->>'status' AS status";

impl CommandSummary {
    pub(super) fn read(row: &sqlx::postgres::PgRow) -> Result<Self, sqlx::Error> {
        let created: SqlTimestamp = row.try_get("created")?;
        let currency: Option<String> = row.try_get("currency")?;
        Ok(Self {
            id: row.try_get("id")?,
            author: row.try_get("author")?,
            created: created.to_jiff(),
            to: row.try_get("target")?,
            kind: row.try_get("kind")?,
            text: row.try_get("text")?,
            prices: row.try_get("prices")?,
            // It was checked before it was stored.
            currency: currency.and_then(|code| code.parse().ok()),
            order_id: row.try_get("order_id")?,
            status: row.try_get("status")?,
        })
    }
}
