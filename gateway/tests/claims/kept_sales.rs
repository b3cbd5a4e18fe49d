//! The gateway keeps every sale, because it has happened: in any form, and even if its till reuses a number.

use anyhow::{Context, Result, ensure};
use comptoir_harness::{Gateway, within};
use comptoir_wire as wire;
use serde_json::{Value, json};

use crate::shop::{SOON, STORE, without_kafka};

fn payment(id: &str, seq: Option<u32>) -> Value {
    let mut payment =
        json!({"payment_id": id, "order_id": "o-1", "amount": 10, "method": "Cash", "status": "SUCCESS"});
    if let Some(seq) = seq {
        payment["epoch"] = json!(9);
        payment["seq"] = json!(seq);
    }
    payment
}

async fn device(gateway: &Gateway, name: &str) -> Result<Value> {
    let status = gateway.get_json("/api/gateway").await?;
    let devices = status["devices"].as_array().context("devices")?;
    let device = devices.iter().find(|device| device["device"] == name);
    Ok(device.with_context(|| format!("{name}: {status}"))?.clone())
}

async fn wait_for_journal(gateway: &Gateway, events: u64, duplicates: u64) -> Result<()> {
    within("the journal to contain the events", SOON, async || {
        let status = gateway.get_json("/api/gateway").await?;
        let journal = &status["journal"];
        ensure!(
            journal["last_offset"] == events && journal["duplicates"] == duplicates,
            "{journal}"
        );
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_json_till_that_restarts_its_count_within_an_epoch_loses_no_sale() -> Result<()> {
    let (mut gateway, _mosquitto, mut probe) = without_kafka().await?;
    let topic = format!("pos/{STORE}/till-1/payments");
    for seq in 1..=3 {
        probe
            .publish(&topic, payment(&format!("a-{seq}"), Some(seq)).to_string())
            .await?;
    }
    wait_for_journal(&gateway, 3, 0).await?;
    // A redelivery is recognised even if its `oldest` has changed.
    let mut again = payment("a-2", Some(2));
    again["oldest"] = json!(2);
    probe.publish(&topic, again.to_string()).await?;
    wait_for_journal(&gateway, 3, 1).await?;
    ensure!(device(&gateway, "till-1").await?["reused"] == 0);
    // The till restarts its count twice, with a restart of the gateway in between.
    for round in 0..2 {
        for seq in 1..=3 {
            probe
                .publish(
                    &topic,
                    payment(&format!("b-{round}-{seq}"), Some(seq)).to_string(),
                )
                .await?;
        }
        wait_for_journal(&gateway, 6 + 3 * round, u64::from(round == 0)).await?;
        for seq in 1..=3 {
            probe
                .publish(
                    &topic,
                    payment(&format!("b-{round}-{seq}"), Some(seq)).to_string(),
                )
                .await?;
        }
        wait_for_journal(&gateway, 6 + 3 * round, 3 + u64::from(round == 0)).await?;
        ensure!(device(&gateway, "till-1").await?["reused"] == 3 * (round + 1));
        if round == 0 {
            let (_, metrics) = gateway.get("/metrics").await?;
            ensure!(metrics.contains("\ncomptoir_numbers_reused 3\n"), "{metrics}");
            let said = gateway
                .log()
                .matches("has used a number again for another sale")
                .count();
            ensure!(said == 1, "logged {said} times");
            ensure!(gateway.terminate().await?.success());
            gateway.start_again()?;
            gateway.wait_ready().await?;
        }
    }
    let stats = gateway.get_json("/api/stats").await?;
    ensure!(
        stats["total_payments"] == 9 && stats["total_revenue"] == 90.0,
        "{stats}"
    );
    // New numbers are stored as before.
    probe.publish(&topic, payment("a-4", Some(4)).to_string()).await?;
    wait_for_journal(&gateway, 10, 3).await?;
    let till = device(&gateway, "till-1").await?;
    ensure!(till["reused"] == 6 && till["missing"] == json!([]), "{till}");
    Ok(())
}

fn postcard(seq: u32, oldest: u32, id: &str, time_ms: u64) -> Result<Vec<u8>> {
    let mut buffer = vec![0; wire::MAX_FRAME];
    let event = wire::Event::Payment(wire::Payment {
        payment_id: id,
        order_id: "o-1",
        currency: wire::Currency::EUR,
        amount: 1_000,
        method: wire::PaymentMethod::Cash,
        status: wire::PaymentStatus::Success,
    });
    let header = wire::Header {
        epoch: 5,
        seq,
        oldest,
        time_ms,
    };
    Ok(wire::encode(&header, &event, &mut buffer)?.to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_binary_tills_with_a_copied_flash_both_keep_their_sales() -> Result<()> {
    let (gateway, _mosquitto, mut probe) = without_kafka().await?;
    let topic = format!("pos/{STORE}/till-2/payments");
    probe.publish(&topic, postcard(1, 1, "one", 0)?).await?;
    probe.publish(&topic, postcard(2, 1, "two", 0)?).await?;
    // A redelivery by a till without a clock, which has deleted the first event in the meantime.
    probe.publish(&topic, postcard(2, 2, "two", 0)?).await?;
    wait_for_journal(&gateway, 2, 1).await?;
    probe
        .publish(&topic, postcard(2, 1, "another", 1_764_000_000_000)?)
        .await?;
    wait_for_journal(&gateway, 3, 1).await?;
    probe
        .publish(&topic, postcard(2, 1, "another", 1_764_000_000_000)?)
        .await?;
    wait_for_journal(&gateway, 3, 2).await?;
    let till = device(&gateway, "till-2").await?;
    ensure!(till["reused"] == 1, "{till}");
    let stats = gateway.get_json("/api/stats").await?;
    ensure!(
        stats["total_payments"] == 3 && stats["total_revenue"] == 30.0,
        "{stats}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_break_a_word_in_capitals_or_an_odd_time_loses_no_sale() -> Result<()> {
    let (gateway, _mosquitto, mut probe) = without_kafka().await?;
    let order = r#""order_id":"o-$","product":"Pain","amount":1"#;
    let sent = [
        r#"{$,"address":"1 rue du Four\n75006 Paris"}"#,
        "{$,\"address\":\"1 rue du Four\n75006 Paris\"}",
        r#"{$,"customer_name":"A\u0000B\tC"}"#,
        r#"{$,"customer_name":"\ud83d"}"#,
        r#"{$,"customer_name":"\u202eolleh"}"#,
        "\u{feff}{$}",
        "\r\n{$}\0",
        r#"{$,"status":"COMPLETED"}"#,
        r#"{$,"timestamp":"0000-01-01T00:00:00Z"}"#,
        r#"{$,"timestamp":"0000-01-01T00:00:00+14:00"}"#,
        r#"{$,"timestamp":"9999-12-31T23:59:60.999999999Z"}"#,
        r#"{$,"timestamp":"9999-12-30t21:59:59z"}"#,
        r#"{$,"timestamp":"+275760-09-13T00:00:00Z"}"#,
        r#"{$,"timestamp":"2016-12-31T23:59:60Z"}"#,
        r#"{$,"timestamp":"2026-02-30T00:00:00Z"}"#,
        r#"{$,"timestamp":-0}"#,
        r#"{$,"lines":[{"product":"Sac","quantity":0,"unit_price":-0.00}]}"#,
    ];
    for (number, json) in sent.iter().enumerate() {
        let json = json.replace('$', &order.replace('$', &number.to_string()));
        probe.publish(&format!("pos/{STORE}/till-1/orders"), json).await?;
    }
    let orders = within("all orders to be counted", SOON, async || {
        let stats = gateway.get_json("/api/stats").await?;
        ensure!(stats["total_orders"] == sent.len(), "{stats}");
        let page = gateway.get_json("/api/orders?limit=500").await?;
        Ok(page["items"].as_array().context("items")?.clone())
    })
    .await?;
    ensure!(orders.len() == sent.len(), "{orders:?}");
    let status = gateway.get_json("/api/gateway").await?;
    ensure!(status["dead_letters"] == 0, "{status}");
    let of = |number: usize, field: &str| orders[sent.len() - 1 - number][field].clone();
    for number in [0, 1] {
        ensure!(
            of(number, "address") == "1 rue du Four 75006 Paris",
            "{}",
            of(number, "address")
        );
    }
    ensure!(
        of(2, "customer_name") == "AB C" && of(7, "status") == "Completed",
        "{orders:?}"
    );
    ensure!(of(8, "timestamp") == "0000-01-01T00:00:00Z" && of(13, "timestamp") == "2016-12-31T23:59:59Z");
    for order in &orders {
        let time = order["timestamp"].as_str().context("timestamp")?;
        ensure!(
            time.len() >= 20 && time.as_bytes()[4] == b'-' && time.ends_with('Z'),
            "RFC 3339: {time}"
        );
    }
    // Each order is counted in an hour, regardless of its own time and of the machine's clock.
    let hours = gateway.get_json("/api/stats").await?["orders_per_hour"].take();
    let hours = hours.as_array().context("hours")?;
    let counted: u64 = hours.iter().filter_map(|hour| hour["orders"].as_u64()).sum();
    ensure!(counted == sent.len() as u64, "{hours:?}");
    Ok(())
}
