//! The journal's file: its owner, its integrity, its copies and its migrations.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;

use anyhow::{Result, ensure};
use comptoir_core::event::{DeviceId, Kind};
use comptoir_harness::{Gateway, GatewayConfig, Mosquitto, Scratch, within};
use comptoir_journal::{AppendError, EntryKind, Journal, Numbering, Offset, Outcome, Payload, Submission};
use serde_json::json;
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use crate::shop::{GATEWAY, SOON, STORE, Shop};

fn submission(payload: &str) -> Result<Submission> {
    Ok(Submission {
        device: DeviceId::new(STORE, "counter")?,
        encoding: None,
        numbering: Numbering::Gateway { fingerprint: None },
        kind: EntryKind::Event(Kind::Order),
        time: 1,
        key: "o-1".into(),
        payload: Payload::Json(payload.into()),
        reason: None,
    })
}

/// Starts a gateway on a file that it must refuse, and returns its log.
async fn refusal(path: PathBuf) -> Result<String> {
    let mosquitto = Mosquitto::start().await?;
    let mut config = GatewayConfig::new(STORE, &mosquitto.url());
    config.journal_path = Some(path.clone());
    let before = fs::read(&path)?;
    let mut gateway = Gateway::spawn(GATEWAY, config)?;
    let status = gateway.wait_exit(SOON).await?;
    ensure!(!status.success(), "it started");
    ensure!(fs::read(&path)? == before, "the file was changed");
    Ok(gateway.log())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_or_damaged_journal_is_refused_and_left_unchanged() -> Result<()> {
    let scratch = Scratch::new("journals")?;
    let foreign = scratch.join("foreign.db");
    fs::write(&foreign, "my shopping list: 3 eggs, milk")?;
    let said = refusal(foreign).await?;
    ensure!(said.contains("is not a Comptoir journal"), "{said}");

    let path = scratch.join("journal.db");
    let (journal, writer) = Journal::open(&path, 1 << 30).await?;
    let writing = tokio::spawn(writer.run());
    for _ in 0..50 {
        journal
            .append(
                (0..20)
                    .map(|_| submission(&"x".repeat(300)))
                    .collect::<Result<_>>()?,
            )
            .await?;
    }
    journal.close().await;
    writing.await?;
    let length = fs::metadata(&path)?.len();
    let mut file = fs::OpenOptions::new().write(true).open(&path)?;
    file.seek(SeekFrom::Start(length / 2 / 4096 * 4096))?;
    file.write_all(&[0x5a; 4096])?;
    drop(file);
    let said = refusal(path).await?;
    ensure!(
        said.contains("is damaged") && said.contains("left as it is") | said.contains("left as it was"),
        "{said}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gateways_cannot_open_the_same_journal() -> Result<()> {
    let mosquitto = Mosquitto::start().await?;
    let mut first = Gateway::spawn(GATEWAY, GatewayConfig::new(STORE, &mosquitto.url()))?;
    first.wait_ready().await?;
    let mut config = GatewayConfig::new(STORE, &mosquitto.url());
    config.journal_path = Some(first.journal_path());
    let mut second = Gateway::spawn(GATEWAY, config)?;
    ensure!(!second.wait_exit(SOON).await?.success());
    ensure!(second.log().contains("in use"), "{}", second.log());
    ensure!(first.get("/readyz").await?.0 == 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_running_gateway_is_complete_and_can_replace_the_journal() -> Result<()> {
    // Only a gateway that reads the topics shows the sales that the lost journal stored after the copy.
    let mut shop = Shop::open_reading_all().await?;
    for _ in 0..20 {
        let (status, _, order) = shop.gateway.post_json("/api/orders", &json!({})).await?;
        ensure!(status == 201, "{order}");
    }
    shop.drained(20, SOON).await?;
    let scratch = Scratch::new("backup")?;
    let copy = scratch.join("copy.db");
    let file = copy.to_string_lossy().into_owned();
    let (status, said) = shop.gateway.run(&["backup", &file], SOON).await?;
    ensure!(status.success(), "{said}");
    let (status, said) = shop.gateway.run(&["backup", &file], SOON).await?;
    ensure!(!status.success() && said.contains("exists already"), "{said}");
    // These events reach Kafka, but are not in the copy.
    for _ in 0..5 {
        let (status, _, order) = shop.gateway.post_json("/api/orders", &json!({})).await?;
        ensure!(status == 201, "{order}");
    }
    shop.drained(25, SOON).await?;
    ensure!(shop.gateway.terminate().await?.success());
    // The card of the Pi is dead; another Pi continues with the copy and the shop's secret, which `gateway recovery-code
    // --restore` writes (see `kafka_distrust`).
    let secret = shop.gateway.journal_path().with_file_name("journal-secret");
    fs::copy(secret, scratch.join("copy-secret"))?;
    shop.gateway.config().journal_path = Some(copy);
    shop.gateway.start_again()?;
    shop.gateway.wait_ready().await?;
    let after = json!({"order_id": "o-after"});
    let (status, _, order) = shop.gateway.post_json("/api/orders", &after).await?;
    ensure!(status == 201, "{order}");
    shop.drained(21, SOON).await?;
    let records = shop.records().await?;
    ensure!(records.len() == 26, "{} records", records.len());
    ensure!(records.iter().any(|record| record.key_text() == Some("o-after")));
    // The lost journal used names that are not in the copy. None may be reused.
    let names: BTreeSet<_> = records.iter().map(|record| record.ce_id()).collect();
    ensure!(names.len() == 26, "{names:?}");
    within("the lost events, which are in Kafka", SOON, async || {
        let stats = shop.gateway.get_json("/api/stats").await?;
        ensure!(stats["total_orders"] == 26, "{stats}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_a_copied_journal_stores_while_kafka_is_away_reach_kafka() -> Result<()> {
    let mut shop = Shop::open().await?;
    let sell = async |shop: &Shop, events: u32| -> Result<()> {
        for _ in 0..events {
            let (status, _, order) = shop.gateway.post_json("/api/orders", &json!({})).await?;
            ensure!(status == 201, "{order}");
        }
        Ok(())
    };
    sell(&shop, 20).await?;
    shop.drained(20, SOON).await?;
    ensure!(shop.gateway.terminate().await?.success());
    // A plain copy, such as of a card image, which `gateway backup` did not make.
    let scratch = Scratch::new("copied")?;
    let copy = scratch.join("journal.db");
    fs::copy(shop.gateway.journal_path(), &copy)?;
    let secret = shop.gateway.journal_path().with_file_name("journal-secret");
    fs::copy(secret, scratch.join("journal-secret"))?;
    shop.gateway.start_again()?;
    shop.gateway.wait_ready().await?;
    sell(&shop, 30).await?;
    shop.drained(50, SOON).await?;
    ensure!(shop.gateway.terminate().await?.success());
    let (kafka, prefix) = (shop.brokers.clone(), shop.prefix.clone());
    let reach = |shop: &mut Shop, brokers: &str| {
        let mut config = shop.gateway.config().clone().kafka(brokers, &prefix);
        config.journal_path = Some(copy.clone());
        *shop.gateway.config() = config;
        shop.gateway.start_again()
    };
    // Kafka is away, and the gateway restarts in between, so the copy no longer knows where it began.
    for _ in 0..2 {
        reach(&mut shop, "127.0.0.1:1")?;
        shop.gateway.wait_ready().await?;
        sell(&shop, 5).await?;
        shop.gateway.kill9()?;
    }
    reach(&mut shop, &kafka)?;
    shop.gateway.wait_ready().await?;
    shop.drained(30, SOON).await?;
    let records = shop.records().await?;
    ensure!(
        records.len() == 60,
        "{} records: 20, 30 and 10 were sold",
        records.len()
    );
    // After that, it is a journal of its own.
    shop.gateway.kill9()?;
    shop.gateway.start_again()?;
    shop.gateway.wait_ready().await?;
    sell(&shop, 1).await?;
    shop.drained(31, SOON).await?;
    ensure!(shop.records().await?.len() == 61);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_is_recent_enough_to_lack_the_wal_reset_bug() -> Result<()> {
    let mut memory = <sqlx::SqliteConnection as sqlx::Connection>::connect("sqlite::memory:").await?;
    let version: String = sqlx::query_scalar("SELECT sqlite_version()")
        .fetch_one(&mut memory)
        .await?;
    let parts: Vec<u32> = version.split('.').map(str::parse).collect::<Result<_, _>>()?;
    // Before 3.51.3 a bug in the WAL's reset can damage the file.
    ensure!(parts >= vec![3, 51, 3], "SQLite {version}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_numbered_without_holes_and_a_full_journal_stores_no_part_of_it() -> Result<()> {
    let scratch = Scratch::new("journal")?;
    let (journal, writer) = Journal::open(&scratch.join("journal.db"), 1 << 20).await?;
    let writing = tokio::spawn(writer.run());
    let mut last = 0;
    let error = loop {
        // A single device may fill only half.
        let batch = (0..100)
            .map(|number| {
                let device = DeviceId::new(STORE, &format!("till-{}", number % 4))?;
                let submission = submission(&"x".repeat(500))?;
                Ok(Submission { device, ..submission })
            })
            .collect::<Result<_>>()?;
        match journal.append(batch).await {
            Ok(receipt) => {
                for outcome in receipt.outcomes {
                    last += 1;
                    ensure!(matches!(outcome, Outcome::Stored(Offset(offset), _) if offset == last));
                }
            }
            Err(error) => break error,
        }
    };
    ensure!(matches!(error, AppendError::Full { .. }), "{error}");
    ensure!(journal.state().last == Offset(last));
    let mut at = Offset(0);
    let mut read = 0;
    loop {
        let entries = journal.read(at, 333, 1 << 20).await?;
        let Some(newest) = entries.last() else { break };
        at = newest.offset;
        read += entries.len() as u64;
    }
    ensure!(read == last, "{read} of {last}");
    journal.close().await;
    writing.await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_of_the_first_schema_is_migrated_with_all_its_entries() -> Result<()> {
    let scratch = Scratch::new("migrated")?;
    let path = scratch.join("journal.db");
    let (journal, writer) = Journal::open(&path, 1 << 30).await?;
    let writing = tokio::spawn(writer.run());
    journal
        .append(vec![submission("{\"a\":1}")?, submission("{\"a\":2}")?])
        .await?;
    let uuid = journal.uuid();
    journal.close().await;
    writing.await?;
    // The file as schema 1 had it.
    let mut first = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(&path)).await?;
    for statement in [
        "DROP TABLE chain",
        "ALTER TABLE entry DROP COLUMN salt",
        "ALTER TABLE entry DROP COLUMN hash",
        "ALTER TABLE entry DROP COLUMN content",
        "DROP TABLE closing",
        "DROP TABLE closed_number",
        "DROP INDEX entry_audit",
        "ALTER TABLE stream DROP COLUMN pending_failed_sign_in_bytes",
        "ALTER TABLE journal DROP COLUMN secret",
        "ALTER TABLE journal DROP COLUMN signed_since",
        "ALTER TABLE journal DROP COLUMN unsigned_upto",
        "ALTER TABLE watermark DROP COLUMN payments",
        "ALTER TABLE watermark DROP COLUMN unsigned",
        "DROP TABLE run",
        "ALTER TABLE stream DROP COLUMN lost",
        "DROP TABLE command_handled",
        "DROP TABLE command_position",
        "DROP TABLE numbered",
        "ALTER TABLE stream DROP COLUMN reused",
        "ALTER TABLE stream DROP COLUMN pending_bytes",
        "ALTER TABLE stream DROP COLUMN pending_dead_letters",
        "ALTER TABLE stream DROP COLUMN pending_dead_letter_bytes",
        "DROP INDEX stream_dormant",
        "ALTER TABLE stream DROP COLUMN dormant",
        "ALTER TABLE device DROP COLUMN forgotten",
        "ALTER TABLE stream DROP COLUMN gone",
        "ALTER TABLE journal DROP COLUMN parent",
        "ALTER TABLE journal DROP COLUMN parent_upto",
        "ALTER TABLE journal DROP COLUMN own_floor",
        "DELETE FROM _sqlx_migrations WHERE version > 1",
    ] {
        sqlx::query(statement).execute(&mut first).await?;
    }
    first.close().await?;
    fs::remove_file(scratch.join("journal.db-acked"))?;

    let (journal, writer) = Journal::open(&path, 1 << 30).await?;
    let writing = tokio::spawn(writer.run());
    let receipt = journal.append(vec![submission("{\"a\":3}")?]).await?;
    ensure!(matches!(receipt.outcomes[..], [Outcome::Stored(Offset(3), _)]));
    let payloads: Vec<_> = journal
        .read(Offset(0), 10, 1 << 20)
        .await?
        .iter()
        .map(|entry| entry.payload.json().to_owned())
        .collect();
    ensure!(
        payloads == ["{\"a\":1}", "{\"a\":2}", "{\"a\":3}"],
        "{payloads:?}"
    );
    let devices = journal.devices(10).await?;
    ensure!(devices[0].streams[0].stored == 3, "{devices:?}");
    // Entries of the earlier version may be in Kafka without a signature.
    let signing = journal.signing();
    ensure!(
        signing.unsigned_upto == Offset(2) && signing.accepts_unsigned_watermark,
        "{signing:?}"
    );
    ensure!(journal.uuid() == uuid);
    journal.close().await;
    writing.await?;
    Ok(())
}
