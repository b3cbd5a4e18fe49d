//! The last check: does the gateway accept its part of the settings?

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context;

use super::valid::Variable;

/// The error with which `gateway check --offline` refuses the variables combined with the configuration file; `None` if
/// it accepts them.
///
/// The check runs in a process of its own, because the configuration takes its variables from the process environment.
/// They are not passed as arguments, because every user of the machine can read a command line.
///
/// # Errors
///
/// The check cannot be started.
pub fn refusal(
    config: &Path,
    last_good: Option<&Path>,
    variables: &[Variable],
) -> anyhow::Result<Option<String>> {
    let program = std::env::current_exe().context("the path of this program is unknown")?;
    let mut check = Command::new(&program);
    check.args(["check", "--offline", "--config"]).arg(config);
    if let Some(last_good) = last_good {
        check.arg("--last-good").arg(last_good);
    }
    let output = check
        .envs(variables.iter().map(|variable| (variable.name, &variable.value)))
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{}: cannot be started", program.display()))?;
    if output.status.success() {
        return Ok(None);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let sentence = said.trim().strip_prefix("gateway: ").unwrap_or(said.trim());
    // The report has one problem per line.
    Ok(Some(sentence.replace(['\n', '\t'], " ")))
}
