//! A backlog: its memory, its effect on the start time, and how fast it drains while the shop keeps selling.
//!
//! The backlog is created once, by a gateway without Kafka. Each round starts a gateway with Kafka on a copy of that journal
//! with new topics, so that all rounds are equal. Kafka runs throughout, so that its virtual machine is warm for both sides
//! of a pair; otherwise a round would measure Kafka's start.

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
use crate::till::PublishLog;

/// Events per second of the shop during the drain, over all tills.
pub const RATE: f64 = 100.0;
/// Events prepared for the duration of a drain, which is not known in advance.
const LIVE_EVENTS: u32 = 60_000;
/// The journal and its projection.
const FILES: [&str; 2] = ["journal.db", "journal-dashboard.db"];

/// One value per round; for the acks, the values of all rounds together.
#[derive(Default)]
struct Drains {
    /// The gateway's rate, events per second.
    rate: Vec<f64>,
    /// The rate of a transactional producer alone, events per second.
    producer: Vec<f64>,
    /// Largest resident memory, MB.
    memory: Vec<f64>,
    ack_ms: Vec<f64>,
    /// Ack latencies of an idle gateway while the producer runs beside it, in milliseconds.
    beside_ms: Vec<f64>,
}

pub async fn measure(stage: &Stage, arguments: &Arguments, report: &mut Report) -> Result<()> {
    let folder = Scratch::new("backlog")?;
    let backlog = arguments.backlog;
    eprintln!("drain: creating a backlog of {backlog}");
    let empty_mb = create_backlog(stage, &folder, backlog).await?;
    let seconds = arguments.seconds.div_ceil(2);
    let before = measure_baseline(stage, &folder, seconds).await?;
    let mut drains = Drains::default();
    for round in 1..=arguments.rounds {
        eprintln!("drain, round {round} of {}", arguments.rounds);
        let producer = Job::Produce {
            brokers: stage.kafka.brokers().to_owned(),
            prefix: stage.topics().await?,
            events: backlog,
            // The gateway's largest transaction.
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
    report.figure_with_target(
        "Comptoir, draining: rate, relative to the transactional producer",
        "×",
        share,
        Target::AtLeast(0.7),
    );
    let (calm, busy) = (percentile(&before.ack_ms, 0.99), percentile(&drains.ack_ms, 0.99));
    let beside = percentile(&drains.beside_ms, 0.99);
    report.figure("publish → end-to-end ack with the backlog, p99", "ms", [calm]);
    report.figure("publish → end-to-end ack while draining, p99", "ms", [busy]);
    report.figure_with_target(
        "publish → end-to-end ack while draining, p99, relative to before",
        "×",
        [busy / calm],
        Target::AtMost(2.0),
    );
    report.figure(
        "publish → end-to-end ack without Kafka, beside that producer, p99",
        "ms",
        [beside],
    );
    report.figure(
        "publish → end-to-end ack while draining, p99, relative to beside the producer",
        "×",
        [busy / beside],
    );
    let tills = stage.tills;
    report.figure_with_target(
        format!("resident memory, {tills} tills, empty journal"),
        "MB",
        [empty_mb],
        Target::AtMost(48.0),
    );
    report.figure_with_target(
        format!("resident memory, {tills} tills, backlog of {backlog}"),
        "MB",
        [before.resident_mb],
        Target::AtMost(48.0),
    );
    report.figure_with_target(
        "resident memory while draining, maximum",
        "MB",
        drains.memory,
        Target::AtMost(48.0),
    );
    report.figure_with_target(
        format!("from start to ready, backlog of {backlog}"),
        "s",
        [before.ready_s],
        Target::AtMost(2.0),
    );
    Ok(())
}

/// Fills the journal. Returns the gateway's resident memory before that, MB.
async fn create_backlog(stage: &Stage, folder: &Scratch, backlog: u32) -> Result<f64> {
    let path = folder.join(FILES[0]);
    let mut shop = stage
        .shop_on(stage::mosquitto().await?, false, Some(path))
        .await?;
    sell(&shop, "calm", 5).await?;
    let resident = shop.sample()?.rss_bytes as f64 / 1e6;
    let already = shop.counters().await?.get("comptoir_events_stored_total")?;
    let load = Load::prepare(shop.mosquitto.port(), "till", stage.tills, backlog).await?;
    let load = load.full_speed();
    let all = already + f64::from(backlog);
    tokio::try_join!(
        shop.wait_for_counter("comptoir_events_stored_total", all),
        load.finish()
    )?;
    shop.gateway.terminate().await?;
    Ok(resident)
}

/// Sells at the usual rate.
async fn sell(shop: &Shop, name: &str, seconds: u32) -> Result<Vec<PublishLog>> {
    let events = (RATE * f64::from(seconds)) as u32;
    let load = Load::prepare(shop.mosquitto.port(), name, shop.tills, events).await?;
    load.paced(RATE).finish().await
}

/// A gateway with the backlog, before it drains.
struct BacklogBaseline {
    /// Number of events in the journal.
    events: f64,
    /// Time from the start of the process to its readiness, seconds.
    ready_s: f64,
    resident_mb: f64,
    ack_ms: Vec<f64>,
}

async fn measure_baseline(stage: &Stage, folder: &Scratch, seconds: u32) -> Result<BacklogBaseline> {
    let path = folder.join(FILES[0]);
    let mut shop = stage
        .shop_on(stage::mosquitto().await?, false, Some(path))
        .await?;
    let sent = sell(&shop, "before", seconds).await?;
    let before = BacklogBaseline {
        events: shop.counters().await?.get("comptoir_journal_events")?,
        ready_s: shop.ready.as_secs_f64(),
        resident_mb: shop.sample()?.rss_bytes as f64 / 1e6,
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
    let load = Load::prepare(mosquitto.port(), "live", stage.tills, LIVE_EVENTS).await?;
    let path = copy.join(FILES[0]);
    let mut shop = stage.shop_on(mosquitto, true, Some(path)).await?;
    let load = load.paced(RATE);
    let relayed = "comptoir_events_relayed_total";
    let first = shop.wait_for_counter(relayed, 1.0).await?;
    let last = shop.wait_for_counter(relayed, events).await?;
    let sent = load.stop().await?;
    let seconds = last.at.duration_since(first.at).as_secs_f64();
    drains.rate.push((last.value - first.value) / seconds);
    drains.memory.push(shop.sample()?.peak_rss_bytes as f64 / 1e6);
    drains.ack_ms.extend(acks_between(&sent, first.at, last.at));
    shop.gateway.terminate().await?;
    Ok(())
}

/// Ack latencies of a gateway that has nothing to drain, while another program keeps Kafka and this machine busy.
async fn beside(stage: &Stage, producer: &Job) -> Result<Vec<f64>> {
    let mut shop = stage.shop(false).await?;
    let load = Load::prepare(shop.mosquitto.port(), "live", stage.tills, LIVE_EVENTS).await?;
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
    // Otherwise the kernel would write the pages during the measurement.
    fs::File::open(to)?.sync_all()?;
    Ok(())
}

fn acks_between(sent: &[PublishLog], from: Instant, to: Instant) -> Vec<f64> {
    let between = |sent: &PublishLog| -> Vec<f64> {
        let events = sent.published.iter().zip(&sent.ack_ms);
        events
            .filter(|&(at, _)| (from..to).contains(at))
            .map(|(_, ms)| *ms)
            .collect()
    };
    sent.iter().flat_map(between).collect()
}
