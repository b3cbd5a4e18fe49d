//! `gateway dead-letters`: beside a running gateway or without one.

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Subcommand;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::config::Config;
use crate::journal::{DeadLetter, Offset, dead_letters_of};

#[derive(Subcommand)]
pub enum Act {
    /// The newest, a line each.
    List {
        /// How many.
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// One, with all its bytes.
    Show {
        /// Its number, from the list.
        offset: u64,
    },
    /// Decodes one again and takes it in if that works now. The gateway must be running.
    Retry {
        /// Its number, from the list.
        offset: u64,
    },
}

pub async fn carry_out(config: &Config, act: Option<Act>) -> anyhow::Result<ExitCode> {
    match act.unwrap_or(Act::List { limit: 50 }) {
        Act::List { limit } => list(config, limit).await?,
        Act::Show { offset } => show(&find(config, offset).await?),
        Act::Retry { offset } => return retry(config, offset).await,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(config: &Config, limit: u32) -> anyhow::Result<()> {
    let letters = dead_letters_of(&config.journal.path, None, limit).await?;
    if letters.is_empty() {
        println!("no dead letters");
    }
    for letter in letters {
        let entry = &letter.entry;
        let again = if letter.retried.is_some() {
            "  (taken in since)"
        } else {
            ""
        };
        println!(
            "{:>8}  {}  {}  {} bytes  {}{again}",
            entry.offset.0,
            local(entry.time),
            entry.key,
            entry.payload.len(),
            entry.reason.as_deref().unwrap_or_default(),
        );
    }
    Ok(())
}

async fn find(config: &Config, offset: u64) -> anyhow::Result<DeadLetter> {
    let before = Some(Offset(offset.saturating_add(1)));
    dead_letters_of(&config.journal.path, before, 1)
        .await?
        .into_iter()
        .find(|letter| letter.entry.offset.0 == offset)
        .with_context(|| format!("there is no dead letter {offset}"))
}

fn show(letter: &DeadLetter) {
    let entry = &letter.entry;
    println!("name      {}", entry.name);
    println!("received  {}", local(entry.time));
    println!("topic     {}", entry.key);
    println!("reason    {}", entry.reason.as_deref().unwrap_or_default());
    if let Some(at) = letter.retried {
        println!("taken in  {}", local(at));
    }
    println!();
    for (line, bytes) in entry.payload.chunks(16).enumerate() {
        let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let text: String = bytes
            .iter()
            .map(|&byte| match byte {
                0x20..0x7f => char::from(byte),
                _ => '.',
            })
            .collect();
        println!("{:08x}  {:<47}  {text}", line * 16, hex.join(" "));
    }
}

/// Asks the running gateway: the journal has one writer.
async fn retry(config: &Config, offset: u64) -> anyhow::Result<ExitCode> {
    let mut address = config.http.listen;
    if let Some(file) = &config.http.port_file {
        let port = std::fs::read_to_string(file).context("http.port_file: is the gateway running?")?;
        address.set_port(port.trim().parse().context("http.port_file holds no port")?);
    }
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    let url = format!("http://{address}/api/dead-letters/{offset}/retry");
    let mut request = reqwest::Client::new().post(&url);
    if let Some(password) = &config.http.password {
        request = request.basic_auth("gateway", Some(password.reveal()));
    }
    let answer = request
        .send()
        .await
        .with_context(|| format!("the gateway does not answer at {address}: is it running?"))?;
    let taken = answer.status().is_success();
    let body: serde_json::Value = answer.json().await.unwrap_or_default();
    if taken {
        println!("taken in as {}", body["ce_id"].as_str().unwrap_or_default());
        return Ok(ExitCode::SUCCESS);
    }
    bail!("{}", body["detail"].as_str().unwrap_or("the gateway refused"))
}

/// In this machine's time zone, to the second.
fn local(ms: i64) -> String {
    let at = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH);
    at.to_zoned(TimeZone::system())
        .strftime("%Y-%m-%d %H:%M:%S")
        .to_string()
}
