//! QEMU's monitor: one JSON document per line (QMP).

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

const DEADLINE: Duration = Duration::from_secs(10);

/// A connection; QEMU has one at a time.
pub(super) struct Monitor(BufReader<UnixStream>);

impl Monitor {
    /// # Errors
    /// QEMU does not run, or does not answer.
    pub(super) async fn connect(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket)
            .await
            .context("connect to QEMU's monitor")?;
        let mut monitor = Self(BufReader::new(stream));
        // It takes no other command first.
        monitor.execute("qmp_capabilities").await?;
        Ok(monitor)
    }

    /// Gives a command without arguments and awaits that it is done.
    ///
    /// # Errors
    /// QEMU refuses, ends, or does not answer within 10 s.
    pub(super) async fn execute(&mut self, command: &str) -> Result<()> {
        let answered = tokio::time::timeout(DEADLINE, self.converse(command)).await;
        answered
            .context("it does not answer")
            .flatten()
            .with_context(|| format!("QEMU's monitor: {command}"))
    }

    async fn converse(&mut self, command: &str) -> Result<()> {
        let order = format!("{}\n", json!({ "execute": command }));
        self.0.write_all(order.as_bytes()).await?;
        let mut line = String::new();
        // Its greeting and its events come between.
        while self.0.read_line(&mut line).await? > 0 {
            let said: Value = serde_json::from_str(&line)?;
            if said.get("return").is_some() {
                return Ok(());
            }
            if let Some(error) = said.get("error") {
                bail!("{error}");
            }
            line.clear();
        }
        bail!("it has ended")
    }
}
