//! The sales of all shops can be searched page by page, and exported in constant memory.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use comptoir_harness::chain::Chain;
use comptoir_harness::{Kafka, Postgres, eventually, usage};

use crate::office::{DEADLINE, Site};

#[tokio::test(flavor = "multi_thread")]
async fn every_sale_is_on_one_page_and_in_the_file() -> Result<()> {
    let site = Site::new().await?;
    site.create_topics(Kafka::shared().await).await?;
    site.write_keys(["shop-1", "shop-2"])?;
    let mut office = site.start("one")?;
    let mut chain = Chain::new(&site.brokers, &site.prefix)?;
    let shops = ["shop-1", "shop-2"].map(str::to_owned);
    for round in 0..30 {
        chain.sell(&shops, round)?;
    }
    eventually("all sales", DEADLINE, async || {
        let overview = office.get_json("/api/shops?since=1970-01-01T00:00:00Z").await?;
        let shops = overview["shops"].as_array().context("shops")?;
        let count = |shop: &serde_json::Value| shop["today"]["payments"].as_i64();
        ensure!(
            shops.len() == 2 && shops.iter().all(|shop| count(shop) == Some(30)),
            "{overview}"
        );
        Ok(())
    })
    .await;
    // 30 orders and 30 payments of each shop, all of the same time.
    let (mut seen, mut path) = (BTreeSet::new(), "/api/sales?limit=7".to_owned());
    loop {
        let page = office.get_json(&path).await?;
        for item in page["items"].as_array().context("items")? {
            let key = ["store", "kind", "id"].map(|name| item[name].as_str().unwrap_or_default().to_owned());
            assert!(seen.insert(key), "twice: {item}");
        }
        match page["next"].as_str() {
            Some(next) => path = format!("/api/sales?limit=7&after={next}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 120);
    for (filter, count) in [
        ("store=shop-1", 60),
        ("kind=payment", 60),
        ("store=shop-2&kind=order", 30),
        // o-2 and o-20 to o-29, each with its payment, in two shops.
        ("search=o-2", 44),
        ("search=p-2", 22),
        ("search=%25", 0),
        ("until=2026-01-30T10:00:00Z", 0),
        ("since=2026-01-30T10:00:00Z", 120),
    ] {
        let page = office.get_json(&format!("/api/sales?limit=500&{filter}")).await?;
        assert_eq!(page["items"].as_array().map(Vec::len), Some(count), "{filter}");
        let (_, file) = office.get(&format!("/api/sales.csv?{filter}")).await?;
        assert_eq!(file.lines().count(), count + 1, "{filter}: {file}");
    }
    let (_, file) = office.get("/api/sales.csv?store=shop-1&search=p-0").await?;
    let row = "shop-1,payment,till-1,p-0,o-0,SUCCESS,2026-01-30T10:00:00Z,12.50,EUR,0,Cash,,,,";
    assert_eq!(file.lines().nth(1), Some(row));
    let (status, problem) = office.get("/api/sales?limit=0").await?;
    assert!(
        status == 400 && problem.contains(r#""field":"limit""#),
        "{problem}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_many_sales_needs_no_more_memory_than_one_of_few() -> Result<()> {
    const SALES: usize = 200_000;
    let site = Site::new().await?;
    site.write_keys(["shop-1"])?;
    let mut office = site.start("one")?;
    let database = site.postgres.rsplit('/').next().unwrap_or_default();
    let insert = format!(
        "INSERT INTO sale (store, kind, device, id, creator, creator_epoch, creator_seq, order_id, status, time, amount, currency, \
         corrections, value) SELECT 'shop-1', 'payment', 'till-1', 'p-' || n, 'till-1', 7, n, 'o-' || n, 'SUCCESS', now(), n, \
         'EUR', 0, '{{\"method\":\"Cash\"}}' FROM generate_series(1, {SALES}) AS n"
    );
    eventually("the tables", DEADLINE, async || {
        Postgres::shared().await.query(database, &insert).await?;
        Ok(())
    })
    .await;
    office.get("/api/sales.csv?search=p-1").await?;
    let before = usage(office.pid())?.peak_rss_bytes;
    let (status, file) = office.get("/api/sales.csv").await?;
    assert_eq!((status, file.lines().count()), (200, SALES + 1));
    // Somebody who does not read a file has no second one, until the first is given up.
    let unread = reqwest::get(office.url("/api/sales.csv").await?).await?;
    let (status, problem) = office.get("/api/sales.csv").await?;
    assert_eq!((unread.status().as_u16(), status), (200, 429), "{problem}");
    drop(unread);
    eventually("another file", DEADLINE, async || {
        let (status, _) = office.get("/api/sales.csv?search=p-1").await?;
        ensure!(status == 200, "{status}");
        Ok(())
    })
    .await;
    let grown = usage(office.pid())?.peak_rss_bytes.saturating_sub(before);
    // The file itself has 13 MB.
    assert!(
        file.len() > 12 << 20 && grown < 6 << 20,
        "{grown} bytes more for {}",
        file.len()
    );
    Ok(())
}
