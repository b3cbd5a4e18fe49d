//! A later state of an order, payment or delivery changes the fields that it names, and no others.

use anyhow::{Context, Result, ensure};
use comptoir_harness::{Gateway, GatewayConfig, Mosquitto, within};
use serde_json::{Value, json};

use crate::shop::{GATEWAY, SOON, Shop};

async fn post(gateway: &Gateway, kind: &str, body: &Value) -> Result<Value> {
    let (status, _, answer) = gateway.post_json(&format!("/api/{kind}"), body).await?;
    ensure!(status == 201, "{kind} {body}: {status} {answer}");
    Ok(answer)
}

/// The fields of an item without those that the gateway adds, and without its time.
fn content(item: &Value) -> Result<Value> {
    let mut item = item.as_object().context("an object")?.clone();
    for field in comptoir_gateway::http::LOCATION_FIELDS {
        item.remove(field);
    }
    item.remove("timestamp");
    Ok(item.into())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_keeps_the_fields_that_it_does_not_name() -> Result<()> {
    let shop = Shop::open().await?;
    let gateway = &shop.gateway;
    for (kind, first, id, change) in [
        (
            "orders",
            json!({"customer_name": "Zoé", "lines": [{"product": "Tarte", "quantity": 2, "unit_price": 4.5}]}),
            "order_id",
            json!({"status": "Completed"}),
        ),
        (
            "payments",
            json!({"status": "FAILED"}),
            "payment_id",
            json!({"status": "SUCCESS"}),
        ),
        (
            "deliveries",
            json!({}),
            "delivery_id",
            json!({"status": "Delivered"}),
        ),
    ] {
        let before = post(gateway, kind, &first).await?;
        let mut change = change;
        change[id] = before[id].clone();
        let after = post(gateway, kind, &change).await?;
        let mut expected = content(&before)?;
        expected["status"] = change["status"].clone();
        ensure!(content(&after)? == expected, "{kind}: {after}, not {expected}");
        // An item from GET may be posted back.
        let page = gateway.get_json(&format!("/api/{kind}")).await?;
        let mut item = page["items"][0].clone();
        ensure!(item["row"].is_u64() && content(&item)? == expected, "{page}");
        item["status"] = before["status"].clone();
        let again = post(gateway, kind, &item).await?;
        ensure!(content(&again)? == content(&before)?, "{kind}: {again}");
    }
    // Every event of the delivery has the key of the same order.
    shop.drained(9, SOON).await?;
    let records = shop.records().await?;
    let deliveries = shop.topic("deliveries");
    let keys: Vec<_> = records
        .iter()
        .filter(|of| of.topic == deliveries)
        .map(|of| of.key_text())
        .collect();
    ensure!(
        keys.len() == 3 && keys[0] == keys[1] && keys[0] == keys[2],
        "{keys:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn new_lines_change_the_amount_and_payments_and_deliveries_inherit_from_the_order() -> Result<()> {
    let shop = Shop::open().await?;
    let gateway = &shop.gateway;
    let order = json!({"order_id": "o-1", "address": "3 rue du Four", "lines": [{"product": "Pain", "unit_price": 1.1}]});
    post(gateway, "orders", &order).await?;
    let change = json!({"order_id": "o-1", "lines": [{"product": "Lait", "quantity": 3, "unit_price": 2}]});
    let order = post(gateway, "orders", &change).await?;
    ensure!(order["amount"] == 6.0 && order["product"] == "Lait", "{order}");
    let payment = post(gateway, "payments", &json!({"order_id": "o-1"})).await?;
    ensure!(payment["amount"] == 6.0, "{payment}");
    let delivery = post(gateway, "deliveries", &json!({"order_id": "o-1"})).await?;
    ensure!(delivery["address"] == "3 rue du Four", "{delivery}");
    // The delivery was assigned to the wrong order by mistake.
    let moved = json!({"delivery_id": delivery["delivery_id"], "order_id": "o-2"});
    post(gateway, "deliveries", &moved).await?;
    let life = gateway.get_json("/api/orders/o-1").await?;
    ensure!(life["deliveries"] == json!([]), "{life}");
    let life = gateway.get_json("/api/orders/o-2").await?;
    ensure!(life["deliveries"][0]["address"] == "3 rue du Four", "{life}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_of_another_gateway_can_be_changed_at_the_counter() -> Result<()> {
    let shop = Shop::open_reading_all().await?;
    let mosquitto = Mosquitto::start().await?;
    let config = GatewayConfig::new("lyon-2", &mosquitto.url()).kafka(&shop.brokers, &shop.prefix);
    let mut lyon = Gateway::spawn(GATEWAY, config)?;
    lyon.wait_ready().await?;
    let order = post(
        &lyon,
        "orders",
        &json!({"order_id": "o-lyon", "customer_name": "Zoé"}),
    )
    .await?;
    let seen = within("the other gateway's order", SOON, async || {
        let page = shop.gateway.get_json("/api/orders?store=lyon-2").await?;
        ensure!(page["items"][0]["order_id"] == "o-lyon", "{page}");
        Ok(page["items"][0].clone())
    })
    .await?;
    let mut change = seen.clone();
    change["status"] = json!("Completed");
    let changed = post(&shop.gateway, "orders", &change).await?;
    for field in ["customer_name", "product", "lines", "amount"] {
        ensure!(changed[field] == order[field], "{field}: {changed}");
    }
    ensure!(
        changed["store"] == "paris-1" && changed["device"] == "counter",
        "{changed}"
    );
    // But not with the name of a store that has no such order.
    change["store"] = json!("nice-3");
    let (status, _, problem) = shop.gateway.post_json("/api/orders", &change).await?;
    ensure!(status == 422 && problem["field"] == "store", "{status} {problem}");
    Ok(())
}
