//! The closing of a day: its figures are frozen, every payment is counted exactly once, and nothing is missing unnamed.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use comptoir_harness::{Gateway, Kafka, MqttProbe, Reader, Record, within};
use serde_json::{Value, json};

use crate::shop::{LATER, SOON, STORE, Shop, without_kafka};

/// The day of `SATURDAY` in Paris, which is in summer time.
const SATURDAY: &str = "2026-08-01";
const SUNDAY: &str = "2026-08-02";

fn payment(number: u32, amount: f64, time: &str) -> Value {
    json!({"payment_id": format!("p-{number}"), "order_id": format!("o-{number}"), "amount": amount, "currency": "EUR",
        "method": "Cash", "status": "SUCCESS", "timestamp": time})
}

async fn sell(probe: &mut MqttProbe, till: &str, payment: &Value) -> Result<()> {
    let topic = format!("pos/{STORE}/{till}/payments");
    probe.publish(&topic, payment.to_string()).await
}

/// A numbered payment.
async fn sell_numbered(probe: &mut MqttProbe, till: &str, seq: u32, mut payment: Value) -> Result<()> {
    (payment["epoch"], payment["seq"]) = (7.into(), seq.into());
    sell(probe, till, &payment).await
}

async fn stored(gateway: &Gateway, events: u64) -> Result<()> {
    within("the events to be stored", SOON, async || {
        let stats = gateway.get_json("/api/stats").await?;
        ensure!(stats["total_payments"] == events, "{stats}");
        Ok(())
    })
    .await
}

async fn close(gateway: &Gateway, date: &str) -> Result<(u16, Value)> {
    let (status, _, answer) = gateway
        .post_json(&format!("/api/days/{date}/close"), &Value::Null)
        .await?;
    Ok((status, answer))
}

async fn closed(gateway: &Gateway, date: &str) -> Result<Value> {
    let (status, answer) = close(gateway, date).await?;
    ensure!(status == 201, "{status} {answer}");
    Ok(answer)
}

/// What a closing counted by day, in cents.
fn counted(closing: &Value) -> Result<BTreeMap<String, i64>> {
    let mut counted = BTreeMap::new();
    for taking in closing["takings"].as_array().context("takings")? {
        let day = taking["date"].as_str().unwrap_or("no day").to_owned();
        let cents = taking["net"].as_f64().context("net")? * 100.0;
        *counted.entry(day).or_default() += cents.round() as i64;
    }
    Ok(counted)
}

fn sums<const N: usize>(sums: [(&str, i64); N]) -> BTreeMap<String, i64> {
    sums.map(|(day, cents)| (day.to_owned(), cents)).into()
}

async fn in_kafka(shop: &Shop) -> Result<Vec<Record>> {
    Reader::new(&shop.brokers)
        .read(&[shop.topic("closings")], LATER)
        .await
}

/// SHA-256 of the record without its last field.
fn hash_of(record: &[u8]) -> Result<String> {
    let text = std::str::from_utf8(record)?;
    let (hashed, _) = text.rsplit_once(",\"hash\":").context("no hash")?;
    let digest = ring::digest::digest(&ring::digest::SHA256, format!("{hashed}}}").as_bytes());
    Ok(digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_figures_of_a_closed_day_are_frozen_and_late_payments_are_in_the_next_closing() -> Result<()> {
    let brokers = Kafka::shared().await.brokers();
    let mut shop = Shop::open_with(brokers, |config| config.with("time_zone = \"Europe/Paris\"")).await?;
    let mut probe = MqttProbe::connect(&shop.mosquitto.url()).await?;
    for (seq, amount, time) in [
        (1, 10.0, "2026-07-31T10:00:00Z"),
        // Saturday has begun in Paris.
        (2, 20.5, "2026-07-31T22:30:00Z"),
        (3, 30.0, "2026-08-01T21:59:59Z"),
        (5, 5.0, "2026-08-01T22:00:00Z"),
    ] {
        sell_numbered(&mut probe, "till-1", seq, payment(seq, amount, time)).await?;
    }
    // Number 4 is missing. A till that delivers in order waits for it, so this one does not.
    sell_numbered(&mut probe, "till-1", 4, payment(4, 1.0, "2026-08-01T12:00:00Z")).await?;
    stored(&shop.gateway, 5).await?;
    let day = closed(&shop.gateway, SATURDAY).await?;
    let closing = &day["closing"];
    ensure!(
        day["takings"]["net"] == 51.5 && closing["number"] == 1 && closing["complete"] == true,
        "{day}"
    );
    // The first closing counts everything so far.
    ensure!(
        counted(closing)? == sums([(SATURDAY, 5_150), ("2026-07-31", 1_000)]),
        "{closing}"
    );
    ensure!(
        closing["grand_total"] == json!([{"currency": "EUR", "net": 61.5}]),
        "{closing}"
    );
    ensure!(
        closing["numbers"] == json!([{"device": "till-1", "epoch": 7, "from": 1, "to": 5, "missing": []}]),
        "{closing}"
    );
    ensure!(
        closing["since"] == json!([]) && closing["late_payments"] == json!([]),
        "{closing}"
    );

    // A late sale of Saturday, a payment that turns out to have failed, and a sale of today.
    sell_numbered(&mut probe, "till-1", 6, payment(6, 7.0, "2026-08-01T15:00:00Z")).await?;
    let mut failed = payment(2, 20.5, "2026-08-02T08:00:00Z");
    failed["status"] = "FAILED".into();
    sell_numbered(&mut probe, "till-1", 8, failed).await?;
    sell_numbered(&mut probe, "till-1", 7, payment(7, 2.0, "2026-08-02T09:00:00Z")).await?;
    stored(&shop.gateway, 7).await?;
    let frozen = shop.gateway.get_json(&format!("/api/days/{SATURDAY}")).await?;
    ensure!(
        frozen["closing"]["since"] == json!([{"currency": "EUR", "net": -13.5}]),
        "{frozen}"
    );
    let without_since = |mut day: Value| {
        day["closing"]["since"] = Value::Null;
        day
    };
    ensure!(without_since(frozen) == without_since(day.clone()));

    // Neither a crash nor the loss of the projection changes what is counted.
    shop.gateway.kill9()?;
    for suffix in ["", "-wal", "-shm"] {
        let file = shop
            .gateway
            .journal_path()
            .with_file_name(format!("journal-dashboard.db{suffix}"));
        let _ = std::fs::remove_file(file);
    }
    shop.gateway.start_again()?;
    shop.gateway.wait_ready().await?;
    let next = closed(&shop.gateway, SUNDAY).await?;
    let closing = &next["closing"];
    ensure!(
        counted(closing)? == sums([(SATURDAY, -1_350), (SUNDAY, 700)]),
        "{closing}"
    );
    ensure!(
        next["takings"]["net"] == 7.0 && closing["complete"] == true,
        "{next}"
    );
    ensure!(
        closing["grand_total"] == json!([{"currency": "EUR", "net": 55.0}]),
        "{closing}"
    );
    let late = closing["late_payments"].as_array().context("late payments")?;
    ensure!(
        late.len() == 1 && late[0]["payment_id"] == "p-6" && late[0]["ce_id"] == "paris-1/till-1/7/6",
        "{closing}"
    );
    let till = closing["numbers"].as_array().context("numbers")?.iter();
    let till: Vec<&Value> = till.filter(|numbers| numbers["device"] == "till-1").collect();
    ensure!(
        till == [&json!({"device": "till-1", "epoch": 7, "from": 6, "to": 8, "missing": []})],
        "{closing}"
    );

    // A day is closed once, and none before a closed one.
    for date in [SATURDAY, "2026-07-30"] {
        let (status, refused) = close(&shop.gateway, date).await?;
        ensure!(
            status == 409 && refused["type"] == "urn:comptoir:problem:day-is-closed",
            "{refused}"
        );
    }

    // In Kafka each closing is there once, as it was hashed, and chained.
    within("the closings to be in Kafka", LATER, async || {
        let records = in_kafka(&shop).await?;
        ensure!(records.len() == 2, "{}", records.len());
        Ok(())
    })
    .await?;
    let mut previous = json!("0".repeat(64));
    for record in in_kafka(&shop).await? {
        let json = record.json()?;
        ensure!(record.key_text() == Some(STORE) && record.header("ce_type") == Some("comptoir.closing"));
        ensure!(json["hash"] == hash_of(&record.value)?, "{json}");
        ensure!(json["previous"] == previous, "{json}");
        ensure!(json["figures"]["takings"]["net"].is_number(), "{json}");
        previous = json["hash"].clone();
    }
    ensure!(previous == next["closing"]["hash"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_payment_is_counted_once_while_tills_sell_closings_collide_and_the_gateway_is_killed()
-> Result<()> {
    let (mut gateway, mosquitto, mut probe) = without_kafka().await?;
    gateway.terminate().await?;
    gateway.config().extra = "time_zone = \"UTC\"".to_owned();
    gateway.start_again()?;
    gateway.wait_ready().await?;
    let mut total = 0;
    let mut number = 0;
    let mut numbers = Vec::new();
    for (round, date) in ["2026-08-01", "2026-08-02", "2026-08-03", "2026-08-04"]
        .into_iter()
        .enumerate()
    {
        for _ in 0..40 {
            number += 1;
            total += 1;
            sell(
                &mut probe,
                "till-1",
                &payment(number, 0.01, &format!("{date}T12:00:00Z")),
            )
            .await?;
        }
        let closings = (0..8).map(|_| close(&gateway, date));
        let answers = futures::future::join_all(closings).await;
        let answers: Vec<(u16, Value)> = answers.into_iter().collect::<Result<_>>()?;
        let done: Vec<&Value> = answers
            .iter()
            .filter(|(status, _)| *status == 201)
            .map(|(_, day)| day)
            .collect();
        ensure!(done.len() == 1, "{answers:?}");
        ensure!(
            answers.iter().all(|(status, _)| [201, 409].contains(status)),
            "{answers:?}"
        );
        numbers.push(done[0]["closing"]["number"].clone());
        if round % 2 == 0 {
            gateway.kill9()?;
            gateway.start_again()?;
            gateway.wait_ready().await?;
            crate::shop::wait_for_mqtt(&gateway).await?;
        }
    }
    stored(&gateway, total).await?;
    let last = closed(&gateway, "2026-08-05").await?;
    numbers.push(last["closing"]["number"].clone());
    ensure!(numbers == [1, 2, 3, 4, 5], "{numbers:?}");
    let expected = json!([{"currency": "EUR", "net": total as f64 / 100.0}]);
    ensure!(last["closing"]["grand_total"] == expected, "{last}");
    ensure!(last["closing"]["complete"] == true, "{last}");
    drop(mosquitto);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_has_the_closings_and_a_day_of_the_future_prevents_none() -> Result<()> {
    let (mut gateway, _mosquitto, mut probe) = without_kafka().await?;
    sell(&mut probe, "till-1", &payment(1, 12.0, "2026-08-01T12:00:00Z")).await?;
    stored(&gateway, 1).await?;
    let day = closed(&gateway, SATURDAY).await?;
    let copy = gateway.journal_path().with_file_name("copy.db");
    let (status, said) = gateway
        .run(&["backup", &copy.display().to_string()], SOON)
        .await?;
    ensure!(status.success(), "{said}");
    gateway.terminate().await?;
    let journal = gateway.journal_path();
    for suffix in ["-wal", "-shm"] {
        let mut file = journal.clone().into_os_string();
        file.push(suffix);
        let _ = std::fs::remove_file(file);
    }
    std::fs::rename(&copy, &journal)?;
    gateway.start_again()?;
    gateway.wait_ready().await?;
    let restored = gateway.get_json(&format!("/api/days/{SATURDAY}")).await?;
    ensure!(
        restored["closing"]["hash"] == day["closing"]["hash"],
        "{restored}"
    );

    // No day of the future can be closed, and a closing that a wrong clock made prevents none before it.
    let (status, refused) = close(&gateway, "2999-01-01").await?;
    ensure!(
        status == 409 && refused["type"] == "urn:comptoir:problem:day-has-not-begun",
        "{refused}"
    );
    gateway.terminate().await?;
    let clock = comptoir_harness::SettableClock::new(400 * 24 * 3_600)?;
    gateway.config().env = clock.env();
    gateway.start_again()?;
    gateway.wait_ready().await?;
    let future = closed(&gateway, "today").await?;
    gateway.terminate().await?;
    clock.set(0)?;
    gateway.start_again()?;
    gateway.wait_ready().await?;
    let next = closed(&gateway, SUNDAY).await?;
    ensure!(
        next["closing"]["number"] == 3 && next["closing"]["previous"] == future["closing"]["hash"],
        "{next}"
    );
    ensure!(
        next["closing"]["grand_total"] == json!([{"currency": "EUR", "net": 12.0}]),
        "{next}"
    );
    Ok(())
}
