//! Where one till's sales come from, and when the next one is due.

use std::convert::Infallible;
use std::sync::Arc;

use comptoir_terminal::{FrameSizes, max_frame_sizes};
use comptoir_wire::topic::Name;
use comptoir_wire::{
    Currency, Event, Line, Lines, Order, OrderStatus, Payment, PaymentMethod, PaymentStatus,
};
use rand::RngExt;
use rand::rngs::Xoshiro256PlusPlus;
use tokio::sync::mpsc;

use crate::cashier::Cashier;
use crate::pace::Permits;
use crate::replay::Basket;
use comptoir_invent as invent;

/// A source of sales.
pub enum Source {
    /// Invented sales at the rate that the pacer permits.
    Paced {
        cashier: Box<Cashier>,
        permits: Arc<Permits>,
    },
    /// Invented sales as fast as the queue accepts them. `left` is the number of events still to come; `None`: no end.
    Eager {
        cashier: Box<Cashier>,
        left: Option<u64>,
    },
    /// The receipts of a file.
    Script(Box<Script>),
}

impl Source {
    /// Whether the source has an event for a queue that holds `queued` events, with a window of `window`.
    ///
    /// A source without a rate fills two windows: one in flight, one to send when acks arrive.
    pub fn wants(&self, queued: usize, window: usize, limit: usize) -> bool {
        let eager = queued < limit.min(2 * window);
        match self {
            Self::Paced { permits, .. } => queued < limit && permits.any(),
            Self::Eager { left, .. } => eager && *left != Some(0),
            Self::Script(script) => eager && (script.payment.is_some() || script.next.is_some()),
        }
    }

    /// The sizes of all frames that the next order can produce; `None` in the middle of an order. A till checks for room
    /// before a sale, not after it.
    pub fn max_frame_sizes(&self) -> Option<FrameSizes> {
        match self {
            Self::Paced { cashier, .. } | Self::Eager { cashier, .. } => cashier.max_frame_sizes(),
            // An order and its payment need less than a till's order.
            Self::Script(script) => script.payment.is_none().then(|| max_frame_sizes(0)),
        }
    }

    /// Passes the next event and its time to `store`, under the number `seq`, and removes it from the source if `store`
    /// succeeds. Call it only if the source [`wants`](Self::wants) to sell. Returns `None` if there is no event after all.
    pub fn store_next<T, E>(
        &mut self,
        seq: u32,
        now_ms: u64,
        store: impl FnOnce(&Event<'_>, u64) -> Result<T, E>,
    ) -> Option<Result<T, E>> {
        let stored = match self {
            Self::Paced { cashier, .. } | Self::Eager { cashier, .. } => {
                cashier.store_next(seq, now_ms, |event| store(event, now_ms))?
            }
            Self::Script(script) => script.store_next(store)?,
        };
        if stored.is_ok() {
            match self {
                Self::Paced { permits, .. } => _ = permits.take(1),
                Self::Eager { left, .. } => *left = left.map(|left| left.saturating_sub(1)),
                Self::Script(_) => {}
            }
        }
        Some(stored)
    }

    /// Removes the next event, which a restart found in the queue under the number `seq`: a power cut struck after the
    /// event was stored and before it was confirmed.
    pub fn skip_stored(&mut self, seq: u32) {
        let _ = self.store_next(seq, 0, |_, _| Ok::<_, Infallible>(()));
    }

    /// Restarts the till with a queue of that epoch.
    pub fn restart(&mut self, store: Name<'_>, device: Name<'_>, epoch: u32) {
        match self {
            Self::Paced { cashier, .. } | Self::Eager { cashier, .. } => {
                cashier.restart(store, device, epoch)
            }
            // A replay loses nothing: its receipts are in the file.
            Self::Script(_) => {}
        }
    }

    /// Whether no more sales will come.
    pub fn is_over(&self) -> bool {
        match self {
            Self::Paced { permits, .. } => permits.are_over(),
            Self::Eager { left, .. } => *left == Some(0),
            Self::Script(script) => script.is_over && script.next.is_none() && script.payment.is_none(),
        }
    }

    /// Waits for more sales, or for their end. `has_room` tells whether the queue can take more. Cancel-safe.
    pub async fn changed(&mut self, has_room: bool) {
        match self {
            Self::Paced { permits, .. } => permits.changed().await,
            Self::Script(script) if has_room && script.next.is_none() && !script.is_over => {
                script.next = script.baskets.recv().await;
                script.is_over = script.next.is_none();
            }
            _ => std::future::pending().await,
        }
    }
}

/// The receipts of one store, in the order of the file.
///
/// They do not pass through a till: the events carry the lines and amounts of the file unchanged.
pub struct Script {
    baskets: mpsc::Receiver<Basket>,
    currency: Currency,
    rng: Xoshiro256PlusPlus,
    next: Option<Basket>,
    /// The payment of the last order.
    payment: Option<(Basket, PaymentMethod)>,
    is_over: bool,
}

impl Script {
    pub fn new(baskets: mpsc::Receiver<Basket>, currency: Currency, rng: Xoshiro256PlusPlus) -> Self {
        Self {
            baskets,
            currency,
            rng,
            next: None,
            payment: None,
            is_over: false,
        }
    }

    fn store_next<T, E>(
        &mut self,
        store: impl FnOnce(&Event<'_>, u64) -> Result<T, E>,
    ) -> Option<Result<T, E>> {
        let stored = self.with_next(store)?;
        if stored.is_ok() {
            self.complete_next();
        }
        Some(stored)
    }

    fn with_next<T>(&self, then: impl FnOnce(&Event<'_>, u64) -> T) -> Option<T> {
        if let Some((paid, method)) = &self.payment {
            let payment = Payment {
                payment_id: &format!("{}-p", paid.order_id),
                order_id: &paid.order_id,
                currency: self.currency,
                amount: paid.amount,
                method: *method,
                status: PaymentStatus::Success,
            };
            return Some(then(&Event::Payment(payment), paid.time_ms));
        }
        let basket = self.next.as_ref()?;
        let lines: Vec<Line<'_>> = basket
            .lines
            .iter()
            .map(|line| Line {
                product: &line.product,
                quantity: line.quantity,
                unit_price: line.unit_price,
            })
            .collect();
        let order = Order {
            order_id: &basket.order_id,
            customer_name: "Client",
            customer_email: None,
            product: &invent::summary(&basket.lines),
            currency: self.currency,
            amount: basket.amount,
            status: OrderStatus::Completed,
            address: None,
            lines: Lines::from_slice(&lines),
        };
        Some(then(&Event::Order(order), basket.time_ms))
    }

    fn complete_next(&mut self) {
        if self.payment.take().is_some() {
            return;
        }
        let methods = [
            PaymentMethod::Cash,
            PaymentMethod::CreditCard,
            PaymentMethod::DebitCard,
        ];
        let method = methods[self.rng.random_range(0..methods.len())];
        self.payment = self.next.take().map(|basket| (basket, method));
        if let Ok(next) = self.baskets.try_recv() {
            self.next = Some(next);
        }
    }
}
