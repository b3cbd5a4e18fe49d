//! Several gateways on one Kafka, of different stores or, by mistake, of the same one.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use comptoir_harness::chain::Chain;
use comptoir_harness::{Gateway, GatewayConfig, MeteredKafka, Mosquitto, MqttProbe, fresh_prefix, within};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use crate::shop::{GATEWAY, LATER, SOON, Shop, wait_for_mqtt};

#[tokio::test(flavor = "multi_thread")]
async fn sales_of_another_store_are_shown_apart_and_counted_once() -> Result<()> {
    let mut paris = Shop::open_reading_all().await?;
    let mosquitto = Mosquitto::start().await?;
    // With the default settings: it reads no events.
    let config = GatewayConfig::new("lyon-2", &mosquitto.url()).kafka(&paris.brokers, &paris.prefix);
    let mut lyon = Gateway::spawn(GATEWAY, config)?;
    lyon.wait_ready().await?;
    for (gateway, id) in [(&lyon, "o-lyon"), (&paris.gateway, "o-paris")] {
        gateway
            .post_json(
                "/api/orders",
                &json!({"order_id": id, "product": "Pain", "amount": 1}),
            )
            .await?;
    }
    let orders = async |gateway: &Gateway, query: &str| {
        let page = gateway.get_json(&format!("/api/orders{query}")).await?;
        let stats = gateway.get_json(&format!("/api/stats{query}")).await?;
        let items = page["items"].as_array().context("items")?.clone();
        ensure!(stats["total_orders"] == items.len(), "{query}: {page} {stats}");
        anyhow::Ok(items)
    };
    let is = |order: &Value, id: &str, origin: &str| {
        order["order_id"] == id && order["origin"] == origin && order["offset"].is_i64()
    };
    let sees_both = async |gateway: &Gateway| {
        within("both orders", SOON, async || {
            let own = orders(gateway, "").await?;
            ensure!(own.len() == 1 && is(&own[0], "o-paris", "local"), "{own:?}");
            let other = orders(gateway, "?store=lyon-2").await?;
            ensure!(other.len() == 1 && is(&other[0], "o-lyon", "kafka"), "{other:?}");
            ensure!(orders(gateway, "?store=paris-1").await? == own);
            ensure!(orders(gateway, "?store=nowhere-1").await?.is_empty());
            let shops = gateway.get_json("/api/shops").await?;
            ensure!(
                shops == json!({"own": "paris-1", "others": ["lyon-2"]}),
                "{shops}"
            );
            Ok(())
        })
        .await
    };
    sees_both(&paris.gateway).await?;
    paris.gateway.kill9()?;
    paris.gateway.start_again()?;
    paris.gateway.wait_ready().await?;
    sees_both(&paris.gateway).await?;
    within("its own order alone", SOON, async || {
        let own = orders(&lyon, "").await?;
        ensure!(own.len() == 1 && is(&own[0], "o-lyon", "local"), "{own:?}");
        Ok(())
    })
    .await?;
    let shops = lyon.get_json("/api/shops").await?;
    ensure!(shops == json!({"own": "lyon-2", "others": []}), "{shops}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_key_of_any_bytes_stops_no_gateway_that_reads_it() -> Result<()> {
    let paris = Shop::open_reading_all().await?;
    let pid = paris.gateway.pid()?;
    let mut chain = Chain::new(&paris.brokers, &paris.prefix)?;
    for topic in ["orders", "payments", "commands"] {
        chain.write_binary_header(topic)?;
    }
    chain.sell(&["lyon-2".to_owned()], 0)?;
    within("the payment of the other shop", SOON, async || {
        let page = paris.gateway.get_json("/api/payments?store=lyon-2").await?;
        let items = page["items"].as_array().context("items")?;
        ensure!(items.len() == 1, "{page}");
        Ok(())
    })
    .await?;
    ensure!(paris.gateway.pid()? == pid);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_reads_all_events_begins_at_the_chosen_time() -> Result<()> {
    let paris = Shop::open().await?;
    let sell = async |id: &str| {
        let order = json!({"order_id": id, "product": "Pain", "amount": 1});
        paris.gateway.post_json("/api/orders", &order).await
    };
    sell("o-1").await?;
    paris.drained(1, SOON).await?;
    let mosquitto = Mosquitto::start().await?;
    for (store, since, first) in [
        ("nice-3", "2000-01-01T00:00:00Z", "o-1"),
        ("lyon-2", "2100-01-01T00:00:00Z", "o-2"),
    ] {
        let config = GatewayConfig::new(store, &mosquitto.url())
            .kafka(&paris.brokers, &paris.prefix)
            .with("kafka.follow = \"all\"")
            .with(&format!("kafka.follow_since = \"{since}\""));
        let mut gateway = Gateway::spawn(GATEWAY, config)?;
        gateway.wait_ready().await?;
        within("the topics to be read", SOON, async || {
            let status = gateway.get_json("/api/gateway").await?;
            ensure!(
                status["partitions"].as_array().map(Vec::len) == Some(9),
                "{}",
                status["partitions"]
            );
            Ok(())
        })
        .await?;
        if first == "o-2" {
            sell(first).await?;
        }
        within("the first order that it may see", SOON, async || {
            let page = gateway.get_json("/api/orders?store=paris-1").await?;
            let items = page["items"].as_array().context("items")?;
            let oldest = items.last().context("no order")?;
            ensure!(oldest["order_id"] == first, "{page}");
            Ok(())
        })
        .await?;
        ensure!(gateway.terminate().await?.success());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_shop_beside_many_old_events_reads_none_of_them() -> Result<()> {
    const OLD: usize = 100_000;
    let kafka = MeteredKafka::start().await?;
    let prefix = fresh_prefix();
    let topic = format!("{prefix}orders");
    kafka.uncounted().create_topics(&[(&topic, 3)]).await?;
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", kafka.uncounted().brokers())
        .set("compression.type", "lz4")
        .create()?;
    let written = spawn_blocking(move || -> Result<()> {
        for number in 0..OLD {
            let id = format!("lyon-{number}");
            let order = json!({"order_id": id, "customer_name": "Camille", "product": "Pain", "amount": 2.5,
                "currency": "EUR", "status": "Pending", "timestamp": "2026-11-30T10:00:00Z", "store": "lyon-2"});
            let order = order.to_string();
            let mut record = BaseRecord::to(&topic).key(&id).payload(&order);
            while let Err((_, back)) = producer.send(record) {
                record = back;
                producer.poll(Duration::from_millis(5));
            }
        }
        Ok(producer.flush(LATER)?)
    });
    written.await??;
    let mosquitto = Mosquitto::start().await?;
    let config = GatewayConfig::new("paris-1", &mosquitto.url()).kafka(kafka.brokers(), &prefix);
    let mut shop = Gateway::spawn(GATEWAY, config)?;
    shop.wait_ready().await?;
    within("Kafka and the commands to be connected", SOON, async || {
        let status = shop.get_json("/api/gateway").await?;
        ensure!(
            status["bridge"]["state"] == "up" && status["commands"]["state"] == "up",
            "{status}"
        );
        Ok(())
    })
    .await?;
    let received = kafka.traffic().received;
    ensure!(received < 100_000, "{received} bytes were received");
    ensure!(shop.get_json("/api/stats").await?["total_orders"] == 0);
    Ok(())
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
    within("the first to report that it is fenced", SOON, async || {
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
    // The first gateway tries again after a while, and is then the only one.
    shop.drained(2, LATER + Duration::from_secs(60)).await?;
    let records = shop.records().await?;
    let mut keys: Vec<_> = records.iter().filter_map(|record| record.key_text()).collect();
    keys.sort_unstable();
    ensure!(keys == ["o-1", "o-2", "o-3"], "{keys:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_on_one_mqtt_broker_receive_only_their_configured_stores() -> Result<()> {
    let mosquitto = Mosquitto::start().await?;
    let mut gateways = Vec::new();
    for store in ["paris-1", "lyon-2"] {
        let mut gateway = Gateway::spawn(GATEWAY, GatewayConfig::new(store, &mosquitto.url()))?;
        gateway.wait_ready().await?;
        wait_for_mqtt(&gateway).await?;
        // Without mqtt.stores the gateway subscribed to all stores, and the MQTT broker keeps that subscription.
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
    // One sale for each while the gateways are down, and one while they run.
    sell("p-1").await?;
    for gateway in &mut gateways {
        gateway.start_again()?;
        gateway.wait_ready().await?;
        wait_for_mqtt(gateway).await?;
    }
    sell("p-2").await?;
    for (gateway, store) in gateways.iter_mut().zip(["paris-1", "lyon-2"]) {
        within("its own two sales", SOON, async || {
            let status = gateway.get_json("/api/gateway").await?;
            ensure!(status["journal"]["events"] == 2, "{}", status["journal"]);
            Ok(())
        })
        .await?;
        // An orderly shutdown commits everything that arrived before.
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
