//! `gateway backup`: a consistent copy of the journal.

use std::path::Path;
use std::process::ExitCode;

use comptoir_journal::Journal;

use super::arguments::ConfigArguments;

/// Copies the journal to `file`, even while a gateway writes to it.
///
/// # Errors
/// The journal cannot be read, or `file` exists or cannot be written.
pub async fn run(arguments: &ConfigArguments, file: &Path) -> anyhow::Result<ExitCode> {
    let config = match arguments.load_for_command() {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    let journal = &config.journal.path;
    Journal::backup(journal, file).await?;
    println!("copied {} to {}", journal.display(), file.display());
    println!("the copy does not contain the shop's secret: keep its code too (gateway recovery-code)");
    Ok(ExitCode::SUCCESS)
}
