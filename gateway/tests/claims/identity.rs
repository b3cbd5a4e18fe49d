//! Shops and tills number their receipts independently: orders and deliveries are one within a store, payments within a
//! store and device.

use anyhow::{Context, Result, ensure};
use comptoir_harness::{Gateway, GatewayConfig, Mosquitto, MqttProbe, within};
use serde_json::{Value, json};

use crate::shop::{GATEWAY, SOON, STORE};

const TILLS: [(&str, &str, u32); 3] = [
    (STORE, "till-1", 5),
    (STORE, "till-2", 90),
    ("lyon-1", "till-1", 30),
];

async fn started() -> Result<(Gateway, Mosquitto, MqttProbe)> {
    let mosquitto = Mosquitto::start().await?;
    let mut gateway = Gateway::spawn(GATEWAY, GatewayConfig::new(STORE, &mosquitto.url()))?;
    gateway.wait_ready().await?;
    let probe = MqttProbe::connect(&mosquitto.url()).await?;
    Ok((gateway, mosquitto, probe))
}

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

async fn has(gateway: &Gateway, expected: [Value; 4]) -> Result<()> {
    within("the totals", SOON, async || {
        let stats = stats(gateway).await?;
        ensure!(stats == expected, "{stats:?}, not {expected:?}");
        Ok(())
    })
    .await
}

/// Of a list: whose each item is, newest first.
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
async fn tills_and_shops_that_number_alike_keep_their_own_sales() -> Result<()> {
    let (mut gateway, _mosquitto, mut probe) = started().await?;
    sell(&mut probe).await?;
    let all = [json!(2), json!(3), json!(2), json!(125.0)];
    has(&gateway, all.clone()).await?;
    let all_owners = ["lyon-1/till-1", "paris-1/till-2", "paris-1/till-1"];
    ensure!(owners(&gateway, "payments").await? == all_owners);
    ensure!(owners(&gateway, "orders").await? == ["lyon-1/till-1", "paris-1/till-2"]);
    // By the file, too, and after a start.
    for _ in 0..2 {
        let by_status = owners(&gateway, "payments?status=SUCCESS").await?;
        ensure!(by_status == all_owners, "{by_status:?}");
        // This gateway's own order, and by name each of them.
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
        has(&gateway, all.clone()).await?;
    }
    // Redelivered, they are the same.
    sell(&mut probe).await?;
    let failed =
        json!({"payment_id": "1", "order_id": "1001", "amount": 90, "method": "Cash", "status": "FAILED"});
    probe
        .publish("pos/paris-1/till-2/payments", failed.to_string())
        .await?;
    has(&gateway, [json!(2), json!(3), json!(2), json!(35.0)]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_is_about_the_counters_own_or_the_till_that_it_names() -> Result<()> {
    let (gateway, _mosquitto, mut probe) = started().await?;
    sell(&mut probe).await?;
    has(&gateway, [json!(2), json!(3), json!(2), json!(125.0)]).await?;
    let post = async |kind: &str, body: Value| gateway.post_json(&format!("/api/{kind}"), &body).await;
    // The counter numbers from 1, too. The order is this shop's, not Lyon's.
    let (status, _, payment) = post(
        "payments",
        json!({"payment_id": "1", "order_id": "1001", "status": "SUCCESS"}),
    )
    .await?;
    ensure!(
        status == 201 && payment["device"] == "counter" && payment["amount"] == 90.0,
        "{payment}"
    );
    has(&gateway, [json!(2), json!(4), json!(2), json!(215.0)]).await?;
    let (status, _, payment) = post("payments", json!({"payment_id": "1", "status": "FAILED"})).await?;
    ensure!(
        status == 201 && payment["device"] == "counter" && payment["amount"] == 90.0,
        "{payment}"
    );
    has(&gateway, [json!(2), json!(4), json!(2), json!(125.0)]).await?;
    // A till's payment that is given back stays the till's.
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
    has(&gateway, [json!(2), json!(4), json!(2), json!(120.0)]).await?;
    // The only till that has one of this id.
    let only =
        json!({"payment_id": "only", "order_id": "1001", "amount": 8, "method": "Cash", "status": "FAILED"});
    probe
        .publish("pos/paris-1/till-2/payments", only.to_string())
        .await?;
    has(&gateway, [json!(2), json!(5), json!(2), json!(120.0)]).await?;
    let (status, _, payment) = post("payments", json!({"payment_id": "only", "status": "SUCCESS"})).await?;
    ensure!(status == 201 && payment["device"] == "till-2", "{payment}");
    has(&gateway, [json!(2), json!(5), json!(2), json!(128.0)]).await?;
    for till in ["till-1", "till-2"] {
        let both = json!({"payment_id": "both", "order_id": "1001", "amount": 1, "method": "Cash", "status": "FAILED"});
        probe
            .publish(&format!("pos/paris-1/{till}/payments"), both.to_string())
            .await?;
    }
    has(&gateway, [json!(2), json!(7), json!(2), json!(128.0)]).await?;
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
    has(&gateway, [json!(2), json!(7), json!(2), json!(128.0)]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dashboard_of_an_older_gateway_is_counted_anew_while_the_journal_has_all_of_it() -> Result<()> {
    use sqlx::ConnectOptions as _;

    let (mut gateway, _mosquitto, mut probe) = started().await?;
    sell(&mut probe).await?;
    let right = [json!(2), json!(3), json!(2), json!(125.0)];
    has(&gateway, right.clone()).await?;
    ensure!(gateway.terminate().await?.success());
    // As the first schema had it: one row for each id, and hours of wrong totals.
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
        "DELETE FROM sale WHERE store = 'paris-1'",
        "ALTER TABLE sale DROP COLUMN store",
        "ALTER TABLE sale DROP COLUMN device",
        "CREATE UNIQUE INDEX sale_id ON sale (kind, id)",
        "CREATE INDEX sale_order ON sale (order_id) WHERE order_id IS NOT NULL",
        "ALTER TABLE progress DROP COLUMN layout",
        "DELETE FROM _sqlx_migrations WHERE version = 2",
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
    has(&gateway, right).await?;
    ensure!(gateway.log().contains("counted anew"), "{}", gateway.log());
    ensure!(gateway.terminate().await?.success());

    // Events of another gateway may have left Kafka: then what was counted stays, and only the rows are completed.
    std::fs::write(&file, file_before)?;
    let mut old = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(&file)
        .connect()
        .await?;
    sqlx::query(
        "INSERT INTO sale (kind, seq, id, order_id, status, time, minor, currency, name, payload, partition, offset)
         VALUES (1, 900, 'p-nice', '1001', 'SUCCESS', 0, 100, 'EUR', 'nice-1/till-3/5/1',
                 '{\"payment_id\":\"p-nice\",\"store\":\"nice-1\",\"device\":\"till-3\"}', 0, 0)",
    )
    .execute(&mut old)
    .await?;
    sqlx::Connection::close(old).await?;
    gateway.start_again()?;
    gateway.wait_ready().await?;
    has(&gateway, [json!(1), json!(1), json!(1), json!(30.0)]).await?;
    let hours = gateway.get_json("/api/stats").await?["orders_per_hour"].take();
    ensure!(hours[0]["orders"] == 1 && hours[0]["revenue"] == 30.0, "{hours}");
    ensure!(hours[0]["quarters"]["orders"] == json!([1, 0, 0, 0]), "{hours}");
    let life = gateway.get_json("/api/orders/1001?store=nice-1").await?;
    ensure!(life["payments"][0]["payment_id"] == "p-nice", "{life}");
    // A later state of Lyon's payment is known to be one; a till that it did not know is another.
    for (store, till) in [("lyon-1", "till-1"), ("paris-1", "till-1")] {
        let payment = json!({"payment_id": "1", "order_id": "1001", "amount": 30, "method": "PayPal", "status": "SUCCESS"});
        probe
            .publish(&format!("pos/{store}/{till}/payments"), payment.to_string())
            .await?;
    }
    has(&gateway, [json!(1), json!(2), json!(1), json!(60.0)]).await
}
