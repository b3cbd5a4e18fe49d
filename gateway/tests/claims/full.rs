//! At `journal.max_bytes` nothing is dropped: the gateway refuses events, reports it, and accepts again when there is room.

use anyhow::{Context, Result, ensure};
use comptoir_harness::{Kafka, within};
use serde_json::json;

use crate::shop::{LATER, SOON, Shop, tills};

#[tokio::test(flavor = "multi_thread")]
async fn a_full_journal_refuses_events_and_accepts_again_once_kafka_has_drained_it() -> Result<()> {
    let mut kafka = Kafka::start().await?;
    let shop = Shop::open_with(kafka.brokers(), |mut config| {
        config.max_bytes = Some(2 << 20);
        config
    })
    .await?;
    kafka.stop().await?;
    let events = 12_000;
    let mut sim = tills(&shop.mosquitto, 10, events, 0)?;
    within("the journal to be full", LATER, async || {
        let status = shop.gateway.get_json("/api/gateway").await?;
        ensure!(status["journal"]["refusing"] == true, "{}", status["journal"]);
        Ok(())
    })
    .await?;
    let (status, headers, body) = shop.gateway.post_json("/api/orders", &json!({})).await?;
    ensure!(status == 503, "{status} {body}");
    let after = headers.get("retry-after").context("no Retry-After")?;
    ensure!(after.to_str()?.parse::<u32>()? > 0);
    ensure!(headers["content-type"] == "application/problem+json");
    ensure!(
        body["type"] == "urn:comptoir:problem:journal-full" && body["stored"] == "no",
        "{body}"
    );
    let (ready, text) = shop.gateway.get("/readyz").await?;
    ensure!(ready == 503 && text.contains("journal"), "{ready} {text}");
    ensure!(sim.is_running()?, "the tills ended although events are not acked");

    kafka.start_again().await?;
    sim.finish(LATER).await?;
    shop.drained(events, LATER).await?;
    let ledger = sim.ledger()?;
    ensure!(ledger.len() == events as usize);
    shop.audited(&ledger).await?;
    let (status, _, body) = shop.gateway.post_json("/api/orders", &json!({})).await?;
    ensure!(status == 201, "{body}");
    within("readiness", SOON, async || {
        let (ready, text) = shop.gateway.get("/readyz").await?;
        ensure!(ready == 200, "{text}");
        Ok(())
    })
    .await?;
    // Entries were pruned, but they still count in the totals.
    let stats = shop.gateway.get_json("/api/stats").await?;
    let orders = ledger.iter().filter(|line| line.topic == "orders");
    let mut ids: Vec<_> = orders.map(|line| &line.key).collect();
    ids.sort();
    ids.dedup();
    ensure!(stats["total_orders"] == ids.len() + 1, "{stats}");
    Ok(())
}
