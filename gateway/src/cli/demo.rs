//! `gateway demo`: the whole system in one process, to try without installing anything.
//!
//! Runs the gateway with its built-in MQTT broker and an in-memory Kafka, and simulated tills that sell through it. The
//! pages have a switch that takes the in-memory Kafka down and up again.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use comptoir_sim::{Broker, Plan, Progress};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::app::{App, RunningApp};
use crate::config::{Config, Demo, Follow, Http, JournalConfig, MqttUrl, TlsSetting};
use crate::http::AppState;
use crate::platform::address;
use comptoir_core::sale::Money;
use comptoir_kafka::InMemoryKafka;
use jiff::Timestamp;

const EXAMPLES: &str = "\
Examples:
  gateway demo
  gateway demo --terminals 20 --rate 50
  gateway demo --http 0.0.0.0:8081 --mqtt 127.0.0.1:1884    If the default ports are taken

Exit codes:
  0  A clean stop after SIGTERM or Ctrl-C
  1  The demo cannot start, or a part of it stopped unexpectedly
  2  The command line is invalid";

// No doc comment: clap would show it in place of the subcommand's description.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct DemoArguments {
    /// Listen address of the pages and the API
    #[arg(long, default_value = "0.0.0.0:8080", value_name = "ADDRESS:PORT")]
    http: SocketAddr,
    /// Listen address of the MQTT broker, to which your own tills can connect
    #[arg(long, default_value = "127.0.0.1:1883", value_name = "ADDRESS:PORT")]
    mqtt: SocketAddr,
    /// Number of simulated tills; 0 for none
    #[arg(long = "terminals", value_name = "N", default_value_t = 4)]
    tills: u32,
    /// Events per second, of all simulated tills together
    #[arg(long, value_name = "RATE", default_value_t = 2.0)]
    rate: f64,
    /// Keep the journal in FOLDER [default: a temporary folder, removed at the end]
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
}

const STORE: &str = "demo-1";
/// How often the status line is rewritten on a terminal. To a file or pipe, a line is added at longer intervals.
const TERMINAL_REFRESH: Duration = Duration::from_millis(250);
const PIPE_REFRESH: Duration = Duration::from_secs(5);

/// Runs until Ctrl-C or SIGTERM.
///
/// # Errors
/// A port is taken, a folder cannot be written, or a part of the gateway or a simulated till failed.
pub async fn run(arguments: &DemoArguments) -> anyhow::Result<ExitCode> {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new("off,comptoir_gateway=warn"))
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    let temporary;
    let folder = match &arguments.data {
        Some(folder) => folder.clone(),
        None => {
            temporary = tempfile::tempdir().context("create a temporary folder")?;
            temporary.path().to_owned()
        }
    };
    let kafka = InMemoryKafka::start(STORE)?;
    let (switch, mut switched) = mpsc::channel(1);
    let config = configuration(arguments, folder, &kafka);
    let app = App::build_with(&config, Vec::new(), Some(switch))
        .await
        .context("the demo cannot start (to use other ports: --http 0.0.0.0:8081 --mqtt 127.0.0.1:1884)")?;
    let (http, mqtt, state) = (app.http, app.mqtt.clone(), app.state.clone());
    let mut running = app.start()?;
    print_banner(arguments, &config, &running, http, &mqtt);

    let stop_tills = CancellationToken::new();
    let ended = CancellationToken::new();
    let (progress, sold) = watch::channel(Progress::default());
    let tills = simulate_tills(arguments, &mqtt, stop_tills.clone(), progress);
    let wait_for_end = async {
        let end = wait_for_end(&mut running).await;
        stop_tills.cancel();
        end
    };
    let work = async {
        let (sold, end) = tokio::join!(tills, wait_for_end);
        ended.cancel();
        end?;
        sold
    };
    let operate_switch = async {
        loop {
            tokio::select! {
                () = ended.cancelled() => break,
                Some(up) = switched.recv() => {
                    if let Err(error) = kafka.set_up(up) {
                        tracing::warn!(%error, up, "the in-memory Kafka could not be switched");
                    }
                }
            }
        }
    };
    let status = print_status(state, sold, ended.clone());
    let (result, (), ()) = tokio::join!(work, status, operate_switch);
    running.stop().await;
    result?;
    Ok(ExitCode::SUCCESS)
}

fn configuration(arguments: &DemoArguments, folder: PathBuf, kafka: &InMemoryKafka) -> Config {
    let mut config = Config {
        store: STORE.to_owned(),
        journal: JournalConfig {
            path: folder.join("journal.db"),
            ..JournalConfig::default()
        },
        http: Http {
            listen: arguments.http,
            // The demo starts without set-up.
            open: true,
            // A visitor's phone would not trust the certificate, and a temporary folder loses its authority.
            tls: TlsSetting::Off,
            ..Http::default()
        },
        demo: Demo { invent: Some(true) },
        ..Config::default()
    };
    config.mqtt.embedded = Some(arguments.mqtt);
    config.kafka.brokers = Some(kafka.brokers());
    // Shows what a consumer sees, including records of other programs.
    config.kafka.follow = Follow::All;
    config.kafka.follow_since = Some(Timestamp::UNIX_EPOCH);
    config
}

fn print_banner(
    arguments: &DemoArguments,
    config: &Config,
    running: &RunningApp,
    http: SocketAddr,
    mqtt: &MqttUrl,
) {
    println!("Comptoir demo. Everything runs in this process; nothing is installed.");
    println!(
        "Nobody has to sign in: everyone on the network can use it. `gateway run` asks for a user and a password."
    );
    println!("  pages          http://localhost:{}", http.port());
    let urls = running.page_urls(http);
    if let Some(url) = urls.first() {
        println!("  from a phone   {}", urls.join("  or  "));
        if std::io::stdout().is_terminal()
            && let Some(code) = address::qr(url)
        {
            println!("{code}");
        }
    }
    println!("  MQTT broker    {mqtt} (built in)");
    println!(
        "  Kafka          {} (in memory: its records are lost when the demo ends)",
        config.kafka.brokers.as_deref().unwrap_or_default()
    );
    println!(
        "  tills          {} simulated, {} events/s",
        arguments.tills, arguments.rate
    );
    println!("  journal        {}", config.journal.path.display());
    println!("Press Ctrl-C to end the demo.\n");
}

/// Waits for a signal.
///
/// # Errors
/// A part of the gateway ended first.
async fn wait_for_end(running: &mut RunningApp) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
        part = running.wait_for_failure() => anyhow::bail!("a part of the gateway stopped unexpectedly: {part}"),
    }
}

async fn simulate_tills(
    arguments: &DemoArguments,
    mqtt: &MqttUrl,
    stop: CancellationToken,
    progress: watch::Sender<Progress>,
) -> anyhow::Result<()> {
    if arguments.tills == 0 {
        return Ok(());
    }
    let broker = Broker::new(&mqtt.host, mqtt.port);
    let plan = Plan::new(broker, STORE, arguments.tills as _, arguments.rate);
    comptoir_sim::run(plan, stop, progress).await?;
    Ok(())
}

/// Prints the totals until `ended`: on a terminal as one rewritten line, elsewhere as an occasional new line.
async fn print_status(state: Arc<AppState>, sold: watch::Receiver<Progress>, ended: CancellationToken) {
    let is_terminal = std::io::stdout().is_terminal();
    let period = match is_terminal {
        true => TERMINAL_REFRESH,
        false => PIPE_REFRESH,
    };
    let mut out = std::io::stdout();
    loop {
        tokio::select! {
            () = ended.cancelled() => break,
            () = tokio::time::sleep(period) => {}
        }
        let line = status_line(&state, &sold.borrow());
        // If the terminal is gone, the demo continues without it.
        let _ = match is_terminal {
            true => write!(out, "\r\x1b[2K{line}").and_then(|()| out.flush()),
            false => writeln!(out, "{line}"),
        };
    }
    let _ = writeln!(out);
}

fn status_line(app: &AppState, sold: &Progress) -> String {
    let state = app.journal.state();
    let totals = app.projection.view().totals;
    let revenue = totals.revenue.get(app.currency.code()).copied().unwrap_or(0);
    let kafka = match (app.kafka.is_up(), state.pending()) {
        (true, 0) => "all in Kafka (in memory)".to_owned(),
        (true, pending) => format!("{pending} on the way to Kafka"),
        (false, pending) => format!("Kafka is down: {pending} are safe in the journal"),
    };
    format!(
        "{} sold, {} acked │ {} orders, {} payments ({:.0} % successful), {} deliveries, {} {} │ {kafka}",
        sold.sold,
        sold.acked,
        totals.orders,
        totals.payments,
        totals.success_rate(),
        totals.deliveries,
        Money::sum(revenue, app.currency),
        app.currency,
    )
}
