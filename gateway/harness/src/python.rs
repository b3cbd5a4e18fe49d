//! Independent clients, written in Python. `python/fetch.sh` puts their packages into the cache.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::cache::cache;
use crate::process::Process;
use crate::scratch::Scratch;

const LISTEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python/listen.py");

/// A program of the virtual environment: `python`, `schemathesis`.
///
/// # Errors
/// The virtual environment is not in the cache.
pub fn python(program: &str) -> Result<Command> {
    let path: PathBuf = cache()?.join("python/env/bin").join(program);
    let missing = "run gateway/harness/python/fetch.sh once (`make test` does)";
    ensure!(
        Path::new(&path).exists(),
        "{} does not exist: {missing}",
        path.display()
    );
    Ok(Command::new(path))
}

/// A `python-socketio` client that records all events.
#[derive(Debug)]
pub struct Listener {
    process: Process,
    _scratch: Scratch,
}

/// An event with its name.
#[derive(Debug, Clone)]
pub struct SocketIoEvent {
    pub event: String,
    pub data: Value,
}

impl Listener {
    /// Connects, and retries until it succeeds. `auth` is the `auth` object of Socket.IO's connect packet.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn connect(url: &str, auth: Option<&Value>) -> Result<Self> {
        let mut command = python("python")?;
        command.arg(LISTEN).arg(url);
        command.args(auth.map(Value::to_string));
        Self::spawn(command)
    }

    /// Like [`Self::connect`], with an HTTP header.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn connect_with(url: &str, auth: Option<&Value>, header: Option<(&str, &str)>) -> Result<Self> {
        let mut command = python("python")?;
        let headers: Value = header.into_iter().collect();
        command.arg(LISTEN).arg(url);
        command.arg(auth.unwrap_or(&Value::Null).to_string());
        command.arg(headers.to_string());
        Self::spawn(command)
    }

    /// Like [`Self::connect`], over `https://`. Trusts only this certificate (a PEM file).
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
        let process = Process::spawn("the Socket.IO client", command, &scratch.join("events"))?;
        Ok(Self {
            process,
            _scratch: scratch,
        })
    }

    /// All events so far.
    ///
    /// # Errors
    /// The client has ended, or has printed something that is not an event.
    pub fn events(&mut self) -> Result<Vec<SocketIoEvent>> {
        self.process.still_running()?;
        let log = self.process.log();
        // The last line may be incomplete.
        let complete = log.rfind('\n').map_or("", |end| &log[..end]);
        let event = |line: &str| -> Result<SocketIoEvent> {
            let mut message: Value =
                serde_json::from_str(line).with_context(|| format!("the client printed {line}"))?;
            let event = message["event"].as_str().context("no event name")?.to_owned();
            let data = message["data"].take();
            Ok(SocketIoEvent { event, data })
        };
        complete.lines().map(event).collect()
    }
}
