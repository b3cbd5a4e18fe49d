//! `gateway audit`: lists the audit log and verifies its hash chain, whether or not a gateway is running.

use std::process::ExitCode;

use clap::Subcommand;
use comptoir_identity::{Accounts, AuditEntry};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::arguments::ConfigArguments;
use super::users::accounts;

const DEFAULT_LIMIT: u32 = 50;

#[derive(Subcommand)]
pub enum Action {
    /// List the newest entries, one per line
    List {
        /// How many to list
        #[arg(long, value_name = "N", default_value_t = DEFAULT_LIMIT)]
        limit: u32,
    },
    /// Verify that no entry was changed or removed, and print the last hash
    Verify,
}

/// Performs `action`; without one, lists the newest entries.
///
/// # Errors
/// The accounts file cannot be read.
pub async fn run(arguments: &ConfigArguments, action: Option<Action>) -> anyhow::Result<ExitCode> {
    let config = match arguments.load_for_command() {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    let accounts = accounts(&config)?;
    let code = match action.unwrap_or(Action::List { limit: DEFAULT_LIMIT }) {
        Action::List { limit } => list(&accounts, limit).await?,
        Action::Verify => verify(&accounts).await?,
    };
    accounts.close().await;
    Ok(code)
}

async fn list(accounts: &Accounts, limit: u32) -> anyhow::Result<ExitCode> {
    let entries = accounts.audit_entries(None, limit).await?;
    if entries.is_empty() {
        println!("no entries");
    }
    for entry in entries {
        println!("{}", line(&entry));
    }
    Ok(ExitCode::SUCCESS)
}

fn line(entry: &AuditEntry) -> String {
    let mut line = format!("{:>8}  {}  {}", entry.id, local(entry.at), entry.action);
    if let Some(subject) = &entry.subject {
        line += &format!(" {subject:?}");
    }
    let kind = entry.actor_kind.name();
    line += &match entry.actor.as_str() {
        "" => format!("  by {kind}"),
        actor => format!("  by {kind} {actor:?}"),
    };
    if let Some(address) = entry.address {
        line += &format!(" from {}", address.to_canonical());
    }
    for (name, value) in [("before", &entry.before), ("after", &entry.after)] {
        if let Some(value) = value {
            line += &format!("  {name} {value}");
        }
    }
    line
}

async fn verify(accounts: &Accounts) -> anyhow::Result<ExitCode> {
    let report = match accounts.verify_audit().await? {
        Ok(report) => report,
        Err(error) => {
            eprintln!("gateway: {error}");
            return Ok(ExitCode::FAILURE);
        }
    };
    let Some(tip) = report.tip else {
        println!("The hash chain has not started: there is no entry since this version was installed.");
        return Ok(ExitCode::SUCCESS);
    };
    println!(
        "All {} entries fit the hash chain, and so do {} entries of an earlier version.",
        report.chained, report.earlier
    );
    println!("Last hash: {tip}");
    Ok(ExitCode::SUCCESS)
}

/// Local time, to the second.
fn local(at: Timestamp) -> String {
    at.to_zoned(TimeZone::system())
        .strftime("%Y-%m-%d %H:%M:%S")
        .to_string()
}
