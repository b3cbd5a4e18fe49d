//! Opening a file that an older gateway has written.
//!
//! Before layout 2 an order, a payment or a delivery was known by its id alone, whichever store and till it was from:
//! where two tills numbered their receipts alike, rows and totals are wrong. While the journal still has everything that
//! was folded, the file is made anew from it, which corrects them. Otherwise the totals are kept as they are, and the
//! rows are told whose they are, so that it goes on correctly.

use std::path::Path;

use sqlx::Row as _;
use tracing::info;

use super::key::device_of_entry;
use super::store::{LAYOUT, Progress, Store};
use super::{ProjectionError, kind_code};
use crate::event::Kind;
use crate::journal::{Journal, Offset};

/// Rows completed at a time.
const STEP: i64 = 2_048;

/// Opens the file of `journal`; see [`Store::open`]. `home` is the gateway's own store.
///
/// # Errors
///
/// The file or the journal could not be read or written.
pub(super) async fn open(
    path: &Path,
    journal: &Journal,
    home: &str,
) -> Result<(Store, Progress), ProjectionError> {
    let uuid = journal.uuid();
    let (mut store, at) = Store::open(path, &uuid, journal.state().last).await?;
    if at.layout == LAYOUT {
        return Ok((store, at));
    }
    let first = journal.state().first;
    if first.0 <= 1 && !has_foreign(&mut store).await? {
        info!(
            "the dashboard's totals are counted anew from the journal: ids are one within a store, and payments within a till"
        );
        store.close().await?;
        return Ok(Store::begin(path, &uuid).await?);
    }
    complete(&mut store, journal, first, home).await?;
    sqlx::query("UPDATE progress SET layout = ?")
        .bind(LAYOUT)
        .execute(store.connection().await?)
        .await?;
    info!(
        "the dashboard's file was brought to this version; what two tills numbered alike before stays counted as one"
    );
    Ok((store, at))
}

/// Events of other gateways may have left Kafka by now: what was counted of them must not be forgotten.
async fn has_foreign(store: &mut Store) -> Result<bool, sqlx::Error> {
    let foreign: Option<i64> = sqlx::query_scalar("SELECT 1 FROM sale WHERE entry IS NULL LIMIT 1")
        .fetch_optional(store.connection().await?)
        .await?;
    Ok(foreign.is_some())
}

/// Says of the rows of this journal's entries whose they are.
async fn complete(
    store: &mut Store,
    journal: &Journal,
    first: Offset,
    home: &str,
) -> Result<(), ProjectionError> {
    // Entries that are gone cannot say it. Nearly all are of this shop, and the till of a payment matters only for a later
    // state of it.
    sqlx::query("UPDATE sale SET store = ? WHERE entry < ?")
        .bind(home)
        .bind(first.0 as i64)
        .execute(store.connection().await?)
        .await?;
    for kind in Kind::ALL {
        let mut after = 0;
        loop {
            let rows = sqlx::query(
                "SELECT seq, entry FROM sale WHERE kind = ? AND seq > ? AND entry >= ? ORDER BY seq LIMIT ?",
            )
            .bind(kind_code(kind))
            .bind(after)
            .bind(first.0 as i64)
            .bind(STEP)
            .fetch_all(store.connection().await?)
            .await?;
            let Some(last) = rows.last() else { break };
            after = last.get(0);
            let rows: Vec<(i64, Offset)> = rows
                .iter()
                .map(|row| (row.get(0), Offset(row.get::<i64, _>(1) as u64)))
                .collect();
            let offsets: Vec<Offset> = rows.iter().map(|(_, entry)| *entry).collect();
            let entries = journal.entries(&offsets).await?;
            let known = rows.iter().filter_map(|(seq, entry)| {
                let entry = entries.get(entry)?;
                // Older gateways wrote the counter into what it changed.
                Some(serde_json::json!([
                    seq,
                    entry.name.device.store(),
                    device_of_entry(kind, entry)
                ]))
            });
            sqlx::query(
                "UPDATE sale SET store = known.value ->> 1, device = known.value ->> 2
                 FROM json_each(?) known WHERE sale.kind = ? AND sale.seq = known.value ->> 0",
            )
            .bind(serde_json::Value::from_iter(known).to_string())
            .bind(kind_code(kind))
            .execute(store.connection().await?)
            .await?;
        }
    }
    Ok(())
}
