//! Simulated terminals as a process of their own.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::ledger::{LedgerLine, read_ledger};
use crate::process::{Process, Signal};
use crate::scratch::Scratch;

/// A running `pos-sim`, with its ledger.
#[derive(Debug)]
pub struct PosSim {
    process: Process,
    scratch: Scratch,
}

impl PosSim {
    /// Starts the `pos-sim` that was built beside this test; `--ledger` is added to the arguments.
    ///
    /// # Errors
    /// It has not been built, or cannot be started.
    pub fn spawn<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Result<Self> {
        let scratch = Scratch::new("pos-sim")?;
        let mut command = Command::new(sibling_binary("pos-sim")?);
        command.args(args).arg("--ledger").arg(ledger(&scratch));
        Self::start(command, scratch)
    }

    /// The same with no ledger, whose writing costs time.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    pub fn without_ledger<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Result<Self> {
        let mut command = Command::new(sibling_binary("pos-sim")?);
        command.args(args);
        Self::start(command, Scratch::new("pos-sim")?)
    }

    fn start(command: Command, scratch: Scratch) -> Result<Self> {
        let process = Process::spawn("pos-sim", command, &scratch.join("pos-sim.log"))?;
        Ok(Self { process, scratch })
    }

    /// Waits until it has finished: all its events are acked.
    ///
    /// # Errors
    /// It fails, or still runs when the deadline has passed.
    pub async fn finish(&mut self, deadline: Duration) -> Result<()> {
        let status = self.process.wait(deadline).await?;
        ensure!(status.success(), "pos-sim: {status}\n{}", self.process.log_tail());
        Ok(())
    }

    /// Waits until it has finished, however: 1 is for "not all is acked".
    ///
    /// # Errors
    /// It still runs when the deadline has passed.
    pub async fn wait(&mut self, deadline: Duration) -> Result<ExitStatus> {
        self.process.wait(deadline).await
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// The operating system does not say.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.process.exited()?.is_none())
    }

    /// Breaks it off in order (SIGINT).
    ///
    /// # Errors
    /// It has ended already, or does not end in time.
    pub async fn interrupt(&mut self, deadline: Duration) -> Result<ExitStatus> {
        self.process.signal(Signal::INT)?;
        self.process.wait(deadline).await
    }

    /// Kills it (SIGKILL).
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// What the ledger says now; a line is there once its event is acked.
    ///
    /// # Errors
    /// As [`read_ledger`].
    pub fn ledger(&self) -> Result<Vec<LedgerLine>> {
        read_ledger(&ledger(&self.scratch))
    }

    /// What it has written to standard output and error.
    pub fn log(&self) -> String {
        self.process.log()
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }
}

fn ledger(scratch: &Scratch) -> PathBuf {
    scratch.join("ledger.jsonl")
}

/// A binary of another package of the workspace: Cargo names only those of a test's own.
///
/// # Errors
/// It has not been built for the profile of this test.
pub fn sibling_binary(name: &str) -> Result<PathBuf> {
    let test = env::current_exe().context("find this test's own binary")?;
    // A test is in target/<profile>/deps, a binary or a build's copy of it in target/<profile>.
    let folders = test.ancestors().skip(1).take(2);
    folders
        .map(|folder| folder.join(name))
        .find(|path: &PathBuf| Path::is_file(path))
        .with_context(|| {
            format!(
                "{name} has not been built beside {}: `make test` does that",
                test.display()
            )
        })
}
