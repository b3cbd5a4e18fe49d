//! A head office to look at, in one command: `make run-office`. Starts a real Kafka, PostgreSQL and `office` in a scratch folder,
//! with twenty simulated shops, two of which are in trouble. Ctrl-C ends everything and leaves nothing behind.

use std::fs;
use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use comptoir_core::command::HandledCommands;
use comptoir_harness::chain::{Chain, Inbox};
use comptoir_harness::process::Process;
use comptoir_harness::{Kafka, Postgres, Scratch, free_port, sibling_binary, within};
use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};

const SHOPS: usize = 20;
/// It publishes one state and nothing more.
const SILENT: usize = 7;
/// Sales of one of its tills are missing, and it cannot reach its MQTT broker.
const BROKEN: usize = 13;
/// Seconds between the states of a shop: short, so that the silent one is soon known as such.
const EVERY: u32 = 5;
const SALES_EVERY: Duration = Duration::from_secs(1);
const START_DEADLINE: Duration = Duration::from_secs(30);
/// Of `office` itself; a free one if another program has it.
const PORT: u16 = 8090;

fn store(shop: usize) -> String {
    const CITIES: [&str; 5] = ["paris", "lyon", "nantes", "lille", "nice"];
    format!("{}-{}", CITIES[shop % CITIES.len()], shop / CITIES.len() + 1)
}

#[tokio::main]
async fn main() -> Result<()> {
    // Registered before the start, so that a signal during the start ends it, too.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        result = run() => result,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

/// Runs until a part fails.
async fn run() -> Result<()> {
    eprintln!("starting Kafka and PostgreSQL …");
    let (kafka, postgres) = tokio::try_join!(Kafka::start(), Postgres::start())?;
    postgres.create_database("office").await?;
    let topics = ["orders", "payments", "deliveries"];
    for topic in topics {
        kafka
            .create_topic(topic, 6, &[("message.timestamp.type", "LogAppendTime")])
            .await?;
    }
    let settings = [
        ("message.timestamp.type", "LogAppendTime"),
        ("cleanup.policy", "compact"),
    ];
    kafka.create_topic("gateways", 1, &settings).await?;
    for shop in 0..SHOPS {
        let topic = format!("commands.{}", store(shop));
        kafka.create_topic(&topic, 1, &[]).await?;
    }

    let scratch = Scratch::new("office")?;
    let stores: Vec<String> = (0..SHOPS).map(store).collect();
    let keys = stores
        .iter()
        .map(|store| format!("{store} {}\n", Chain::secret(store).exported_record_key()));
    fs::write(scratch.join("shop-keys"), keys.collect::<String>())?;
    let port = match TcpListener::bind(("127.0.0.1", PORT)) {
        Ok(_) => PORT,
        Err(_) => free_port()?,
    };
    let mut command = Command::new(sibling_binary("office")?);
    command
        .arg("run")
        .env("COMPTOIR_KAFKA__BROKERS", kafka.brokers())
        .env("COMPTOIR_POSTGRES__URL", postgres.url("office"))
        .env("COMPTOIR_SHOPS__KEYS", scratch.join("shop-keys"))
        .env("COMPTOIR_HTTP__LISTEN", format!("127.0.0.1:{port}"));
    let mut office = Process::spawn("the office", command, &scratch.join("office.log"))?;
    let url = format!("http://localhost:{port}");
    within("the office to be ready", START_DEADLINE, async || {
        office.still_running()?;
        reqwest::get(format!("{url}/readyz")).await?.error_for_status()?;
        Ok(())
    })
    .await?;
    eprintln!(
        "the head office of {SHOPS} simulated shops is at {url}\n\
         {} has been silent, and {} is in trouble; Ctrl-C ends everything",
        stores[SILENT], stores[BROKEN]
    );

    let brokers = kafka.brokers().to_owned();
    let names = stores.clone();
    let (mut chain, mut inbox) = tokio::task::spawn_blocking(move || {
        let chain = Chain::new(&brokers, "")?;
        anyhow::Ok((chain, Inbox::new(&brokers, "", &names)?))
    })
    .await??;
    let selling: Vec<String> = (0..SHOPS).filter(|shop| *shop != SILENT).map(store).collect();
    let (mut round, started) = (0, Timestamp::now());
    loop {
        office.still_running()?;
        let (now, stores, selling) = (Timestamp::now(), stores.clone(), selling.clone());
        (chain, inbox) = tokio::task::spawn_blocking(move || -> Result<(Chain, Inbox)> {
            inbox.read()?;
            chain.set_time(format!("{now:.0}"));
            chain.sell(&selling, round)?;
            for (shop, store) in stores.iter().enumerate() {
                // The silent shop publishes a single state.
                if round % EVERY == 0 && (shop != SILENT || round == 0) {
                    // The one in trouble does not reach its MQTT broker, so it hands no command over.
                    let handled = inbox.handled(store).filter(|_| shop != BROKEN);
                    chain.publish(store, &state(shop, round, started, now, handled))?;
                }
            }
            Ok((chain, inbox))
        })
        .await?
        .context("the shops cannot reach Kafka")?;
        round += 1;
        tokio::time::sleep(SALES_EVERY).await;
    }
}

/// The state of a shop's gateway.
fn state(
    shop: usize,
    round: u32,
    started: Timestamp,
    now: Timestamp,
    handled: Option<HandledCommands>,
) -> String {
    // Cannot fail: numbers only.
    let commands = handled.map_or_else(
        || "{}".to_owned(),
        |handled| serde_json::to_string(&handled).unwrap_or_default(),
    );

    let sold = 3 * (u64::from(round) + 1);
    let (problems, missing) = match shop {
        BROKEN => (r#""problems":["mqtt-down"],"#, r#","online":false,"missing":2"#),
        _ => ("", r#","online":true"#),
    };
    format!(
        r#"{{"time":"{now:.0}","version":"{}","started":"{started:.0}","last_exit":"stopped",{problems}"journal":{{"bytes":18423808,"max_bytes":1073741824}},"disk_free":10737418240,"commands":{commands},"devices":[{{"device":"till-1","received":{sold}{missing}}}],"every":{EVERY}}}"#,
        env!("CARGO_PKG_VERSION")
    )
}
