//! QEMU's monitor, which speaks QMP: one JSON document per line.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

const DEADLINE: Duration = Duration::from_secs(10);

/// A connection to the monitor. QEMU accepts one at a time.
pub(super) struct Monitor(BufReader<UnixStream>);

impl Monitor {
    /// Connects and enters command mode.
    ///
    /// # Errors
    /// QEMU does not run, or does not answer.
    pub(super) async fn connect(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket)
            .await
            .context("connect to QEMU's monitor")?;
        let mut monitor = Self(BufReader::new(stream));
        // QEMU accepts no other command before this one.
        monitor.execute("qmp_capabilities").await?;
        Ok(monitor)
    }

    /// Sends a command without arguments and waits until it is done.
    ///
    /// # Errors
    /// QEMU refuses, exits, or does not answer within 10 s.
    pub(super) async fn execute(&mut self, command: &str) -> Result<()> {
        let response = tokio::time::timeout(DEADLINE, self.request(command)).await;
        response
            .context("no response in time")
            .flatten()
            .with_context(|| format!("QEMU's monitor: {command}"))
    }

    async fn request(&mut self, command: &str) -> Result<()> {
        let request = format!("{}\n", json!({ "execute": command }));
        self.0.write_all(request.as_bytes()).await?;
        let mut line = String::new();
        // The greeting and events can come before the response.
        while self.0.read_line(&mut line).await? > 0 {
            let message: Value = serde_json::from_str(&line)?;
            if message.get("return").is_some() {
                return Ok(());
            }
            if let Some(error) = message.get("error") {
                bail!("{error}");
            }
            line.clear();
        }
        bail!("QEMU has exited")
    }
}
