//! A whole run: creates the tills, starts them, and reports the progress.

mod replay;

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::Xoshiro256PlusPlus;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use comptoir_wire::topic::{Name, NameError};

use crate::cashier::{Cashier, generator};
use crate::dialect::Dialect;
use crate::faults::Dice;
use crate::ledger::{Ledger, LedgerError};
use crate::pace::{Pacer, Permits};
use crate::plan::{End, Plan, PlanError, Sales};
use crate::queue::{Queue, QueueError};
use crate::replay::ReplayError;
use crate::source::Source;
use crate::tally::{Clock, Progress, Summary, Tally};
use crate::till::{Shared, SimulatedTill, SimulatedTillError};

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// The plan is invalid.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A name made from the plan or the file is invalid.
    #[error("invalid name of a store or till: {0}")]
    Name(#[from] NameError),
    /// The file cannot be replayed.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// A till's queue cannot be used.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The ledger cannot be written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A till cannot go on.
    #[error(transparent)]
    Till(#[from] SimulatedTillError),
    /// The histogram of latencies cannot be created.
    #[error("latency histogram: {0}")]
    Latencies(#[from] hdrhistogram::CreationError),
    /// A task panicked.
    #[error("a task of the simulation failed: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// Maximum number of connection attempts in progress.
const CONNECTING: usize = 64;
/// Interval between two progress reports.
const REPORT: Duration = Duration::from_millis(200);
/// Interval at which the ledger is flushed to the operating system.
const FLUSH: Duration = Duration::from_secs(1);

type Tasks = JoinSet<Result<(), SimError>>;

/// Runs a plan.
///
/// Ends when everything is sold and acked. `stop` ends the selling; unacked events then have `plan.drain` to be acked.
/// Dropping the future ends everything at once. Prints nothing.
///
/// # Errors
/// The plan is invalid, or a file cannot be used. An unreachable MQTT broker is not an error: the tills wait for it.
pub async fn run(
    plan: Plan,
    stop: CancellationToken,
    progress: watch::Sender<Progress>,
) -> Result<Summary, SimError> {
    plan.check()?;
    let ledger = plan
        .ledger
        .as_deref()
        .map(|path| Ledger::open(path, plan.queue.is_some()))
        .transpose()?;
    let shared = Arc::new(Shared {
        clock: Clock::start(),
        tally: Tally::new()?,
        ledger,
        closing: CancellationToken::new(),
        given_up: CancellationToken::new(),
        connecting: Semaphore::new(CONNECTING),
        plan,
    });
    let plan = &shared.plan;
    let mut tasks = Tasks::new();
    let total = match (&plan.sales, plan.end) {
        (Sales::Invented { .. }, End::Events(total)) => Some(total),
        _ => None,
    };
    match &plan.sales {
        Sales::Invented { store, devices, rate } => {
            start_invented(&mut tasks, &shared, store, *devices, *rate, total).await?;
        }
        Sales::Replayed { .. } => _ = tasks.spawn(replay::replay(Arc::clone(&shared))),
    }
    let end = match plan.end {
        End::After(after) => Some(Instant::now() + after),
        _ => None,
    };
    let report = || progress.send_replace(shared.tally.progress(total, shared.clock.elapsed()));
    let supervised = tokio::select! {
        all = supervise(&mut tasks) => all,
        failed = control(&shared, &stop, end, &report) => failed,
    };
    shared.given_up.cancel();
    report();
    if let Some(ledger) = &shared.ledger {
        ledger.flush()?;
    }
    supervised?;
    Ok(shared.tally.summary(shared.plan.seed))
}

/// Waits for all tasks; ends at the first error.
async fn supervise(tasks: &mut Tasks) -> Result<(), SimError> {
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    Ok(())
}

/// Ends the selling when it is time, gives up on acks after the drain time, reports progress and flushes the ledger.
/// Returns only on an error.
async fn control(
    shared: &Shared,
    stop: &CancellationToken,
    mut end: Option<Instant>,
    report: &impl Fn() -> Progress,
) -> Result<(), SimError> {
    let mut give_up = None;
    let mut flush = Instant::now() + FLUSH;
    let never = Instant::now() + Duration::from_secs(365 * 24 * 60 * 60);
    loop {
        tokio::select! {
            () = sleep(REPORT) => {
                report();
                if Instant::now() >= flush {
                    flush = Instant::now() + FLUSH;
                    shared.ledger.as_ref().map_or(Ok(()), Ledger::flush)?;
                }
            }
            () = stop.cancelled(), if give_up.is_none() => {
                shared.closing.cancel();
                give_up = Some(Instant::now() + shared.plan.drain);
            }
            () = sleep_until(end.unwrap_or(never)), if end.is_some() => {
                shared.closing.cancel();
                end = None;
            }
            () = sleep_until(give_up.unwrap_or(never)), if give_up.is_some_and(|at| at < never) => {
                shared.given_up.cancel();
                give_up = Some(never);
            }
        }
    }
}

async fn start_invented(
    tasks: &mut Tasks,
    shared: &Arc<Shared>,
    store: &str,
    devices: u32,
    rate: f64,
    total: Option<u64>,
) -> Result<(), SimError> {
    let (store, mut all_permits) = (Name::new(store)?, Vec::new());
    for index in 0..devices {
        let device = format!("till-{}", u64::from(index) + 1);
        let device = Name::new(&device)?;
        let (queue, rng) = queue(shared, store, device).await?;
        let epoch = queue.flash_queue().epoch();
        let cashier = Box::new(Cashier::new(store, device, epoch, rng.clone()));
        let source = if rate > 0.0 {
            let permits = Arc::<Permits>::default();
            all_permits.push(Arc::clone(&permits));
            Source::Paced { cashier, permits }
        } else {
            // Equal shares, so that the same seed gives the same events independent of the tills' speed.
            let share = |total: u64| {
                let (each, over) = (total / u64::from(devices), total % u64::from(devices));
                each + u64::from(u64::from(index) < over)
            };
            Source::Eager {
                cashier,
                left: total.map(share),
            }
        };
        start(tasks, shared, store, device, index, source, queue, rng)?;
    }
    if !all_permits.is_empty() {
        let pacer = Pacer {
            rate,
            total,
            tills: all_permits,
        };
        let closing = shared.closing.clone();
        tasks.spawn(async move {
            // Once selling has ended, no till takes permits.
            closing.run_until_cancelled(pacer.run()).await;
            Ok(())
        });
    }
    Ok(())
}

#[expect(
    clippy::too_many_arguments,
    reason = "the parts of a till, each made elsewhere"
)]
fn start(
    tasks: &mut Tasks,
    shared: &Arc<Shared>,
    store: Name<'_>,
    device: Name<'_>,
    index: u32,
    source: Source,
    queue: Queue,
    mut rng: Xoshiro256PlusPlus,
) -> Result<(), SimError> {
    let dialect = if shared.plan.speaks_json(index) {
        Dialect::Json
    } else {
        Dialect::Postcard
    };
    let dice = Dice::new(shared.plan.faults, rng.random());
    let till = SimulatedTill::new(
        store,
        device,
        dialect,
        source,
        queue,
        dice,
        rng,
        Arc::clone(shared),
    )?;
    tasks.spawn(async move { Ok(till.run().await?) });
    Ok(())
}

/// Opens a till's queue; returns it with the till's random number generator.
async fn queue(
    shared: &Shared,
    store: Name<'_>,
    device: Name<'_>,
) -> Result<(Queue, Xoshiro256PlusPlus), SimError> {
    let epoch = generator(shared.plan.seed, store, device, 0).random_range(1..=u32::MAX);
    // Two windows, because a source without a rate sells that many events ahead.
    let capacity = (2 * shared.plan.link.window as usize).min(shared.plan.queue_limit);
    let queue = match shared.plan.queue.clone() {
        None => Queue::open(None, store, device, epoch, capacity)?.0,
        Some(directory) => {
            let (store, device) = (store.to_string(), device.to_string());
            let open = move || {
                let names = (Name::new(&store)?, Name::new(&device)?);
                let (queue, _) = Queue::open(Some(&directory), names.0, names.1, epoch, capacity)?;
                Ok::<_, SimError>(queue)
            };
            tokio::task::spawn_blocking(open).await??
        }
    };
    let rng = generator(shared.plan.seed, store, device, queue.flash_queue().newest());
    Ok((queue, rng))
}
