//! How long an event takes to live clients, and what the replicas need for them:
//!
//! ```text
//! cargo build --release -p comptoir-office --bins
//! cargo run --release -p comptoir-office --example live_load -- 9000 1000 1000 100 30
//! ```
//!
//! Arguments: clients on shops' pages, clients that get everything, shops, events a second, seconds. Starts a real Kafka,
//! PostgreSQL and two replicas in a scratch folder. The clients share the machine with them.

use std::collections::HashMap;
use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use comptoir_harness::chain::{Chain, sale};
use comptoir_harness::process::Process;
use comptoir_harness::{Kafka, Postgres, Scratch, free_port, sibling_binary, usage, within};
use futures::{SinkExt as _, StreamExt as _};
use jiff::Timestamp;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

const DEADLINE: Duration = Duration::from_secs(120);
/// Clients that connect at the same time.
const AT_ONCE: usize = 100;

/// When each event was handed to Kafka, by its name.
type Sent = Arc<Mutex<HashMap<String, Instant>>>;

#[derive(Default)]
struct Results {
    joined: AtomicU64,
    reloads: AtomicU64,
    /// Delays in microseconds.
    delays: Mutex<Vec<u32>>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<usize> = std::env::args()
        .skip(1)
        .map(|argument| argument.parse().context("a number"))
        .collect::<Result<_>>()?;
    let [of_shops, everywhere, shops, rate, seconds] = arguments[..] else {
        anyhow::bail!(
            "five numbers: clients of shops, clients of everything, shops, events a second, seconds"
        );
    };
    let files = getrlimit(Resource::Nofile).maximum;
    let raised = Rlimit {
        current: files,
        maximum: files,
    };
    setrlimit(Resource::Nofile, raised)?;
    let (kafka, postgres) = tokio::try_join!(Kafka::start(), Postgres::start())?;
    postgres.create_database("office").await?;
    for topic in ["orders", "payments", "deliveries", "gateways"] {
        let settings = [("message.timestamp.type", "LogAppendTime")];
        kafka.create_topic(topic, 6, &settings).await?;
    }
    let scratch = Scratch::new("live-load")?;
    let stores: Vec<String> = (0..shops).map(|shop| format!("shop-{shop}")).collect();
    let keys = stores
        .iter()
        .map(|store| format!("{store} {}\n", Chain::secret(store).exported_record_key()));
    fs::write(scratch.join("shop-keys"), keys.collect::<String>())?;
    let mut replicas = Vec::new();
    for name in ["one", "two"] {
        replicas.push(start(&kafka, &postgres, &scratch, name, of_shops + everywhere).await?);
    }
    let urls: Vec<&str> = replicas.iter().map(|(_, url)| url.as_str()).collect();

    let (sent, results) = (Sent::default(), Arc::<Results>::default());
    let wanted = (0..of_shops + everywhere).map(|n| {
        let auth = match n < of_shops {
            true => format!(r#"{{"store":"{}"}}"#, stores[n % shops]),
            false => "{}".to_owned(),
        };
        let url = format!(
            "{}/socket.io/?EIO=4&transport=websocket",
            urls[n % 2].replacen("http", "ws", 1)
        );
        follow(url, auth, Arc::clone(&sent), Arc::clone(&results))
    });
    let joining = futures::stream::iter(wanted).buffer_unordered(AT_ONCE);
    let mut joined = joining.collect::<Vec<Result<()>>>().await;
    joined.retain(Result::is_err);
    ensure!(joined.is_empty(), "{joined:?}");
    within("all clients to follow the tail", DEADLINE, async || {
        let joined = results.joined.load(Ordering::Relaxed);
        ensure!(joined >= (of_shops + everywhere) as u64, "{joined}");
        Ok(())
    })
    .await?;
    eprintln!("{} clients follow the tail", of_shops + everywhere);

    let brokers = kafka.brokers().to_owned();
    let sending = Arc::clone(&sent);
    tokio::task::spawn_blocking(move || sell(&brokers, &stores, rate, seconds, &sending)).await??;
    tokio::time::sleep(Duration::from_secs(3)).await;

    let mut delays = std::mem::take(&mut *results.delays.lock().unwrap_or_else(PoisonError::into_inner));
    delays.sort_unstable();
    let at = |part: f64| {
        let index = ((delays.len() as f64 * part) as usize).min(delays.len().saturating_sub(1));
        delays.get(index).map_or(0.0, |delay| f64::from(*delay) / 1000.0)
    };
    let per_shop = of_shops / shops.max(1);
    println!(
        "{} events arrived, about {} expected; p50 {:.0} ms, p99 {:.0} ms, longest {:.0} ms; {} reloads",
        delays.len(),
        rate * seconds * (everywhere + per_shop),
        at(0.5),
        at(0.99),
        at(1.0),
        results.reloads.load(Ordering::Relaxed) - (of_shops + everywhere) as u64
    );
    for (process, url) in &replicas {
        println!("{url}: at most {} MB", usage(process.pid())?.peak_rss_bytes >> 20);
    }
    Ok(())
}

async fn start(
    kafka: &Kafka,
    postgres: &Postgres,
    scratch: &Scratch,
    name: &str,
    clients: usize,
) -> Result<(Process, String)> {
    let port = free_port()?;
    let mut command = Command::new(sibling_binary("office")?);
    command
        .arg("run")
        .env("COMPTOIR_KAFKA__BROKERS", kafka.brokers())
        .env("COMPTOIR_POSTGRES__URL", postgres.url("office"))
        .env("COMPTOIR_SHOPS__KEYS", scratch.join("shop-keys"))
        .env(
            "COMPTOIR_HTTP__MAX_CONNECTIONS",
            (clients * 2).max(512).to_string(),
        )
        .env("COMPTOIR_HTTP__LISTEN", format!("127.0.0.1:{port}"));
    let mut process = Process::spawn("the office", command, &scratch.join(format!("{name}.log")))?;
    let url = format!("http://127.0.0.1:{port}");
    within("the office to be ready", DEADLINE, async || {
        process.still_running()?;
        reqwest::get(format!("{url}/readyz")).await?.error_for_status()?;
        Ok(())
    })
    .await?;
    Ok((process, url))
}

/// Joins, and measures in a task of its own from then on.
async fn follow(url: String, auth: String, sent: Sent, results: Arc<Results>) -> Result<()> {
    let (mut socket, _) = connect_async(url).await?;
    socket.send(Message::text(format!("40{auth}"))).await?;
    tokio::spawn(async move {
        let mut is_first = true;
        while let Some(Ok(message)) = socket.next().await {
            let Ok(text) = message.to_text() else { continue };
            if text == "2" {
                if socket.send(Message::text("3")).await.is_err() {
                    return;
                }
            } else if text.starts_with("42[\"reload\"") {
                results.reloads.fetch_add(1, Ordering::Relaxed);
                if std::mem::replace(&mut is_first, false) {
                    results.joined.fetch_add(1, Ordering::Relaxed);
                }
            } else if let Some((_, rest)) = text.split_once("\"ce_id\":\"")
                && let Some((name, _)) = rest.split_once('"')
            {
                let at = sent
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .get(name)
                    .copied();
                if let Some(at) = at {
                    let delay = u32::try_from(at.elapsed().as_micros()).unwrap_or(u32::MAX);
                    results
                        .delays
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(delay);
                }
            }
        }
    });
    Ok(())
}

/// Sells at an even rate, ten transactions a second.
fn sell(brokers: &str, stores: &[String], rate: usize, seconds: usize, sent: &Sent) -> Result<()> {
    const TRANSACTIONS: usize = 10;
    let chain = Chain::new(brokers, "")?;
    let started = Instant::now();
    let mut next = 0;
    for turn in 0..seconds * TRANSACTIONS {
        let due = started + Duration::from_millis(100) * u32::try_from(turn)?;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let until = rate * (turn + 1) / TRANSACTIONS;
        let mut events = Vec::new();
        while next < until {
            // A sale has three events; one of them is enough here.
            let (store, round) = (&stores[next % stores.len()], u32::try_from(next / stores.len())?);
            let [order, ..] = sale(store, round, &Timestamp::now().to_string());
            sent.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(order.name.clone(), Instant::now());
            events.push(order);
            next += 1;
        }
        chain.write(&events)?;
    }
    Ok(())
}
