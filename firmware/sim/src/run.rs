//! A whole run: makes the terminals, starts them, and says how it goes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use comptoir_wire::Currency;
use comptoir_wire::topic::{Name, NameError};

use crate::cashier::{Cashier, generator};
use crate::dialect::Dialect;
use crate::faults::Dice;
use crate::ledger::{Ledger, LedgerError};
use crate::pace::{Pacer, Permits};
use crate::plan::{End, Plan, PlanError, Sales};
use crate::queue::{Queue, QueueError};
use crate::replay::{Basket, Baskets, ReplayError};
use crate::source::{Script, Source};
use crate::tally::{Clock, Progress, Summary, Tally};
use crate::terminal::{Shared, Terminal, TerminalError};

/// Why a run could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// The plan makes no sense.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A name made from the plan is none.
    #[error("a terminal's name: {0}")]
    Name(#[from] NameError),
    /// The file to be replayed.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// A terminal's queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A terminal cannot go on.
    #[error(transparent)]
    Terminal(#[from] TerminalError),
    /// The histogram of the latencies.
    #[error("latencies: {0}")]
    Latencies(#[from] hdrhistogram::CreationError),
    /// A task panicked.
    #[error("a part of the simulation failed: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// Connections being made at a time.
const CONNECTING: usize = 64;
/// Receipts read ahead, for the whole file and for each store.
const READ_AHEAD: usize = 16;
/// How often progress is told.
const TELL: Duration = Duration::from_millis(200);
/// How often the ledger goes to the operating system.
const FLUSH: Duration = Duration::from_secs(1);

type Tasks = JoinSet<Result<(), SimError>>;

/// Carries out a plan.
///
/// Ends when all has been sold and acked. `stop` ends the selling; what is unacked then has `plan.drain` to
/// be acked. Dropping the future ends everything at once. Neither prints nor exits.
///
/// # Errors
/// The plan makes no sense, or a file cannot be used. An MQTT broker that is away is no error: it is waited
/// for.
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
        Sales::Replayed { .. } => _ = tasks.spawn(replay(Arc::clone(&shared))),
    }
    let end = match plan.end {
        End::After(after) => Some(Instant::now() + after),
        _ => None,
    };
    let tell = || progress.send_replace(shared.tally.progress(total, shared.clock.elapsed()));
    let supervised = tokio::select! {
        all = supervise(&mut tasks) => all,
        never = attend(&shared, &stop, end, &tell) => never,
    };
    shared.given_up.cancel();
    tell();
    if let Some(ledger) = &shared.ledger {
        ledger.flush()?;
    }
    supervised?;
    Ok(shared.tally.summary(shared.plan.seed))
}

/// Waits for all tasks; the first error ends it.
async fn supervise(tasks: &mut Tasks) -> Result<(), SimError> {
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    Ok(())
}

/// Stops the selling when it is time, gives up when that was long ago, and tells the progress. Ends only by
/// an error.
async fn attend(
    shared: &Shared,
    stop: &CancellationToken,
    mut end: Option<Instant>,
    tell: &impl Fn() -> Progress,
) -> Result<(), SimError> {
    let mut give_up = None;
    let mut flush = Instant::now() + FLUSH;
    let never = Instant::now() + Duration::from_secs(365 * 24 * 60 * 60);
    loop {
        tokio::select! {
            () = sleep(TELL) => {
                tell();
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
            // An equal share each, so that the same seed gives the same events whoever is faster.
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
            terminals: all_permits,
        };
        let closing = shared.closing.clone();
        tasks.spawn(async move {
            // Nobody takes permits after the closing.
            closing.run_until_cancelled(pacer.run()).await;
            Ok(())
        });
    }
    Ok(())
}

#[expect(
    clippy::too_many_arguments,
    reason = "the parts of one terminal, each made elsewhere"
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
    let terminal = Terminal::new(
        store,
        device,
        dialect,
        source,
        queue,
        dice,
        rng,
        Arc::clone(shared),
    )?;
    tasks.spawn(async move { Ok(terminal.run().await?) });
    Ok(())
}

/// A terminal's queue, and the random numbers of its life from here on.
async fn queue(
    shared: &Shared,
    store: Name<'_>,
    device: Name<'_>,
) -> Result<(Queue, Xoshiro256PlusPlus), SimError> {
    let epoch = generator(shared.plan.seed, store, device, 0).random_range(1..=u32::MAX);
    // What waits, and as much again: an eager terminal sells two windows ahead.
    let most = (2 * shared.plan.link.window as usize).min(shared.plan.queue_limit);
    let queue = match shared.plan.queue.clone() {
        None => Queue::open(None, store, device, epoch, most)?.0,
        Some(directory) => {
            let (store, device) = (store.to_string(), device.to_string());
            let open = move || {
                let names = (Name::new(&store)?, Name::new(&device)?);
                let (queue, _) = Queue::open(Some(&directory), names.0, names.1, epoch, most)?;
                Ok::<_, SimError>(queue)
            };
            tokio::task::spawn_blocking(open).await??
        }
    };
    let rng = generator(shared.plan.seed, store, device, queue.flash_queue().newest());
    Ok((queue, rng))
}

/// Reads the file and hands its receipts to the terminals, one for each store.
async fn replay(shared: Arc<Shared>) -> Result<(), SimError> {
    let Sales::Replayed {
        file,
        speed,
        currency: code,
    } = shared.plan.sales.clone()
    else {
        return Ok(());
    };
    // Both were checked with the plan.
    let decimals = iso_currency::Currency::from_code(&code)
        .and_then(iso_currency::Currency::exponent)
        .unwrap_or(0);
    let currency = Currency::parse(&code).unwrap_or(Currency::EUR);
    let (sender, mut baskets) = mpsc::channel::<Basket>(READ_AHEAD);
    let mut tasks = Tasks::new();
    tasks.spawn_blocking(move || {
        for basket in Baskets::open(&file, decimals)? {
            // Nobody listens once the run has been stopped.
            if sender.blocking_send(basket?).is_err() {
                break;
            }
        }
        Ok(())
    });
    let mut stores: HashMap<String, mpsc::Sender<Basket>> = HashMap::new();
    let (begin, mut first) = (Instant::now(), None);
    let mut handed_out: u64 = 0;
    loop {
        let basket = tokio::select! {
            basket = baskets.recv() => basket,
            () = shared.closing.cancelled() => None,
            // An error, or a terminal's: an early end is not waited for.
            Some(task) = tasks.join_next() => { task??; continue }
        };
        let Some(basket) = basket else { break };
        // An order and its payment each.
        if matches!(shared.plan.end, End::Events(events) if handed_out * 2 >= events) {
            break;
        }
        if let Some(speed) = speed {
            let since = basket
                .time_ms
                .saturating_sub(*first.get_or_insert(basket.time_ms));
            #[expect(clippy::cast_precision_loss)]
            let wait = Duration::try_from_secs_f64(since as f64 / 1000.0 / speed).unwrap_or(Duration::MAX);
            let at = begin.checked_add(wait).unwrap_or(begin);
            if shared
                .closing
                .run_until_cancelled(sleep_until(at))
                .await
                .is_none()
            {
                break;
            }
        }
        if !stores.contains_key(&basket.store) {
            let (store, device) = (Name::new(&basket.store)?, Name::new("till-1")?);
            let (queue, mut rng) = queue(&shared, store, device).await?;
            let (sender, receiver) = mpsc::channel(READ_AHEAD);
            let script = Script::new(receiver, currency, Xoshiro256PlusPlus::from_rng(&mut rng));
            let index = u32::try_from(stores.len()).unwrap_or(u32::MAX);
            start(
                &mut tasks,
                &shared,
                store,
                device,
                index,
                Source::Script(Box::new(script)),
                queue,
                rng,
            )?;
            stores.insert(basket.store.clone(), sender);
        }
        if let Some(sender) = stores.get(&basket.store) {
            // A terminal that cannot take more holds up the reading: the file is as patient as the slowest
            // store.
            tokio::select! {
                sent = sender.send(basket) => if sent.is_err() { break },
                () = shared.closing.cancelled() => break,
            }
        }
        handed_out += 1;
    }
    // The terminals see that nothing more comes; the reader, that nobody listens.
    drop((stores, baskets));
    supervise(&mut tasks).await
}
