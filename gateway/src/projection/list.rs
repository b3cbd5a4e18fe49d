//! Pages of orders, payments and deliveries, newest first.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::authority::Correction;
use super::recent::{KEPT, KEPT_BYTES};
use super::row::Source;
use super::store::read_correction;
use super::{Key, Projection, ProjectionError, Request, kind_code, kind_of};
use comptoir_core::event::Kind;
use comptoir_core::record::PartitionOffset;
use comptoir_core::sale::Currency;
use comptoir_core::sale::draft::{Draft, from_json};
use comptoir_core::sale::ownership::with_status;
use comptoir_journal::sqlite::Readers;
use comptoir_journal::{Entry, Journal, Offset};

/// The newest state of one order, payment or delivery.
#[derive(Debug, Clone)]
pub struct SaleState {
    event: Event,
    /// The row number. Rows are numbered in the order in which sales were first seen; later states keep the number.
    pub row: Option<u64>,
    /// The place in Kafka, once the event is confirmed.
    pub place: Option<PartitionOffset>,
    /// Number of changes by other devices that were rejected, at least in part.
    pub corrections: u32,
    /// The sale's JSON, if it differs from the event's because another device sent the event.
    pub shown: Option<Arc<str>>,
}

/// The event that produced the state.
#[derive(Debug, Clone)]
enum Event {
    Own(Arc<Entry>),
    Foreign { name: Box<str>, payload: Box<str> },
}

impl SaleState {
    /// The state after an event of this gateway's journal.
    pub fn own(entry: Arc<Entry>) -> Self {
        Self {
            event: Event::Own(entry),
            row: None,
            place: None,
            corrections: 0,
            shown: None,
        }
    }

    /// The state after an event of another gateway, read from Kafka.
    pub fn foreign(name: Box<str>, payload: Box<str>, partition: i32, offset: i64) -> Self {
        Self {
            event: Event::Foreign { name, payload },
            row: None,
            place: Some(PartitionOffset { partition, offset }),
            corrections: 0,
            shown: None,
        }
    }

    /// The JSON, as described in `docs/interfaces/topics.md`.
    pub fn payload(&self) -> &str {
        if let Some(shown) = &self.shown {
            return shown;
        }
        match &self.event {
            Event::Own(entry) => entry.payload.json(),
            Event::Foreign { payload, .. } => payload,
        }
    }

    /// The name of the event, its `ce_id` in Kafka.
    pub fn name(&self) -> String {
        match &self.event {
            Event::Own(entry) => entry.name.to_string(),
            Event::Foreign { name, .. } => name.to_string(),
        }
    }

    /// The offset in the journal, if the event is this gateway's.
    pub fn entry(&self) -> Option<Offset> {
        match &self.event {
            Event::Own(entry) => Some(entry.offset),
            Event::Foreign { .. } => None,
        }
    }
}

/// A page of a list.
#[derive(Debug, Clone, Default)]
pub struct Page {
    pub items: Vec<SaleState>,
    /// The next page begins before this row. `None` on the last page.
    pub next: Option<u64>,
}

/// The result of looking up an order, a payment or a delivery.
#[derive(Debug)]
pub enum Lookup {
    Unknown,
    /// The sale existed, but its state is no longer kept.
    Pruned,
    Found(SaleState),
}

/// The result of looking up an order with its payments and deliveries.
#[derive(Debug)]
pub enum OrderHistory {
    /// Empty if the order is unknown.
    Found {
        sales: Vec<(Kind, SaleState)>,
        /// Oldest first.
        corrections: Vec<Correction>,
    },
    /// The caller named no store, and these stores have an order with this id.
    Ambiguous(Vec<String>),
}

/// A row of [`COLUMNS`], before its event is read from the journal.
struct SaleRow {
    kind: Kind,
    seq: u64,
    entry: Option<Offset>,
    name: Option<String>,
    payload: Option<String>,
    place: Option<PartitionOffset>,
    corrections: u32,
    /// The status that another device has set.
    moved: Option<String>,
}

const COLUMNS: &str =
    "SELECT kind, seq, sale.entry, name, payload, corrections, CASE moved WHEN 1 THEN status END AS moved,
     coalesce(sale.partition, place.partition) AS partition, coalesce(sale.offset, place.offset) AS offset
     FROM sale LEFT JOIN place ON place.entry = sale.entry";

/// Selects the rows that can be shown: those whose entry the journal still has, and the newest from Kafka. The others
/// are kept only to recognise later events of the same sale. Bind [`first`].
const SHOWABLE: &str = "(sale.payload IS NOT NULL OR sale.entry >= ?)";

/// Selects the sales of this shop.
const HOME: &str = "home = 1";

/// The shop whose sales are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShopFilter<'a> {
    /// This shop: the sales in this gateway's journal, whatever store they name, and those of earlier journals of its
    /// store.
    Home,
    /// Another store, whose sales were read from Kafka.
    Other(&'a str),
}

/// The journal's first entry.
fn first(journal: &Journal) -> i64 {
    journal.state().first.0 as i64
}

/// Most bytes of the JSON in a page; a page of typical orders has a fifth. A page always has at least one item, however
/// large.
const PAGE_BYTES: usize = 1 << 20;

impl Projection {
    /// At most `limit` sales, newest first. With `before` (the previous page's [`Page::next`]), only rows before that.
    /// If sales are large the page has fewer and a next page follows.
    ///
    /// # Errors
    ///
    /// The projection has ended, or its file or the journal could not be read.
    pub async fn list(
        &self,
        kind: Kind,
        shop: ShopFilter<'_>,
        status: Option<&str>,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Page, ProjectionError> {
        let limit = limit as usize;
        if shop == ShopFilter::Home && status.is_none() && before.is_none() && limit <= KEPT {
            return Ok(self.recent(|recent| {
                let mut rows = recent.kept(kind).peekable();
                let mut page: Vec<(u64, &SaleState)> = Vec::new();
                let mut budget = Budget::new(PAGE_BYTES);
                while page.len() < limit
                    && let Some(row) = rows.next_if(|(_, item)| budget.take(item.payload().len()))
                {
                    page.push(row);
                }
                let more = rows.next().is_some() || recent.has_older(kind);
                Page {
                    next: page.last().map(|(seq, _)| *seq).filter(|_| more),
                    items: page.into_iter().map(|(_, item)| item.clone()).collect(),
                }
            }));
        }
        self.flush().await?;
        let filter = if status.is_some() { "AND status = ?" } else { "" };
        let of_shop = match shop {
            ShopFilter::Home => HOME,
            ShopFilter::Other(_) => "home = 0 AND sale.store = ?",
        };
        let sql = format!(
            "{COLUMNS} WHERE kind = ? AND seq < ? AND {SHOWABLE} AND {of_shop} {filter} ORDER BY seq DESC LIMIT ?"
        );
        let before = before.map_or(i64::MAX, |before| i64::try_from(before).unwrap_or(i64::MAX));
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(kind_code(kind))
            .bind(before)
            .bind(first(&self.journal));
        if let ShopFilter::Other(store) = shop {
            query = query.bind(store);
        }
        if let Some(status) = status {
            query = query.bind(status);
        }
        // One more than requested, to detect whether there is a next page.
        let mut rows = self.fetch_all(query.bind(limit as i64 + 1)).await?;
        let found = rows.len();
        rows.truncate(limit);
        truncate_to(&mut rows, PAGE_BYTES, &self.journal).await?;
        let more = rows.len() < found;
        let last = rows.last().map(|row| row.get::<i64, _>("seq") as u64);
        let rows = listed(&self.journal, &rows).await?;
        Ok(Page {
            items: rows.into_iter().map(|(_, _, item)| item).collect(),
            next: last.filter(|_| more),
        })
    }

    /// The newest state of a sale, including everything that is in the journal at the time of the call.
    ///
    /// # Errors
    ///
    /// The projection has ended, or its file or the journal could not be read.
    pub async fn find(&self, key: Key) -> Result<Lookup, ProjectionError> {
        self.wait_until_folded(self.journal.state().last).await;
        let Some(row) = self.ask(|reply| Request::Find(key, reply)).await?? else {
            return Ok(Lookup::Unknown);
        };
        let mut here = match row.source {
            Source::Entry(offset) => self.journal.entry(offset).await?.map(SaleState::own),
            // Only the newest rows keep their JSON.
            Source::Kafka { payload, .. } if payload.is_empty() => None,
            Source::Kafka {
                name,
                payload,
                partition,
                offset,
            } => Some(SaleState::foreign(name, payload, partition, offset)),
        };
        if let Some(item) = here.as_mut().filter(|_| row.is_moved) {
            item.shown = with_status(item.payload(), &row.status);
        }
        Ok(here.map_or(Lookup::Pruned, Lookup::Found))
    }

    /// The devices of a store that have a payment with this id, including everything that is in the journal at the time
    /// of the call.
    ///
    /// # Errors
    ///
    /// The projection has ended, or its file could not be read.
    pub async fn devices_of(&self, payment_id: &str, store: &str) -> Result<Vec<Arc<str>>, ProjectionError> {
        self.wait_until_folded(self.journal.state().last).await;
        let (payment_id, store) = (payment_id.into(), store.into());
        self.ask(|reply| Request::DevicesOf {
            payment_id,
            store,
            reply,
        })
        .await?
    }

    /// An order of `store` with its payments and deliveries, in the order in which they were first seen. Without
    /// `store`, looks in `home` first, then in the other stores, if only one has an order with this id.
    ///
    /// # Errors
    ///
    /// The projection has ended, or its file or the journal could not be read.
    pub async fn order_history(
        &self,
        order_id: &str,
        store: Option<&str>,
        home: &str,
    ) -> Result<OrderHistory, ProjectionError> {
        self.flush().await?;
        let found = self.history_in(order_id, store.unwrap_or(home)).await?;
        if !found.is_empty() || store.is_some() {
            return self
                .with_corrections(order_id, store.unwrap_or(home), found)
                .await;
        }
        match self.stores_of(order_id).await?.as_slice() {
            [] => self.with_corrections(order_id, home, Vec::new()).await,
            [only] => {
                let found = self.history_in(order_id, only).await?;
                self.with_corrections(order_id, only, found).await
            }
            several => Ok(OrderHistory::Ambiguous(several.to_vec())),
        }
    }

    async fn with_corrections(
        &self,
        order_id: &str,
        store: &str,
        sales: Vec<(Kind, SaleState)>,
    ) -> Result<OrderHistory, ProjectionError> {
        /// Most corrections returned, newest first; only people read them.
        const MAX_ROWS: i64 = 100;
        let query = sqlx::query(
            "SELECT * FROM (SELECT * FROM correction WHERE order_id = ? AND store = ? ORDER BY entry DESC LIMIT ?)
             ORDER BY entry",
        )
        .bind(order_id)
        .bind(store)
        .bind(MAX_ROWS);
        let rows = self.fetch_all(query).await?;
        Ok(OrderHistory::Found {
            sales,
            corrections: rows.iter().map(read_correction).collect(),
        })
    }

    async fn history_in(
        &self,
        order_id: &str,
        store: &str,
    ) -> Result<Vec<(Kind, SaleState)>, ProjectionError> {
        /// Most payments and deliveries of an order; only people read them.
        const MAX_ROWS: i64 = 500;
        let sql = format!(
            "SELECT * FROM ({COLUMNS} WHERE kind = ? AND id = ? AND store = ? AND {SHOWABLE})
             UNION ALL
             SELECT * FROM ({COLUMNS} WHERE order_id = ? AND store = ? AND {SHOWABLE} ORDER BY seq LIMIT ?)"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(kind_code(Kind::Order))
            .bind(order_id)
            .bind(store)
            .bind(first(&self.journal))
            .bind(order_id)
            .bind(store)
            .bind(first(&self.journal))
            .bind(MAX_ROWS);
        let mut rows = self.fetch_all(query).await?;
        truncate_to(&mut rows, PAGE_BYTES, &self.journal).await?;
        let rows = listed(&self.journal, &rows).await?;
        Ok(rows.into_iter().map(|(kind, _, item)| (kind, item)).collect())
    }

    /// The stores that have an order with this id, or a payment or delivery for one.
    async fn stores_of(&self, order_id: &str) -> Result<Vec<String>, ProjectionError> {
        /// Most stores returned, enough to choose from.
        const MAX_STORES: i64 = 10;
        let sql = format!(
            "SELECT DISTINCT store FROM (
                 SELECT store FROM sale WHERE kind = ? AND id = ? AND {SHOWABLE}
                 UNION SELECT store FROM sale WHERE order_id = ? AND {SHOWABLE})
             ORDER BY store LIMIT ?"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(kind_code(Kind::Order))
            .bind(order_id)
            .bind(first(&self.journal))
            .bind(order_id)
            .bind(first(&self.journal))
            .bind(MAX_STORES);
        let rows = self.readers.fetch_all(query).await?;
        Ok(rows.iter().map(|row| row.get("store")).collect())
    }
}

/// Reads the newest rows of a kind from the file, newest first: one more than [`RecentSales`](super::RecentSales)
/// keeps, if they exist and are not large. Also returns whether there are older rows.
pub(super) async fn newest(
    readers: &Readers,
    journal: &Journal,
    kind: Kind,
) -> Result<(Vec<(u64, SaleState)>, bool), ProjectionError> {
    let sql = format!("{COLUMNS} WHERE kind = ? AND {SHOWABLE} AND {HOME} ORDER BY seq DESC LIMIT ?");
    let query = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(kind_code(kind))
        .bind(first(journal))
        .bind(KEPT as i64 + 1);
    let mut rows = readers.fetch_all(query).await?;
    let found = rows.len();
    truncate_to(&mut rows, KEPT_BYTES, journal).await?;
    let has_more = rows.len() < found;
    let rows = listed(journal, &rows).await?;
    Ok((
        rows.into_iter().map(|(_, seq, item)| (seq, item)).collect(),
        has_more,
    ))
}

/// A budget of bytes.
struct Budget {
    left: usize,
    is_untouched: bool,
}

impl Budget {
    fn new(bytes: usize) -> Self {
        Self {
            left: bytes,
            is_untouched: true,
        }
    }

    /// Takes the bytes of an item. False if too few are left, except for the first item.
    fn take(&mut self, bytes: usize) -> bool {
        let is_first = std::mem::take(&mut self.is_untouched);
        let is_within = bytes <= self.left;
        self.left = self.left.saturating_sub(bytes);
        is_within || is_first
    }
}

/// Drops the last rows if the JSON of all rows is larger than `bytes`, before reading any of it from the journal.
async fn truncate_to(
    rows: &mut Vec<SqliteRow>,
    bytes: usize,
    journal: &Journal,
) -> Result<(), ProjectionError> {
    let entries: Vec<Option<Offset>> = rows.iter().map(entry_of).collect();
    let own: Vec<Offset> = entries.iter().flatten().copied().collect();
    let sizes = journal.payload_sizes(&own).await?;
    let mut budget = Budget::new(bytes);
    let size = |(row, entry): (&SqliteRow, &Option<Offset>)| match entry {
        Some(entry) => sizes.get(entry).copied().unwrap_or(0),
        None => row.get::<Option<&str>, _>("payload").map_or(0, str::len),
    };
    let count = rows
        .iter()
        .zip(&entries)
        .map(size)
        .take_while(|size| budget.take(*size))
        .count();
    rows.truncate(count);
    Ok(())
}

/// The journal offset from the column `entry`.
fn entry_of(row: &SqliteRow) -> Option<Offset> {
    row.get::<Option<i64>, _>("entry")
        .map(|entry| Offset(entry as u64))
}

/// Adds the events to rows of [`COLUMNS`]. Omits rows whose entry has just been pruned.
async fn listed(
    journal: &Journal,
    rows: &[SqliteRow],
) -> Result<Vec<(Kind, u64, SaleState)>, ProjectionError> {
    let found: Vec<SaleRow> = rows
        .iter()
        .map(|row| SaleRow {
            kind: kind_of(row),
            seq: row.get::<i64, _>("seq") as u64,
            entry: entry_of(row),
            name: row.get("name"),
            payload: row.get("payload"),
            place: place_of(row),
            corrections: row.get("corrections"),
            moved: row.get("moved"),
        })
        .collect();
    let wanted: Vec<Offset> = found.iter().filter_map(|row| row.entry).collect();
    let entries = journal.entries(&wanted).await?;
    Ok(found
        .into_iter()
        .filter_map(|row| with_event(row, &entries))
        .collect())
}

/// The place in Kafka from the columns `partition` and `offset`.
pub(super) fn place_of(row: &SqliteRow) -> Option<PartitionOffset> {
    Some(PartitionOffset {
        partition: row.get::<Option<i32>, _>("partition")?,
        offset: row.get::<Option<i64>, _>("offset")?,
    })
}

/// Whether a page can show this JSON from another gateway.
fn is_sale(kind: Kind, payload: &str) -> bool {
    let draft = from_json::<Draft>(payload.as_bytes());
    draft.is_ok_and(|draft| {
        let is_complete = draft.timestamp.is_some() && draft.store.is_some() && draft.currency.is_some();
        is_complete && draft.complete(kind, Currency::EUR).is_ok()
    })
}

fn with_event(row: SaleRow, entries: &HashMap<Offset, Arc<Entry>>) -> Option<(Kind, u64, SaleState)> {
    let event = match row.entry {
        Some(offset) => Event::Own(entries.get(&offset)?.clone()),
        None => {
            let payload = row.payload?;
            // Earlier versions of the gateway stored every record that they read, valid or not.
            is_sale(row.kind, &payload).then_some(())?;
            Event::Foreign {
                name: row.name?.into(),
                payload: payload.into(),
            }
        }
    };
    let mut item = SaleState {
        event,
        row: Some(row.seq),
        place: row.place,
        corrections: row.corrections,
        shown: None,
    };
    item.shown = row.moved.and_then(|status| with_status(item.payload(), &status));
    Some((row.kind, row.seq, item))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_that_an_earlier_version_stored_is_shown_only_if_it_is_a_sale() {
        let whole = r#"{"payment_id":"p","order_id":"o","amount":9.00,"currency":"EUR","method":"Cash","status":"SUCCESS","timestamp":"2026-11-22T10:00:00Z","store":"lyon-2","device":"till-1"}"#;
        assert!(is_sale(Kind::Payment, whole));
        for json in [
            "",
            "{}",
            r#"{"payment_id":"x","status":"SUCCESS","amount":9}"#,
            &whole.replace("2026-11-22T10:00:00Z", "yesterday"),
            &whole.replace(r#""currency":"EUR","#, ""),
        ] {
            assert!(!is_sale(Kind::Payment, json), "{json}");
        }
    }

    #[test]
    fn a_page_ends_at_its_byte_budget_and_has_at_least_one_item() {
        let taken = |sizes: &[usize]| {
            let mut budget = Budget::new(100);
            sizes.iter().take_while(|size| budget.take(**size)).count()
        };
        assert_eq!(taken(&[40, 60, 1]), 2);
        assert_eq!(taken(&[500, 1]), 1);
        assert_eq!(taken(&[1, 500, 1]), 1);
        assert_eq!(taken(&[0, 0, 0]), 3);
    }
}
