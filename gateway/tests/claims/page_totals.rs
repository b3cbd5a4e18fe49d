//! The totals of a day on the page are the gateway's, in the shop's currency and the reader's time zone.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use comptoir_harness::process::Process;
use comptoir_harness::{Gateway, GatewayConfig, Mosquitto, MqttProbe, Scratch, within};
use serde_json::json;

use crate::browser::playwright;
use crate::shop::{GATEWAY, SOON, STORE};

const TIMEOUT: Duration = Duration::from_secs(120);

/// Intervals with an order and a payment of 0.345 at the beginning of each hour. The end is exclusive.
const SOLD: [(&str, &str); 3] = [
    // A day of 23 hours in Paris and one of 25, with their neighbours.
    ("2026-03-28T00:00:00Z", "2026-03-30T06:00:00Z"),
    ("2026-10-24T00:00:00Z", "2026-10-26T06:00:00Z"),
    // In Kolkata midnight is at 18:30 UTC.
    ("2026-11-15T15:00:00Z", "2026-11-15T19:00:00Z"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_page_adds_exact_amounts_to_the_days_of_its_time_zone() -> Result<()> {
    let mosquitto = Mosquitto::start().await?;
    let mut config = GatewayConfig::new(STORE, &mosquitto.url());
    config.extra = "currency = \"KWD\"".to_owned();
    let mut gateway = Gateway::spawn(GATEWAY, config)?;
    gateway.wait_ready().await?;
    let mut probe = MqttProbe::connect(&mosquitto.url()).await?;
    let mut number = 0;
    for (from, to) in SOLD {
        let (mut at, to): (jiff::Timestamp, jiff::Timestamp) = (from.parse()?, to.parse()?);
        while at < to {
            let order = json!({"order_id": format!("o-{number}"), "product": "x", "amount": 0.345, "timestamp": at.to_string(),
                "customer_name": "\u{202e}דנה"});
            let payment = json!({"payment_id": format!("p-{number}"), "order_id": format!("o-{number}"), "amount": 0.345,
                "method": "Cash", "status": "SUCCESS", "timestamp": at.to_string()});
            for (leaf, event) in [("orders", order), ("payments", payment)] {
                probe
                    .publish(&format!("pos/{STORE}/till-1/{leaf}"), event.to_string())
                    .await?;
            }
            number += 1;
            at += jiff::SignedDuration::from_hours(1);
        }
    }
    within("all payments to be counted", SOON, async || {
        let stats = gateway.get_json("/api/stats").await?;
        ensure!(stats["success_payments"] == number, "{stats}");
        // The sum must be exact.
        ensure!(
            stats["total_revenue"] == f64::from(number * 345) / 1000.0,
            "{stats}"
        );
        Ok(())
    })
    .await?;
    let scratch = Scratch::new("playwright-totals")?;
    let command = playwright("totals", &gateway.http_url()?, &scratch)?;
    let mut process = Process::spawn("Playwright", command, &scratch.join("log"))?;
    let status = process.wait(TIMEOUT).await;
    println!("{}", process.log());
    let status = status.context("Playwright")?;
    // A panic keeps the screenshots and the logs.
    assert!(status.success(), "Playwright: {status}");
    Ok(())
}
