//! Latency and memory while everybody who may attack a shop does so at once, compared with the same gateway before.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use comptoir_harness::{GatewayConfig, Reader, within};

use crate::Arguments;
use crate::drain::RATE;
use crate::jobs::{FORGED, Job, Victim};
use crate::load::{Load, ack_ms};
use crate::report::{Report, Target, percentile};
use crate::stage::{self, LONG, Shop, Stage};

/// `MemoryMax` of the systemd unit, in MB.
const MEMORY_MAX: f64 = 402.7;
const SOON: Duration = Duration::from_secs(60);
/// Prefix of the devices that sell meanwhile.
const TILL: &str = "till";

/// Values of all rounds.
#[derive(Default)]
struct Attacks {
    /// Ack latencies in milliseconds.
    calm_ms: Vec<f64>,
    attacked_ms: Vec<f64>,
    /// Of each round: p99 of the latencies, relative to before.
    ratios: Vec<f64>,
    memory_mb: Vec<f64>,
    /// Of each round: sales that are not in Kafka exactly once.
    wrong: Vec<f64>,
}

pub async fn measure(stage: &Stage, arguments: &Arguments, report: &mut Report) -> Result<()> {
    let mut attacks = Attacks::default();
    for round in 1..=arguments.rounds {
        eprintln!("attack, round {round} of {}", arguments.rounds);
        attack(stage, arguments.seconds.div_ceil(2), &mut attacks)
            .await
            .with_context(|| format!("round {round}"))?;
    }
    report.figure(
        "publish → end-to-end ack before the attack, p99",
        "ms",
        [percentile(&attacks.calm_ms, 0.99)],
    );
    report.figure(
        "publish → end-to-end ack under attack, p99",
        "ms",
        [percentile(&attacks.attacked_ms, 0.99)],
    );
    report.figure_with_target(
        "publish → end-to-end ack under attack, p99, relative to before",
        "×",
        attacks.ratios,
        Target::AtMost(3.0),
    );
    report.figure_with_target(
        "resident memory under attack, maximum",
        "MB",
        attacks.memory_mb,
        Target::AtMost(MEMORY_MAX),
    );
    report.figure_with_target(
        "sales that are not in Kafka exactly once",
        "",
        attacks.wrong,
        Target::AtMost(0.0),
    );
    Ok(())
}

async fn attack(stage: &Stage, seconds: u32, attacks: &mut Attacks) -> Result<()> {
    let mut shop = open(stage).await?;
    // Connections and caches are warm in both halves.
    sell(&shop, "warm", 3).await?;
    let calm = sell(&shop, &format!("{TILL}-calm"), seconds).await?;
    let token = ["tokens", "add", "screen", "--role", "viewer"];
    let (status, said) = shop.gateway.run(&token, SOON).await?;
    ensure!(status.success(), "{said}");
    let token = said.lines().last().context("a token")?.trim().to_owned();
    let port = shop
        .gateway
        .http_url()?
        .rsplit_once(':')
        .context("a port")?
        .1
        .parse()?;
    let victim = Victim {
        http: SocketAddr::new(network_address()?, port),
        token,
        mqtt_port: shop.mosquitto.port(),
        brokers: stage.kafka.brokers().to_owned(),
        prefix: shop.prefix.clone(),
    };
    let mut attackers = Job::Attack(victim).start()?;
    attackers.sample(0).await?;
    let attacked = sell(&shop, &format!("{TILL}-attacked"), seconds).await?;
    attackers.still_running()?;
    drop(attackers);
    attacks.memory_mb.push(shop.sample()?.peak_rss_bytes as f64 / 1e6);
    attacks
        .ratios
        .push(percentile(&attacked, 0.99) / percentile(&calm, 0.99));
    // Each phase has sold as many.
    let sold = 2 * events_of(seconds);
    attacks.wrong.push(f64::from(wrong(stage, &shop, sold).await?));
    attacks.calm_ms.extend(calm);
    attacks.attacked_ms.extend(attacked);
    shop.gateway.terminate().await?;
    Ok(())
}

/// A gateway that asks for sign-in and listens on the network, where its limits per address apply.
async fn open(stage: &Stage) -> Result<Shop> {
    let amend = |mut config: GatewayConfig| {
        config.open = false;
        config.http_listen = "0.0.0.0:0".to_owned();
        // Plain HTTP, so that the attackers spend no time on TLS.
        config
            .with("http.tls = \"off\"")
            .with("http.plain_sign_in = true")
            .with("http.mdns = \"\"")
    };
    let shop = stage
        .shop_with(stage::mosquitto().await?, true, None, amend)
        .await?;
    shop.wait_for_counter("comptoir_bridge_up", 1.0).await?;
    let user = [
        "users",
        "add",
        "marie",
        "--role",
        "administrator",
        "--password-stdin",
    ];
    let (status, said) = shop
        .gateway
        .run_with_input(&user, "sésame ouvre-toi\n", SOON)
        .await?;
    ensure!(status.success(), "{said}");
    Ok(shop)
}

fn events_of(seconds: u32) -> u32 {
    (RATE * f64::from(seconds)) as u32
}

/// Sells at the usual rate until everything is acked. Returns the latencies.
async fn sell(shop: &Shop, name: &str, seconds: u32) -> Result<Vec<f64>> {
    let load = Load::prepare(shop.mosquitto.port(), name, shop.tills, events_of(seconds)).await?;
    Ok(ack_ms(&load.paced(RATE).finish().await?))
}

/// How many of the tills' sales are missing in Kafka, and how many are there more than once.
async fn wrong(stage: &Stage, shop: &Shop, sold: u32) -> Result<u32> {
    within("the journal to be empty", LONG, async || {
        let pending = shop.counters().await?.get("comptoir_journal_pending")?;
        ensure!(pending == 0.0, "{pending} events are pending");
        Ok(())
    })
    .await?;
    let topics = ["orders", "payments", "deliveries"].map(|name| format!("{}{name}", shop.prefix));
    let records = Reader::new(stage.kafka.brokers()).read(&topics, LONG).await?;
    let mut counts = HashMap::<&str, u32>::new();
    for name in records.iter().filter_map(|record| record.ce_id()) {
        if name
            .split('/')
            .nth(1)
            .is_some_and(|device| device.starts_with(TILL))
        {
            *counts.entry(name).or_default() += 1;
        }
    }
    counts.remove(FORGED);
    let several = counts.values().filter(|count| **count > 1).count();
    Ok(sold.abs_diff(u32::try_from(counts.len())?) + u32::try_from(several)?)
}

/// An address of this machine that is not loopback.
fn network_address() -> Result<IpAddr> {
    // Sends nothing; the kernel only chooses the source address.
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect("192.0.2.1:9")?;
    Ok(socket.local_addr()?.ip())
}
