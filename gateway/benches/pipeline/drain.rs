//! A backlog: what it takes in memory and at the start, and how fast it drains while the shop goes on selling.
//!
//! The backlog is made once, with no Kafka in the configuration. Each round starts a gateway with Kafka on a copy of the
//! journal and under names of its own, so that rounds are alike and Kafka's virtual machine is warm for both sides of a
//! pair; a Kafka that had just started would be measured instead.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use comptoir_gateway::bridge::MAX_ENTRIES;
use comptoir_harness::Scratch;

use crate::Arguments;
use crate::jobs::Job;
use crate::load::{Load, ack_ms};
use crate::report::{Report, Target, percentile, ratios};
use crate::stage::{self, Shop, Stage};
use crate::terminal::Sent;

/// Events per second of the shop that goes on, over all terminals.
pub const RATE: f64 = 100.0;
/// Events prepared for the time of a drain: nobody knows how long it takes.
const LIVE: u32 = 60_000;
const FILES: [&str; 2] = ["journal.db", "journal-dashboard.db"];

#[derive(Default)]
struct Drains {
    rate: Vec<f64>,
    producer: Vec<f64>,
    memory: Vec<f64>,
    ack_ms: Vec<f64>,
    /// While it is a program of its own that drains.
    beside_ms: Vec<f64>,
}

pub async fn measure(stage: &Stage, arguments: &Arguments, report: &mut Report) -> Result<()> {
    let folder = Scratch::new("backlog")?;
    let backlog = arguments.backlog;
    eprintln!("drain: making a backlog of {backlog}");
    let empty_mb = make(stage, &folder, backlog).await?;
    let seconds = arguments.seconds.div_ceil(2);
    let before = with_backlog(stage, &folder, seconds).await?;
    let mut drains = Drains::default();
    for round in 1..=arguments.rounds {
        eprintln!("drain, round {round} of {}", arguments.rounds);
        let producer = Job::Produce {
            brokers: stage.kafka.brokers().to_owned(),
            prefix: stage.topics().await?,
            events: backlog,
            // As large as the gateway's.
            transaction: u32::try_from(MAX_ENTRIES)?,
        };
        let alone = producer.measure().await?;
        drains
            .producer
            .push(f64::from(backlog) / alone.wall.as_secs_f64());
        drain(stage, &folder, before.events, &mut drains)
            .await
            .with_context(|| format!("round {round}"))?;
        drains.beside_ms.extend(beside(stage, &producer).await?);
    }
    let share = ratios(&drains.rate, &drains.producer);
    report.figure(
        "a transactional producer, alone: rate",
        "events/s",
        drains.producer,
    );
    report.figure(
        format!("Comptoir, draining {backlog}: rate"),
        "events/s",
        drains.rate,
    );
    report.held(
        "Comptoir, draining: rate, of the transactional producer's",
        "×",
        share,
        Target::AtLeast(0.7),
    );
    let (calm, busy) = (percentile(&before.ack_ms, 0.99), percentile(&drains.ack_ms, 0.99));
    let beside = percentile(&drains.beside_ms, 0.99);
    report.figure("publish → end-to-end ack with the backlog, p99", "ms", [calm]);
    report.figure("publish → end-to-end ack while draining, p99", "ms", [busy]);
    report.held(
        "publish → end-to-end ack while draining, p99, of that before",
        "×",
        [busy / calm],
        Target::AtMost(2.0),
    );
    report.figure(
        "publish → end-to-end ack of a gateway without Kafka, while that producer drains beside it, p99",
        "ms",
        [beside],
    );
    report.figure(
        "publish → end-to-end ack while draining, p99, of that beside the producer",
        "×",
        [busy / beside],
    );
    let terminals = stage.terminals;
    report.held(
        format!("memory resident, {terminals} terminals, empty journal"),
        "MB",
        [empty_mb],
        Target::AtMost(48.0),
    );
    report.held(
        format!("memory resident, {terminals} terminals, backlog of {backlog}"),
        "MB",
        [before.resident_mb],
        Target::AtMost(48.0),
    );
    report.held(
        "memory resident while draining, the most",
        "MB",
        drains.memory,
        Target::AtMost(48.0),
    );
    report.held(
        format!("from start to ready, backlog of {backlog}"),
        "s",
        [before.ready_s],
        Target::AtMost(2.0),
    );
    Ok(())
}

/// Fills the journal; returns the memory that a gateway has resident before, MB.
async fn make(stage: &Stage, folder: &Scratch, backlog: u32) -> Result<f64> {
    let path = folder.join(FILES[0]);
    let mut shop = stage
        .shop_on(stage::mosquitto().await?, false, Some(path))
        .await?;
    sell(&shop, "calm", 5).await?;
    let resident = shop.mark()?.rss_bytes as f64 / 1e6;
    let already = shop.counters().await?.get("comptoir_events_stored_total")?;
    let load = Load::prepare(shop.mosquitto.port(), "till", stage.terminals, backlog).await?;
    let load = load.full();
    let all = already + f64::from(backlog);
    tokio::try_join!(shop.reached("comptoir_events_stored_total", all), load.finish())?;
    shop.gateway.terminate().await?;
    Ok(resident)
}

/// The shop sells at its usual rate.
async fn sell(shop: &Shop, name: &str, seconds: u32) -> Result<Vec<Sent>> {
    let events = (RATE * f64::from(seconds)) as u32;
    let load = Load::prepare(shop.mosquitto.port(), name, shop.terminals, events).await?;
    load.paced(RATE).finish().await
}

struct Before {
    /// In the journal.
    events: f64,
    ready_s: f64,
    resident_mb: f64,
    ack_ms: Vec<f64>,
}

async fn with_backlog(stage: &Stage, folder: &Scratch, seconds: u32) -> Result<Before> {
    let path = folder.join(FILES[0]);
    let mut shop = stage
        .shop_on(stage::mosquitto().await?, false, Some(path))
        .await?;
    let sent = sell(&shop, "before", seconds).await?;
    let before = Before {
        events: shop.counters().await?.get("comptoir_journal_events")?,
        ready_s: shop.ready.as_secs_f64(),
        resident_mb: shop.mark()?.rss_bytes as f64 / 1e6,
        ack_ms: ack_ms(&sent),
    };
    shop.gateway.terminate().await?;
    Ok(before)
}

async fn drain(stage: &Stage, folder: &Scratch, events: f64, drains: &mut Drains) -> Result<()> {
    let copy = Scratch::new("drain")?;
    for file in FILES {
        copy_file(&folder.join(file), &copy.join(file))?;
    }
    let mosquitto = stage::mosquitto().await?;
    let load = Load::prepare(mosquitto.port(), "live", stage.terminals, LIVE).await?;
    let path = copy.join(FILES[0]);
    let mut shop = stage.shop_on(mosquitto, true, Some(path)).await?;
    let load = load.paced(RATE);
    let relayed = "comptoir_events_relayed_total";
    let first = shop.reached(relayed, 1.0).await?;
    let last = shop.reached(relayed, events).await?;
    let sent = load.stop().await?;
    let seconds = last.at.duration_since(first.at).as_secs_f64();
    drains.rate.push((last.value - first.value) / seconds);
    drains.memory.push(shop.mark()?.peak_rss_bytes as f64 / 1e6);
    drains.ack_ms.extend(acks_between(&sent, first.at, last.at));
    shop.gateway.terminate().await?;
    Ok(())
}

/// What acks take when it is another program that keeps Kafka, and so this machine, busy: the gateway has nothing to drain.
async fn beside(stage: &Stage, producer: &Job) -> Result<Vec<f64>> {
    let mut shop = stage.shop(false).await?;
    let load = Load::prepare(shop.mosquitto.port(), "live", stage.terminals, LIVE).await?;
    let load = load.paced(RATE);
    let begun = Instant::now();
    producer.measure().await?;
    let ended = Instant::now();
    let sent = load.stop().await?;
    shop.gateway.terminate().await?;
    Ok(acks_between(&sent, begun, ended))
}

fn copy_file(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("copy {}", from.display()))?;
    // Else its pages are written while the drain is measured.
    fs::File::open(to)?.sync_all()?;
    Ok(())
}

fn acks_between(sent: &[Sent], from: Instant, to: Instant) -> Vec<f64> {
    let between = |sent: &Sent| -> Vec<f64> {
        let events = sent.published.iter().zip(&sent.ack_ms);
        events
            .filter(|(at, _)| (from..to).contains(at))
            .map(|(_, ms)| *ms)
            .collect()
    };
    sent.iter().flat_map(between).collect()
}
