//! All sales of a query as a CSV file, written while PostgreSQL reads them.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use comptoir_http_rules::spreadsheet::escape_formulas;
use futures::StreamExt as _;
use serde::Deserialize;
use sqlx::PgPool;
use tokio::sync::mpsc;
use tracing::warn;

use super::{Filter, SaleItem, read};
use crate::http::Export;

/// Size of a chunk of the file, in bytes, and how many chunks wait for the client.
const CHUNK: usize = 32 << 10;
const CHUNKS: usize = 4;
/// A client that reads nothing for this long is considered gone.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// The columns of the CSV file. Those after `corrections` come from the gateway's JSON.
const COLUMNS: [&str; 15] = [
    "store",
    "kind",
    "device",
    "id",
    "order_id",
    "status",
    "time",
    "amount",
    "currency",
    "corrections",
    "method",
    "product",
    "customer_name",
    "customer_email",
    "address",
];

/// The texts from the gateway's JSON that have their own columns.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Texts {
    method: Option<String>,
    product: Option<String>,
    customer_name: Option<String>,
    customer_email: Option<String>,
    address: Option<String>,
}

/// All sales that match the filter, as CSV. If PostgreSQL fails midway, the connection is cut before the end of the
/// file. `place` is free again at the end.
pub fn csv(pool: PgPool, filter: Filter, place: Export) -> Body {
    let (chunks, reader) = mpsc::channel::<Result<Bytes, io::Error>>(CHUNKS);
    tokio::spawn(async move {
        let _place = place;
        if let Err(error) = write_csv(&pool, &filter, &chunks).await {
            warn!(%error, "a CSV file was cut off");
            // Fails if the client has gone.
            let _ = chunks.send_timeout(Err(error), READ_TIMEOUT).await;
        }
    });
    Body::from_stream(futures::stream::unfold(reader, async |mut reader| {
        let chunk = reader.recv().await?;
        Some((chunk, reader))
    }))
}

async fn write_csv(
    pool: &PgPool,
    filter: &Filter,
    chunks: &mpsc::Sender<Result<Bytes, io::Error>>,
) -> Result<(), io::Error> {
    let mut writer = csv::Writer::from_writer(Vec::with_capacity(CHUNK + (CHUNK >> 1)));
    writer.write_record(COLUMNS)?;
    let mut transaction = pool.begin().await.map_err(io::Error::other)?;
    // Replaces the limit for other requests. A slower reader would keep rows from being cleaned up for days.
    sqlx::query("SET LOCAL statement_timeout = '30min'")
        .execute(&mut *transaction)
        .await
        .map_err(io::Error::other)?;
    let mut query = filter.query(None);
    let mut rows = query.build().fetch(&mut *transaction);
    while let Some(row) = rows.next().await {
        let item = row.and_then(|row| read(&row, filter)).map_err(io::Error::other)?;
        write_row(&mut writer, &item)?;
        writer.flush()?;
        if writer.get_ref().len() >= CHUNK {
            let full = writer
                .into_inner()
                .map_err(|error| io::Error::other(error.to_string()))?;
            send(chunks, full).await?;
            writer = csv::Writer::from_writer(Vec::with_capacity(CHUNK + (CHUNK >> 1)));
        }
    }
    let rest = writer
        .into_inner()
        .map_err(|error| io::Error::other(error.to_string()))?;
    send(chunks, rest).await
}

async fn send(chunks: &mpsc::Sender<Result<Bytes, io::Error>>, chunk: Vec<u8>) -> Result<(), io::Error> {
    let sent = chunks.send_timeout(Ok(chunk.into()), READ_TIMEOUT).await;
    sent.map_err(|_| io::Error::other("the client does not read"))
}

fn write_row(writer: &mut csv::Writer<Vec<u8>>, item: &SaleItem) -> Result<(), io::Error> {
    let texts: Texts = serde_json::from_str(item.value.get()).unwrap_or_default();
    let amount = item
        .amount
        .map(|amount| serde_json::to_string(&amount))
        .transpose()?;
    let cells = [
        item.store.clone(),
        item.kind.clone(),
        item.device.clone(),
        escape_formulas(&item.id),
        escape_formulas(&item.order_id),
        item.status.clone(),
        item.time.to_string(),
        amount.unwrap_or_default(),
        item.currency
            .map(|currency| currency.code().to_owned())
            .unwrap_or_default(),
        item.corrections.to_string(),
        texts.method.unwrap_or_default(),
        escape_formulas(&texts.product.unwrap_or_default()),
        escape_formulas(&texts.customer_name.unwrap_or_default()),
        escape_formulas(&texts.customer_email.unwrap_or_default()),
        escape_formulas(&texts.address.unwrap_or_default()),
    ];
    writer.write_record(cells)?;
    Ok(())
}
