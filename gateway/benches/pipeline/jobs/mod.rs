//! The programs that are measured beside the gateway: this binary again, each in a process of its own.

mod append;
mod count;
mod insert;
mod produce;
mod relay;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use comptoir_harness::process::Process;
use comptoir_harness::{Scratch, usage, within};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::stage::LONG;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Job {
    /// MQTT to Kafka without a journal or a transaction, until `events` are in Kafka.
    Relay {
        mqtt_port: u16,
        brokers: String,
        prefix: String,
        events: u32,
    },
    /// Subscribes, and counts until `events` have come.
    Count { mqtt_port: u16, events: u32 },
    /// Writes `events` into the journal's table, `group` in each transaction.
    Insert { path: PathBuf, events: u32, group: u32 },
    /// Sends `events` to Kafka, `transaction` in each transaction.
    Produce {
        brokers: String,
        prefix: String,
        events: u32,
        transaction: u32,
    },
    /// Appends `events` to a journal through the gateway's own code.
    Append { path: PathBuf, events: u32 },
}

impl Job {
    /// Prints a [`Mark`] before the work and one after it.
    pub async fn run(self) -> Result<()> {
        match self {
            Job::Relay {
                mqtt_port,
                brokers,
                prefix,
                events,
            } => relay::run(mqtt_port, &brokers, &prefix, events).await,
            Job::Count { mqtt_port, events } => count::run(mqtt_port, events).await,
            Job::Insert { path, events, group } => insert::run(&path, events, group).await,
            Job::Produce {
                brokers,
                prefix,
                events,
                transaction,
            } => {
                let run = move || produce::run(&brokers, &prefix, events, transaction);
                tokio::task::spawn_blocking(run).await?
            }
            Job::Append { path, events } => append::run(&path, events).await,
        }
    }

    pub fn start(&self) -> Result<Program> {
        let scratch = Scratch::new("job")?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--job").arg(serde_json::to_string(self)?);
        let process = Process::spawn("a part of the benchmark", command, &scratch.join("log"))?;
        Ok(Program {
            process,
            _scratch: scratch,
        })
    }

    /// Runs it to its end: what it used for its work.
    pub async fn measure(&self) -> Result<Used> {
        let mut program = self.start()?;
        let before = program.mark(0).await?;
        let after = program.mark(1).await?;
        Ok(before.until(&after))
    }
}

/// A job that runs.
pub struct Program {
    process: Process,
    _scratch: Scratch,
}

impl Program {
    /// Waits for its mark number `index`.
    pub async fn mark(&mut self, index: usize) -> Result<Mark> {
        within("a mark of a part of the benchmark", LONG, async || {
            let log = self.process.log();
            // The last line may be half written.
            let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
            let marks = whole.lines().filter(|line| line.starts_with('{'));
            match marks.clone().nth(index) {
                Some(line) => serde_json::from_str(line).context("read a mark"),
                None => {
                    self.process.still_running()?;
                    anyhow::bail!("no mark yet")
                }
            }
        })
        .await
    }
}

/// One look at a process.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Mark {
    /// Unix time, µs.
    pub at_us: i64,
    pub cpu_us: u64,
    pub rss_bytes: u64,
    pub peak_rss_bytes: u64,
    pub written_bytes: u64,
}

impl Mark {
    pub fn of(pid: u32) -> Result<Self> {
        let used = usage(pid)?;
        Ok(Self {
            at_us: Timestamp::now().as_microsecond(),
            cpu_us: u64::try_from(used.cpu.as_micros())?,
            rss_bytes: used.rss_bytes,
            peak_rss_bytes: used.peak_rss_bytes,
            written_bytes: used.disk_bytes_written,
        })
    }

    fn print() -> Result<()> {
        let mark = Self::of(std::process::id())?;
        println!("{}", serde_json::to_string(&mark)?);
        Ok(())
    }

    pub fn until(&self, later: &Mark) -> Used {
        Used {
            wall: Duration::from_micros(later.at_us.abs_diff(self.at_us)),
            cpu_us: later.cpu_us.saturating_sub(self.cpu_us) as f64,
            written_bytes: later.written_bytes.saturating_sub(self.written_bytes) as f64,
            peak_rss_bytes: later.peak_rss_bytes as f64,
        }
    }
}

/// What a process used between two looks.
#[derive(Debug, Clone, Copy)]
pub struct Used {
    pub wall: Duration,
    pub cpu_us: f64,
    pub written_bytes: f64,
    /// The most since the process began.
    pub peak_rss_bytes: f64,
}
