//! `gateway manual`: man pages and shell completions, generated from the command line's grammar.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::CommandFactory;
use clap_complete::Shell;

use super::arguments::Arguments;

/// Writes `gateway.1`, `gateway-run.1` and so on, `gateway.bash`, `_gateway` (zsh) and `gateway.fish`.
///
/// # Errors
/// The directory or a file in it cannot be written.
pub fn write(directory: &Path) -> anyhow::Result<ExitCode> {
    std::fs::create_dir_all(directory).with_context(|| format!("create {}", directory.display()))?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut Arguments::command(), "gateway", directory)?;
    }
    clap_mangen::generate_to(Arguments::command(), directory)?;
    Ok(ExitCode::SUCCESS)
}
