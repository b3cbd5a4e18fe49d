//! A journal whose files lack acked events reports exactly which, and continues correctly.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use comptoir_core::event::{DeviceId, Kind};
use comptoir_harness::{Gateway, GatewayConfig, Mosquitto, MqttProbe, Scratch, within};
use comptoir_journal::{
    Discipline, Encoding, EntryKind, Journal, Numbering, Offset, Outcome, Payload, Submission, Writer,
};
use serde_json::json;

use crate::shop::{GATEWAY, SOON, STORE, Shop};

const WAL_HEADER: usize = 32;
const FRAME: usize = 4_096 + 24;

/// Copies the files of a journal.
fn copy_journal(template: &Path, folder: &Scratch) -> Result<()> {
    for name in [
        "journal.db",
        "journal.db-wal",
        "journal.db-shm",
        "journal.db-acked",
    ] {
        fs::copy(template.with_file_name(name), folder.join(name))?;
    }
    Ok(())
}

fn submission(device: &str, numbering: Numbering) -> Result<Submission> {
    Ok(Submission {
        device: DeviceId::new(STORE, device)?,
        encoding: Some(Encoding::Json),
        numbering,
        kind: EntryKind::Event(Kind::Order),
        time: 1,
        key: "o-1".into(),
        payload: Payload::Json("{}".into()),
        reason: None,
    })
}

fn from_till(device: &str, seq: u32, oldest: u32) -> Result<Submission> {
    let numbering = Numbering::Till {
        epoch: 4,
        seq,
        oldest,
        discipline: Discipline::AnyOrder,
        digest: None,
    };
    submission(device, numbering)
}

fn own() -> Result<Submission> {
    submission("counter", Numbering::Gateway { fingerprint: None })
}

async fn open(path: &Path) -> Result<(Journal, Writer)> {
    Ok(Journal::open(path, 1 << 30).await?)
}

/// The files of a gateway that was killed. They hold 40 entries, each with its own commit: 1 to 30 of till-1, 1 to 5 of
/// till-2, and 1 to 5 of the gateway itself, in this order.
async fn files_of_a_killed_gateway(folder: &Scratch) -> Result<PathBuf> {
    let live = Scratch::new("live")?;
    let path = live.join("journal.db");
    let (journal, writer) = open(&path).await?;
    let writing = tokio::spawn(writer.run());
    for seq in 1..=30 {
        journal.append(vec![from_till("till-1", seq, 0)?]).await?;
    }
    for seq in 1..=5 {
        journal.append(vec![from_till("till-2", seq, 0)?]).await?;
    }
    for _ in 1..=5 {
        journal.append(vec![own()?]).await?;
    }
    wait_for_acked_file(&path, 40).await?;
    for name in [
        "journal.db",
        "journal.db-wal",
        "journal.db-shm",
        "journal.db-acked",
    ] {
        fs::copy(live.join(name), folder.join(name)).context(name)?;
    }
    journal.close().await;
    writing.await?;
    Ok(folder.join("journal.db"))
}

async fn wait_for_acked_file(journal: &Path, last: u64) -> Result<()> {
    let mut file = journal.as_os_str().to_owned();
    file.push("-acked");
    let needle = format!("\"last\":{last},");
    within("the acked file to contain the last offset", SOON, async || {
        let text = String::from_utf8_lossy(&fs::read(&file)?).into_owned();
        ensure!(text.contains(&needle), "{}", text.replace('\0', ""));
        Ok(())
    })
    .await
}

/// The lost numbers of a device, in its only epoch.
async fn lost_numbers(journal: &Journal, device: &str) -> Result<Vec<(u32, u32)>> {
    let devices = journal.devices(100).await?;
    let device = devices.into_iter().find(|entry| entry.device.device() == device);
    Ok(device.map_or(Vec::new(), |device| device.streams[0].lost.clone()))
}

#[tokio::test(flavor = "multi_thread")]
async fn events_lost_with_a_damaged_or_absent_wal_are_named_and_the_journal_continues() -> Result<()> {
    let scratch = Scratch::new("killed")?;
    let template = files_of_a_killed_gateway(&scratch).await?;
    type Damage = fn(&Path) -> Result<()>;
    let damages: [(&str, Damage); 5] = [
        ("not copied along", |wal| Ok(fs::remove_file(wal)?)),
        ("emptied", |wal| Ok(fs::write(wal, [])?)),
        ("cut in half", |wal| {
            let bytes = fs::read(wal)?;
            Ok(fs::write(wal, &bytes[..bytes.len() / 2])?)
        }),
        ("damaged in the middle", |wal| {
            let mut bytes = fs::read(wal)?;
            let middle = bytes.len() / 2;
            bytes[middle..middle + 64].fill(0xa5);
            Ok(fs::write(wal, bytes)?)
        }),
        ("zeros from the middle to the end", |wal| {
            let mut bytes = fs::read(wal)?;
            let middle = bytes.len() / 2;
            bytes[middle..].fill(0);
            Ok(fs::write(wal, bytes)?)
        }),
    ];
    for (what, damage) in damages {
        let folder = Scratch::new("damaged")?;
        let path = folder.join("journal.db");
        copy_journal(&template, &folder)?;
        damage(&folder.join("journal.db-wal"))?;
        goes_on_with_what_is_left(&path).await.context(what)?;
    }
    Ok(())
}

async fn goes_on_with_what_is_left(path: &Path) -> Result<()> {
    let (journal, writer) = open(path).await?;
    let writing = tokio::spawn(writer.run());
    let left = u32::try_from(journal.state().last.0)?;
    ensure!(left < 40, "{left} entries are left");
    let state = journal.state();
    ensure!(state.lost == u64::from(40 - left), "{state:?}");
    ensure!(
        lost_numbers(&journal, "till-1").await?
            == (left < 30)
                .then_some((left + 1, 30))
                .into_iter()
                .collect::<Vec<_>>()
    );
    let till_2 = left.saturating_sub(30) + 1;
    ensure!(
        lost_numbers(&journal, "till-2").await?
            == (till_2 <= 5)
                .then_some((till_2, 5))
                .into_iter()
                .collect::<Vec<_>>()
    );
    let (parent, upto) = journal.parent().context("the journal did not become a branch")?;
    ensure!(upto == Offset(left.into()) && parent != journal.uuid());

    // A till that was acked up to 30 need not resend anything, but may.
    let receipt = journal.append(vec![from_till("till-1", 31, 0)?]).await?;
    ensure!(matches!(receipt.outcomes[..], [Outcome::Stored(Offset(at), _)] if at == u64::from(left) + 1));
    ensure!(receipt.acks[0].seq == 31, "{:?}", receipt.acks);
    let again = [from_till("till-2", 5, 0)?, from_till("till-2", 5, 0)?];
    let receipt = journal.append(again.into()).await?;
    ensure!(
        matches!(receipt.outcomes[..], [Outcome::Stored(..), Outcome::Duplicate]),
        "{receipt:?}"
    );
    // The gateway does not reuse its own numbers.
    let receipt = journal.append(vec![own()?]).await?;
    ensure!(
        matches!(&receipt.outcomes[..], [Outcome::Stored(_, name)] if name.seq > 1 << 24),
        "{receipt:?}"
    );

    // The loss is reported once, and remembered.
    let uuid = journal.uuid();
    journal.close().await;
    writing.await?;
    let (journal, _writer) = open(path).await?;
    ensure!(journal.uuid() == uuid);
    ensure!(journal.state().lost == u64::from(40 - left) - 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_or_wrong_wal_index_and_trailing_zeros_lose_nothing() -> Result<()> {
    let scratch = Scratch::new("killed")?;
    let template = files_of_a_killed_gateway(&scratch).await?;
    let stale = {
        let mut bytes = fs::read(template.with_file_name("journal.db-shm"))?;
        // A zeroed header, which does not match the rest of the index.
        bytes[..96].fill(0);
        bytes
    };
    type Change<'a> = Box<dyn Fn(&Scratch) -> Result<()> + 'a>;
    let changes: [(&str, Change); 5] = [
        ("nothing", Box::new(|_| Ok(()))),
        (
            "no index",
            Box::new(|folder| Ok(fs::remove_file(folder.join("journal.db-shm"))?)),
        ),
        (
            "a stale index",
            Box::new(|folder| Ok(fs::write(folder.join("journal.db-shm"), &stale)?)),
        ),
        (
            "garbage",
            Box::new(|folder| Ok(fs::write(folder.join("journal.db-shm"), [0xa5; 40_000])?)),
        ),
        (
            "zeros",
            Box::new(|folder| {
                let mut bytes = fs::read(folder.join("journal.db-wal"))?;
                ensure!(
                    bytes.len() > WAL_HEADER + 40 * FRAME,
                    "the WAL has {} bytes",
                    bytes.len()
                );
                bytes.resize(bytes.len() + 1_000_000, 0);
                Ok(fs::write(folder.join("journal.db-wal"), bytes)?)
            }),
        ),
    ];
    for (what, change) in changes {
        let folder = Scratch::new("changed")?;
        copy_journal(&template, &folder)?;
        change(&folder)?;
        let (journal, _writer) = open(&folder.join("journal.db")).await.context(what)?;
        let state = journal.state();
        ensure!((state.last, state.lost) == (Offset(40), 0), "{what}: {state:?}");
        ensure!(journal.parent().is_none(), "{what}");
        ensure!(journal.read(Offset(0), 100, 1 << 20).await?.len() == 40, "{what}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_or_a_journal_without_its_acked_file_reports_no_loss() -> Result<()> {
    let scratch = Scratch::new("restored")?;
    let path = scratch.join("journal.db");
    let copy = scratch.join("copy.db");
    let (journal, writer) = open(&path).await?;
    let writing = tokio::spawn(writer.run());
    journal.append(vec![from_till("till-1", 1, 0)?]).await?;
    Journal::backup(&path, &copy).await?;
    journal.append(vec![from_till("till-1", 2, 0)?]).await?;
    let uuid = journal.uuid();
    journal.close().await;
    writing.await?;

    // The copy replaces the journal, beside the acked file of the lost journal.
    fs::rename(&copy, &path)?;
    let (journal, writer) = open(&path).await?;
    let writing = tokio::spawn(writer.run());
    ensure!((journal.state().last, journal.state().lost) == (Offset(1), 0));
    ensure!(journal.parent() == Some((uuid, Offset(1))));
    let receipt = journal.append(vec![from_till("till-1", 2, 0)?]).await?;
    ensure!(
        matches!(receipt.outcomes[..], [Outcome::Stored(..)]),
        "{receipt:?}"
    );
    let uuid = journal.uuid();
    journal.close().await;
    writing.await?;

    // Without an acked file, or with that of another journal, no loss is reported.
    let acked = scratch.join("journal.db-acked");
    let other = fs::read_to_string(&acked)?.replace(&uuid, "another");
    for content in [None, Some(""), Some(&*other)] {
        match content {
            None => fs::remove_file(&acked)?,
            Some(content) => fs::write(&acked, content)?,
        }
        let (journal, _writer) = open(&path).await?;
        ensure!((journal.uuid(), journal.state().lost) == (uuid.clone(), 0));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_lost_acked_sales_reports_them_and_shows_new_ones() -> Result<()> {
    let mut shop = Shop::open_reading_all().await?;
    let mut till = MqttProbe::connect(&shop.mosquitto.url()).await?;
    let mut sell = async |shop: &Shop, seqs: std::ops::RangeInclusive<u32>| -> Result<()> {
        let upto = u64::from(*seqs.end());
        let topic = format!("pos/{STORE}/till-1/payments");
        let sale = |seq| {
            json!({"epoch": 4, "seq": seq, "payment_id": format!("p-{seq}"), "order_id": "o-1", "amount": 1,
                "method": "Cash", "status": "SUCCESS"})
        };
        let sales = seqs.map(|seq| (topic.clone(), Bytes::from(sale(seq).to_string()), false));
        till.publish_all(sales).await?;
        within("the sales to be shown", SOON, async || {
            let stats = shop.gateway.get_json("/api/stats").await?;
            ensure!(stats["total_payments"] == upto, "{stats}");
            Ok(())
        })
        .await
    };
    sell(&shop, 1..=30).await?;
    shop.drained(30, SOON).await?;
    wait_for_acked_file(&shop.gateway.journal_path(), 30).await?;
    shop.gateway.kill9()?;
    for name in ["journal.db-wal", "journal.db-shm"] {
        fs::remove_file(shop.gateway.journal_path().with_file_name(name))?;
    }
    shop.gateway.start_again()?;
    shop.gateway.wait_ready().await?;
    let log = shop.gateway.log();
    let said = "events that were acked are missing";
    ensure!(
        log.contains(said) && log.contains("till-1 epoch 4: 1-30"),
        "{log}"
    );
    let status = shop.gateway.get_json("/api/gateway").await?;
    ensure!(status["journal"]["lost"] == 30, "{status}");
    ensure!(
        status["devices"][0]["epochs"][0]["lost"] == json!([[1, 30]]),
        "{status}"
    );
    let (_, metrics) = shop.gateway.get("/metrics").await?;
    ensure!(metrics.contains("comptoir_journal_lost 30"), "{metrics}");
    // The lost events are read back from Kafka, and new sales get offsets and names of their own.
    sell(&shop, 31..=40).await?;
    shop.drained(10, SOON).await?;
    let records = shop.records().await?;
    let mut names: Vec<_> = records.iter().map(|record| record.ce_id()).collect();
    names.sort();
    names.dedup();
    ensure!(names.len() == 40, "{names:?}");
    Ok(())
}

/// Skipped where the user may not `mount`.
#[tokio::test(flavor = "multi_thread")]
async fn a_journal_on_a_read_only_disk_is_refused_and_opens_once_the_disk_is_writable() -> Result<()> {
    let folder = Scratch::new("read-only")?;
    let mount = |args: &[&str]| {
        let mounted = std::process::Command::new("mount")
            .args(args)
            .arg(folder.path())
            .output();
        mounted.is_ok_and(|output| output.status.success())
    };
    if !mount(&["-t", "tmpfs", "-o", "size=8m", "tmpfs"]) {
        println!("skipped: this user cannot mount a file system");
        return Ok(());
    }
    let outcome = on_a_read_only_disk(&folder, mount).await;
    std::process::Command::new("umount")
        .arg("-l")
        .arg(folder.path())
        .status()?;
    outcome
}

async fn on_a_read_only_disk(folder: &Scratch, mount: impl Fn(&[&str]) -> bool) -> Result<()> {
    let mosquitto = Mosquitto::start().await?;
    let mut config = GatewayConfig::new(STORE, &mosquitto.url());
    config.journal_path = Some(folder.join("journal.db"));
    let mut gateway = Gateway::spawn(GATEWAY, config)?;
    gateway.wait_ready().await?;
    ensure!(gateway.post_json("/api/orders", &json!({})).await?.0 == 201);
    gateway.terminate().await?;
    ensure!(mount(&["-o", "remount,ro"]), "remount read-only");
    gateway.start_again()?;
    let status = gateway.wait_exit(Duration::from_secs(20)).await?;
    let log = gateway.log();
    ensure!(status.code() == Some(2), "{status}: {log}");
    ensure!(
        log.contains("journal.path") && log.contains("Read-only file system"),
        "{log}"
    );
    ensure!(mount(&["-o", "remount,rw"]), "remount");
    gateway.start_again()?;
    gateway.wait_ready().await?;
    ensure!(gateway.post_json("/api/orders", &json!({})).await?.0 == 201);
    ensure!(gateway.get_json("/api/gateway").await?["journal"]["last_offset"] == 2);
    Ok(())
}
