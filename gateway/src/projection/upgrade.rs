//! Upgrades a file written by an older gateway.
//!
//! Before layout 2 a row was identified by its id alone, without the store and the till. If two tills used the same
//! receipt numbers, rows and totals are wrong. If the journal still has everything that was folded, the file is rebuilt
//! from it, which corrects them. Otherwise the totals stay as they are, and the rows get their store and till, so that
//! later events are folded correctly.
//!
//! Before layout 3 the sales of other shops, read from Kafka, were listed and counted as this shop's. The upgrade marks
//! them, and moves their amounts to the totals of their shops. Rows that were already swept cannot be moved.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use sqlx::{Connection as _, Row as _};
use tracing::info;

use super::key::device_of_entry;
use super::store::{LAYOUT, Progress, Store};
use super::totals::{FoldContext, SaleCount};
use super::{Home, ProjectionError, kind_code};
use comptoir_core::event::Kind;
use comptoir_core::sale::Money;
use comptoir_journal::{Journal, Offset};

/// Number of rows upgraded at a time.
const STEP: i64 = 2_048;

/// Opens the file of `journal` (see [`Store::open`]) and upgrades it if necessary.
///
/// # Errors
///
/// The file or the journal could not be read or written.
pub(super) async fn open(
    path: &Path,
    journal: &Journal,
    home: &Home,
) -> Result<(Store, Progress), ProjectionError> {
    let uuid = journal.uuid();
    let (mut store, mut progress) = Store::open(path, &uuid, journal.state().last).await?;
    if progress.layout == LAYOUT {
        return Ok((store, progress));
    }
    if progress.layout >= 2 {
        move_other_shops(&mut store, &mut progress, home).await?;
        return Ok((store, progress));
    }
    let first = journal.state().first;
    if first.0 <= 1 && !has_foreign(&mut store).await? {
        info!(
            "the projection is rebuilt from the journal: an id is now unique within its store, and a payment within its till"
        );
        store.close().await?;
        return Ok(Store::begin(path, &uuid).await?);
    }
    add_senders(&mut store, journal, first, &home.store).await?;
    move_other_shops(&mut store, &mut progress, home).await?;
    info!(
        "the projection's file was upgraded; earlier sales that two tills had numbered alike remain counted as one"
    );
    Ok((store, progress))
}

/// Marks the sales of other shops and moves their amounts to the totals of their shops, in one transaction.
async fn move_other_shops(
    store: &mut Store,
    progress: &mut Progress,
    home: &Home,
) -> Result<(), ProjectionError> {
    let context = FoldContext {
        now: Timestamp::now().as_millisecond(),
        currency: home.currency,
    };
    let mut transaction = store.connection().await?.begin_with("BEGIN IMMEDIATE").await?;
    let mut moved = 0_u64;
    for kind in Kind::ALL {
        let mut after = 0;
        loop {
            let rows = sqlx::query(
                "SELECT seq, store, status, time, minor, currency FROM sale
                 WHERE kind = ? AND seq > ? AND entry IS NULL AND store <> ? ORDER BY seq LIMIT ?",
            )
            .bind(kind_code(kind))
            .bind(after)
            .bind(&home.store)
            .bind(STEP)
            .fetch_all(&mut *transaction)
            .await?;
            let Some(last) = rows.last() else { break };
            after = last.get("seq");
            for row in &rows {
                let amount = row
                    .get::<Option<i64>, _>("minor")
                    .zip(row.get::<Option<&str>, _>("currency"))
                    .and_then(|(minor, code)| Money::from_signed(minor, code.parse().ok()?));
                let sale = SaleCount {
                    status: row.get("status"),
                    amount,
                    time: row.get("time"),
                };
                let to = progress.others.change(&row.get::<&str, _>("store").into());
                progress.totals.move_row(to, kind, &sale, context);
            }
            moved += rows.len() as u64;
        }
    }
    sqlx::query("UPDATE sale SET home = 0 WHERE entry IS NULL AND store <> ?")
        .bind(&home.store)
        .execute(&mut *transaction)
        .await?;
    for (shop, totals) in progress.others.changed() {
        sqlx::query("INSERT OR REPLACE INTO shop (store, totals) VALUES (?, ?)")
            .bind(Arc::clone(shop))
            .bind(serde_json::json!(totals).to_string())
            .execute(&mut *transaction)
            .await?;
    }
    sqlx::query("UPDATE progress SET totals = ?, layout = ?")
        .bind(serde_json::json!(progress.totals).to_string())
        .bind(LAYOUT)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    progress.others.mark_flushed();
    if moved > 0 {
        info!(
            moved,
            "the sales of other shops are no longer counted with this shop's"
        );
    }
    Ok(())
}

/// Whether the file has events of other gateways. Kafka may have deleted them since, so a rebuilt file would not count
/// them.
async fn has_foreign(store: &mut Store) -> Result<bool, sqlx::Error> {
    let foreign: Option<i64> = sqlx::query_scalar("SELECT 1 FROM sale WHERE entry IS NULL LIMIT 1")
        .fetch_optional(store.connection().await?)
        .await?;
    Ok(foreign.is_some())
}

/// Adds the store and the till to the rows of this journal's entries.
async fn add_senders(
    store: &mut Store,
    journal: &Journal,
    first: Offset,
    home: &str,
) -> Result<(), ProjectionError> {
    // Unknown for pruned entries. Nearly all are of this shop, and the till of a payment matters only for later states
    // of it.
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
            after = last.get("seq");
            let rows: Vec<(i64, Offset)> = rows
                .iter()
                .map(|row| (row.get("seq"), Offset(row.get::<i64, _>("entry") as u64)))
                .collect();
            let offsets: Vec<Offset> = rows.iter().map(|(_, entry)| *entry).collect();
            let entries = journal.entries(&offsets).await?;
            let known = rows.iter().filter_map(|(seq, entry)| {
                let entry = entries.get(entry)?;
                // Older gateways named the counter in payments that the counter had changed.
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
