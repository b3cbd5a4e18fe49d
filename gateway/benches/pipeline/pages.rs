//! The pages: latency from a sale to a connection, number of connections that a gateway serves, speed of lists.
//!
//! The clients here are a minimal implementation of Engine.IO 4 and Socket.IO 5 over a WebSocket: with a thousand full
//! clients the benchmark would measure the client. They do not ask for batches, so every event is its own packet, which
//! costs the gateway most.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use comptoir_harness::within;
use futures::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use serde_json::json;
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

use crate::load::Load;
use crate::report::{Report, Target, percentile};
use crate::stage::{LONG, Shop, Stage};
use crate::{Arguments, browser};

/// Number of connections.
const CROWD: usize = 1_000;
/// Orders per second for the crowd.
const CROWD_RATE: u32 = 100;
/// Orders per second for a single page.
pub const COUNTER_RATE: u32 = 50;
/// Time between two new connections.
const CONNECT_PERIOD: Duration = Duration::from_millis(2);
/// Requests per list.
const REQUESTS: usize = 500;

pub async fn measure(stage: &Stage, arguments: &Arguments, report: &mut Report) -> Result<()> {
    eprintln!("pages: one page, {COUNTER_RATE} orders/s");
    let one = listen(stage, 1, COUNTER_RATE, arguments.seconds).await?;
    let at = |share| percentile(&one.ms, share);
    let what = format!("POST → a page's connection, {COUNTER_RATE} orders/s");
    report.figure_with_target(format!("{what}, p50"), "ms", [at(0.5)], Target::AtMost(15.0));
    report.figure_with_target(format!("{what}, p99"), "ms", [at(0.99)], Target::AtMost(50.0));

    eprintln!("pages: {CROWD} connections, {CROWD_RATE} orders/s");
    let crowd = listen(stage, CROWD, CROWD_RATE, arguments.seconds).await?;
    let at = |share| percentile(&crowd.ms, share);
    let what = format!("POST → {CROWD} connections, {CROWD_RATE} orders/s");
    report.figure(format!("{what}, p50"), "ms", [at(0.5)]);
    report.figure_with_target(format!("{what}, p99"), "ms", [at(0.99)], Target::AtMost(200.0));
    report.figure_with_target(
        format!("{what}: share of the events received"),
        "×",
        [crowd.share_received],
        Target::AtLeast(1.0),
    );
    report.figure_with_target(
        format!("{what}: maximum resident memory"),
        "MB",
        [crowd.peak_mb],
        Target::AtMost(100.0),
    );

    browser::rows(stage, arguments.seconds, report).await?;
    browser::rush(stage, report).await?;
    first_load(stage, report).await?;
    lists(stage, arguments, report).await
}

struct PageLatency {
    /// Latency of every event at every client, in milliseconds.
    ms: Vec<f64>,
    /// Received events divided by expected events.
    share_received: f64,
    /// Largest resident memory of the gateway, MB.
    peak_mb: f64,
}

/// When each order was posted, by its number. Clones share the times.
#[derive(Clone)]
pub struct PostTimes(Arc<[OnceLock<Instant>]>);

impl PostTimes {
    pub fn new(count: u32) -> Self {
        Self((0..count).map(|_| OnceLock::new()).collect())
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    pub fn at(&self, number: usize) -> Result<Instant> {
        let at = self.0.get(number).and_then(OnceLock::get);
        at.copied().context("the order was not posted")
    }
}

async fn listen(stage: &Stage, clients: usize, rate: u32, seconds: u32) -> Result<PageLatency> {
    let mut shop = stage.shop(false).await?;
    let posted = PostTimes::new(rate * seconds);
    let count = posted.count();
    let connected = Arc::new(AtomicUsize::new(0));
    let url = shop.gateway.http_url()?.replacen("http", "ws", 1) + "/socket.io/?EIO=4&transport=websocket";
    let mut crowd = JoinSet::new();
    let mut connect_ticks = tokio::time::interval(CONNECT_PERIOD);
    for _ in 0..clients {
        crowd.spawn(client(url.clone(), posted.clone(), connected.clone()));
        // Spread out: a shop's phones do not all connect within the same millisecond.
        connect_ticks.tick().await;
    }
    within("all clients to connect", LONG, async || {
        let connected = connected.load(Ordering::Relaxed);
        ensure!(connected == clients, "{connected} of {clients} are connected");
        Ok(())
    })
    .await?;
    post(&shop, &posted, rate).await?;
    let mut all = PageLatency {
        ms: Vec::with_capacity(count * clients),
        share_received: 0.0,
        peak_mb: 0.0,
    };
    while let Some(latencies) = crowd.join_next().await {
        all.ms.extend(latencies??);
    }
    all.share_received = all.ms.len() as f64 / (count * clients) as f64;
    all.peak_mb = shop.sample()?.peak_rss_bytes as f64 / 1e6;
    shop.gateway.terminate().await?;
    Ok(all)
}

/// Posts the orders at `rate` per second and notes the time of each.
pub async fn post(shop: &Shop, posted: &PostTimes, rate: u32) -> Result<()> {
    let client = reqwest::Client::new();
    let url = shop.gateway.http_url()? + "/api/orders";
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
    let mut requests = JoinSet::new();
    for (number, at) in posted.0.iter().enumerate() {
        ticks.tick().await;
        let order = json!({"order_id": format!("bench-{number:06}"), "customer_name": "Zoé Martin",
            "product": "Baguette tradition", "amount": 1.3});
        let request = client.post(&url).json(&order);
        // Setting cannot fail: each number is posted once.
        let _ = at.set(Instant::now());
        requests.spawn(request.send());
        while let Some(answer) = requests.try_join_next() {
            ensure!(answer??.status() == 201, "an order was refused");
        }
    }
    while let Some(answer) = requests.join_next().await {
        ensure!(answer??.status() == 201, "an order was refused");
    }
    Ok(())
}

/// Listens until the last order, or until nothing comes for a minute. Returns the latency of each order in milliseconds.
async fn client(url: String, posted: PostTimes, connected: Arc<AtomicUsize>) -> Result<Vec<f64>> {
    const SILENCE: Duration = Duration::from_secs(60);
    let (mut socket, _) = connect_async(&url).await.context("connect")?;
    let mut latencies = Vec::with_capacity(posted.count());
    while latencies.len() < posted.count() {
        let Ok(message) = tokio::time::timeout(SILENCE, socket.next()).await else {
            break;
        };
        let message = message.context("the gateway has closed the connection")??;
        let Message::Text(text) = message else { continue };
        match text.as_bytes().first() {
            // Engine.IO is open; now Socket.IO may connect.
            Some(b'0') => socket.send(Message::text("40")).await?,
            Some(b'2') => socket.send(Message::text("3")).await?,
            Some(b'4') if text.starts_with("42[\"initial_data\"") => {
                connected.fetch_add(1, Ordering::Relaxed);
            }
            Some(b'4') if text.starts_with("42[\"new_order\"") => {
                let number = text.split_once("\"bench-").and_then(|(_, rest)| rest.get(..6));
                let number = number.context("an order without its number")?.parse()?;
                let at = posted.at(number)?;
                latencies.push(at.elapsed().as_secs_f64() * 1e3);
            }
            Some(b'4') => {}
            _ => bail!("unexpected message from the gateway: {text}"),
        }
    }
    Ok(latencies)
}

/// A line that `first-load.mjs` prints.
#[derive(Deserialize)]
struct FirstLoad {
    page: String,
    ms: f64,
    bytes: f64,
}

/// A browser's first visit, with the CPU throttled to a quarter.
async fn first_load(stage: &Stage, report: &mut Report) -> Result<()> {
    const WEB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../web");
    eprintln!("pages: first load");
    let mut shop = stage.shop(false).await?;
    let visit = Command::new("node")
        .args(["scripts/first-load.mjs", &shop.gateway.http_url()?])
        .current_dir(WEB)
        .output()
        .await
        .context("start node; `make bench` installs it")?;
    ensure!(
        visit.status.success(),
        "{}",
        String::from_utf8_lossy(&visit.stderr)
    );
    let lines = String::from_utf8(visit.stdout)?;
    let mut max_kib = 0.0_f64;
    for line in lines.lines() {
        let FirstLoad { page, ms, bytes } = serde_json::from_str(line).context("parse a visit")?;
        max_kib = max_kib.max(bytes / 1024.0);
        let what = format!("first load of /{page}, CPU slowed 4 times: usable after");
        report.figure_with_target(what, "ms", [ms], Target::AtMost(1_000.0));
    }
    report.figure_with_target(
        "first load of a page, bytes over the wire, maximum",
        "KB",
        [max_kib],
        Target::AtMost(150.0),
    );
    shop.gateway.terminate().await?;
    Ok(())
}

async fn lists(stage: &Stage, arguments: &Arguments, report: &mut Report) -> Result<()> {
    let rows = arguments.rows;
    eprintln!("pages: lists of {rows}");
    let mut shop = stage.shop(false).await?;
    let load = Load::prepare(shop.mosquitto.port(), "till", stage.tills, rows).await?;
    let load = load.full_speed();
    tokio::try_join!(
        shop.wait_for_counter("comptoir_events_stored_total", f64::from(rows)),
        load.finish()
    )?;
    for path in ["/api/orders", "/api/orders?limit=500", "/api/stats"] {
        let mut ms = Vec::with_capacity(REQUESTS);
        for _ in 0..REQUESTS {
            let begun = Instant::now();
            let (status, _) = shop.gateway.get(path).await?;
            ensure!(status == 200, "{path} answers {status}");
            ms.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        let what = format!("GET {path}, {rows} events in the journal, p99");
        report.figure_with_target(what, "ms", [percentile(&ms, 0.99)], Target::AtMost(20.0));
    }
    shop.gateway.terminate().await?;
    Ok(())
}
