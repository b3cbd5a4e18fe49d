//! `gateway demo`: the whole of it in one process.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use comptoir_sim::{Broker, Plan, Progress};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::address;
use crate::app::App;
use crate::config::{Config, Http, JournalConfig};
use crate::dashboard::Shop;
use crate::kafka::InMemoryKafka;
use crate::sale::Money;

#[derive(clap::Args)]
pub struct Options {
    /// Where the pages and the API answer.
    #[arg(long, default_value = "0.0.0.0:8080", value_name = "ADDRESS")]
    http: SocketAddr,
    /// Where the MQTT broker listens, for tills of your own.
    #[arg(long, default_value = "127.0.0.1:1883", value_name = "ADDRESS")]
    mqtt: SocketAddr,
    /// Simulated tills; 0 for none.
    #[arg(long, default_value_t = 4)]
    terminals: u32,
    /// Events a second of all tills together.
    #[arg(long, default_value_t = 2.0)]
    rate: f64,
    /// Keeps the journal in this folder. Default: a temporary one, removed at the end.
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
}

const STORE: &str = "demo-1";

/// Runs until Ctrl-C or SIGTERM.
pub async fn run(options: &Options) -> anyhow::Result<ExitCode> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new("off,comptoir_gateway=warn"))
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    let temporary;
    let folder = match &options.data {
        Some(folder) => folder.clone(),
        None => {
            temporary = tempfile::tempdir().context("no temporary folder")?;
            temporary.path().to_owned()
        }
    };
    let kafka = InMemoryKafka::start()?;
    let (switch, mut switched) = mpsc::channel(1);
    let mut config = Config {
        store: STORE.to_owned(),
        journal: JournalConfig {
            path: folder.join("journal.db"),
            ..JournalConfig::default()
        },
        http: Http {
            listen: options.http,
            ..Http::default()
        },
        ..Config::default()
    };
    config.mqtt.embedded = Some(options.mqtt);
    config.kafka.brokers = Some(kafka.brokers());
    let app = App::build_with(&config, Vec::new(), Some(switch))
        .await
        .context("the demonstration cannot start (other ports: --http 0.0.0.0:8081 --mqtt 127.0.0.1:1884)")?;
    let (http, mqtt, shop) = (app.http, app.mqtt.clone(), app.shop.clone());
    let mut running = app.start()?;
    println!("Comptoir demonstration. Everything is in this one process and nothing is installed.");
    println!("  pages          http://localhost:{}", http.port());
    let others = running.found_at(http);
    if let Some(address) = others.first() {
        println!("  from a phone   {}", others.join("  or  "));
        if std::io::stdout().is_terminal()
            && let Some(code) = address::qr(address)
        {
            println!("{code}");
        }
    }
    println!("  MQTT broker    {mqtt} (built in)");
    println!(
        "  Kafka          {} (in memory: it forgets everything at the end)",
        kafka.brokers()
    );
    println!(
        "  tills          {} simulated, {} events/s",
        options.terminals, options.rate
    );
    println!("  journal        {}", config.journal.path.display());
    println!("Ctrl-C ends it.\n");

    let stop = CancellationToken::new();
    let (progress, sold) = watch::channel(Progress::default());
    let tills = tills(options, &mqtt.host, mqtt.port, stop.clone(), progress);
    let ended = CancellationToken::new();
    let status = status_line(shop, sold, ended.clone());
    let signals = async {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            _ = terminate.recv() => {}
            interrupted = tokio::signal::ctrl_c() => interrupted?,
            part = running.failed() => {
                stop.cancel();
                anyhow::bail!("a part of the gateway has ended: {part}");
            }
        }
        stop.cancel();
        anyhow::Ok(())
    };
    let work = async {
        let (sold, signalled) = tokio::join!(tills, signals);
        ended.cancel();
        signalled?;
        sold
    };
    let toggle = async {
        loop {
            tokio::select! {
                () = ended.cancelled() => break,
                Some(up) = switched.recv() => {
                    if let Err(error) = kafka.set_up(up) {
                        tracing::warn!(%error, up, "the Kafka in memory");
                    }
                }
            }
        }
    };
    let (done, (), ()) = tokio::join!(work, status, toggle);
    running.stop().await;
    done?;
    Ok(ExitCode::SUCCESS)
}

async fn tills(
    options: &Options,
    host: &str,
    port: u16,
    stop: CancellationToken,
    progress: watch::Sender<Progress>,
) -> anyhow::Result<()> {
    if options.terminals == 0 {
        return Ok(());
    }
    let broker = Broker::new(host, port);
    let plan = Plan::new(broker, STORE, options.terminals as _, options.rate);
    comptoir_sim::run(plan, stop, progress).await?;
    Ok(())
}

/// One line that is written over and over on a terminal, or a line every five seconds elsewhere.
async fn status_line(shop: Arc<Shop>, sold: watch::Receiver<Progress>, ended: CancellationToken) {
    let terminal = std::io::stdout().is_terminal();
    let every = Duration::from_millis(if terminal { 250 } else { 5_000 });
    let mut out = std::io::stdout();
    loop {
        tokio::select! {
            () = ended.cancelled() => break,
            () = tokio::time::sleep(every) => {}
        }
        let line = describe(&shop, &sold.borrow());
        // A terminal that has gone away is no reason to stop selling.
        let _ = match terminal {
            true => write!(out, "\r\x1b[2K{line}").and_then(|()| out.flush()),
            false => writeln!(out, "{line}"),
        };
    }
    let _ = writeln!(out);
}

fn describe(shop: &Shop, sold: &Progress) -> String {
    let state = shop.journal.state();
    let totals = shop.projection.view().totals;
    let revenue = totals.revenue.get(shop.currency.code()).copied().unwrap_or(0);
    let kafka = match (shop.kafka.is_up(), state.pending()) {
        (true, 0) => "all in Kafka (in memory)".to_owned(),
        (true, pending) => format!("{pending} on the way to Kafka"),
        (false, pending) => format!("Kafka is away: {pending} are safe here"),
    };
    format!(
        "{} sold, {} acked │ {} orders, {} payments ({:.0} % good), {} deliveries, {} {} │ {kafka}",
        sold.sold,
        sold.acked,
        totals.orders,
        totals.payments,
        totals.success_rate(),
        totals.deliveries,
        Money::sum(revenue, shop.currency),
        shop.currency,
    )
}
