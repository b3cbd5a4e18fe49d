//! The gateway reads each record once, even if Kafka forgets its group or administrators change its topics.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use comptoir_harness::{Kafka, MqttProbe, Operation, within};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::{Value, json};

use crate::commands::{send, wait_for_acknowledged};
use crate::shop::{GATEWAY, SOON, STORE, Shop};

fn message(text: &str) -> String {
    json!({"type": "message", "text": text}).to_string()
}

/// A new producer, which asks Kafka for the current partitions.
fn new_producer(shop: &Shop) -> Result<FutureProducer> {
    let mut config = ClientConfig::new();
    Ok(config.set("bootstrap.servers", &shop.brokers).create()?)
}

/// Sends commands to a till, one after the other, and expects each of them once and nothing else.
async fn send_and_receive(shop: &Shop, probe: &mut MqttProbe, texts: &[&str]) -> Result<()> {
    for text in texts {
        send(shop, &format!("{STORE}/till-json"), &message(text)).await?;
    }
    for text in texts {
        let got = probe.next(SOON).await?;
        ensure!(got.payload == message(text), "{text}: {got:?}");
    }
    Ok(())
}

async fn listen(shop: &Shop) -> Result<MqttProbe> {
    let mut probe = MqttProbe::connect(&shop.mosquitto.url()).await?;
    probe.subscribe(&format!("pos/{STORE}/+/commands")).await?;
    Ok(probe)
}

async fn wait_for_state(shop: &Shop, peer: &str, state: &str, words: &[&str]) -> Result<()> {
    within(&format!("{peer} to be {state}"), SOON, async || {
        let status = shop.gateway.get_json("/api/gateway").await?;
        let peer = &status[peer];
        ensure!(peer["state"] == state, "{peer}");
        let problem = peer["problem"].as_str().unwrap_or_default();
        let missing: Vec<_> = words.iter().filter(|word| !problem.contains(**word)).collect();
        ensure!(missing.is_empty(), "{missing:?} are not in {problem}");
        Ok(())
    })
    .await
}

async fn recreate(kafka: &Kafka, topic: &str, partitions: i32) -> Result<()> {
    kafka.delete_topics(&[topic]).await?;
    // The running gateway may have created the topic first.
    within("the topic to be created", SOON, async || {
        match kafka.create_topic(topic, partitions, &[]).await {
            Err(error) if !error.to_string().contains("TopicAlreadyExists") => Err(error),
            _ => Ok(()),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_delivered_once_even_if_kafka_forgets_the_group_or_the_topic_is_recreated() -> Result<()>
{
    let kafka = Kafka::shared().await;
    let mut shop = Shop::open_reading_all().await?;
    let mut probe = listen(&shop).await?;
    send_and_receive(&shop, &mut probe, &["one", "two"]).await?;
    wait_for_acknowledged(&shop, 2).await?;
    ensure!(shop.gateway.terminate().await?.success());

    // Kafka forgets a group after a week without its gateway.
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
    send_and_receive(&shop, &mut probe, &["three"]).await?;

    // A partition that is added while the gateway runs is read from its beginning.
    let topic = shop.topic("commands");
    kafka.add_partitions(&topic, 4).await?;
    let (key, text) = (format!("{STORE}/till-json"), message("four"));
    within("the new partition to accept a record", SOON, async || {
        let record = FutureRecord::to(&topic).key(&key).payload(&text).partition(3);
        let sent = new_producer(&shop)?.send(record, Duration::from_secs(10)).await;
        sent.map(|_| ()).map_err(|(error, _)| error.into())
    })
    .await?;
    ensure!(probe.next(SOON).await?.payload == text);

    // A recreated topic is another topic: its offsets begin again.
    recreate(kafka, &topic, 1).await?;
    send_and_receive(&shop, &mut probe, &["five"]).await?;
    wait_for_acknowledged(&shop, 3).await?;
    ensure!(shop.gateway.terminate().await?.success());
    recreate(kafka, &topic, 1).await?;
    send(&shop, &key, &message("six")).await?;
    shop.gateway.start_again()?;
    ensure!(probe.next(SOON).await?.payload == message("six"));
    send_and_receive(&shop, &mut probe, &["seven"]).await?;
    ensure!(shop.gateway.terminate().await?.success());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_without_a_position_delivers_only_the_commands_of_the_last_day() -> Result<()> {
    let kafka = Kafka::shared().await;
    let mut shop = Shop::open_with(kafka.brokers(), |mut config| {
        // The gateway starts without Kafka, so that the commands are there before it.
        config.kafka_brokers = None;
        config
    })
    .await?;
    let topic = shop.topic("commands");
    kafka
        .create_topic(&topic, 1, &[("message.timestamp.type", "CreateTime")])
        .await?;
    let producer = new_producer(&shop)?;
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
    send_and_receive(&shop, &mut probe, &["now"]).await
}

/// Writes a payment of another gateway to Kafka.
async fn send_foreign_payment(shop: &Shop, id: &str) -> Result<()> {
    let payment =
        json!({"payment_id": id, "order_id": "o", "amount": 1.25, "currency": "EUR", "method": "Cash",
        "status": "SUCCESS", "timestamp": "2026-11-29T12:00:00Z", "store": "lyon-2", "device": "till-9"})
        .to_string();
    let topic = shop.topic("payments");
    // Not every Kafka broker knows a new topic at once.
    within("Kafka to accept the payment", SOON, async || {
        let record = FutureRecord::to(&topic).key("o").payload(&payment);
        let sent = new_producer(shop)?.send(record, Duration::from_secs(10)).await;
        sent.map(|_| ()).map_err(|(error, _)| error.into())
    })
    .await
}

async fn wait_for_payments(shop: &Shop, count: u64) -> Result<()> {
    within("the payments to be counted", SOON, async || {
        let stats = shop.gateway.get_json("/api/stats?store=lyon-2").await?;
        ensure!(stats["total_payments"] == count, "{stats}");
        Ok(())
    })
    .await
}

/// The partitions of a topic as the gateway reports them.
async fn partitions(shop: &Shop, topic: &str) -> Result<Vec<Value>> {
    let status = shop.gateway.get_json("/api/gateway").await?;
    let partitions = status["partitions"].as_array().context("no partitions")?;
    let of_topic = partitions.iter().filter(|partition| partition["topic"] == topic);
    Ok(of_topic.cloned().collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn recreated_topics_are_read_from_the_beginning_and_double_nothing() -> Result<()> {
    let kafka = Kafka::shared().await;
    let mut shop = Shop::open_reading_all().await?;
    wait_for_state(&shop, "kafka", "up", &[]).await?;
    let topic = shop.topic("payments");
    for id in ["p-1", "p-2", "p-3"] {
        send_foreign_payment(&shop, id).await?;
    }
    wait_for_payments(&shop, 3).await?;
    recreate(kafka, &topic, 1).await?;
    send_foreign_payment(&shop, "p-3").await?;
    send_foreign_payment(&shop, "p-4").await?;
    wait_for_payments(&shop, 4).await?;
    within("the positions in the new topic to be shown", SOON, async || {
        // The gateway may have created the topic, with more partitions.
        let shown = partitions(&shop, &topic).await?;
        let read: i64 = shown.iter().filter_map(|of| of["position"].as_i64()).sum();
        ensure!(read == 2, "{shown:?}");
        Ok(())
    })
    .await?;

    // The same while the gateway is down.
    ensure!(shop.gateway.terminate().await?.success());
    recreate(kafka, &topic, 1).await?;
    for id in ["p-4", "p-5", "p-6"] {
        send_foreign_payment(&shop, id).await?;
    }
    shop.gateway.start_again()?;
    shop.gateway.wait_ready().await?;
    wait_for_payments(&shop, 6).await?;
    ensure!(shop.gateway.terminate().await?.success());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_read_permission_is_reported_with_its_topic_until_it_is_granted() -> Result<()> {
    let kafka = Kafka::shared().await;
    let mut shop = Shop::open_reading_all().await?;
    let mut probe = listen(&shop).await?;
    send_and_receive(&shop, &mut probe, &["before"]).await?;
    // The permission is withdrawn while the gateway runs.
    kafka.deny(&shop.prefix, Operation::Read)?;
    let commands = shop.topic("commands");
    wait_for_state(&shop, "commands", "down", &["READ", &commands, "kafka-acls.sh"]).await?;
    within("the event topics to be named", SOON, async || {
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
    // `gateway check` reports the same.
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
    wait_for_state(&shop, "commands", "up", &[]).await?;
    send_and_receive(&shop, &mut probe, &["after"]).await?;
    within("the warnings to disappear", SOON, async || {
        let kafka = shop.gateway.get_json("/api/gateway").await?["kafka"].clone();
        ensure!(kafka["warnings"].is_null() && kafka["state"] == "up", "{kafka}");
        Ok(())
    })
    .await?;
    ensure!(shop.gateway.terminate().await?.success());
    Ok(())
}
