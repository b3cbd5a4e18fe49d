//! A later state of an order, a payment or a delivery changes what it says, and nothing else.

use anyhow::{Context, Result, ensure};
use comptoir_harness::{Gateway, GatewayConfig, Mosquitto, within};
use serde_json::{Value, json};

use crate::shop::{GATEWAY, SOON, Shop};

async fn posted(gateway: &Gateway, kind: &str, body: &Value) -> Result<Value> {
    let (status, _, answer) = gateway.post_json(&format!("/api/{kind}"), body).await?;
    ensure!(status == 201, "{kind} {body}: {status} {answer}");
    Ok(answer)
}

/// All but where and when it was.
fn said(item: &Value) -> Result<Value> {
    let mut item = item.as_object().context("an object")?.clone();
    for field in comptoir_gateway::dashboard::WHEREABOUTS {
        item.remove(field);
    }
    item.remove("timestamp");
    Ok(item.into())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_keeps_what_it_does_not_say() -> Result<()> {
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
        let before = posted(gateway, kind, &first).await?;
        let mut change = change;
        change[id] = before[id].clone();
        let after = posted(gateway, kind, &change).await?;
        let mut expected = said(&before)?;
        expected["status"] = change["status"].clone();
        ensure!(said(&after)? == expected, "{kind}: {after}, not {expected}");
        // What GET gives may be given back.
        let page = gateway.get_json(&format!("/api/{kind}")).await?;
        let mut item = page["items"][0].clone();
        ensure!(item["row"].is_u64() && said(&item)? == expected, "{page}");
        item["status"] = before["status"].clone();
        let again = posted(gateway, kind, &item).await?;
        ensure!(said(&again)? == said(&before)?, "{kind}: {again}");
    }
    // Both events of the delivery belong to one order.
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
async fn other_lines_come_to_another_amount_and_an_order_tells_its_payment_and_delivery() -> Result<()> {
    let shop = Shop::open().await?;
    let gateway = &shop.gateway;
    let order = json!({"order_id": "o-1", "address": "3 rue du Four", "lines": [{"product": "Pain", "unit_price": 1.1}]});
    posted(gateway, "orders", &order).await?;
    let change = json!({"order_id": "o-1", "lines": [{"product": "Lait", "quantity": 3, "unit_price": 2}]});
    let order = posted(gateway, "orders", &change).await?;
    ensure!(order["amount"] == 6.0 && order["product"] == "Lait", "{order}");
    let payment = posted(gateway, "payments", &json!({"order_id": "o-1"})).await?;
    ensure!(payment["amount"] == 6.0, "{payment}");
    let delivery = posted(gateway, "deliveries", &json!({"order_id": "o-1"})).await?;
    ensure!(delivery["address"] == "3 rue du Four", "{delivery}");
    // It was another's by mistake.
    let moved = json!({"delivery_id": delivery["delivery_id"], "order_id": "o-2"});
    posted(gateway, "deliveries", &moved).await?;
    let life = gateway.get_json("/api/orders/o-1").await?;
    ensure!(life["deliveries"] == json!([]), "{life}");
    let life = gateway.get_json("/api/orders/o-2").await?;
    ensure!(life["deliveries"][0]["address"] == "3 rue du Four", "{life}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_of_a_till_or_of_another_gateway_goes_on_at_the_counter() -> Result<()> {
    let shop = Shop::open().await?;
    let mosquitto = Mosquitto::start().await?;
    let config = GatewayConfig::new("lyon-2", &mosquitto.url()).kafka(&shop.brokers, &shop.prefix);
    let mut lyon = Gateway::spawn(GATEWAY, config)?;
    lyon.wait_ready().await?;
    let order = posted(
        &lyon,
        "orders",
        &json!({"order_id": "o-lyon", "customer_name": "Zoé"}),
    )
    .await?;
    let seen = within("the other gateway's order", SOON, async || {
        let page = shop.gateway.get_json("/api/orders").await?;
        ensure!(page["items"][0]["order_id"] == "o-lyon", "{page}");
        Ok(page["items"][0].clone())
    })
    .await?;
    let mut change = seen.clone();
    change["status"] = json!("Completed");
    let changed = posted(&shop.gateway, "orders", &change).await?;
    for field in ["customer_name", "product", "lines", "amount"] {
        ensure!(changed[field] == order[field], "{field}: {changed}");
    }
    ensure!(
        changed["store"] == "paris-1" && changed["device"] == "counter",
        "{changed}"
    );
    // But not of a store that it is not known from.
    change["store"] = json!("nice-3");
    let (status, _, problem) = shop.gateway.post_json("/api/orders", &change).await?;
    ensure!(status == 422 && problem["field"] == "store", "{status} {problem}");
    Ok(())
}
