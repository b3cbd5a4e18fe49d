//! Child processes that never outlive this one.
//!
//! Linux sends a child its parent-death signal when the *thread* that spawned it ends, and a test's thread ends with the
//! test. So one thread spawns every child, and it never ends before the process does.

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

const LOG_LINES_SHOWN: usize = 60;

type Order = (Command, Sender<io::Result<Child>>);

static SPAWNER: LazyLock<Mutex<Sender<Order>>> = LazyLock::new(|| {
    let (orders, inbox) = channel::<Order>();
    let spawn_all = move || {
        for (mut command, answer) in inbox {
            // Whoever asked waits for the answer, so it can be sent.
            let _ = answer.send(command.spawn());
        }
    };
    // Without the thread its inbox is gone too, and every spawn says so.
    let _ = thread::Builder::new().name("spawner".to_owned()).spawn(spawn_all);
    Mutex::new(orders)
});

/// A running child process whose output goes to a file. Killed (SIGKILL) on drop.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    /// Set once somebody here has asked it to end: an end that nobody asked for is worth showing.
    asked_to_end: bool,
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
        // SAFETY: between fork and exec only the system calls prctl and getppid are made; nothing is allocated or locked.
        #[expect(
            unsafe_code,
            reason = "pre_exec is the only place from where a child can ask for its parent-death signal"
        )]
        unsafe {
            command.pre_exec(move || {
                set_parent_process_death_signal(Some(Signal::KILL))?;
                // A parent that died before the line above is not told of any more.
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
            asked_to_end: false,
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
        self.asked_to_end |= matches!(signal, Signal::TERM | Signal::KILL | Signal::INT);
        // A child that was not waited for keeps its id, so this cannot hit a stranger.
        if self.exited()?.is_some() {
            return Err(self.ended());
        }
        kill_process(Pid::from_child(&self.child), signal).with_context(|| format!("signal {}", self.name))
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// The operating system does not say.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>> {
        self.child
            .try_wait()
            .with_context(|| format!("wait for {}", self.name))
    }

    /// An error if it has ended: for loops that await something of it.
    ///
    /// # Errors
    /// It has ended; the last lines of its log are part of the message.
    pub fn still_running(&mut self) -> Result<()> {
        match self.exited()? {
            None => Ok(()),
            Some(_) => Err(self.ended()),
        }
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It still runs when the deadline has passed.
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

    /// Ends it at once and waits until it is gone. Nothing if it is gone already.
    pub fn kill(&mut self) {
        self.asked_to_end = true;
        // The only error is that it has been waited for already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// What it has written to standard output and error.
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
        let died = !self.asked_to_end
            && self
                .exited()
                .is_ok_and(|status| status.is_some_and(|status| !status.success()));
        self.kill();
        if thread::panicking() || died {
            eprintln!("{}", self.log_tail());
        }
    }
}

/// The whole log, as much of it as is text; empty before it is made.
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
