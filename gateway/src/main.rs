//! `gateway`: arguments, logging, signals.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::LazyLock;

use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use comptoir_gateway::address;
use comptoir_gateway::app::App;
use comptoir_gateway::config::{Config, ConfigError, Log, LogFormat, keep_as_last_good, read_report};
use comptoir_gateway::journal::{Journal, schema_version};
use comptoir_gateway::{check, dead_letters, demo, heap, service};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};
use tracing_subscriber::EnvFilter;

/// With the schema: whoever installs an older version sees beforehand whether it can read the journal.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{} (journal schema {})",
        env!("CARGO_PKG_VERSION"),
        schema_version()
    )
});

/// Comptoir, the edge gateway of a shop: takes in what the tills send over MQTT, keeps it safe, and brings
/// it into Kafka exactly once, whenever Kafka is there.
#[derive(Parser)]
#[command(name = "gateway", version = VERSION.as_str(), max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Args)]
struct ConfigArgument {
    /// The configuration (TOML). Default: /etc/comptoir/gateway.toml if it is there.
    ///
    /// Every key can also be given as an environment variable, which then counts: `journal.max_bytes` is
    /// COMPTOIR_JOURNAL__MAX_BYTES. Lists are separated by commas, or JSON.
    #[arg(long, short, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
}

#[derive(clap::Args)]
struct LastGoodArgument {
    /// Where settings that have worked are kept, and taken from when the present ones are not valid.
    #[arg(long, value_name = "FILE", global = true)]
    last_good: Option<PathBuf>,
}

#[derive(clap::Args)]
struct ReportArgument {
    /// Where another program says what was wrong with the settings of which it makes this gateway's.
    ///
    /// A line each: place, key and message, with tabs between them. The gateway page shows them.
    #[arg(long, value_name = "FILE")]
    settings_report: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Everything in one process, nothing to install: an MQTT broker, a Kafka in memory, simulated tills.
    Demo(demo::Options),
    /// The real thing: runs until SIGTERM or Ctrl-C.
    Run {
        #[command(flatten)]
        config: ConfigArgument,
        #[command(flatten)]
        last_good: LastGoodArgument,
        #[command(flatten)]
        report: ReportArgument,
    },
    /// Validates the configuration and says what it can reach. Changes nothing.
    Check {
        #[command(flatten)]
        config: ConfigArgument,
        #[command(flatten)]
        last_good: LastGoodArgument,
        /// Only whether the configuration is valid: reaches for nothing.
        #[arg(long)]
        offline: bool,
    },
    /// Writes a consistent copy of the journal, also while the gateway runs.
    Backup {
        #[command(flatten)]
        config: ConfigArgument,
        #[command(flatten)]
        last_good: LastGoodArgument,
        /// The copy. It must not exist yet.
        file: PathBuf,
    },
    /// What could not be decoded: lists it, shows one with its bytes, tries one again.
    DeadLetters {
        #[command(flatten)]
        config: ConfigArgument,
        #[command(flatten)]
        last_good: LastGoodArgument,
        #[command(subcommand)]
        act: Option<dead_letters::Act>,
    },
    /// Writes the man pages and the shells' completions into a directory: for whoever makes a package.
    #[command(hide = true)]
    Manual { directory: PathBuf },
}

/// As sysexits has no better word: the contract's exit code for a bad configuration.
const BAD_CONFIGURATION: u8 = 2;

/// Each page, till and file takes a descriptor. Many systems give a process 1,024 of them unless it asks.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        let raised = Rlimit {
            current: maximum,
            maximum,
        };
        // Refused: fewer pages can be open at a time.
        let _ = setrlimit(Resource::Nofile, raised);
    }
}

fn main() -> ExitCode {
    heap::share();
    let arguments = Arguments::parse();
    raise_descriptor_limit();
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
    let (argument, last_good) = match &command {
        Command::Demo(options) => return demo::run(options).await,
        Command::Manual { directory } => return manual(directory),
        Command::Run {
            config, last_good, ..
        }
        | Command::Check {
            config, last_good, ..
        }
        | Command::Backup {
            config, last_good, ..
        }
        | Command::DeadLetters {
            config, last_good, ..
        } => (config, last_good.last_good.clone()),
    };
    let file = argument.config.clone();
    let (config, problem) = match Config::load_or_last_good(file.as_deref(), last_good.as_deref()) {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("gateway: the configuration is not valid: {error}");
            return Ok(ExitCode::from(BAD_CONFIGURATION));
        }
    };
    if let (Some(problem), Command::Backup { .. } | Command::DeadLetters { .. }) = (&problem, &command) {
        eprintln!("gateway: {problem}; the last good settings are used");
    }
    match command {
        Command::Demo(_) | Command::Manual { .. } => Ok(ExitCode::SUCCESS),
        Command::Run { report, .. } => {
            let kept = Kept {
                file,
                last_good,
                report: report.settings_report,
            };
            match run(config, kept, problem).await {
                Err(error) if error.is::<ConfigError>() => {
                    eprintln!("gateway: the configuration does not work: {error}");
                    Ok(ExitCode::from(BAD_CONFIGURATION))
                }
                ended => ended,
            }
        }
        Command::Check { offline, .. } => {
            let mut code = ExitCode::SUCCESS;
            match &problem {
                None => println!("ok      configuration"),
                Some(problem) => println!("FAILED  configuration: {problem}; the last good one is used"),
            }
            if offline {
                return Ok(code);
            }
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

/// Where settings, and what is said about them, are kept.
struct Kept {
    file: Option<PathBuf>,
    last_good: Option<PathBuf>,
    report: Option<PathBuf>,
}

/// With the present settings. Where these do not work: with the last good ones, and what was wrong.
async fn build(
    config: &mut Config,
    kept: &Kept,
    problems: &[ConfigError],
) -> anyhow::Result<(App, Option<ConfigError>)> {
    let file = kept.file.as_deref();
    let error = match App::build(config, problems.to_vec()).await {
        Ok(app) => return Ok((app, None)),
        Err(error) => match error.downcast::<ConfigError>() {
            Ok(problem) => problem.found_at_start(file).into(),
            Err(error) => error,
        },
    };
    let Some(last_good) = Config::other_last_good(file, kept.last_good.as_deref()) else {
        return Err(error);
    };
    let problem = match error.downcast_ref::<ConfigError>() {
        Some(problem) => problem.clone(),
        None => ConfigError {
            place: file.map(|file| file.display().to_string()),
            key: None,
            message: format!("{error:#}"),
        },
    };
    let with = [std::slice::from_ref(&problem), problems].concat();
    // Where these do not work either, what is wrong with the present ones is what is to be said.
    let app = App::build(&last_good, with).await.map_err(|_| error)?;
    *config = last_good;
    Ok((app, Some(problem)))
}

async fn run(mut config: Config, kept: Kept, problem: Option<ConfigError>) -> anyhow::Result<ExitCode> {
    log(&config.log)?;
    let reported = match kept.report.as_deref().map(read_report) {
        None => Vec::new(),
        Some(Ok(reported)) => reported,
        Some(Err(error)) => {
            warn!(%error, "the settings' report cannot be read");
            Vec::new()
        }
    };
    let mut problems: Vec<ConfigError> = problem.iter().cloned().chain(reported).collect();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (app, problem) = match problem {
        // On its last good ones already.
        Some(problem) => (App::build(&config, problems.clone()).await?, Some(problem)),
        None => {
            let (app, problem) = build(&mut config, &kept, &problems).await?;
            problems.splice(0..0, problem.clone());
            (app, problem)
        }
    };
    for problem in &problems {
        error!(%problem, "the settings are not valid: going on with the last good ones");
    }
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
    // Only now: with these settings the files and ports could be opened.
    if let (Some(last_good), None) = (&kept.last_good, &problem)
        && let Err(error) = keep_as_last_good(kept.file.as_deref(), last_good)
    {
        warn!(%error, file = %last_good.display(), "the settings could not be kept for a later start");
    }
    let mut running = app.start()?;
    service::ready(&match problems.first() {
        Some(problem) => format!("ON ITS LAST GOOD SETTINGS: {problem}"),
        None => format!("store {}, dashboard on {http}", config.store),
    });
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
    let code = tokio::select! {
        _ = terminate.recv() => {
            info!("SIGTERM: stopping");
            ExitCode::SUCCESS
        }
        _ = interrupt.recv() => {
            info!("interrupted: stopping");
            ExitCode::SUCCESS
        }
        // systemd starts it anew.
        _ = running.failed() => ExitCode::FAILURE,
        () = service::watchdog(http) => ExitCode::FAILURE,
    };
    service::stopping();
    running.stop().await;
    Ok(code)
}

/// `gateway.1`, `gateway-run.1` …, `gateway.bash`, `_gateway` (zsh), `gateway.fish`.
fn manual(directory: &Path) -> anyhow::Result<ExitCode> {
    std::fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut Arguments::command(), "gateway", directory)?;
    }
    clap_mangen::generate_to(Arguments::command(), directory)?;
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
