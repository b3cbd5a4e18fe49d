//! Hostile input becomes a dead letter or is refused with a clear error. It causes no panic and no stall, and does not
//! affect later events.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};
use comptoir_harness::{Kafka, MqttProbe, Operation, Reader, within};
use comptoir_wire as wire;
use rand::RngExt;
use serde_json::{Value, json};

use crate::shop::{LATER, SOON, STORE, Shop};

fn payment(id: &str) -> Value {
    json!({"payment_id": id, "order_id": "o-1", "amount": 12.5, "method": "Cash", "status": "SUCCESS"})
}

fn numbered(epoch: u32, seq: u32) -> String {
    let mut json = payment(&format!("p-{epoch}-{seq}"));
    json["epoch"] = epoch.into();
    json["seq"] = seq.into();
    json.to_string()
}

fn postcard(epoch: u32, seq: u32, oldest: u32) -> Result<Vec<u8>> {
    let mut buffer = vec![0; wire::MAX_FRAME];
    let id = format!("b-{epoch}-{seq}");
    let event = wire::Event::Payment(wire::Payment {
        payment_id: &id,
        order_id: "o-1",
        currency: wire::Currency::EUR,
        amount: 1_250,
        method: wire::PaymentMethod::Cash,
        status: wire::PaymentStatus::Success,
    });
    let header = wire::Header {
        epoch,
        seq,
        oldest,
        time_ms: 0,
    };
    Ok(wire::encode(&header, &event, &mut buffer)?.to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undecodable_message_is_kept_whole_as_a_dead_letter_and_delays_nothing() -> Result<()> {
    let shop = Shop::open().await?;
    let mut probe = MqttProbe::connect(&shop.mosquitto.url()).await?;
    let mut truncated = postcard(7, 1, 1)?;
    truncated.truncate(truncated.len() / 2);
    let bad = |field: &str, value: Value| {
        let mut json = payment("p-bad");
        json[field] = value;
        json.to_string().into_bytes()
    };
    let topic = format!("pos/{STORE}/till-1/payments");
    let hostile: Vec<(String, Vec<u8>)> = vec![
        (topic.clone(), vec![]),
        (topic.clone(), b"\x1fnobody knows this version".to_vec()),
        (topic.clone(), truncated),
        (topic.clone(), vec![0xa5; 1 << 20]),
        (topic.clone(), b"{\"payment_id\":\"\xff\xfe\"}".to_vec()),
        (topic.clone(), b"{\"payment_id\":".to_vec()),
        (topic.clone(), bad("amount", json!(-1))),
        (topic.clone(), bad("amount", json!(1e300))),
        (topic.clone(), bad("amount", json!("12.50"))),
        (topic.clone(), bad("status", json!("MAYBE"))),
        (topic.clone(), numbered(0, 1).into_bytes()),
        (topic.clone(), bad("seq", json!(-4))),
        (format!("pos/{STORE}/till-1/orders"), postcard(8, 1, 1)?),
        (
            "pos/Paris_1/till-1/payments".to_owned(),
            payment("p-x").to_string().into_bytes(),
        ),
    ];
    let count = hostile.len();
    for (topic, payload) in &hostile {
        probe.publish(topic, payload.clone()).await?;
        // The same bytes again are the same dead letter.
        probe.publish(topic, payload.clone()).await?;
    }
    probe.publish(&topic, payment("p-good").to_string()).await?;
    shop.drained(count as u64 + 1, SOON).await?;

    let records = Reader::new(&shop.brokers)
        .read(&[shop.topic("dead-letters")], LATER)
        .await?;
    let mut kept: Vec<Vec<u8>> = records.iter().map(|record| record.value.clone()).collect();
    let mut sent: Vec<Vec<u8>> = hostile.into_iter().map(|(_, payload)| payload).collect();
    kept.sort();
    sent.sort();
    ensure!(kept == sent, "{} of {} kept", kept.len(), sent.len());
    ensure!(
        records
            .iter()
            .all(|record| record.header("ce_reason").is_some_and(|r| !r.is_empty()))
    );
    let events = shop.records().await?;
    ensure!(events.len() == 1 && events[0].json()?["payment_id"] == "p-good");
    let status = shop.gateway.get_json("/api/gateway").await?;
    ensure!(status["dead_letters"] == count, "{}", status["dead_letters"]);

    let (exit, listed) = shop.gateway.run(&["dead-letters", "list"], SOON).await?;
    ensure!(exit.success() && listed.lines().count() == count, "{listed}");
    ensure!(listed.contains("amount: must not be negative"), "{listed}");
    Ok(())
}

/// Bytes of a message larger than Kafka accepts by default.
const LARGE: usize = 1_500_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_too_large_for_kafka_is_truncated_and_delays_nothing() -> Result<()> {
    for properties in ["", "kafka.properties.\"message.max.bytes\" = 1000000"] {
        let kafka = Kafka::shared().await;
        let mut shop = Shop::open_with(kafka.brokers(), |mut config| {
            config.kafka_brokers = None;
            config.extra = properties.to_owned();
            config
        })
        .await?;
        // A topic with other settings than the gateway's, which the gateway may not correct.
        kafka.create_topics(&[(&shop.topic("dead-letters"), 1)]).await?;
        let append_time = [("message.timestamp.type", "LogAppendTime")];
        kafka
            .alter_topic(&shop.topic("dead-letters"), &append_time)
            .await?;
        kafka.deny(&shop.prefix, Operation::AlterConfigs)?;
        let mut probe = MqttProbe::connect(&shop.mosquitto.url()).await?;
        let topic = format!("pos/{STORE}/till-1/payments");
        // Random bytes, which compression does not make smaller.
        let mut large = vec![0; LARGE];
        rand::rng().fill(&mut large[..]);
        large[0] = 0xa5;
        probe.publish(&topic, large).await?;
        // These events follow the dead letter in the same transaction.
        let count = 2_500;
        probe
            .publish_all((1..=count).map(|seq| (topic.clone(), numbered(9, seq).into(), false)))
            .await?;
        ensure!(shop.gateway.terminate().await?.success());
        shop.gateway.config().kafka_brokers = Some(shop.brokers.clone());
        shop.gateway.start_again()?;
        shop.gateway.wait_ready().await?;
        shop.drained(u64::from(count) + 1, SOON).await?;
        let dead = Reader::new(&shop.brokers)
            .read(&[shop.topic("dead-letters")], LATER)
            .await?;
        ensure!(dead.len() == 1 && dead[0].value.len() < LARGE, "{properties}");
        ensure!(dead[0].header("ce_cutfrom") == Some("1500000"));
        ensure!(shop.records().await?.len() == count as usize, "{properties}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn noise_on_the_topic_of_a_till_changes_neither_its_ack_nor_its_encoding() -> Result<()> {
    let shop = Shop::open().await?;
    let mut probe = MqttProbe::connect(&shop.mosquitto.url()).await?;
    let topic = format!("pos/{STORE}/till-6/payments");
    probe.publish(&topic, postcard(5, 1, 1)?).await?;
    for noise in [&b"hello"[..], &[0xa5; 40], b"{\"payment_id\":", b"\x1f"] {
        probe.publish(&topic, noise).await?;
    }
    shop.drained(5, SOON).await?;
    // The ack of a numbered JSON device has the device's own number. The gateway gave the noise in between another one.
    let json = format!("pos/{STORE}/till-7/payments");
    probe.publish(&json, numbered(9, 1)).await?;
    probe.publish(&json, "{\"payment_id\":").await?;
    probe.publish(&json, numbered(9, 2)).await?;
    shop.drained(8, SOON).await?;

    let retained = async |device: &str| -> Result<Vec<u8>> {
        let mut late = MqttProbe::connect(&shop.mosquitto.url()).await?;
        late.subscribe(&format!("pos/{STORE}/{device}/ack")).await?;
        Ok(late.next(SOON).await?.payload.to_vec())
    };
    within("the till's own ack to be retained", SOON, async || {
        let ack = wire::Ack::decode(&retained("till-6").await?);
        ensure!(ack == Ok(wire::Ack { epoch: 5, seq: 1 }), "{ack:?}");
        let ack: Value = serde_json::from_slice(&retained("till-7").await?)?;
        ensure!(ack == json!({"epoch": 9, "seq": 2}), "{ack}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_json_device_may_number_in_any_order_and_its_missing_numbers_are_reported() -> Result<()> {
    let shop = Shop::open().await?;
    let url = shop.mosquitto.url();
    let (mut probe, mut acks) = (MqttProbe::connect(&url).await?, MqttProbe::connect(&url).await?);
    acks.subscribe(&format!("pos/{STORE}/till-2/ack")).await?;
    let topic = format!("pos/{STORE}/till-2/payments");
    for seq in [1, 2, 2, 5, 4, 1] {
        probe.publish(&topic, numbered(9, seq)).await?;
    }
    let ack = |seq: u32| json!({"epoch": 9, "seq": seq});
    acks.next_where(SOON, |message| {
        serde_json::from_slice(&message.payload).is_ok_and(|said: Value| said == ack(2))
    })
    .await?;
    let device = within("the missing number to be reported", SOON, async || {
        let status = shop.gateway.get_json("/api/gateway").await?;
        let devices = status["devices"].as_array().context("devices")?;
        let device = devices
            .iter()
            .find(|device| device["device"] == "till-2")
            .context("till-2")?;
        ensure!(device["missing"] == json!([[3, 3]]), "{device}");
        ensure!(device["stored"] == 4 && device["received"] == 5, "{device}");
        Ok(device.clone())
    })
    .await?;
    println!("{device}");
    probe.publish(&topic, numbered(9, 3)).await?;
    acks.next_where(SOON, |message| {
        serde_json::from_slice(&message.payload).is_ok_and(|said: Value| said == ack(5))
    })
    .await?;
    shop.drained(5, SOON).await?;
    let mut names = HashMap::new();
    for record in shop.records().await? {
        *names
            .entry(record.ce_id().context("ce_id")?.to_owned())
            .or_insert(0) += 1;
    }
    ensure!(
        (1..=5).all(|seq| names.get(&format!("{STORE}/till-2/9/{seq}")) == Some(&1)),
        "{names:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_binary_till_are_stored_only_in_the_order_of_their_numbers() -> Result<()> {
    let shop = Shop::open().await?;
    let url = shop.mosquitto.url();
    let (mut probe, mut acks) = (MqttProbe::connect(&url).await?, MqttProbe::connect(&url).await?);
    acks.subscribe(&format!("pos/{STORE}/till-3/ack")).await?;
    let topic = format!("pos/{STORE}/till-3/payments");
    let ack_of = |seq| wire::Ack { epoch: 5, seq };
    for seq in [1, 3, 2, 3] {
        probe.publish(&topic, postcard(5, seq, 1)?).await?;
    }
    acks.next_where(SOON, |message| {
        wire::Ack::decode(&message.payload) == Ok(ack_of(3))
    })
    .await?;
    // An event that the till no longer holds was acked by an earlier gateway, so this gateway does not wait for it.
    probe.publish(&topic, postcard(5, 10, 10)?).await?;
    acks.next_where(SOON, |message| {
        wire::Ack::decode(&message.payload) == Ok(ack_of(10))
    })
    .await?;
    shop.drained(4, SOON).await?;
    let records = shop.records().await?;
    let names: Vec<_> = records.iter().filter_map(|record| record.ce_id()).collect();
    let expected = [1, 2, 3, 10].map(|seq| format!("{STORE}/till-3/5/{seq}"));
    ensure!(names == expected, "{names:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_numbers_events_without_a_seq_and_removes_redeliveries() -> Result<()> {
    let shop = Shop::open().await?;
    let mut probe = MqttProbe::connect(&shop.mosquitto.url()).await?;
    let topic = format!("pos/{STORE}/till-9/payments");
    for id in ["p-1", "p-2", "p-1"] {
        probe.publish(&topic, payment(id).to_string()).await?;
    }
    probe
        .publish(
            &format!("pos/{STORE}/till-8/payments"),
            payment("p-1").to_string(),
        )
        .await?;
    shop.drained(3, SOON).await?;
    let records = shop.records().await?;
    let mut names: Vec<_> = records.iter().filter_map(|record| record.ce_id()).collect();
    names.sort_unstable();
    let expected = ["till-8/0/1", "till-9/0/1", "till-9/0/2"].map(|name| format!("{STORE}/{name}"));
    ensure!(names == expected, "{names:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_of_250_lines_reaches_kafka_complete() -> Result<()> {
    let shop = Shop::open().await?;
    let mut probe = MqttProbe::connect(&shop.mosquitto.url()).await?;
    let products: Vec<String> = (0..250)
        .map(|n| format!("Confiture n° {n} {}", "é".repeat(20)))
        .collect();
    let lines: Vec<wire::Line<'_>> = products
        .iter()
        .map(|product| wire::Line {
            product,
            quantity: 3,
            unit_price: 199,
        })
        .collect();
    let order = wire::Event::Order(wire::Order {
        order_id: "o-250",
        customer_name: "Traiteur Dupont",
        customer_email: None,
        product: "Confiture + 249",
        currency: wire::Currency::EUR,
        amount: 250 * 3 * 199,
        status: wire::OrderStatus::Pending,
        address: None,
        lines: wire::Lines::from_slice(&lines),
    });
    let header = wire::Header {
        epoch: 1,
        seq: 1,
        oldest: 1,
        time_ms: 1_800_000_000_000,
    };
    let mut buffer = vec![0; wire::MAX_FRAME];
    let frame = wire::encode(&header, &order, &mut buffer)?.to_vec();
    probe
        .publish(&format!("pos/{STORE}/till-4/orders"), frame)
        .await?;
    shop.drained(1, SOON).await?;
    let records = shop.records().await?;
    let json = records[0].json()?;
    ensure!(json["lines"].as_array().is_some_and(|lines| lines.len() == 250));
    ensure!(json["lines"][249]["product"] == products[249]);
    let text = String::from_utf8(records[0].value.clone())?;
    ensure!(text.contains(r#""amount":1492.50"#), "{text:.300}");
    Ok(())
}
