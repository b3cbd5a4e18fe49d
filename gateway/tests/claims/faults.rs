//! Tills with power cuts, bit flips in their flash, connections that break or hang (sometimes for longer than the
//! keep-alive), bad networks and wrong clocks: every sale that they confirmed is in Kafka exactly once and in order.
//!
//! All tills here use postcard, as the firmware does. Events of a JSON device are stored in the order of their arrival,
//! so a network that delays some of them changes their order.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use comptoir_harness::PosSim;

use crate::shop::Shop;

/// A number of tills, their faults, and the number of their events in total.
struct Trial {
    tills: u32,
    faults: &'static str,
    events: u64,
    timeout: Duration,
}

impl Trial {
    async fn run(self) -> Result<()> {
        let shop = Shop::open().await?;
        let mut sim = PosSim::spawn([
            "--broker",
            &shop.mosquitto.url(),
            "--store",
            "paris-1",
            "--devices",
            &self.tills.to_string(),
            "--rate",
            "0",
            "--events",
            &self.events.to_string(),
            "--faults",
            self.faults,
        ])?;
        let status = sim.wait(self.timeout).await?;
        let log = sim.log();
        let summary = log.lines().rev().find(|line| line.starts_with("faults:"));
        let summary = summary.with_context(|| format!("pos-sim printed no summary of its faults:\n{log}"))?;
        println!("{status}: {summary}");
        let ledger = sim.ledger()?;
        ensure!(ledger.len() as u64 == self.events, "{} sold\n{log}", ledger.len());
        let acked = ledger.iter().filter(|line| line.acked.is_some()).count() as u64;
        ensure!(
            acked == self.events && summary.ends_with("lost 0"),
            "{acked} acked; {summary}"
        );
        ensure!(status.success(), "{status}\n{log}");
        shop.drained(acked, self.timeout).await?;
        shop.audited(&ledger).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tills_with_faults_of_every_kind_lose_and_double_nothing() -> Result<()> {
    Trial {
        tills: 30,
        faults: "all=5",
        events: 1_500,
        timeout: Duration::from_secs(300),
    }
    .run()
    .await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs for minutes"]
async fn five_hundred_tills_with_faults_of_every_kind_lose_and_double_nothing() -> Result<()> {
    Trial {
        tills: 500,
        faults: "all=5",
        events: 100_000,
        timeout: Duration::from_secs(900),
    }
    .run()
    .await
}
