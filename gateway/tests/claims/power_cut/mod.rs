//! A power cut loses no event that was acked end to end.
//!
//! The gateway runs under strace, which records what it does to the journal's files and when. From the recording the test
//! builds the files as a disk could contain them after a power cut at a given moment (see [`disk`]). Each time the journal
//! must open and contain every event whose ack a till had received by then.

mod disk;
mod load;
mod trace;

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use comptoir_harness::Scratch;
use comptoir_journal::Journal;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use rand::rngs::StdRng;
use rand::seq::IteratorRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::sync::OnceCell;

use disk::{Disk, Files, Syncs};
use load::{DEVICES, EPOCH, INTACT, Recording, STORE, acked_before};
use trace::{Action, Step};

const DB: &str = "journal.db";
const WAL: &str = "journal.db-wal";
/// All names of the journal's files, including those during its creation.
const FILES: [&str; 6] = [
    DB,
    WAL,
    "journal.db-journal",
    "journal.db.new",
    "journal.db.new-journal",
    "journal.db.new-wal",
];

/// The seed of the random cuts and of what survives them: the same trace gives the same cuts.
const SEED: u64 = 20_261_122;
/// The number of syncs of the WAL, spread evenly over the run, with a cut before, at and after each.
const WAL_SYNCS: usize = 60;
/// The number of random cuts among the writes of checkpoints, and among all steps.
const IN_CHECKPOINTS: usize = 50;
const ANYWHERE: usize = 70;
/// The number of cuts that are examined at the same time.
const CONCURRENCY: usize = 2;

/// All tests share one recorded run; they differ in their cuts.
static RUN: OnceCell<Recording> = OnceCell::const_new();

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_acked_before_a_power_cut_is_in_the_journal_after_it() {
    let run = RUN.get_or_try_init(load::record).await.unwrap();
    let cuts = cuts(&run.steps).split_off(&end_of_creation(&run.steps));
    assert!(cuts.len() >= 200, "only {} cuts", cuts.len());
    check_that_checkpoints_happened(run).unwrap();

    let report = cut_power(run, &cuts, Syncs::All).await.unwrap();
    println!("{} steps: {report}", run.steps.len());
    assert!(report.failed.is_empty(), "{report}");
    assert!(report.acked > 0, "nothing was acked before any cut: {report}");
}

/// Nothing is acked yet, so nothing can be lost, but the next start must work without anybody's help.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_while_the_journal_is_created_does_not_keep_the_gateway_from_starting() {
    let run = RUN.get_or_try_init(load::record).await.unwrap();
    let cuts = (0..=end_of_creation(&run.steps)).collect();
    let report = cut_power(run, &cuts, Syncs::All).await.unwrap();
    println!("{report}");
    assert!(report.failed.is_empty(), "{report}");
}

/// The positive control: on a disk that confirms syncs and does not sync, the same cuts must lose events.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_ignores_syncs_is_detected() {
    let run = RUN.get_or_try_init(load::record).await.unwrap();
    let cuts: BTreeSet<usize> = cuts(&run.steps).into_iter().step_by(10).collect();
    let lying = Syncs::IgnoredFor { file: WAL, by: DB };
    let report = cut_power(run, &cuts, lying).await.unwrap();
    println!("{report}");
    assert!(report.lost > 0, "{report}");
}

fn is_sync(step: &Step, file: &str) -> bool {
    step.file == file && matches!(step.action, Action::Synced { .. })
}

/// The first step after the journal is complete, which is the first sync of the WAL.
fn end_of_creation(steps: &[Step]) -> usize {
    steps.iter().take_while(|step| !is_sync(step, WAL)).count() + 1
}

/// Fails unless a checkpoint copied the WAL into the file while events were acked, which is the riskiest moment.
fn check_that_checkpoints_happened(run: &Recording) -> Result<()> {
    let first_ack = run.acks.first().context("there were no acks")?.at;
    let last_ack = run.acks.last().context("there were no acks")?.at;
    let live = |step: &&Step| step.at > first_ack && step.at < last_ack && step.file == DB;
    let (mut writes, mut syncs) = (0, 0);
    for step in run.steps.iter().filter(live) {
        match step.action {
            Action::Changed { .. } => writes += 1,
            Action::Synced { .. } => syncs += 1,
        }
    }
    println!("checkpoints: {writes} writes to {DB} and {syncs} syncs of it among the acks");
    ensure!(
        writes > 0 && syncs > 0,
        "{writes} writes to {DB} and {syncs} syncs"
    );
    Ok(())
}

/// The moments of the power cuts: each number is the first step that does not happen.
fn cuts(steps: &[Step]) -> BTreeSet<usize> {
    let mut random = StdRng::seed_from_u64(SEED);
    let synced = |file: &'static str| {
        let steps = steps.iter().enumerate();
        steps.filter(move |(_, step)| is_sync(step, file))
    };
    let wal_syncs = synced(WAL).count();
    let boundaries = synced(WAL)
        .step_by(wal_syncs.div_ceil(WAL_SYNCS).max(1))
        .chain(synced(DB))
        // During the write before the sync, between write and sync, and just after the sync.
        .flat_map(|(at, _)| [at.saturating_sub(1), at, at + 1]);
    let mut cuts: BTreeSet<usize> = boundaries.collect();
    let in_checkpoints = (0..steps.len()).filter(|at| steps[*at].file == DB);
    cuts.extend(in_checkpoints.sample(&mut random, IN_CHECKPOINTS));
    cuts.extend((0..steps.len()).sample(&mut random, ANYWHERE));
    cuts
}

/// The outcome of a number of cuts.
#[derive(Default)]
struct Report {
    cuts: usize,
    /// The number of acked events over all cuts, and the number of those that were not found.
    acked: u64,
    lost: u64,
    failed: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            cuts,
            acked,
            lost,
            failed,
        } = self;
        write!(
            f,
            "{cuts} power cuts, {} with losses: {lost} of {acked} acked events lost",
            failed.len()
        )?;
        failed
            .iter()
            .take(10)
            .try_for_each(|failure| write!(f, "\n{failure}"))
    }
}

async fn cut_power(run: &Recording, cuts: &BTreeSet<usize>, syncs: Syncs) -> Result<Report> {
    let mut disk = Disk::new(syncs);
    let mut done = 0;
    let images = cuts.iter().map(|cut| {
        for step in &run.steps[done..*cut] {
            disk.apply(step);
        }
        done = *cut;
        let mut random = StdRng::seed_from_u64(SEED ^ seed_of(*cut));
        // Nothing changes on the disk until the next step, so the cut is as late as possible.
        let at = run.steps.get(*cut).map_or(u64::MAX, |step| step.at);
        (*cut, at, disk.after_cut(&mut random))
    });
    let verdicts = stream::iter(images).map(async |(cut, at, files)| {
        let acked = acked_before(&run.acks, at);
        let verdict = examine(&files, &acked).await?;
        anyhow::Ok((cut, acked, verdict))
    });
    let mut verdicts = std::pin::pin!(verdicts.buffer_unordered(CONCURRENCY));
    let mut report = Report::default();
    while let Some((cut, acked, verdict)) = verdicts.try_next().await? {
        report.cuts += 1;
        let all: u64 = acked.iter().map(|seq| u64::from(*seq)).sum();
        report.acked += all;
        let problem = match verdict {
            Verdict::Opened(found) if found == all => continue,
            Verdict::Opened(found) => {
                report.lost += all - found;
                format!("{} of {all} acked events lost", all - found)
            }
            Verdict::Refused(problem) => {
                report.lost += all;
                problem
            }
        };
        let place = run.steps.get(cut).map(|step| (&step.file, step.at));
        report
            .failed
            .push(format!("cut before step {cut} {place:?}: {problem}"));
    }
    Ok(report)
}

/// A seed for each cut, so that different sectors survive neighbouring cuts.
fn seed_of(cut: usize) -> u64 {
    StdRng::seed_from_u64(cut as u64).random()
}

enum Verdict {
    /// The number of acked events that are in the journal with the content that was sent.
    Opened(u64),
    Refused(String),
}

/// Opens a journal with these files, as the gateway does at its start.
async fn examine(files: &Files, acked: &[u32; DEVICES.len()]) -> Result<Verdict> {
    let scratch = Scratch::new("power-cut")?;
    for (name, content) in files {
        fs::write(scratch.join(name), content)?;
    }
    let path = scratch.join(DB);
    match Journal::open(&path, 1 << 30).await {
        Ok((_journal, _writer)) => Ok(Verdict::Opened(count_intact(&path, acked).await?)),
        Err(error) => Ok(Verdict::Refused(error.to_string())),
    }
}

async fn count_intact(path: &Path, acked: &[u32; DEVICES.len()]) -> Result<u64> {
    let mut connection = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .connect()
        .await?;
    let mut found = 0;
    for (device, acked) in DEVICES.iter().zip(acked) {
        let intact: i64 = sqlx::query_scalar(INTACT)
            .bind(STORE)
            .bind(device)
            .bind(EPOCH)
            .bind(acked)
            .fetch_one(&mut connection)
            .await?;
        found += u64::try_from(intact)?;
    }
    connection.close().await?;
    Ok(found)
}
