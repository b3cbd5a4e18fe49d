//! The MQTT broker, Kafka, and a gateway between them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use comptoir_harness::{Gateway, GatewayConfig, Jvm, Kafka, KafkaSettings, Mosquitto, fresh_prefix, within};

use crate::jobs::ResourceSample;
use crate::sales::STORE;

/// Deadline of every wait. A backlog of five million events takes minutes.
pub const LONG: Duration = Duration::from_secs(600);

/// One Kafka for all runs. Each run gets a new MQTT broker, because a broker keeps messages for an absent subscriber.
pub struct Stage {
    pub kafka: Kafka,
    pub tills: u32,
}

impl Stage {
    pub async fn open(tills: u32) -> Result<Self> {
        eprintln!("starting Kafka");
        let kafka = Kafka::start_with(KafkaSettings {
            jvm: Jvm::Throughput,
            ..KafkaSettings::default()
        })
        .await?;
        Ok(Self { kafka, tills })
    }

    /// Creates the three event topics under a new prefix, which it returns.
    pub async fn topics(&self) -> Result<String> {
        let prefix = fresh_prefix();
        let topics = ["orders", "payments", "deliveries"].map(|name| format!("{prefix}{name}"));
        // The gateway's default number of partitions.
        let topics = topics.each_ref().map(|name| (name.as_str(), 3));
        self.kafka.create_topics(&topics).await?;
        Ok(prefix)
    }

    /// Starts a gateway with an empty journal, with Kafka or without, and waits until it is connected.
    pub async fn shop(&self, kafka: bool) -> Result<Shop> {
        let shop = self.shop_on(mosquitto().await?, kafka, None).await?;
        if kafka {
            shop.wait_for_counter("comptoir_bridge_up", 1.0).await?;
            shop.wait_for_counter("comptoir_kafka_up", 1.0).await?;
        }
        Ok(shop)
    }

    /// Starts a gateway on a journal that may exist already, and waits until it is ready. It may not be connected to Kafka
    /// yet.
    pub async fn shop_on(&self, mosquitto: Mosquitto, kafka: bool, journal: Option<PathBuf>) -> Result<Shop> {
        self.shop_with(mosquitto, kafka, journal, |config| config).await
    }

    /// The same, with an amended configuration.
    pub async fn shop_with(
        &self,
        mosquitto: Mosquitto,
        kafka: bool,
        journal: Option<PathBuf>,
        amend: impl FnOnce(GatewayConfig) -> GatewayConfig,
    ) -> Result<Shop> {
        let prefix = fresh_prefix();
        let mut config = GatewayConfig::new(STORE, &mosquitto.url());
        if kafka {
            config = config.kafka(self.kafka.brokers(), &prefix);
        }
        config.journal_path = journal;
        // Large enough that nothing is pruned, which would be another measurement.
        config.max_bytes = Some(1 << 40);
        let begun = Instant::now();
        let mut gateway = Gateway::spawn(env!("CARGO_BIN_EXE_gateway"), amend(config))?;
        gateway.wait_ready().await?;
        let ready = begun.elapsed();
        Ok(Shop {
            gateway,
            mosquitto,
            prefix,
            ready,
            tills: self.tills,
        })
    }
}

/// Starts Mosquitto with its default interval of half an hour between two saves of its queues.
pub async fn mosquitto() -> Result<Mosquitto> {
    Mosquitto::start_with("autosave_interval 1800").await
}

/// A gateway with its MQTT broker.
pub struct Shop {
    pub gateway: Gateway,
    pub mosquitto: Mosquitto,
    pub prefix: String,
    /// Time from the start of the process to the first 200 of `/readyz`.
    pub ready: Duration,
    pub tills: u32,
}

impl Shop {
    /// The current values of `/metrics`.
    pub async fn counters(&self) -> Result<Counters> {
        let (status, text) = self.gateway.get("/metrics").await?;
        ensure!(status == 200, "/metrics answers {status}");
        let pairs = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| {
                let (name, value) = line.rsplit_once(' ')?;
                Some((name.to_owned(), value.parse().ok()?))
            });
        Ok(Counters(pairs.collect()))
    }

    /// Waits until `counter` is at least `value`.
    pub async fn wait_for_counter(&self, counter: &str, value: f64) -> Result<CounterReading> {
        within(&format!("{counter} to be {value}"), LONG, async || {
            let now = self.counters().await?.get(counter)?;
            ensure!(now >= value, "it is {now}");
            let at = Instant::now();
            Ok(CounterReading { at, value: now })
        })
        .await
    }

    pub fn sample(&self) -> Result<ResourceSample> {
        ResourceSample::of_process(self.gateway.pid()?)
    }
}

/// The value of a counter at a moment.
pub struct CounterReading {
    pub at: Instant,
    pub value: f64,
}

pub struct Counters(HashMap<String, f64>);

impl Counters {
    pub fn get(&self, name: &str) -> Result<f64> {
        self.0
            .get(name)
            .copied()
            .with_context(|| format!("/metrics has no {name}"))
    }
}
