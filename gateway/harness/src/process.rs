//! Child processes that never outlive this process.
//!
//! Linux sends the parent-death signal to a child when the *thread* that spawned it ends, and a test's thread ends with the
//! test. So a single thread spawns all children, and it lives as long as the process.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
pub use rustix::process::Signal;
use rustix::process::{Pid, getpid, getppid, kill_process, set_parent_process_death_signal};

use crate::eventually::within;

/// How many lines of a child's log are printed when a test fails.
const LOG_LINES_SHOWN: usize = 60;

type SpawnRequest = (Command, Sender<io::Result<Child>>);

static SPAWNER: LazyLock<Mutex<Sender<SpawnRequest>>> = LazyLock::new(|| {
    let (requests, inbox) = channel::<SpawnRequest>();
    let spawn_all = move || {
        for (mut command, answer) in inbox {
            // The requester waits for the answer, so sending cannot fail.
            let _ = answer.send(command.spawn());
        }
    };
    // If the thread cannot be started, the inbox is dropped and every spawn returns an error.
    let _ = thread::Builder::new().name("spawner".to_owned()).spawn(spawn_all);
    Mutex::new(requests)
});

/// A child process whose output goes to a file. Killed (SIGKILL) on drop.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    /// True once a signal has asked the process to end. After any other failure its log is printed.
    is_end_expected: bool,
}

impl Process {
    /// Starts `command`; standard output and error are appended to `log`.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn spawn(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        let output = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("open {}", log.display()))?;
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let program = command.get_program().display().to_string();
        let parent = getpid();
        // SAFETY: between fork and exec this only makes the system calls prctl and getppid; it allocates and locks nothing.
        #[expect(
            unsafe_code,
            reason = "only in pre_exec can a child request its parent-death signal"
        )]
        unsafe {
            command.pre_exec(move || {
                set_parent_process_death_signal(Some(Signal::KILL))?;
                // If the parent died before the line above, no signal will come.
                if getppid() == Some(parent) {
                    Ok(())
                } else {
                    Err(io::ErrorKind::NotFound.into())
                }
            });
        }
        let (answer, spawned) = channel();
        SPAWNER
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .send((command, answer))
            .map_err(|_| anyhow!("the spawning thread is gone"))?;
        let child = spawned
            .recv()
            .context("the spawning thread is gone")?
            .with_context(|| format!("start {program}"))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
            is_end_expected: false,
        })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// The process has ended already.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        self.is_end_expected |= matches!(signal, Signal::TERM | Signal::KILL | Signal::INT);
        // The id of a child is not reused before it has been waited for, so this cannot hit another process.
        if self.exited()?.is_some() {
            return Err(self.ended());
        }
        kill_process(Pid::from_child(&self.child), signal).with_context(|| format!("signal {}", self.name))
    }

    /// The exit status, if the process has ended.
    ///
    /// # Errors
    /// The operating system does not report the state of the process.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>> {
        self.child
            .try_wait()
            .with_context(|| format!("wait for {}", self.name))
    }

    /// Returns an error if the process has ended. For loops that wait for an action of the process.
    ///
    /// # Errors
    /// It has ended. The message contains the last lines of its log.
    pub fn still_running(&mut self) -> Result<()> {
        match self.exited()? {
            None => Ok(()),
            Some(_) => Err(self.ended()),
        }
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It still runs at the deadline.
    pub async fn wait(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let what = format!("{} to end", self.name);
        let ended = within(&what, deadline, async || {
            self.exited()?.context("it is still running")
        });
        match ended.await {
            Ok(status) => Ok(status),
            Err(error) => Err(error.context(self.log_tail())),
        }
    }

    /// Kills it (SIGKILL) and waits for its end. Does nothing if it has ended.
    pub fn kill(&mut self) {
        self.is_end_expected = true;
        // Both calls fail only if the process was already waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Its standard output and error so far.
    pub fn log(&self) -> String {
        read_log(&self.log)
    }

    /// The last lines of [`Self::log`], under a heading.
    pub fn log_tail(&self) -> String {
        tail_of(&self.name, &self.log)
    }

    fn ended(&mut self) -> anyhow::Error {
        let status = self.exited().ok().flatten().map(|status| status.to_string());
        anyhow!(
            "{} has ended: {}\n{}",
            self.name,
            status.unwrap_or_default(),
            self.log_tail()
        )
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let has_failed = !self.is_end_expected
            && self
                .exited()
                .is_ok_and(|status| status.is_some_and(|status| !status.success()));
        self.kill();
        if thread::panicking() || has_failed {
            eprintln!("{}", self.log_tail());
        }
    }
}

/// The whole log; empty if the file does not exist. Bytes that are not UTF-8 are replaced.
pub(crate) fn read_log(log: &Path) -> String {
    fs::read(log)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}

/// The last lines of a log, under a heading.
pub(crate) fn tail_of(name: &str, log: &Path) -> String {
    let text = read_log(log);
    let lines: Vec<&str> = text.lines().collect();
    let shown = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
    format!("---- {name} ({}) ----\n{}\n----", log.display(), shown.join("\n"))
}
