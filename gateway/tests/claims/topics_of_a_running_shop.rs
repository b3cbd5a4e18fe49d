//! Topics are changed, deleted and recreated, and a Kafka broker fails, while a shop sells: each event still reaches Kafka
//! once, and nothing waits longer than the obstacle lasts.

use std::collections::HashSet;

use anyhow::{Context, Result, ensure};
use comptoir_harness::{Kafka, MqttProbe, Operation, Reader, within};
use comptoir_kafka::WATERMARKS;
use rand::RngExt;
use rand::distr::Alphanumeric;
use serde_json::{Value, json};

use crate::shop::{LATER, SOON, STORE, Shop, tills};

const TIMESTAMPS: &str = "message.timestamp.type";
const LIMIT: &str = "max.message.bytes";
const POLICY: &str = "cleanup.policy";

fn payment(n: usize) -> Vec<u8> {
    let json = json!({
        "payment_id": format!("p-{n}"), "order_id": format!("o-{n}"), "amount": 12.5, "method": "Cash", "status": "SUCCESS"
    });
    json.to_string().into_bytes()
}

/// An order that is larger than `bytes` even after compression.
fn large_order(bytes: usize) -> Vec<u8> {
    let mut rng = rand::rng();
    let lines: Vec<Value> = (0..bytes / 60)
        .map(|_| {
            let product: String = (0..80).map(|_| char::from(rng.sample(Alphanumeric))).collect();
            json!({"product": product, "quantity": 1, "unit_price": 1})
        })
        .collect();
    let amount = lines.len();
    json!({
        "order_id": "o-large", "customer_name": "Traiteur Dupont", "product": "Buffet", "lines": lines, "amount": amount,
        "status": "Pending"
    })
    .to_string()
    .into_bytes()
}

async fn pay(shop: &Shop, numbers: std::ops::Range<usize>) -> Result<()> {
    let mut probe = MqttProbe::connect(&shop.mosquitto.url()).await?;
    let topic = format!("pos/{STORE}/till-1/payments");
    let payments = numbers.map(|n| (topic.clone(), payment(n).into(), false));
    probe.publish_all(payments).await?;
    Ok(())
}

/// The number of records, and the number of different events among them.
async fn payments(shop: &Shop) -> Result<(usize, usize)> {
    let records = Reader::new(&shop.brokers)
        .read(&[shop.topic("payments")], LATER)
        .await?;
    let names: HashSet<&str> = records.iter().filter_map(|record| record.ce_id()).collect();
    Ok((records.len(), names.len()))
}

/// Waits until the bridge is in this state, with these words in its problem.
async fn wait_for_bridge(shop: &Shop, state: &str, words: &[&str]) -> Result<()> {
    within(&format!("the bridge to be {state}"), SOON, async || {
        let status = shop.gateway.get_json("/api/gateway").await?;
        let bridge = &status["bridge"];
        let problem = bridge["problem"].as_str().unwrap_or_default();
        let says = words.iter().all(|word| problem.contains(word));
        ensure!(bridge["state"] == state && says, "{bridge}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_in_kafka_once_even_if_the_watermark_topic_is_lost_in_a_crash() -> Result<()> {
    let kafka = Kafka::shared().await;
    let mut shop = Shop::open().await?;
    pay(&shop, 0..20).await?;
    shop.drained(20, SOON).await?;
    shop.gateway.kill9()?;
    // As if the crash had happened before the journal recorded the last transactions.
    shop.alter_journal(&["UPDATE watermark SET offset = 12, payments = 0"])
        .await?;
    kafka.delete_topics(&[&shop.shop_topic(WATERMARKS)]).await?;
    shop.gateway.start_again()?;
    shop.gateway.wait_ready().await?;
    shop.drained(20, SOON).await?;
    pay(&shop, 20..25).await?;
    shop.drained(25, SOON).await?;
    let found = payments(&shop).await?;
    ensure!(found == (25, 25), "{found:?}");
    let policy = kafka.topic_settings(&shop.shop_topic(WATERMARKS)).await?;
    ensure!(
        policy.get(POLICY).is_some_and(|policy| policy == "compact"),
        "{policy:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_deleted_grown_or_limited_at_runtime_delay_nothing() -> Result<()> {
    let kafka = Kafka::shared().await;
    let mut shop = Shop::open().await?;
    let (paid, marks, orders) = (
        shop.topic("payments"),
        shop.shop_topic(WATERMARKS),
        shop.topic("orders"),
    );
    pay(&shop, 0..5).await?;
    shop.drained(5, SOON).await?;
    kafka.delete_topics(&[&paid, &marks]).await?;
    pay(&shop, 5..10).await?;
    shop.drained(10, SOON).await?;
    let made = kafka.topic_settings(&paid).await?;
    ensure!(
        made.get(TIMESTAMPS).is_some_and(|kind| kind == "LogAppendTime"),
        "{made:?}"
    );
    let found = payments(&shop).await?;
    ensure!(
        found == (5, 5),
        "expected only the events after the deletion, each once: {found:?}"
    );

    kafka.add_partitions(&paid, 5).await?;
    kafka.add_partitions(&marks, 2).await?;
    kafka.alter_topic(&orders, &[(LIMIT, "20000")]).await?;
    let mut probe = MqttProbe::connect(&shop.mosquitto.url()).await?;
    probe
        .publish(&format!("pos/{STORE}/till-1/orders"), large_order(60_000))
        .await?;
    pay(&shop, 10..20).await?;
    shop.drained(21, SOON).await?;
    shop.gateway.kill9()?;
    shop.gateway.start_again()?;
    shop.gateway.wait_ready().await?;
    pay(&shop, 20..25).await?;
    shop.drained(26, SOON).await?;
    let found = payments(&shop).await?;
    ensure!(found == (20, 20), "{found:?}");
    let sent = Reader::new(&shop.brokers).read(&[&orders], LATER).await?;
    ensure!(
        sent.len() == 1 && sent[0].value.len() > 20_000,
        "{} orders",
        sent.len()
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_that_the_gateway_may_not_correct_is_reported_until_it_may() -> Result<()> {
    let kafka = Kafka::shared().await;
    let mut shop = Shop::open_with(kafka.brokers(), |mut config| {
        config.kafka_brokers = None;
        config
    })
    .await?;
    let (marks, orders) = (shop.shop_topic(WATERMARKS), shop.topic("orders"));
    kafka.create_topic(&marks, 1, &[(POLICY, "delete")]).await?;
    kafka.create_topic(&orders, 1, &[]).await?;
    kafka.deny(&shop.prefix, Operation::AlterConfigs)?;
    ensure!(shop.gateway.terminate().await?.success());
    shop.gateway.config().kafka_brokers = Some(shop.brokers.clone());
    shop.gateway.start_again()?;
    shop.gateway.wait_ready().await?;
    pay(&shop, 0..3).await?;
    let wanted = format!("--entity-name {marks} --add-config cleanup.policy=compact");
    wait_for_bridge(&shop, "down", &["cleanup.policy=delete", &wanted]).await?;
    kafka.allow(&shop.prefix)?;
    shop.drained(3, SOON).await?;

    let small = [(LIMIT, "20000"), (TIMESTAMPS, "LogAppendTime")];
    kafka.alter_topic(&orders, &small).await?;
    kafka.deny(&shop.prefix, Operation::AlterConfigs)?;
    let mut probe = MqttProbe::connect(&shop.mosquitto.url()).await?;
    // The large order follows payments, which must not wait for it.
    pay(&shop, 3..6).await?;
    probe
        .publish(&format!("pos/{STORE}/till-7/orders"), large_order(60_000))
        .await?;
    let words = [
        "paris-1/till-7/0/",
        orders.as_str(),
        "max.message.bytes=20000",
        "kafka-configs.sh",
    ];
    wait_for_bridge(&shop, "down", &words).await?;
    let found = payments(&shop).await?;
    ensure!(found == (6, 6), "{found:?}");
    kafka.allow(&shop.prefix)?;
    shop.drained(7, SOON).await?;
    let status = shop.gateway.get_json("/api/gateway").await?;
    ensure!(status["bridge"]["warnings"].is_null(), "{}", status["bridge"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_transaction_coordinator_doubles_nothing() -> Result<()> {
    let mut kafka = Kafka::start_cluster(3).await?;
    let shop = Shop::open_on(kafka.brokers()).await?;
    let events = 4_000;
    let mut sim = tills(&shop.mosquitto, 8, events, 800)?;
    let in_kafka = async |least: u64| {
        within(&format!("{least} events to be in Kafka"), LATER, async || {
            let status = shop.gateway.get_json("/api/gateway").await?;
            let watermark = status["journal"]["watermark"].as_u64().unwrap_or_default();
            ensure!(watermark >= least, "{watermark}");
            Ok(())
        })
        .await
    };
    for least in [500, 1_500] {
        in_kafka(least).await?;
        let coordinator = tokio::task::block_in_place(|| kafka.leader_of("__transaction_state", 0))?;
        kafka.node(coordinator).kill();
        in_kafka(least + 300).await.context("without the coordinator")?;
        kafka.start_again().await?;
    }
    sim.finish(LATER).await?;
    shop.drained(events, LATER).await?;
    shop.audited(&sim.ledger()?).await
}
