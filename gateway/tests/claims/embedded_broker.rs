//! The built-in MQTT broker: forgetful and free with the order of topics. The end-to-end ack makes up for it.

use anyhow::{Result, ensure};
use comptoir_harness::Reader;
use comptoir_harness::{Gateway, GatewayConfig, Kafka, PosSim, audit, free_port, fresh_prefix, within};

use crate::shop::{GATEWAY, LATER, SOON, STORE};

#[tokio::test(flavor = "multi_thread")]
async fn tills_on_the_built_in_broker_lose_nothing_though_it_dies_with_the_gateway() -> Result<()> {
    let kafka = Kafka::shared().await;
    let prefix = fresh_prefix();
    let url = format!("mqtt://127.0.0.1:{}", free_port()?);
    let mut config = GatewayConfig::new(STORE, &url).kafka(kafka.brokers(), &prefix);
    config.extra = format!("mqtt.embedded = \"{}\"", url.trim_start_matches("mqtt://"));
    let mut gateway = Gateway::spawn(GATEWAY, config)?;
    gateway.wait_ready().await?;
    let events = 4_000;
    let count = events.to_string();
    let args = [
        "--broker",
        &url,
        "--store",
        STORE,
        "--devices",
        "20",
        "--rate",
        "0",
        "--events",
        &count,
    ];
    let mut sim = PosSim::spawn(args)?;
    let stored = async |gateway: &Gateway| {
        let status = gateway.get_json("/api/gateway").await?;
        Ok::<_, anyhow::Error>(status["journal"]["last_offset"].as_u64().unwrap_or_default())
    };
    within("half of the events", LATER, async || {
        let stored = stored(&gateway).await?;
        ensure!(stored > events / 2, "{stored} stored");
        Ok(())
    })
    .await?;
    gateway.kill9()?;
    gateway.start_again()?;
    sim.finish(LATER).await?;
    gateway.wait_ready().await?;
    within("all of them in Kafka", LATER, async || {
        let status = gateway.get_json("/api/gateway").await?;
        ensure!(
            status["journal"]["pending"] == 0 && stored(&gateway).await? == events,
            "{}",
            status["journal"]
        );
        Ok(())
    })
    .await?;
    let topics = ["orders", "payments", "deliveries"].map(|name| format!("{prefix}{name}"));
    let audit = audit(
        &sim.ledger()?,
        &Reader::new(kafka.brokers()).read(&topics, LATER).await?,
    );
    ensure!(audit.is_clean() && audit.records == events as usize, "{audit}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_reached_on_the_one_address_it_listens_on() -> Result<()> {
    // All of 127.0.0.0/8 is this machine, and what listens on one of them is not reached on another.
    let listen = format!("127.0.0.2:{}", free_port()?);
    let mut config = GatewayConfig::new(STORE, "mqtt://127.0.0.1:1");
    config.extra = format!("mqtt.embedded = \"{listen}\"");
    let mut gateway = Gateway::spawn(GATEWAY, config)?;
    gateway.wait_ready().await?;
    within("the built-in MQTT broker to be reached", SOON, async || {
        let status = gateway.get_json("/api/gateway").await?;
        ensure!(status["mqtt"]["state"] == "up", "{}", status["mqtt"]);
        Ok(())
    })
    .await?;
    ensure!(gateway.terminate().await?.success());
    Ok(())
}
