//! The command line of `gateway`: one file per subcommand.
//!
//! [`arguments`] declares the command-line grammar and the text of `--help`. [`config_files`] loads the configuration
//! for every subcommand that needs one. Messages for the person at the shell go to standard error with the prefix
//! `gateway: `; results go to standard output.

mod archive;
mod arguments;
mod audit;
mod backup;
mod check;
mod config_files;
mod customer;
mod dead_letters;
mod demo;
mod forget;
mod logging;
mod manual;
mod recovery_code;
mod run;
mod running_gateway;
mod settings;
mod users;

use std::process::ExitCode;

use clap::Parser;
use rustix::fs::Mode;

use crate::platform::{heap, panics};
use arguments::{Arguments, Command};

/// Exit code for an invalid configuration. clap uses the same code for an invalid command line.
const INVALID_CONFIGURATION: u8 = 2;

/// Fixed, so that measurements on a small gateway (two threads) hold on every machine.
const WORKER_THREADS: usize = 2;

/// Parses the command line and runs the subcommand to its end.
pub fn main() -> ExitCode {
    heap::use_single_arena();
    let arguments = Arguments::parse();
    panics::install_hook();
    raise_descriptor_limit();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKER_THREADS)
        .on_thread_start(panics::mark_own_thread)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("gateway: the async runtime cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = match runtime.block_on(execute(arguments.command)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("gateway: {error:#}");
            ExitCode::FAILURE
        }
    };
    // A thread that is blocked in a call to an unresponsive Kafka must not delay the exit.
    runtime.shutdown_background();
    code
}

async fn execute(command: Command) -> anyhow::Result<ExitCode> {
    // The image runs `settings` as another user, and man pages must be readable by everyone.
    if !matches!(command, Command::Settings(_) | Command::Manual { .. }) {
        keep_files_private();
    }
    match command {
        Command::Demo(arguments) => demo::run(&arguments).await,
        Command::Run { config, report } => run::run(&config, report.settings_report.as_deref()).await,
        Command::Check { config, offline } => check::run(&config, offline).await,
        Command::Backup { config, file } => backup::run(&config, &file).await,
        Command::Archive {
            config,
            from,
            to,
            file,
        } => archive::run(&config, from, to, &file).await,
        // The configuration plays no part, but every command takes its options.
        Command::Verify { file, key, config: _ } => archive::run_verify(&file, key).await,
        Command::RecoveryCode {
            config,
            action,
            force,
        } => recovery_code::run(&config, &action, force).await,
        Command::DeadLetters { config, action } => dead_letters::run(&config, action).await,
        Command::Users { config, action } => users::run(&config, action).await,
        Command::Tokens { config, action } => users::run_tokens(&config, action).await,
        Command::Audit { config, action } => audit::run(&config, action).await,
        Command::Forget { config, device } => forget::run(&config, &device).await,
        Command::Customer { config, action } => customer::run(&config, action).await,
        Command::Settings(arguments) => settings::run(&arguments),
        Command::Manual { directory } => manual::write(&directory),
    }
}

/// Makes the gateway's files readable only by its own user: the journal and its copies contain customers' names.
fn keep_files_private() {
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
}

/// Raises the soft limit of open file descriptors to the hard limit. Every page, till and file takes one, and many
/// systems start a process with a soft limit of 1,024.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        let raised = Rlimit {
            current: maximum,
            maximum,
        };
        // If the system refuses, the gateway works with fewer concurrent connections.
        let _ = setrlimit(Resource::Nofile, raised);
    }
}
