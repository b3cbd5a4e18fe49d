//! `gateway demo` runs everything in one process.

use std::process::Command;

use anyhow::{Result, ensure};
use comptoir_harness::process::{Process, Signal};
use comptoir_harness::{MqttProbe, Scratch, free_port, within};
use serde_json::{Value, json};

use crate::shop::{GATEWAY, SOON};

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_sells_by_itself_and_ends_on_sigint() -> Result<()> {
    let scratch = Scratch::new("demo")?;
    let (http, mqtt) = (free_port()?, free_port()?);
    let mut command = Command::new(GATEWAY);
    command.args([
        "demo",
        "--rate",
        "40",
        "--http",
        &format!("127.0.0.1:{http}"),
        "--mqtt",
        &format!("127.0.0.1:{mqtt}"),
    ]);
    let log = scratch.join("demo.log");
    let mut demo = Process::spawn("gateway demo", command, &log)?;
    let get = async |path: &str| -> Result<Value> {
        Ok(reqwest::get(format!("http://127.0.0.1:{http}{path}"))
            .await?
            .json()
            .await?)
    };
    within("sales in the in-memory Kafka", SOON, async || {
        let stats = get("/api/stats").await?;
        ensure!(stats["total_orders"].as_u64() > Some(5), "{stats}");
        let orders = get("/api/orders?limit=500").await?;
        let confirmed = orders["items"]
            .as_array()
            .is_some_and(|items| items.iter().any(|order| order["offset"].is_i64()));
        ensure!(confirmed, "no order is confirmed yet");
        Ok(())
    })
    .await?;
    // A visitor's own till.
    let mut probe = MqttProbe::connect(&format!("mqtt://127.0.0.1:{mqtt}")).await?;
    let payment = json!({"payment_id": "p-own", "order_id": "o-own", "amount": 5, "method": "Cash", "status": "SUCCESS"});
    probe
        .publish("pos/demo-1/till-own/payments", payment.to_string())
        .await?;
    within("the visitor's own payment", SOON, async || {
        let payments = get("/api/payments?limit=500").await?;
        ensure!(payments.to_string().contains("p-own"));
        Ok(())
    })
    .await?;
    demo.signal(Signal::INT)?;
    let status = demo.wait(SOON).await?;
    ensure!(status.success(), "{status}");
    ensure!(demo.log().contains("in memory"), "{}", demo.log());
    Ok(())
}
