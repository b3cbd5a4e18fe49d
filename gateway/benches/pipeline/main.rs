//! Speed and cost of the gateway, compared with a bare relay that gives no guarantees.
//!
//! Load, MQTT broker, Kafka and the program under test share this machine's cores. So only ratios within one run mean
//! something. They are measured in alternating pairs (A B A B); a row is the median of its pairs. CPU time, memory and bytes
//! written come from the operating system's accounting of one process. Therefore the relay and the parts alone are separate
//! processes: this binary again, with a [`jobs::Job`].
//!
//! ```text
//! flow     the bare relay | Comptoir | Comptoir without Kafka | its three parts alone    (flow.rs)
//! drain    a backlog into Kafka | a transactional producer alone; memory; start time     (drain.rs)
//! latency  publish → end-to-end ack, publish → visible in Kafka                          (latency.rs)
//! wear     bytes written to disk at one event per second                                 (wear.rs)
//! pages    POST → one page, POST → a thousand pages; lists; Chromium                     (pages.rs, browser.rs)
//! search   searches in many sales: cargo bench … -- --only search --rows 5000000         (search.rs)
//! append   appending to an empty journal | to one with many rows                         (append.rs)
//! attack   publish → end-to-end ack while everybody who may attack the shop does so       (attack.rs)
//! firmware the bare-metal image: flash, RAM; pos-sim: memory per till, CPU               (firmware.rs)
//! ```
//!
//! Prints a table and writes it, with every single run, to `target/bench/pipeline.json`.

mod append;
mod attack;
mod browser;
mod drain;
mod firmware;
mod flow;
mod jobs;
mod latency;
mod load;
mod pages;
mod report;
mod sales;
mod search;
mod stage;
mod till;
mod wear;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use serde::Serialize;

use report::Report;
use stage::Stage;

/// Rates, latencies, CPU and memory of the gateway compared with a bare relay; resources of a till.
#[derive(Parser, Debug, Clone, Serialize)]
struct Arguments {
    /// Events of each run of the live flow
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    events: u32,

    /// Events in the backlog when Kafka comes back
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    backlog: u32,

    /// Rows of the long journal, and of the lists
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    rows: u32,

    /// Number of pairs of each comparison
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,

    /// Duration of the latency measurements, in seconds
    #[arg(long, value_name = "N", default_value_t = 30)]
    seconds: u32,

    /// Number of tills, each with its own connection
    #[arg(long = "terminals", value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    tills: u32,

    /// Measure only this section; may be given several times
    #[arg(long, value_name = "NAME")]
    only: Vec<Section>,

    /// Cargo passes this to every benchmark
    #[arg(long, hide = true)]
    bench: bool,

    /// Run as one of the programs under test, given as JSON
    #[arg(long, hide = true)]
    #[serde(skip)]
    job: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Section {
    Flow,
    Drain,
    Latency,
    Wear,
    Pages,
    Search,
    Append,
    Attack,
    Firmware,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    // As many worker threads as the gateway has.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let done = match &arguments.job {
        Some(job) => {
            let job = serde_json::from_str::<jobs::Job>(job).context("parse the job")?;
            runtime.block_on(job.run())
        }
        None => runtime.block_on(measure(&arguments)),
    };
    // Do not wait for librdkafka's threads; they end with the process.
    runtime.shutdown_background();
    done
}

async fn measure(arguments: &Arguments) -> Result<()> {
    let wanted = |section| arguments.only.is_empty() || arguments.only.contains(&section);
    let mut report = Report::default();
    let stage = Stage::open(arguments.tills).await?;
    if wanted(Section::Flow) {
        flow::measure(&stage, arguments, &mut report)
            .await
            .context("flow")?;
    }
    if wanted(Section::Drain) {
        drain::measure(&stage, arguments, &mut report)
            .await
            .context("drain")?;
    }
    if wanted(Section::Latency) {
        latency::measure(&stage, arguments, &mut report)
            .await
            .context("latency")?;
    }
    if wanted(Section::Wear) {
        wear::measure(&stage, &mut report).await.context("wear")?;
    }
    if wanted(Section::Pages) {
        pages::measure(&stage, arguments, &mut report)
            .await
            .context("pages")?;
    }
    if wanted(Section::Search) {
        search::measure(&stage, arguments, &mut report)
            .await
            .context("search")?;
    }
    if wanted(Section::Append) {
        append::measure(arguments, &mut report).await.context("append")?;
    }
    if wanted(Section::Attack) {
        attack::measure(&stage, arguments, &mut report)
            .await
            .context("attack")?;
    }
    if wanted(Section::Firmware) {
        firmware::measure(&stage, arguments, &mut report)
            .await
            .context("firmware")?;
    }
    println!("{report}");
    let file = report.write(arguments)?;
    println!("written to {}", file.display());
    Ok(())
}
