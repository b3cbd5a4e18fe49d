//! One Kafka server process with its properties and data.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::jars::Jars;
use super::{Jvm, KafkaSettings, MeteredListener};
use crate::process::{Process, Signal};
use crate::scratch::Scratch;

/// Deadline for a single node, which only waits for its disk.
const STOP_DEADLINE: Duration = Duration::from_secs(30);
/// Time for a node of a cluster, which hands over its partitions and waits about 5 s for the controllers' new leader.
const STOP_GRACE: Duration = Duration::from_secs(10);
const FORMAT_DEADLINE: Duration = Duration::from_secs(60);
/// The folder of the partitions, in that of the node.
const DATA: &str = "data";

/// The id and the ports of a node.
#[derive(Debug)]
pub(super) struct NodeAddress {
    pub(super) id: usize,
    pub(super) broker: u16,
    pub(super) controller: u16,
    /// The id of its data folder, which the initial controllers use to identify one another.
    pub(super) directory: String,
}

#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) id: String,
    pub(super) nodes: Vec<NodeAddress>,
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
    /// True if the cluster has no other node.
    is_alone: bool,
    process: Option<Process>,
}

impl Node {
    /// Creates the folder and writes `server.properties`.
    pub(super) fn prepare(cluster: &Cluster, address: &NodeAddress, scratch: &Scratch) -> Result<Self> {
        let folder = scratch.join(address.id.to_string());
        fs::create_dir_all(&folder)?;
        let properties = properties(cluster, address, &folder.join(DATA).display().to_string());
        fs::write(folder.join("server.properties"), properties)?;
        let controllers = cluster.nodes.iter().map(
            |NodeAddress {
                 id,
                 controller,
                 directory,
                 ..
             }| { format!("{id}@127.0.0.1:{controller}:{directory}") },
        );
        Ok(Self {
            id: address.id,
            port: address.broker,
            jars: Jars::find()?,
            jvm: cluster.settings.jvm,
            folder,
            cluster_id: cluster.id.clone(),
            initial_controllers: controllers.collect::<Vec<_>>().join(","),
            is_alone: cluster.nodes.len() == 1,
            process: None,
        })
    }

    /// Holds a folder for each partition.
    pub(super) fn data_folder(&self) -> PathBuf {
        self.folder.join(DATA)
    }

    /// Formats the data folder.
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

    /// Starts the server, and does not wait until it is ready.
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
            // An archive that no longer fits the JVM is ignored, which costs a second.
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

    /// Stops it (SIGTERM).
    ///
    /// In a cluster that has lost the majority of its controllers, a node cannot stop cleanly; it would try for
    /// minutes. So it is killed after 10 s, and checks its logs at the next start.
    ///
    /// # Errors
    /// It has ended by itself, or it is the only node and does not stop within 30 s.
    pub async fn stop(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else {
            return Ok(());
        };
        process.signal(Signal::TERM)?;
        if self.is_alone {
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

    /// Suspends it (SIGSTOP).
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

fn properties(cluster: &Cluster, address: &NodeAddress, data: &str) -> String {
    let nodes = cluster.nodes.len();
    let (replicas, in_sync) = (nodes.min(3), nodes.min(2));
    let controllers = cluster
        .nodes
        .iter()
        .map(|address| format!("127.0.0.1:{}", address.controller));
    let controllers = controllers.collect::<Vec<_>>().join(",");
    let (id, broker, controller) = (address.id, address.broker, address.controller);
    let secure = cluster.settings.secure.as_ref();
    let listener = secure.map(|secure| format!(",SECURE://127.0.0.1:{}", secure.port));
    let listener = listener.unwrap_or_default();
    let metered = cluster.settings.metered;
    let behind_proxy = |port: fn(&MeteredListener) -> u16| {
        let metered = metered.as_ref();
        metered.map_or_else(String::new, |metered| {
            format!(",METERED://127.0.0.1:{}", port(metered))
        })
    };
    let (metered, advertised) = (
        behind_proxy(|metered| metered.port),
        behind_proxy(|metered| metered.advertised),
    );
    let mut text = format!(
        "\
process.roles=broker,controller
node.id={id}
listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}{listener}{metered}
advertised.listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}{listener}{advertised}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL,METERED:PLAINTEXT
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
    if let Some(secure) = secure {
        text.push_str(&secure.properties());
    }
    for (key, value) in &cluster.settings.properties {
        // A later line overrides an earlier one.
        text.push_str(&format!("{key}={value}\n"));
    }
    text
}

/// Fewer internal partitions to create at the start, and shorter waits than Kafka's defaults, which suit large clusters.
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
