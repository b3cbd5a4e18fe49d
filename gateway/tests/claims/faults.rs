//! Terminals whose power is cut, whose flash turns bits, whose connections break or hang (now and then for longer than their
//! keep-alive), whose network and clocks are bad: what they had confirmed is in Kafka once, in its order.
//!
//! All speak postcard, as the firmware does: a JSON device's events are journaled as they come, so a link that delays
//! some changes their order.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use comptoir_harness::PosSim;

use crate::shop::Shop;

/// Terminals, what goes wrong with them, and how much they sell in all.
struct Trial {
    terminals: u32,
    faults: &'static str,
    events: u64,
    patience: Duration,
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
            &self.terminals.to_string(),
            "--rate",
            "0",
            "--events",
            &self.events.to_string(),
            "--faults",
            self.faults,
        ])?;
        let status = sim.wait(self.patience).await?;
        let log = sim.log();
        let told = log.lines().rev().find(|line| line.starts_with("faults:"));
        let told = told.with_context(|| format!("no faults were told:\n{log}"))?;
        println!("{status}: {told}");
        let ledger = sim.ledger()?;
        ensure!(ledger.len() as u64 == self.events, "{} sold\n{log}", ledger.len());
        let acked = ledger.iter().filter(|line| line.acked.is_some()).count() as u64;
        ensure!(
            acked == self.events && told.ends_with("lost 0"),
            "{acked} acked, and {told}"
        );
        ensure!(status.success(), "{status}\n{log}");
        shop.drained(acked, self.patience).await?;
        shop.audited(&ledger).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faulty_terminals_lose_and_double_nothing() -> Result<()> {
    Trial {
        terminals: 30,
        faults: "all=5",
        events: 1_500,
        patience: Duration::from_secs(300),
    }
    .run()
    .await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs for minutes"]
async fn five_hundred_terminals_with_faults_of_every_kind() -> Result<()> {
    Trial {
        terminals: 500,
        faults: "all=5",
        events: 100_000,
        patience: Duration::from_secs(900),
    }
    .run()
    .await
}
