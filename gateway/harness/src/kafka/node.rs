//! One Kafka server process: its properties, its data, its life.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::jars::Jars;
use super::{Jvm, KafkaSettings};
use crate::process::{Process, Signal};
use crate::scratch::Scratch;

/// Of a Kafka with one node, which has nobody to wait for but its disk.
const STOP_DEADLINE: Duration = Duration::from_secs(30);
/// Of a node in a cluster. It hands its partitions over and waits some 5 s for a new leader of the controllers.
const STOP_GRACE: Duration = Duration::from_secs(10);
const FORMAT_DEADLINE: Duration = Duration::from_secs(60);

/// The place of a node in the cluster.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) id: usize,
    pub(super) broker: u16,
    pub(super) controller: u16,
    /// The id of its data folder, by which the first voters know one another.
    pub(super) directory: String,
}

#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) id: String,
    pub(super) seats: Vec<Seat>,
    pub(super) settings: KafkaSettings,
}

/// One node, running or not.
#[derive(Debug)]
pub struct Node {
    id: usize,
    port: u16,
    jars: Jars,
    jvm: Jvm,
    folder: PathBuf,
    cluster_id: String,
    initial_controllers: String,
    /// It is all of the cluster.
    alone: bool,
    process: Option<Process>,
}

impl Node {
    /// Writes its properties.
    pub(super) fn prepare(cluster: &Cluster, seat: &Seat, scratch: &Scratch) -> Result<Self> {
        let folder = scratch.join(seat.id.to_string());
        fs::create_dir_all(&folder)?;
        let properties = properties(cluster, seat, &folder.join("data").display().to_string());
        fs::write(folder.join("server.properties"), properties)?;
        let controllers = cluster.seats.iter().map(
            |Seat {
                 id,
                 controller,
                 directory,
                 ..
             }| { format!("{id}@127.0.0.1:{controller}:{directory}") },
        );
        Ok(Self {
            id: seat.id,
            port: seat.broker,
            jars: Jars::find()?,
            jvm: cluster.settings.jvm,
            folder,
            cluster_id: cluster.id.clone(),
            initial_controllers: controllers.collect::<Vec<_>>().join(","),
            alone: cluster.seats.len() == 1,
            process: None,
        })
    }

    /// Makes the data folder.
    pub(super) async fn format(&self) -> Result<()> {
        let mut command = self.java();
        command
            .args([
                "kafka.tools.StorageTool",
                "format",
                "--cluster-id",
                &self.cluster_id,
            ])
            .args(["--initial-controllers", &self.initial_controllers, "--config"])
            .arg(self.folder.join("server.properties"));
        let mut tool = Process::spawn("Kafka's format tool", command, &self.folder.join("format.log"))?;
        let status = tool.wait(FORMAT_DEADLINE).await?;
        ensure!(
            status.success(),
            "format Kafka's data folder: {status}\n{}",
            tool.log_tail()
        );
        Ok(())
    }

    /// Starts the server, which is not ready for some time yet.
    pub(super) fn launch(&mut self) -> Result<()> {
        let mut command = self.java();
        match self.jvm {
            Jvm::QuickStart => command.args(["-Xms32m", "-Xmx384m", "-XX:TieredStopAtLevel=1"]),
            Jvm::Throughput => command.args(["-Xms512m", "-Xmx1g"]),
        };
        command
            .arg("kafka.Kafka")
            .arg(self.folder.join("server.properties"));
        let name = format!("Kafka node {}", self.id);
        self.process = Some(Process::spawn(&name, command, &self.folder.join("server.log"))?);
        Ok(())
    }

    fn java(&self) -> Command {
        let mut command = Command::new("java");
        command
            .arg("-XX:+UseSerialGC")
            .arg(format!(
                "-XX:SharedArchiveFile={}",
                self.jars.class_archive.display()
            ))
            // An archive that no longer fits the JVM costs a second, and is no error.
            .args(["-Xshare:auto", "-Xlog:cds=off", "-Xlog:cds+dynamic=off"])
            .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
            .args(["-cp", &self.jars.class_path]);
        command
    }

    /// `host:port` of the broker.
    pub fn broker(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(super) fn is_launched(&self) -> bool {
        self.process.is_some()
    }

    pub(super) fn still_running(&mut self) -> Result<()> {
        self.running()?.still_running()
    }

    /// Ends it in order (SIGTERM).
    ///
    /// In a cluster that has lost the majority of its controllers a node cannot end in order: it would ask for leave for
    /// minutes. It is killed after 10 s; its next start checks its logs.
    ///
    /// # Errors
    /// It has ended by itself; or it is alone, and does not end within 30 s.
    pub async fn stop(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else {
            return Ok(());
        };
        process.signal(Signal::TERM)?;
        if self.alone {
            process.wait(STOP_DEADLINE).await?;
        } else if process.wait(STOP_GRACE).await.is_err() {
            process.kill();
        }
        Ok(())
    }

    /// Kills it (SIGKILL).
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Lets it hang (SIGSTOP).
    ///
    /// # Errors
    /// It does not run.
    pub fn pause(&mut self) -> Result<()> {
        self.running()?.signal(Signal::STOP)
    }

    /// Lets it go on (SIGCONT).
    ///
    /// # Errors
    /// It does not run.
    pub fn resume(&mut self) -> Result<()> {
        self.running()?.signal(Signal::CONT)
    }

    /// The process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    pub(super) fn log_tail(&self) -> String {
        self.process.as_ref().map(Process::log_tail).unwrap_or_default()
    }

    fn running(&mut self) -> Result<&mut Process> {
        let id = self.id;
        self.process
            .as_mut()
            .with_context(|| format!("Kafka node {id} does not run"))
    }
}

fn properties(cluster: &Cluster, seat: &Seat, data: &str) -> String {
    let nodes = cluster.seats.len();
    let (replicas, in_sync) = (nodes.min(3), nodes.min(2));
    let controllers = cluster
        .seats
        .iter()
        .map(|seat| format!("127.0.0.1:{}", seat.controller));
    let controllers = controllers.collect::<Vec<_>>().join(",");
    let (id, broker, controller) = (seat.id, seat.broker, seat.controller);
    let mut text = format!(
        "\
process.roles=broker,controller
node.id={id}
listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers={controllers}
log.dirs={data}
default.replication.factor={replicas}
min.insync.replicas={in_sync}
offsets.topic.replication.factor={replicas}
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={in_sync}
share.coordinator.state.topic.replication.factor={replicas}
share.coordinator.state.topic.min.isr={in_sync}
auto.create.topics.enable=false
"
    );
    text.push_str(QUICK);
    for (key, value) in &cluster.settings.properties {
        // A later line replaces an earlier one.
        text.push_str(&format!("{key}={value}\n"));
    }
    text
}

/// Less to make at the start, and shorter waits where Kafka's own are made for large clusters.
const QUICK: &str = "\
offsets.topic.num.partitions=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
transaction.abort.timed.out.transaction.cleanup.interval.ms=500
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
log.cleaner.dedupe.buffer.size=4194304
log.cleaner.io.buffer.size=65536
";
