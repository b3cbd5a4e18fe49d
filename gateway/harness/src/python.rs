//! Clients of another make, written in Python. `python/fetch.sh` puts their packages into the cache.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::cache::cache;
use crate::process::Process;
use crate::scratch::Scratch;

const LISTEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python/listen.py");

/// A program of the environment: `python`, `schemathesis`.
///
/// # Errors
/// The environment is not in the cache.
pub fn python(program: &str) -> Result<Command> {
    let path: PathBuf = cache()?.join("python/env/bin").join(program);
    let missing = "run gateway/harness/python/fetch.sh once (`make test` does)";
    ensure!(
        Path::new(&path).exists(),
        "{} is not there: {missing}",
        path.display()
    );
    Ok(Command::new(path))
}

/// What a `python-socketio` client hears.
#[derive(Debug)]
pub struct Listener {
    process: Process,
    _scratch: Scratch,
}

/// An event, by its name.
#[derive(Debug, Clone)]
pub struct Heard {
    pub event: String,
    pub data: Value,
}

impl Listener {
    /// Connects, and keeps on trying. `auth` is what it says then.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn connect(url: &str, auth: Option<&Value>) -> Result<Self> {
        let mut command = python("python")?;
        command.arg(LISTEN).arg(url);
        command.args(auth.map(Value::to_string));
        Self::spawn(command)
    }

    /// As [`Self::connect`], by `https://`, to whoever has this certificate (a PEM file) and to nobody else.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn trusting(url: &str, certificate: &Path) -> Result<Self> {
        let mut command = python("python")?;
        command.env("SSL_CERT_FILE", certificate).arg(LISTEN).arg(url);
        Self::spawn(command)
    }

    fn spawn(command: Command) -> Result<Self> {
        let scratch = Scratch::new("listener")?;
        let process = Process::spawn("the Socket.IO client", command, &scratch.join("heard"))?;
        Ok(Self {
            process,
            _scratch: scratch,
        })
    }

    /// Everything so far.
    ///
    /// # Errors
    /// It has ended, or says what is no event.
    pub fn heard(&mut self) -> Result<Vec<Heard>> {
        self.process.still_running()?;
        let log = self.process.log();
        // The last line may not be whole yet.
        let whole = log.rfind('\n').map_or("", |end| &log[..end]);
        let event = |line: &str| -> Result<Heard> {
            let mut heard: Value = serde_json::from_str(line).with_context(|| format!("it says {line}"))?;
            let event = heard["event"].as_str().context("no event")?.to_owned();
            let data = heard["data"].take();
            Ok(Heard { event, data })
        };
        whole.lines().map(event).collect()
    }
}
