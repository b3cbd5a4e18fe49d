//! Customers can be found and forgotten.

use anyhow::{Context, Result, ensure};
use comptoir_harness::{Gateway, Listener, MqttProbe, SettableClock, within};
use serde_json::{Value, json};

use crate::shop::{LATER, SOON, STORE, Shop};

const DAY: i64 = 24 * 3_600;
const NAME: &str = "Zoé Dupont-Quatremère";
const EMAIL: &str = "zoe.dupont@example.org";
const ADDRESS: &str = "17 impasse du Four";

fn order(id: &str) -> Value {
    json!({
        "order_id": id, "customer_name": NAME, "customer_email": EMAIL, "address": ADDRESS, "product": "Tarte",
        "lines": [{"product": "Tarte", "quantity": 1, "unit_price": 12.5}], "amount": 12.5, "status": "Pending",
    })
}

async fn post(gateway: &Gateway, path: &str, body: &Value) -> Result<Value> {
    let (status, _, answer) = gateway.post_json(path, body).await?;
    ensure!(status == 201, "{path}: {status} {answer}");
    Ok(answer)
}

/// Everything that the pages and the API show.
async fn shown(gateway: &Gateway) -> Result<String> {
    let mut all = String::new();
    for path in [
        "/api/orders",
        "/api/deliveries",
        "/api/orders/o-1",
        "/api/orders?status=Pending",
        "/api/dead-letters",
    ] {
        all += &gateway.get(path).await?.1;
    }
    Ok(all)
}

/// The personal data that the files of the journal and of the projection contain, except in the write-ahead log.
fn in_files(gateway: &Gateway) -> Result<Vec<&'static str>> {
    let mut found = Vec::new();
    let folder = gateway.journal_path().parent().context("no folder")?.to_owned();
    for file in ["journal.db", "journal-dashboard.db"] {
        let bytes = std::fs::read(folder.join(file))?;
        let contains = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        found.extend([NAME, EMAIL, ADDRESS].into_iter().filter(|text| contains(text)));
    }
    Ok(found)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_erased_everywhere_in_the_shop_after_kafka_has_the_sales() -> Result<()> {
    let mut shop = Shop::open().await?;
    post(&shop.gateway, "/api/orders", &order("o-1")).await?;
    let mut other = order("o-2");
    other["customer_name"] = "Marie Durand".into();
    (other["customer_email"], other["address"]) = ("marie@example.org".into(), "2 rue Basse".into());
    post(&shop.gateway, "/api/orders", &other).await?;
    // The delivery's address differs from the order's, but it also belongs to the customer.
    let delivery = json!({"delivery_id": "d-1", "order_id": "o-1", "address": "9 rue du Gendre"});
    post(&shop.gateway, "/api/deliveries", &delivery).await?;
    let mut probe = MqttProbe::connect(&shop.mosquitto.url()).await?;
    probe
        .publish(
            &format!("pos/{STORE}/till-1/orders"),
            format!("{{\"customer_email\":\"{EMAIL}\","),
        )
        .await?;
    shop.drained(4, SOON).await?;
    let stats = shop.gateway.get_json("/api/stats").await?;

    let mut page = Listener::connect(&shop.gateway.http_url()?, None)?;
    let initial = |page: &mut Listener| -> Result<Vec<String>> {
        let events = page.events()?.into_iter();
        let initial = events.filter(|event| event.event == "initial_data");
        Ok(initial.map(|event| event.data.to_string()).collect())
    };
    within("an open page", SOON, async || {
        ensure!(initial(&mut page)?.len() == 1);
        Ok(())
    })
    .await?;

    let (status, said) = shop
        .gateway
        .run(&["customer", "find", "DUPONT-quatre"], SOON)
        .await?;
    ensure!(
        status.success() && said.lines().count() == 1 && said.contains(EMAIL),
        "{status} {said}"
    );
    let (_, said) = shop.gateway.run(&["customer", "find", EMAIL], SOON).await?;
    ensure!(
        said.lines().count() == 2 && said.contains("dead_letter"),
        "{said}"
    );
    let (status, said) = shop.gateway.run(&["customer", "erase", EMAIL], SOON).await?;
    ensure!(
        status.code() == Some(1) && said.contains("--yes"),
        "{status} {said}"
    );
    ensure!(shown(&shop.gateway).await?.contains(EMAIL));
    for short in ["", "  ", "zo"] {
        let (status, said) = shop
            .gateway
            .run(&["customer", "erase", short, "--yes"], SOON)
            .await?;
        ensure!(
            status.code() == Some(1) && said.contains("3 characters"),
            "{status} {said}"
        );
    }

    let (status, said) = shop
        .gateway
        .run(&["customer", "erase", EMAIL, "--yes"], SOON)
        .await?;
    ensure!(status.success() && said.contains("3 events"), "{status} {said}");
    let rest = shown(&shop.gateway).await?;
    for gone in [NAME, EMAIL, ADDRESS, "9 rue du Gendre"] {
        ensure!(!rest.contains(gone), "{gone} is in {rest}");
    }
    for kept in [
        "Marie Durand",
        "marie@example.org",
        "2 rue Basse",
        "o-1",
        "d-1",
        "12.5",
    ] {
        ensure!(rest.contains(kept), "{kept} is not in {rest}");
    }
    within("the open page to begin anew", SOON, async || {
        let initial = initial(&mut page)?;
        ensure!(initial.len() >= 2 && initial[0].contains(EMAIL), "{initial:?}");
        let last = &initial[initial.len() - 1];
        ensure!(
            !last.contains(EMAIL) && last.contains("marie@example.org"),
            "{last}"
        );
        Ok(())
    })
    .await?;
    ensure!(shop.gateway.get_json("/api/stats").await? == stats);
    let (_, said) = shop.gateway.run(&["customer", "find", EMAIL], SOON).await?;
    ensure!(said.contains("no sale names"), "{said}");
    let (_, metrics) = shop.gateway.get("/metrics").await?;
    ensure!(
        metrics.contains("comptoir_personal_data_erased_total 3"),
        "{metrics}"
    );
    ensure!(!shop.gateway.log().contains(EMAIL), "{}", shop.gateway.log());

    // Kafka still has the sales, and a restart does not bring the personal data back.
    let records = shop.records().await?;
    let sent = records
        .iter()
        .any(|record| String::from_utf8_lossy(&record.value).contains(EMAIL));
    ensure!(sent, "{records:?}");
    shop.gateway.terminate().await?;
    ensure!(
        in_files(&shop.gateway)?.is_empty(),
        "{:?}",
        in_files(&shop.gateway)?
    );
    shop.gateway.start_again()?;
    shop.gateway.wait_ready().await?;
    ensure!(!shown(&shop.gateway).await?.contains(EMAIL));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_sale_that_is_sent_again_is_still_a_duplicate() -> Result<()> {
    let shop = Shop::open().await?;
    let mut probe = MqttProbe::connect(&shop.mosquitto.url()).await?;
    let topic = format!("pos/{STORE}/till-1/orders");
    let mut numbered = order("o-1");
    (numbered["epoch"], numbered["seq"], numbered["oldest"]) = (7.into(), 1.into(), 1.into());
    for sale in [&numbered, &order("o-2")] {
        probe.publish(&topic, sale.to_string()).await?;
    }
    shop.drained(2, SOON).await?;
    let (status, said) = shop
        .gateway
        .run(&["customer", "erase", EMAIL, "--yes"], SOON)
        .await?;
    ensure!(status.success() && said.contains("2 events"), "{status} {said}");
    for sale in [&numbered, &order("o-2")] {
        probe.publish(&topic, sale.to_string()).await?;
    }
    within("the duplicates to be noticed", SOON, async || {
        let (_, metrics) = shop.gateway.get("/metrics").await?;
        ensure!(metrics.contains("comptoir_events_duplicate_total 2"), "{metrics}");
        Ok(())
    })
    .await?;
    ensure!(shop.gateway.get_json("/api/gateway").await?["journal"]["last_offset"] == 2);
    ensure!(!shown(&shop.gateway).await?.contains(EMAIL));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn personal_data_is_erased_by_age_and_the_sales_stay() -> Result<()> {
    let clock = SettableClock::new(-401 * DAY)?;
    let brokers = comptoir_harness::Kafka::shared().await.brokers();
    let mut shop = Shop::open_with(brokers, |mut config| {
        config.env = clock.env();
        config
    })
    .await?;
    post(&shop.gateway, "/api/orders", &order("o-1")).await?;
    clock.set(0)?;
    let mut young = order("o-2");
    young["customer_name"] = "Marie Durand".into();
    young["customer_email"] = "marie@example.org".into();
    young["address"] = "2 rue Basse".into();
    post(&shop.gateway, "/api/orders", &young).await?;
    shop.drained(2, LATER).await?;
    // Each start begins a search for old personal data.
    shop.gateway.terminate().await?;
    shop.gateway.start_again()?;
    shop.gateway.wait_ready().await?;
    within("the old order to be erased", SOON, async || {
        let rest = shown(&shop.gateway).await?;
        ensure!(
            !rest.contains(EMAIL) && !rest.contains(NAME) && !rest.contains(ADDRESS),
            "{rest}"
        );
        ensure!(
            rest.contains("o-1") && rest.contains("marie@example.org"),
            "{rest}"
        );
        Ok(())
    })
    .await?;
    let (_, metrics) = shop.gateway.get("/metrics").await?;
    ensure!(
        metrics.contains("comptoir_personal_data_erased_total 1"),
        "{metrics}"
    );

    // A sale that is not in Kafka is not erased, however old it is.
    let mut config = comptoir_harness::GatewayConfig::new(STORE, &shop.mosquitto.url());
    config.env = clock.env();
    clock.set(-401 * DAY)?;
    shop.gateway.terminate().await?;
    let mut alone = Gateway::spawn(crate::shop::GATEWAY, config)?;
    alone.wait_ready().await?;
    post(&alone, "/api/orders", &order("o-1")).await?;
    clock.set(0)?;
    let (status, said) = alone.run(&["customer", "erase", EMAIL, "--yes"], SOON).await?;
    ensure!(
        status.code() == Some(1) && said.contains("not in Kafka yet"),
        "{status} {said}"
    );
    ensure!(shown(&alone).await?.contains(EMAIL));
    Ok(())
}
