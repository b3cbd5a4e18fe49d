//! Live pages: a client of any replica gets every event that exists, once, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use comptoir_harness::chain::{Chain, SignedEvent, sale};
use comptoir_harness::{Kafka, Nginx, eventually, free_port};
use futures::SinkExt as _;
use futures::future::try_join_all;
use serde_json::{Value, json};
use tokio::net::TcpSocket;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

use crate::live_client::{LiveClient, PATH, join};
use crate::office::{DEADLINE, Office, Site};

fn all() -> Value {
    json!({})
}

fn of(store: &str) -> Value {
    json!({ "store": store })
}

/// Two replicas, which show live events.
async fn replicas(site: &Site) -> Result<[Office; 2]> {
    let mut replicas = [site.start("one")?, site.start("two")?];
    for replica in &mut replicas {
        wait_ready(replica).await;
    }
    Ok(replicas)
}

async fn wait_ready(office: &mut Office) {
    eventually("the office to be ready", DEADLINE, async || {
        let (status, text) = office.get("/readyz").await?;
        ensure!(status == 200, "{text}");
        Ok(())
    })
    .await;
}

/// Joins, and waits until everything that happens from now on is sent.
async fn follow(server: &str, auth: &Value) -> Result<LiveClient> {
    // As a page does, which tries again.
    let client = eventually("the client to join", DEADLINE, async || {
        LiveClient::join(server, auth).await
    })
    .await;
    eventually("the tail to be followed", DEADLINE, async || {
        ensure!(!client.reloads().is_empty());
        Ok(())
    })
    .await;
    Ok(client)
}

/// The names of all events of the first rounds of a shop.
fn names(stores: &[String], rounds: u32) -> BTreeSet<String> {
    let of_store = |store: &String| {
        let store = store.clone();
        (1..=3 * rounds).map(move |seq| format!("{store}/till-1/7/{seq}"))
    };
    stores.iter().flat_map(of_store).collect()
}

/// Waits until the client has each of these events once, and no other.
async fn wait_for(client: &LiveClient, expected: &BTreeSet<String>, what: &str) {
    eventually(what, DEADLINE, async || {
        let events = client.events();
        let found: BTreeSet<String> = events.keys().cloned().collect();
        ensure!(
            found.is_superset(expected),
            "{} of {}",
            found.len(),
            expected.len()
        );
        assert_eq!(&found, expected, "an event that does not exist");
        let repeated = events.iter().find(|(_, (count, _))| *count != 1);
        assert!(repeated.is_none(), "{repeated:?}");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_any_replica_gets_every_event_of_its_shops_once_and_no_forged_one() -> Result<()> {
    let site = Site::new().await?;
    site.create_topics(Kafka::shared().await).await?;
    let shops: Vec<String> = (1..=5).map(|shop| format!("shop-{shop}")).collect();
    site.write_keys(shops.iter().map(String::as_str))?;
    let [mut one, mut two] = replicas(&site).await?;
    let (one_url, two_url) = (one.url("").await?, two.url("").await?);
    let everywhere = [follow(&one_url, &all()).await?, follow(&two_url, &all()).await?];
    let of_shop = [
        follow(&one_url, &of("shop-2")).await?,
        follow(&two_url, &of("shop-2")).await?,
    ];
    let mut chain = Chain::new(&site.brokers, &site.prefix)?;
    for round in 0..20 {
        chain.sell_and_abort(&shops, round)?;
        chain.sell(&shops, round)?;
    }
    let [order, ..] = sale("shop-2", 99, "2026-01-30T10:00:00Z");
    let forged = SignedEvent {
        value: order.value.replace("EUR", "USD"),
        ..order
    };
    let [unknown, ..] = sale("shop-9", 0, "2026-01-30T10:00:00Z");
    chain.write(&[forged, unknown])?;
    chain.sell(&shops, 20)?;
    for client in &everywhere {
        wait_for(client, &names(&shops, 21), "all events").await;
    }
    for client in &of_shop {
        wait_for(client, &names(&shops[1..2], 21), "the events of one shop").await;
    }
    let (_, order) = everywhere[0]
        .events()
        .remove("shop-3/till-1/7/1")
        .context("an order")?;
    let expected = json!({"order_id": "o-0", "customer_name": "Ada", "product": "Pain", "amount": 12.50,
        "currency": "EUR", "status": "Pending", "store": "shop-3", "device": "till-1"});
    for (field, value) in expected.as_object().context("an object")? {
        assert_eq!(&order[field], value, "{field}: {order}");
    }
    assert!(order["partition"].is_i64() && order["offset"].is_i64(), "{order}");
    assert_eq!(one.metric("comptoir_office_live_connections").await?, 2.0);
    drop((everywhere, of_shop));
    eventually("the connections to end", DEADLINE, async || {
        ensure!(one.metric("comptoir_office_live_connections").await? == 0.0);
        Ok(())
    })
    .await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_this_sites_pages_may_connect_and_only_for_a_shop_that_can_exist() -> Result<()> {
    let site = Site::new().await?;
    site.create_topics(Kafka::shared().await).await?;
    site.write_keys(["shop-1"])?;
    let mut office = site.start("one")?;
    wait_ready(&mut office).await;
    let url = office.url("").await?;
    for auth in [of("Shop"), json!({"store": 7}), json!([])] {
        let refused = join(&url, &auth).await.map(|_| ()).unwrap_err().to_string();
        assert!(
            refused.contains("urn:comptoir:problem:unknown-shop"),
            "{auth}: {refused}"
        );
    }
    assert_eq!(office.status_for_host(PATH, "attacker.example").await?, 421);
    let request = reqwest::Client::new().get(format!("{url}{PATH}"));
    let answer = request
        .header("origin", "https://attacker.example")
        .send()
        .await?;
    assert_eq!(answer.status(), 403);
    // The requests of a polling client could reach different replicas.
    let (status, _) = office.get("/socket.io/?EIO=4&transport=polling").await?;
    assert_eq!(status, 400);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn new_partitions_recreated_topics_and_unreadable_batches_end_no_live_page() -> Result<()> {
    let kafka = Kafka::shared().await;
    let site = Site::new().await?;
    site.create_topics(kafka).await?;
    let shops = ["shop-1".to_owned()];
    site.write_keys(["shop-1"])?;
    let mut office = site.start("one")?;
    wait_ready(&mut office).await;
    let url = office.url("").await?;
    let mut chain = Chain::new(&site.brokers, &site.prefix)?;
    let client = follow(&url, &all()).await?;
    kafka
        .add_partitions(&format!("{}payments", site.prefix), 9)
        .await?;
    chain.write_binary_header("orders")?;
    for round in 0..30 {
        chain.sell(&shops, round)?;
    }
    wait_for(&client, &names(&shops, 30), "the events in new partitions").await;

    let client = follow(&url, &all()).await?;
    for partition in 0..3 {
        chain.write_undecodable("orders", partition)?;
    }
    chain.write(&sale("shop-1", 30, "2026-01-30T10:00:00Z"))?;
    eventually("the events behind the unreadable batches", DEADLINE, async || {
        let events = client.events();
        ensure!((91..=93).all(|seq| events.contains_key(&format!("shop-1/till-1/7/{seq}"))));
        ensure!(
            client.reloads().len() > 1,
            "the client must learn that it may have missed something"
        );
        Ok(())
    })
    .await;

    let client = follow(&url, &all()).await?;
    let topics =
        ["orders", "payments", "deliveries", "gateways"].map(|name| format!("{}{name}", site.prefix));
    kafka
        .delete_topics(&topics.each_ref().map(String::as_str))
        .await?;
    site.create_topics(kafka).await?;
    // The other producer waits for the partitions that are gone.
    let chain = Chain::new(&site.brokers, &site.prefix)?;
    chain.write(&sale("shop-1", 31, "2026-01-30T10:00:00Z"))?;
    eventually("the events of the recreated topics", DEADLINE, async || {
        ensure!(client.events().contains_key("shop-1/till-1/7/96"));
        ensure!(client.reloads().iter().any(|reload| reload["restart"] == true));
        Ok(())
    })
    .await;
    Ok(())
}

/// The sales that a page shows: those of the list, and live events that PostgreSQL had not read.
#[derive(Default)]
struct Page {
    /// By kind and id, with the status.
    sales: BTreeMap<(String, String), String>,
}

type Positions = BTreeMap<String, BTreeMap<String, i64>>;

fn positions(value: &Value) -> Result<Positions> {
    Ok(serde_json::from_value(value.clone())?)
}

fn has_read(read: &Positions, kind: &str, partition: &str, next: i64) -> bool {
    let read = read.get(kind).and_then(|partitions| partitions.get(partition));
    read.is_some_and(|read| *read >= next)
}

/// Loads the list until it has what the tail had read when the client joined, and merges the events since.
async fn load(nginx: &Nginx, client: &LiveClient) -> Result<Page> {
    let url = format!(
        "http://127.0.0.1:{}/api/sales?store=shop-1&limit=500",
        nginx.port()
    );
    let joined = client.reloads().pop().context("a reload")?;
    let sent = positions(&joined["sent"])?;
    let (items, read) = eventually("the list to be complete", DEADLINE, async || {
        let list: Value = reqwest::get(&url).await?.error_for_status()?.json().await?;
        let read = positions(&list["read"])?;
        for (kind, partitions) in &sent {
            for (partition, next) in partitions {
                ensure!(
                    has_read(&read, kind, partition, *next),
                    "{kind} {partition}: {next} of {read:?}"
                );
            }
        }
        Ok((list["items"].clone(), read))
    })
    .await;
    let mut page = Page::default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for item in items.as_array().context("items")? {
        let key = (text(&item["kind"]), text(&item["id"]));
        page.sales.insert(key, text(&item["status"]));
    }
    for (event, data) in client.received().messages {
        let Some(kind) = event.strip_prefix("new_") else {
            continue;
        };
        let next = data["offset"].as_i64().context("an offset")? + 1;
        if !has_read(&read, kind, &data["partition"].to_string(), next) {
            let key = (kind.to_owned(), text(&data[format!("{kind}_id")]));
            page.sales.insert(key, text(&data["status"]));
        }
    }
    Ok(page)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_behind_nginx_survives_the_death_of_its_replica_and_shows_exactly_the_events_that_exist()
-> Result<()> {
    let site = Site::new().await?;
    site.create_topics(Kafka::shared().await).await?;
    site.write_keys(["shop-1"])?;
    let shops = ["shop-1".to_owned()];
    // A replica keeps its port, which nginx knows.
    let listen = [free_port()?, free_port()?].map(|port| format!("127.0.0.1:{port}"));
    let start = |at: usize| {
        let variables = [("COMPTOIR_HTTP__LISTEN", listen[at].as_str())];
        site.start_with(["one", "two"][at], &variables)
    };
    let mut replicas = [start(0)?, start(1)?];
    for replica in &mut replicas {
        wait_ready(replica).await;
    }
    let upstream = format!(
        "server {} max_fails=0; server {} max_fails=0;",
        listen[0], listen[1]
    );
    let nginx = Nginx::start(&format!(
        "map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }} upstream replicas {{ {upstream} }} \
         server {{ listen PORT; location / {{ proxy_pass http://replicas; proxy_http_version 1.1; \
         proxy_set_header Host $http_host; proxy_set_header Upgrade $http_upgrade; \
         proxy_set_header Connection $connection_upgrade; proxy_read_timeout 60s; }} }}"
    ))
    .await?;
    let url = format!("http://127.0.0.1:{}", nginx.port());
    let mut chain = Chain::new(&site.brokers, &site.prefix)?;
    let mut client = follow(&url, &of("shop-1")).await?;
    let mut round = 0;
    for death in 0..3 {
        for _ in 0..10 {
            chain.sell_and_abort(&shops, round)?;
            chain.sell(&shops, round)?;
            round += 1;
        }
        let mut serving = None;
        for (at, replica) in replicas.iter_mut().enumerate() {
            if replica.metric("comptoir_office_live_connections").await? == 1.0 {
                serving = Some(at);
            }
        }
        let at = serving.context("a replica with the page's connection")?;
        replicas[at].kill();
        // While nobody listens.
        chain.sell(&shops, round)?;
        round += 1;
        eventually("the connection to end", DEADLINE, async || {
            ensure!(client.received().has_ended);
            Ok(())
        })
        .await;
        client = follow(&url, &of("shop-1")).await?;
        chain.sell(&shops, round)?;
        round += 1;
        let expected: BTreeMap<(String, String), String> = (0..round)
            .flat_map(|round| {
                let order = (("order".to_owned(), format!("o-{round}")), "Completed".to_owned());
                let payment = (("payment".to_owned(), format!("p-{round}")), "SUCCESS".to_owned());
                [order, payment]
            })
            .collect();
        eventually("the page to show what exists", DEADLINE, async || {
            let page = load(&nginx, &client).await?;
            let invented = page.sales.keys().find(|key| !expected.contains_key(*key));
            assert!(invented.is_none(), "{invented:?} does not exist");
            ensure!(
                page.sales == expected,
                "death {death}: {} of {}",
                page.sales.len(),
                expected.len()
            );
            Ok(())
        })
        .await;
        replicas[at] = start(at)?;
        wait_ready(&mut replicas[at]).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_reads_is_disconnected_and_delays_nobody() -> Result<()> {
    // 1.2 MB, in messages of which each round has fewer than may wait.
    const ROUNDS: u32 = 30;
    let site = Site::new().await?;
    site.create_topics(Kafka::shared().await).await?;
    let shops: Vec<String> = (0..20).map(|shop| format!("shop-{shop}")).collect();
    site.write_keys(shops.iter().map(String::as_str))?;
    let mut office = site.start("one")?;
    wait_ready(&mut office).await;
    let url = office.url("").await?;
    let address = url.replacen("http://", "", 1);
    let tcp = TcpSocket::new_v4()?;
    tcp.set_recv_buffer_size(4 << 10)?;
    let tcp = tcp.connect(address.parse()?).await?;
    let (mut silent, _) = client_async(format!("ws://{address}{PATH}"), tcp).await?;
    silent.send(Message::text("40")).await?;
    eventually("the silent client to join", DEADLINE, async || {
        ensure!(office.metric("comptoir_office_live_connections").await? == 1.0);
        Ok(())
    })
    .await;
    let reader = follow(&url, &all()).await?;
    let mut chain = Chain::new(&site.brokers, &site.prefix)?;
    for round in 0..ROUNDS {
        chain.sell(&shops, round)?;
        wait_for(&reader, &names(&shops, round + 1), "all events").await;
    }
    let dropped = office.metric("comptoir_office_live_dropped_total").await?;
    assert!(dropped > 0.0, "more than the silent client's buffers hold");
    eventually("the silent client to be disconnected", DEADLINE, async || {
        let connections = office.metric("comptoir_office_live_connections").await?;
        ensure!(connections == 1.0, "{connections} connections");
        Ok(())
    })
    .await;
    assert!(!reader.received().has_ended && reader.reloads().len() == 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_clients_get_exactly_their_events() -> Result<()> {
    const SHOPS: usize = 30;
    const ROUNDS: u32 = 10;
    let site = Site::new().await?;
    site.create_topics(Kafka::shared().await).await?;
    let shops: Vec<String> = (0..SHOPS).map(|shop| format!("shop-{shop}")).collect();
    site.write_keys(shops.iter().map(String::as_str))?;
    let [mut one, mut two] = replicas(&site).await?;
    let urls = [one.url("").await?, two.url("").await?];
    // 270 on shops' pages, nine for each shop, and 30 that get everything.
    let of_shops = (0..9 * SHOPS).map(|n| {
        let (url, store) = (&urls[n % 2], &shops[n % SHOPS]);
        async move { anyhow::Ok((store, follow(url, &of(store)).await?)) }
    });
    let of_shops = try_join_all(of_shops).await?;
    let everywhere = (0..30).map(|n| {
        let url = &urls[n % 2];
        async move { follow(url, &all()).await }
    });
    let everywhere = try_join_all(everywhere).await?;
    let mut chain = Chain::new(&site.brokers, &site.prefix)?;
    for round in 0..ROUNDS {
        chain.sell(&shops, round)?;
        // As fast as one client reads.
        wait_for(&everywhere[0], &names(&shops, round + 1), "a round").await;
    }
    for client in &everywhere {
        wait_for(client, &names(&shops, ROUNDS), "all events").await;
    }
    for (store, client) in &of_shops {
        let own = [(*store).clone()];
        wait_for(client, &names(&own, ROUNDS), "the events of one shop").await;
    }
    for office in [&mut one, &mut two] {
        assert_eq!(office.metric("comptoir_office_live_connections").await?, 150.0);
        assert_eq!(office.metric("comptoir_office_live_dropped_total").await?, 0.0);
    }
    Ok(())
}
