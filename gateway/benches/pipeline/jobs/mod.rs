//! The programs that are compared with the gateway. Each is this binary again, in a process of its own.

mod append;
mod attack;
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
pub use attack::{FORGED, Victim};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Job {
    /// Relays from MQTT to Kafka without journal and transactions, until `events` are in Kafka.
    Relay {
        mqtt_port: u16,
        brokers: String,
        prefix: String,
        events: u32,
    },
    /// Subscribes and counts `events`.
    Count { mqtt_port: u16, events: u32 },
    /// Inserts `events` into the journal's table, `group` per transaction.
    Insert { path: PathBuf, events: u32, group: u32 },
    /// Sends `events` to Kafka, `transaction` per transaction.
    Produce {
        brokers: String,
        prefix: String,
        events: u32,
        transaction: u32,
    },
    /// Appends `events` to a journal through the gateway's own code.
    Append { path: PathBuf, events: u32 },
    /// Attacks a gateway until it is killed. Prints one [`ResourceSample`] when it begins.
    Attack(Victim),
}

impl Job {
    /// Does the work in this process. Prints a [`ResourceSample`] before and after it.
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
            Job::Attack(victim) => attack::run(victim).await,
        }
    }

    /// Starts the job in a new process.
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

    /// Runs the job in a new process to its end, and returns what it used.
    pub async fn measure(&self) -> Result<ResourceUse> {
        let mut program = self.start()?;
        let before = program.sample(0).await?;
        let after = program.sample(1).await?;
        Ok(before.until(&after))
    }
}

/// A job in its own process.
pub struct Program {
    process: Process,
    _scratch: Scratch,
}

impl Program {
    /// # Errors
    /// The job has ended.
    pub fn still_running(&mut self) -> Result<()> {
        self.process.still_running()
    }

    /// Waits for its sample number `index`: 0 is before the work, 1 after it.
    pub async fn sample(&mut self, index: usize) -> Result<ResourceSample> {
        within("a sample of a part of the benchmark", LONG, async || {
            let log = self.process.log();
            // The last line may be incomplete.
            let complete = log.rsplit_once('\n').map_or("", |(complete, _)| complete);
            let samples = complete.lines().filter(|line| line.starts_with('{'));
            match samples.clone().nth(index) {
                Some(line) => serde_json::from_str(line).context("parse a sample"),
                None => {
                    self.process.still_running()?;
                    anyhow::bail!("no sample yet")
                }
            }
        })
        .await
    }
}

/// Totals of a process since its start.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct ResourceSample {
    /// When the sample was taken, Unix time in µs.
    pub at_us: i64,
    pub cpu_us: u64,
    /// Resident memory now.
    pub rss_bytes: u64,
    /// Largest resident memory so far.
    pub peak_rss_bytes: u64,
    pub written_bytes: u64,
}

impl ResourceSample {
    pub fn of_process(pid: u32) -> Result<Self> {
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
        let sample = Self::of_process(std::process::id())?;
        println!("{}", serde_json::to_string(&sample)?);
        Ok(())
    }

    /// The use between this sample and a later one.
    pub fn until(&self, later: &ResourceSample) -> ResourceUse {
        ResourceUse {
            wall: Duration::from_micros(later.at_us.abs_diff(self.at_us)),
            cpu_us: later.cpu_us.saturating_sub(self.cpu_us) as f64,
            written_bytes: later.written_bytes.saturating_sub(self.written_bytes) as f64,
            peak_rss_bytes: later.peak_rss_bytes as f64,
        }
    }
}

/// Resources that a process used between two samples.
#[derive(Debug, Clone, Copy)]
pub struct ResourceUse {
    pub wall: Duration,
    pub cpu_us: f64,
    pub written_bytes: f64,
    /// Largest resident memory since the process started.
    pub peak_rss_bytes: f64,
}
