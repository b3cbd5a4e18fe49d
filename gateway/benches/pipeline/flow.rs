//! The live flow, as fast as the PUBACKs allow: the bare relay, Comptoir, Comptoir without Kafka, and Comptoir's parts
//! alone.
//!
//! The rate is the number of events divided by the time from the first publish until all are in Kafka; without Kafka, until
//! all are in the journal. CPU time is counted until the gateway has read everything back from Kafka.

use anyhow::Result;
use comptoir_harness::Scratch;

use crate::Arguments;
use crate::jobs::{Job, ResourceUse};
use crate::load::Load;
use crate::report::{Report, Target, ratios};
use crate::stage::{self, Shop, Stage};

/// One value per round.
#[derive(Default)]
struct Runs {
    /// Events per second.
    rate: Vec<f64>,
    /// CPU time, µs per event.
    cpu: Vec<f64>,
    /// Largest resident memory, MB.
    memory: Vec<f64>,
}

impl Runs {
    fn add(&mut self, events: f64, seconds: f64, used: &ResourceUse) {
        self.rate.push(events / seconds);
        self.cpu.push(used.cpu_us / events);
        self.memory.push(used.peak_rss_bytes / 1e6);
    }

    fn report(&self, report: &mut Report, program: &str) {
        report.figure(format!("{program}: rate"), "events/s", self.rate.clone());
        report.figure(format!("{program}: CPU per event"), "µs", self.cpu.clone());
        report.figure(
            format!("{program}: maximum resident memory"),
            "MB",
            self.memory.clone(),
        );
    }
}

/// Further figures of a live run, one value per round.
#[derive(Default)]
struct LiveFigures {
    /// Events per group commit.
    group: Vec<f64>,
    /// Events per Kafka transaction.
    transaction: Vec<f64>,
    /// Bytes of the journal per event.
    stored: Vec<f64>,
    /// Bytes written to disk per event.
    written: Vec<f64>,
}

pub async fn measure(stage: &Stage, arguments: &Arguments, report: &mut Report) -> Result<()> {
    let events = arguments.events;
    let (mut relay, mut live, mut away) = (Runs::default(), Runs::default(), Runs::default());
    let (mut subscriber, mut inserts, mut producer) = (Vec::new(), Vec::new(), Vec::new());
    let mut more = LiveFigures::default();
    eprintln!("flow: warming up");
    bare_relay(stage, events, &mut Runs::default()).await?;
    comptoir(stage, events, &mut Runs::default(), &mut LiveFigures::default()).await?;
    for round in 1..=arguments.rounds {
        eprintln!("flow, round {round} of {}", arguments.rounds);
        bare_relay(stage, events, &mut relay).await?;
        comptoir(stage, events, &mut live, &mut more).await?;
        without_kafka(stage, events, &mut away).await?;
        let last = |values: &[f64]| values.last().copied().unwrap_or(1.0) as u32;
        let (group, transaction) = (last(&more.group), last(&more.transaction));
        subscriber.push(count(stage, events).await?);
        inserts.push(insert(events, group).await?);
        producer.push(produce(stage, events, transaction).await?);
    }
    let ratio = |runs: &Runs| ratios(&runs.rate, &relay.rate);
    relay.report(report, "bare relay");
    live.report(report, "Comptoir");
    report.figure_with_target(
        "Comptoir: rate, relative to the bare relay",
        "×",
        ratio(&live),
        Target::AtLeast(0.7),
    );
    away.report(report, "Comptoir without Kafka");
    report.figure_with_target(
        "Comptoir without Kafka: rate, relative to the bare relay",
        "×",
        ratio(&away),
        Target::AtLeast(0.9),
    );
    let sums: Vec<f64> = (0..subscriber.len())
        .map(|round| subscriber[round] + inserts[round] + producer[round])
        .collect();
    report.figure("a counting subscriber, alone: CPU per event", "µs", subscriber);
    report.figure(
        "the journal's inserts, alone, in as many commits: CPU per event",
        "µs",
        inserts,
    );
    report.figure(
        "a transactional producer, alone, in as many transactions: CPU per event",
        "µs",
        producer,
    );
    report.figure_with_target(
        "Comptoir: CPU per event, relative to the three together",
        "×",
        ratios(&live.cpu, &sums),
        Target::AtMost(1.5),
    );
    report.figure("Comptoir: events per group commit", "", more.group);
    report.figure("Comptoir: events per transaction", "", more.transaction);
    report.figure("Comptoir: stored size of an event", "bytes", more.stored.clone());
    report.figure_with_target(
        "Comptoir under load: bytes written to disk, relative to the stored size",
        "×",
        ratios(&more.written, &more.stored),
        Target::AtMost(4.0),
    );
    Ok(())
}

async fn bare_relay(stage: &Stage, events: u32, runs: &mut Runs) -> Result<()> {
    let mosquitto = stage::mosquitto().await?;
    let job = Job::Relay {
        mqtt_port: mosquitto.port(),
        brokers: stage.kafka.brokers().to_owned(),
        prefix: stage.topics().await?,
        events,
    };
    let mut relay = job.start()?;
    let before = relay.sample(0).await?;
    let load = Load::prepare(mosquitto.port(), "till", stage.tills, events).await?;
    let load = load.full_speed();
    let begun = jiff::Timestamp::now().as_microsecond();
    let (after, _) = tokio::try_join!(relay.sample(1), load.finish())?;
    let seconds = after.at_us.abs_diff(begun) as f64 / 1e6;
    runs.add(f64::from(events), seconds, &before.until(&after));
    Ok(())
}

async fn comptoir(stage: &Stage, events: u32, runs: &mut Runs, more: &mut LiveFigures) -> Result<()> {
    let mut shop = stage.shop(true).await?;
    let counters = flood(&shop, events, "comptoir_events_relayed_total", runs).await?;
    more.group
        .push(f64::from(events) / counters.get("comptoir_journal_commits")?);
    more.transaction
        .push(f64::from(events) / counters.get("comptoir_kafka_transactions_total")?);
    more.stored
        .push(counters.get("comptoir_journal_bytes")? / f64::from(events));
    let written = shop.sample()?.written_bytes as f64;
    more.written.push(written / f64::from(events));
    shop.gateway.terminate().await?;
    Ok(())
}

async fn without_kafka(stage: &Stage, events: u32, runs: &mut Runs) -> Result<()> {
    let mut shop = stage.shop(false).await?;
    flood(&shop, events, "comptoir_events_stored_total", runs).await?;
    shop.gateway.terminate().await?;
    Ok(())
}

/// Publishes all events at full speed and waits until `counter` has counted them.
async fn flood(shop: &Shop, events: u32, counter: &str, runs: &mut Runs) -> Result<stage::Counters> {
    let load = Load::prepare(shop.mosquitto.port(), "till", shop.tills, events).await?;
    let before = shop.sample()?;
    let load = load.full_speed();
    let begun = load.begun;
    let (through, _) = tokio::try_join!(shop.wait_for_counter(counter, f64::from(events)), load.finish())?;
    let used = before.until(&shop.sample()?);
    runs.add(
        f64::from(events),
        through.at.duration_since(begun).as_secs_f64(),
        &used,
    );
    shop.counters().await
}

async fn count(stage: &Stage, events: u32) -> Result<f64> {
    let mosquitto = stage::mosquitto().await?;
    let job = Job::Count {
        mqtt_port: mosquitto.port(),
        events,
    };
    let mut subscriber = job.start()?;
    let before = subscriber.sample(0).await?;
    let load = Load::prepare(mosquitto.port(), "till", stage.tills, events).await?;
    let load = load.full_speed();
    let (after, _) = tokio::try_join!(subscriber.sample(1), load.finish())?;
    Ok(before.until(&after).cpu_us / f64::from(events))
}

async fn insert(events: u32, group: u32) -> Result<f64> {
    let folder = Scratch::new("inserts")?;
    let path = folder.join("journal.db");
    let used = Job::Insert { path, events, group }.measure().await?;
    Ok(used.cpu_us / f64::from(events))
}

async fn produce(stage: &Stage, events: u32, transaction: u32) -> Result<f64> {
    let job = Job::Produce {
        brokers: stage.kafka.brokers().to_owned(),
        prefix: stage.topics().await?,
        events,
        transaction,
    };
    Ok(job.measure().await?.cpu_us / f64::from(events))
}
