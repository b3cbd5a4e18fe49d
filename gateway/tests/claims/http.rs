//! HTTP, as the contract's section 4 has it.

use anyhow::{Context, Result, ensure};
use comptoir_harness::within;
use serde_json::{Value, json};

use crate::shop::{SOON, STORE, Shop};

fn items(page: &Value) -> Result<&Vec<Value>> {
    page["items"].as_array().context("items")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_posted_is_stored_kept_as_given_and_confirmed_by_kafka() -> Result<()> {
    let shop = Shop::open().await?;
    let given = json!({"order_id": "o-mine", "customer_name": "Zoé", "product": "Tarte", "amount": 12.5,
        "status": "Processing"});
    let (status, _, order) = shop.gateway.post_json("/api/orders", &given).await?;
    ensure!(status == 201, "{order}");
    for (field, value) in given.as_object().context("object")? {
        ensure!(order[field] == *value, "{field}: {order}");
    }
    ensure!(
        order["store"] == STORE && order["device"] == "counter" && order["currency"] == "EUR",
        "{order}"
    );
    let confirmed = within("the order to be confirmed", SOON, async || {
        let page = shop.gateway.get_json("/api/orders").await?;
        let order = items(&page)?.first().context("no order")?.clone();
        ensure!(order["partition"].is_i64() && order["offset"].is_i64(), "{order}");
        Ok(order)
    })
    .await?;
    ensure!(
        confirmed["origin"] == "local" && confirmed["confirmed"] == true,
        "{confirmed}"
    );
    let records = shop.records().await?;
    let record = records.first().context("no record")?;
    ensure!(confirmed["partition"] == record.partition && confirmed["offset"] == record.offset);
    ensure!(record.ce_id() == Some("paris-1/counter/0/1"));
    ensure!(
        record.header("ce_specversion") == Some("1.0")
            && record.header("content-type") == Some("application/json")
    );
    ensure!(record.key_text() == Some("o-mine"));
    // The record behind it, its transaction's end, is not something left to read.
    within("all partitions to be read to their ends", SOON, async || {
        let status = shop.gateway.get_json("/api/gateway").await?;
        let partitions = status["partitions"].as_array().context("partitions")?;
        ensure!(
            partitions.len() == 9 && partitions.iter().all(|of| of["lag"] == 0),
            "{status}"
        );
        let read = partitions
            .iter()
            .find(|of| of["topic"] == record.topic.as_str() && of["partition"] == record.partition);
        ensure!(
            read.is_some_and(|of| of["position"] == record.offset + 1),
            "{status}"
        );
        Ok(())
    })
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_longer_pending_is_in_kafka_in_the_devices_counts_too() -> Result<()> {
    let shop = Shop::open().await?;
    for round in 1..=20 {
        let (status, _, order) = shop.gateway.post_json("/api/orders", &json!({})).await?;
        ensure!(status == 201, "{order}");
        within("nothing to be pending", SOON, async || {
            let status = shop.gateway.get_json("/api/gateway").await?;
            ensure!(status["journal"]["pending"] == 0, "{status}");
            let counter = &status["devices"][0];
            Ok((counter["stored"] == round, counter["in_kafka"] == round))
        })
        .await
        .and_then(|same| {
            ensure!(same == (true, true), "round {round}: (stored, in Kafka) {same:?}");
            Ok(())
        })?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_post_invents_believable_sales_and_the_totals_add_up() -> Result<()> {
    let shop = Shop::open().await?;
    let mut revenue = 0.0;
    let mut succeeded = 0;
    for _ in 0..30 {
        let (status, _, order) = shop.gateway.post_json("/api/orders", &json!({})).await?;
        ensure!(
            status == 201 && order["lines"].as_array().is_some_and(|lines| !lines.is_empty()),
            "{order}"
        );
        let (status, _, payment) = shop
            .gateway
            .post_json(
                "/api/payments",
                &json!({"order_id": order["order_id"], "amount": order["amount"]}),
            )
            .await?;
        ensure!(status == 201 && payment["amount"] == order["amount"], "{payment}");
        if payment["status"] == "SUCCESS" {
            succeeded += 1;
            revenue += payment["amount"].as_f64().context("amount")?;
        }
    }
    let (status, _, delivery) = shop.gateway.post_json("/api/deliveries", &json!({})).await?;
    ensure!(status == 201 && delivery["status"] == "Pending", "{delivery}");
    let stats = shop.gateway.get_json("/api/stats").await?;
    ensure!(
        stats["total_orders"] == 30 && stats["total_payments"] == 30 && stats["total_deliveries"] == 1,
        "{stats}"
    );
    ensure!(
        stats["success_payments"] == succeeded && stats["failed_payments"] == 30 - succeeded,
        "{stats}"
    );
    let total = stats["total_revenue"].as_f64().context("revenue")?;
    ensure!((total - revenue).abs() < 0.005, "{total} {revenue}");
    let hours = stats["orders_per_hour"].as_array().context("hours")?;
    let in_hours: u64 = hours.iter().filter_map(|hour| hour["orders"].as_u64()).sum();
    ensure!(in_hours == 30, "{stats}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_without_a_status_succeeds_nine_times_in_ten() -> Result<()> {
    let shop = Shop::open().await?;
    for _ in 0..300 {
        let (status, _, payment) = shop.gateway.post_json("/api/payments", &json!({})).await?;
        ensure!(status == 201, "{payment}");
    }
    let stats = shop.gateway.get_json("/api/stats").await?;
    let succeeded = stats["success_payments"].as_u64().context("a number")?;
    // 270 are expected; outside of this once in a million runs. Eight in ten would be 240, and all would be 300.
    ensure!((245..=295).contains(&succeeded), "{succeeded} of 300");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_status_changes_an_order_and_makes_no_second_one() -> Result<()> {
    let mut shop = Shop::open().await?;
    for n in 0..7 {
        for status in ["Pending", "Completed"] {
            let order = json!({"order_id": format!("o-{n}"), "status": status});
            shop.gateway.post_json("/api/orders", &order).await?;
        }
    }
    shop.drained(14, SOON).await?;
    let check = async |shop: &Shop| -> Result<()> {
        let stats = shop.gateway.get_json("/api/stats").await?;
        ensure!(stats["total_orders"] == 7, "{stats}");
        let mut seen = Vec::new();
        let mut path = "/api/orders?limit=3&status=Completed".to_owned();
        loop {
            let page = shop.gateway.get_json(&path).await?;
            seen.extend(items(&page)?.iter().map(|order| order["order_id"].clone()));
            match page["next_cursor"].as_str() {
                Some(cursor) => path = format!("/api/orders?limit=3&status=Completed&cursor={cursor}"),
                None => break,
            }
        }
        let expected: Vec<Value> = (0..7).rev().map(|n| json!(format!("o-{n}"))).collect();
        ensure!(seen == expected, "newest first, each once: {seen:?}");
        let pending = shop.gateway.get_json("/api/orders?status=Pending").await?;
        ensure!(items(&pending)?.is_empty(), "{pending}");
        Ok(())
    };
    check(&shop).await?;
    shop.gateway.kill9()?;
    shop.gateway.start_again()?;
    shop.gateway.wait_ready().await?;
    within("the same after a kill", SOON, async || check(&shop).await).await?;
    within("places that are remembered", SOON, async || {
        let page = shop.gateway.get_json("/api/orders").await?;
        ensure!(
            items(&page)?.iter().all(|order| order["offset"].is_i64()),
            "{page}"
        );
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_refused_by_the_name_of_its_field() -> Result<()> {
    let shop = Shop::open().await?;
    for (path, body, field) in [
        ("/api/orders", json!({"amount": -1}), "amount"),
        ("/api/orders", json!({"amount": 1.005}), "amount"),
        ("/api/orders", json!({"amuont": 1}), "amuont"),
        (
            "/api/orders",
            json!({"lines": [{"product": "a", "unit_price": "x"}]}),
            "lines[0].unit_price",
        ),
        (
            "/api/orders",
            json!({"lines": [{"product": "a", "unit_price": 1, "qty": 3}]}),
            "lines[0].qty",
        ),
        (
            "/api/orders",
            json!({"lines": [{"product": "a", "unit_price": 1, "quantity": 0}]}),
            "lines[0].quantity",
        ),
        ("/api/orders", json!({"customer_name": ""}), "customer_name"),
        ("/api/orders", json!({"status": "Paid"}), "status"),
        ("/api/orders", json!({"currency": "EURO"}), "currency"),
        ("/api/orders", json!([]), "body"),
        ("/api/payments", json!({"method": "Gold"}), "method"),
        ("/api/payments", json!({"store": "lyon"}), "store"),
        ("/api/payments", json!({"address": "3 rue du Four"}), "address"),
        (
            "/api/deliveries",
            json!({"estimated_date": "tomorrow"}),
            "estimated_date",
        ),
    ] {
        let (status, headers, problem) = shop.gateway.post_json(path, &body).await?;
        ensure!(
            status == 422 && problem["field"] == field,
            "{path} {body}: {status} {problem}"
        );
        ensure!(headers["content-type"] == "application/problem+json");
        ensure!(
            problem["type"] == "urn:comptoir:problem:invalid-field",
            "{problem}"
        );
        ensure!(problem["stored"] == "no", "{problem}");
    }
    for (path, expected, field) in [
        ("/api/orders?limit=0", 422, "limit"),
        ("/api/orders?limit=501", 422, "limit"),
        ("/api/orders?limit=1&limit=2", 422, "limit"),
        ("/api/orders?cursor=x", 422, "cursor"),
        ("/api/orders/%FF", 400, "order_id"),
        ("/api/payments?status=Pending", 422, "status"),
        ("/api/dead-letters?limit=abc", 422, "limit"),
        ("/api/dead-letters?before=-1", 422, "before"),
        ("/api/dead-letters/one", 422, "offset"),
        ("/api/dead-letters/%FF", 400, "offset"),
    ] {
        let answer = reqwest::get(shop.gateway.http_url()? + path).await?;
        let (status, headers, text) = (answer.status(), answer.headers().clone(), answer.text().await?);
        ensure!(
            headers["content-type"] == "application/problem+json",
            "{path}: {text}"
        );
        let problem: Value = serde_json::from_str(&text)?;
        ensure!(
            status == expected && problem["field"] == field,
            "{path}: {status} {problem}"
        );
    }
    for (path, expected) in [
        ("/api/nothing", 404),
        ("/nothing", 404),
        ("/%FF", 404),
        ("/sw.js", 405),
        ("/", 405),
    ] {
        let (status, headers, problem) = shop.gateway.post_json(path, &json!({})).await?;
        ensure!(status == expected, "{path}: {status} {problem}");
        ensure!(headers["content-type"] == "application/problem+json", "{path}");
    }
    ensure!(shop.gateway.get("/api/nothing").await?.0 == 404);
    ensure!(shop.gateway.get_json("/api/stats").await?["total_orders"] == 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_metrics_are_there() -> Result<()> {
    let shop = Shop::open().await?;
    shop.gateway.post_json("/api/orders", &json!({})).await?;
    shop.drained(1, SOON).await?;
    ensure!(shop.gateway.get("/healthz").await?.0 == 200);
    ensure!(shop.gateway.get("/readyz").await?.0 == 200);
    let (status, text) = shop.gateway.get("/metrics").await?;
    ensure!(status == 200);
    for line in [
        "comptoir_events_relayed_total 1",
        "comptoir_mqtt_up 1",
        "comptoir_journal_pending 0",
    ] {
        ensure!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
    Ok(())
}
