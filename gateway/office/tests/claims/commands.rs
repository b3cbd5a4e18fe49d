//! Commands from the office's API reach the tills of real gateways, and the office knows who has received them.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use comptoir_harness::chain::Chain;
use comptoir_harness::{
    Gateway, GatewayConfig, Kafka, Mosquitto, MqttProbe, Postgres, Reader, eventually, sibling_binary,
};
use serde_json::{Value, json};

use crate::accounts::run;
use crate::office::{DEADLINE, Office, Site};

const STORE: &str = "paris-1";
/// Deadline for a change in a gateway's state, which is published within half a minute.
const STATE: Duration = Duration::from_secs(90);

fn message(to: &str, text: &str) -> Value {
    json!({"to": to, "command": {"type": "message", "text": text}})
}

/// Sends a command and returns its id.
async fn send(office: &mut Office, body: &Value) -> Result<i64> {
    let (status, answer) = office.post("/api/commands", &[], body).await?;
    ensure!(status == 201, "{status}: {answer}");
    answer["id"].as_i64().context("no id")
}

/// Waits until the receipt of a shop has this state, and returns it.
async fn receipt(office: &mut Office, id: i64, store: &str, state: &str) -> Value {
    let mut found = Value::Null;
    eventually(state, STATE, async || {
        let details = office.get_json(&format!("/api/commands/{id}")).await?;
        let receipts = details["receipts"].as_array().context("receipts")?;
        let receipt = receipts.iter().find(|receipt| receipt["store"] == store);
        found = receipt.context("no receipt")?.clone();
        ensure!(found["state"] == state, "{details}");
        Ok(())
    })
    .await;
    found
}

async fn wait_for_shops(office: &mut Office, count: usize) {
    eventually("the shops", DEADLINE, async || {
        let overview = office.get_json("/api/shops").await?;
        ensure!(
            overview["shops"].as_array().map(Vec::len) == Some(count),
            "{overview}"
        );
        Ok(())
    })
    .await;
}

/// Changes the database of a site from outside.
async fn sql(site: &Site, statement: &str) -> Result<String> {
    let database = site.postgres.rsplit('/').next().unwrap_or_default();
    Postgres::shared().await.query(database, statement).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_reaches_its_till_once_although_the_office_is_killed_at_any_point() -> Result<()> {
    let kafka = Kafka::shared().await;
    let site = Site::new().await?;
    site.create_topics(kafka).await?;
    let mosquitto = Mosquitto::start().await?;
    let config = GatewayConfig::new(STORE, &mosquitto.url()).kafka(&site.brokers, &site.prefix);
    let mut gateway = Gateway::spawn(sibling_binary("gateway")?, config)?;
    gateway.wait_ready().await?;
    let (_, key) = gateway.run(&["recovery-code", "--shop-key"], DEADLINE).await?;
    let key = key.lines().last().context("no key")?.trim().to_owned();
    fs::write(site.scratch.join("shop-keys"), format!("{STORE} {key}\n"))?;
    let mut till = MqttProbe::connect(&mosquitto.url()).await?;
    till.subscribe(&format!("pos/{STORE}/+/commands")).await?;
    let mut office = site.start("one")?;
    wait_for_shops(&mut office, 1).await;

    // It dies after it has stored the command, and before it sends it.
    sql(
        &site,
        "INSERT INTO command_stream (store, next_attempt) VALUES ('paris-1', now() + interval '1 day')",
    )
    .await?;
    let first = send(&mut office, &message("paris-1/till-1", "Bonjour")).await?;
    receipt(&mut office, first, STORE, "waiting").await;
    office.kill();
    sql(&site, "UPDATE command_stream SET next_attempt = now()").await?;
    office = site.start("one")?;
    let got = till.next(DEADLINE).await?;
    assert_eq!(got.topic, format!("pos/{STORE}/till-1/commands"));
    assert_eq!(got.payload, r#"{"type":"message","text":"Bonjour"}"#);
    let confirmed = receipt(&mut office, first, STORE, "handed-over").await;
    assert!(confirmed["in_kafka"].is_string() && confirmed["handed_over"].is_string());

    // It dies after Kafka has the command, and before it notes that.
    office.kill();
    sql(&site, "UPDATE command_delivery SET sent = NULL").await?;
    // The gateway recognises the second record although it was killed, too.
    gateway.kill9()?;
    gateway.start_again()?;
    office = site.start("one")?;
    let second = send(&mut office, &message("paris-1/till-1", "Au revoir")).await?;
    let got = till.next(DEADLINE).await?;
    assert_eq!(got.payload, r#"{"type":"message","text":"Au revoir"}"#);
    receipt(&mut office, second, STORE, "handed-over").await;
    let topic = format!("{}commands.{STORE}", site.prefix);
    let records = Reader::new(&site.brokers).read(&[topic], DEADLINE).await?;
    let numbers: Vec<_> = records
        .iter()
        .filter_map(|record| record.header("ce_comptoircommand")?.rsplit('/').next())
        .collect();
    assert_eq!(numbers, ["1", "1", "2"], "Kafka has the first command twice");
    assert!(office.terminate().await?.success(), "{}", office.log());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_to_all_shops_has_a_receipt_of_each() -> Result<()> {
    let kafka = Kafka::shared().await;
    let site = Site::new().await?;
    site.create_topics(kafka).await?;
    let stores = ["lyon-2", "nantes-3", "nice-4", "paris-1"];
    site.write_keys(stores)?;
    // The topic of Nice does not exist, and delays no other shop.
    for store in ["lyon-2", "nantes-3", "paris-1"] {
        kafka
            .create_topic(&format!("{}commands.{store}", site.prefix), 1, &[])
            .await?;
    }
    let chain = Chain::new(&site.brokers, &site.prefix)?;
    let publish = |store: &str, second: u32, commands: &str| {
        let state = format!(
            r#"{{"time":"2026-01-30T10:00:{second:02}Z","version":"0.5.0","started":"2026-01-30T09:00:00Z","last_exit":"stopped","journal":{{"bytes":1,"max_bytes":100}}{commands},"devices":[{{"device":"till-2","received":1}},{{"device":"till-1","received":1}}]}}"#
        );
        chain.publish(store, &state)
    };
    publish("paris-1", 1, r#","commands":{}"#)?;
    publish("nantes-3", 1, r#","commands":{}"#)?;
    publish("nice-4", 1, r#","commands":{}"#)?;
    // A gateway of an earlier version.
    publish("lyon-2", 1, "")?;
    let mut office = site.start("one")?;
    wait_for_shops(&mut office, 4).await;
    let tills = office.get_json("/api/commands/targets?store=lyon-2").await?;
    assert_eq!(tills, json!({"tills": ["till-1", "till-2"]}));

    let prices = json!({"to": "*", "command": {"type": "price_list", "currency": "EUR",
        "prices": [{"product": "Pain", "unit_price": 1.1}]}});
    let id = send(&mut office, &prices).await?;
    receipt(&mut office, id, "paris-1", "in-kafka").await;
    receipt(&mut office, id, "lyon-2", "unknown").await;
    receipt(&mut office, id, "nice-4", "waiting").await;
    let topic = format!("{}commands.paris-1", site.prefix);
    let records = Reader::new(&site.brokers).read(&[topic], DEADLINE).await?;
    let [record] = &records[..] else {
        panic!("{records:?}");
    };
    assert_eq!(record.key_text(), Some("paris-1"));
    assert_eq!(
        record.value,
        br#"{"type":"price_list","currency":"EUR","prices":[{"product":"Pain","unit_price":1.10}]}"#
    );
    let epoch = |store| sql(&site, store);
    let paris = epoch("SELECT epoch FROM command_stream WHERE store = 'paris-1'").await?;
    let nantes = epoch("SELECT epoch FROM command_stream WHERE store = 'nantes-3'").await?;
    let handled =
        |epoch: &str, numbers: &str| format!(r#","commands":{{"epoch":{},{numbers}}}"#, epoch.trim());
    publish("paris-1", 2, &handled(&paris, r#""last":1"#))?;
    // It has read on behind the command, which Kafka no longer had.
    publish("nantes-3", 2, &handled(&nantes, r#""first":2,"last":2"#))?;
    receipt(&mut office, id, "paris-1", "handed-over").await;
    receipt(&mut office, id, "nantes-3", "missed").await;
    // A later state withdraws nothing, for example of a new computer.
    publish("paris-1", 3, r#","commands":{}"#)?;
    publish("nantes-3", 3, r#","commands":{}"#)?;
    receipt(&mut office, id, "nantes-3", "in-kafka").await;
    receipt(&mut office, id, "paris-1", "handed-over").await;
    let page = office.get_json("/api/commands?limit=1").await?;
    let counts =
        json!({"shops": 4, "waiting": 1, "in_kafka": 1, "handed_over": 1, "missed": 0, "unknown": 1});
    assert_eq!(page["items"][0]["receipts"], counts);
    assert_eq!(page["items"][0]["prices"], 1);

    // An old copy of the database gives numbers that the gateway has: the next command has a new epoch.
    publish("paris-1", 4, &handled(&paris, r#""last":5"#))?;
    eventually("the state", DEADLINE, async || {
        let last = epoch("SELECT commands_last FROM shop WHERE store = 'paris-1'").await?;
        ensure!(last.trim() == "5", "{last}");
        Ok(())
    })
    .await;
    let id = send(&mut office, &message("paris-1", "Bonjour")).await?;
    receipt(&mut office, id, "paris-1", "in-kafka").await;
    let anew = epoch("SELECT epoch, next FROM command_stream WHERE store = 'paris-1'").await?;
    assert!(
        !anew.starts_with(&format!("{}|", paris.trim())) && anew.trim().ends_with("|2"),
        "{anew}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_not_valid_or_not_from_the_office_is_refused() -> Result<()> {
    let kafka = Kafka::shared().await;
    let site = Site::new().await?;
    site.create_topics(kafka).await?;
    site.write_keys(["paris-1"])?;
    let mut chain = Chain::new(&site.brokers, &site.prefix)?;
    chain.sell(&["paris-1".to_owned()], 0)?;
    let mut office = site.start("one")?;
    wait_for_shops(&mut office, 1).await;
    let price = json!({"to": "*", "command": {"type": "price_list", "currency": "EUR",
        "prices": [{"product": "Pain", "unit_price": 1.005}]}});
    for (body, field) in [
        (message("Paris", "a"), "to"),
        (message("lyon-2", "a"), "to"),
        (message("paris-1", ""), "command.text"),
        (price, "command.prices[0].unit_price"),
    ] {
        let (status, answer) = office.post("/api/commands", &[], &body).await?;
        ensure!(
            (status, &answer["field"]) == (422, &json!(field)),
            "{body}: {status} {answer}"
        );
    }
    let large = message("paris-1", &"a".repeat(70_000));
    assert_eq!(office.post("/api/commands", &[], &large).await?.0, 413);
    for (header, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "http://localhost:1"),
        ("origin", "null"),
    ] {
        let (status, answer) = office
            .post("/api/commands", &[(header, value)], &message("paris-1", "a"))
            .await?;
        ensure!(status == 403, "{header}: {value}: {status} {answer}");
    }
    let form = [("content-type", "text/plain")];
    let (status, _) = office
        .post("/api/commands", &form, &message("paris-1", "a"))
        .await?;
    assert_eq!(status, 415);
    assert_eq!(office.get_json("/api/commands").await?, json!({"items": []}));

    // The same request twice is one command, and another one with its key is refused.
    let key = [("idempotency-key", "7c1e")];
    let mut ids = Vec::new();
    for _ in 0..2 {
        let (status, answer) = office
            .post("/api/commands", &key, &message("paris-1", "a"))
            .await?;
        ensure!(status == 201, "{answer}");
        ids.push(answer["id"].clone());
    }
    assert_eq!(ids[0], ids[1]);
    let (status, answer) = office
        .post("/api/commands", &key, &message("paris-1", "b"))
        .await?;
    assert_eq!((status, &answer["field"]), (422, &json!("Idempotency-Key")));
    for path in ["/api/commands/999999", "/api/commands/none"] {
        assert_eq!(office.get(path).await?.0, 404);
    }
    for text in ["b", "c"] {
        send(&mut office, &message("paris-1", text)).await?;
    }
    let newest = office.get_json("/api/commands?limit=2").await?;
    assert_eq!(newest["items"][0]["text"], "c");
    let older = office
        .get_json(&format!("/api/commands?limit=2&after={}", newest["next"]))
        .await?;
    assert_eq!(older["items"][0]["text"], "a");
    assert!(older.get("next").is_none() && older["items"].as_array().map(Vec::len) == Some(1));

    // Tokens may have the same name: each has idempotency keys of its own.
    let mut ids = Vec::new();
    for text in ["of the first", "of the second"] {
        let token = run(&site, &["tokens", "add", "price list", "--role", "manager"], "")?;
        let bearer = format!("Bearer {token}");
        let headers = [("idempotency-key", "7c1f"), ("authorization", bearer.as_str())];
        let (status, answer) = office
            .post("/api/commands", &headers, &message("paris-1", text))
            .await?;
        ensure!(status == 201, "{status} {answer}");
        ids.push(answer["id"].clone());
    }
    assert_ne!(ids[0], ids[1]);
    Ok(())
}
