//! The office under test: the binary, as an operator uses it.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use comptoir_harness::chain::Chain;
use comptoir_harness::process::{Process, Signal};
use comptoir_harness::{Kafka, Postgres, Scratch, fresh_prefix, within};
use serde_json::Value;

pub const DEADLINE: Duration = Duration::from_secs(60);
const TERMINATE_DEADLINE: Duration = Duration::from_secs(10);

/// Where the replicas of a test read and write.
pub struct Site {
    pub brokers: String,
    pub prefix: String,
    pub postgres: String,
    pub scratch: Scratch,
}

impl Site {
    /// Fresh topics and a fresh database on the servers that all tests share.
    pub async fn new() -> Result<Self> {
        let kafka = Kafka::shared().await;
        let database = Postgres::shared().await.fresh_database().await?;
        Self::on(kafka, database)
    }

    pub fn on(kafka: &Kafka, postgres: String) -> Result<Self> {
        Ok(Self {
            brokers: kafka.brokers().to_owned(),
            prefix: fresh_prefix(),
            postgres,
            scratch: Scratch::new("office")?,
        })
    }

    /// The topics, with as many partitions as a small chain has.
    pub async fn create_topics(&self, kafka: &Kafka) -> Result<()> {
        for topic in ["orders", "payments", "deliveries"] {
            let settings = [("message.timestamp.type", "LogAppendTime")];
            kafka
                .create_topic(&format!("{}{topic}", self.prefix), 3, &settings)
                .await?;
        }
        let settings = [
            ("message.timestamp.type", "LogAppendTime"),
            ("cleanup.policy", "compact"),
        ];
        kafka
            .create_topic(&format!("{}gateways", self.prefix), 1, &settings)
            .await
    }

    /// Writes the keys of these shops to the file that the replicas read at their start.
    pub fn write_keys<'a>(&self, shops: impl IntoIterator<Item = &'a str>) -> Result<()> {
        let lines = shops
            .into_iter()
            .map(|store| format!("{store} {}\n", Chain::secret(store).exported_record_key()));
        fs::write(self.scratch.join("shop-keys"), lines.collect::<String>())?;
        Ok(())
    }

    /// A command with this site's configuration in its environment.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_office"));
        command.args(args).envs(self.environment());
        command
    }

    fn environment(&self) -> BTreeMap<&str, String> {
        BTreeMap::from([
            ("COMPTOIR_KAFKA__BROKERS", self.brokers.clone()),
            ("COMPTOIR_KAFKA__TOPIC_PREFIX", self.prefix.clone()),
            ("COMPTOIR_POSTGRES__URL", self.postgres.clone()),
            (
                "COMPTOIR_SHOPS__KEYS",
                self.scratch.join("shop-keys").display().to_string(),
            ),
            ("COMPTOIR_HTTP__LISTEN", "127.0.0.1:0".to_owned()),
            ("COMPTOIR_LOG__FILTER", "info,comptoir_office=debug".to_owned()),
        ])
    }

    /// Starts a replica. Its name distinguishes its files.
    pub fn start(&self, name: &str) -> Result<Office> {
        self.start_with(name, &[])
    }

    /// As [`Self::start`], with these variables in its environment.
    pub fn start_with(&self, name: &str, variables: &[(&str, &str)]) -> Result<Office> {
        let port_file = self.scratch.join(format!("{name}-port"));
        let _ = fs::remove_file(&port_file);
        let mut command = self.command(&["run"]);
        command.env("COMPTOIR_HTTP__PORT_FILE", &port_file);
        command.envs(variables.iter().copied());
        let log = self.scratch.join(format!("{name}-log"));
        Ok(Office {
            process: Process::spawn("the office", command, &log)?,
            port_file,
        })
    }

    /// Runs another subcommand to its end. Returns its exit status and output.
    pub async fn run(&self, args: &[&str]) -> Result<(ExitStatus, String)> {
        let scratch = Scratch::new("command")?;
        let mut process = Process::spawn("an office's command", self.command(args), &scratch.join("log"))?;
        let status = process.wait(DEADLINE).await?;
        Ok((status, process.log()))
    }
}

/// A replica.
pub struct Office {
    process: Process,
    port_file: std::path::PathBuf,
}

impl Office {
    pub async fn url(&mut self, path: &str) -> Result<String> {
        let port = within("the office to write its port", DEADLINE, async || {
            self.process.still_running()?;
            let port = fs::read_to_string(&self.port_file)?;
            ensure!(!port.is_empty(), "the file is empty");
            Ok(port)
        });
        Ok(format!("http://127.0.0.1:{}{path}", port.await?))
    }

    pub async fn get(&mut self, path: &str) -> Result<(u16, String)> {
        let response = reqwest::get(self.url(path).await?).await?;
        Ok((response.status().as_u16(), response.text().await?))
    }

    /// The status of the answer to a request that names this host.
    pub async fn status_for_host(&mut self, path: &str, host: &str) -> Result<u16> {
        let request = reqwest::Client::new().get(self.url(path).await?);
        Ok(request.header("host", host).send().await?.status().as_u16())
    }

    pub async fn get_json(&mut self, path: &str) -> Result<Value> {
        let (status, text) = self.get(path).await?;
        ensure!(status == 200, "{path} answers {status}: {text}");
        Ok(serde_json::from_str(&text)?)
    }

    /// A counter or gauge of `/metrics`.
    pub async fn metric(&mut self, name: &str) -> Result<f64> {
        let (_, text) = self.get("/metrics").await?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(line
            .with_context(|| format!("{name} is not in {text}"))?
            .parse()?)
    }

    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        self.process.signal(signal)
    }

    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Sends SIGTERM and waits for its end.
    pub async fn terminate(&mut self) -> Result<ExitStatus> {
        self.process.signal(Signal::TERM)?;
        self.process.wait(TERMINATE_DEADLINE).await
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub fn log(&self) -> String {
        self.process.log()
    }
}
