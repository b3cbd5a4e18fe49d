//! Pages of orders, payments and deliveries, newest first.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{AssertSqlSafe, Row as _, Sqlite};

use super::recent::{KEPT, KEPT_BYTES};
use super::row::Source;
use super::sale_rows::{Budget, HOME, PAGE_BYTES, SHOWABLE, first, listed, select_from, truncate_to};
use super::sale_state::SaleState;
use super::{Key, Projection, ProjectionError, Request, kind_code};
use comptoir_core::event::Kind;
use comptoir_core::sale::ownership::with_status;
use comptoir_journal::Journal;
use comptoir_journal::sqlite::Readers;

/// A page of a list.
#[derive(Debug, Clone, Default)]
pub struct Page {
    pub items: Vec<SaleState>,
    /// The next page begins after this sale. `None` on the last page.
    pub next: Option<Cursor>,
}

/// The last sale of a page. Which of the two it is depends on the filter: [`ListFilter::is_by_time`]. In a list of the
/// other order it selects the same sales, in that list's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cursor {
    /// In a list in the order of the sales' first events.
    Row(u64),
    /// In a list in the order of the newest events.
    Time {
        /// Unix milliseconds.
        time: i64,
        row: u64,
    },
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Row(row) => write!(f, "{row}"),
            Self::Time { time, row } => write!(f, "{time}.{row}"),
        }
    }
}

/// The text is not a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidCursor;

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let digits = |text: &str| {
            let is_number = (1..=18).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| text.parse().ok()).flatten()
        };
        let cursor = match text.split_once('.') {
            None => digits(text).map(Self::Row),
            Some((time, row)) => {
                let (sign, time) = time.strip_prefix('-').map_or((1, time), |time| (-1, time));
                let time = digits(time).map(|time| sign * time as i64);
                time.zip(digits(row)).map(|(time, row)| Self::Time { time, row })
            }
        };
        cursor.ok_or(InvalidCursor)
    }
}

/// Selects the sales of a list.
#[derive(Debug, Clone, Copy)]
pub struct ListFilter<'a> {
    pub shop: ShopFilter<'a>,
    pub status: Option<&'a str>,
    /// The till that recorded the sale, without its store.
    pub device: Option<&'a str>,
    /// Only sales whose newest event is at or after this time, in Unix milliseconds.
    pub from: Option<i64>,
    /// Only sales whose newest event is before this time, in Unix milliseconds.
    pub to: Option<i64>,
    pub order: ListOrder,
}

/// The order of a list with a period or a device, newest first. All other lists are in the order of the sales' first events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListOrder {
    /// By newest event. An index finds the period or the device, but a sale that changes moves to the beginning.
    NewestEvent,
    /// By first event. A change does not move a sale, so all pages together have each sale once. SQLite reads
    /// every sale of the kind.
    FirstEvent,
}

impl ListFilter<'_> {
    /// Whether the list is in the order of the newest events.
    pub fn is_by_time(&self) -> bool {
        self.order == ListOrder::NewestEvent && self.is_narrow()
    }

    /// Whether the list is of a device or a period.
    fn is_narrow(&self) -> bool {
        self.device.is_some() || self.from.is_some() || self.to.is_some()
    }

    /// The cursor after a row of [`select_from`].
    fn cursor_after(&self, row: &SqliteRow) -> Cursor {
        let number = row.get::<i64, _>("seq") as u64;
        match self.is_by_time() {
            true => Cursor::Time {
                time: row.get("time"),
                row: number,
            },
            false => Cursor::Row(number),
        }
    }

    /// The query for a page. Its parameters: kind, the journal's first entry, store, status, device, from, to, cursor,
    /// limit, except those that do not apply.
    pub(super) fn sql(&self, before: Option<Cursor>) -> String {
        let is_by_time = self.is_by_time();
        let sale = match (is_by_time, self.device) {
            (true, Some(_)) => "sale INDEXED BY sale_device",
            (true, None) => "sale INDEXED BY sale_time",
            (false, _) => "sale",
        };
        let mut sql = self.selection(sale, is_by_time);
        sql += match before {
            Some(Cursor::Row(_)) => " AND seq < ?",
            Some(Cursor::Time { .. }) => " AND (time, seq) < (?, ?)",
            None => "",
        };
        sql += match is_by_time {
            true => " ORDER BY time DESC, seq DESC",
            false => " ORDER BY seq DESC",
        };
        sql + " LIMIT ?"
    }

    /// The query for those rows of a list whose numbers are in a JSON array, in the order of the first events. Its
    /// parameters: those of [`ListFilter::sql`], with the array instead of the cursor and the limit.
    pub(super) fn sql_of_rows(&self) -> String {
        self.selection("sale", false) + " AND seq IN (SELECT value FROM json_each(?)) ORDER BY seq DESC"
    }

    /// The query with all values that [`Self::selection`] needs.
    pub(super) fn query(
        &self,
        sql: String,
        kind: Kind,
        journal: &Journal,
    ) -> Query<'static, Sqlite, SqliteArguments> {
        let mut query = sqlx::query(AssertSqlSafe(sql))
            .bind(kind_code(kind))
            .bind(first(journal));
        if let ShopFilter::Other(store) = self.shop {
            query = query.bind(store.to_owned());
        }
        for text in [self.status, self.device].into_iter().flatten() {
            query = query.bind(text.to_owned());
        }
        for time in [self.from, self.to].into_iter().flatten() {
            query = query.bind(time);
        }
        query
    }

    fn selection(&self, sale: &str, is_by_time: bool) -> String {
        let mut sql = format!("{} WHERE kind = ? AND {SHOWABLE}", select_from(sale));
        // The sign keeps SQLite from an index on that column, from which it would have to sort all rows.
        let plain = if is_by_time { "" } else { "+" };
        match self.shop {
            ShopFilter::Home => sql += &format!(" AND {HOME}"),
            ShopFilter::Other(_) => sql += " AND home = 0 AND sale.store = ?",
        }
        if self.status.is_some() {
            sql += " AND status = ?";
        }
        if self.device.is_some() {
            sql += &format!(" AND {plain}coalesce(nullif(device, ''), creator) = ?");
        }
        if self.from.is_some() {
            sql += &format!(" AND {plain}time >= ?");
        }
        if self.to.is_some() {
            sql += &format!(" AND {plain}time < ?");
        }
        sql
    }
}

/// Where the sales of a list come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Everything that is folded.
    Current,
    /// Only what the file has: for the pages of an export, which would otherwise write the file again and again.
    AsWritten,
}

/// The result of looking up an order, a payment or a delivery.
#[derive(Debug)]
pub enum Lookup {
    Unknown,
    /// The sale existed, but its state is no longer kept.
    Pruned,
    Found(SaleState),
}

/// The shop whose sales are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShopFilter<'a> {
    /// This shop: the sales in this gateway's journal, whatever store they name, and those of earlier journals of its
    /// store.
    Home,
    /// Another store, whose sales were read from Kafka.
    Other(&'a str),
}

impl Projection {
    /// At most `limit` sales, newest first. With `before` (the previous page's [`Page::next`]), only those after it.
    /// If sales are large the page has fewer and a next page follows.
    ///
    /// # Errors
    ///
    /// The projection has ended, or its file or the journal could not be read.
    pub async fn list(
        &self,
        kind: Kind,
        filter: ListFilter<'_>,
        before: Option<Cursor>,
        limit: u32,
        freshness: Freshness,
    ) -> Result<Page, ProjectionError> {
        let limit = limit as usize;
        let is_whole = filter.shop == ShopFilter::Home && filter.status.is_none() && !filter.is_narrow();
        let is_current = freshness == Freshness::Current;
        if is_current && is_whole && before.is_none() && limit <= KEPT {
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
                    next: page.last().map(|(seq, _)| Cursor::Row(*seq)).filter(|_| more),
                    items: page.into_iter().map(|(_, item)| item.clone()).collect(),
                }
            }));
        }
        if is_current {
            self.flush().await?;
        }
        let mut query = filter.query(filter.sql(before), kind, &self.journal);
        // A cursor's row fits, because it was parsed or read from the file.
        query = match before {
            Some(Cursor::Row(row)) => query.bind(row as i64),
            Some(Cursor::Time { time, row }) => query.bind(time).bind(row as i64),
            None => query,
        };
        // One more than requested, to detect whether there is a next page.
        let mut rows = self.fetch_all(query.bind(limit as i64 + 1)).await?;
        let found = rows.len();
        rows.truncate(limit);
        truncate_to(&mut rows, PAGE_BYTES, &self.journal).await?;
        let more = rows.len() < found;
        let next = rows.last().map(|row| filter.cursor_after(row)).filter(|_| more);
        let rows = listed(&self.journal, &rows).await?;
        Ok(Page {
            items: rows.into_iter().map(|(_, _, item)| item).collect(),
            next,
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
}

/// Reads the newest rows of a kind from the file, newest first: one more than [`RecentSales`](super::RecentSales)
/// keeps, if they exist and are not large. Also returns whether there are older rows.
pub(super) async fn newest(
    readers: &Readers,
    journal: &Journal,
    kind: Kind,
) -> Result<(Vec<(u64, SaleState)>, bool), ProjectionError> {
    let sql = format!(
        "{} WHERE kind = ? AND {SHOWABLE} AND {HOME} ORDER BY seq DESC LIMIT ?",
        select_from("sale")
    );
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
