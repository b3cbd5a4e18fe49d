//! `pos-sim`, the simulated tills, as a child process.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::ledger::{LedgerLine, read_ledger};
use crate::process::{Process, Signal};
use crate::scratch::Scratch;

/// A running `pos-sim` with its ledger.
#[derive(Debug)]
pub struct PosSim {
    process: Process,
    scratch: Scratch,
}

impl PosSim {
    /// Starts the `pos-sim` that was built beside this test, with `--ledger` added to `args`.
    ///
    /// # Errors
    /// `pos-sim` has not been built or cannot be started.
    pub fn spawn<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Result<Self> {
        let scratch = Scratch::new("pos-sim")?;
        let mut command = Command::new(sibling_binary("pos-sim")?);
        command.args(args).arg("--ledger").arg(ledger(&scratch));
        Self::start(command, scratch)
    }

    /// Like [`spawn`](Self::spawn), but without a ledger: writing it costs time.
    ///
    /// # Errors
    /// Same as [`spawn`](Self::spawn).
    pub fn without_ledger<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Result<Self> {
        let mut command = Command::new(sibling_binary("pos-sim")?);
        command.args(args);
        Self::start(command, Scratch::new("pos-sim")?)
    }

    fn start(command: Command, scratch: Scratch) -> Result<Self> {
        let process = Process::spawn("pos-sim", command, &scratch.join("pos-sim.log"))?;
        Ok(Self { process, scratch })
    }

    /// Waits until it has finished, with all its events acked.
    ///
    /// # Errors
    /// It fails, or still runs at the deadline.
    pub async fn finish(&mut self, deadline: Duration) -> Result<()> {
        let status = self.process.wait(deadline).await?;
        ensure!(status.success(), "pos-sim: {status}\n{}", self.process.log_tail());
        Ok(())
    }

    /// Waits until it has finished. Its exit code is 1 if not all events were acked.
    ///
    /// # Errors
    /// It still runs at the deadline.
    pub async fn wait(&mut self, deadline: Duration) -> Result<ExitStatus> {
        self.process.wait(deadline).await
    }

    /// # Errors
    /// The operating system does not report the state of the process.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.process.exited()?.is_none())
    }

    /// Interrupts it (SIGINT) and waits for its orderly end.
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

    /// The ledger's lines so far. An event has a line once it is acked.
    ///
    /// # Errors
    /// Same as [`read_ledger`].
    pub fn ledger(&self) -> Result<Vec<LedgerLine>> {
        read_ledger(&ledger(&self.scratch))
    }

    /// Its standard output and error so far.
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

/// A binary of another package of the workspace. Cargo gives a test only the paths of its own package's binaries.
///
/// # Errors
/// The binary has not been built with the profile of this test.
pub fn sibling_binary(name: &str) -> Result<PathBuf> {
    let test = env::current_exe().context("find this test's own binary")?;
    // A test is in target/<profile>/deps, a binary in target/<profile>.
    let folders = test.ancestors().skip(1).take(2);
    folders
        .map(|folder| folder.join(name))
        .find(|path: &PathBuf| Path::is_file(path))
        .with_context(|| {
            format!(
                "{name} has not been built beside {}; `make test` builds it",
                test.display()
            )
        })
}
