//! No matter what is killed, restarted or paused, and when, each event is in Kafka exactly once and in order.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use comptoir_harness::{Kafka, PosSim};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use crate::shop::{LATER, Shop};

/// A run of the whole shop with accidents at random moments.
pub struct Trial {
    pub gateway_kills: usize,
    pub mosquitto_restarts: usize,
    pub kafka_restarts: usize,
    /// SIGKILL of one node, followed by its restart.
    pub kafka_kills: usize,
    pub kafka_nodes: usize,
    /// Kafka hangs instead of refusing connections, for `hang` each time.
    pub kafka_hangs: usize,
    pub hang: Duration,
    pub events: u32,
    pub rate: u32,
    pub seed: u64,
}

#[derive(Debug, Clone, Copy)]
enum Accident {
    KillGateway,
    RestartMosquitto,
    RestartKafka,
    KillKafka,
    HangKafka,
}

impl Trial {
    fn accidents(&self, rng: &mut StdRng) -> Vec<Accident> {
        let repeat = |accident, count| std::iter::repeat_n(accident, count);
        let mut accidents: Vec<_> = repeat(Accident::KillGateway, self.gateway_kills)
            .chain(repeat(Accident::RestartMosquitto, self.mosquitto_restarts))
            .chain(repeat(Accident::RestartKafka, self.kafka_restarts))
            .chain(repeat(Accident::KillKafka, self.kafka_kills))
            .chain(repeat(Accident::HangKafka, self.kafka_hangs))
            .collect();
        accidents.shuffle(rng);
        accidents
    }

    pub async fn run(self) -> Result<()> {
        println!("seed {}", self.seed);
        let mut rng = StdRng::seed_from_u64(self.seed);
        let mut kafka = Kafka::start_cluster(self.kafka_nodes).await?;
        let mut shop = Shop::open_on(kafka.brokers()).await?;
        let mut sim = PosSim::spawn([
            "--broker",
            &shop.mosquitto.url(),
            "--store",
            "paris-1",
            "--devices",
            "20",
            "--json-terminals",
            "20",
            "--rate",
            &self.rate.to_string(),
            "--events",
            &self.events.to_string(),
            "--seed",
            &self.seed.to_string(),
        ])?;
        let selling = Duration::from_secs_f64(f64::from(self.events) / f64::from(self.rate));
        let accidents = self.accidents(&mut rng);
        let pause = selling.mul_f64(0.9) / accidents.len().max(1) as u32;
        let mut while_selling = 0;
        let mut follow = ["own", "all"];
        for accident in accidents {
            // The moment of each accident is the input of the test, so this sleep is intended. It is random.
            tokio::time::sleep(pause.mul_f64(rng.random_range(0.1..1.9))).await;
            while_selling += usize::from(sim.is_running()?);
            match accident {
                Accident::KillGateway => {
                    shop.gateway.kill9()?;
                    // The promise holds in both modes, and over a change between them.
                    follow.reverse();
                    shop.gateway.config().extra = format!("kafka.follow = \"{}\"", follow[0]);
                    shop.gateway.start_again()?;
                }
                Accident::RestartMosquitto => {
                    shop.mosquitto.stop().await?;
                    shop.mosquitto.start_again().await?;
                }
                Accident::RestartKafka => {
                    kafka.stop().await?;
                    kafka.start_again().await?;
                }
                Accident::KillKafka => {
                    kafka.node(rng.random_range(0..self.kafka_nodes)).kill();
                    kafka.start_again().await?;
                }
                Accident::HangKafka => {
                    kafka.pause()?;
                    // The length of the hang is the input.
                    tokio::time::sleep(self.hang).await;
                    kafka.resume()?;
                }
            }
        }
        ensure!(while_selling > 0, "every accident happened after the last sale");
        let timeout = LATER + selling;
        sim.finish(timeout).await?;
        let begun = Instant::now();
        shop.gateway.wait_ready().await?;
        shop.drained(u64::from(self.events), LATER).await?;
        println!(
            "{while_selling} accidents while selling; drained in {:?}",
            begun.elapsed()
        );
        let ledger = sim.ledger()?;
        ensure!(ledger.len() == self.events as usize, "{} sold", ledger.len());
        shop.audited(&ledger).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_is_in_kafka_exactly_once_whatever_is_killed() -> Result<()> {
    Trial {
        gateway_kills: 8,
        mosquitto_restarts: 1,
        kafka_restarts: 1,
        kafka_kills: 0,
        kafka_nodes: 1,
        kafka_hangs: 1,
        hang: Duration::from_secs(5),
        events: 6_000,
        rate: 200,
        seed: rand::random(),
    }
    .run()
    .await
}
