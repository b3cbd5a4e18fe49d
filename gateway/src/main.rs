//! `gateway`: arguments, logging, signals.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use comptoir_gateway::address;
use comptoir_gateway::app::App;
use comptoir_gateway::config::{Config, Log, LogFormat};
use comptoir_gateway::journal::Journal;
use comptoir_gateway::{check, dead_letters, demo};
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;
use tracing_subscriber::EnvFilter;

/// Comptoir, the edge gateway of a shop: takes in what the tills send over MQTT, keeps it safe, and brings
/// it into Kafka exactly once, whenever Kafka is there.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Args)]
struct ConfigArgument {
    /// The configuration (TOML). Default: /etc/comptoir/gateway.toml if it is there.
    ///
    /// Every key can also be given as an environment variable, which then counts: `journal.max_bytes` is
    /// COMPTOIR_JOURNAL__MAX_BYTES.
    #[arg(long, short, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Everything in one process, nothing to install: an MQTT broker, a Kafka in memory, simulated tills.
    Demo(demo::Options),
    /// The real thing: runs until SIGTERM or Ctrl-C.
    Run(ConfigArgument),
    /// Validates the configuration and says what it can reach. Changes nothing.
    Check(ConfigArgument),
    /// Writes a consistent copy of the journal, also while the gateway runs.
    Backup {
        #[command(flatten)]
        config: ConfigArgument,
        /// The copy. It must not exist yet.
        file: PathBuf,
    },
    /// What could not be decoded: lists it, shows one with its bytes, tries one again.
    DeadLetters {
        #[command(flatten)]
        config: ConfigArgument,
        #[command(subcommand)]
        act: Option<dead_letters::Act>,
    },
}

/// As sysexits has no better word: the contract's exit code for a bad configuration.
const BAD_CONFIGURATION: u8 = 2;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("gateway: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = match runtime.block_on(carry_out(arguments.command)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("gateway: {error:#}");
            ExitCode::FAILURE
        }
    };
    // A thread that waits for a Kafka that hangs must not hold up the end.
    runtime.shutdown_background();
    code
}

async fn carry_out(command: Command) -> anyhow::Result<ExitCode> {
    let load = |argument: &ConfigArgument| match Config::load(argument.config.as_deref()) {
        Ok(config) => Ok(config),
        Err(error) => {
            eprintln!("gateway: the configuration is not valid: {error}");
            Err(ExitCode::from(BAD_CONFIGURATION))
        }
    };
    let config = match &command {
        Command::Demo(options) => return demo::run(options).await,
        Command::Run(argument)
        | Command::Check(argument)
        | Command::Backup { config: argument, .. }
        | Command::DeadLetters { config: argument, .. } => match load(argument) {
            Ok(config) => config,
            Err(code) => return Ok(code),
        },
    };
    match command {
        Command::Demo(_) => Ok(ExitCode::SUCCESS),
        Command::Run(_) => run(&config).await,
        Command::Check(_) => {
            let mut code = ExitCode::SUCCESS;
            for finding in check::check(&config).await {
                match finding.result {
                    Ok(words) => println!("ok      {}: {words}", finding.subject),
                    Err(words) => {
                        println!("FAILED  {}: {words}", finding.subject);
                        code = ExitCode::FAILURE;
                    }
                }
            }
            Ok(code)
        }
        Command::Backup { file, .. } => {
            Journal::backup(&config.journal.path, &file).await?;
            println!(
                "{} holds a copy of {}",
                file.display(),
                config.journal.path.display()
            );
            Ok(ExitCode::SUCCESS)
        }
        Command::DeadLetters { act, .. } => dead_letters::carry_out(&config, act).await,
    }
}

async fn run(config: &Config) -> anyhow::Result<ExitCode> {
    log(&config.log)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let app = App::build(config).await?;
    info!(
        version = env!("CARGO_PKG_VERSION"),
        store = config.store,
        journal = %config.journal.path.display(),
        mqtt = %app.mqtt,
        kafka = config.kafka.brokers.as_deref().unwrap_or("none: buffering"),
        http = %app.http,
        "started"
    );
    let http = app.http;
    let running = app.start()?;
    let others = running.found_at(http);
    info!(
        addresses = others.join(" "),
        "the pages, for others on the network"
    );
    if std::io::stdout().is_terminal()
        && let Some(code) = others.first().and_then(|address| address::qr(address))
    {
        println!("{code}");
    }
    tokio::select! {
        _ = terminate.recv() => info!("SIGTERM: stopping"),
        _ = interrupt.recv() => info!("interrupted: stopping"),
    }
    running.stop().await;
    Ok(ExitCode::SUCCESS)
}

fn log(log: &Log) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&log.filter)
        .with_context(|| format!("log.filter: {:?} is not valid", log.filter))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match log.format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
    Ok(())
}
