//! Commands that head office sends through Kafka reach the tills.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use comptoir_harness::{Gateway, GatewayConfig, Kafka, Mosquitto, MqttProbe, Scratch, within};
use comptoir_wire as wire;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::{Value, json};

use crate::shop::{GATEWAY, SOON, STORE, Shop};

pub async fn send(shop: &Shop, key: &str, command: &str) -> Result<()> {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", &shop.brokers)
        .create()?;
    let topic = shop.topic("commands");
    let record = FutureRecord::to(&topic).key(key).payload(command);
    producer
        .send(record, Duration::from_secs(10))
        .await
        .map_err(|(error, _)| error)?;
    Ok(())
}

/// Waits until the MQTT broker has acknowledged `count` commands since the gateway's start. A gateway that ends before the
/// acknowledgement delivers the command again.
pub async fn wait_for_acknowledged(shop: &Shop, count: u32) -> Result<()> {
    within("the commands to be acknowledged", SOON, async || {
        let (_, metrics) = shop.gateway.get("/metrics").await?;
        let line = format!("comptoir_commands_total {count}");
        ensure!(metrics.lines().any(|found| found == line), "{metrics}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_reaches_its_till_in_the_encoding_of_that_till() -> Result<()> {
    let mut shop = Shop::open().await?;
    let mut probe = MqttProbe::connect(&shop.mosquitto.url()).await?;
    let payment =
        json!({"payment_id": "p", "order_id": "o", "amount": 1, "method": "Cash", "status": "SUCCESS"});
    probe
        .publish(&format!("pos/{STORE}/till-json/payments"), payment.to_string())
        .await?;
    let mut buffer = vec![0; wire::MAX_FRAME];
    let header = wire::Header {
        epoch: 1,
        seq: 1,
        oldest: 1,
        time_ms: 0,
    };
    let delivery = wire::Event::Delivery(wire::Delivery {
        delivery_id: "d",
        order_id: "o",
        address: "1 rue de la Paix",
        status: wire::DeliveryStatus::Pending,
        estimated_date: wire::Date::new(2026, 12, 1).context("date")?,
    });
    let frame = wire::encode(&header, &delivery, &mut buffer)?.to_vec();
    probe
        .publish(&format!("pos/{STORE}/till-bin/deliveries"), frame)
        .await?;
    shop.drained(2, SOON).await?;

    probe.subscribe(&format!("pos/{STORE}/+/commands")).await?;
    let message = json!({"type": "message", "text": "Fermeture à 19 h"}).to_string();
    send(&shop, &format!("{STORE}/till-bin"), &message).await?;
    let got = probe.next(SOON).await?;
    ensure!(got.topic.contains("till-bin"), "{}", got.topic);
    let text = "Fermeture à 19 h";
    ensure!(wire::Command::decode(&got.payload) == Ok(wire::Command::Message(wire::Message { text })));

    send(&shop, STORE, &message).await?;
    let mut both = [probe.next(SOON).await?, probe.next(SOON).await?];
    both.sort_by(|a, b| a.topic.cmp(&b.topic));
    ensure!(
        both[0].topic.contains("till-bin") && both[1].topic.contains("till-json"),
        "{both:?}"
    );
    ensure!(both[1].payload == message, "the JSON was changed");

    // A command sent while the gateway is down is delivered after its restart.
    shop.gateway.kill9()?;
    send(&shop, &format!("{STORE}/till-json"), r#"{"type":"reboot"}"#).await?;
    shop.gateway.start_again()?;
    let again = probe
        .next_where(SOON, |got| got.payload == r#"{"type":"reboot"}"#)
        .await?;
    ensure!(again.topic.contains("till-json"), "{}", again.topic);
    Ok(())
}

/// Sends a command with head office's number to the shop's own topic.
pub async fn send_numbered(shop: &Shop, number: &str, text: &str) -> Result<()> {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", &shop.brokers)
        .create()?;
    let (topic, key) = (shop.shop_topic("commands"), format!("{STORE}/till-json"));
    let message = json!({"type": "message", "text": text}).to_string();
    let header = Header {
        key: "ce_comptoircommand",
        value: Some(number),
    };
    let record = FutureRecord::to(&topic)
        .key(&key)
        .payload(&message)
        .headers(OwnedHeaders::new().insert(header));
    producer
        .send(record, Duration::from_secs(10))
        .await
        .map_err(|(error, _)| error)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_numbered_command_is_handed_over_once_however_often_kafka_has_it() -> Result<()> {
    let mut shop = Shop::open().await?;
    let mut probe = MqttProbe::connect(&shop.mosquitto.url()).await?;
    probe.subscribe(&format!("pos/{STORE}/+/commands")).await?;
    let text_of = |payload: &[u8]| -> Result<String> {
        let command: Value = serde_json::from_slice(payload)?;
        Ok(command["text"].as_str().context("text")?.to_owned())
    };
    for (number, text) in [
        ("7/1", "first"),
        ("7/1", "first again"),
        ("7/2", "second"),
        ("7/1", "first, late"),
        // Kafka no longer had 7/3.
        ("7/4", "fourth"),
        // An unreadable number counts as none.
        ("7/x", "unnumbered"),
    ] {
        send_numbered(&shop, number, text).await?;
    }
    for expected in ["first", "second", "fourth", "unnumbered"] {
        let got = probe.next(SOON).await?;
        ensure!(text_of(&got.payload)? == expected, "{got:?}");
    }
    wait_for_acknowledged(&shop, 4).await?;
    // Stored once the next command of the journal's writer is done; a stop writes everything.
    ensure!(shop.gateway.terminate().await?.success());
    shop.gateway.start_again()?;
    for (number, text) in [
        ("7/4", "fourth again"),
        ("8/1", "another epoch"),
        ("8/1", "again"),
        ("8/2", "end"),
    ] {
        send_numbered(&shop, number, text).await?;
    }
    for expected in ["another epoch", "end"] {
        let got = probe.next(SOON).await?;
        ensure!(text_of(&got.payload)? == expected, "{got:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_reaches_a_till_that_has_sold_nothing_yet() -> Result<()> {
    let mut shop = Shop::open().await?;
    let mut probe = MqttProbe::connect(&shop.mosquitto.url()).await?;
    probe.subscribe("pos/+/+/commands").await?;
    let (text, message) = (
        "Bonjour",
        json!({"type": "message", "text": "Bonjour"}).to_string(),
    );
    // The tills come online while the gateway is down, so it must use the retained status messages.
    shop.gateway.kill9()?;
    for till in [&format!("{STORE}/till-new"), "lyon-2/till-new"] {
        probe
            .publish_retained(&format!("pos/{till}/status"), "online")
            .await?;
    }
    shop.gateway.start_again()?;
    for (key, till) in [
        (STORE, format!("{STORE}/till-new")),
        ("lyon-2", "lyon-2/till-new".to_owned()),
        ("lyon-2/till-new", "lyon-2/till-new".to_owned()),
    ] {
        send(&shop, key, &message).await?;
        let got = probe.next(SOON).await?;
        ensure!(
            got.topic == format!("pos/{till}/commands"),
            "{key}: {}",
            got.topic
        );
        ensure!(wire::Command::decode(&got.payload) == Ok(wire::Command::Message(wire::Message { text })));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_too_large_for_the_mqtt_broker_delays_no_other_command() -> Result<()> {
    let mosquitto = Mosquitto::start_with("max_packet_size 20000").await?;
    let mut shop = Shop::open_with(Kafka::shared().await.brokers(), |mut config| {
        config.mqtt_url = mosquitto.url();
        config
    })
    .await?;
    let mut probe = MqttProbe::connect(&mosquitto.url()).await?;
    probe.subscribe("pos/+/+/commands").await?;
    let key = format!("{STORE}/till-json");
    let message = |text: &str| json!({"type": "message", "text": text}).to_string();
    send(&shop, &key, &message(&"x".repeat(20_000))).await?;
    send(&shop, &key, &message("Bonjour")).await?;
    let got = probe.next(SOON).await?;
    ensure!(got.payload == message("Bonjour"), "{got:?}");
    let (_, metrics) = shop.gateway.get("/metrics").await?;
    ensure!(metrics.contains("comptoir_mqtt_refused_total 1"), "{metrics}");
    ensure!(
        shop.gateway.log().contains("does not accept a packet as large"),
        "{}",
        shop.gateway.log()
    );
    ensure!(shop.gateway.terminate().await?.success());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn acks_refused_by_the_acl_of_the_mqtt_broker_are_counted_and_logged_once() -> Result<()> {
    let scratch = Scratch::new("access-list")?;
    let list = scratch.join("acl");
    fs::write(&list, "topic read #\ntopic write pos/+/+/payments\n")?;
    let mosquitto = Mosquitto::start_with(&format!("acl_file {}", list.display())).await?;
    let mut gateway = Gateway::spawn(GATEWAY, GatewayConfig::new(STORE, &mosquitto.url()))?;
    gateway.wait_ready().await?;
    let mut probe = MqttProbe::connect(&mosquitto.url()).await?;
    for n in 0..3 {
        let payment = json!({"payment_id": format!("p-{n}"), "order_id": "o", "amount": 1, "method": "Cash",
            "status": "SUCCESS"});
        probe
            .publish(&format!("pos/{STORE}/till-{n}/payments"), payment.to_string())
            .await?;
    }
    within("the acks to be refused", SOON, async || {
        let (_, metrics) = gateway.get("/metrics").await?;
        ensure!(metrics.contains("comptoir_mqtt_refused_total 3"), "{metrics}");
        Ok(())
    })
    .await?;
    let said = gateway.log().matches("not authorized (0x87)").count();
    ensure!(
        said == 1,
        "logged {said} times instead of once: {}",
        gateway.log()
    );
    Ok(())
}
