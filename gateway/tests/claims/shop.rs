//! The parts that most claims need: a gateway with a Mosquitto and a Kafka.

use std::time::Duration;

use anyhow::{Result, ensure};
use comptoir_harness::{
    Gateway, GatewayConfig, Kafka, LedgerLine, Mosquitto, Reader, Record, audit, fresh_prefix, within,
};

pub const GATEWAY: &str = env!("CARGO_BIN_EXE_gateway");
pub const STORE: &str = "paris-1";
/// Deadline for operations that take at most a few seconds on an idle machine.
pub const SOON: Duration = Duration::from_secs(40);
/// Deadline for a whole run.
pub const LATER: Duration = Duration::from_secs(180);

pub struct Shop {
    pub gateway: Gateway,
    pub mosquitto: Mosquitto,
    pub brokers: String,
    pub prefix: String,
}

impl Shop {
    /// Opens a shop on the Kafka that all tests share, with a topic prefix of its own.
    pub async fn open() -> Result<Self> {
        Self::open_on(Kafka::shared().await.brokers()).await
    }

    /// A shop whose gateway reads the events of all shops from Kafka.
    pub async fn open_reading_all() -> Result<Self> {
        let brokers = Kafka::shared().await.brokers();
        Self::open_with(brokers, |config| config.with("kafka.follow = \"all\"")).await
    }

    pub async fn open_on(brokers: &str) -> Result<Self> {
        Self::open_with(brokers, |config| config).await
    }

    pub async fn open_with(
        brokers: &str,
        adapt: impl FnOnce(GatewayConfig) -> GatewayConfig,
    ) -> Result<Self> {
        let mosquitto = Mosquitto::start().await?;
        let prefix = fresh_prefix();
        let config = GatewayConfig::new(STORE, &mosquitto.url()).kafka(brokers, &prefix);
        let mut gateway = Gateway::spawn(GATEWAY, adapt(config))?;
        gateway.wait_ready().await?;
        Ok(Self {
            gateway,
            mosquitto,
            brokers: brokers.to_owned(),
            prefix,
        })
    }

    pub fn topic(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// This shop's own topic of this name.
    pub fn shop_topic(&self, name: &str) -> String {
        format!("{}{name}.{STORE}", self.prefix)
    }

    pub fn topics(&self) -> [String; 3] {
        ["orders", "payments", "deliveries"].map(|name| self.topic(name))
    }

    /// Waits until the journal holds at least `events` and all of them are in Kafka.
    pub async fn drained(&self, events: u64, deadline: Duration) -> Result<()> {
        within("everything to be in Kafka", deadline, async || {
            let status = self.gateway.get_json("/api/gateway").await?;
            let journal = &status["journal"];
            let last = journal["last_offset"].as_u64().unwrap_or_default();
            ensure!(last >= events && journal["pending"] == 0, "{journal}");
            Ok(())
        })
        .await
    }

    /// All records that a `read_committed` reader finds in the event topics.
    pub async fn records(&self) -> Result<Vec<Record>> {
        Reader::new(&self.brokers).read(&self.topics(), LATER).await
    }

    /// Fails unless Kafka contains each event of the ledger once, in its order, and nothing else.
    pub async fn audited(&self, ledger: &[LedgerLine]) -> Result<()> {
        let audit = audit(ledger, &self.records().await?);
        println!("{audit}");
        // A panic instead of an error, because a panic keeps the logs, the journal and Kafka's segments.
        assert!(audit.is_clean(), "{audit}");
        Ok(())
    }
}
