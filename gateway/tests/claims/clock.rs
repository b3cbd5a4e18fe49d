//! The gateway works whether or not the machine's clock is right or steady.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use comptoir_harness::{Kafka, MqttProbe, SettableClock, within};
use serde_json::json;

use crate::commands::send;
use crate::shop::{SOON, STORE, Shop};

const HOUR: i64 = 3_600;
/// The longest time that an orderly shutdown may take: nothing in it may hang.
const QUICK: Duration = Duration::from_secs(5);

async fn pay(probe: &mut MqttProbe, id: &str) -> Result<()> {
    let payment =
        json!({"payment_id": id, "order_id": "o", "amount": 1, "method": "Cash", "status": "SUCCESS"});
    probe
        .publish(&format!("pos/{STORE}/till-1/payments"), payment.to_string())
        .await
}

/// Waits until `count` payments have a partition and an offset.
async fn wait_for_places(shop: &Shop, count: usize) -> Result<()> {
    within("the payments to be read back", SOON, async || {
        let page = shop.gateway.get_json("/api/payments").await?;
        let items = page["items"].as_array().context("no items")?;
        let placed = items.iter().filter(|item| item["offset"].is_i64()).count();
        ensure!(placed == count, "{placed} of {items:?}");
        Ok(())
    })
    .await
}

async fn kafka_is(shop: &Shop, state: &str) -> Result<()> {
    within(&format!("Kafka to be {state}"), SOON, async || {
        let status = shop.gateway.get_json("/api/gateway").await?;
        for link in ["kafka", "commands"] {
            ensure!(status[link]["state"] == state, "{link}: {}", status[link]);
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_set_back_by_an_hour_delays_nothing_and_is_reported() -> Result<()> {
    let clock = SettableClock::new(HOUR)?;
    let mut kafka = Kafka::start().await?;
    let mut shop = Shop::open_with(kafka.brokers(), |mut config| {
        config.env = clock.env();
        config
    })
    .await?;
    let mut probe = MqttProbe::connect(&shop.mosquitto.url()).await?;
    probe.subscribe(&format!("pos/{STORE}/+/commands")).await?;
    pay(&mut probe, "p-0").await?;
    wait_for_places(&shop, 1).await?;

    // The state after a power cut, when the time server answers before Kafka does.
    kafka.stop().await?;
    kafka_is(&shop, "down").await?;
    clock.set(0)?;
    within("the jump to be reported", SOON, async || {
        let jump = &shop.gateway.get_json("/api/gateway").await?["clock"]["jump"];
        ensure!(jump["seconds"] == -HOUR, "{jump}");
        let (_, metrics) = shop.gateway.get("/metrics").await?;
        ensure!(metrics.contains("comptoir_clock_jumps 1"), "{metrics}");
        Ok(())
    })
    .await?;
    let log = shop.gateway.log();
    ensure!(log.matches("clock was set back").count() == 1, "{log}");
    // Displayed times follow the corrected clock.
    let since = shop.gateway.get_json("/api/gateway").await?["kafka"]["since"].clone();
    let since: jiff::Timestamp = since.as_str().context("no time")?.parse()?;
    let ago = jiff::Timestamp::now().duration_since(since);
    ensure!(ago.unsigned_abs() < SOON, "Kafka is down since {since}");

    kafka.start_again().await?;
    send(&shop, &format!("{STORE}/till-1"), r#"{"type":"reboot"}"#).await?;
    pay(&mut probe, "p-1").await?;
    kafka_is(&shop, "up").await?;
    wait_for_places(&shop, 2).await?;
    probe
        .next_where(SOON, |got| got.payload == r#"{"type":"reboot"}"#)
        .await?;
    let begun = Instant::now();
    ensure!(shop.gateway.terminate().await?.success());
    ensure!(begun.elapsed() < QUICK, "it took {:?} to end", begun.elapsed());
    Ok(())
}
