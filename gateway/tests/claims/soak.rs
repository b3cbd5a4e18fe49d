//! The same accidents for as long as asked: `make soak MINUTES=30 KILLS=200`.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::exactly_once::Trial;

fn asked(name: &str, default: usize) -> Result<usize> {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .with_context(|| format!("{name}: {text:?} is no number")),
        Err(_) => Ok(default),
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs for minutes: make soak"]
async fn exactly_once_under_kills() -> Result<()> {
    let minutes = asked("COMPTOIR_SOAK_MINUTES", 10)?;
    let kills = asked("COMPTOIR_SOAK_KILLS", 50)?;
    let restarts = asked("COMPTOIR_SOAK_RESTARTS", kills / 10 + 1)?;
    let rate = 300;
    Trial {
        gateway_kills: kills,
        mosquitto_restarts: restarts,
        kafka_restarts: restarts,
        kafka_kills: asked("COMPTOIR_SOAK_KAFKA_KILLS", 0)?,
        kafka_nodes: asked("COMPTOIR_SOAK_KAFKA_NODES", 1)?,
        kafka_hangs: kills / 20 + 1,
        hang: Duration::from_secs(25),
        events: u32::try_from(minutes * 60)? * rate,
        rate,
        seed: rand::random(),
    }
    .run()
    .await
}
