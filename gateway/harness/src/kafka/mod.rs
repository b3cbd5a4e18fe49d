//! Apache Kafka in KRaft mode, started from the jars that `make kafka` puts into the cache.

mod acls;
mod admin;
mod jars;
mod metered;
mod node;
mod secured;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::future::try_join_all;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use crate::eventually::within;
use crate::scratch::{Scratch, free_port};
pub use acls::Operation;
pub use metered::{MeteredKafka, MeteredListener, Traffic};
pub use node::Node;
pub use secured::{SecureListener, SecuredKafka};

const READY_DEADLINE: Duration = Duration::from_secs(60);

/// The purpose for which a node's Java virtual machine is tuned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Jvm {
    /// Starts in a second, slower under load. For tests.
    #[default]
    QuickStart,
    /// Compiles hot code fully and has a larger heap. For benchmarks.
    Throughput,
}

/// How to start Kafka.
#[derive(Debug, Clone)]
pub struct KafkaSettings {
    /// Number of nodes, each of which is a broker and a controller. With three or more, the replication factor is 3 and
    /// `min.insync.replicas` is 2.
    pub nodes: usize,
    pub jvm: Jvm,
    /// Additional lines of `server.properties`; they override the harness's own.
    pub properties: Vec<(String, String)>,
    /// A second listener with authentication. For a single node.
    pub secure: Option<SecureListener>,
    /// A second listener behind a proxy. For a single node.
    pub metered: Option<MeteredListener>,
}

impl Default for KafkaSettings {
    fn default() -> Self {
        Self {
            nodes: 1,
            jvm: Jvm::default(),
            properties: Vec::new(),
            secure: None,
            metered: None,
        }
    }
}

/// A Kafka cluster of one or more nodes. Its data is removed when this value is dropped.
#[derive(Debug)]
pub struct Kafka {
    // Declared before `_scratch`, so that the processes end before the folder is removed.
    nodes: Vec<Node>,
    brokers: String,
    _scratch: Scratch,
}

impl Kafka {
    /// Starts one node and waits until it is ready.
    ///
    /// # Errors
    /// See [`Self::start_with`].
    pub async fn start() -> Result<Self> {
        Self::start_with(KafkaSettings::default()).await
    }

    /// Starts a cluster and waits until every node knows every other.
    ///
    /// # Errors
    /// See [`Self::start_with`].
    pub async fn start_cluster(nodes: usize) -> Result<Self> {
        Self::start_with(KafkaSettings {
            nodes,
            ..KafkaSettings::default()
        })
        .await
    }

    /// Starts Kafka with the given settings and waits until it is ready.
    ///
    /// # Errors
    /// The jars are not in the cache, `java` cannot be started, or Kafka is not ready within a minute.
    pub async fn start_with(settings: KafkaSettings) -> Result<Self> {
        ensure!(settings.nodes >= 1, "Kafka needs at least one node");
        let scratch = Scratch::new("kafka")?;
        let mut nodes = Vec::new();
        for id in 1..=settings.nodes {
            nodes.push(node::NodeAddress {
                id,
                broker: free_port()?,
                controller: free_port()?,
                directory: new_uuid(),
            });
        }
        let cluster = node::Cluster {
            id: new_uuid(),
            nodes,
            settings,
        };
        let nodes = cluster
            .nodes
            .iter()
            .map(|address| Node::prepare(&cluster, address, &scratch));
        let mut nodes = nodes.collect::<Result<Vec<_>>>()?;
        try_join_all(nodes.iter().map(Node::format)).await?;
        for node in &mut nodes {
            node.launch()?;
        }
        let brokers: Vec<_> = nodes.iter().map(Node::broker).collect();
        let mut kafka = Self {
            nodes,
            brokers: brokers.join(","),
            _scratch: scratch,
        };
        kafka.wait_ready().await?;
        Ok(kafka)
    }

    /// A node that all tests of this process share. They must not stop it, and separate their topics with a
    /// [`fresh_prefix`].
    ///
    /// # Panics
    /// It cannot be started.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Kafka> = OnceCell::const_new();
        // Everything is allowed unless it is denied.
        let authorizer = [
            (
                "authorizer.class.name",
                "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            ),
            ("allow.everyone.if.no.acl.found", "true"),
        ];
        let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        let settings = KafkaSettings {
            properties: authorizer.map(owned).to_vec(),
            ..KafkaSettings::default()
        };
        match SHARED.get_or_try_init(|| Self::start_with(settings)).await {
            Ok(kafka) => kafka,
            Err(error) => panic!("{error:#}"),
        }
    }

    /// `host:port,…` of all nodes, whether they run or not.
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// A node by its index, from 0.
    ///
    /// # Panics
    /// There is no such node.
    pub fn node(&mut self, index: usize) -> &mut Node {
        &mut self.nodes[index]
    }

    /// Waits until every node that runs is in the cluster and answers.
    ///
    /// # Errors
    /// A node has ended, or does not answer within a minute.
    pub async fn wait_ready(&mut self) -> Result<()> {
        let running = self.nodes.iter().filter(|node| node.is_launched()).count();
        for node in self.nodes.iter_mut().filter(|node| node.is_launched()) {
            let mut config = client(&node.broker());
            config.set("log_level", "0");
            let probe: BaseConsumer = config.create().context("create a Kafka client")?;
            let probe = std::sync::Arc::new(probe);
            within("Kafka to be ready", READY_DEADLINE, async || {
                node.still_running()?;
                let probe = std::sync::Arc::clone(&probe);
                let metadata =
                    spawn_blocking(move || probe.fetch_metadata(None, Duration::from_millis(500))).await??;
                let seen = metadata.brokers().len();
                ensure!(seen == running, "{seen} of {running} nodes are in the cluster");
                Ok(())
            })
            .await
            .with_context(|| node.log_tail())?;
        }
        Ok(())
    }

    /// Stops all nodes (SIGTERM); see [`Node::stop`].
    ///
    /// # Errors
    /// Same as [`Node::stop`].
    pub async fn stop(&mut self) -> Result<()> {
        try_join_all(self.nodes.iter_mut().map(Node::stop)).await?;
        Ok(())
    }

    /// Kills all nodes (SIGKILL).
    pub fn kill(&mut self) {
        self.nodes.iter_mut().for_each(Node::kill);
    }

    /// Starts the nodes that do not run, on the same ports and with the same data, and waits until Kafka is ready.
    ///
    /// # Errors
    /// Same as [`Self::start_with`].
    pub async fn start_again(&mut self) -> Result<()> {
        for node in self.nodes.iter_mut().filter(|node| !node.is_launched()) {
            node.launch()?;
        }
        self.wait_ready().await
    }

    /// Suspends all nodes (SIGSTOP): connections stay open, but nothing responds.
    ///
    /// # Errors
    /// A node has ended.
    pub fn pause(&mut self) -> Result<()> {
        self.nodes.iter_mut().try_for_each(Node::pause)
    }

    /// Resumes all nodes (SIGCONT).
    ///
    /// # Errors
    /// A node has ended.
    pub fn resume(&mut self) -> Result<()> {
        self.nodes.iter_mut().try_for_each(Node::resume)
    }
}

/// A random `kafka.topic_prefix` that no other test uses, such as `t5f0c9a31.`.
pub fn fresh_prefix() -> String {
    format!("t{:08x}.", rand::random::<u32>())
}

/// Settings of the harness's own clients. They notice at once when a node returns.
pub(crate) fn client(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("reconnect.backoff.ms", "10")
        .set("reconnect.backoff.max.ms", "50")
        .set("topic.metadata.refresh.fast.interval.ms", "50")
        .set("allow.auto.create.topics", "false");
    config
}

/// A random UUID in Kafka's notation of 22 characters. It does not begin with `-`, or Kafka's tool would take it for an
/// option.
fn new_uuid() -> String {
    loop {
        let uuid = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 16]>());
        if !uuid.starts_with('-') {
            return uuid;
        }
    }
}
