//! While Kafka is away everything else works, and nothing is lost when it is back.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use comptoir_harness::{Gateway, GatewayConfig, Kafka, Mosquitto, within};
use serde_json::json;

use crate::shop::{GATEWAY, LATER, SOON, STORE, Shop, tills};

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_without_a_configured_kafka_works_and_buffers() -> Result<()> {
    let mosquitto = Mosquitto::start().await?;
    let mut gateway = Gateway::spawn(GATEWAY, GatewayConfig::new(STORE, &mosquitto.url()))?;
    gateway.wait_ready().await?;
    let mut sim = tills(&mosquitto, 1, 300, 0)?;
    sim.finish(SOON).await?;
    let status = gateway.get_json("/api/gateway").await?;
    ensure!(status["kafka"]["state"] == "off", "{}", status["kafka"]);
    ensure!(status["journal"]["pending"] == 300, "{}", status["journal"]);
    ensure!(
        status["journal"]["oldest_pending"].is_string(),
        "{}",
        status["journal"]
    );
    ensure!(gateway.terminate().await?.success());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_kafka_is_reported_as_down_and_delays_nothing() -> Result<()> {
    let mut kafka = Kafka::start().await?;
    let mut shop = Shop::open_on(kafka.brokers()).await?;
    let reaches = async |shop: &Shop, state: &str| {
        within(&format!("Kafka to be {state}"), SOON, async || {
            let status = shop.gateway.get_json("/api/gateway").await?;
            ensure!(status["kafka"]["state"] == state, "{}", status["kafka"]);
            Ok(())
        })
        .await
    };
    reaches(&shop, "up").await?;
    kafka.pause()?;
    reaches(&shop, "down").await?;
    let mut sim = tills(&shop.mosquitto, 1, 200, 0)?;
    sim.finish(SOON).await?;
    let (status, _, body) = shop.gateway.post_json("/api/orders", &json!({})).await?;
    ensure!(status == 201, "{body}");
    ensure!(shop.gateway.get("/readyz").await?.0 == 200);
    kafka.resume()?;
    reaches(&shop, "up").await?;
    shop.drained(201, LATER).await?;
    ensure!(shop.records().await?.len() == 201);
    ensure!(shop.gateway.terminate().await?.success());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_stops_the_gateway_within_10_seconds_while_kafka_hangs() -> Result<()> {
    let mut kafka = Kafka::start().await?;
    let mut shop = Shop::open_on(kafka.brokers()).await?;
    shop.gateway.post_json("/api/orders", &json!({})).await?;
    shop.drained(1, SOON).await?;
    kafka.pause()?;
    let (status, _, _) = shop.gateway.post_json("/api/orders", &json!({})).await?;
    ensure!(status == 201);
    // terminate() fails after 10 s, which `docs/interfaces/command-line.md` promises.
    ensure!(shop.gateway.terminate().await?.success());
    kafka.resume()?;
    shop.gateway.start_again()?;
    shop.gateway.wait_ready().await?;
    shop.drained(2, LATER).await?;
    ensure!(shop.records().await?.len() == 2, "an order was lost or doubled");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_does_not_wait_for_an_unreachable_kafka() -> Result<()> {
    let mosquitto = Mosquitto::start().await?;
    let config = GatewayConfig::new(STORE, &mosquitto.url()).kafka("127.0.0.1:1", "");
    let mut gateway = Gateway::spawn(GATEWAY, config)?;
    gateway.wait_ready().await?;
    let (status, _, body) = gateway.post_json("/api/orders", &json!({})).await?;
    ensure!(status == 201, "{body}");
    let begun = Instant::now();
    ensure!(gateway.terminate().await?.success());
    // The timeout for Kafka is 20 s, and the limit for the shutdown 8 s.
    ensure!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    let log = gateway.log();
    ensure!(
        log.contains("stopped") && !log.contains("did not end in time"),
        "{log}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn events_queued_in_the_mqtt_broker_survive_its_restart_and_arrive() -> Result<()> {
    let mut shop = Shop::open().await?;
    shop.gateway.kill9()?;
    let mut probe = comptoir_harness::MqttProbe::connect(&shop.mosquitto.url()).await?;
    for n in 0..50 {
        let payment = json!({"payment_id": format!("p-{n}"), "order_id": "o-1", "amount": 1.5,
            "method": "Cash", "status": "SUCCESS"});
        probe
            .publish("pos/paris-1/till-9/payments", payment.to_string())
            .await?;
    }
    drop(probe);
    shop.mosquitto.stop().await?;
    shop.mosquitto.start_again().await?;
    shop.gateway.start_again()?;
    shop.gateway.wait_ready().await?;
    shop.drained(50, SOON + Duration::from_secs(20)).await?;
    ensure!(shop.records().await?.len() == 50);
    Ok(())
}
