//! A real mail server, written in Python with aiosmtpd. `python/fetch.sh` puts it into the cache.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;
use tokio::net::TcpStream;

use crate::eventually::within;
use crate::process::Process;
use crate::python::python;
use crate::scratch::{Scratch, free_port};

const SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python/mail.py");
const DEADLINE: Duration = Duration::from_secs(30);

/// An SMTP server on the loopback interface, without a password.
#[derive(Debug)]
pub struct MailServer {
    process: Process,
    port: u16,
    _scratch: Scratch,
}

impl MailServer {
    /// Starts a server that refuses the first mails temporarily, so many of them.
    ///
    /// # Errors
    /// It cannot be started, or does not listen within 30 s.
    pub async fn start(refusals: u32) -> Result<Self> {
        Self::start_on(free_port()?, refusals).await
    }

    /// The same on this port, for a server that was down before.
    ///
    /// # Errors
    /// Same as [`Self::start`].
    pub async fn start_on(port: u16, refusals: u32) -> Result<Self> {
        let scratch = Scratch::new("mail")?;
        let mut command = python("python")?;
        command.arg(SERVER).args(["--port", &port.to_string()]);
        command.args(["--refuse", &refusals.to_string()]);
        let mut process = Process::spawn("the mail server", command, &scratch.join("mails"))?;
        within("the mail server to listen", DEADLINE, async || {
            process.still_running()?;
            TcpStream::connect(("127.0.0.1", port)).await?;
            Ok(())
        })
        .await?;
        Ok(Self {
            process,
            port,
            _scratch: scratch,
        })
    }

    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// All mails so far, the refused ones too (`is_refused`): `to`, `from`, `subject`, `message_id`, `type` and `text`.
    ///
    /// # Errors
    /// The server has ended, or has printed something else.
    pub fn mails(&mut self) -> Result<Vec<Value>> {
        self.process.still_running()?;
        let log = self.process.log();
        // The last line may be incomplete.
        let complete = log.rfind('\n').map_or("", |end| &log[..end]);
        let mail = |line: &str| {
            serde_json::from_str(line).with_context(|| format!("the mail server printed {line}"))
        };
        complete.lines().map(mail).collect()
    }
}
