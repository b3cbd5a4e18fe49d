//! `pos-sim`: simulated tills from the command line.

mod arguments;
mod report;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use comptoir_sim::interactive::{self, Language};
use comptoir_sim::{Progress, SimError};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use arguments::{Command, CommandLine, SimulationArguments, TillArguments};

/// Exit code if some events are not acked.
const NOT_ALL_ACKED: u8 = 1;
/// Exit code for invalid arguments or an unusable file.
const UNUSABLE: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let command_line = CommandLine::parse();
    match (command_line.command, command_line.simulation) {
        (Some(Command::Till(arguments)), _) => run_interactive(arguments).await,
        (None, Some(arguments)) => simulate(arguments).await,
        (None, None) => {
            CommandLine::command().print_help().ok();
            ExitCode::from(UNUSABLE)
        }
    }
}

async fn simulate(mut arguments: SimulationArguments) -> ExitCode {
    let summary_file = arguments.summary.take();
    let plan = arguments.plan();
    allow_many_connections();
    eprintln!("pos-sim: seed {}", plan.seed);

    let stop = CancellationToken::new();
    let (sender, progress) = watch::channel(Progress::default());
    let run = comptoir_sim::run(plan, stop.clone(), sender);
    let display = tokio::spawn(report::show_progress(progress));
    let outcome = tokio::select! {
        outcome = run => outcome,
        () = interrupted_twice(stop) => {
            eprintln!("pos-sim: interrupted before everything was acked");
            return ExitCode::from(NOT_ALL_ACKED);
        }
    };
    // It ends because the run has dropped the sender.
    let _ = display.await;
    match outcome {
        Ok(summary) => {
            eprint!("{}", report::describe(&summary));
            if let Some(file) = summary_file
                && let Err(error) = report::write_summary(&file, &summary)
            {
                eprintln!("pos-sim: write {}: {error}", file.display());
                return ExitCode::from(UNUSABLE);
            }
            if summary.unacked == 0 && summary.lost == 0 {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(NOT_ALL_ACKED)
            }
        }
        Err(error) => {
            eprintln!("pos-sim: {error}");
            let is_internal = matches!(error, SimError::Task(_) | SimError::Latencies(_));
            ExitCode::from(if is_internal { NOT_ALL_ACKED } else { UNUSABLE })
        }
    }
}

async fn run_interactive(arguments: TillArguments) -> ExitCode {
    let locale = ["LC_ALL", "LC_MESSAGES", "LANG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    let options = interactive::Options {
        broker: arguments.broker,
        store: arguments.store,
        device: arguments.device,
        queue: arguments.queue,
        language: arguments.lang.unwrap_or(Language::of(locale.as_deref())),
    };
    match interactive::run(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pos-sim: {error}");
            ExitCode::from(UNUSABLE)
        }
    }
}

/// Raises the limit of open files: each till is a file descriptor, and the usual soft limit is 1024.
fn allow_many_connections() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // If this fails, the tills beyond the limit report an error when they connect.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// Cancels `stop` at the first SIGINT or SIGTERM, and returns at the second.
async fn interrupted_twice(stop: CancellationToken) {
    let Ok(mut terminated) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    for _ in 0..2 {
        tokio::select! {
            interrupt = tokio::signal::ctrl_c() => if interrupt.is_err() {
                return std::future::pending().await;
            },
            _ = terminated.recv() => {}
        }
        if !stop.is_cancelled() {
            eprintln!(
                "pos-sim: no more sales; waiting for the last acks (press Ctrl-C again to end at once)"
            );
            stop.cancel();
        }
    }
}
