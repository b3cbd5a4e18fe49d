//! What is not provably a shop's is kept apart, and stops nobody.

use anyhow::{Result, ensure};
use comptoir_harness::chain::{Chain, SignedEvent, sale};
use comptoir_harness::{Kafka, Postgres, eventually};

use crate::office::{DEADLINE, Office, Site};

const TIME: &str = "2026-01-30T10:00:00Z";

fn database(site: &Site) -> &str {
    site.postgres.rsplit('/').next().unwrap_or_default()
}

/// The number of events of a shop, and the reasons for which records are kept apart, each with its number.
async fn wait_for(site: &Site, store: &str, events: i64, apart: &str) {
    let postgres = Postgres::shared().await;
    eventually("the records to be read", DEADLINE, async || {
        let count = format!("SELECT count(*) FROM event WHERE store = '{store}'");
        let found: i64 = postgres.query(database(site), &count).await?.trim().parse()?;
        ensure!(found == events, "{found} events of {store}");
        let sql = "SELECT reason || ' ' || count(*) FROM kept_apart GROUP BY reason ORDER BY reason";
        let reasons = postgres.query(database(site), sql).await?;
        let reasons: Vec<&str> = reasons.lines().collect();
        ensure!(reasons.join(", ") == apart, "{reasons:?}");
        Ok(())
    })
    .await;
}

async fn start(site: &Site) -> Result<(Office, Chain)> {
    site.create_topics(Kafka::shared().await).await?;
    site.write_keys(["shop-1"])?;
    Ok((site.start("one")?, Chain::new(&site.brokers, &site.prefix)?))
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_and_broken_records_are_kept_apart_and_stop_nobody() -> Result<()> {
    let site = Site::new().await?;
    let (mut office, chain) = start(&site).await?;
    let [order, payment, completed] = sale("shop-1", 0, TIME);
    let forged = SignedEvent {
        value: order.value.replace("12.50", "0.50"),
        ..order.clone()
    };
    let unnamed = SignedEvent {
        name: "\0".to_owned(),
        ..order.clone()
    };
    let moved = SignedEvent {
        topic: "deliveries",
        ..order.clone()
    };
    let [unknown, ..] = sale("shop-2", 0, TIME);
    let signed = |seq, value: String| SignedEvent::new("shop-1", "orders", seq, "o-9", value);
    let no_sale = signed(90, "{}".to_owned());
    // PostgreSQL's parser gives up, and would do so at each attempt.
    let deep = format!(
        r#"{{"order_id":"o-9","product":"Pain","amount":1.00,"currency":"EUR","status":"Pending","timestamp":"2026-01-30T10:00:00Z","deep":{}{}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    chain.write(&[
        forged,
        unnamed,
        moved,
        unknown,
        no_sale,
        signed(91, deep),
        order.clone(),
        payment,
    ])?;
    // Anybody can write a signed record again.
    chain.write(&[order.clone(), order, completed])?;
    wait_for(
        &site,
        "shop-1",
        3,
        "forged 3, not-a-sale 1, unknown-shop 1, unstorable 1",
    )
    .await;
    let sales = "SELECT kind, status, amount FROM sale ORDER BY kind";
    let sales = Postgres::shared().await.query(database(&site), sales).await?;
    assert_eq!(sales.trim(), "order|Completed|1250\npayment|SUCCESS|1250");
    assert_eq!(
        office
            .metric("comptoir_office_kept_apart_total{reason=\"forged\"}")
            .await?,
        3.0
    );
    let overview = office.get_json("/api/shops").await?;
    assert_eq!(overview["kept_apart"], 6);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_clients_cannot_read_stop_no_shop_behind_them() -> Result<()> {
    let site = Site::new().await?;
    let (mut office, mut chain) = start(&site).await?;
    let shops = ["shop-1".to_owned()];
    chain.sell(&shops, 0)?;
    wait_for(&site, "shop-1", 3, "").await;
    chain.write_binary_header("orders")?;
    chain.write_binary_header("gateways")?;
    for partition in 0..3 {
        chain.write_undecodable("orders", partition)?;
    }
    chain.sell(&shops, 1)?;
    chain.publish("shop-1", "{}")?;
    wait_for(&site, "shop-1", 6, "forged 1, not-a-state 1, unknown-shop 1").await;
    assert_eq!(
        office.metric("comptoir_office_undecodable_batches_total").await?,
        3.0
    );
    let lost = "SELECT sum(to_offset - from_offset) FROM lost_records";
    let lost = Postgres::shared().await.query(database(&site), lost).await?;
    // The three batches, and the markers of the transactions before them.
    assert!((3..=6).contains(&lost.trim().parse::<i64>()?), "{lost}");
    // Nothing is read twice after a restart.
    assert!(office.terminate().await?.success());
    let _office = site.start("one")?;
    chain.sell(&shops, 2)?;
    wait_for(&site, "shop-1", 9, "forged 1, not-a-state 1, unknown-shop 1").await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_counts_from_its_beginning_once_its_key_is_known() -> Result<()> {
    let site = Site::new().await?;
    let (mut office, mut chain) = start(&site).await?;
    let shops = ["shop-1".to_owned(), "shop-2".to_owned()];
    chain.sell(&shops, 0)?;
    wait_for(&site, "shop-1", 3, "unknown-shop 3").await;
    assert!(office.terminate().await?.success());
    site.write_keys(["shop-1", "shop-2"])?;
    let (status, said) = site.run(&["reread"]).await?;
    assert!(status.success(), "{said}");
    let _office = site.start("one")?;
    wait_for(&site, "shop-2", 3, "").await;
    wait_for(&site, "shop-1", 3, "").await;
    Ok(())
}
