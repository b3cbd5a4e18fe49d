//! What the gateway reads from Kafka, it reads once: whatever Kafka forgets, and whatever becomes of the topics.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use comptoir_harness::{Kafka, MqttProbe, Operation, within};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::{Value, json};

use crate::commands::send;
use crate::shop::{GATEWAY, SOON, STORE, Shop};

fn message(text: &str) -> String {
    json!({"type": "message", "text": text}).to_string()
}

/// One that has just learnt which partitions there are.
fn producer(shop: &Shop) -> Result<FutureProducer> {
    let mut config = ClientConfig::new();
    Ok(config.set("bootstrap.servers", &shop.brokers).create()?)
}

/// Sends these commands to a till, one after the other, and expects each of them once and nothing else.
async fn sent_and_received(shop: &Shop, probe: &mut MqttProbe, texts: &[&str]) -> Result<()> {
    for text in texts {
        send(shop, &format!("{STORE}/till-json"), &message(text)).await?;
    }
    for text in texts {
        let got = probe.next(SOON).await?;
        ensure!(got.payload == message(text), "{text}: {got:?}");
    }
    Ok(())
}

/// Waits until the MQTT broker has acknowledged so many commands since the gateway's start. One that is under way when it
/// ends is handed on again.
async fn acknowledged(shop: &Shop, count: u32) -> Result<()> {
    within("the commands to be acknowledged", SOON, async || {
        let (_, metrics) = shop.gateway.get("/metrics").await?;
        let line = format!("comptoir_commands_total {count}");
        ensure!(metrics.lines().any(|found| found == line), "{metrics}");
        Ok(())
    })
    .await
}

async fn listen(shop: &Shop) -> Result<MqttProbe> {
    let mut probe = MqttProbe::connect(&shop.mosquitto.url()).await?;
    probe.subscribe(&format!("pos/{STORE}/+/commands")).await?;
    Ok(probe)
}

async fn link_is(shop: &Shop, link: &str, state: &str, words: &[&str]) -> Result<()> {
    within(&format!("{link} to be {state}"), SOON, async || {
        let status = shop.gateway.get_json("/api/gateway").await?;
        let link = &status[link];
        ensure!(link["state"] == state, "{link}");
        let problem = link["problem"].as_str().unwrap_or_default();
        let missing: Vec<_> = words.iter().filter(|word| !problem.contains(**word)).collect();
        ensure!(missing.is_empty(), "{missing:?} are not in {problem}");
        Ok(())
    })
    .await
}

async fn make_anew(kafka: &Kafka, topic: &str, partitions: i32) -> Result<()> {
    kafka.delete_topics(&[topic]).await?;
    // A gateway that looks at the moment may have been first.
    within("the topic to be made", SOON, async || {
        match kafka.create_topic(topic, partitions, &[]).await {
            Err(error) if !error.to_string().contains("TopicAlreadyExists") => Err(error),
            _ => Ok(()),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_handed_on_once_though_kafka_forgets_the_group_and_the_topic_changes() -> Result<()> {
    let kafka = Kafka::shared().await;
    let mut shop = Shop::open().await?;
    let mut probe = listen(&shop).await?;
    sent_and_received(&shop, &mut probe, &["one", "two"]).await?;
    acknowledged(&shop, 2).await?;
    ensure!(shop.gateway.terminate().await?.success());

    // As after a week without a gateway.
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", &shop.brokers)
        .create()?;
    let group = format!("{}comptoir-{STORE}-commands", shop.prefix);
    within("the group to be deleted", SOON, async || {
        let options = AdminOptions::new();
        for deleted in admin.delete_groups(&[&group], &options).await? {
            deleted.map_err(|(group, code)| anyhow::anyhow!("{group}: {code}"))?;
        }
        Ok(())
    })
    .await?;
    shop.gateway.start_again()?;
    sent_and_received(&shop, &mut probe, &["three"]).await?;

    // A partition that is added while the gateway runs is read from its beginning.
    let topic = shop.topic("commands");
    kafka.add_partitions(&topic, 4).await?;
    let (key, text) = (format!("{STORE}/till-json"), message("four"));
    within("the new partition to be known", SOON, async || {
        let record = FutureRecord::to(&topic).key(&key).payload(&text).partition(3);
        let sent = producer(&shop)?.send(record, Duration::from_secs(10)).await;
        sent.map(|_| ()).map_err(|(error, _)| error.into())
    })
    .await?;
    ensure!(probe.next(SOON).await?.payload == text);

    // A topic that is made anew is another one: its offsets begin again.
    make_anew(kafka, &topic, 1).await?;
    sent_and_received(&shop, &mut probe, &["five"]).await?;
    acknowledged(&shop, 3).await?;
    ensure!(shop.gateway.terminate().await?.success());
    make_anew(kafka, &topic, 1).await?;
    send(&shop, &key, &message("six")).await?;
    shop.gateway.start_again()?;
    ensure!(probe.next(SOON).await?.payload == message("six"));
    sent_and_received(&shop, &mut probe, &["seven"]).await?;
    ensure!(shop.gateway.terminate().await?.success());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_knows_no_position_hands_on_the_commands_of_the_last_day_only() -> Result<()> {
    let kafka = Kafka::shared().await;
    let mut shop = Shop::open_with(kafka.brokers(), |mut config| {
        // Without Kafka at first.
        config.kafka_brokers = None;
        config
    })
    .await?;
    let topic = shop.topic("commands");
    kafka
        .create_topic(&topic, 1, &[("message.timestamp.type", "CreateTime")])
        .await?;
    let producer = producer(&shop)?;
    let key = format!("{STORE}/till-json");
    let now = jiff::Timestamp::now().as_millisecond();
    for (text, hours) in [("a year ago", 8_760), ("an hour ago", 1)] {
        let text = message(text);
        let record = FutureRecord::to(&topic).key(&key).payload(&text);
        let record = record.timestamp(now - hours * 3_600_000);
        let sent = producer.send(record, Duration::from_secs(10)).await;
        sent.map_err(|(error, _)| error)?;
    }
    let mut probe = listen(&shop).await?;
    ensure!(shop.gateway.terminate().await?.success());
    shop.gateway.config().kafka_brokers = Some(shop.brokers.clone());
    shop.gateway.start_again()?;
    ensure!(probe.next(SOON).await?.payload == message("an hour ago"));
    sent_and_received(&shop, &mut probe, &["now"]).await
}

/// Puts a payment of another gateway into Kafka.
async fn foreign_payment(shop: &Shop, id: &str) -> Result<()> {
    let payment =
        json!({"payment_id": id, "order_id": "o", "amount": 1.25, "currency": "EUR", "method": "Cash",
        "status": "SUCCESS", "timestamp": "2026-11-29T12:00:00Z", "store": "lyon-2", "device": "till-9"})
        .to_string();
    let topic = shop.topic("payments");
    // A topic that was made a moment ago is not known everywhere.
    within("the payment to be taken", SOON, async || {
        let record = FutureRecord::to(&topic).key("o").payload(&payment);
        let sent = producer(shop)?.send(record, Duration::from_secs(10)).await;
        sent.map(|_| ()).map_err(|(error, _)| error.into())
    })
    .await
}

async fn payments_are(shop: &Shop, count: u64) -> Result<()> {
    within("the payments to be counted", SOON, async || {
        let stats = shop.gateway.get_json("/api/stats").await?;
        ensure!(stats["total_payments"] == count, "{stats}");
        Ok(())
    })
    .await
}

/// Of the partitions of a topic.
async fn partitions(shop: &Shop, topic: &str) -> Result<Vec<Value>> {
    let status = shop.gateway.get_json("/api/gateway").await?;
    let partitions = status["partitions"].as_array().context("no partitions")?;
    let of_topic = partitions.iter().filter(|partition| partition["topic"] == topic);
    Ok(of_topic.cloned().collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_that_are_made_anew_are_read_back_from_their_beginning_and_double_nothing() -> Result<()> {
    let kafka = Kafka::shared().await;
    let mut shop = Shop::open().await?;
    link_is(&shop, "kafka", "up", &[]).await?;
    let topic = shop.topic("payments");
    for id in ["p-1", "p-2", "p-3"] {
        foreign_payment(&shop, id).await?;
    }
    payments_are(&shop, 3).await?;
    make_anew(kafka, &topic, 1).await?;
    foreign_payment(&shop, "p-3").await?;
    foreign_payment(&shop, "p-4").await?;
    payments_are(&shop, 4).await?;
    within("the new topic's positions to be shown", SOON, async || {
        // The gateway may have made it, with more partitions.
        let shown = partitions(&shop, &topic).await?;
        let read: i64 = shown.iter().filter_map(|of| of["position"].as_i64()).sum();
        ensure!(read == 2, "{shown:?}");
        Ok(())
    })
    .await?;

    // The same while the gateway is away.
    ensure!(shop.gateway.terminate().await?.success());
    make_anew(kafka, &topic, 1).await?;
    for id in ["p-4", "p-5", "p-6"] {
        foreign_payment(&shop, id).await?;
    }
    shop.gateway.start_again()?;
    shop.gateway.wait_ready().await?;
    payments_are(&shop, 6).await?;
    ensure!(shop.gateway.terminate().await?.success());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_right_to_read_is_said_with_its_topic_until_it_is_given() -> Result<()> {
    let kafka = Kafka::shared().await;
    let mut shop = Shop::open().await?;
    let mut probe = listen(&shop).await?;
    sent_and_received(&shop, &mut probe, &["before"]).await?;
    // While it runs.
    kafka.deny(&shop.prefix, Operation::Read)?;
    let commands = shop.topic("commands");
    link_is(&shop, "commands", "down", &["READ", &commands, "kafka-acls.sh"]).await?;
    within("the topics that are read back to be named", SOON, async || {
        let warnings = shop.gateway.get_json("/api/gateway").await?["kafka"]["warnings"].to_string();
        ensure!(
            warnings.contains("READ") && warnings.contains(&shop.prefix),
            "{warnings}"
        );
        Ok(())
    })
    .await?;
    let log = shop.gateway.log();
    let warned = log
        .lines()
        .any(|line| line.contains("WARN") && line.contains(&commands));
    ensure!(warned, "{log}");
    // `gateway check` says the same.
    let output = tokio::process::Command::new(GATEWAY)
        .args(["check", "--config"])
        .arg(shop.gateway.config_file())
        .output()
        .await?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(!output.status.success(), "{said}");
    let found = said.lines().any(|line| {
        line.starts_with("FAILED  kafka.brokers") && line.contains("READ") && line.contains(&shop.prefix)
    });
    ensure!(found, "{said}");
    kafka.allow(&shop.prefix)?;
    link_is(&shop, "commands", "up", &[]).await?;
    sent_and_received(&shop, &mut probe, &["after"]).await?;
    within("nothing to be missing", SOON, async || {
        let kafka = shop.gateway.get_json("/api/gateway").await?["kafka"].clone();
        ensure!(kafka["warnings"].is_null() && kafka["state"] == "up", "{kafka}");
        Ok(())
    })
    .await?;
    ensure!(shop.gateway.terminate().await?.success());
    Ok(())
}
