//! The connection to the MQTT broker: a backlog, and TLS.

use std::fs;

use anyhow::{Result, ensure};
use comptoir_harness::{Gateway, GatewayConfig, Mosquitto, MqttProbe, Scratch, within};

use crate::shop::{GATEWAY, LATER, SOON, STORE, wait_for_mqtt};

/// More messages than there are packet ids, and more than the gateway's Receive Maximum, which Mosquitto 2.0.11 does not
/// respect when a session with a backlog is resumed.
const BACKLOG: u32 = 80_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_in_the_broker_is_stored_once_over_one_connection() -> Result<()> {
    let mosquitto = Mosquitto::start().await?;
    let mut gateway = Gateway::spawn(GATEWAY, GatewayConfig::new(STORE, &mosquitto.url()))?;
    gateway.wait_ready().await?;
    wait_for_mqtt(&gateway).await?;
    ensure!(gateway.terminate().await?.success());

    let mut till = MqttProbe::connect(&mosquitto.url()).await?;
    let topic = format!("pos/{STORE}/till-1/payments");
    till.publish_all((1..=BACKLOG).map(|seq| {
        let event = format!(
            r#"{{"epoch":7,"seq":{seq},"payment_id":"p-{seq}","order_id":"o-{seq}","amount":1.30,"method":"Cash","status":"SUCCESS"}}"#
        );
        (topic.clone(), event.into(), false)
    }))
    .await?;

    gateway.start_again()?;
    gateway.wait_ready().await?;
    within("the backlog to be stored", LATER, async || {
        let status = gateway.get_json("/api/gateway").await?;
        ensure!(status["journal"]["events"] == BACKLOG, "{}", status["journal"]);
        Ok(())
    })
    .await?;
    wait_for_mqtt(&gateway).await?;
    // If the connection had been lost in between, the broker would have redelivered events.
    let status = gateway.get_json("/api/gateway").await?;
    ensure!(status["journal"]["duplicates"] == 0, "{}", status["journal"]);
    ensure!(gateway.terminate().await?.success());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_connects_over_tls_only_to_a_broker_with_a_trusted_certificate() -> Result<()> {
    let folder = Scratch::new("tls")?;
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let (certificate, key) = (folder.join("broker.pem"), folder.join("broker.key"));
    fs::write(&certificate, signed.cert.pem())?;
    fs::write(&key, signed.signing_key.serialize_pem())?;
    let keys = format!("certfile {}\nkeyfile {}", certificate.display(), key.display());
    let mosquitto = Mosquitto::start_with(&keys).await?;
    let url = format!("mqtts://localhost:{}", mosquitto.port());

    let mut trusting = GatewayConfig::new(STORE, &url);
    trusting.wrapper = vec![
        "env".to_owned(),
        format!("SSL_CERT_FILE={}", certificate.display()),
    ];
    let mut gateway = Gateway::spawn(GATEWAY, trusting)?;
    gateway.wait_ready().await?;
    wait_for_mqtt(&gateway).await?;
    ensure!(gateway.terminate().await?.success());

    let mut gateway = Gateway::spawn(GATEWAY, GatewayConfig::new(STORE, &url))?;
    within("the certificate to be refused", SOON, async || {
        let status = gateway.get_json("/api/gateway").await?;
        let problem = status["mqtt"]["problem"].as_str().unwrap_or_default();
        ensure!(problem.contains("certificate"), "{}", status["mqtt"]);
        Ok(())
    })
    .await?;
    ensure!(gateway.terminate().await?.success());
    Ok(())
}
