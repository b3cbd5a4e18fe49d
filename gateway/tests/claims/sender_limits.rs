//! No sender uses up the share of another: epochs, journal, dead letters. And no card number is stored.

use anyhow::{Context, Result, ensure};
use comptoir_harness::{Gateway, GatewayConfig, Mosquitto, MqttProbe, within};
use comptoir_wire as wire;
use serde_json::{Value, json};

use crate::shop::{GATEWAY, LATER, SOON, STORE};

/// A gateway without Kafka, so that everything stays pending.
struct Buffering {
    gateway: Gateway,
    mosquitto: Mosquitto,
}

impl Buffering {
    async fn start(max_bytes: u64) -> Result<Self> {
        let mosquitto = Mosquitto::start().await?;
        let mut config = GatewayConfig::new(STORE, &mosquitto.url());
        config.max_bytes = Some(max_bytes);
        let mut gateway = Gateway::spawn(GATEWAY, config)?;
        gateway.wait_ready().await?;
        Ok(Self { gateway, mosquitto })
    }

    async fn probe(&self) -> Result<MqttProbe> {
        MqttProbe::connect(&self.mosquitto.url()).await
    }

    /// Waits until at least `count` events of the device were refused for this reason.
    async fn refused(&self, device: &str, reason: &str, count: u64) -> Result<()> {
        within("the refusal to be shown", LATER, async || {
            let status = self.gateway.get_json("/api/gateway").await?;
            let refused = status["refused"].as_array().context("refused")?;
            let is_refused = |one: &Value| {
                one["device"] == device && one["reason"] == reason && one["count"].as_u64() >= Some(count)
            };
            ensure!(refused.iter().any(is_refused), "{}", status["refused"]);
            Ok(())
        })
        .await
    }

    /// Fails unless a new till gets its ack, and the counter can sell.
    async fn others_sell(&self, till: &str) -> Result<()> {
        let mut probe = self.probe().await?;
        probe.subscribe(&format!("pos/{STORE}/{till}/ack")).await?;
        probe.publish(&topic(till, "payments"), payment(7, 1)).await?;
        probe
            .next_where(SOON, |message| {
                serde_json::from_slice::<Value>(&message.payload)
                    .is_ok_and(|ack| ack == json!({"epoch": 7, "seq": 1}))
            })
            .await?;
        let (status, _, body) = self.gateway.post_json("/api/orders", &json!({})).await?;
        ensure!(status == 201, "{status} {body}");
        let (ready, text) = self.gateway.get("/readyz").await?;
        ensure!(ready == 200, "{text}");
        Ok(())
    }
}

fn topic(device: &str, kind: &str) -> String {
    format!("pos/{STORE}/{device}/{kind}")
}

fn payment(epoch: u32, seq: u32) -> String {
    json!({"epoch": epoch, "seq": seq, "payment_id": format!("p-{epoch}-{seq}"), "order_id": "o", "amount": 1,
        "method": "Cash", "status": "SUCCESS"})
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_till_that_floods_epochs_keeps_no_other_till_out_and_can_be_forgotten() -> Result<()> {
    let mut shop = Buffering::start(64 << 20).await?;
    let mut probe = shop.probe().await?;
    // More than all epochs that a journal of earlier versions could remember.
    for first in (1..=66_000).step_by(1_000) {
        let epochs = (first..first + 1_000)
            .map(|epoch| (topic("till-1", "payments"), payment(epoch, 1).into(), false));
        probe.publish_all(epochs).await?;
    }
    shop.refused("till-1", "epochs", 65_900).await?;
    shop.others_sell("till-2").await?;
    let (_, metrics) = shop.gateway.get("/metrics").await?;
    ensure!(!metrics.contains("comptoir_events_refused_total{reason=\"epochs\"} 0\n"));
    ensure!(
        shop.gateway.log().matches("new epochs too fast").count() == 1,
        "logged once"
    );

    shop.gateway.kill9()?;
    shop.gateway.start_again()?;
    shop.gateway.wait_ready().await?;
    shop.others_sell("till-3").await?;

    let device = format!("{STORE}/till-1");
    let (exit, said) = shop.gateway.run(&["forget", &device], SOON).await?;
    ensure!(exit.success() && said.contains("not in Kafka yet"), "{said}");
    let (exit, _) = shop
        .gateway
        .run(&["forget", &format!("{STORE}/till-99")], SOON)
        .await?;
    ensure!(exit.code() == Some(1), "{exit}");
    let (exit, _) = shop.gateway.run(&["forget", "Paris"], SOON).await?;
    ensure!(exit.code() == Some(2), "{exit}");
    // Events that the till resends are still duplicates.
    let last = async |gateway: &Gateway| {
        let status = gateway.get_json("/api/gateway").await?;
        Ok::<_, anyhow::Error>(status["journal"]["last_offset"].clone())
    };
    let before = last(&shop.gateway).await?;
    let mut probe = shop.probe().await?;
    probe.subscribe(&topic("till-1", "ack")).await?;
    probe.publish(&topic("till-1", "payments"), payment(5, 1)).await?;
    probe
        .next_where(SOON, |message| {
            serde_json::from_slice::<Value>(&message.payload)
                .is_ok_and(|ack| ack == json!({"epoch": 5, "seq": 1}))
        })
        .await?;
    ensure!(last(&shop.gateway).await? == before);

    ensure!(shop.gateway.terminate().await?.success());
    let (exit, said) = shop.gateway.run(&["forget", &device], SOON).await?;
    ensure!(
        exit.success() && said.contains(&device),
        "without a running gateway: {said}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_till_that_fills_its_half_of_the_journal_is_refused_and_the_others_still_sell() -> Result<()> {
    let shop = Buffering::start(4 << 20).await?;
    let mut probe = shop.probe().await?;
    let line = json!({"product": "x".repeat(500), "quantity": 1, "unit_price": 1});
    let order = |seq: u32| {
        json!({"epoch": 7, "seq": seq, "order_id": format!("o-{seq}"), "amount": 1, "lines": vec![line.clone(); 60]})
            .to_string()
    };
    let orders = (1..=120).map(|seq| (topic("till-1", "orders"), order(seq).into(), false));
    probe.publish_all(orders).await?;
    shop.refused("till-1", "pending_bytes", 1).await?;
    // A refusal is reported before the commit of the events that were taken with it.
    within("the till's half to be full", SOON, async || {
        let status = shop.gateway.get_json("/api/gateway").await?;
        ensure!(status["journal"]["refusing"] == false, "{}", status["journal"]);
        let bytes = status["journal"]["bytes"].as_u64().context("bytes")?;
        ensure!((1 << 20..3 << 20).contains(&bytes), "{bytes} bytes");
        Ok(())
    })
    .await?;
    shop.others_sell("till-2").await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dead_letters_of_one_till_are_bounded_and_delay_no_other_message() -> Result<()> {
    let shop = Buffering::start(8 << 20).await?;
    let mut probe = shop.probe().await?;
    let noise = |number: u32| format!("noise {number} {}", "x".repeat(100_000));
    // A few at a time: together they are more than the broker queues.
    for first in (0..900).step_by(20) {
        let letters =
            (first..first + 20).map(|number| (topic("till-1", "orders"), noise(number).into(), false));
        probe.publish_all(letters).await?;
    }
    shop.refused("till-1", "dead_letters", 850).await?;
    // The dead letter of another till is stored completely.
    probe.publish(&topic("till-2", "orders"), noise(1)).await?;
    shop.others_sell("till-2").await?;
    let status = shop.gateway.get_json("/api/gateway").await?;
    let bytes = status["journal"]["bytes"].as_u64().context("bytes")?;
    ensure!(bytes < 3 << 20, "{bytes} bytes");
    let newest = shop.gateway.get_json("/api/dead-letters?limit=2").await?;
    let sizes: Vec<_> = newest
        .as_array()
        .context("dead letters")?
        .iter()
        .map(|letter| (letter["topic"].clone(), letter["bytes"].clone()))
        .collect();
    ensure!(
        sizes[0] == (json!(topic("till-2", "orders")), json!(noise(1).len())),
        "{sizes:?}"
    );
    ensure!(sizes[1].1 == 1_024, "{sizes:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_number_in_a_text_or_a_dead_letter_is_masked_before_it_is_stored() -> Result<()> {
    let mut shop = Buffering::start(64 << 20).await?;
    let mut probe = shop.probe().await?;
    let order = json!({"order_id": "o-json", "customer_name": "Ada 4111 1111 1111 1111", "product": "Pain 3017620422003",
        "amount": 1, "address": "5555-5555-5555-4444"});
    probe
        .publish(&topic("till-1", "orders"), order.to_string())
        .await?;
    let binary = wire::Event::Order(wire::Order {
        order_id: "o-4111111111111111",
        customer_name: "378282246310005",
        customer_email: None,
        product: "Pain",
        currency: wire::Currency::EUR,
        amount: 100,
        status: wire::OrderStatus::Pending,
        address: None,
        lines: wire::Lines::from_slice(&[]),
    });
    let header = wire::Header {
        epoch: 1,
        seq: 1,
        oldest: 1,
        time_ms: 1_800_000_000_000,
    };
    let mut buffer = vec![0; wire::MAX_FRAME];
    let frame = wire::encode(&header, &binary, &mut buffer)?.to_vec();
    probe.publish(&topic("till-2", "orders"), frame).await?;
    probe
        .publish(&topic("till-3", "orders"), "{\"card\":\"6011111111111117\"")
        .await?;
    let posted =
        json!({"order_id": "o-post", "customer_name": "30569309025904", "product": "Pain", "amount": 1});
    let (status, _, body) = shop.gateway.post_json("/api/orders", &posted).await?;
    ensure!(
        status == 201 && body["customer_name"] == "**********5904",
        "{body}"
    );
    let orders = within("the orders", SOON, async || {
        let orders = shop.gateway.get_json("/api/orders").await?["items"].clone();
        ensure!(
            orders.as_array().is_some_and(|orders| orders.len() == 3),
            "{orders}"
        );
        Ok(orders.to_string())
    })
    .await?;
    for kept in [
        "Ada **** **** **** 1111",
        "****-****-****-4444",
        "***********0005",
        // An article number and an id are kept.
        "3017620422003",
        "o-4111111111111111",
    ] {
        ensure!(orders.contains(kept), "{kept} in {orders}");
    }
    within("the dead letter", SOON, async || {
        let metrics = shop.gateway.get("/metrics").await?.1;
        ensure!(
            metrics.contains("comptoir_card_numbers_masked_total 5"),
            "{metrics}"
        );
        Ok(())
    })
    .await?;
    ensure!(shop.gateway.terminate().await?.success());
    let log = shop.gateway.log();
    ensure!(
        log.contains("a card number in a text of a sale was masked"),
        "{log}"
    );
    let journal = std::fs::read(shop.gateway.journal_path())?;
    let stored = |text: &str| journal.windows(text.len()).any(|bytes| bytes == text.as_bytes());
    for number in [
        "4111 1111 1111",
        "5555-5555",
        "378282246310005",
        "6011111111111117",
        "30569309025904",
    ] {
        ensure!(!stored(number) && !log.contains(number), "{number}");
    }
    ensure!(stored("************1117"), "the dead letter is there");
    Ok(())
}
