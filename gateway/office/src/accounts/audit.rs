//! The table `audit`: who signed in or changed accounts, from where. Entries are only added.

use comptoir_identity::{Act, ActorKind};
use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use serde_json::Value;
use sqlx::types::Json;
use sqlx::{PgConnection, Row as _};

use super::error::damaged;
use super::{Accounts, AccountsError};
use crate::database::within;

/// Most entries of one page.
pub const MAX_ENTRIES: u32 = 500;

/// An entry of the table.
#[derive(Debug, Clone)]
pub struct AuditEntry {
    pub id: i64,
    pub at: Timestamp,
    pub actor: String,
    pub actor_kind: ActorKind,
    pub address: Option<String>,
    /// As in `user-added`.
    pub action: String,
    pub subject: Option<String>,
    pub before: Option<Value>,
    pub after: Option<Value>,
}

/// Adds an entry in the transaction of the change that it describes.
pub(super) async fn record(connection: &mut PgConnection, act: &Act) -> Result<(), sqlx::Error> {
    let query = sqlx::query(
        "INSERT INTO audit (actor, actor_kind, address, action, subject, before, after) VALUES ($1, $2, $3, $4, $5, $6, $7)",
    );
    let query = query
        .bind(&act.actor)
        .bind(act.actor_kind.name())
        .bind(act.address.map(|address| address.to_canonical().to_string()))
        .bind(act.action.name())
        .bind(&act.subject)
        .bind(act.before.as_ref().map(Json))
        .bind(act.after.as_ref().map(Json));
    query.execute(connection).await.map(drop)
}

impl Accounts {
    /// Adds an entry.
    ///
    /// # Errors
    /// PostgreSQL does not reply.
    pub async fn record(&self, act: &Act) -> Result<(), AccountsError> {
        let insert = async {
            let mut connection = self.0.pool.acquire().await?;
            record(&mut connection, act).await
        };
        Ok(within(insert).await?)
    }

    /// The newest entries with an id below `before`, newest first.
    ///
    /// # Errors
    /// PostgreSQL does not reply.
    pub async fn entries(&self, before: Option<i64>, limit: u32) -> Result<Vec<AuditEntry>, AccountsError> {
        let query = sqlx::query(
            "SELECT id, at, actor, actor_kind, address, action, subject, before, after FROM audit \
             WHERE id < $1 ORDER BY id DESC LIMIT $2",
        );
        let query = query
            .bind(before.unwrap_or(i64::MAX))
            .bind(i64::from(limit.min(MAX_ENTRIES)));
        let rows = within(query.fetch_all(&self.0.pool)).await?;
        let entries = rows.iter().map(|row| {
            let at: SqlTimestamp = row.try_get("at")?;
            let json = |column| {
                Ok::<_, sqlx::Error>(row.try_get::<Option<Json<Value>>, _>(column)?.map(|json| json.0))
            };
            Ok(AuditEntry {
                id: row.try_get("id")?,
                at: at.to_jiff(),
                actor: row.try_get("actor")?,
                actor_kind: ActorKind::from_name(row.try_get("actor_kind")?)
                    .ok_or_else(|| damaged("kind of actor"))?,
                address: row.try_get("address")?,
                action: row.try_get("action")?,
                subject: row.try_get("subject")?,
                before: json("before")?,
                after: json("after")?,
            })
        });
        Ok(entries.collect::<Result<_, sqlx::Error>>()?)
    }
}
