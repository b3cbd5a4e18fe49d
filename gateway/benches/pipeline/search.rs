//! Searches in a large shop: the latency of `GET /api/…?q=`, and what the index adds to the bytes written.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use comptoir_harness::within;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Row as _};

use crate::Arguments;
use crate::load::Load;
use crate::report::{Report, Target, percentile};
use crate::stage::{LONG, Shop, Stage};

/// Events that are prepared at a time, because they are in memory.
const PREPARED: u32 = 250_000;
/// Requests per search.
const REQUESTS: usize = 20;
/// The gateway leaves fewer rows than this without an index.
const STEP: i64 = 4_096;
/// Millions of events are folded more slowly than they are stored.
const FOLDED: Duration = Duration::from_secs(3_600);

pub async fn measure(stage: &Stage, arguments: &Arguments, report: &mut Report) -> Result<()> {
    let mut shop = stage.shop(false).await?;
    let mut events = 0;
    while events < arguments.rows {
        let more = PREPARED.min(arguments.rows - events);
        let load = Load::prepare(shop.mosquitto.port(), "till", stage.tills, more)
            .await?
            .full_speed();
        events += more;
        eprintln!("search: {events} of {} events", arguments.rows);
        tokio::try_join!(
            shop.wait_for_counter("comptoir_events_stored_total", f64::from(events)),
            load.finish()
        )?;
    }
    let rows = indexed(&shop, events).await?;
    let written = shop.sample()?.written_bytes as f64;
    report.figure(
        format!("{rows} sales with their search index: bytes written to disk per event"),
        "bytes",
        [written / f64::from(events)],
    );
    let mut ms = Vec::new();
    for (list, words) in searches(&shop).await? {
        let path = format!("/api/{list}?limit=50&q={words}");
        let mut of_search = Vec::with_capacity(REQUESTS);
        for _ in 0..REQUESTS {
            let begun = Instant::now();
            let (status, body) = shop.gateway.get(&path).await?;
            ensure!(status == 200, "{path} answers {status} {body}");
            of_search.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        eprintln!("search: {path}: p95 {:.1} ms", percentile(&of_search, 0.95));
        ms.extend(of_search);
    }
    let what = format!("GET /api/orders, payments or deliveries with q, {rows} sales, p95");
    report.figure_with_target(what, "ms", [percentile(&ms, 0.95)], Target::AtMost(150.0));
    shop.gateway.terminate().await?;
    Ok(())
}

/// Waits until the events are folded and all but the newest rows are indexed. Returns the number of rows.
async fn indexed(shop: &Shop, events: u32) -> Result<i64> {
    let file = shop.gateway.journal_path().with_file_name("journal-dashboard.db");
    let mut file = SqliteConnectOptions::new()
        .filename(file)
        .read_only(true)
        .connect()
        .await?;
    within("the events to be folded", FOLDED, async || {
        // A further page waits for what is not in the file yet.
        shop.gateway.get("/api/orders?limit=500&cursor=1").await?;
        let folded: i64 = sqlx::query_scalar("SELECT folded FROM progress")
            .fetch_one(&mut file)
            .await?;
        ensure!(folded >= i64::from(events), "{folded} of {events} are folded");
        Ok(())
    })
    .await?;
    within("the index to be complete", LONG, async || {
        let counts = sqlx::query(
            "SELECT (SELECT count(*) FROM sale) AS rows, (SELECT count(*) FROM search_text) AS texts",
        )
        .fetch_one(&mut file)
        .await?;
        let (rows, texts) = (counts.get::<i64, _>("rows"), counts.get::<i64, _>("texts"));
        ensure!(rows - texts <= STEP, "{texts} of {rows} are indexed");
        Ok(rows)
    })
    .await
}

/// What somebody may look for: frequent and rare, the beginnings of words, several words, and what does not exist.
async fn searches(shop: &Shop) -> Result<Vec<(&'static str, String)>> {
    let page = shop.gateway.get_json("/api/orders?limit=500").await?;
    let order = page["items"]
        .as_array()
        .and_then(|items| items.last())
        .context("an order")?;
    let text = |field: &str| order[field].as_str().unwrap_or_default().to_owned();
    let (name, id, day) = (text("customer_name"), text("order_id"), text("timestamp"));
    let first: String = name.chars().take(3).collect();
    let old = "paris-1-till-1".to_owned();
    let words = [
        name.replace(' ', "+"),
        first.clone(),
        id,
        day[..10].to_owned(),
        "baguette".to_owned(),
        "bag+mar".to_owned(),
        "12,50".to_owned(),
        "rue".to_owned(),
        "nobody-at-all".to_owned(),
        "quatremere+till".to_owned(),
        old,
    ];
    let lists = ["orders", "payments", "deliveries"];
    Ok(lists
        .into_iter()
        .flat_map(|list| words.clone().map(|words| (list, words)))
        .collect())
}
