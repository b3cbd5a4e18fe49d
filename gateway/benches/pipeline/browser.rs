//! Chromium: how soon a sale is visible as a row, and whether a page stays responsive under the highest load.

use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use futures::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

use crate::load::Load;
use crate::pages::{COUNTER_RATE, PostTimes, post};
use crate::report::{Report, Target, percentile};
use crate::stage::Stage;

const WEB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../web");
/// Timeout for each response of the browser.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Connections of other pages, beside the browser.
const OTHERS: usize = 19;
/// Events per second of all tills.
const RUSH: f64 = 5_000.0;
const RUSH_SECONDS: u32 = 15;

/// A browser that `web/scripts/watch.mjs` drives.
struct Watch {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

#[derive(Deserialize)]
struct Ready {
    ready: bool,
}

impl Watch {
    /// Opens the page `url` and waits until it is live. `what` says what to observe: `rows` or `tasks`.
    async fn open(url: &str, what: &str) -> Result<Self> {
        let mut child = Command::new("node")
            .args(["scripts/watch.mjs", url, what])
            .current_dir(WEB)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("start node; `make bench` installs it")?;
        let stdin = child.stdin.take().context("node has no standard input")?;
        let stdout = child.stdout.take().context("node has no standard output")?;
        let mut watch = Self {
            child,
            stdin,
            lines: BufReader::new(stdout).lines(),
        };
        let Ready { ready } = watch.line().await?;
        ensure!(ready, "the page is not ready");
        Ok(watch)
    }

    /// Ends the observation and returns its result.
    async fn end<T: DeserializeOwned>(mut self) -> Result<T> {
        self.stdin.write_all(b"that is all\n").await?;
        let result = self.line().await?;
        timeout(TIMEOUT, self.child.wait())
            .await
            .context("the browser does not end")??;
        Ok(result)
    }

    async fn line<T: DeserializeOwned>(&mut self) -> Result<T> {
        let line = timeout(TIMEOUT, self.lines.next_line())
            .await
            .context("the browser does not respond")??;
        let line = line.context("the browser ended; see its output above")?;
        serde_json::from_str(&line).context("parse the browser's result")
    }
}

#[derive(Deserialize)]
struct Rows {
    /// Order id; when its row was inserted into the page; when the next frame began. Unix milliseconds.
    rows: Vec<(String, f64, f64)>,
}

/// Latency from the POST to the row in the page, and to the frame that shows it.
pub async fn rows(stage: &Stage, seconds: u32, report: &mut Report) -> Result<()> {
    eprintln!("pages: a row in Chromium, {COUNTER_RATE} orders/s");
    let mut shop = stage.shop(false).await?;
    let watch = Watch::open(&shop.gateway.http_url()?, "rows").await?;
    let posted = PostTimes::new(COUNTER_RATE * seconds);
    // The browser uses this machine's clock.
    let (begun, unix) = (Instant::now(), SystemTime::now().duration_since(UNIX_EPOCH)?);
    post(&shop, &posted, COUNTER_RATE).await?;
    let Rows { rows } = watch.end().await?;
    let (mut inserted, mut painted) = (Vec::new(), Vec::new());
    for (id, row, frame) in &rows {
        let number = id
            .strip_prefix("bench-")
            .context("the page has a row that was not posted")?;
        let at = posted.at(number.parse()?)?;
        let at = (unix + at.duration_since(begun)).as_secs_f64() * 1e3;
        inserted.push(row - at);
        painted.push(frame - at);
    }
    let what = format!("POST → the row in Chromium, {COUNTER_RATE} orders/s");
    report.figure_with_target(
        format!("{what}, p50"),
        "ms",
        [percentile(&inserted, 0.5)],
        Target::AtMost(15.0),
    );
    report.figure_with_target(
        format!("{what}, p99"),
        "ms",
        [percentile(&inserted, 0.99)],
        Target::AtMost(50.0),
    );
    for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
        let name = format!("{what}, to the frame that shows it, {name}");
        report.figure(name, "ms", [percentile(&painted, share)]);
    }
    report.figure(
        format!("{what}: rows seen, of those posted"),
        "×",
        [rows.len() as f64 / posted.count() as f64],
    );
    shop.gateway.terminate().await?;
    Ok(())
}

#[derive(Deserialize)]
struct Tasks {
    longest: f64,
    tasks: usize,
    right: bool,
}

/// The longest browser task of the dashboard while the tills sell as fast as a small gateway can accept.
pub async fn rush(stage: &Stage, report: &mut Report) -> Result<()> {
    eprintln!("pages: Chromium and {OTHERS} others, {RUSH} events/s");
    let mut shop = stage.shop(false).await?;
    let url = shop.gateway.http_url()?;
    let mut others = JoinSet::new();
    for _ in 0..OTHERS {
        others.spawn(page(url.replacen("http", "ws", 1)));
    }
    let watch = Watch::open(&url, "tasks").await?;
    let count = RUSH as u32 * RUSH_SECONDS;
    let load = Load::prepare(shop.mosquitto.port(), "rush", stage.tills, count).await?;
    let begun = Instant::now();
    load.paced(RUSH).finish().await?;
    let rate = f64::from(count) / begun.elapsed().as_secs_f64();
    let Tasks {
        longest,
        tasks,
        right,
    } = watch.end().await?;
    ensure!(tasks > 0, "Chromium's trace has no tasks");
    ensure!(
        others.try_join_next().is_none(),
        "another page's connection ended"
    );
    let what = format!("20 pages, {RUSH} events/s");
    report.figure(format!("{what}: stored"), "events/s", [rate]);
    report.figure_with_target(
        format!("{what}: Chromium's longest task"),
        "ms",
        [longest],
        Target::AtMost(100.0),
    );
    report.figure_with_target(
        format!("{what}: numbers right in the end"),
        "×",
        [f64::from(right)],
        Target::AtLeast(1.0),
    );
    shop.gateway.terminate().await?;
    Ok(())
}

/// Listens like one of the gateway's pages.
async fn page(url: String) -> Result<()> {
    let (mut socket, _) = connect_async(format!("{url}/socket.io/?EIO=4&transport=websocket")).await?;
    while let Some(message) = socket.next().await {
        let Message::Text(text) = message? else { continue };
        match text.as_bytes().first() {
            Some(b'0') => socket.send(Message::text(r#"40{"batch":true}"#)).await?,
            Some(b'2') => socket.send(Message::text("3")).await?,
            Some(b'4') => {}
            _ => bail!("unexpected message from the gateway: {text}"),
        }
    }
    Ok(())
}
