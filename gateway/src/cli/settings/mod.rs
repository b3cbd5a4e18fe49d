//! `gateway settings`: translates the Pi image's `comptoir.txt` into the files that its services read.
//!
//! ```text
//! comptoir.txt ──file──▶ Entries ──secrets──▶ with stored values ──valid──▶ Settings ──output──▶ DIR/settings.env, …
//!                  └────────────── problems ──────────────────────────────────────────────────▶ DIR/problems, stderr
//! ```
//!
//! If every setting is valid, all result files are written; otherwise only `problems` is. So a typing error never
//! leaves a Pi half configured. The image's shell script installs the files and makes no decision about a value.

mod file;
mod form;
mod gateway_check;
mod key;
mod output;
mod problem;
mod secrets;
mod valid;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use problem::Problem;
use valid::Settings;

/// The exit code for invalid settings, the same as for an invalid configuration file.
const INVALID_SETTINGS: u8 = 2;

// No doc comment: clap would print it in place of the subcommand's own description.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The settings file, with one KEY=value per line
    #[arg(value_name = "FILE", default_value = "/boot/firmware/comptoir.txt")]
    file: PathBuf,
    /// Directory for the results. It must exist, and only root may read it, because it will contain passwords
    ///
    /// Always writes settings.env, hostname, timezone and mqtt-users, and, if they are set, wpa_supplicant.conf and
    /// authorized_keys (or authorized_keys.unchanged). `stored` contains the secrets for the next start. comptoir.txt
    /// contains the settings, with each secret replaced by (stored).
    ///
    /// If a setting has an error, only `problems` is written: one error per line, with place, key and message separated by
    /// tabs, for `gateway run --settings-report`.
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
    /// The gateway's configuration file, which the settings are checked with
    #[arg(long, value_name = "FILE", default_value = "/etc/comptoir/gateway.toml")]
    config: PathBuf,
    /// Fallback: the last configuration that started
    #[arg(long, value_name = "FILE")]
    last_good: Option<PathBuf>,
    /// The secrets of the previous start, for settings whose value is (stored)
    #[arg(long, value_name = "FILE")]
    stored: Option<PathBuf>,
    /// Accept no new SSH key, because settings of this card have been applied before
    #[arg(long)]
    set_up: bool,
    /// Directory of the time zone database
    #[arg(long, value_name = "DIR", default_value = "/usr/share/zoneinfo")]
    zoneinfo: PathBuf,
}

/// Reads the settings and writes either the results or the problems. Exits with 2 if a setting has an error.
///
/// # Errors
///
/// The output cannot be written, or the gateway's own check cannot be started.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match read(arguments)? {
        Ok(Valid {
            names,
            settings,
            stored,
        }) => {
            let bytes = std::fs::read(&arguments.file)
                .with_context(|| format!("{}: cannot be read", arguments.file.display()))?;
            let write = |name, bytes: &[u8]| output::write_file(&arguments.output, name, bytes);
            output::write(&arguments.output, &settings)
                .and_then(|()| write(output::STORED, stored.as_bytes()))
                .and_then(|()| write(output::WITHOUT_SECRETS, &secrets::erase(&bytes)))
                .with_context(|| format!("{}: cannot be written", arguments.output.display()))?;
            println!("{}: {}", file_name(arguments), names.join(" "));
            Ok(ExitCode::SUCCESS)
        }
        Err(problems) => {
            let name = file_name(arguments);
            let path = arguments.output.join(output::PROBLEMS);
            std::fs::write(&path, problem::for_gateway(&name, &problems))
                .with_context(|| format!("{}: cannot be written", path.display()))?;
            eprint!("{}", problem::report(&name, &problems));
            Ok(ExitCode::from(INVALID_SETTINGS))
        }
    }
}

struct Valid {
    /// The names of the keys that are set.
    names: Vec<&'static str>,
    settings: Settings,
    /// The secrets for the next start.
    stored: String,
}

fn read(arguments: &Arguments) -> anyhow::Result<Result<Valid, Vec<Problem>>> {
    let (mut entries, mut problems) = file::read(&arguments.file);
    let earlier = secrets::read_earlier(arguments.stored.as_deref(), arguments.set_up);
    problems.extend(secrets::restore(&mut entries, &earlier));
    let settings = match Settings::from_entries(&entries, &arguments.zoneinfo) {
        Ok(settings) if problems.is_empty() => settings,
        Ok(_) => {
            problems.sort_by_key(|problem| problem.line.unwrap_or(usize::MAX));
            return Ok(Err(problems));
        }
        Err(more) => {
            problems.extend(more);
            // In file order; a problem about an absent key comes last.
            problems.sort_by_key(|problem| problem.line.unwrap_or(usize::MAX));
            return Ok(Err(problems));
        }
    };
    // Last, because the gateway reports only one problem, which may follow from one above.
    let refusal = gateway_check::refusal(
        &arguments.config,
        arguments.last_good.as_deref(),
        settings.variables(),
    )?;
    Ok(match refusal {
        None => Ok(Valid {
            names: entries.names(),
            settings,
            stored: secrets::stored(&entries, &earlier),
        }),
        Some(sentence) => Err(vec![Problem::refused_by_gateway(sentence)]),
    })
}

fn file_name(arguments: &Arguments) -> String {
    let name = arguments.file.file_name().unwrap_or(arguments.file.as_os_str());
    name.to_string_lossy().into_owned()
}
