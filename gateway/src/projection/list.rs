//! Pages of orders, payments and deliveries, newest first.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::fold::Source;
use super::recent::KEPT;
use super::{Key, Projection, ProjectionError, Request, kind_code};
use crate::event::Kind;
use crate::journal::{Entry, Journal, Offset};
use crate::sqlite::Readers;

/// One order, payment or delivery in its newest state.
#[derive(Debug, Clone)]
pub struct Listed {
    event: Event,
    /// Its place in the order in which orders, payments and deliveries were first seen; a later state keeps it.
    pub row: Option<u64>,
    /// Partition and offset in Kafka, once it was read back.
    pub place: Option<(i32, i64)>,
}

/// The event that brought the state.
#[derive(Debug, Clone)]
enum Event {
    Own(Arc<Entry>),
    Foreign { name: Box<str>, payload: Box<str> },
}

impl Listed {
    /// Of this gateway's journal.
    pub fn own(entry: Arc<Entry>) -> Self {
        Self {
            event: Event::Own(entry),
            row: None,
            place: None,
        }
    }

    /// Of another gateway, read from Kafka.
    pub fn foreign(name: Box<str>, payload: Box<str>, partition: i32, offset: i64) -> Self {
        Self {
            event: Event::Foreign { name, payload },
            row: None,
            place: Some((partition, offset)),
        }
    }

    /// The JSON of the contract's section 3.
    pub fn payload(&self) -> &str {
        match &self.event {
            Event::Own(entry) => entry.payload.json(),
            Event::Foreign { payload, .. } => payload,
        }
    }

    /// `ce_id` of the event.
    pub fn name(&self) -> String {
        match &self.event {
            Event::Own(entry) => entry.name.to_string(),
            Event::Foreign { name, .. } => name.to_string(),
        }
    }

    /// Its place in the journal, if it is ours.
    pub fn entry(&self) -> Option<Offset> {
        match &self.event {
            Event::Own(entry) => Some(entry.offset),
            Event::Foreign { .. } => None,
        }
    }
}

/// A page, and where the next one begins.
#[derive(Debug, Clone, Default)]
pub struct Page {
    pub items: Vec<Listed>,
    pub next: Option<u64>,
}

/// What is known of an order, a payment or a delivery.
#[derive(Debug)]
pub enum Known {
    Never,
    /// It was there, and what it was like is no longer kept here.
    Gone,
    Here(Listed),
}

/// An order's life.
#[derive(Debug)]
pub enum Life {
    /// Empty if nothing of it is known.
    Of(Vec<(Kind, Listed)>),
    /// It was not said which store's, and these have one.
    OfSeveral(Vec<String>),
}

struct Found {
    kind: Kind,
    seq: u64,
    entry: Option<Offset>,
    name: Option<String>,
    payload: Option<String>,
    place: Option<(i32, i64)>,
}

const COLUMNS: &str = "SELECT kind, seq, sale.entry, name, payload,
     coalesce(sale.partition, place.partition), coalesce(sale.offset, place.offset)
     FROM sale LEFT JOIN place ON place.entry = sale.entry";

/// Which rows have something to show: those whose entry the journal still has, and the newest from Kafka. The others
/// are kept to be known again. Takes [`first`].
const HERE: &str = "(sale.payload IS NOT NULL OR sale.entry >= ?)";

fn first(journal: &Journal) -> i64 {
    journal.state().first.0 as i64
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
        let limit = limit as usize;
        if status.is_none() && before.is_none() && limit <= KEPT {
            return Ok(self.recent(|recent| {
                let mut rows = recent.kept(kind);
                let page: Vec<_> = rows.by_ref().take(limit).collect();
                let more = rows.next().is_some() || recent.has_older(kind);
                Page {
                    next: page.last().map(|(seq, _)| *seq).filter(|_| more),
                    items: page.into_iter().map(|(_, item)| item.clone()).collect(),
                }
            }));
        }
        self.flushed().await?;
        let filter = if status.is_some() { "AND status = ?" } else { "" };
        let sql =
            format!("{COLUMNS} WHERE kind = ? AND seq < ? AND {HERE} {filter} ORDER BY seq DESC LIMIT ?");
        let before = before.map_or(i64::MAX, |before| i64::try_from(before).unwrap_or(i64::MAX));
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(kind_code(kind))
            .bind(before)
            .bind(first(&self.journal));
        if let Some(status) = status {
            query = query.bind(status);
        }
        // One more than is asked for, to know whether there is a next page.
        let mut rows = self.fetch_all(query.bind(limit as i64 + 1)).await?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().map(|row| row.get::<i64, _>(1) as u64);
        let rows = listed(&self.journal, &rows).await?;
        Ok(Page {
            items: rows.into_iter().map(|(_, _, item)| item).collect(),
            next: last.filter(|_| more),
        })
    }

    /// The newest state of one, with everything that the journal holds by now.
    ///
    /// # Errors
    ///
    /// The projection has ended, or its file or the journal could not be read.
    pub async fn find(&self, key: Key) -> Result<Known, ProjectionError> {
        self.reached(self.journal.state().last).await;
        let here = match self.ask(|reply| Request::Find(key, reply)).await?? {
            None => return Ok(Known::Never),
            Some(Source::Entry(offset)) => self.journal.entry(offset).await?.map(Listed::own),
            // Only of the newest is the JSON kept.
            Some(Source::Kafka { payload, .. }) if payload.is_empty() => None,
            Some(Source::Kafka {
                name,
                payload,
                partition,
                offset,
            }) => Some(Listed::foreign(name, payload, partition, offset)),
        };
        Ok(here.map_or(Known::Gone, Known::Here))
    }

    /// The devices of a store that have a payment of this id, with everything that the journal holds by now.
    ///
    /// # Errors
    ///
    /// The projection has ended, or its file could not be read.
    pub async fn devices_of(&self, payment_id: &str, store: &str) -> Result<Vec<Arc<str>>, ProjectionError> {
        self.reached(self.journal.state().last).await;
        let (payment_id, store) = (payment_id.into(), store.into());
        self.ask(|reply| Request::DevicesOf {
            payment_id,
            store,
            reply,
        })
        .await?
    }

    /// An order of `store` with all that belongs to it, in the order in which they were first seen. Without `store`: of
    /// `home`, or of the only other store that knows one of this id.
    ///
    /// # Errors
    ///
    /// The projection has ended, or its file or the journal could not be read.
    pub async fn life(
        &self,
        order_id: &str,
        store: Option<&str>,
        home: &str,
    ) -> Result<Life, ProjectionError> {
        self.flushed().await?;
        let found = self.life_in(order_id, store.unwrap_or(home)).await?;
        if !found.is_empty() || store.is_some() {
            return Ok(Life::Of(found));
        }
        match self.stores_of(order_id).await?.as_slice() {
            [] => Ok(Life::Of(Vec::new())),
            [only] => Ok(Life::Of(self.life_in(order_id, only).await?)),
            several => Ok(Life::OfSeveral(several.to_vec())),
        }
    }

    async fn life_in(&self, order_id: &str, store: &str) -> Result<Vec<(Kind, Listed)>, ProjectionError> {
        /// Of payments and deliveries of one order; a person looks at them.
        const MOST: i64 = 500;
        let sql = format!(
            "SELECT * FROM ({COLUMNS} WHERE kind = ? AND id = ? AND store = ? AND {HERE})
             UNION ALL
             SELECT * FROM ({COLUMNS} WHERE order_id = ? AND store = ? AND {HERE} ORDER BY seq LIMIT ?)"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(kind_code(Kind::Order))
            .bind(order_id)
            .bind(store)
            .bind(first(&self.journal))
            .bind(order_id)
            .bind(store)
            .bind(first(&self.journal))
            .bind(MOST);
        let rows = self.fetch_all(query).await?;
        let rows = listed(&self.journal, &rows).await?;
        Ok(rows.into_iter().map(|(kind, _, item)| (kind, item)).collect())
    }

    /// The stores that know an order of this id, or something that belongs to one.
    async fn stores_of(&self, order_id: &str) -> Result<Vec<String>, ProjectionError> {
        /// Enough to choose from.
        const MOST: i64 = 10;
        let sql = format!(
            "SELECT DISTINCT store FROM (
                 SELECT store FROM sale WHERE kind = ? AND id = ? AND {HERE}
                 UNION SELECT store FROM sale WHERE order_id = ? AND {HERE})
             ORDER BY store LIMIT ?"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(kind_code(Kind::Order))
            .bind(order_id)
            .bind(first(&self.journal))
            .bind(order_id)
            .bind(first(&self.journal))
            .bind(MOST);
        let rows = self.readers.fetch_all(query).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }
}

/// The newest of a kind, newest first, from the file; one more than are kept, if there are more.
pub(super) async fn newest(
    readers: &Readers,
    journal: &Journal,
    kind: Kind,
) -> Result<Vec<(u64, Listed)>, ProjectionError> {
    let sql = format!("{COLUMNS} WHERE kind = ? AND {HERE} ORDER BY seq DESC LIMIT ?");
    let query = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(kind_code(kind))
        .bind(first(journal))
        .bind(KEPT as i64 + 1);
    let rows = readers.fetch_all(query).await?;
    let rows = listed(journal, &rows).await?;
    Ok(rows.into_iter().map(|(_, seq, item)| (seq, item)).collect())
}

/// Rows of [`COLUMNS`] with their events. An entry that was pruned a moment ago has no row to show any more.
async fn listed(journal: &Journal, rows: &[SqliteRow]) -> Result<Vec<(Kind, u64, Listed)>, ProjectionError> {
    let found: Vec<Found> = rows
        .iter()
        .map(|row| Found {
            kind: Kind::ALL[(row.get::<i64, _>(0) as usize).min(2)],
            seq: row.get::<i64, _>(1) as u64,
            entry: row.get::<Option<i64>, _>(2).map(|entry| Offset(entry as u64)),
            name: row.get(3),
            payload: row.get(4),
            place: row.get::<Option<i32>, _>(5).zip(row.get(6)),
        })
        .collect();
    let wanted: Vec<Offset> = found.iter().filter_map(|row| row.entry).collect();
    let entries = journal.entries(&wanted).await?;
    Ok(found
        .into_iter()
        .filter_map(|row| with_event(row, &entries))
        .collect())
}

fn with_event(row: Found, entries: &HashMap<Offset, Arc<Entry>>) -> Option<(Kind, u64, Listed)> {
    let event = match row.entry {
        Some(offset) => Event::Own(entries.get(&offset)?.clone()),
        None => Event::Foreign {
            name: row.name?.into(),
            payload: row.payload?.into(),
        },
    };
    let item = Listed {
        event,
        row: Some(row.seq),
        place: row.place,
    };
    Some((row.kind, row.seq, item))
}
