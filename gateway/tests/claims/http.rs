//! HTTP, as `docs/interfaces/http.md` describes it.

use std::collections::HashSet;
use std::io::Read as _;

use anyhow::{Context, Result, ensure};
use comptoir_harness::{Record, within};
use serde_json::{Value, json};

use crate::shop::{SOON, STORE, Shop};

fn items(page: &Value) -> Result<&Vec<Value>> {
    page["items"].as_array().context("items")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_posted_order_is_stored_unchanged_and_confirmed_by_kafka() -> Result<()> {
    let shop = Shop::open().await?;
    let record = post_and_confirm(&shop).await?;
    // The gateway reads no topic, but knows the partition and offset of its own event.
    let status = shop.gateway.get_json("/api/gateway").await?;
    let partitions =
        json!([{"topic": record.topic, "partition": record.partition, "position": record.offset + 1}]);
    ensure!(status["partitions"] == partitions, "{}", status["partitions"]);
    ensure!(
        status["follow"] == "own" && status["consumer_group"].is_null(),
        "{status}"
    );
    ensure!(status["kafka"]["state"] == "up", "{status}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_the_places_of_the_newest_events_are_found_again() -> Result<()> {
    let mut shop = Shop::open().await?;
    let record = post_and_confirm(&shop).await?;
    // The projection has not yet stored the partition and the offset.
    shop.gateway.kill9()?;
    shop.gateway.start_again()?;
    shop.gateway.wait_ready().await?;
    within("the place to be known again", SOON, async || {
        let page = shop.gateway.get_json("/api/orders").await?;
        let order = items(&page)?.first().context("no order")?;
        ensure!(
            order["partition"] == record.partition && order["offset"] == record.offset,
            "{order}"
        );
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_reads_all_events_confirms_its_own_by_reading_them() -> Result<()> {
    let shop = Shop::open_reading_all().await?;
    let record = post_and_confirm(&shop).await?;
    // The control record at the end of the transaction does not count as lag.
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

/// Posts an order, waits until it is confirmed, and returns its record.
async fn post_and_confirm(shop: &Shop) -> Result<Record> {
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
    let record = records.into_iter().next().context("no record")?;
    ensure!(confirmed["partition"] == record.partition && confirmed["offset"] == record.offset);
    ensure!(record.ce_id() == Some("paris-1/counter/0/1"));
    ensure!(
        record.header("ce_specversion") == Some("1.0")
            && record.header("content-type") == Some("application/json")
    );
    ensure!(record.key_text() == Some("o-mine"));
    Ok(record)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_counts_of_a_device_agree_with_the_pending_count_of_the_journal() -> Result<()> {
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
async fn a_page_is_the_same_in_each_encoding_and_without_one() -> Result<()> {
    let shop = Shop::open().await?;
    let document = shop.gateway.get("/").await?.1;
    let script = document
        .split('"')
        .find(|text| text.ends_with(".js"))
        .context("a script")?;
    for path in ["/", script.trim_start_matches('.')] {
        let url = format!("{}{path}", shop.gateway.http_url()?);
        let (mut texts, mut tags) = (HashSet::new(), HashSet::new());
        for accepted in ["identity", "gzip", "gzip;q=0", "br"] {
            let answer = reqwest::Client::new()
                .get(&url)
                .header("accept-encoding", accepted)
                .send()
                .await?;
            let head = answer.headers().clone();
            let encoding = head
                .get("content-encoding")
                .map(|value| value.to_str())
                .transpose()?;
            ensure!(
                answer.status() == 200 && head["vary"] == "accept-encoding",
                "{path} {accepted}: {head:?}"
            );
            ensure!(
                head["content-type"] != "application/octet-stream",
                "{path}: {head:?}"
            );
            tags.insert((encoding.map(str::to_owned), head["etag"].clone()));
            let bytes = answer.bytes().await?;
            match encoding {
                None => {
                    texts.insert(bytes.to_vec());
                }
                Some("gzip") => {
                    let mut text = Vec::new();
                    flate2::read::GzDecoder::new(&*bytes).read_to_end(&mut text)?;
                    texts.insert(text);
                }
                Some("br") => {
                    ensure!(accepted == "br" && bytes.len() < texts.iter().next().context("a text")?.len())
                }
                Some(other) => anyhow::bail!("{other}"),
            }
        }
        ensure!(texts.len() == 1, "{path} has {} contents", texts.len());
        ensure!(tags.len() == 3, "each encoding needs a tag of its own: {tags:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_post_invents_a_plausible_sale_and_the_totals_add_up() -> Result<()> {
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
    // 270 are expected. One run in a million is outside of this range; eight in ten would be 240, and all would be 300.
    ensure!((245..=295).contains(&succeeded), "{succeeded} of 300");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_status_changes_an_order_and_creates_no_second_one() -> Result<()> {
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
        ensure!(seen == expected, "not newest first, or not each once: {seen:?}");
        let pending = shop.gateway.get_json("/api/orders?status=Pending").await?;
        ensure!(items(&pending)?.is_empty(), "{pending}");
        Ok(())
    };
    check(&shop).await?;
    shop.gateway.kill9()?;
    shop.gateway.start_again()?;
    shop.gateway.wait_ready().await?;
    within("the same lists after a kill", SOON, async || check(&shop).await).await?;
    within("each order to have its offset again", SOON, async || {
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
async fn invalid_input_is_refused_with_the_name_of_its_field() -> Result<()> {
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
async fn the_health_and_metrics_endpoints_answer() -> Result<()> {
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
