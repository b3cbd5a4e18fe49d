//! After a temporary disk error the gateway reports it, and accepts events again by itself.
//!
//! A preloaded library (`shim.c`) makes system calls of the gateway fail. SQLite sees the same errors as on a disk that is
//! full, read-only, or unable to sync or read.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use comptoir_harness::{Gateway, GatewayConfig, Mosquitto, Scratch, within};
use serde_json::{Value, json};

use crate::shop::{GATEWAY, SOON, STORE};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;
/// Far above the time of an answer, and far below that of a request that hangs until the disk works.
const ANSWER_LIMIT: Duration = Duration::from_secs(15);

/// A shop in which the test can make the gateway's disk fail.
struct DiskFaultShop {
    gateway: Gateway,
    mosquitto: Mosquitto,
    scratch: Scratch,
    /// The ids of payments that were answered with 201.
    stored: Vec<String>,
    /// The ids of payments whose answer said that they may have been stored.
    doubtful: Vec<String>,
    posted: u32,
}

impl DiskFaultShop {
    async fn open() -> Result<Self> {
        let scratch = Scratch::new("disk-faults")?;
        let library = scratch.join("shim.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/claims/disk_faults/shim.c");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .arg(&library)
            .arg(source)
            .status()?;
        ensure!(compiled.success(), "cc {source}");
        let mosquitto = Mosquitto::start().await?;
        let mut config = GatewayConfig::new(STORE, &mosquitto.url());
        config.env = vec![
            ("LD_PRELOAD".to_owned(), library.display().to_string()),
            ("DISK_FAULTS".to_owned(), scratch.path().display().to_string()),
        ];
        let mut gateway = Gateway::spawn(GATEWAY, config)?;
        gateway.wait_ready().await?;
        Ok(Self {
            gateway,
            mosquitto,
            scratch,
            stored: Vec::new(),
            doubtful: Vec::new(),
            posted: 0,
        })
    }

    /// The file that makes a call fail while it exists.
    fn fault(&self, call: &str) -> PathBuf {
        self.scratch.join(call)
    }

    /// Makes a call fail. The rule is renamed into place, because the gateway may read it at any time.
    fn fail(&self, call: &str, rule: &str) -> Result<()> {
        let new = self.scratch.join("new");
        fs::write(&new, rule)?;
        Ok(fs::rename(new, self.fault(call))?)
    }

    /// Posts a payment, and returns the status and the problem type of the answer.
    async fn sell(&mut self) -> Result<(u16, String)> {
        self.posted += 1;
        let id = format!("p-{}", self.posted);
        let begun = Instant::now();
        let sale =
            json!({"payment_id": id, "order_id": "o-1", "amount": 1, "method": "Cash", "status": "SUCCESS"});
        let (status, headers, body) = self.gateway.post_json("/api/payments", &sale).await?;
        ensure!(
            begun.elapsed() < ANSWER_LIMIT,
            "an answer after {:?}: {body}",
            begun.elapsed()
        );
        let text = body["type"].as_str().unwrap_or_default().to_owned();
        match status {
            201 => self.stored.push(id.clone()),
            503 => ensure!(headers.contains_key("retry-after"), "{body}"),
            _ => anyhow::bail!("{status}: {body}"),
        }
        if body["stored"] == "unknown" {
            self.doubtful.push(id);
        }
        Ok((status, text))
    }

    /// Posts payments until one is answered with this status. Other answers than 201 and 503 fail at once.
    async fn sell_until(&mut self, wanted: u16) -> Result<String> {
        let end = Instant::now() + SOON;
        loop {
            let (status, text) = self.sell().await?;
            if status == wanted {
                return Ok(text);
            }
            ensure!(Instant::now() < end, "no {wanted}: {status} {text}");
            // The poll interval. `within` would repeat a failed `sell` instead of ending the test.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until sales are accepted and shown, and the gateway is ready.
    async fn wait_for_recovery(&mut self, after: &str) -> Result<()> {
        self.sell_until(201).await.with_context(|| after.to_owned())?;
        within(&format!("recovery after {after}"), SOON, async || {
            let (ready, text) = self.gateway.get("/readyz").await?;
            ensure!(ready == 200, "{text}");
            let status = self.gateway.get_json("/api/gateway").await?;
            ensure!(status["journal"]["refusing"] == false, "{status}");
            let stats = self.gateway.get_json("/api/stats").await?;
            ensure!(
                stats["total_payments"] == status["journal"]["last_offset"],
                "{stats} {status}"
            );
            self.listed().await.map(|_| ())
        })
        .await
    }

    /// The ids in the list, read from the file. Fails unless each stored payment is there once, and no refused one is.
    async fn listed(&self) -> Result<Vec<String>> {
        let list = self
            .gateway
            .get_json("/api/payments?limit=500&status=SUCCESS")
            .await?;
        let items = list["items"].as_array().or(list.as_array()).context("no list")?;
        let id = |item: &Value| item["payment_id"].as_str().unwrap_or_default().to_owned();
        let ids: Vec<String> = items.iter().map(id).collect();
        for stored in &self.stored {
            let times = ids.iter().filter(|id| *id == stored).count();
            ensure!(times == 1, "{stored} is listed {times} times: {ids:?}");
        }
        let unknown: Vec<_> = ids
            .iter()
            .filter(|id| !self.stored.contains(id) && !self.doubtful.contains(id))
            .collect();
        ensure!(
            unknown.is_empty(),
            "{unknown:?} are listed although they were refused"
        );
        Ok(ids)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_recovers_from_any_disk_error_and_keeps_every_sale_it_confirmed() -> Result<()> {
    let mut shop = DiskFaultShop::open().await?;
    let outcome = fail_again_and_again(&mut shop).await;
    outcome.with_context(|| shop.gateway.log())
}

async fn fail_again_and_again(shop: &mut DiskFaultShop) -> Result<()> {
    shop.wait_for_recovery("the start").await?;
    let sold = |shop: &DiskFaultShop| shop.stored.len();
    // One call fails, on the file of the journal or of the projection.
    for (call, file) in [
        ("sync", "journal.db-wal"),
        ("write", "journal.db-wal"),
        ("read", "journal.db-wal"),
        ("write", "journal-dashboard.db-wal"),
        ("read", "journal-dashboard.db-wal"),
    ] {
        shop.fail(call, &format!("{file} {EIO}"))?;
        let before = sold(shop);
        within(&format!("one {call} of {file} to fail"), SOON, async || {
            shop.sell().await?;
            // Makes the projection write its file.
            shop.gateway.get("/api/payments?limit=500&status=SUCCESS").await?;
            ensure!(!shop.fault(call).exists(), "not yet");
            Ok(())
        })
        .await?;
        shop.wait_for_recovery(&format!("one failed {call} of {file}"))
            .await?;
        ensure!(sold(shop) > before);
    }
    ensure!(
        !shop.doubtful.is_empty(),
        "no answer said that a payment may have been stored, although a sync failed"
    );

    // Calls fail for a while: no space, a read-only disk, and failing syncs and reads.
    for (call, number, file) in [
        ("write", ENOSPC, "journal.db-wal"),
        ("write", EROFS, "db-wal"),
        ("sync", EIO, "journal.db-wal"),
        ("read", EIO, "journal-dashboard.db"),
    ] {
        let what = format!("a {call} of {file} that fails with {number}");
        shop.fail(call, &format!("{file} {number} always"))?;
        if file != "journal-dashboard.db" {
            let said = shop.sell_until(503).await?;
            let types = ["journal-write-failed", "outcome-unknown"];
            ensure!(types.iter().any(|of| said.ends_with(of)), "{what}: {said}");
            let (ready, text) = shop.gateway.get("/readyz").await?;
            ensure!(ready == 503 && text.contains("journal"), "{what}: {ready} {text}");
            ensure!(shop.gateway.get("/healthz").await?.0 == 200, "{what}");
            ensure!(shop.gateway.get("/api/stats").await?.0 == 200, "{what}");
            let status = shop.gateway.get_json("/api/gateway").await?;
            ensure!(status["journal"]["refusing"] == true, "{what}: {status}");
        } else {
            shop.gateway.get("/api/payments?limit=500&status=SUCCESS").await?;
            shop.sell().await?;
        }
        fs::remove_file(shop.fault(call))?;
        shop.wait_for_recovery(&what).await?;
    }

    // Tills are served again as well.
    let mut till = comptoir_harness::MqttProbe::connect(&shop.mosquitto.url()).await?;
    till.subscribe(&format!("pos/{STORE}/till-1/ack")).await?;
    let sale = json!({"epoch": 4, "seq": 1, "payment_id": "t-1", "order_id": "o-1", "amount": 1, "method": "Cash", "status": "SUCCESS"});
    till.publish_all(vec![(
        format!("pos/{STORE}/till-1/payments"),
        sale.to_string().into(),
        false,
    )])
    .await?;
    let ack = till.next(SOON).await?;
    ensure!(ack.payload.windows(7).any(|part| part == b"\"seq\":1"), "{ack:?}");
    shop.stored.push("t-1".to_owned());

    // A kill shows that everything is on the disk. The pages show a sale shortly after its ack.
    let listed = within("the till's sale to be listed", SOON, async || shop.listed().await).await?;
    shop.gateway.kill9()?;
    shop.gateway.start_again()?;
    shop.gateway.wait_ready().await?;
    within("the same list after the kill", SOON, async || {
        let now = shop.listed().await?;
        ensure!(now == listed, "{now:?} instead of {listed:?}");
        Ok(())
    })
    .await?;
    let status = shop.gateway.get_json("/api/gateway").await?;
    ensure!(status["journal"]["lost"] == 0, "{status}");
    Ok(())
}
