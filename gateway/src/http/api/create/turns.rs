//! Locks for requests that read the state of a sale, decide, and store the next state.
//!
//! A request that holds a lock runs to its end, even if its client leaves; see [`crate::http`]'s `finish`. The lock of the
//! sale is always taken before that of the refunds, so that two requests never wait for each other.

use std::array;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;

use tokio::sync::{Mutex, MutexGuard};

use comptoir_core::event::Kind;
use comptoir_core::sale::draft::Draft;

/// Number of turns that sales share. Few enough for the memory, many enough that sales rarely wait for another one.
const TURNS: usize = 256;

static OF_SALES: LazyLock<([Mutex<()>; TURNS], RandomState)> =
    LazyLock::new(|| (array::from_fn(|_| Mutex::new(())), RandomState::new()));

static OF_REFUNDS: Mutex<()> = Mutex::const_new(());

/// Held from the read of a sale's previous state until its next one is stored: of two changes at the same time, the second
/// keeps what the first one has changed. `None` for a sale without an id, which is new.
pub async fn of_sale(kind: Kind, draft: &Draft) -> Option<MutexGuard<'static, ()>> {
    let id = match kind {
        Kind::Order => &draft.order_id,
        Kind::Payment => &draft.payment_id,
        Kind::Delivery => &draft.delivery_id,
    };
    let (turns, hasher) = &*OF_SALES;
    let turn = hasher.hash_one((kind as u8, id.as_deref()?)) % TURNS as u64;
    Some(turns[turn as usize].lock().await)
}

/// Held from the check of a refund, or of a change of a payment, until it is stored: two refunds must not both take what is
/// left of a payment.
pub async fn of_refunds() -> MutexGuard<'static, ()> {
    OF_REFUNDS.lock().await
}
