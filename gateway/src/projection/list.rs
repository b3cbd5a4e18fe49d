//! Pages of orders, payments and deliveries, newest first.

use std::sync::Arc;

use sqlx::Row as _;

use super::recent::{KEPT, KEPT_BYTES};
use super::row::Source;
use super::sale_rows::{Budget, COLUMNS, HOME, PAGE_BYTES, SHOWABLE, first, listed, truncate_to};
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
