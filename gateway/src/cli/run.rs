//! `gateway run`: builds the gateway, notifies systemd, and waits for the end.
//!
//! A configuration can fail at two points: while it is read and checked, and while the gateway opens its files and
//! ports with it. In both cases the gateway starts with the last configuration that worked, if there is one, and shows
//! the error of the present one in the log, in `systemctl status` and on the gateway page. Otherwise the process ends
//! with exit code 2 and a one-sentence error.

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};

use crate::app::App;
use crate::app::SECTION_CHECKS;
use crate::config::{Config, ConfigError, read_report, save_as_last_good};
use crate::http::AppState;
use crate::platform::address;
use crate::platform::systemd;

use super::arguments::ConfigArguments;
use super::config_files::LoadedConfig;
use super::{INVALID_CONFIGURATION, logging};

/// Runs the gateway until a signal arrives or one of its parts fails.
///
/// # Errors
/// The gateway cannot start for a reason other than its configuration.
pub async fn run(arguments: &ConfigArguments, settings_report: Option<&Path>) -> anyhow::Result<ExitCode> {
    let loaded = match arguments.load() {
        Ok(loaded) => loaded,
        Err(code) => return Ok(code),
    };
    match run_loaded(loaded, arguments, settings_report).await {
        Err(error) if error.is::<ConfigError>() => {
            eprintln!("gateway: the configuration does not work: {error}");
            Ok(ExitCode::from(INVALID_CONFIGURATION))
        }
        result => result,
    }
}

async fn run_loaded(
    loaded: LoadedConfig,
    arguments: &ConfigArguments,
    settings_report: Option<&Path>,
) -> anyhow::Result<ExitCode> {
    logging::init(&loaded.config.log)?;
    let reported = read_reported_problems(settings_report);
    // Registered before the start, so that a signal during the start is not lost.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let BuiltApp { app, config, problem } = build(loaded, arguments, &reported).await?;
    let problems: Vec<&ConfigError> = problem.iter().chain(&reported).collect();
    for problem in &problems {
        error!(%problem, "the configuration has an error: running with the last good configuration");
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
    let access = app.state.clone();
    let tls = app.state.tls.clone();
    // The configuration is known to work only now that its files and ports are open.
    if problem.is_none() {
        save_fallback(arguments);
    }
    let mut running = app.start()?;
    systemd::ready(&match problems.first() {
        Some(problem) => format!("ON ITS LAST GOOD SETTINGS: {problem}"),
        None => format!("store {}, dashboard on {http}", config.store),
    });
    let urls = running.page_urls(http);
    info!(
        addresses = urls.join(" "),
        "pages are available on the local network"
    );
    announce_access(&access, urls.first()).await;
    if let Some(authority) = tls.as_ref().and_then(|tls| tls.authority.as_ref()) {
        let page = urls
            .first()
            .map(|url| format!("{}/trust", url.replacen("https:", "http:", 1)));
        info!(
            fingerprint = authority.fingerprint,
            page, "each device must trust the gateway's certificate authority once; the page explains it"
        );
    }
    if std::io::stdout().is_terminal()
        && let Some(code) = urls.first().and_then(|url| address::qr(url))
    {
        println!("{code}");
    }
    let health = running.health();
    let code = tokio::select! {
        _ = terminate.recv() => {
            info!("stopping: received SIGTERM");
            ExitCode::SUCCESS
        }
        _ = interrupt.recv() => {
            info!("stopping: interrupted");
            ExitCode::SUCCESS
        }
        // systemd restarts the service after a failure.
        _ = running.wait_for_failure() => ExitCode::FAILURE,
        () = systemd::watchdog(async |deadline| health.check(deadline).await) => ExitCode::FAILURE,
    };
    systemd::stopping();
    running.stop().await;
    Ok(code)
}

/// Logs how to set the gateway up, or warns that it is open.
async fn announce_access(app: &AppState, url: Option<&String>) {
    let page = url.map_or("/setup".to_owned(), |url| format!("{url}/setup"));
    let Some(accounts) = app.access.accounts() else {
        warn!("http.open is true: everyone on the network can read and change everything");
        return;
    };
    match accounts.setup_code().await {
        Ok(None) => {}
        Ok(Some(code)) => {
            warn!("the gateway has no administrator yet: open {page} and type the set-up code {code}")
        }
        Err(error) => error!(%error, "the accounts cannot be opened: nobody can sign in"),
    }
}

/// Reads the errors that another program found in its own settings. An unreadable report does not prevent the start.
fn read_reported_problems(report: Option<&Path>) -> Vec<ConfigError> {
    let Some(file) = report else {
        return Vec::new();
    };
    read_report(file).unwrap_or_else(|error| {
        warn!(%error, file = %file.display(), "the settings report cannot be read");
        Vec::new()
    })
}

fn save_fallback(arguments: &ConfigArguments) {
    if let Some(last_good) = &arguments.last_good
        && let Err(error) = save_as_last_good(arguments.config.as_deref(), last_good)
    {
        warn!(%error, file = %last_good.display(), "the configuration could not be saved as the fallback");
    }
}

/// A built gateway and the configuration it was built from.
struct BuiltApp {
    app: App,
    config: Config,
    /// Why the fallback was used.
    problem: Option<ConfigError>,
}

/// Builds the gateway from the loaded configuration or, if that fails, from the last good one.
///
/// # Errors
/// Neither works. The error is about the present configuration, because that is what must be corrected.
async fn build(
    loaded: LoadedConfig,
    arguments: &ConfigArguments,
    reported: &[ConfigError],
) -> anyhow::Result<BuiltApp> {
    let LoadedConfig { config, problem } = loaded;
    let is_fallback = problem.is_some();
    let problems: Vec<ConfigError> = problem.iter().chain(reported).cloned().collect();
    let file = arguments.config.as_deref();
    let error = match App::build(&config, problems).await {
        Ok(app) => {
            return Ok(BuiltApp { app, config, problem });
        }
        Err(error) if is_fallback => return Err(error),
        Err(error) => match error.downcast::<ConfigError>() {
            Ok(problem) => problem.with_place(file).into(),
            Err(error) => error,
        },
    };
    let last_good = Config::differing_last_good(file, arguments.last_good.as_deref(), SECTION_CHECKS);
    let Some(last_good) = last_good else {
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
    let problems = [std::slice::from_ref(&problem), reported].concat();
    let app = App::build(&last_good, problems).await.map_err(|_| error)?;
    Ok(BuiltApp {
        app,
        config: last_good,
        problem: Some(problem),
    })
}
