//! The command line of `office`.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Parser, Subcommand};
use comptoir_core::sale;
use sqlx::{ConnectOptions as _, PgPool};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use tracing_subscriber::EnvFilter;

use crate::accounts::Accounts;
use crate::alerts::Alerts;
use crate::commands::sender::Sender;
use crate::config::{Config, ConfigError, Http, Log};
use crate::database::{self, Pools, ServerError};
use crate::descriptors;
use crate::health::Health;
use crate::http::{Access, AppState, Exports, Hosts, LimitedListener, OverviewCache, router, serve};
use crate::ingest::Ingest;
use crate::keys::ShopKeys;
use crate::live::{Live, LiveTail, watch_sessions};
use crate::metrics::Metrics;
use crate::oidc::Oidc;
use crate::record::{Checker, topics};

mod users;

use users::{TokenAction, UserAction};

/// Exit code for an invalid configuration. clap uses the same code for an invalid command line.
const INVALID_CONFIGURATION: u8 = 2;
/// Longest time from a signal to the end; anything still running is abandoned.
const SHUTDOWN: Duration = Duration::from_secs(8);
/// How often the tables are maintained.
const MAINTAIN_EVERY: Duration = Duration::from_secs(60);
/// How long Kafka may take to reply to `office check`.
const KAFKA_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause between attempts to prepare the database.
const PAUSE: Duration = Duration::from_secs(2);

/// The head office of a chain: reads the sales and the states of all shops from Kafka into PostgreSQL.
#[derive(Debug, Parser)]
#[command(
    name = "office",
    version,
    after_help = "Examples:\n  office check\n  office run --config office.toml\n  \
        COMPTOIR_POSTGRES__URL=postgres://office@db-1/comptoir office run\n  \
        office users add marie --role administrator --password-stdin <password-file\n  \
        office users add luc --role viewer --shops paris-1,paris-2 --password-stdin <password-file"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Read Kafka, write PostgreSQL and answer requests until a signal arrives
    ///
    /// Any number of replicas may run. They divide the partitions of the topics among themselves.
    Run(ConfigArguments),
    /// Validate the configuration and test the connections
    Check(ConfigArguments),
    /// Read all topics again from their beginning, for example because the key of a shop was missing
    ///
    /// Add the key to the file of `shops.keys`, stop all replicas, run this command, and start them: a replica that still runs
    /// without the key would keep the records apart again. Events that are already stored are not counted twice.
    Reread(ConfigArguments),
    /// Manage the users of the pages; lists them without a subcommand
    Users {
        #[command(flatten)]
        config: ConfigArguments,
        #[command(subcommand)]
        action: Option<UserAction>,
    },
    /// Manage the tokens of programs; lists them without a subcommand
    Tokens {
        #[command(flatten)]
        config: ConfigArguments,
        #[command(subcommand)]
        action: Option<TokenAction>,
    },
}

#[derive(Debug, Args)]
struct ConfigArguments {
    /// The configuration file [default: /etc/comptoir/office.toml, if it exists]
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
}

/// Parses the command line and runs the subcommand to its end.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("office: the async runtime cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(async {
        match arguments.command {
            Command::Run(config) => run(&config).await,
            Command::Check(config) => check(&config).await,
            Command::Reread(config) => reread(&config).await,
            Command::Users { config, action } => users::run(&config, action).await,
            Command::Tokens { config, action } => users::run_tokens(&config, action).await,
        }
    });
    // A thread that is blocked in a call to an unresponsive Kafka must not delay the exit.
    runtime.shutdown_background();
    match result {
        Ok(code) => code,
        Err(error) if error.is::<ConfigError>() => {
            eprintln!("office: the configuration does not work: {error}");
            ExitCode::from(INVALID_CONFIGURATION)
        }
        Err(error) => {
            eprintln!("office: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The loaded configuration, with the resources that it names.
struct LoadedConfig {
    config: Config,
    keys: ShopKeys,
    pools: Pools,
}

fn load(arguments: &ConfigArguments) -> Result<LoadedConfig, ConfigError> {
    let (config, pools) = load_pools(arguments)?;
    let file = &config.shops.keys;
    let keys = ShopKeys::read(file)
        .map_err(|error| ConfigError(format!("shops.keys: {}: {error}", file.display())))?;
    Ok(LoadedConfig { config, keys, pools })
}

fn load_pools(arguments: &ConfigArguments) -> Result<(Config, Pools), ConfigError> {
    let config = Config::load(arguments.config.as_deref())?;
    // The error does not show the URL, which may contain a password.
    let pools = config
        .postgres
        .url
        .as_ref()
        .and_then(|url| database::pools(url).ok());
    let pools = pools.ok_or_else(|| {
        let text =
            "postgres.url: not an address of PostgreSQL; for example \"postgres://office@db-1/comptoir\"";
        ConfigError(text.to_owned())
    })?;
    Ok((config, pools))
}

async fn run(arguments: &ConfigArguments) -> Result<ExitCode> {
    let LoadedConfig { config, keys, pools } = load(arguments)?;
    start_log(&config.log)?;
    // Registered before the start, so that a signal during the start is not lost.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = CancellationToken::new();
    let (metrics, health) = (Arc::new(Metrics::new()?), Arc::new(Health::default()));
    let max_connections = config.http.max_connections;
    descriptors::reserve(max_connections)?;
    let listener = listen(&config.http).await?;
    let live = Live::new(max_connections, Arc::clone(&metrics));
    info!(
        version = env!("CARGO_PKG_VERSION"),
        kafka = config.kafka.brokers,
        shops = keys.len(),
        http = %listener.local_addr()?,
        "started"
    );
    let access = Access {
        accounts: Accounts::new(pools.requests.clone(), Arc::clone(&metrics)),
        hosts: Hosts {
            names: config
                .http
                .hosts
                .iter()
                .map(|host| host.to_ascii_lowercase())
                .collect(),
            has_addresses: config.http.is_on_network(),
        },
        trusted_proxies: config.http.trusted_networks()?,
        plain_sign_in: config.http.plain_sign_in,
        is_local: !config.http.is_on_network(),
        oidc: config
            .oidc
            .check()?
            .map(|issuer| Oidc::new(&config.oidc, issuer))
            .transpose()?,
    };
    let access = Arc::new(access);
    tokio::spawn(watch_sessions(
        Arc::clone(&live),
        Arc::clone(&access),
        stop.clone(),
    ));
    let stored_commands = Arc::new(Notify::new());
    let state = AppState {
        pool: pools.requests,
        access,
        overviews: OverviewCache::default(),
        prefix: config.kafka.topic_prefix.clone(),
        metrics: Arc::clone(&metrics),
        health: Arc::clone(&health),
        exports: Exports::default(),
        stored_commands: Arc::clone(&stored_commands),
        live: Arc::clone(&live),
    };
    let listener = LimitedListener::new(listener, max_connections, config.http.trusted_networks()?);
    let mut server = tokio::spawn(serve(listener, router(state), stop.clone()));
    let receivers = config.receivers()?;
    let alerts = if receivers.is_empty() {
        None
    } else {
        let alerts = Alerts::new(
            pools.own.clone(),
            &config.kafka.topic_prefix,
            receivers,
            Arc::clone(&metrics),
            Arc::clone(&health),
        )?;
        Some(tokio::spawn(alerts.run(stop.clone())))
    };
    let sender = Sender {
        pool: pools.own.clone(),
        kafka: config.kafka_settings(),
        metrics: Arc::clone(&metrics),
        health: Arc::clone(&health),
        stored: stored_commands,
    };
    tokio::spawn(sender.run(stop.clone()));
    let group = format!("{}{}", config.kafka.topic_prefix, config.kafka.group);
    let checker = Arc::new(Checker {
        keys,
        unsigned_before: config.shops.unsigned_before,
        prefix: config.kafka.topic_prefix.clone(),
    });
    let tail = LiveTail {
        kafka: config.kafka_settings(),
        group: format!("{group}-live"),
        checker: Arc::clone(&checker),
        live,
        stop: stop.clone(),
    };
    let mut following = tokio::task::spawn_blocking(|| tail.run());
    let ingest = Ingest {
        kafka: config.kafka_settings(),
        group,
        pool: pools.own,
        checker,
        metrics,
        health: Arc::clone(&health),
        runtime: Handle::current(),
        stop: stop.clone(),
    };
    let mut reading = tokio::spawn(prepare_and_read(ingest, config.retention.events));
    let failure = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        result = &mut reading => Some(result.map_err(Into::into).and_then(|result| result)),
        result = &mut following => Some(result.map_err(Into::into).and_then(|result| Ok(result?))),
        result = &mut server => Some(result.map_err(Into::into)),
    };
    stop.cancel();
    if let Some(result) = failure {
        result.context("the office has stopped")?;
        return Ok(ExitCode::FAILURE);
    }
    info!("stopping");
    let ended = tokio::time::timeout(SHUTDOWN, async {
        // All have been told to stop, so their results no longer matter.
        let _ = reading.await;
        let _ = following.await;
        let _ = server.await;
        if let Some(alerts) = alerts {
            let _ = alerts.await;
        }
    });
    if ended.await.is_err() {
        warn!(
            "Kafka, a client or a receiver of alerts does not reply; the office ends without waiting for it"
        );
    }
    info!("stopped");
    Ok(ExitCode::SUCCESS)
}

fn start_log(log: &Log) -> Result<(), ConfigError> {
    let filter = EnvFilter::try_new(&log.filter)
        .map_err(|error| ConfigError(format!("log.filter: {:?}: {error}", log.filter)))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    Ok(())
}

async fn listen(http: &Http) -> Result<TcpListener, ConfigError> {
    let failed = |error| ConfigError(format!("http.listen: {}: {error}", http.listen));
    let listener = TcpListener::bind(http.listen).await.map_err(failed)?;
    if let Some(file) = &http.port_file {
        let port = listener.local_addr().map_err(failed)?.port();
        std::fs::write(file, port.to_string())
            .map_err(|error| ConfigError(format!("http.port_file: {}: {error}", file.display())))?;
    }
    Ok(listener)
}

/// Prepares the database, then reads until the stop.
async fn prepare_and_read(ingest: Ingest, retention: Option<u32>) -> Result<()> {
    while let Err(error) = prepare(&ingest.pool, retention).await {
        let error = match error {
            ServerError::Query(sqlx::Error::Migrate(error)) => {
                bail!("the tables in PostgreSQL are not those of this version: {error}")
            }
            ServerError::Query(error) => error,
            error => bail!("postgres.url: {error}"),
        };
        ingest.health.database_failed(&error);
        tokio::select! {
            () = ingest.stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
    ingest.health.database_works();
    let (pool, stop) = (ingest.pool.clone(), ingest.stop.clone());
    let maintenance = async move {
        loop {
            if let Some(months) = retention
                && let Err(error) = database::expire(&pool, sale::now(), months).await
            {
                error!(%error, "old sales were not deleted");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(MAINTAIN_EVERY) => {}
            }
            if let Err(error) = database::maintain(&pool, sale::now(), retention).await {
                error!(%error, "the tables were not maintained");
            }
        }
    };
    tokio::spawn(maintenance);
    tokio::task::spawn_blocking(|| ingest.run()).await??;
    Ok(())
}

/// Creates the tables, or migrates them to this version.
async fn prepare(pool: &PgPool, retention: Option<u32>) -> Result<(), ServerError> {
    database::check_server(&mut *pool.acquire().await?).await?;
    // May take minutes, if it builds an index over years of sales.
    database::MIGRATIONS
        .run(pool)
        .await
        .map_err(|error| match error {
            sqlx::migrate::MigrateError::Execute(error)
            | sqlx::migrate::MigrateError::ExecuteMigration(error, _) => error,
            error => sqlx::Error::Migrate(Box::new(error)),
        })?;
    Ok(database::maintain(pool, sale::now(), retention).await?)
}

async fn check(arguments: &ConfigArguments) -> Result<ExitCode> {
    let LoadedConfig { config, keys, pools } = load(arguments)?;
    println!("configuration  ok: {} shop keys", keys.len());
    // Not through the pool, whose error would only say that it got no connection.
    let database = check_database(&pools.own).await;
    match &database {
        Ok(_) => println!("postgres       ok"),
        Err(error) => println!("postgres       {error}"),
    }
    let kafka = config.kafka_settings();
    let checked = tokio::task::spawn_blocking(move || {
        let names = topics(&kafka.prefix);
        names
            .iter()
            .map(|name| {
                comptoir_kafka::topic_exists(&kafka, name, KAFKA_TIMEOUT).map(|exists| (name.clone(), exists))
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| error.explained(&kafka))
    });
    let is_reached = match checked.await? {
        Ok(topics) => {
            let absent: Vec<_> = topics.iter().filter(|(_, exists)| !exists).collect();
            match absent.is_empty() {
                true => println!("kafka          ok"),
                false => println!(
                    "kafka          ok; the gateways have not created these topics yet: {}",
                    absent
                        .iter()
                        .map(|(name, _)| name.as_str())
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
            }
            true
        }
        Err(error) => {
            println!("kafka          {error}");
            false
        }
    };
    let is_mail_reached = match config.receivers()?.mail {
        None => true,
        Some(mailer) => {
            let checked = mailer.check().await;
            match &checked {
                Ok(()) => println!("mail           ok"),
                Err(error) => println!("mail           {error}"),
            }
            checked.is_ok()
        }
    };
    match database.is_ok() && is_reached && is_mail_reached {
        true => Ok(ExitCode::SUCCESS),
        false => Ok(ExitCode::FAILURE),
    }
}

async fn check_database(pool: &PgPool) -> Result<(), ServerError> {
    database::check_server(&mut pool.connect_options().connect().await?).await
}

async fn reread(arguments: &ConfigArguments) -> Result<ExitCode> {
    let LoadedConfig { pools, .. } = load(arguments)?;
    database::reread(&pools.own)
        .await
        .context("the positions cannot be removed")?;
    println!(
        "all topics will be read again from the beginning; events that are already stored are not counted twice"
    );
    Ok(ExitCode::SUCCESS)
}
