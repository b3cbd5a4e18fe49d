//! Other clients may write to the gateway's topics in Kafka. Their records neither hide, confirm, change nor add a sale
//! of this shop, and every page still loads.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use comptoir_harness::{Kafka, Reader, Scratch, within};
use comptoir_kafka::WATERMARKS;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::{Value, json};

use crate::shop::{SOON, STORE, Shop};
use crate::shop_secret::recovery_code;

/// Writes a record as another client that may write to the topic.
async fn write(
    shop: &Shop,
    topic: &str,
    key: &str,
    value: Option<&str>,
    headers: &[(&str, &str)],
) -> Result<()> {
    let topic = match topic {
        WATERMARKS => shop.shop_topic(topic),
        _ => shop.topic(topic),
    };
    write_to(shop, &topic, key, value, headers).await
}

/// Like [`write`], into a topic with this full name.
async fn write_to(
    shop: &Shop,
    topic: &str,
    key: &str,
    value: Option<&str>,
    headers: &[(&str, &str)],
) -> Result<()> {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", &shop.brokers)
        .create()?;
    let headers = headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
        headers.insert(Header {
            key,
            value: Some(*value),
        })
    });
    let mut record = FutureRecord::<str, str>::to(topic).key(key).headers(headers);
    record.payload = value;
    let sent = producer.send(record, Duration::from_secs(10)).await;
    sent.map(|_| ()).map_err(|(error, _)| error.into())
}

/// Takes a payment over HTTP.
pub async fn pay(shop: &Shop, id: &str) -> Result<Value> {
    let payment = json!({"payment_id": id, "order_id": format!("o-{id}"), "amount": 12.5, "method": "Cash", "status": "SUCCESS"});
    let (status, _, payment) = shop.gateway.post_json("/api/payments", &payment).await?;
    ensure!(status == 201, "{status} {payment}");
    Ok(payment)
}

fn payment_of(store: &str, id: &str, amount: &str, status: &str) -> String {
    format!(
        r#"{{"payment_id":"{id}","order_id":"o-{id}","amount":{amount},"currency":"EUR","method":"Cash","status":"{status}","timestamp":"2026-11-22T10:00:00Z","store":"{store}","device":"counter"}}"#
    )
}

/// Waits until the status of a peer contains a warning with these words.
async fn wait_for_warning(shop: &Shop, peer: &str, words: &[&str]) -> Result<()> {
    within(&format!("a warning of {peer}"), SOON, async || {
        let status = shop.gateway.get_json("/api/gateway").await?;
        let warnings = status[peer]["warnings"].as_array().cloned().unwrap_or_default();
        let fits = |warning: &Value| {
            let warning = warning.as_str().unwrap_or_default();
            words.iter().all(|word| warning.contains(word))
        };
        ensure!(warnings.iter().any(fits), "{words:?} are not in {warnings:?}");
        Ok(())
    })
    .await
}

async fn metric(shop: &Shop, name: &str) -> Result<u64> {
    let (_, text) = shop.gateway.get("/metrics").await?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .with_context(|| format!("{name} is not in {text}"))?;
    Ok(line.parse()?)
}

/// Restarts the gateway with other Kafka brokers.
async fn restart_on(shop: &mut Shop, brokers: &str) -> Result<()> {
    let config = shop.gateway.config().clone().kafka(brokers, &shop.prefix);
    *shop.gateway.config() = config;
    shop.gateway.start_again()?;
    shop.gateway.wait_ready().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_watermark_hides_and_confirms_no_sale() -> Result<()> {
    let mut shop = Shop::open_reading_all().await?;
    for n in 1..=3 {
        pay(&shop, &format!("p-{n}")).await?;
    }
    shop.drained(3, SOON).await?;
    ensure!(shop.gateway.terminate().await?.success());
    let (kafka, topic) = (shop.brokers.clone(), shop.shop_topic(WATERMARKS));
    let marks = Reader::new(&kafka).read(&[topic], SOON).await?;
    let genuine = marks.last().context("a watermark")?;
    let (key, mark) = (genuine.key_text().context("key")?.to_owned(), genuine.json()?);
    ensure!(mark["offset"] == 3 && mark["mac"].is_string(), "{mark}");
    // Seven sales are acknowledged while Kafka is away.
    restart_on(&mut shop, "127.0.0.1:1").await?;
    for n in 4..=10 {
        pay(&shop, &format!("p-{n}")).await?;
    }
    ensure!(shop.gateway.terminate().await?.success());
    // Forged watermarks claim that they are in Kafka: in the form of an earlier version, with a copied signature, and
    // with arbitrary numbers.
    let event = format!("{STORE}/counter/0/10");
    for (offset, run, mac) in [
        (10, Value::Null, Value::Null),
        (10, mark["run"].clone(), mark["mac"].clone()),
        (7, Value::Null, json!("v1.AAAAAAAAAAAAAAAAAAAAAA")),
        (9_000, json!("another"), Value::Null),
    ] {
        let mut forged = json!({"offset": offset, "event": event, "run": run});
        if !mac.is_null() {
            forged["mac"] = mac;
        }
        write(&shop, WATERMARKS, &key, Some(&forged.to_string()), &[]).await?;
    }
    restart_on(&mut shop, &kafka).await?;
    shop.drained(10, SOON).await?;
    let records = shop.records().await?;
    ensure!(records.len() == 10, "{} records of 10 sales", records.len());
    wait_for_warning(&shop, "bridge", &["forged", "comptoir-watermarks"]).await?;
    let forged = metric(&shop, "comptoir_kafka_forged_watermarks_total").await?;
    ensure!(forged == 4, "{forged}");
    let log = shop.gateway.log();
    ensure!(!log.contains("the journal is a copy"), "{log}");
    // Every sale is confirmed by its own record.
    within("every sale to be confirmed", SOON, async || {
        let page = shop.gateway.get_json("/api/payments").await?;
        let items = page["items"].as_array().context("items")?;
        ensure!(
            items.len() == 10 && items.iter().all(|item| item["offset"].is_i64()),
            "{page}"
        );
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_only_claims_to_be_this_shops_changes_and_adds_nothing() -> Result<()> {
    let shop = Shop::open_reading_all().await?;
    let sold = pay(&shop, "p-1").await?;
    pay(&shop, "p-2").await?;
    shop.drained(2, SOON).await?;
    let records = shop.records().await?;
    let genuine = records
        .iter()
        .find(|record| record.ce_id() == sold["ce_id"].as_str())
        .context("the record of p-1")?;
    let header = |name: &str| genuine.header(name).unwrap_or_default().to_owned();
    let (journal, code) = (header("ce_journal"), header("ce_comptoirmac"));
    ensure!(code.starts_with("v1."), "{genuine:?}");
    let key = genuine.key_text().context("key")?.to_owned();
    let failed = payment_of(STORE, "p-1", "12.50", "FAILED");
    let huge = payment_of(STORE, "p-3", "9999999999.00", "SUCCESS");
    let whole = String::from_utf8(genuine.value.clone())?;
    let id = header("ce_id");
    let ours = [
        ("ce_id", id.as_str()),
        ("ce_type", "comptoir.payment"),
        ("ce_journal", journal.as_str()),
    ];
    let with = |more: &[(&'static str, &'static str)]| [&ours[..], more].concat();
    let signed = [
        &ours[..],
        &[("ce_journaloffset", "1"), ("ce_comptoirmac", code.as_str())],
    ]
    .concat();
    let moved = [
        &ours[..],
        &[("ce_journaloffset", "2"), ("ce_comptoirmac", code.as_str())],
    ]
    .concat();
    for (value, headers) in [
        // The name of our event, with another status.
        (&failed, with(&[("ce_journaloffset", "1")])),
        // The same, with the signature of the genuine record.
        (&failed, signed),
        // The genuine record, with the journal offset of another sale.
        (&whole, moved),
        // Sales of this shop that never happened.
        (&huge, vec![("ce_id", "paris-1/till-1/7/1")]),
        (&huge, Vec::new()),
        (&huge, with(&[("ce_journaloffset", "900")])),
    ] {
        write(&shop, "payments", &key, Some(value), &headers).await?;
    }
    // This record follows them in the same partition: once it is shown, the others have been read.
    let other = payment_of("lyon-2", "p-9", "1.00", "SUCCESS");
    write(
        &shop,
        "payments",
        &key,
        Some(&other),
        &[("ce_id", "lyon-2/counter/0/1")],
    )
    .await?;
    within("the other shop's payment", SOON, async || {
        let page = shop.gateway.get_json("/api/payments?store=lyon-2").await?;
        ensure!(page["items"][0]["payment_id"] == "p-9", "{page}");
        Ok(())
    })
    .await?;
    let page = shop.gateway.get_json("/api/payments").await?;
    let items = page["items"].as_array().context("items")?;
    ensure!(items.len() == 2, "{page}");
    for item in items {
        ensure!(item["status"] == "SUCCESS" && item["origin"] == "local", "{item}");
    }
    let own = items
        .iter()
        .find(|item| item["payment_id"] == "p-1")
        .context("p-1")?;
    ensure!(own["offset"] == genuine.offset, "confirmed elsewhere: {own}");
    let stats = shop.gateway.get_json("/api/stats").await?;
    ensure!(
        stats["total_revenue"] == 25.0 && stats["failed_payments"] == 0,
        "{stats}"
    );
    ensure!(metric(&shop, "comptoir_kafka_forged_records_total").await? == 6);
    wait_for_warning(
        &shop,
        "kafka",
        &["6 records", "claim to be this shop's", "payments"],
    )
    .await?;
    let lines = shop.gateway.log().matches("claim to be this shop's").count();
    ensure!(lines == 1, "{lines} log lines in a minute");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_not_a_sale_is_left_out_and_blanks_no_page() -> Result<()> {
    let shop = Shop::open_reading_all().await?;
    // Otherwise the topics do not exist yet.
    pay(&shop, "p-1").await?;
    shop.drained(1, SOON).await?;
    let long = payment_of("lyon-2", &"x".repeat(129), "1.00", "SUCCESS");
    let bad = [
        Some(r#"{"payment_id":"x","status":"SUCCESS","amount":9}"#.to_owned()),
        Some(payment_of("lyon-2", "x", "-1.00", "SUCCESS")),
        Some(payment_of("lyon-2", "x", "1.00", "PAID")),
        Some(payment_of("Lyon 2", "x", "1.00", "SUCCESS")),
        Some(payment_of("lyon-2", "x", "1.00", "SUCCESS").replace("2026-11-22T10:00:00Z", "+12026-11-22")),
        Some(long),
        Some("[".repeat(10_000)),
        None,
    ];
    for value in &bad {
        write(&shop, "payments", "o", value.as_deref(), &[]).await?;
    }
    let good = payment_of("lyon-2", "p-9", "1.00", "SUCCESS");
    let padded = good.replacen('{', r#"{"note":"<script>","#, 1);
    let name = "y".repeat(5_000);
    write(&shop, "payments", "o", Some(&padded), &[("ce_id", name.as_str())]).await?;
    let page = within("the other shop's payment", SOON, async || {
        let page = shop.gateway.get_json("/api/payments?store=lyon-2").await?;
        ensure!(page["items"][0]["payment_id"] == "p-9", "{page}");
        Ok(page)
    })
    .await?;
    ensure!(page["items"].as_array().map(Vec::len) == Some(1), "{page}");
    let shown = &page["items"][0];
    ensure!(
        shown["note"].is_null(),
        "only the fields of a payment are shown: {shown}"
    );
    let name = shown["ce_id"].as_str().unwrap_or_default();
    ensure!(name.starts_with("payments/") && name.len() < 50, "{shown}");
    ensure!(metric(&shop, "comptoir_kafka_invalid_records_total").await? == bad.len() as u64);
    wait_for_warning(&shop, "kafka", &["8 records", "not valid sales"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_another_journal_changes_no_sale_of_this_one() -> Result<()> {
    let mut shop = Shop::open_reading_all().await?;
    let order = json!({"order_id": "o-1", "product": "Pain", "amount": 2, "status": "Pending"});
    shop.gateway.post_json("/api/orders", &order).await?;
    shop.drained(1, SOON).await?;
    let scratch = Scratch::new("backup")?;
    let copy = scratch.join("journal.db");
    let file = copy.to_string_lossy().into_owned();
    let (status, said) = shop.gateway.run(&["backup", &file], SOON).await?;
    ensure!(status.success(), "{said}");
    let change = json!({"order_id": "o-1", "status": "Completed"});
    let (status, _, changed) = shop.gateway.post_json("/api/orders", &change).await?;
    ensure!(status == 201, "{changed}");
    shop.drained(2, SOON).await?;
    ensure!(shop.gateway.terminate().await?.success());
    let (_, code) = recovery_code(&shop, &[], "")?;
    // Another computer continues with the copy, and reads in Kafka what the lost one did.
    shop.gateway.config().journal_path = Some(copy);
    let (status, _) = shop.gateway.run(&["check", "--offline"], SOON).await?;
    ensure!(status.success());
    let (restored, said) = recovery_code(&shop, &["--restore"], &code)?;
    ensure!(restored, "{said}");
    shop.gateway.start_again()?;
    shop.gateway.wait_ready().await?;
    wait_for_warning(
        &shop,
        "kafka",
        &["1 records of other journals", "\"o-1\" is Completed"],
    )
    .await?;
    let page = shop.gateway.get_json("/api/orders").await?;
    let items = page["items"].as_array().context("items")?;
    ensure!(
        items.len() == 1 && items[0]["status"] == "Pending" && items[0]["origin"] == "local",
        "{page}"
    );
    ensure!(metric(&shop, "comptoir_kafka_kept_apart").await? == 1);
    ensure!(metric(&shop, "comptoir_kafka_forged_records_total").await? == 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_unsigned_watermark_of_an_earlier_version_counts_once_if_it_fits_the_journal() -> Result<()> {
    let kafka = Kafka::shared().await;
    let mut shop = Shop::open_reading_all().await?;
    for n in 1..=5 {
        pay(&shop, &format!("p-{n}")).await?;
    }
    shop.drained(5, SOON).await?;
    ensure!(shop.gateway.terminate().await?.success());
    let topic = shop.shop_topic(WATERMARKS);
    let marks = Reader::new(&shop.brokers).read(&[&topic], SOON).await?;
    let genuine = marks.last().context("a watermark")?;
    let key = genuine.key_text().context("key")?.to_owned();
    let run = genuine.json()?["run"].clone();
    // The state that an earlier version left after a crash: nothing is signed, the watermark is in the topic that all
    // stores share, and the journal does not know of the last transaction. The events are gone from Kafka, so only the
    // watermark tells that they were there.
    let shared = shop.topic(WATERMARKS);
    let [orders, payments, deliveries] = shop.topics();
    kafka
        .delete_topics(&[&topic, &orders, &payments, &deliveries])
        .await?;
    for (name, partitions) in [(&shared, 1), (&orders, 1), (&payments, 1), (&deliveries, 1)] {
        within("the topic to be created", SOON, async || {
            match kafka.create_topic(name, partitions, &[]).await {
                Err(error) if !error.to_string().contains("TopicAlreadyExists") => Err(error),
                _ => Ok(()),
            }
        })
        .await?;
    }
    shop.alter_journal(&[
        "UPDATE journal SET unsigned_upto = 5",
        "UPDATE watermark SET offset = 2, payments = 0, read_from = 0, unsigned = 1",
    ])
    .await?;
    for (offset, seq) in [(4, 4), (5, 99)] {
        // The second one names another event than the journal has.
        let mark = json!({"offset": offset, "event": format!("{STORE}/counter/0/{seq}"), "run": run});
        write_to(&shop, &shared, &key, Some(&mark.to_string()), &[]).await?;
    }
    shop.gateway.start_again()?;
    shop.gateway.wait_ready().await?;
    shop.drained(5, SOON).await?;
    let records = shop.records().await?;
    let names: Vec<_> = records.iter().filter_map(|record| record.ce_id()).collect();
    ensure!(names == [format!("{STORE}/counter/0/5")], "{names:?}");
    wait_for_warning(&shop, "bridge", &["forged"]).await?;
    // From now on the watermarks are signed, and no unsigned one counts.
    ensure!(shop.gateway.terminate().await?.success());
    let (brokers, mark) = (
        shop.brokers.clone(),
        json!({"offset": 6, "event": format!("{STORE}/counter/0/6"), "run": run}),
    );
    restart_on(&mut shop, "127.0.0.1:1").await?;
    pay(&shop, "p-6").await?;
    ensure!(shop.gateway.terminate().await?.success());
    write(&shop, WATERMARKS, &key, Some(&mark.to_string()), &[]).await?;
    restart_on(&mut shop, &brokers).await?;
    shop.drained(6, SOON).await?;
    ensure!(shop.records().await?.len() == 2);
    Ok(())
}
