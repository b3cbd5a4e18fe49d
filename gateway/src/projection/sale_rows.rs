//! Rows of sales from the projection's file, completed with their events from the journal.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::sale_state::{Event, SaleState};
use super::{ProjectionError, kind_of};
use comptoir_core::event::Kind;
use comptoir_core::record::PartitionOffset;
use comptoir_core::sale::Currency;
use comptoir_core::sale::draft::{Draft, from_json};
use comptoir_core::sale::ownership::with_status;
use comptoir_journal::{Entry, Journal, Offset};

/// A row of [`select_from`], before its event is read from the journal.
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

/// The beginning of a query for rows of the table `sale`, which may name the index to use.
pub(super) fn select_from(sale: &str) -> String {
    format!(
        "SELECT kind, seq, time, sale.entry, name, payload, corrections, CASE moved WHEN 1 THEN status END AS moved,
         coalesce(sale.partition, place.partition) AS partition, coalesce(sale.offset, place.offset) AS offset
         FROM {sale} LEFT JOIN place ON place.entry = sale.entry"
    )
}

/// Selects the rows that can be shown: those whose entry the journal still has, and the newest from Kafka. The others
/// are kept only to recognise later events of the same sale. Bind [`first`].
pub(super) const SHOWABLE: &str = "(sale.payload IS NOT NULL OR sale.entry >= ?)";

/// Selects the sales of this shop.
pub(super) const HOME: &str = "home = 1";

/// The journal's first entry.
pub(super) fn first(journal: &Journal) -> i64 {
    journal.state().first.0 as i64
}

/// Most bytes of the JSON in a page; a page of typical orders has a fifth. A page always has at least one item, however
/// large.
pub(super) const PAGE_BYTES: usize = 1 << 20;

/// A budget of bytes.
pub(super) struct Budget {
    left: usize,
    is_untouched: bool,
}

impl Budget {
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            left: bytes,
            is_untouched: true,
        }
    }

    /// Takes the bytes of an item. False if too few are left, except for the first item.
    pub(super) fn take(&mut self, bytes: usize) -> bool {
        let is_first = std::mem::take(&mut self.is_untouched);
        let is_within = bytes <= self.left;
        self.left = self.left.saturating_sub(bytes);
        is_within || is_first
    }
}

/// Drops the last rows if the JSON of all rows is larger than `bytes`, before reading any of it from the journal.
pub(super) async fn truncate_to(
    rows: &mut Vec<SqliteRow>,
    bytes: usize,
    journal: &Journal,
) -> Result<(), ProjectionError> {
    let count = leading(rows, rows.len(), bytes, journal).await?;
    rows.truncate(count);
    Ok(())
}

/// The number of leading rows, at most `limit`, whose JSON has at most `bytes` together. At least one, however large it is.
pub(super) async fn leading(
    rows: &[SqliteRow],
    limit: usize,
    bytes: usize,
    journal: &Journal,
) -> Result<usize, ProjectionError> {
    let rows = &rows[..rows.len().min(limit)];
    let entries: Vec<Option<Offset>> = rows.iter().map(entry_of).collect();
    let own: Vec<Offset> = entries.iter().flatten().copied().collect();
    let sizes = journal.payload_sizes(&own).await?;
    let mut budget = Budget::new(bytes);
    let size = |(row, entry): (&SqliteRow, &Option<Offset>)| match entry {
        Some(entry) => sizes.get(entry).copied().unwrap_or(0),
        None => row.get::<Option<&str>, _>("payload").map_or(0, str::len),
    };
    Ok(rows
        .iter()
        .zip(&entries)
        .map(size)
        .take_while(|size| budget.take(*size))
        .count())
}

/// The journal offset from the column `entry`.
fn entry_of(row: &SqliteRow) -> Option<Offset> {
    row.get::<Option<i64>, _>("entry")
        .map(|entry| Offset(entry as u64))
}

/// Adds the events to rows of [`select_from`]. Omits rows whose entry has just been pruned.
pub(super) async fn listed(
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
