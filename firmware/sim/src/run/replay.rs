//! Replays a file: reads receipts and passes each to the till of its store, on request at the pace of the file's
//! timestamps.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use comptoir_wire::Currency;
use comptoir_wire::topic::Name;
use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::{SimError, Tasks, queue, start, supervise};
use crate::plan::{End, Sales};
use crate::replay::{Basket, Baskets};
use crate::source::{Script, Source};
use crate::till::Shared;

/// Number of receipts read ahead, for the whole file and for each store.
const READ_AHEAD: usize = 16;

/// Reads the file and distributes its receipts to the tills, one for each store.
pub async fn replay(shared: Arc<Shared>) -> Result<(), SimError> {
    let Sales::Replayed {
        file,
        speed,
        currency: code,
    } = shared.plan.sales.clone()
    else {
        return Ok(());
    };
    // `Plan::check` has validated the currency.
    let decimals = iso_currency::Currency::from_code(&code)
        .and_then(iso_currency::Currency::exponent)
        .unwrap_or(0);
    let currency = Currency::parse(&code).unwrap_or(Currency::EUR);
    let (sender, mut baskets) = mpsc::channel::<Basket>(READ_AHEAD);
    let mut tasks = Tasks::new();
    tasks.spawn_blocking(move || {
        for basket in Baskets::open(&file, decimals)? {
            // The receiver is gone once the run is stopped.
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
            // The reader's or a till's error ends the replay at once.
            Some(task) = tasks.join_next() => { task??; continue }
        };
        let Some(basket) = basket else { break };
        // Each receipt is two events: an order and its payment.
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
            // Backpressure: a till that cannot take more holds up the reading of the file.
            tokio::select! {
                sent = sender.send(basket) => if sent.is_err() { break },
                () = shared.closing.cancelled() => break,
            }
        }
        handed_out += 1;
    }
    // Tells the tills that no more receipts come, and the reader that it can stop.
    drop((stores, baskets));
    supervise(&mut tasks).await
}
