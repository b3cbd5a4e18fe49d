//! Mosquitto, the MQTT broker that the gateway's package recommends.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::net::TcpStream;

use crate::eventually::within;
use crate::process::{Process, Signal};
use crate::scratch::{Scratch, free_port};

const DEADLINE: Duration = Duration::from_secs(10);

/// A Mosquitto with persistence. Sessions and retained messages survive a [`stop`](Self::stop); a [`kill`](Self::kill)
/// loses about the last second.
#[derive(Debug)]
pub struct Mosquitto {
    process: Option<Process>,
    port: u16,
    /// The listener for programs on the same machine. Only the packaged configuration has one.
    local_port: Option<u16>,
    config: PathBuf,
    scratch: Scratch,
}

impl Mosquitto {
    /// Starts a broker that accepts every client.
    ///
    /// # Errors
    /// `mosquitto` is not installed, or does not listen within 10 s.
    pub async fn start() -> Result<Self> {
        Self::start_with("").await
    }

    /// Starts with additional lines in `mosquitto.conf`.
    ///
    /// # Errors
    /// Same as [`Self::start`].
    pub async fn start_with(extra: &str) -> Result<Self> {
        let scratch = Scratch::new("mosquitto")?;
        let port = free_port()?;
        let config = scratch.join("mosquitto.conf");
        fs::write(&config, settings(port, scratch.path(), extra))?;
        let mut mosquitto = Self {
            process: None,
            port,
            local_port: None,
            config,
            scratch,
        };
        mosquitto.start_again().await?;
        Ok(mosquitto)
    }

    /// Starts with the configuration of the Debian package: a client needs a password, and each till may publish only under
    /// its own name.
    ///
    /// # Errors
    /// Same as [`Self::start`], or `mosquitto_passwd` is not installed.
    pub async fn start_as_packaged(users: &[(&str, &str)]) -> Result<Self> {
        let packaged = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/mosquitto");
        let scratch = Scratch::new("mosquitto")?;
        let (port, local_port, folder) = (free_port()?, free_port()?, scratch.path());
        let passwords = folder.join("comptoir.passwords");
        fs::write(&passwords, "")?;
        for (user, password) in users {
            let mut command = Command::new("mosquitto_passwd");
            let output = command.arg("-b").arg(&passwords).args([user, password]).output();
            let output = output.context("start mosquitto_passwd")?;
            ensure!(output.status.success(), "mosquitto_passwd: {}", output.status);
        }
        fs::copy(packaged.join("comptoir.acl"), folder.join("comptoir.acl"))?;
        let settings = fs::read_to_string(packaged.join("comptoir.conf"))?
            .replace("listener 1883", &format!("listener {port} 127.0.0.1"))
            .replace("listener 1884", &format!("listener {local_port}"))
            .replace("/etc/mosquitto", &folder.display().to_string());
        let config = scratch.join("mosquitto.conf");
        fs::write(&config, format!("{settings}\nuser root\nlog_dest stderr\n"))?;
        let mut mosquitto = Self {
            process: None,
            port,
            local_port: Some(local_port),
            config,
            scratch,
        };
        mosquitto.start_again().await?;
        Ok(mosquitto)
    }

    /// The URL for the user `gateway` with this password. It leads to the listener for programs on the same machine, if
    /// there is one.
    pub fn gateway_url(&self, password: &str) -> String {
        let port = self.local_port.unwrap_or(self.port);
        format!("mqtt://gateway:{password}@127.0.0.1:{port}")
    }

    /// `mqtt://127.0.0.1:port`, the same for its whole life.
    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Starts it on the same port with the same data. Does nothing if it runs.
    ///
    /// # Errors
    /// Same as [`Self::start`].
    pub async fn start_again(&mut self) -> Result<()> {
        let process = match &mut self.process {
            Some(process) => process,
            None => {
                let mut command = Command::new(program());
                command.arg("-c").arg(&self.config);
                let log = self.scratch.join("mosquitto.log");
                self.process.insert(Process::spawn("Mosquitto", command, &log)?)
            }
        };
        let port = self.port;
        within("Mosquitto to listen", DEADLINE, async || {
            process.still_running()?;
            TcpStream::connect(("127.0.0.1", port)).await?;
            Ok(())
        })
        .await
    }

    /// Stops it (SIGTERM). It saves sessions and retained messages.
    ///
    /// # Errors
    /// It does not end within 10 s.
    pub async fn stop(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::TERM)?;
            process.wait(DEADLINE).await?;
        }
        Ok(())
    }

    /// Kills it (SIGKILL).
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Suspends it (SIGSTOP): connections stay open, but it does not respond.
    ///
    /// # Errors
    /// It does not run.
    pub fn pause(&mut self) -> Result<()> {
        self.running()?.signal(Signal::STOP)
    }

    /// Resumes it (SIGCONT).
    ///
    /// # Errors
    /// It does not run.
    pub fn resume(&mut self) -> Result<()> {
        self.running()?.signal(Signal::CONT)
    }

    /// The log since the first start; empty while it does not run. It has errors and warnings, and the messages that
    /// the additional lines of `mosquitto.conf` enable.
    pub fn log(&self) -> String {
        self.process.as_ref().map(Process::log).unwrap_or_default()
    }

    /// The process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    fn running(&mut self) -> Result<&mut Process> {
        self.process.as_mut().context("Mosquitto does not run")
    }
}

/// Debian installs Mosquitto outside the `PATH` of normal users.
fn program() -> &'static str {
    let debian = "/usr/sbin/mosquitto";
    if Path::new(debian).exists() {
        debian
    } else {
        "mosquitto"
    }
}

fn settings(port: u16, folder: &Path, extra: &str) -> String {
    let folder = folder.display();
    format!(
        "\
listener {port} 127.0.0.1
allow_anonymous true
set_tcp_nodelay true
persistence true
persistence_location {folder}/
autosave_interval 1
max_queued_messages 0
max_inflight_messages 1000
# Started by root, Mosquitto would switch to a user that may not write to this folder.
user root
log_dest stderr
log_type error
log_type warning
{extra}
"
    )
}
