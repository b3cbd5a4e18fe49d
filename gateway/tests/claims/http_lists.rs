//! The lists of the API, page by page.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::shop::Shop;

async fn post(shop: &Shop, ids: impl Iterator<Item = u32>) -> Result<()> {
    for id in ids {
        let order = json!({"order_id": format!("o-{id}"), "status": "Completed"});
        let (status, _, answer) = shop.gateway.post_json("/api/orders", &order).await?;
        ensure!(status == 201, "{answer}");
    }
    Ok(())
}

/// The ids on a page, and the cursor of the next page.
async fn page(shop: &Shop, query: &str) -> Result<(Vec<String>, Option<String>)> {
    let page = shop.gateway.get_json(&format!("/api/orders?{query}")).await?;
    let items = page["items"].as_array().context("items")?;
    let id = |order: &Value| order["order_id"].as_str().map(str::to_owned);
    let ids = items.iter().map(id).collect::<Option<_>>().context("ids")?;
    Ok((ids, page["next_cursor"].as_str().map(str::to_owned)))
}

fn ids(newest: u32, oldest: u32) -> Vec<String> {
    (oldest..=newest).rev().map(|id| format!("o-{id}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_last_page_has_no_next_cursor() -> Result<()> {
    let mut shop = Shop::open().await?;
    post(&shop, 1..=50).await?;
    // The first query is answered from memory, the second from the file, the third by status.
    for query in ["limit=50", "limit=500", "limit=50&status=Completed"] {
        ensure!(page(&shop, query).await? == (ids(50, 1), None), "{query}");
    }
    let (first, cursor) = page(&shop, "limit=25").await?;
    let cursor = cursor.context("no cursor, although half of the orders are left")?;
    ensure!(first == ids(50, 26), "{first:?}");
    let second = page(&shop, &format!("limit=25&cursor={cursor}")).await?;
    ensure!(second == (ids(25, 1), None), "{second:?}");
    post(&shop, 51..=51).await?;
    ensure!(shop.gateway.terminate().await?.success());
    shop.gateway.start_again()?;
    shop.gateway.wait_ready().await?;
    for _ in 0..2 {
        let (first, cursor) = page(&shop, "limit=50").await?;
        let cursor = cursor.context("no cursor, although one order is left")?;
        ensure!(first == ids(51, 2), "{first:?}");
        let second = page(&shop, &format!("limit=50&cursor={cursor}")).await?;
        ensure!(second == (ids(1, 1), None), "{second:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_pages_through_a_list_sees_each_row_once_while_new_rows_arrive() -> Result<()> {
    let shop = Shop::open().await?;
    post(&shop, 1..=60).await?;
    let mut seen = Vec::new();
    let (mut query, mut next) = ("limit=7".to_owned(), 61);
    loop {
        let (ids, cursor) = page(&shop, &query).await?;
        seen.extend(ids);
        let Some(cursor) = cursor else { break };
        query = format!("limit=7&cursor={cursor}");
        // New orders, and a later state of an order that the client has not reached yet.
        post(&shop, (next..next + 2).chain([3])).await?;
        next += 2;
    }
    ensure!(seen == ids(60, 1), "{seen:?}");
    ensure!(page(&shop, "limit=500").await? == (ids(next - 1, 1), None));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn head_returns_the_headers_of_get_without_a_body() -> Result<()> {
    let shop = Shop::open().await?;
    post(&shop, 1..=1).await?;
    let client = reqwest::Client::new();
    for path in ["/", "/sw.js", "/api/orders", "/api/stats", "/healthz", "/nothing"] {
        let url = shop.gateway.http_url()? + path;
        let (get, head) = (client.get(&url).send().await?, client.head(&url).send().await?);
        ensure!(
            get.status() == head.status(),
            "{path}: {} {}",
            get.status(),
            head.status()
        );
        for name in ["content-type", "content-length", "etag"] {
            let (get, head) = (get.headers().get(name), head.headers().get(name));
            ensure!(get == head, "{path}: {name}: {get:?} {head:?}");
        }
        ensure!(head.bytes().await?.is_empty(), "{path}");
    }
    Ok(())
}
