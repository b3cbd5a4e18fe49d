//! The state of a gateway in Kafka, which head office watches.

use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use comptoir_core::mac::SignedRecord;
use comptoir_core::shop_secret::ShopSecret;
use comptoir_harness::{Kafka, Reader, Record, within};
use flate2::Compression;
use flate2::write::DeflateEncoder;
use serde_json::{Value, json};

use crate::commands::send_numbered;
use crate::shop::{LATER, SOON, STORE, Shop, tills};

/// Deadline for a change, which is published within half a minute.
const CHANGE: Duration = Duration::from_secs(90);

/// The newest state in Kafka.
async fn newest(shop: &Shop) -> Result<(Record, Value)> {
    let records = Reader::new(&shop.brokers)
        .read(&[shop.topic("gateways")], LATER)
        .await?;
    let record = records.into_iter().next_back().context("no state")?;
    let state = serde_json::from_slice(&record.value)?;
    Ok((record, state))
}

fn compressed(value: &[u8]) -> Result<usize> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(value)?;
    Ok(encoder.finish()?.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_publishes_its_state_and_what_changes_in_it() -> Result<()> {
    let mut shop = Shop::open_on(Kafka::shared().await.brokers()).await?;
    within("the first state", SOON, async || {
        newest(&shop).await?;
        Ok(())
    })
    .await?;
    let mut sim = tills(&shop.mosquitto, 4, 400, 0)?;
    sim.finish(SOON).await?;
    shop.drained(400, SOON).await?;
    send_numbered(&shop, "3054198961/1", "Bonjour").await?;
    within("the tills and the command in the state", CHANGE, async || {
        let (_, state) = newest(&shop).await?;
        ensure!(
            state["commands"] == json!({"epoch": 3_054_198_961_u32, "last": 1}),
            "{state}"
        );
        ensure!(
            state["devices"]
                .as_array()
                .is_some_and(|devices| devices.len() == 4),
            "{state}"
        );
        Ok(())
    })
    .await?;
    let (record, state) = newest(&shop).await?;
    let devices = state["devices"].as_array().context("devices")?;
    let stored: u64 = devices
        .iter()
        .filter_map(|device| device["received"].as_u64())
        .sum();
    ensure!(stored == 400, "{state}");
    ensure!(
        state["last_exit"] == "unknown" && state["disk_free"].as_u64() > Some(0),
        "{state}"
    );
    ensure!(state.get("problems").is_none(), "{state}");
    let size = compressed(&record.value)?;
    ensure!(size < 300, "{size} bytes: {state}");

    let (_, code) = shop.gateway.run(&["recovery-code"], SOON).await?;
    let secret = code
        .lines()
        .find_map(|line| ShopSecret::from_code(line.trim()).ok());
    let signed = SignedRecord {
        ce_id: STORE.as_bytes(),
        ce_type: b"comptoir.gateway",
        key: record.key.as_deref().context("key")?,
        value: &record.value,
    };
    let mac = record.headers.get("ce_comptoirmac").context("no signature")?;
    ensure!(signed.verify(&secret.context("no recovery code")?.record_key(), mac));
    ensure!(record.headers.len() == 1 && signed.key == STORE.as_bytes());

    shop.mosquitto.stop().await?;
    within("the MQTT broker's absence in the state", CHANGE, async || {
        let (_, state) = newest(&shop).await?;
        let problems = state["problems"].as_array();
        ensure!(
            problems.is_some_and(|all| all.contains(&"mqtt-down".into())),
            "{state}"
        );
        Ok(())
    })
    .await?;

    shop.gateway.kill9()?;
    shop.mosquitto.start_again().await?;
    shop.gateway.start_again()?;
    shop.gateway.wait_ready().await?;
    within("the crash in the state", SOON, async || {
        let (_, state) = newest(&shop).await?;
        ensure!(state["last_exit"] == "crashed", "{state}");
        Ok(())
    })
    .await?;
    ensure!(shop.gateway.terminate().await?.success());
    shop.gateway.start_again()?;
    shop.gateway.wait_ready().await?;
    within("the stop in the state", SOON, async || {
        let (_, state) = newest(&shop).await?;
        ensure!(state["last_exit"] == "stopped", "{state}");
        Ok(())
    })
    .await?;
    Ok(())
}
