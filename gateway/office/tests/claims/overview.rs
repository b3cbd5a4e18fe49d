//! The overview shows which shops are in trouble, the worst first.

use anyhow::{Result, ensure};
use comptoir_harness::chain::Chain;
use comptoir_harness::{Gateway, GatewayConfig, Kafka, Mosquitto, PosSim, eventually, sibling_binary};
use serde_json::{Value, json};

use crate::office::{DEADLINE, Site};

fn state(time: &str, more: &str) -> String {
    format!(
        r#"{{"time":"{time}","version":"0.5.0","started":"2026-01-30T09:00:00Z","last_exit":"killed","journal":{{"bytes":1000,"max_bytes":100000}},"devices":[{{"device":"till-1","received":9}}]{more}}}"#
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn shops_in_trouble_come_first_and_say_why() -> Result<()> {
    let kafka = Kafka::shared().await;
    let site = Site::new().await?;
    site.create_topics(kafka).await?;
    site.write_keys(["calm", "missing", "no-broker"])?;
    let mut office = site.start("one")?;
    let mut chain = Chain::new(&site.brokers, &site.prefix)?;
    let now = "2026-01-30T10:00:00Z";
    chain.publish("calm", &state(now, ""))?;
    chain.publish("no-broker", &state(now, r#","problems":["mqtt-down"]"#))?;
    let missing = r#","devices":[{"device":"till-1","received":9,"missing":2}]"#;
    let missing = state(now, "").replace(r#","devices":[{"device":"till-1","received":9}]"#, missing);
    chain.publish("missing", &missing)?;
    // An older state that somebody writes again changes nothing.
    chain.publish("missing", &state("2026-01-30T09:59:59Z", ""))?;
    chain.sell(&["calm".to_owned()], 0)?;
    eventually("the overview to be complete", DEADLINE, async || {
        let overview = office.get_json("/api/shops?since=2026-01-30T00:00:00Z").await?;
        let shops = overview["shops"].as_array().cloned().unwrap_or_default();
        let shown: Vec<Value> = shops
            .iter()
            .map(|shop| json!([shop["store"], shop["troubles"], shop["today"]["payments"]]))
            .collect();
        let expected = [
            json!(["missing", ["missing-numbers"], 0]),
            json!(["no-broker", ["mqtt-down"], 0]),
            json!(["calm", [], 1]),
        ];
        ensure!(shown == expected, "{shown:?}");
        let calm = &shops[2];
        ensure!(
            calm["today"]["takings"] == json!([{"amount": 12.50, "currency": "EUR"}]),
            "{calm}"
        );
        ensure!(
            calm["gateway"]["last_exit"] == "killed" && calm["gateway"]["devices"] == 1,
            "{calm}"
        );
        Ok(())
    })
    .await;
    for (host, expected) in [
        ("localhost", 200),
        ("[::1]:8090", 200),
        ("127.0.0.1", 200),
        ("attacker.example", 421),
        ("localhost.attacker.example:8090", 421),
    ] {
        assert_eq!(
            office.status_for_host("/api/shops", host).await?,
            expected,
            "{host}"
        );
    }
    let (status, problem) = office.get("/api/shops?since=yesterday").await?;
    assert_eq!(status, 400, "{problem}");
    assert!(
        problem.contains("urn:comptoir:problem:invalid-query"),
        "{problem}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sales_of_a_real_shop_arrive_to_the_cent() -> Result<()> {
    let kafka = Kafka::shared().await;
    let site = Site::new().await?;
    let mosquitto = Mosquitto::start().await?;
    let mut config = GatewayConfig::new("shop-1", &mosquitto.url());
    config.kafka_brokers = Some(kafka.brokers().to_owned());
    config.topic_prefix.clone_from(&site.prefix);
    let mut gateway = Gateway::spawn(sibling_binary("gateway")?, config)?;
    gateway.wait_ready().await?;
    let (_, key) = gateway.run(&["recovery-code", "--shop-key"], DEADLINE).await?;
    std::fs::write(site.scratch.join("shop-keys"), format!("shop-1 {}\n", key.trim()))?;
    let mut office = site.start("one")?;
    let url = mosquitto.url();
    let mut sim = PosSim::spawn([
        "--broker",
        &url,
        "--store",
        "shop-1",
        "--devices",
        "3",
        "--rate",
        "50",
        "--events",
        "300",
    ])?;
    sim.finish(DEADLINE).await?;
    eventually("the office to show the shop's totals", DEADLINE, async || {
        let stats = gateway.get_json("/api/stats").await?;
        let overview = office.get_json("/api/shops?since=1970-01-01T00:00:00Z").await?;
        let shop = &overview["shops"][0];
        let today = &shop["today"];
        for (ours, theirs) in [
            ("orders", "total_orders"),
            ("payments", "total_payments"),
            ("deliveries", "total_deliveries"),
        ] {
            ensure!(today[ours] == stats[theirs], "{ours}: {today} of {stats}");
        }
        ensure!(today["orders"].as_i64() > Some(0), "{today}");
        ensure!(shop["gateway"]["version"].is_string(), "{shop}");
        Ok(())
    })
    .await;
    Ok(())
}
