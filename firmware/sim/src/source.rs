//! Where one terminal's sales come from, and when it may make the next.

use std::sync::Arc;

use comptoir_terminal::{FramesAhead, frames_ahead};
use comptoir_wire::topic::Name;
use comptoir_wire::{
    Currency, Event, Line, Lines, Order, OrderStatus, Payment, PaymentMethod, PaymentStatus,
};
use rand::RngExt;
use rand::rngs::Xoshiro256PlusPlus;
use tokio::sync::mpsc;

use crate::cashier::Cashier;
use crate::invent;
use crate::pace::Permits;
use crate::replay::Basket;

/// Sales to come.
pub enum Source {
    /// Invented ones, as many as the pacer permits.
    Paced {
        cashier: Box<Cashier>,
        permits: Arc<Permits>,
    },
    /// Invented ones, as many as the queue takes. `left`: how many still; `None`: no end.
    Eager {
        cashier: Box<Cashier>,
        left: Option<u64>,
    },
    /// Those of a file.
    Script(Box<Script>),
}

impl Source {
    /// Whether, with `queued` events in the queue and a window of `window`, there may be more.
    ///
    /// Who sells as fast as acks allow keeps two windows full: one on its way, one to send when acks arrive.
    pub fn wants(&self, queued: usize, window: usize, limit: usize) -> bool {
        let eager = queued < limit.min(2 * window);
        match self {
            Self::Paced { permits, .. } => queued < limit && permits.any(),
            Self::Eager { left, .. } => eager && *left != Some(0),
            Self::Script(script) => eager && (script.payment.is_some() || script.next.is_some()),
        }
    }

    /// The largest frames that may come of the next event, if it may begin an order: a till says that there is no room
    /// before a sale, not after it.
    pub fn frames_ahead(&self) -> Option<FramesAhead> {
        match self {
            Self::Paced { cashier, .. } | Self::Eager { cashier, .. } => cashier.frames_ahead(),
            // An order, and its payment: less than at a till.
            Self::Script(script) => script.payment.is_none().then(|| frames_ahead(0)),
        }
    }

    /// The next event, to be queued as number `seq`; `then` gets it and the time it is to carry. To be asked only if
    /// the source wants one; gives the same again until [`queued`](Self::queued). `None`: there is none after all.
    pub fn event<T>(&mut self, seq: u32, now_ms: u64, then: impl FnOnce(&Event<'_>, u64) -> T) -> Option<T> {
        match self {
            Self::Paced { cashier, .. } | Self::Eager { cashier, .. } => {
                cashier.event(seq, now_ms, |event| then(event, now_ms))
            }
            Self::Script(script) => script.event(then),
        }
    }

    /// The event is in the queue for good.
    pub fn queued(&mut self, seq: u32) {
        match self {
            Self::Paced { cashier, permits } => {
                cashier.queued(seq);
                permits.take(1);
            }
            Self::Eager { cashier, left } => {
                cashier.queued(seq);
                *left = left.map(|left| left.saturating_sub(1));
            }
            Self::Script(script) => script.queued(),
        }
    }

    /// The terminal starts anew, with a queue of that epoch.
    pub fn restart(&mut self, store: Name<'_>, device: Name<'_>, epoch: u32) {
        match self {
            Self::Paced { cashier, .. } | Self::Eager { cashier, .. } => {
                cashier.restart(store, device, epoch)
            }
            // The file remembers.
            Self::Script(_) => {}
        }
    }

    /// Nothing will come any more.
    pub fn is_over(&self) -> bool {
        match self {
            Self::Paced { permits, .. } => permits.are_over(),
            Self::Eager { left, .. } => *left == Some(0),
            Self::Script(script) => script.over && script.next.is_none() && script.payment.is_none(),
        }
    }

    /// Waits for more sales, or their end. Dropping the future loses nothing. `has_room`: whether the queue
    /// has.
    pub async fn changed(&mut self, has_room: bool) {
        match self {
            Self::Paced { permits, .. } => permits.changed().await,
            Self::Script(script) if has_room && script.next.is_none() && !script.over => {
                script.next = script.baskets.recv().await;
                script.over = script.next.is_none();
            }
            _ => std::future::pending().await,
        }
    }
}

/// The receipts of one store, as they come from the file.
///
/// They were rung up elsewhere, so no till rings them up again: their events go to the queue as they stand in the
/// file, to the cent and to the line.
pub struct Script {
    baskets: mpsc::Receiver<Basket>,
    currency: Currency,
    rng: Xoshiro256PlusPlus,
    next: Option<Basket>,
    /// The payment of the order before.
    payment: Option<(Basket, PaymentMethod)>,
    over: bool,
}

impl Script {
    pub fn new(baskets: mpsc::Receiver<Basket>, currency: Currency, rng: Xoshiro256PlusPlus) -> Self {
        Self {
            baskets,
            currency,
            rng,
            next: None,
            payment: None,
            over: false,
        }
    }

    fn event<T>(&mut self, then: impl FnOnce(&Event<'_>, u64) -> T) -> Option<T> {
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

    fn queued(&mut self) {
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
