//! `gateway check`, exit codes, and what is said about a bad configuration.

use std::process::Command;

use anyhow::{Result, ensure};
use comptoir_harness::{Gateway, GatewayConfig, Mosquitto, Scratch};

use crate::shop::{GATEWAY, SOON, STORE, Shop};

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_configuration_ends_with_2_and_one_clear_sentence() -> Result<()> {
    for (extra, word) in [
        ("jurnal.path = \"x\"", "jurnal"),
        (
            "kafka.properties.\"transactional.id\" = \"x\"",
            "transactional.id",
        ),
        ("currency = \"EURO\"", "currency"),
    ] {
        let mut config = GatewayConfig::new(STORE, "mqtt://127.0.0.1:1");
        config.extra = extra.to_owned();
        let mut gateway = Gateway::spawn(GATEWAY, config)?;
        let status = gateway.wait_exit(SOON).await?;
        let said = gateway.log();
        ensure!(status.code() == Some(2), "{extra}: {status} {said}");
        ensure!(
            said.trim().lines().count() == 1 && said.contains(word),
            "{extra}: {said}"
        );
    }
    let mut config = GatewayConfig::new(STORE, "mqtt://127.0.0.1:1");
    config.env = vec![("COMPTOIR_JOURNAL__MAX_BYTES".into(), "much".into())];
    let mut gateway = Gateway::spawn(GATEWAY, config)?;
    ensure!(gateway.wait_exit(SOON).await?.code() == Some(2));
    ensure!(gateway.log().contains("journal.max_bytes"), "{}", gateway.log());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_counts_over_the_file() -> Result<()> {
    let shop = Shop::open_with(comptoir_harness::Kafka::shared().await.brokers(), |mut config| {
        config.env = vec![("COMPTOIR_STORE".into(), "330".into())];
        config
    })
    .await?;
    let status = shop.gateway.get_json("/api/gateway").await?;
    ensure!(status["store"] == "330", "{status}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn check_says_what_can_be_reached() -> Result<()> {
    let shop = Shop::open().await?;
    shop.gateway
        .post_json("/api/orders", &serde_json::json!({}))
        .await?;
    shop.drained(1, SOON).await?;
    let (_, said) = shop.gateway.run(&["check"], SOON).await?;
    ensure!(
        said.contains("ok      mqtt.url") && said.contains("all 6 topics are there"),
        "{said}"
    );
    let mut config = GatewayConfig::new(STORE, "mqtt://127.0.0.1:1").kafka("127.0.0.1:1", "");
    config.extra = "log.filter = \"off\"".to_owned();
    let nowhere = Gateway::spawn(GATEWAY, config)?;
    let (status, said) = nowhere.run(&["check"], SOON).await?;
    ensure!(status.code() == Some(1), "{said}");
    ensure!(
        said.contains("FAILED  mqtt.url") && said.contains("FAILED  kafka.brokers"),
        "{said}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn check_says_that_the_mqtt_password_is_wrong_and_throws_nobody_out() -> Result<()> {
    let scratch = Scratch::new("mosquitto-passwords")?;
    let passwords = scratch.join("passwords");
    let status = Command::new("mosquitto_passwd")
        .args(["-b", "-c"])
        .arg(&passwords)
        .args(["gateway", "hunter2"])
        .status()?;
    ensure!(status.success(), "mosquitto_passwd: {status}");
    let only = format!("password_file {}\nallow_anonymous false", passwords.display());
    let mosquitto = Mosquitto::start_with(&only).await?;
    let url = |login: &str| format!("mqtt://{login}127.0.0.1:{}", mosquitto.port());
    let mut gateway = Gateway::spawn(GATEWAY, GatewayConfig::new(STORE, &url("gateway:hunter2@")))?;
    gateway.wait_ready().await?;
    let since = gateway.get_json("/api/gateway").await?["mqtt"]["since"].clone();
    ensure!(since.is_string(), "{since}");
    for (login, answer) in [
        ("gateway:hunter2@", "ok      mqtt.url"),
        ("gateway:hunter3@", "the password is wrong"),
        ("", "wants a user name and a password"),
    ] {
        gateway.config().mqtt_url = url(login);
        let (_, said) = gateway.run(&["check"], SOON).await?;
        ensure!(said.contains(answer), "{login}: {said}");
        ensure!(!said.contains("hunter"), "{said}");
    }
    let state = gateway.get_json("/api/gateway").await?;
    ensure!(state["mqtt"]["since"] == since, "it was thrown out: {state}");
    Ok(())
}
