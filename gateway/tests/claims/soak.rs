//! The accidents of `exactly_once` for as long as requested: `make soak MINUTES=30 KILLS=200`.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::exactly_once::Trial;

fn read_env(name: &str, default: usize) -> Result<usize> {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .with_context(|| format!("{name}: {text:?} is not a number")),
        Err(_) => Ok(default),
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs for minutes: make soak"]
async fn each_event_is_in_kafka_exactly_once_under_random_kills() -> Result<()> {
    let minutes = read_env("COMPTOIR_SOAK_MINUTES", 10)?;
    let kills = read_env("COMPTOIR_SOAK_KILLS", 50)?;
    let restarts = read_env("COMPTOIR_SOAK_RESTARTS", kills / 10 + 1)?;
    let rate = 300;
    Trial {
        gateway_kills: kills,
        mosquitto_restarts: restarts,
        kafka_restarts: restarts,
        kafka_kills: read_env("COMPTOIR_SOAK_KAFKA_KILLS", 0)?,
        kafka_nodes: read_env("COMPTOIR_SOAK_KAFKA_NODES", 1)?,
        kafka_hangs: kills / 20 + 1,
        hang: Duration::from_secs(25),
        events: u32::try_from(minutes * 60)? * rate,
        rate,
        seed: rand::random(),
    }
    .run()
    .await
}
