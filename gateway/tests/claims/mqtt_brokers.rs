//! MQTT brokers that are set up otherwise than ours, and two gateways with one client id.

use std::time::Duration;

use anyhow::{Result, ensure};
use comptoir_harness::{Gateway, GatewayConfig, Mosquitto, MqttProbe, PosSim, within};
use serde_json::Value;

use crate::shop::{GATEWAY, LATER, SOON, STORE};

/// For counting connections.
const WINDOW: Duration = Duration::from_secs(8);

async fn gateway_on(mosquitto: &Mosquitto) -> Result<Gateway> {
    let mut gateway = Gateway::spawn(GATEWAY, GatewayConfig::new(STORE, &mosquitto.url()))?;
    gateway.wait_ready().await?;
    Ok(gateway)
}

/// Waits until the MQTT link, in JSON, contains these words.
async fn link_says(gateway: &Gateway, words: &str) -> Result<Value> {
    within(words, SOON, async || {
        let link = gateway.get_json("/api/gateway").await?["mqtt"].clone();
        ensure!(link.to_string().contains(words), "{link}");
        Ok(link)
    })
    .await
}

fn connections(mosquitto: &Mosquitto, client_id: &str) -> usize {
    mosquitto.log().matches(&format!(" as {client_id} ")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn tills_are_acked_by_a_broker_without_retained_messages() -> Result<()> {
    let options = "retain_available false\nlog_type notice";
    let mosquitto = Mosquitto::start_with(options).await?;
    let mut gateway = gateway_on(&mosquitto).await?;
    let link = link_says(&gateway, "retained messages").await?;
    ensure!(link["state"] == "up", "{link}");
    // It ends when all is acked.
    let url = mosquitto.url();
    let sold = [
        "--broker",
        &url,
        "--store",
        STORE,
        "--devices",
        "3",
        "--rate",
        "100",
        "--events",
        "60",
    ];
    let mut tills = PosSim::spawn(sold)?;
    tills.finish(LATER).await?;
    let (_, said) = gateway.run(&["check"], SOON).await?;
    let line = said.lines().find(|line| line.contains("ok      mqtt.url"));
    ensure!(
        line.is_some_and(|line| line.contains("retained messages")),
        "{said}"
    );
    ensure!(
        connections(&mosquitto, "comptoir-paris-1") == 1,
        "{}",
        mosquitto.log()
    );
    ensure!(gateway.terminate().await?.success());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gateways_with_one_client_id_take_turns_more_and_more_rarely_and_say_so() -> Result<()> {
    let mosquitto = Mosquitto::start_with("log_type notice").await?;
    let mut till = MqttProbe::connect(&mosquitto.url()).await?;
    till.subscribe(&format!("pos/{STORE}/+/ack")).await?;
    let (mut one, mut other) = (gateway_on(&mosquitto).await?, gateway_on(&mosquitto).await?);
    tokio::time::sleep(WINDOW).await;
    let connections = connections(&mosquitto, "comptoir-paris-1");
    ensure!((2..=16).contains(&connections), "{connections} connections");
    // Each of them, whichever is connected now. Mosquitto before 2.0.15 closes the old connection without a reason.
    for gateway in [&one, &other] {
        let link = link_says(gateway, "a card was cloned").await?;
        ensure!(link.to_string().contains("comptoir-paris-1"), "{link}");
        // Each reason is logged once, and so is the connection behind it.
        let log = gateway.log();
        let lines = |words: &str| log.lines().filter(|line| line.contains(words)).count();
        let (connected, lost) = (lines("connected peer="), lines("not reached"));
        ensure!((1..=3).contains(&connected) && (1..=2).contains(&lost), "{log}");
    }
    // The one that is connected acks.
    let event = r#"{"epoch":7,"seq":1,"payment_id":"p-1","order_id":"o-1","amount":1.30,"method":"Cash","status":"SUCCESS"}"#;
    till.publish(&format!("pos/{STORE}/till-1/payments"), event)
        .await?;
    let ack = till.next(SOON).await?;
    ensure!(ack.payload == r#"{"epoch":7,"seq":1}"#, "{ack:?}");
    ensure!(one.terminate().await?.success() && other.terminate().await?.success());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_with_qos_0_only_is_refused_in_one_sentence_by_the_gateway_and_by_check() -> Result<()> {
    let mosquitto = Mosquitto::start_with("max_qos 0").await?;
    let mut gateway = Gateway::spawn(GATEWAY, GatewayConfig::new(STORE, &mosquitto.url()))?;
    let link = link_says(&gateway, "QoS 0 only").await?;
    ensure!(link["state"] == "down", "{link}");
    let (status, said) = gateway.run(&["check"], SOON).await?;
    let line = said.lines().find(|line| line.contains("FAILED  mqtt.url"));
    ensure!(line.is_some_and(|line| line.contains("QoS 0 only")), "{said}");
    ensure!(status.code() == Some(1), "{said}");
    ensure!(gateway.terminate().await?.success());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pings_keep_to_the_keep_alive_that_mosquitto_asks_for() -> Result<()> {
    let mosquitto = Mosquitto::start_with("max_keepalive 10\nlog_type debug").await?;
    let mut gateway = gateway_on(&mosquitto).await?;
    link_says(&gateway, "up").await?;
    // Without Mosquitto's wish the first would be sent after ten seconds.
    within("a ping", Duration::from_secs(8), async || {
        let log = mosquitto.log();
        ensure!(log.contains("PINGREQ from comptoir-paris-1"), "{log}");
        Ok(())
    })
    .await?;
    ensure!(gateway.terminate().await?.success());
    Ok(())
}
