//! A month of real receipts arrives complete, store by store.
//!
//! The file of receipts is too large for the repository, and not ours to publish. Its path is in `COMPTOIR_SALES`, or the
//! file is in `../shared/data/` beside the checkout. Without it the test is skipped.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use comptoir_harness::{Gateway, GatewayConfig, Kafka, Mosquitto, PosSim, Reader, fresh_prefix, within};
use flate2::read::GzDecoder;
use rust_decimal::Decimal;

use crate::shop::{GATEWAY, LATER, STORE};

#[derive(Debug, Default, PartialEq, Eq)]
struct Sums {
    orders: u64,
    lines: u64,
    amount: Decimal,
}

fn file() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/sales-2017-01.csv.gz");
    let path = std::env::var_os("COMPTOIR_SALES").map_or(beside, PathBuf::from);
    path.is_file().then_some(path)
}

fn sums_of_file(path: &PathBuf) -> Result<BTreeMap<String, Sums>> {
    let mut sums: BTreeMap<String, Sums> = BTreeMap::new();
    let mut rows = csv::Reader::from_reader(GzDecoder::new(File::open(path)?));
    let mut basket = String::new();
    for row in rows.records() {
        let row = row?;
        let sums_of_store = sums.entry(row[0].to_owned()).or_default();
        if row[1] != *basket {
            basket = row[1].to_owned();
            sums_of_store.orders += 1;
        }
        sums_of_store.lines += 1;
        sums_of_store.amount += Decimal::from_str_exact(&row[5])?;
    }
    Ok(sums)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_of_real_receipts_arrives_complete() -> Result<()> {
    let Some(path) = file() else {
        println!("skipped: no file of real receipts; set COMPTOIR_SALES to its path");
        return Ok(());
    };
    let expected = sums_of_file(&path)?;
    let kafka = Kafka::shared().await;
    let mosquitto = Mosquitto::start().await?;
    let prefix = fresh_prefix();
    let config = GatewayConfig::new(STORE, &mosquitto.url()).kafka(kafka.brokers(), &prefix);
    let mut gateway = Gateway::spawn(GATEWAY, config)?;
    gateway.wait_ready().await?;
    let path = path.to_str().context("the path is UTF-8")?;
    let mut sim = PosSim::spawn(["--broker", &mosquitto.url(), "--replay", path])?;
    sim.finish(LATER).await?;
    within("everything to be in Kafka", LATER, async || {
        let status = gateway.get_json("/api/gateway").await?;
        ensure!(status["journal"]["pending"] == 0, "{}", status["journal"]);
        Ok(())
    })
    .await?;
    let sums = Reader::new(kafka.brokers())
        .fold(
            &[format!("{prefix}orders")],
            LATER,
            BTreeMap::<String, Sums>::new(),
            |sums, record| {
                // The amount is read from the text, because JSON numbers would become floats.
                let text = String::from_utf8_lossy(&record.value).into_owned();
                let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
                let sums_of_store = sums
                    .entry(json["store"].as_str().unwrap_or_default().to_owned())
                    .or_default();
                sums_of_store.orders += 1;
                sums_of_store.lines += json["lines"].as_array().map_or(0, Vec::len) as u64;
                let amount = text
                    .split(r#"],"amount":"#)
                    .nth(1)
                    .and_then(|rest| rest.split(',').next());
                sums_of_store.amount += amount
                    .and_then(|digits| Decimal::from_str_exact(digits).ok())
                    .unwrap_or(Decimal::MIN);
            },
        )
        .await?;
    ensure!(
        sums.len() == expected.len(),
        "{} stores, {} in the file",
        sums.len(),
        expected.len()
    );
    for (store, expected) in &expected {
        ensure!(
            sums.get(store) == Some(expected),
            "{store}: {:?}, but the file has {expected:?}",
            sums.get(store)
        );
    }
    println!(
        "{} stores, {} orders",
        sums.len(),
        sums.values().map(|sums| sums.orders).sum::<u64>()
    );
    Ok(())
}
