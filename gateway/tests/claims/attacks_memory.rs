//! Somebody on the shop's network makes the gateway hold large data for clients that do not read. Its memory stays below the
//! limit of its unit, and tills go on selling.

use anyhow::{Context, Result, ensure};
use comptoir_harness::{Gateway, GatewayConfig, Kafka, Listener, Mosquitto, MqttProbe, usage, within};
use reqwest::Client;
use serde_json::{Value, json};

use crate::attackers::{
    address_of, ask_and_not_read, limit_descriptors, live_and_not_read, memory_max, reached, send_half_heads,
    sold_once,
};
use crate::shop::{GATEWAY, LATER, SOON, STORE, Shop, tills};

/// An order of about this many bytes.
fn large_order(id: &str, bytes: usize) -> String {
    let product = "Croissant ".repeat(40);
    let line = json!({"product": product, "quantity": 1, "unit_price": 1.10});
    let lines = vec![line.clone(); bytes / line.to_string().len()];
    json!({"order_id": id, "customer_name": "Anna", "amount": 12.50, "status": "Pending", "lines": lines, "product": "many"})
        .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn large_dead_letters_are_listed_as_summaries_and_never_exhaust_the_memory() -> Result<()> {
    const LETTERS: u64 = 60;
    const BYTES: usize = 1_900_000;
    let mosquitto = Mosquitto::start().await?;
    let mut gateway = Gateway::spawn(GATEWAY, GatewayConfig::new(STORE, &mosquitto.url()))?;
    gateway.wait_ready().await?;
    let mut probe = MqttProbe::connect(&mosquitto.url()).await?;
    for number in 0..LETTERS {
        let mut letter = format!("{{\"number\": {number}, ").into_bytes();
        letter.resize(BYTES, b'x');
        probe
            .publish(&format!("pos/{STORE}/till-1/orders"), letter)
            .await?;
    }
    within("all dead letters", LATER, async || {
        let status = gateway.get_json("/api/gateway").await?;
        ensure!(status["dead_letters"] == LETTERS, "{}", status["dead_letters"]);
        Ok(())
    })
    .await?;
    let address = address_of(&gateway)?;
    let pid = gateway.pid()?;
    let (status, list) = gateway.get("/api/dead-letters?limit=500").await?;
    ensure!(
        status == 200 && list.len() < 200_000,
        "{status}, {} bytes",
        list.len()
    );
    let list: Vec<Value> = serde_json::from_str(&list)?;
    ensure!(list.len() as u64 == LETTERS);
    ensure!(list.iter().all(|letter| letter["bytes"] == BYTES), "{}", list[0]);
    let offset = list[0]["offset"].as_u64().context("offset")?;
    let path = format!("/api/dead-letters/{offset}");
    let whole = gateway.get_json(&path).await?;
    let payload = whole["payload"].as_str().context("payload")?;
    ensure!(
        payload.len() == BYTES.div_ceil(3) * 4,
        "{} characters",
        payload.len()
    );
    let beginning = list[0]["payload"].as_str().context("payload")?;
    ensure!(payload.starts_with(beginning.trim_end_matches('=').get(..600).context("512 bytes")?));
    // Clients that ask for all of them at once and do not read.
    let mut unread = Vec::new();
    for _ in 0..100 {
        unread.push(ask_and_not_read(address, &path).await?);
        unread.push(ask_and_not_read(address, "/api/dead-letters?limit=500").await?);
    }
    let mut sim = tills(&mosquitto, 5, 300, 0)?;
    sim.finish(LATER).await?;
    let (exit, listed) = gateway.run(&["dead-letters", "list"], SOON).await?;
    ensure!(
        exit.success() && listed.contains(&format!("{BYTES} bytes")),
        "{listed}"
    );
    let (exit, shown) = gateway
        .run(&["dead-letters", "show", &offset.to_string()], SOON)
        .await?;
    ensure!(
        exit.success() && shown.len() > BYTES,
        "{} characters",
        shown.len()
    );
    let peak = usage(pid)?.peak_rss_bytes;
    ensure!(peak < memory_max()?, "{} MiB were resident", peak >> 20);
    drop(unread);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn large_orders_and_live_connections_that_do_not_read_never_exhaust_the_memory() -> Result<()> {
    let mosquitto = Mosquitto::start().await?;
    let mut gateway = Gateway::spawn(GATEWAY, GatewayConfig::new(STORE, &mosquitto.url()))?;
    gateway.wait_ready().await?;
    let mut probe = MqttProbe::connect(&mosquitto.url()).await?;
    let topic = format!("pos/{STORE}/till-1/orders");
    // Below and above the size that a snapshot may contain.
    for number in 0..60 {
        probe
            .publish(&topic, large_order(&format!("huge-{number}"), 250_000))
            .await?;
        probe
            .publish(&topic, large_order(&format!("large-{number}"), 60_000))
            .await?;
    }
    within("all orders", LATER, async || {
        let stats = gateway.get_json("/api/stats").await?;
        ensure!(stats["total_orders"] == 120, "{stats}");
        Ok(())
    })
    .await?;
    let address = address_of(&gateway)?;
    let mut unread = Vec::new();
    for _ in 0..100 {
        unread.push(live_and_not_read(address).await?);
        unread.push(ask_and_not_read(address, "/api/orders?limit=500").await?);
    }
    // A page is served meanwhile, and sees what the till sells.
    let mut page = Listener::connect(&gateway.http_url()?, None)?;
    within("initial_data", SOON, async || {
        ensure!(page.events()?.iter().any(|event| event.event == "initial_data"));
        Ok(())
    })
    .await?;
    let mut sim = tills(&mosquitto, 5, 300, 0)?;
    sim.finish(LATER).await?;
    within("the sales of the tills", SOON, async || {
        let sales = page
            .events()?
            .iter()
            .filter(|event| event.event.starts_with("new_"))
            .count();
        ensure!(sales >= 300, "{sales} of 300");
        Ok(())
    })
    .await?;
    let peak = usage(gateway.pid()?)?.peak_rss_bytes;
    ensure!(peak < memory_max()?, "{} MiB were resident", peak >> 20);

    // Those that did not read are disconnected in the end.
    within("the silent readers to be disconnected", LATER, async || {
        let (_, metrics) = gateway.get("/metrics").await?;
        let live = metrics
            .lines()
            .find_map(|line| line.strip_prefix("comptoir_live_connections "));
        ensure!(live == Some("1"), "{live:?}");
        ensure!(reached(&gateway, "write_stall").await? > 0);
        Ok(())
    })
    .await?;
    drop(unread);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_large_orders_is_read_completely_in_pages_of_bounded_size() -> Result<()> {
    let mosquitto = Mosquitto::start().await?;
    let mut gateway = Gateway::spawn(GATEWAY, GatewayConfig::new(STORE, &mosquitto.url()))?;
    gateway.wait_ready().await?;
    let mut probe = MqttProbe::connect(&mosquitto.url()).await?;
    for number in 0..40 {
        let topic = format!("pos/{STORE}/till-1/orders");
        probe
            .publish(&topic, large_order(&format!("o-{number}"), 200_000))
            .await?;
    }
    within("all orders", LATER, async || {
        let stats = gateway.get_json("/api/stats").await?;
        ensure!(stats["total_orders"] == 40, "{stats}");
        Ok(())
    })
    .await?;
    for (filter, restart) in [("", false), ("&status=Pending", false), ("", true)] {
        if restart {
            // From the file only.
            ensure!(gateway.terminate().await?.success());
            gateway.start_again()?;
            gateway.wait_ready().await?;
        }
        let (mut ids, mut pages, mut cursor) = (Vec::new(), 0, String::new());
        loop {
            let (status, page) = gateway
                .get(&format!("/api/orders?limit=500{filter}{cursor}"))
                .await?;
            ensure!(
                status == 200 && page.len() < 3 << 19,
                "{status}, {} bytes",
                page.len()
            );
            let page: Value = serde_json::from_str(&page)?;
            pages += 1;
            for order in page["items"].as_array().context("items")? {
                ids.push(order["order_id"].as_str().context("order_id")?.to_owned());
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        let expected: Vec<String> = (0..40).rev().map(|number| format!("o-{number}")).collect();
        ensure!(ids == expected, "{filter}: {ids:?}");
        ensure!(pages >= 6, "{pages} pages");
    }
    Ok(())
}

/// Posts nested JSON, sends half heads, reads nothing, lists everything, at once and as fast as it can.
#[tokio::test(flavor = "multi_thread")]
async fn all_attacks_at_once_lose_no_sale_and_no_memory() -> Result<()> {
    const SALES: u64 = 1_000;
    let kafka = Kafka::shared().await;
    let shop = Shop::open_with(kafka.brokers(), limit_descriptors).await?;
    let address = address_of(&shop.gateway)?;
    let url = shop.gateway.http_url()?;
    let mut probe = MqttProbe::connect(&shop.mosquitto.url()).await?;
    for number in 0..20 {
        let mut letter = format!("?{number}").into_bytes();
        letter.resize(1_900_000, b'x');
        probe
            .publish(&format!("pos/{STORE}/mallory/orders"), letter)
            .await?;
        let order = large_order(&format!("mallory-{number}"), 60_000);
        probe
            .publish(&format!("pos/{STORE}/mallory/orders"), order)
            .await?;
    }
    let mut attackers = tokio::task::JoinSet::new();
    attackers.spawn(async move {
        loop {
            drop(send_half_heads(address, 300).await);
        }
    });
    attackers.spawn(async move {
        loop {
            let mut unread = Vec::new();
            for _ in 0..50 {
                unread.extend(live_and_not_read(address).await);
                unread.extend(ask_and_not_read(address, "/api/orders?limit=500").await);
                unread.extend(ask_and_not_read(address, "/api/dead-letters/1").await);
            }
        }
    });
    attackers.spawn(async move {
        let client = Client::new();
        let nested = format!("{{\"lines\":{}", "[".repeat(60_000));
        loop {
            // Refused or cut off: both are fine.
            let _ = client
                .post(format!("{url}/api/orders"))
                .body(nested.clone())
                .send()
                .await;
        }
    });
    let mut sim = tills(&shop.mosquitto, 5, SALES, 100)?;
    sim.finish(LATER).await?;
    ensure!(attackers.try_join_next().is_none(), "an attacker gave up");
    attackers.abort_all();
    let ledger = sim.ledger()?;
    ensure!(ledger.len() as u64 == SALES);
    shop.drained(SALES + 40, LATER).await?;
    sold_once(&shop, &ledger).await?;
    let peak = usage(shop.gateway.pid()?)?.peak_rss_bytes;
    ensure!(peak < memory_max()?, "{} MiB were resident", peak >> 20);
    Ok(())
}
