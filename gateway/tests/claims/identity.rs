//! Stores and tills number their receipts independently: the ids of orders and deliveries are unique within a store, those
//! of payments within a store and device.

use anyhow::{Context, Result, ensure};
use comptoir_harness::{Gateway, MqttProbe, within};
use serde_json::{Value, json};

use crate::shop::{SOON, STORE, without_kafka};

const TILLS: [(&str, &str, u32); 3] = [
    (STORE, "till-1", 5),
    (STORE, "till-2", 90),
    ("lyon-1", "till-1", 30),
];

/// Each till sells the order 1001, takes the payment 1 for it, and announces the delivery 7.
async fn sell(probe: &mut MqttProbe) -> Result<()> {
    for (store, till, amount) in TILLS {
        let order = json!({"order_id": "1001", "product": till, "amount": amount});
        let payment = json!({"payment_id": "1", "order_id": "1001", "amount": amount, "method": "Cash", "status": "SUCCESS"});
        let delivery =
            json!({"delivery_id": "7", "order_id": "1001", "address": store, "estimated_date": "2026-12-01"});
        for (leaf, event) in [("orders", order), ("payments", payment), ("deliveries", delivery)] {
            probe
                .publish(&format!("pos/{store}/{till}/{leaf}"), event.to_string())
                .await?;
        }
    }
    Ok(())
}

async fn stats(gateway: &Gateway) -> Result<[Value; 4]> {
    let mut stats = gateway.get_json("/api/stats").await?;
    Ok([
        "total_orders",
        "total_payments",
        "total_deliveries",
        "total_revenue",
    ]
    .map(|field| stats[field].take()))
}

async fn wait_for_totals(gateway: &Gateway, expected: [Value; 4]) -> Result<()> {
    within("the totals", SOON, async || {
        let stats = stats(gateway).await?;
        ensure!(stats == expected, "{stats:?}, not {expected:?}");
        Ok(())
    })
    .await
}

/// The store and device of each item of a list, newest first.
async fn owners(gateway: &Gateway, kind: &str) -> Result<Vec<String>> {
    let page = gateway.get_json(&format!("/api/{kind}")).await?;
    let items = page["items"].as_array().context("items")?;
    let owner = |item: &Value| {
        format!(
            "{}/{}",
            item["store"].as_str().unwrap_or(""),
            item["device"].as_str().unwrap_or("")
        )
    };
    Ok(items.iter().map(owner).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn tills_and_stores_that_use_the_same_ids_keep_their_own_sales() -> Result<()> {
    let (mut gateway, _mosquitto, mut probe) = without_kafka().await?;
    sell(&mut probe).await?;
    let all = [json!(2), json!(3), json!(2), json!(125.0)];
    wait_for_totals(&gateway, all.clone()).await?;
    let all_owners = ["lyon-1/till-1", "paris-1/till-2", "paris-1/till-1"];
    ensure!(owners(&gateway, "payments").await? == all_owners);
    // The orders of both stores belong to the tills that created them.
    ensure!(owners(&gateway, "orders").await? == ["lyon-1/till-1", "paris-1/till-1"]);
    // The answers are the same from the file, and after a restart.
    for _ in 0..2 {
        let by_status = owners(&gateway, "payments?status=SUCCESS").await?;
        ensure!(by_status == all_owners, "{by_status:?}");
        // Without a store, the order is this gateway's own; with one, it is that store's.
        for (query, of_payments) in [
            ("", vec![5.0, 90.0]),
            ("?store=paris-1", vec![5.0, 90.0]),
            ("?store=lyon-1", vec![30.0]),
        ] {
            let life = gateway.get_json(&format!("/api/orders/1001{query}")).await?;
            let amounts: Vec<f64> = life["payments"]
                .as_array()
                .context("payments")?
                .iter()
                .filter_map(|p| p["amount"].as_f64())
                .collect();
            ensure!(amounts == of_payments, "{query}: {life}");
            ensure!(
                life["deliveries"].as_array().context("deliveries")?.len() == 1,
                "{query}: {life}"
            );
        }
        let (status, _) = gateway.get("/api/orders/1001?store=nice-1").await?;
        ensure!(status == 404, "{status}");
        ensure!(gateway.terminate().await?.success());
        gateway.start_again()?;
        gateway.wait_ready().await?;
        wait_for_totals(&gateway, all.clone()).await?;
    }
    // Redelivered events change nothing.
    sell(&mut probe).await?;
    let failed =
        json!({"payment_id": "1", "order_id": "1001", "amount": 90, "method": "Cash", "status": "FAILED"});
    probe
        .publish("pos/paris-1/till-2/payments", failed.to_string())
        .await?;
    wait_for_totals(&gateway, [json!(2), json!(3), json!(2), json!(35.0)]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_changes_the_payment_of_the_counter_or_of_the_till_that_it_names() -> Result<()> {
    let (gateway, _mosquitto, mut probe) = without_kafka().await?;
    sell(&mut probe).await?;
    wait_for_totals(&gateway, [json!(2), json!(3), json!(2), json!(125.0)]).await?;
    let post = async |kind: &str, body: Value| gateway.post_json(&format!("/api/{kind}"), &body).await;
    // The counter also numbers from 1. The order is the one of this store, not of Lyon.
    let (status, _, payment) = post(
        "payments",
        json!({"payment_id": "1", "order_id": "1001", "status": "SUCCESS"}),
    )
    .await?;
    ensure!(
        status == 201 && payment["device"] == "counter" && payment["amount"] == 5.0,
        "{payment}"
    );
    wait_for_totals(&gateway, [json!(2), json!(4), json!(2), json!(130.0)]).await?;
    let (status, _, payment) = post("payments", json!({"payment_id": "1", "status": "FAILED"})).await?;
    ensure!(
        status == 201 && payment["device"] == "counter" && payment["amount"] == 5.0,
        "{payment}"
    );
    wait_for_totals(&gateway, [json!(2), json!(4), json!(2), json!(125.0)]).await?;
    // A till's payment that is posted back still belongs to the till.
    let (status, _, payment) = post(
        "payments",
        json!({"payment_id": "1", "device": "till-1", "store": STORE, "status": "FAILED"}),
    )
    .await?;
    ensure!(
        status == 201 && payment["device"] == "till-1" && payment["amount"] == 5.0,
        "{payment}"
    );
    ensure!(
        payment["ce_id"]
            .as_str()
            .is_some_and(|id| id.starts_with("paris-1/counter/0/")),
        "{payment}"
    );
    wait_for_totals(&gateway, [json!(2), json!(4), json!(2), json!(120.0)]).await?;
    // Without a device, the request means the payment of the only till with this id.
    let only =
        json!({"payment_id": "only", "order_id": "1001", "amount": 8, "method": "Cash", "status": "FAILED"});
    probe
        .publish("pos/paris-1/till-2/payments", only.to_string())
        .await?;
    wait_for_totals(&gateway, [json!(2), json!(5), json!(2), json!(120.0)]).await?;
    let (status, _, payment) = post("payments", json!({"payment_id": "only", "status": "SUCCESS"})).await?;
    ensure!(status == 201 && payment["device"] == "till-2", "{payment}");
    wait_for_totals(&gateway, [json!(2), json!(5), json!(2), json!(128.0)]).await?;
    for till in ["till-1", "till-2"] {
        let both = json!({"payment_id": "both", "order_id": "1001", "amount": 1, "method": "Cash", "status": "FAILED"});
        probe
            .publish(&format!("pos/paris-1/{till}/payments"), both.to_string())
            .await?;
    }
    wait_for_totals(&gateway, [json!(2), json!(7), json!(2), json!(128.0)]).await?;
    for (kind, body, field) in [
        (
            "payments",
            json!({"payment_id": "both", "status": "SUCCESS"}),
            "device",
        ),
        (
            "payments",
            json!({"payment_id": "1", "device": "till-7", "status": "SUCCESS"}),
            "device",
        ),
        (
            "payments",
            json!({"payment_id": "1", "device": "till-1", "store": "lyon-1", "status": "FAILED"}),
            "store",
        ),
        ("orders", json!({"order_id": "1001", "store": "nice-1"}), "store"),
    ] {
        let (status, _, problem) = post(kind, body.clone()).await?;
        ensure!(status == 422 && problem["field"] == field, "{body}: {problem}");
    }
    wait_for_totals(&gateway, [json!(2), json!(7), json!(2), json!(128.0)]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projection_of_an_older_version_is_rebuilt_if_the_journal_still_has_every_event() -> Result<()> {
    use sqlx::ConnectOptions as _;

    let (mut gateway, _mosquitto, mut probe) = without_kafka().await?;
    sell(&mut probe).await?;
    let right = [json!(2), json!(3), json!(2), json!(125.0)];
    wait_for_totals(&gateway, right.clone()).await?;
    ensure!(gateway.terminate().await?.success());
    // The file as the first schema had it: one row per id for all stores, and wrong totals.
    let file = gateway.journal_path().with_file_name("journal-dashboard.db");
    let mut old = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(&file)
        .connect()
        .await?;
    let totals = json!({"orders": 1, "payments": 1, "success_payments": 1, "deliveries": 1, "revenue": {"EUR": 3000},
        "hours": {"494000": {"orders": 1, "success_payments": 1, "revenue": 3000}}});
    for statement in [
        "DROP INDEX sale_id",
        "DROP INDEX sale_order",
        "DROP INDEX sale_shop",
        "DROP INDEX sale_time",
        "DROP INDEX sale_device",
        "DROP INDEX sale_refund",
        "ALTER TABLE sale DROP COLUMN refund_of",
        "DELETE FROM sale WHERE store = 'paris-1'",
        "ALTER TABLE sale DROP COLUMN store",
        "ALTER TABLE sale DROP COLUMN device",
        "CREATE UNIQUE INDEX sale_id ON sale (kind, id)",
        "CREATE INDEX sale_order ON sale (order_id) WHERE order_id IS NOT NULL",
        "ALTER TABLE progress DROP COLUMN layout",
        "ALTER TABLE sale DROP COLUMN home",
        "DROP TABLE shop",
        "DELETE FROM _sqlx_migrations WHERE version IN (2, 5, 6, 7)",
    ] {
        sqlx::query(statement)
            .execute(&mut old)
            .await
            .with_context(|| statement.to_owned())?;
    }
    sqlx::query("UPDATE progress SET totals = ?")
        .bind(totals.to_string())
        .execute(&mut old)
        .await?;
    sqlx::Connection::close(old).await?;
    let file_before = std::fs::read(&file)?;
    gateway.start_again()?;
    gateway.wait_ready().await?;
    wait_for_totals(&gateway, right).await?;
    ensure!(
        gateway
            .log()
            .contains("the projection is rebuilt from the journal"),
        "{}",
        gateway.log()
    );
    ensure!(gateway.terminate().await?.success());

    // Kafka may no longer have the events of another gateway. Then the totals stay, and only the rows are completed.
    std::fs::write(&file, file_before)?;
    let mut old = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(&file)
        .connect()
        .await?;
    sqlx::query(
        "INSERT INTO sale (kind, seq, id, order_id, status, time, minor, currency, name, payload, partition, offset)
         VALUES (1, 900, 'p-nice', '1001', 'SUCCESS', 0, 100, 'EUR', 'nice-1/till-3/5/1',
                 '{\"payment_id\":\"p-nice\",\"order_id\":\"1001\",\"amount\":1.00,\"currency\":\"EUR\",\"method\":\"Cash\",\"status\":\"SUCCESS\",\"timestamp\":\"2026-01-01T00:00:00Z\",\"store\":\"nice-1\",\"device\":\"till-3\"}',
                 0, 0)",
    )
    .execute(&mut old)
    .await?;
    sqlx::Connection::close(old).await?;
    gateway.start_again()?;
    gateway.wait_ready().await?;
    // The totals stay, except for the amounts that another shop's rows had added.
    wait_for_totals(&gateway, [json!(1), json!(0), json!(1), json!(29.0)]).await?;
    let nice = gateway.get_json("/api/stats?store=nice-1").await?;
    ensure!(
        nice["total_payments"] == 1 && nice["total_revenue"] == 1.0,
        "{nice}"
    );
    let hours = gateway.get_json("/api/stats").await?["orders_per_hour"].take();
    ensure!(hours[0]["orders"] == 1 && hours[0]["revenue"] == 30.0, "{hours}");
    ensure!(hours[0]["quarters"]["orders"] == json!([1, 0, 0, 0]), "{hours}");
    let life = gateway.get_json("/api/orders/1001?store=nice-1").await?;
    ensure!(life["payments"][0]["payment_id"] == "p-nice", "{life}");
    // A later state of Lyon's payment is recognised; the same id from an unknown till is another payment.
    for (store, till) in [("lyon-1", "till-1"), ("paris-1", "till-1")] {
        let payment = json!({"payment_id": "1", "order_id": "1001", "amount": 30, "method": "PayPal", "status": "SUCCESS"});
        probe
            .publish(&format!("pos/{store}/{till}/payments"), payment.to_string())
            .await?;
    }
    wait_for_totals(&gateway, [json!(1), json!(1), json!(1), json!(59.0)]).await
}
