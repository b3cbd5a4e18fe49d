//! The audit log: each change and its author are in Kafka exactly once, cannot be altered without a trace, and keep no
//! till from selling.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use anyhow::{Context, Result, ensure};
use comptoir_core::mac::SignedRecord;
use comptoir_core::shop_secret::ShopSecret;
use comptoir_harness::{Gateway, Kafka, PosSim, Reader, Record, within};
use futures::StreamExt as _;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, SqliteConnection};

use crate::shop::{LATER, SOON, STORE, Shop};
use crate::sign_in::{add_user, closed, request, session};

/// A shop with an administrator, a cashier and a manager's token.
async fn open(brokers: &str, max_bytes: Option<u64>) -> Result<(Shop, String)> {
    let shop = Shop::open_with(brokers, |mut config| {
        config.open = false;
        config.max_bytes = max_bytes;
        config
    })
    .await?;
    add_user(&shop.gateway, "paul", "administrator").await?;
    add_user(&shop.gateway, "zoé", "cashier").await?;
    let (status, token) = shop
        .gateway
        .run(&["tokens", "add", "a test", "--role", "manager"], SOON)
        .await?;
    ensure!(status.success(), "{token}");
    Ok((shop, token.trim().to_owned()))
}

/// The whole log as the page shows it, by id.
async fn log(gateway: &Gateway, token: &str) -> Result<BTreeMap<u64, Value>> {
    let mut entries = BTreeMap::new();
    let mut path = "/api/audit?limit=500".to_owned();
    loop {
        let answer = request(gateway, Method::GET, &path)?
            .bearer_auth(token)
            .send()
            .await?;
        ensure!(answer.status() == 200, "{}", answer.status());
        let page: Value = serde_json::from_str(&answer.text().await?)?;
        for entry in page["entries"].as_array().context("entries")? {
            entries.insert(entry["id"].as_str().context("id")?.parse()?, entry.clone());
        }
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/api/audit?limit=500&cursor={cursor}"),
            None => return Ok(entries),
        }
    }
}

/// The committed records of the topic `audit`.
async fn records(shop: &Shop) -> Result<Vec<Record>> {
    Reader::new(&shop.brokers)
        .read(&[shop.topic("audit")], LATER)
        .await
}

/// Waits until Kafka has as many records as the log has entries, and compares them one by one.
async fn log_is_in_kafka(shop: &Shop, token: &str) -> Result<BTreeMap<u64, Value>> {
    within("the audit log to be in Kafka", LATER, async || {
        let (log, records) = (log(&shop.gateway, token).await?, records(shop).await?);
        ensure!(records.len() >= log.len(), "{} of {}", records.len(), log.len());
        Ok(())
    })
    .await?;
    let (log, records) = (log(&shop.gateway, token).await?, records(shop).await?);
    let (_, code) = shop.gateway.run(&["recovery-code"], SOON).await?;
    let code = code
        .lines()
        .find_map(|line| ShopSecret::from_code(line.trim()).ok());
    let key = code.context("no recovery code")?.record_key();
    let mut found = BTreeMap::new();
    for record in &records {
        let json = record.json()?;
        let id = json["id"].as_u64().context("id")?;
        let name = record.ce_id().context("no ce_id")?;
        ensure!(
            name.starts_with("paris-1/_gateway/") && name.ends_with(&format!("/{id}")),
            "{name}"
        );
        ensure!(record.key_text() == Some(STORE) && record.header("ce_type") == Some("comptoir.audit"));
        let signed = SignedRecord {
            ce_id: name.as_bytes(),
            ce_type: b"comptoir.audit",
            key: STORE.as_bytes(),
            value: &record.value,
        };
        let code = record.header("ce_comptoirmac").context("not signed")?;
        ensure!(
            signed.verify(&key, code.as_bytes()),
            "{name} has a wrong signature"
        );
        ensure!(found.insert(id, json).is_none(), "entry {id} is in Kafka twice");
    }
    ensure!(
        found.keys().eq(log.keys()),
        "{:?}, not {:?}",
        found.keys(),
        log.keys()
    );
    let mut previous = json!("0".repeat(64));
    for (id, entry) in &log {
        let record = &found[id];
        for field in [
            "time",
            "actor",
            "actor_kind",
            "address",
            "action",
            "subject",
            "before",
            "after",
        ] {
            ensure!(record[field] == entry[field], "{field}: {record}, not {entry}");
        }
        ensure!(
            record["previous"] == previous,
            "entry {id} does not follow the one before"
        );
        previous = record["hash"].clone();
    }
    let (status, said) = shop.gateway.run(&["audit", "verify"], SOON).await?;
    let tip = previous.as_str().context("hash")?;
    ensure!(status.success() && said.contains(tip), "{said}");
    Ok(log)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_entry_is_in_kafka_exactly_once_even_if_the_gateway_is_killed_during_a_burst() -> Result<()> {
    let (mut shop, token) = open(Kafka::shared().await.brokers(), None).await?;
    let wrong = json!({"name": "zoé", "password": "not the password"});
    let refused = request(&shop.gateway, Method::POST, "/api/session")?.json(&wrong);
    ensure!(refused.send().await?.status() == 401);
    let mut sold = Vec::new();
    for round in 0..3 {
        let cookie = session(&shop.gateway, "zoé").await?;
        let pay = async |number: usize| {
            let id = format!("p-{round}-{number}");
            let payment = json!({"payment_id": id, "order_id": "o-1", "amount": 2.50, "method": "Cash"});
            let request = request(&shop.gateway, Method::POST, "/api/payments")?.json(&payment);
            let answer = request.header("cookie", &cookie).send().await?;
            ensure!(answer.status() == 201, "{}", answer.status());
            Ok(id)
        };
        let mut burst = futures::stream::iter((0..60).map(pay)).buffer_unordered(8);
        // Kills the gateway while later payments are under way.
        for _ in 0..20 + 10 * round {
            sold.push(burst.next().await.context("the burst has ended")??);
        }
        drop(burst);
        shop.gateway.kill9()?;
        shop.gateway.start_again()?;
        shop.gateway.wait_ready().await?;
    }
    let log = log_is_in_kafka(&shop, &token).await?;
    let of =
        |action: &str| -> Vec<&Value> { log.values().filter(|entry| entry["action"] == action).collect() };
    for id in sold {
        let count = of("payment-posted")
            .iter()
            .filter(|entry| entry["subject"] == id.as_str())
            .count();
        ensure!(count == 1, "{id} has {count} entries");
    }
    ensure!(
        of("payment-posted")
            .iter()
            .all(|entry| entry["actor"] == "zoé" && entry["after"]["amount"] == 2.5)
    );
    ensure!(of("sign-in-failed").len() == 1 && of("user-added").len() == 2 && of("signed-in").len() == 3);

    // Audit entries do not count as sales of a till.
    let answer = request(&shop.gateway, Method::GET, "/api/gateway")?.bearer_auth(&token);
    let status: Value = serde_json::from_str(&answer.send().await?.text().await?)?;
    let devices = status["devices"].as_array().context("devices")?;
    ensure!(
        devices.iter().all(|device| device["device"] == "counter"),
        "{}",
        status["devices"]
    );
    // A payment whose request was cut off may be stored without an entry, but no entry counts as an event.
    ensure!(status["journal"]["events"] == devices[0]["stored"], "{status}");
    Ok(())
}

/// The accounts file, opened like by a person with a shell on the gateway's machine.
async fn accounts_file(gateway: &Gateway) -> Result<SqliteConnection> {
    let path = gateway.journal_path().with_file_name("journal-accounts.db");
    Ok(SqliteConnectOptions::new().filename(path).connect().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_entry_is_found_by_gateway_audit_verify() -> Result<()> {
    let (_mosquitto, gateway) = closed("").await?;
    for name in ["zoé", "ali", "eva"] {
        add_user(&gateway, name, "cashier").await?;
    }
    let (status, said) = gateway.run(&["audit", "verify"], SOON).await?;
    ensure!(status.success() && said.contains("All 4 entries fit"), "{said}");
    let (status, said) = gateway.run(&["audit"], SOON).await?;
    ensure!(
        status.success() && said.lines().count() == 4 && said.contains("user-added \"zoé\"  by system"),
        "{said}"
    );

    let mut file = accounts_file(&gateway).await?;
    let change = "UPDATE audit SET subject = 'bob' WHERE subject = 'ali'";
    ensure!(
        sqlx::query(change).execute(&mut file).await.is_err(),
        "the log can be changed"
    );
    sqlx::query("DROP TRIGGER audit_is_not_changed")
        .execute(&mut file)
        .await?;
    sqlx::query(change).execute(&mut file).await?;
    let (status, said) = gateway.run(&["audit", "verify"], SOON).await?;
    ensure!(
        status.code() == Some(1) && said.contains("entry 3 of the audit log"),
        "{said}"
    );
    Ok(())
}

/// The number of entries of a kind in the journal: 4 are acts, 5 failed sign-ins.
async fn journaled(gateway: &Gateway, kind: i64) -> Result<i64> {
    let options = SqliteConnectOptions::new()
        .filename(gateway.journal_path())
        .read_only(true);
    let query = sqlx::query_scalar("SELECT count(*) FROM entry WHERE kind = ?").bind(kind);
    Ok(query.fetch_one(&mut options.connect().await?).await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_failed_sign_ins_stops_no_till_and_delays_no_other_entry() -> Result<()> {
    let mut kafka = Kafka::start().await?;
    // Failed sign-ins may take one sixty-fourth: 32 KiB, which is fewer than a hundred entries.
    let (shop, token) = open(kafka.brokers(), Some(2 << 20)).await?;
    let cookie = session(&shop.gateway, "zoé").await?;
    kafka.stop().await?;
    let addresses = 200;
    let guess = async |number: u8| {
        let client = Client::builder().local_address(Some(Ipv4Addr::new(127, 0, 1, number).into()));
        let guess = json!({"name": "zoé", "password": format!("guess {number}")});
        let request = client
            .build()?
            .post(shop.gateway.http_url()? + "/api/session")
            .json(&guess);
        let status = request.send().await?.status().as_u16();
        ensure!([401, 429].contains(&status), "{status}");
        Ok(())
    };
    let flood: Vec<Result<()>> = futures::stream::iter((1..=addresses).map(guess))
        .buffer_unordered(20)
        .collect()
        .await;
    flood.into_iter().collect::<Result<Vec<()>>>()?;
    let payment = json!({"payment_id": "p-1", "order_id": "o-1", "amount": 2.50, "method": "Cash"});
    let sold = request(&shop.gateway, Method::POST, "/api/payments")?.json(&payment);
    ensure!(sold.header("cookie", &cookie).send().await?.status() == 201);
    // The start of the chain, two users and a token that were added, a sign-in, and the payment.
    within("the payment's entry to be in the journal", SOON, async || {
        let acts = journaled(&shop.gateway, 4).await?;
        ensure!(acts == 6, "{acts}");
        Ok(())
    })
    .await?;
    let guesses = journaled(&shop.gateway, 5).await?;
    ensure!(
        (1..i64::from(addresses)).contains(&guesses),
        "{guesses} failed sign-ins are in the journal"
    );

    let events = 300;
    let url = shop.mosquitto.url();
    let load = ["--devices", "3", "--rate", "0", "--events", &events.to_string()];
    let mut sim = PosSim::spawn(["--broker", &url, "--store", STORE].into_iter().chain(load))?;
    sim.finish(LATER).await?;
    let answer = request(&shop.gateway, Method::GET, "/api/gateway")?.bearer_auth(&token);
    let status: Value = serde_json::from_str(&answer.send().await?.text().await?)?;
    ensure!(
        status["refused"] == json!([]) && status["journal"]["refusing"] == false,
        "{status}"
    );

    kafka.start_again().await?;
    let log = log_is_in_kafka(&shop, &token).await?;
    let guesses = log
        .values()
        .filter(|entry| entry["action"] == "sign-in-failed")
        .count();
    ensure!(guesses == usize::from(addresses), "{guesses}");
    Ok(())
}
