//! Pages of orders, payments and deliveries, newest first.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::Row as _;

use super::{Projection, ProjectionError, kind_code};
use crate::event::Kind;
use crate::journal::{Entry, Offset};

/// One order, payment or delivery in its newest state.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The JSON of the contract's section 3.
    pub payload: Box<str>,
    /// `ce_id` of the event that brought the state.
    pub name: String,
    /// This gateway stored it; otherwise it came from Kafka.
    pub own: bool,
    /// In the journal, if it is ours.
    pub entry: Option<Offset>,
    pub partition: Option<i32>,
    pub offset: Option<i64>,
}

/// A page, and where the next one begins.
#[derive(Debug, Clone, Default)]
pub struct Page {
    pub items: Vec<Listed>,
    pub next: Option<u64>,
}

struct Found {
    seq: u64,
    entry: Option<Offset>,
    name: Option<String>,
    payload: Option<String>,
    partition: Option<i32>,
    offset: Option<i64>,
}

impl Projection {
    /// Those first seen before `before` (a page's `next`), newest first, at most `limit`.
    pub async fn list(
        &self,
        kind: Kind,
        status: Option<&str>,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Page, ProjectionError> {
        self.flushed().await?;
        const COLUMNS: &str = "SELECT seq, sale.entry, name, payload,
             coalesce(sale.partition, place.partition), coalesce(sale.offset, place.offset)
             FROM sale LEFT JOIN place ON place.entry = sale.entry
             WHERE kind = ? AND seq < ?";
        let filter = if status.is_some() { "AND status = ?" } else { "" };
        let sql = format!("{COLUMNS} {filter} ORDER BY seq DESC LIMIT ?");
        let before = before.map_or(i64::MAX, |before| i64::try_from(before).unwrap_or(i64::MAX));
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(kind_code(kind))
            .bind(before);
        if let Some(status) = status {
            query = query.bind(status);
        }
        let found: Vec<Found> = query
            .bind(limit)
            .fetch_all(&self.readers)
            .await?
            .into_iter()
            .map(|row| Found {
                seq: row.get::<i64, _>(0) as u64,
                entry: row.get::<Option<i64>, _>(1).map(|entry| Offset(entry as u64)),
                name: row.get(2),
                payload: row.get(3),
                partition: row.get(4),
                offset: row.get(5),
            })
            .collect();
        let next = (found.len() == limit as usize)
            .then(|| found.last().map(|row| row.seq))
            .flatten();
        let wanted: Vec<Offset> = found.iter().filter_map(|row| row.entry).collect();
        let entries = self.journal.entries(&wanted).await?;
        // An entry that was pruned a moment ago has no row to show any more.
        let items = found
            .into_iter()
            .filter_map(|row| listed(row, &entries))
            .collect();
        Ok(Page { items, next })
    }
}

fn listed(row: Found, entries: &HashMap<Offset, Arc<Entry>>) -> Option<Listed> {
    let (payload, name, own) = match row.entry {
        Some(offset) => {
            let entry = entries.get(&offset)?;
            let payload = std::str::from_utf8(&entry.payload).ok()?;
            (payload.into(), entry.name.to_string(), true)
        }
        None => (row.payload?.into(), row.name?, false),
    };
    Some(Listed {
        payload,
        name,
        own,
        entry: row.entry,
        partition: row.partition,
        offset: row.offset,
    })
}
