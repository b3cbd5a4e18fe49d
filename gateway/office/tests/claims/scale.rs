//! A thousand shops over fifty transactional producers, as gateways write, while replicas of the office, PostgreSQL and a
//! Kafka broker are killed. `make office-scale` runs it; `effectively_once` has the short form with fifty shops.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use comptoir_harness::chain::{Account, Chain};
use comptoir_harness::{Kafka, Postgres};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::effectively_once::wait_until_equal_to;
use crate::figures::ensure_equal;
use crate::office::{Office, Site};

const PRODUCERS: usize = 50;
const KAFKA_NODES: usize = 3;
const REPLICAS: [&str; 3] = ["one", "two", "three"];
/// How often a replica is killed.
const KILL_EVERY: Duration = Duration::from_secs(5);
/// How long the Kafka broker is away.
const BROKER_AWAY: Duration = Duration::from_secs(15);
/// How long the replicas may take for what is left at the end.
const DRAIN: Duration = Duration::from_secs(600);

/// A number from the environment.
fn number(name: &str, default: u64) -> Result<u64> {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .with_context(|| format!("{name}={text} is not a number")),
        Err(_) => Ok(default),
    }
}

/// Sells in these shops, once in each every `pause`, until `end`. Returns what they have sold.
fn sell(
    mut chain: Chain,
    shops: &[String],
    pause: Duration,
    end: Instant,
) -> Result<BTreeMap<String, Account>> {
    let mut next = Instant::now();
    for round in 0.. {
        if Instant::now() >= end {
            break;
        }
        chain.sell(shops, round)?;
        next += pause;
        // The rate is the input of the test.
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(chain.sold().clone())
}

/// What the overview says of each shop, without what depends on the moment.
async fn overview(office: &mut Office) -> Result<Value> {
    let mut overview = office.get_json("/api/shops").await?;
    let shops = overview["shops"].as_array_mut().context("no shops")?;
    Ok(shops.drain(..).collect())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs for minutes: make office-scale"]
async fn a_thousand_shops_are_in_postgresql_to_the_cent_whatever_is_killed() -> Result<()> {
    let shops = number("COMPTOIR_SCALE_SHOPS", 1_000)? as usize;
    let selling = Duration::from_secs(60 * number("COMPTOIR_SCALE_MINUTES", 10)?);
    let pause = Duration::from_secs(number("COMPTOIR_SCALE_PAUSE", 10)?);
    let shops: Vec<String> = (0..shops).map(|shop| format!("shop-{shop}")).collect();
    let mut kafka = Kafka::start_cluster(KAFKA_NODES).await?;
    let mut postgres = Postgres::start().await?;
    postgres.create_database("office").await?;
    let site = Site::on(&kafka, postgres.url("office"))?;
    site.create_topics(&kafka).await?;
    site.write_keys(shops.iter().map(String::as_str))?;
    let mut replicas: Vec<Office> = Vec::new();
    for name in REPLICAS {
        replicas.push(site.start(name)?);
    }
    let begun = Instant::now();
    let end = begun + selling;
    let mut producers = JoinSet::new();
    for (number, shops) in shops.chunks(shops.len().div_ceil(PRODUCERS)).enumerate() {
        let (brokers, prefix, shops) = (site.brokers.clone(), site.prefix.clone(), shops.to_vec());
        producers.spawn_blocking(move || {
            let chain = Chain::with_producer(&brokers, &prefix, &format!("chain-{number}"))?;
            sell(chain, &shops, pause, end)
        });
    }
    let (mut kills, mut broker) = (0, None);
    while Instant::now() < end {
        // The moments of the accidents are the input of the test.
        tokio::time::sleep(KILL_EVERY).await;
        let at = kills % replicas.len();
        replicas[at].kill();
        replicas[at] = site.start(REPLICAS[at])?;
        kills += 1;
        let passed = begun.elapsed();
        if kills == 5 {
            postgres.kill();
            postgres.restart().await?;
        }
        if passed > selling / 2 && broker.is_none() {
            kafka.node(1).kill();
            broker = Some(Instant::now() + BROKER_AWAY);
        }
        if broker.is_some_and(|back| Instant::now() > back) {
            kafka.start_again().await?;
            broker = Some(end + DRAIN);
        }
    }
    let mut sold = BTreeMap::new();
    while let Some(part) = producers.join_next().await {
        sold.extend(part??);
    }
    ensure!(sold.len() == shops.len(), "{} shops have sold", sold.len());
    let sold_in = begun.elapsed();
    wait_until_equal_to(&sold, &postgres, &site, DRAIN).await;
    let events: i64 = sold.values().map(|account| account.events).sum();
    eprintln!(
        "{} shops, {events} events in {sold_in:.0?} ({:.0}/s), {kills} replicas killed; PostgreSQL equal {:.1?} later",
        shops.len(),
        events as f64 / sold_in.as_secs_f64(),
        begun.elapsed() - sold_in
    );
    ensure_equal(&postgres, &site.postgres).await?;
    let mut seen = Vec::new();
    for replica in &mut replicas[..2] {
        seen.push(overview(replica).await?);
    }
    ensure!(seen[0] == seen[1], "two replicas differ: {} {}", seen[0], seen[1]);
    ensure!(seen[0].as_array().is_some_and(|list| list.len() == shops.len()));
    Ok(())
}
