//! Archives: with the public key, two independent verifiers prove that no sale was changed, removed or inserted.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use comptoir_harness::{Gateway, Kafka, MqttProbe, Reader, Scratch, within};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use crate::shop::{LATER, SOON, STORE, Shop, without_kafka};

const VERIFIER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/verify_archive.py");
const TAMPER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/harness/python/tamper.py");
const FLIPS: usize = 2_000;
const NAME: &str = "Zoé Dupont-Quatremère";

/// A numbered payment of 1.00.
async fn sell(probe: &mut MqttProbe, seq: u32, time: &str) -> Result<()> {
    let payment = json!({"epoch": 7, "seq": seq, "payment_id": format!("p-{seq}"), "order_id": format!("o-{seq}"), "amount": 1.0,
        "currency": "EUR", "method": "Cash", "status": "SUCCESS", "timestamp": time});
    probe
        .publish(&format!("pos/{STORE}/till-1/payments"), payment.to_string())
        .await
}

async fn stored(gateway: &Gateway, payments: u64) -> Result<()> {
    within("the payments to be stored", SOON, async || {
        let stats = gateway.get_json("/api/stats").await?;
        ensure!(stats["total_payments"] == payments, "{stats}");
        Ok(())
    })
    .await
}

async fn close(gateway: &Gateway, date: &str) -> Result<Value> {
    let (status, _, day) = gateway
        .post_json(&format!("/api/days/{date}/close"), &Value::Null)
        .await?;
    ensure!(status == 201, "{status} {day}");
    Ok(day["closing"].clone())
}

async fn archive(gateway: &Gateway, from: &str, to: &str, file: &Path) -> Result<String> {
    let file = file.display().to_string();
    let (status, said) = gateway.run(&["archive", from, to, &file], SOON).await?;
    ensure!(status.success(), "{said}");
    Ok(said)
}

/// What both verifiers say of a file; whether they find it unchanged.
async fn verify(gateway: &Gateway, file: &Path, key: &str) -> Result<[(bool, String); 2]> {
    let path = file.display().to_string();
    let (status, said) = gateway.run(&["verify", &path, "--key", key], SOON).await?;
    let output = tokio::process::Command::from(comptoir_harness::python("python")?)
        .args([VERIFIER, &path, key])
        .output()
        .await?;
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok([(status.success(), said), (output.status.success(), text)])
}

async fn both_accept(gateway: &Gateway, file: &Path, key: &str) -> Result<()> {
    let answers = verify(gateway, file, key).await?;
    ensure!(
        answers.iter().all(|(is_unchanged, _)| *is_unchanged),
        "{answers:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_archive_of_a_closed_day_is_proven_by_two_verifiers_and_by_the_key_in_kafka() -> Result<()> {
    let brokers = Kafka::shared().await.brokers();
    let shop = Shop::open_with(brokers, |config| config.with("time_zone = \"UTC\"")).await?;
    let order = json!({"order_id": "o-1", "customer_name": NAME, "product": "Tarte", "amount": 1.0, "status": "Pending",
        "timestamp": "2026-08-01T09:00:00Z"});
    let (status, _, answer) = shop.gateway.post_json("/api/orders", &order).await?;
    ensure!(status == 201, "{answer}");
    let mut probe = MqttProbe::connect(&shop.mosquitto.url()).await?;
    for (seq, time) in [
        (1, "2026-08-01T10:00:00Z"),
        (2, "2026-08-01T11:00:00Z"),
        (3, "2026-08-02T10:00:00Z"),
    ] {
        sell(&mut probe, seq, time).await?;
    }
    probe
        .publish(&format!("pos/{STORE}/till-1/payments"), "no JSON".to_owned())
        .await?;
    stored(&shop.gateway, 3).await?;
    let closing = close(&shop.gateway, "2026-08-01").await?;
    let key = closing["key"].as_str().context("no key")?;
    let scratch = Scratch::new("archives")?;
    let file = scratch.join("saturday.tar");
    let said = archive(&shop.gateway, "2026-08-01", "2026-08-01", &file).await?;
    ensure!(said.contains("and 1 closing of") && said.contains(key), "{said}");
    both_accept(&shop.gateway, &file, key).await?;
    let other = "0".repeat(64);
    let answers = verify(&shop.gateway, &file, &other).await?;
    ensure!(
        answers
            .iter()
            .all(|(is_unchanged, said)| !is_unchanged && said.contains("another key")),
        "{answers:?}"
    );

    // The key is in Kafka, too: for ever with the closing, and in the state of the gateway.
    within("the key to be in Kafka", LATER, async || {
        let topics = [shop.topic("closings"), shop.topic("gateways")];
        let records = Reader::new(&shop.brokers).read(&topics, LATER).await?;
        let fields: Vec<Value> = records
            .iter()
            .map(|record| record.json())
            .collect::<Result<_, _>>()?;
        ensure!(
            fields
                .iter()
                .any(|fields| fields["key"] == key && fields["signature"] == closing["signature"])
        );
        ensure!(
            fields.iter().any(|fields| fields["closing_key"] == key),
            "{fields:?}"
        );
        Ok(())
    })
    .await?;

    // Erasing a customer breaks no proof, and the name is in no later archive.
    let contains_name = |file: &PathBuf| -> Result<bool> {
        let bytes = std::fs::read(file)?;
        Ok(bytes.windows(NAME.len()).any(|window| window == NAME.as_bytes()))
    };
    ensure!(contains_name(&file)?, "a positive control");
    shop.drained(4, LATER).await?;
    within("the customer to be erased", LATER, async || {
        let (status, said) = shop
            .gateway
            .run(&["customer", "erase", NAME, "--yes"], SOON)
            .await?;
        ensure!(status.success(), "{said}");
        Ok(())
    })
    .await?;
    let later = scratch.join("later.tar");
    archive(&shop.gateway, "2026-08-01", "2026-08-02", &later).await?;
    ensure!(!contains_name(&later)?);
    let answers = verify(&shop.gateway, &later, key).await?;
    ensure!(
        answers
            .iter()
            .all(|(is_unchanged, said)| *is_unchanged && said.contains("personal data was erased from 1")),
        "{answers:?}"
    );
    Ok(())
}

/// The archives that the gateway has written by itself, in their order.
fn written(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for file in std::fs::read_dir(folder)? {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "tar") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_archives_by_itself_and_prunes_nothing_that_is_in_no_archive() -> Result<()> {
    const MAX_BYTES: u64 = 1 << 20;
    let brokers = Kafka::shared().await.brokers();
    let scratch = Scratch::new("automatic")?;
    let folder = scratch.join("archives");
    let setting = format!("archive.path = {:?}", folder.display().to_string());
    let mut shop = Shop::open_with(brokers, |config| {
        let mut config = config.with("time_zone = \"UTC\"").with(&setting);
        config.max_bytes = Some(MAX_BYTES);
        config
    })
    .await?;
    let mut probe = MqttProbe::connect(&shop.mosquitto.url()).await?;
    sell(&mut probe, 1, "2026-08-01T10:00:00Z").await?;
    stored(&shop.gateway, 1).await?;
    let key = close(&shop.gateway, "2026-08-01").await?["key"]
        .as_str()
        .context("no key")?
        .to_owned();

    // The folder does not exist: the page says so, and the shop sells.
    within("the failing archive to be shown", LATER, async || {
        let status = shop.gateway.get_json("/api/gateway").await?;
        let problem = status["journal"]["archive_problem"]
            .as_str()
            .context("no problem")?;
        ensure!(
            problem.contains("could not be written") && status["journal"]["archived"] == 0,
            "{status}"
        );
        Ok(())
    })
    .await?;
    let mut seq = 1;
    let mut sell_more = async |probe: &mut MqttProbe, count: u32| -> Result<u64> {
        for _ in 0..count {
            seq += 1;
            sell(probe, seq, "2026-08-02T10:00:00Z").await?;
        }
        Ok(u64::from(seq))
    };
    // More than pruning would leave.
    let sold = sell_more(&mut probe, 2_450).await?;
    stored(&shop.gateway, sold).await?;
    shop.drained(sold, LATER).await?;
    let status = shop.gateway.get_json("/api/gateway").await?;
    ensure!(
        status["journal"]["bytes"].as_u64() > Some(MAX_BYTES / 5 * 4)
            && status["journal"]["first_offset"] == 1,
        "{status}"
    );

    // It exists, and the gateway is killed while it may be writing.
    std::fs::create_dir(&folder)?;
    within("an archive to be written", LATER, async || {
        ensure!(!written(&folder)?.is_empty());
        Ok(())
    })
    .await?;
    shop.gateway.kill9()?;
    shop.gateway.start_again()?;
    shop.gateway.wait_ready().await?;
    crate::shop::wait_for_mqtt(&shop.gateway).await?;
    within(
        "everything that is pruned to be in an archive",
        LATER,
        async || {
            let journal = shop.gateway.get_json("/api/gateway").await?["journal"].clone();
            let first = journal["first_offset"].as_u64().context("no offset")?;
            let archived = journal["archived"].as_u64().context("no archive")?;
            ensure!(
                first > 1 && archived + 1 >= first && journal["archive_problem"].is_null(),
                "{journal}"
            );
            Ok(())
        },
    )
    .await?;
    // Before the archives are read, because the gateway goes on.
    let first = shop.gateway.get_json("/api/gateway").await?["journal"]["first_offset"].clone();
    let first = first.as_u64().context("no offset")?;
    let mut archived = std::collections::BTreeSet::new();
    for file in written(&folder)? {
        both_accept(&shop.gateway, &file, &key).await?;
        let mut archive = tar::Archive::new(std::fs::File::open(&file)?);
        for member in archive.entries()? {
            let mut member = member?;
            if &*member.path_bytes() == b"entries.jsonl" {
                let mut text = String::new();
                std::io::Read::read_to_string(&mut member, &mut text)?;
                for line in text.lines() {
                    let entry: Value = serde_json::from_str(line)?;
                    archived.insert(entry["offset"].as_u64().context("no offset")?);
                }
            }
        }
    }
    let missing: Vec<u64> = (1..first).filter(|offset| !archived.contains(offset)).collect();
    ensure!(missing.is_empty(), "pruned and in no archive: {missing:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_archive_and_a_changed_journal_are_found() -> Result<()> {
    let (mut gateway, _mosquitto, mut probe) = without_kafka().await?;
    for seq in 1..=8 {
        sell(&mut probe, seq, "2026-08-01T10:00:00Z").await?;
    }
    stored(&gateway, 8).await?;
    let key = close(&gateway, "2026-08-01").await?["key"]
        .as_str()
        .context("no key")?
        .to_owned();
    let scratch = Scratch::new("tampering")?;
    let file = scratch.join("archive.tar");
    archive(&gateway, "2026-08-01", "2026-08-01", &file).await?;
    both_accept(&gateway, &file, &key).await?;

    let mut tamper = tokio::process::Command::from(comptoir_harness::python("python")?);
    tamper.arg(TAMPER).arg(VERIFIER).arg(&file).arg(FLIPS.to_string());
    let output = tokio::time::timeout(Duration::from_secs(120), tamper.output()).await??;
    ensure!(
        String::from_utf8_lossy(&output.stdout).trim() == FLIPS.to_string(),
        "{output:?}"
    );
    // An amount in the table, and one in an entry: what somebody with an editor would do.
    let bytes = std::fs::read(&file)?;
    let places: Vec<usize> = (0..bytes.len())
        .filter(|at| bytes[*at..].starts_with(b"1.00,"))
        .collect();
    for at in [places.first(), places.last()] {
        let at = *at.context("no amount")?;
        let mut changed = bytes.clone();
        changed[at] = b'9';
        let path = scratch.join(format!("changed-{at}.tar"));
        std::fs::write(&path, changed)?;
        let answers = verify(&gateway, &path, &key).await?;
        ensure!(
            answers.iter().all(|(is_unchanged, _)| !is_unchanged),
            "{at}: {answers:?}"
        );
    }

    // Somebody with a SQLite shell and the gateway's rights.
    gateway.terminate().await?;
    let journal = gateway.journal_path();
    let path = journal.display().to_string();
    let (status, said) = gateway.run(&["verify", &path, "--key", &key], SOON).await?;
    ensure!(
        status.success() && said.contains("hash chain: 9 entries"),
        "{said}"
    );
    let sql = "UPDATE entry SET payload = replace(payload, '1.00', '9.00') WHERE offset = 3";
    let mut connection = SqliteConnectOptions::new().filename(&journal).connect().await?;
    sqlx::query(sql).execute(&mut connection).await?;
    connection.close().await?;
    let (status, said) = gateway.run(&["verify", &path], SOON).await?;
    ensure!(
        !status.success() && said.contains("entry 3 was changed"),
        "{said}"
    );
    let late = scratch.join("late.tar").display().to_string();
    let (status, said) = gateway
        .run(&["archive", "2026-08-01", "2026-08-01", &late], SOON)
        .await?;
    ensure!(
        !status.success() && said.contains("entry 3 was changed") && !Path::new(&late).exists(),
        "{said}"
    );
    Ok(())
}
