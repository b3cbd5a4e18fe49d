//! The figures of shops and of their comparisons equal the sales, to the cent, in every time zone.

use anyhow::{Context as _, Result, ensure};
use comptoir_harness::chain::{Chain, SignedEvent};
use comptoir_harness::{Kafka, Postgres, eventually};
use serde_json::{Value, json};

use crate::office::{DEADLINE, Office, Site};

/// The rows in which the figures differ from the sales.
const DIFFERENCES: &str = "WITH counted AS (SELECT store, \
    to_timestamp(floor(extract(epoch FROM time) / 900) * 900) AS quarter, coalesce(currency, '') AS currency, \
    count(*) FILTER (WHERE kind = 'order') AS orders, \
    count(*) FILTER (WHERE kind = 'payment' AND status = 'SUCCESS') AS success_payments, \
    count(*) FILTER (WHERE kind = 'payment' AND status <> 'SUCCESS') AS failed_payments, \
    count(*) FILTER (WHERE kind = 'delivery') AS deliveries, \
    coalesce(sum(amount) FILTER (WHERE kind = 'payment' AND status = 'SUCCESS'), 0) AS revenue FROM sale GROUP BY 1, 2, 3), \
    kept AS (SELECT * FROM figure WHERE (orders, success_payments, failed_payments, deliveries, revenue) <> (0, 0, 0, 0, 0)) \
    SELECT count(*) FROM ((TABLE counted EXCEPT ALL TABLE kept) UNION ALL (TABLE kept EXCEPT ALL TABLE counted)) AS differing";

/// Fails if the figures in this database are not what the sales add up to.
pub async fn ensure_equal(postgres: &Postgres, url: &str) -> Result<()> {
    let database = url.rsplit('/').next().unwrap_or_default();
    let differing = postgres.query(database, DIFFERENCES).await?;
    ensure!(
        differing == "0",
        "{differing} rows of figures differ from the sales"
    );
    Ok(())
}

fn payment(seq: u32, id: &str, amount: &str, status: &str, time: &str) -> SignedEvent {
    let value = format!(
        r#"{{"payment_id":"{id}","order_id":"o-{id}","amount":{amount},"currency":"EUR","method":"Cash","status":"{status}","timestamp":"{time}","store":"shop-1","device":"till-1"}}"#
    );
    SignedEvent::new("shop-1", "payments", seq, &format!("o-{id}"), value)
}

async fn wait_for(office: &mut Office, path: &str, expected: impl Fn(&Value) -> bool) -> Value {
    eventually(path, DEADLINE, async || {
        let found = office.get_json(path).await?;
        ensure!(expected(&found), "{found}");
        Ok(found)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_figures_follow_each_change_of_a_sale() -> Result<()> {
    let site = Site::new().await?;
    site.create_topics(Kafka::shared().await).await?;
    site.write_keys(["shop-1", "shop-2"])?;
    let mut office = site.start("one")?;
    let mut chain = Chain::new(&site.brokers, &site.prefix)?;
    chain.set_time("2026-01-30T10:14:59.999Z".to_owned());
    chain.sell(&["shop-1".to_owned(), "shop-2".to_owned()], 0)?;
    let stats = "/api/shops/shop-1/stats";
    wait_for(&mut office, stats, |stats| stats["total_payments"] == 1).await;
    // A payment that fails first and then succeeds, a quarter of an hour later; one that is written twice; one that the
    // till takes back.
    let copied = payment(22, "p-b", "3.10", "SUCCESS", "2026-01-30T10:31:00Z");
    chain.write(&[
        payment(20, "p-a", "7.00", "FAILED", "2026-01-30T10:20:00Z"),
        payment(21, "p-a", "7.00", "SUCCESS", "2026-01-30T10:35:00Z"),
        copied.clone(),
        copied,
        payment(23, "p-c", "1.00", "SUCCESS", "2026-01-30T11:00:00Z"),
        payment(24, "p-c", "1.00", "FAILED", "2026-01-30T11:00:00Z"),
    ])?;
    let found = wait_for(&mut office, stats, |stats| stats["total_payments"] == 4).await;
    assert_eq!(found["success_payments"], 3, "{found}");
    assert_eq!(found["failed_payments"], 1, "{found}");
    assert_eq!(found["total_orders"], 1, "{found}");
    assert_eq!(found["payment_success_rate"], 75.0, "{found}");
    // 12.50 + 7.00 + 3.10.
    assert_eq!(
        (&found["total_revenue"], &found["currency"]),
        (&json!(22.60), &json!("EUR"))
    );
    assert_eq!(found["revenue"], json!([{"amount": 22.60, "currency": "EUR"}]));
    ensure_equal(Postgres::shared().await, &site.postgres).await?;
    // From 10:15 to 10:45: without the first payment, and without the one that failed.
    let part = format!("{stats}?since=2026-01-30T10:15:00Z&until=2026-01-30T10:44:00Z");
    let part = office.get_json(&part).await?;
    assert_eq!(part["total_revenue"], json!(10.10), "{part}");
    assert_eq!(part["until"], "2026-01-30T10:45:00Z");
    let hours = part["orders_per_hour"].as_array().context("hours")?;
    assert_eq!(hours.len(), 1, "{part}");
    assert_eq!(hours[0]["hour"], "2026-01-30T10:00:00Z");
    assert_eq!(hours[0]["quarters"]["success_payments"], json!([0, 0, 2, 0]));
    for (path, status) in [
        ("/api/shops/nowhere/stats", 404),
        ("/api/shops/shop-1/stats?since=yesterday", 400),
        (
            "/api/shops/shop-1/stats?since=2026-01-30T10:15:00Z&until=2026-01-30T10:00:00Z",
            400,
        ),
        ("/api/comparison?store=nowhere", 404),
        ("/api/comparison?by=month", 400),
        ("/api/comparison?time_zone=Mars/Olympus", 400),
    ] {
        let (answered, problem) = office.get(path).await?;
        assert_eq!(answered, status, "{path}: {problem}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn shops_are_compared_by_the_days_of_any_time_zone_with_the_period_before() -> Result<()> {
    let site = Site::new().await?;
    site.create_topics(Kafka::shared().await).await?;
    site.write_keys(["shop-1", "shop-2"])?;
    let mut office = site.start("one")?;
    let mut chain = Chain::new(&site.brokers, &site.prefix)?;
    let both = ["shop-1", "shop-2"].map(str::to_owned);
    // 12.50, 12.53, 12.56 and 12.59. The second is on 21 January in Paris, the third only in Kolkata.
    for (round, time, shops) in [
        (0, "2026-01-14T12:00:00Z", &both[..]),
        (1, "2026-01-20T23:30:00Z", &both[..]),
        (2, "2026-01-21T18:30:00Z", &both[..1]),
        (3, "2026-01-21T22:59:59Z", &both[..1]),
    ] {
        chain.set_time(time.to_owned());
        chain.sell(shops, round)?;
    }
    let days = |time_zone: &str| {
        format!("/api/comparison?by=day&since=2026-01-21&until=2026-01-22&time_zone={time_zone}&store=shop-1")
    };
    let paris = wait_for(&mut office, &days("Europe/Paris"), |found| {
        found["total"]["total"]["now"]["orders"] == 3
    })
    .await;
    assert_eq!(
        paris["shops"][0]["total"]["now"]["revenue"],
        json!([{"amount": 37.68, "currency": "EUR"}])
    );
    assert_eq!(paris["shops"][0]["total"]["before"]["orders"], 0);
    assert_eq!(
        (&paris["starts"], &paris["is_partial"]),
        (&json!(["2026-01-21"]), &json!(false))
    );
    let kolkata = office.get_json(&days("Asia/Kolkata")).await?;
    assert_eq!(kolkata["shops"][0]["total"]["now"]["orders"], 1, "{kolkata}");
    let weeks = "/api/comparison?by=week&since=2026-01-19&until=2026-01-26&time_zone=Europe/Paris";
    let weeks = office.get_json(weeks).await?;
    let row = |at: usize| {
        let total = &weeks["shops"][at]["total"];
        json!([
            weeks["shops"][at]["store"],
            total["now"]["orders"],
            total["before"]["orders"]
        ])
    };
    assert_eq!(
        [row(0), row(1)],
        [json!(["shop-1", 3, 1]), json!(["shop-2", 1, 1])]
    );
    let total = &weeks["total"]["total"];
    assert_eq!(
        total["now"]["revenue"],
        json!([{"amount": 50.21, "currency": "EUR"}])
    );
    assert_eq!(
        total["before"]["revenue"],
        json!([{"amount": 25.00, "currency": "EUR"}])
    );
    assert_eq!(weeks["before"], "2026-01-12");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_counts_the_sales_that_are_there() -> Result<()> {
    let site = Site::new().await?;
    site.create_topics(Kafka::shared().await).await?;
    site.write_keys(["shop-1"])?;
    let mut office = site.start("one")?;
    let mut chain = Chain::new(&site.brokers, &site.prefix)?;
    for round in 0..20 {
        chain.set_time(format!("2026-01-30T10:{:02}:00Z", 2 * round));
        chain.sell(&["shop-1".to_owned()], round)?;
    }
    let stats = "/api/shops/shop-1/stats";
    let before = wait_for(&mut office, stats, |stats| stats["total_payments"] == 20).await;
    assert!(office.terminate().await?.success());
    // The tables as the version before had them.
    let postgres = Postgres::shared().await;
    let database = site.postgres.rsplit('/').next().unwrap_or_default();
    let undo = "DROP TABLE figure, retention; DROP INDEX sale_by_shop_and_kind; DELETE FROM _sqlx_migrations WHERE version = 4";
    postgres.query(database, undo).await?;
    let mut office = site.start("one")?;
    let after = wait_for(&mut office, stats, |stats| stats["total_payments"] == 20).await;
    assert_eq!(after, before);
    ensure_equal(postgres, &site.postgres).await
}
