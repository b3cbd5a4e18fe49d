//! The brokers, and a gateway between them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use comptoir_harness::{Gateway, GatewayConfig, Jvm, Kafka, KafkaSettings, Mosquitto, fresh_prefix, within};

use crate::jobs::Mark;
use crate::sales::STORE;

/// For whatever is waited for: a backlog of five million takes minutes. What is stuck ends with this as an error.
pub const LONG: Duration = Duration::from_secs(600);

/// A Kafka for all runs. MQTT brokers are fresh for each run: they keep what an absent subscriber has not taken.
pub struct Stage {
    pub kafka: Kafka,
    pub terminals: u32,
}

impl Stage {
    pub async fn open(terminals: u32) -> Result<Self> {
        eprintln!("starting Kafka");
        let kafka = Kafka::start_with(KafkaSettings {
            jvm: Jvm::Throughput,
            ..KafkaSettings::default()
        })
        .await?;
        Ok(Self { kafka, terminals })
    }

    /// The three event topics under a prefix of their own.
    pub async fn topics(&self) -> Result<String> {
        let prefix = fresh_prefix();
        let topics = ["orders", "payments", "deliveries"].map(|name| format!("{prefix}{name}"));
        // As many as the gateway makes.
        let topics = topics.each_ref().map(|name| (name.as_str(), 3));
        self.kafka.create_topics(&topics).await?;
        Ok(prefix)
    }

    /// A gateway with an empty journal that is ready, with Kafka or without.
    pub async fn shop(&self, kafka: bool) -> Result<Shop> {
        let shop = self.shop_on(mosquitto().await?, kafka, None).await?;
        if kafka {
            shop.reached("comptoir_bridge_up", 1.0).await?;
            shop.reached("comptoir_kafka_up", 1.0).await?;
        }
        Ok(shop)
    }

    /// A gateway that is ready, on a journal that may be there already. Kafka need not be reached yet.
    pub async fn shop_on(&self, mosquitto: Mosquitto, kafka: bool, journal: Option<PathBuf>) -> Result<Shop> {
        let prefix = fresh_prefix();
        let mut config = GatewayConfig::new(STORE, &mosquitto.url());
        if kafka {
            config = config.kafka(self.kafka.brokers(), &prefix);
        }
        config.journal_path = journal;
        // Nothing is pruned: that is another measurement.
        config.max_bytes = Some(1 << 40);
        let begun = Instant::now();
        let mut gateway = Gateway::spawn(env!("CARGO_BIN_EXE_gateway"), config)?;
        gateway.wait_ready().await?;
        let ready = begun.elapsed();
        Ok(Shop {
            gateway,
            mosquitto,
            prefix,
            ready,
            terminals: self.terminals,
        })
    }
}

/// With Mosquitto's own interval between writing its queues down, which is half an hour.
pub async fn mosquitto() -> Result<Mosquitto> {
    Mosquitto::start_with("autosave_interval 1800").await
}

pub struct Shop {
    pub gateway: Gateway,
    pub mosquitto: Mosquitto,
    pub prefix: String,
    /// From the start of the process to the first 200 of `/readyz`.
    pub ready: Duration,
    pub terminals: u32,
}

impl Shop {
    /// What `/metrics` says now.
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

    /// Waits until a counter is at least so high.
    pub async fn reached(&self, counter: &str, value: f64) -> Result<Reached> {
        within(&format!("{counter} to be {value}"), LONG, async || {
            let now = self.counters().await?.get(counter)?;
            ensure!(now >= value, "it is {now}");
            let at = Instant::now();
            Ok(Reached { at, value: now })
        })
        .await
    }

    pub fn mark(&self) -> Result<Mark> {
        Mark::of(self.gateway.pid()?)
    }
}

/// What a counter was when it was seen to be high enough.
pub struct Reached {
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
