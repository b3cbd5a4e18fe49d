//! `gateway dead-letters`: inspects and retries the messages that could not be decoded.
//!
//! `list` and `show` read the journal directly and do not need a running gateway. `retry` asks the running gateway over
//! HTTP, because the journal has a single writer.

use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::config::Config;
use comptoir_journal::{DeadLetter, Offset, dead_letter_of, dead_letters_of};

use super::arguments::ConfigArguments;
use super::running_gateway::RunningGateway;

const DEFAULT_LIMIT: u32 = 50;
const BYTES_PER_LINE: usize = 16;

#[derive(Subcommand)]
pub enum Action {
    /// List the newest dead letters, one per line
    List {
        /// How many to list
        #[arg(long, value_name = "N", default_value_t = DEFAULT_LIMIT)]
        limit: u32,
    },
    /// Show one dead letter with its complete payload
    Show {
        /// The dead letter's number in the list
        offset: u64,
    },
    /// Decode a dead letter again, and store the event if that succeeds; the gateway must be running
    Retry {
        /// Its number in the list
        offset: u64,
    },
}

/// Performs `action`; without one, lists the newest dead letters.
///
/// # Errors
/// The journal cannot be read, it has no such dead letter, or the running gateway refuses the retry or does not answer.
pub async fn run(arguments: &ConfigArguments, action: Option<Action>) -> anyhow::Result<ExitCode> {
    let config = match arguments.load_for_command() {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    match action.unwrap_or(Action::List { limit: DEFAULT_LIMIT }) {
        Action::List { limit } => list(&config, limit).await?,
        Action::Show { offset } => show(&find(&config, offset).await?),
        Action::Retry { offset } => retry(&config, offset).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(config: &Config, limit: u32) -> anyhow::Result<()> {
    let letters = dead_letters_of(&config.journal.path, None, limit).await?;
    if letters.is_empty() {
        println!("no dead letters");
    }
    for letter in letters {
        let note = match letter.retried {
            Some(_) => "  (stored by a retry)",
            None => "",
        };
        println!(
            "{:>8}  {}  {}  {} bytes  {}{note}",
            letter.offset.0,
            local(letter.time),
            letter.topic,
            letter.bytes,
            letter.reason,
        );
    }
    Ok(())
}

async fn find(config: &Config, offset: u64) -> anyhow::Result<DeadLetter> {
    dead_letter_of(&config.journal.path, Offset(offset))
        .await?
        .with_context(|| {
            format!("there is no dead letter {offset}; `gateway dead-letters list` shows the numbers")
        })
}

fn show(letter: &DeadLetter) {
    let entry = &letter.entry;
    println!("name      {}", entry.name);
    println!("received  {}", local(entry.time));
    println!("topic     {}", entry.key);
    println!("reason    {}", entry.reason.as_deref().unwrap_or_default());
    if let Some(at) = letter.retried {
        println!("stored    {}", local(at));
    }
    println!();
    for (line, bytes) in entry.payload.chunks(BYTES_PER_LINE).enumerate() {
        let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let text: String = bytes
            .iter()
            .map(|&byte| match byte {
                0x20..0x7f => char::from(byte),
                _ => '.',
            })
            .collect();
        println!("{:08x}  {:<47}  {text}", line * BYTES_PER_LINE, hex.join(" "));
    }
}

/// Asks the running gateway to retry, because it is the journal's only writer.
async fn retry(config: &Config, offset: u64) -> anyhow::Result<()> {
    let path = format!("/api/dead-letters/{offset}/retry");
    let body = RunningGateway::of(config)?.post(&path, None).await?;
    println!("stored as {}", body["ce_id"].as_str().unwrap_or_default());
    Ok(())
}

/// Unix milliseconds as local time, to the second.
fn local(ms: i64) -> String {
    let at = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH);
    at.to_zoned(TimeZone::system())
        .strftime("%Y-%m-%d %H:%M:%S")
        .to_string()
}
