//! MQTT brokers with unusual settings, and two gateways with the same client id.

use std::time::Duration;

use anyhow::{Result, ensure};
use comptoir_harness::{Gateway, GatewayConfig, Mosquitto, MqttProbe, PosSim, within};
use serde_json::Value;

use crate::shop::{GATEWAY, LATER, SOON, STORE, tills};

/// The time over which connections are counted.
const WINDOW: Duration = Duration::from_secs(8);

async fn gateway_on(mosquitto: &Mosquitto) -> Result<Gateway> {
    let mut gateway = Gateway::spawn(GATEWAY, GatewayConfig::new(STORE, &mosquitto.url()))?;
    gateway.wait_ready().await?;
    Ok(gateway)
}

/// Waits until the state of the MQTT connection, as JSON, contains these words.
async fn wait_for_words(gateway: &Gateway, words: &str) -> Result<Value> {
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
async fn tills_receive_acks_through_a_broker_without_retained_messages() -> Result<()> {
    let options = "retain_available false\nlog_type notice";
    let mosquitto = Mosquitto::start_with(options).await?;
    let mut gateway = gateway_on(&mosquitto).await?;
    let link = wait_for_words(&gateway, "retained messages").await?;
    ensure!(link["state"] == "up", "{link}");
    // The simulated tills end once all their events are acked.
    let mut tills = tills(&mosquitto, 3, 60, 100)?;
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
async fn two_gateways_with_the_same_client_id_back_off_and_report_it() -> Result<()> {
    let mosquitto = Mosquitto::start_with("log_type notice").await?;
    let mut till = MqttProbe::connect(&mosquitto.url()).await?;
    till.subscribe(&format!("pos/{STORE}/+/ack")).await?;
    let (mut one, mut other) = (gateway_on(&mosquitto).await?, gateway_on(&mosquitto).await?);
    // This sleep is intended: the connections over a fixed time are the rate at which the two back off.
    tokio::time::sleep(WINDOW).await;
    let connections = connections(&mosquitto, "comptoir-paris-1");
    ensure!((2..=16).contains(&connections), "{connections} connections");
    // Both report it, whichever is connected now. Mosquitto before 2.0.15 closes the older connection without a reason.
    for gateway in [&one, &other] {
        let link = wait_for_words(gateway, "a card was cloned").await?;
        ensure!(link.to_string().contains("comptoir-paris-1"), "{link}");
        // Each reason is logged once, and so is the connection after it.
        let log = gateway.log();
        let lines = |words: &str| log.lines().filter(|line| line.contains(words)).count();
        let (connected, lost) = (lines("connected peer="), lines("no connection"));
        ensure!((1..=3).contains(&connected) && (1..=2).contains(&lost), "{log}");
    }
    // The connected gateway acks.
    let event = r#"{"epoch":7,"seq":1,"payment_id":"p-1","order_id":"o-1","amount":1.30,"method":"Cash","status":"SUCCESS"}"#;
    till.publish(&format!("pos/{STORE}/till-1/payments"), event)
        .await?;
    let ack = till.next(SOON).await?;
    ensure!(ack.payload == r#"{"epoch":7,"seq":1}"#, "{ack:?}");
    ensure!(one.terminate().await?.success() && other.terminate().await?.success());
    Ok(())
}

/// Mosquitto would close the gateway's connection and delete its session, if the till could choose its client id.
#[tokio::test(flavor = "multi_thread")]
async fn a_till_with_the_gateway_s_client_id_does_not_disconnect_it_from_the_packaged_mosquitto() -> Result<()>
{
    let users = ["till-1", "till-2", "till-3"].map(|till| format!("{STORE}/{till}"));
    let [till, other, third] = users.each_ref().map(|user| (user.as_str(), "its own"));
    let mosquitto = Mosquitto::start_as_packaged(&[("gateway", "secret"), till, other, third]).await?;
    let mut gateway = Gateway::spawn(
        GATEWAY,
        GatewayConfig::new(STORE, &mosquitto.gateway_url("secret")),
    )?;
    gateway.wait_ready().await?;
    wait_for_words(&gateway, r#""state":"up""#).await?;
    let mut attackers = Vec::new();
    let network = mosquitto.url();
    for _ in 0..5 {
        let attacker = MqttProbe::connect_as(&network, "comptoir-paris-1", till.0, till.1);
        attackers.push(attacker.await?);
    }
    // `gateway check` has the gateway's user, and another client id.
    let (_, said) = gateway.run(&["check"], SOON).await?;
    ensure!(said.contains("ok      mqtt.url"), "{said}");
    // Every till has its own user, and pos-sim logs in as that user.
    let url = format!("mqtt://{{till}}:its own@127.0.0.1:{}", mosquitto.port());
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
    ensure!(
        connections(&mosquitto, "comptoir-paris-1") == 1,
        "{}",
        mosquitto.log()
    );
    ensure!(gateway.terminate().await?.success());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_limited_to_qos_0_is_refused_by_the_gateway_and_by_check() -> Result<()> {
    let mosquitto = Mosquitto::start_with("max_qos 0").await?;
    let mut gateway = Gateway::spawn(GATEWAY, GatewayConfig::new(STORE, &mosquitto.url()))?;
    let link = wait_for_words(&gateway, "QoS 0 only").await?;
    ensure!(link["state"] == "down", "{link}");
    let (status, said) = gateway.run(&["check"], SOON).await?;
    let line = said.lines().find(|line| line.contains("FAILED  mqtt.url"));
    ensure!(line.is_some_and(|line| line.contains("QoS 0 only")), "{said}");
    ensure!(status.code() == Some(1), "{said}");
    ensure!(gateway.terminate().await?.success());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pings_respect_the_server_keep_alive_of_mosquitto() -> Result<()> {
    let mosquitto = Mosquitto::start_with("max_keepalive 10\nlog_type debug").await?;
    let mut gateway = gateway_on(&mosquitto).await?;
    wait_for_words(&gateway, "up").await?;
    // Without the Server Keep Alive, the first ping would be sent after ten seconds.
    within("a ping", Duration::from_secs(8), async || {
        let log = mosquitto.log();
        ensure!(log.contains("PINGREQ from comptoir-paris-1"), "{log}");
        Ok(())
    })
    .await?;
    ensure!(gateway.terminate().await?.success());
    Ok(())
}
