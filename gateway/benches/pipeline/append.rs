//! Appending to a long journal, compared with appending to an empty one.

use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use comptoir_harness::Scratch;
use comptoir_journal::{ChainReader, ChainWalk, Offset};

use crate::Arguments;
use crate::jobs::Job;
use crate::report::{Report, Target, ratios};

/// Events appended in each run.
const EVENTS: u32 = 100_000;

/// CPU time and wall-clock time of each run, µs per event.
#[derive(Default)]
struct Runs {
    cpu: Vec<f64>,
    wall: Vec<f64>,
}

impl Runs {
    async fn add(&mut self, job: Job) -> Result<()> {
        let used = job.measure().await?;
        self.cpu.push(used.cpu_us / f64::from(EVENTS));
        self.wall.push(used.wall.as_secs_f64() * 1e6 / f64::from(EVENTS));
        Ok(())
    }
}

/// µs per event to compute the hashes of a journal's entries again, which is what appending adds for them.
async fn verify_chain(journal: &Path, rounds: u32) -> Result<Vec<f64>> {
    let mut reader = ChainReader::open(journal).await?;
    let start = reader.summary().await?.start;
    let mut entries = Vec::new();
    let mut after = start.offset;
    loop {
        let page = reader.entries_after(after, Offset(u64::from(EVENTS))).await?;
        let Some(last) = page.last() else {
            break;
        };
        after = last.entry.offset;
        entries.extend(page);
    }
    let mut runs = Vec::new();
    for _ in 0..rounds {
        let begun = Instant::now();
        let mut walk = ChainWalk::new(start);
        for entry in &entries {
            walk.add(entry)?;
        }
        runs.push(begun.elapsed().as_secs_f64() * 1e6 / entries.len() as f64);
    }
    Ok(runs)
}

pub async fn measure(arguments: &Arguments, report: &mut Report) -> Result<()> {
    let folder = Scratch::new("append")?;
    let rows = arguments.rows;
    let large = folder.join("large.db");
    eprintln!("append: creating a journal of {rows} rows");
    let path = large.clone();
    Job::Append { path, events: rows }.measure().await?;
    let (mut empty, mut long) = (Runs::default(), Runs::default());
    for round in 1..=arguments.rounds {
        let path = folder.join(format!("empty-{round}.db"));
        let events = EVENTS;
        empty.add(Job::Append { path, events }).await?;
        let path = large.clone();
        long.add(Job::Append { path, events }).await?;
    }
    let chain = verify_chain(&folder.join("empty-1.db"), arguments.rounds).await?;
    let chain_ratio = ratios(&chain, &empty.cpu);
    let ratio = ratios(&long.cpu, &empty.cpu);
    report.figure("appending to an empty journal: CPU per event", "µs", empty.cpu);
    report.figure("appending to an empty journal: time per event", "µs", empty.wall);
    report.figure(
        format!("appending to one of {rows} rows: CPU per event"),
        "µs",
        long.cpu,
    );
    report.figure(
        format!("appending to one of {rows} rows: time per event"),
        "µs",
        long.wall,
    );
    report.figure_with_target(
        format!("appending to one of {rows} rows: CPU, relative to an empty one"),
        "×",
        ratio,
        Target::AtMost(1.15),
    );
    report.figure("the hash chain: CPU per event", "µs", chain);
    report.figure("the hash chain: CPU, relative to appending", "×", chain_ratio);
    Ok(())
}
