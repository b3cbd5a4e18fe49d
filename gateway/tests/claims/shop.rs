//! The parts that most claims need: a gateway with a Mosquitto and a Kafka.

use std::time::Duration;

use anyhow::{Result, ensure};
use comptoir_harness::{
    Gateway, GatewayConfig, Kafka, LedgerLine, Mosquitto, MqttProbe, PosSim, Reader, Record, audit,
    fresh_prefix, within,
};
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

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

/// Tills that sell this many events in [`STORE`], and end when all are acknowledged. `rate` is in events per second, over
/// all tills; 0: as fast as acknowledgements arrive.
pub fn tills(mosquitto: &Mosquitto, devices: u32, events: u64, rate: u32) -> Result<PosSim> {
    let url = mosquitto.url();
    let numbers = [
        ("--devices", u64::from(devices)),
        ("--events", events),
        ("--rate", rate.into()),
    ];
    let numbers = numbers.map(|(option, number)| [option.to_owned(), number.to_string()]);
    let arguments = ["--broker", &url, "--store", STORE].map(str::to_owned);
    PosSim::spawn(arguments.into_iter().chain(numbers.into_iter().flatten()))
}

/// A gateway without Kafka, its Mosquitto, and a client of that.
pub async fn without_kafka() -> Result<(Gateway, Mosquitto, MqttProbe)> {
    let mosquitto = Mosquitto::start().await?;
    let mut gateway = Gateway::spawn(GATEWAY, GatewayConfig::new(STORE, &mosquitto.url()))?;
    gateway.wait_ready().await?;
    let probe = MqttProbe::connect(&mosquitto.url()).await?;
    Ok((gateway, mosquitto, probe))
}

/// Waits until the gateway is connected to its MQTT broker.
pub async fn wait_for_mqtt(gateway: &Gateway) -> Result<()> {
    within("the MQTT broker to be connected", SOON, async || {
        let status = gateway.get_json("/api/gateway").await?;
        ensure!(status["mqtt"]["state"] == "up", "{}", status["mqtt"]);
        Ok(())
    })
    .await
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

    /// Changes the journal of a gateway that does not run, as a crash could have left it.
    pub async fn alter_journal(&self, statements: &[&'static str]) -> Result<()> {
        let options = SqliteConnectOptions::new().filename(self.gateway.journal_path());
        let mut journal = SqliteConnection::connect_with(&options).await?;
        for statement in statements {
            sqlx::query(*statement).execute(&mut journal).await?;
        }
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
            .execute(&mut journal)
            .await?;
        journal.close().await?;
        Ok(())
    }
}
