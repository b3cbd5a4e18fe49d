//! More than one gateway on one Kafka: of other stores, and by mistake of the same.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use comptoir_harness::{Gateway, GatewayConfig, Mosquitto, MqttProbe, within};
use serde_json::json;

use crate::shop::{GATEWAY, LATER, SOON, Shop};

#[tokio::test(flavor = "multi_thread")]
async fn another_stores_events_are_taken_in_from_kafka_and_counted_once() -> Result<()> {
    let mut paris = Shop::open().await?;
    let mosquitto = Mosquitto::start().await?;
    let config = GatewayConfig::new("lyon-2", &mosquitto.url()).kafka(&paris.brokers, &paris.prefix);
    let mut lyon = Gateway::spawn(GATEWAY, config)?;
    lyon.wait_ready().await?;
    lyon.post_json("/api/orders", &json!({"order_id": "o-lyon"}))
        .await?;
    paris
        .gateway
        .post_json("/api/orders", &json!({"order_id": "o-paris"}))
        .await?;
    let sees_both = async |gateway: &Gateway, own: &str| {
        within("both orders", SOON, async || {
            let stats = gateway.get_json("/api/stats").await?;
            ensure!(stats["total_orders"] == 2, "{stats}");
            let page = gateway.get_json("/api/orders").await?;
            for order in page["items"].as_array().context("items")? {
                let origin = if order["order_id"] == own {
                    "local"
                } else {
                    "kafka"
                };
                ensure!(order["origin"] == origin && order["offset"].is_i64(), "{order}");
            }
            Ok(())
        })
        .await
    };
    sees_both(&paris.gateway, "o-paris").await?;
    sees_both(&lyon, "o-lyon").await?;
    paris.gateway.kill9()?;
    paris.gateway.start_again()?;
    paris.gateway.wait_ready().await?;
    sees_both(&paris.gateway, "o-paris").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_gateway_of_the_same_store_fences_the_first_and_nothing_is_doubled() -> Result<()> {
    let shop = Shop::open().await?;
    shop.gateway
        .post_json("/api/orders", &json!({"order_id": "o-1"}))
        .await?;
    shop.drained(1, SOON).await?;
    let mosquitto = Mosquitto::start().await?;
    let config = GatewayConfig::new("paris-1", &mosquitto.url()).kafka(&shop.brokers, &shop.prefix);
    let mut second = Gateway::spawn(GATEWAY, config)?;
    second.wait_ready().await?;
    second
        .post_json("/api/orders", &json!({"order_id": "o-2"}))
        .await?;
    within("the second's order to be in Kafka", SOON, async || {
        let status = second.get_json("/api/gateway").await?;
        ensure!(status["journal"]["pending"] == 0, "{}", status["journal"]);
        Ok(())
    })
    .await?;
    shop.gateway
        .post_json("/api/orders", &json!({"order_id": "o-3"}))
        .await?;
    within("the first to say that it is fenced", SOON, async || {
        let status = shop.gateway.get_json("/api/gateway").await?;
        ensure!(
            status["bridge"]["problem"]
                .as_str()
                .is_some_and(|why| why.contains("fenced")),
            "{}",
            status["bridge"]
        );
        ensure!(status["journal"]["pending"] == 1, "{}", status["journal"]);
        Ok(())
    })
    .await?;
    ensure!(second.terminate().await?.success());
    // It tries again after a while, and then has the name to itself.
    shop.drained(2, LATER + Duration::from_secs(60)).await?;
    let records = shop.records().await?;
    let mut keys: Vec<_> = records.iter().filter_map(|record| record.key_text()).collect();
    keys.sort_unstable();
    ensure!(keys == ["o-1", "o-2", "o-3"], "{keys:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_that_share_an_mqtt_broker_hear_each_its_own_stores() -> Result<()> {
    let mosquitto = Mosquitto::start().await?;
    let mut gateways = Vec::new();
    for store in ["paris-1", "lyon-2"] {
        let mut gateway = Gateway::spawn(GATEWAY, GatewayConfig::new(store, &mosquitto.url()))?;
        gateway.wait_ready().await?;
        connected(&gateway).await?;
        // Until now it heard all, and the MQTT broker has kept that.
        ensure!(gateway.terminate().await?.success());
        gateway.config().extra = format!("mqtt.stores = [\"{store}\"]");
        gateways.push(gateway);
    }
    let mut probe = MqttProbe::connect(&mosquitto.url()).await?;
    let mut sell = async |id: &str| {
        for store in ["paris-1", "lyon-2"] {
            let payment = json!({"payment_id": id, "order_id": store, "amount": 1, "method": "Cash",
                "status": "SUCCESS"});
            probe
                .publish(&format!("pos/{store}/till-1/payments"), payment.to_string())
                .await?;
        }
        anyhow::Ok(())
    };
    // While they are away, and while they are there.
    sell("p-1").await?;
    for gateway in &mut gateways {
        gateway.start_again()?;
        gateway.wait_ready().await?;
        connected(gateway).await?;
    }
    sell("p-2").await?;
    for (gateway, store) in gateways.iter_mut().zip(["paris-1", "lyon-2"]) {
        within("its own two sales", SOON, async || {
            let status = gateway.get_json("/api/gateway").await?;
            ensure!(status["journal"]["events"] == 2, "{}", status["journal"]);
            Ok(())
        })
        .await?;
        // In order: what came before is committed.
        ensure!(gateway.terminate().await?.success());
        gateway.start_again()?;
        gateway.wait_ready().await?;
        let page = gateway.get_json("/api/payments").await?;
        let items = page["items"].as_array().context("items")?;
        ensure!(
            items.len() == 2 && items.iter().all(|sale| sale["store"] == store),
            "{page}"
        );
    }
    Ok(())
}

async fn connected(gateway: &Gateway) -> Result<()> {
    within("the MQTT broker to be reached", SOON, async || {
        let status = gateway.get_json("/api/gateway").await?;
        ensure!(status["mqtt"]["state"] == "up", "{}", status["mqtt"]);
        Ok(())
    })
    .await
}
