//! The gateway under test, used as an operator uses it: binary, configuration file, signals, HTTP.

mod config;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::eventually::within;
use crate::process::{Process, Signal, read_log, tail_of};
use crate::scratch::Scratch;
pub use config::GatewayConfig;
use config::port_file;

const READY_DEADLINE: Duration = Duration::from_secs(20);
const REQUEST_DEADLINE: Duration = Duration::from_secs(10);
/// SIGTERM ends the gateway cleanly within 10 s; see `docs/interfaces/command-line.md`.
const TERMINATE_DEADLINE: Duration = Duration::from_secs(10);

/// A gateway, running or not. If the test panics, the end of the log is printed.
#[derive(Debug)]
pub struct Gateway {
    process: Option<Process>,
    binary: PathBuf,
    config: GatewayConfig,
    http: reqwest::Client,
    scratch: Scratch,
}

impl Gateway {
    /// Starts `gateway run` and does not wait until it is ready. Tests pass `env!("CARGO_BIN_EXE_gateway")` as `binary`.
    ///
    /// # Errors
    /// The process cannot be started.
    pub fn spawn(binary: impl AsRef<Path>, config: GatewayConfig) -> Result<Self> {
        let http = reqwest::Client::builder().timeout(REQUEST_DEADLINE).build()?;
        let scratch = Scratch::new("gateway")?;
        let binary = binary.as_ref().to_owned();
        let mut gateway = Self {
            process: None,
            binary,
            config,
            http,
            scratch,
        };
        gateway.start_again()?;
        Ok(gateway)
    }

    /// Starts it again with the current [`Self::config`], and does not wait until it is ready.
    ///
    /// # Errors
    /// It still runs, or cannot be started.
    pub fn start_again(&mut self) -> Result<()> {
        if let Some(process) = &mut self.process {
            ensure!(process.exited()?.is_some(), "the gateway runs already");
        }
        let file = self.config_file();
        fs::write(&file, self.config.toml(&self.scratch))?;
        // Otherwise the port of the previous start would be mistaken for the new one.
        let _ = fs::remove_file(port_file(&self.scratch));
        let mut command = self.command(&self.config.wrapper);
        command
            .args(["run", "--config"])
            .arg(&file)
            .args(&self.config.args);
        self.process = Some(Process::spawn("the gateway", command, &self.log_file())?);
        Ok(())
    }

    /// Runs another subcommand, such as `["check"]`, with the same configuration. Returns its exit status and output.
    ///
    /// # Errors
    /// The command cannot be started, or still runs at the deadline.
    pub async fn run(&self, args: &[&str], deadline: Duration) -> Result<(ExitStatus, String)> {
        self.run_with_input(args, "", deadline).await
    }

    /// Like [`Self::run`], with this standard input.
    ///
    /// # Errors
    /// Same as [`Self::run`].
    pub async fn run_with_input(
        &self,
        args: &[&str],
        input: &str,
        deadline: Duration,
    ) -> Result<(ExitStatus, String)> {
        let file = self.config_file();
        fs::write(&file, self.config.toml(&self.scratch))?;
        let log = Scratch::new("command")?;
        let typed = log.join("input");
        fs::write(&typed, input)?;
        let shell = ["sh", "-c", "exec \"$@\" <\"$INPUT\"", "sh"].map(str::to_owned);
        let mut command = self.command(&shell);
        command.env("INPUT", &typed).args(args).arg("--config").arg(&file);
        let mut process = Process::spawn("a gateway's command", command, &log.join("log"))?;
        let status = process.wait(deadline).await?;
        Ok((status, process.log()))
    }

    /// Waits until `GET /readyz` answers 200. Readiness does not depend on Kafka.
    ///
    /// # Errors
    /// The gateway ends, or is not ready within 20 s.
    pub async fn wait_ready(&mut self) -> Result<()> {
        let ready = within("the gateway to be ready", READY_DEADLINE, async || {
            self.process()?.still_running()?;
            let (status, text) = self.get("/readyz").await?;
            ensure!(status == 200, "/readyz answers {status}: {text}");
            Ok(())
        });
        match ready.await {
            Ok(()) => Ok(()),
            Err(error) => Err(error.context(self.log_tail())),
        }
    }

    /// `http://127.0.0.1:port`.
    ///
    /// # Errors
    /// The gateway has not bound its port yet.
    pub fn http_url(&self) -> Result<String> {
        let file = port_file(&self.scratch);
        let port = fs::read_to_string(file).context("the gateway has not bound its HTTP port yet")?;
        let port: u16 = port
            .trim()
            .parse()
            .context("the gateway's port file is incomplete")?;
        Ok(format!("http://127.0.0.1:{port}"))
    }

    /// Sends a GET request and returns status and body.
    ///
    /// # Errors
    /// There is no response within 10 s.
    pub async fn get(&self, path: &str) -> Result<(u16, String)> {
        let answer = self.http.get(self.http_url()? + path).send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    /// Sends a GET request and returns the JSON of a successful response.
    ///
    /// # Errors
    /// There is no response within 10 s, its status is not a success, or its body is not JSON.
    pub async fn get_json(&self, path: &str) -> Result<Value> {
        let (status, text) = self.get(path).await.with_context(|| format!("GET {path}"))?;
        ensure!(
            (200..300).contains(&status),
            "GET {path} answers {status}: {text}"
        );
        serde_json::from_str(&text).with_context(|| format!("GET {path} does not answer JSON: {text}"))
    }

    /// Sends a POST request and returns status, headers and body (null if it is empty). Any status is accepted.
    ///
    /// # Errors
    /// There is no response within 10 s, or its body is not JSON.
    pub async fn post_json(&self, path: &str, body: &Value) -> Result<(u16, HeaderMap, Value)> {
        let request = self.http.post(self.http_url()? + path).json(body);
        let answer = request.send().await.with_context(|| format!("POST {path}"))?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text().await?;
        let body = match text.as_str() {
            "" => Value::Null,
            text => serde_json::from_str(text)
                .with_context(|| format!("POST {path} does not answer JSON: {text}"))?,
        };
        Ok((status, headers, body))
    }

    /// Kills it (SIGKILL).
    ///
    /// # Errors
    /// It had already ended by itself.
    pub fn kill9(&mut self) -> Result<()> {
        let process = self.process()?;
        process.still_running()?;
        process.kill();
        self.process = None;
        Ok(())
    }

    /// Stops it (SIGTERM).
    ///
    /// # Errors
    /// It had already ended, or does not stop within 10 s.
    pub async fn terminate(&mut self) -> Result<ExitStatus> {
        let process = self.process()?;
        process.signal(Signal::TERM)?;
        let status = process.wait(TERMINATE_DEADLINE).await?;
        self.process = None;
        Ok(status)
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// It still runs at the deadline.
    pub async fn wait_exit(&mut self, deadline: Duration) -> Result<ExitStatus> {
        self.process()?.wait(deadline).await
    }

    /// The configuration for the next start.
    pub fn config(&mut self) -> &mut GatewayConfig {
        &mut self.config
    }

    pub fn journal_path(&self) -> PathBuf {
        self.config.journal_path(&self.scratch)
    }

    pub fn config_file(&self) -> PathBuf {
        self.scratch.join("gateway.toml")
    }

    /// The log since the first start.
    pub fn log(&self) -> String {
        read_log(&self.log_file())
    }

    /// The process id.
    ///
    /// # Errors
    /// The gateway does not run.
    pub fn pid(&self) -> Result<u32> {
        self.process
            .as_ref()
            .map(Process::pid)
            .context("the gateway does not run")
    }

    fn command(&self, wrapper: &[String]) -> Command {
        let mut command = match wrapper {
            [] => Command::new(&self.binary),
            [program, args @ ..] => {
                let mut command = Command::new(program);
                command.args(args).arg(&self.binary);
                command
            }
        };
        for (name, _) in std::env::vars_os() {
            // The developer's own variables would override the configuration file.
            if name.as_encoded_bytes().starts_with(b"COMPTOIR_") {
                command.env_remove(name);
            }
        }
        command
            .current_dir(self.scratch.path())
            .envs(self.config.env.iter().cloned());
        command
    }

    fn process(&mut self) -> Result<&mut Process> {
        self.process.as_mut().context("the gateway does not run")
    }

    fn log_tail(&self) -> String {
        tail_of("the gateway", &self.log_file())
    }

    fn log_file(&self) -> PathBuf {
        self.scratch.join("gateway.log")
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // A process that still runs prints its log when it is dropped. This covers one that has ended.
        if self.process.is_none() && thread::panicking() {
            eprintln!("{}", self.log_tail());
        }
    }
}
