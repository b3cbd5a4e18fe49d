//! From an act at the till to its events: which ones are waiting to be stored, and what changes once one is.

use comptoir_wire::{
    Delivery, DeliveryStatus, Event, Lines, Order, OrderStatus, Payment as PaymentEvent, PaymentMethod,
    PaymentStatus,
};
use heapless::Deque;

use crate::sale::{Parcel, Sale};
use crate::till::{Till, TillError};

/// Maximum number of events of one act.
const MAX_EVENTS: usize = 3;

/// Events of the last act that are not stored yet, oldest first.
pub type Outbox = Deque<PendingEvent, MAX_EVENTS>;

/// An event to be stored.
#[derive(Clone, Copy, Debug)]
pub struct PendingEvent {
    pub subject: Subject,
    pub change: StatusChange,
}

/// The order that an event is about.
#[derive(Clone, Copy, Debug)]
pub enum Subject {
    /// The order being paid.
    Current,
    /// The order that was paid last.
    Last,
    /// The order of the parcel at this index.
    Parcel(usize),
}

/// The new status that an event announces.
#[derive(Clone, Copy, Debug)]
pub enum StatusChange {
    Order(OrderStatus),
    Payment(PaymentMethod, PaymentStatus),
    Delivery(DeliveryStatus),
}

impl Till {
    /// Whether events are waiting to be stored.
    pub fn has_events(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Passes the next event to `store`, under the number `seq`, and removes it from the till if `store` succeeds. If
    /// `store` fails, the same event is next again. Returns `None` if there is no event.
    ///
    /// Only this function removes events from the till, so an event that is not stored cannot get lost here.
    ///
    /// # Errors
    /// The error of `store`.
    pub fn store_next<T, E>(
        &mut self,
        seq: u32,
        store: impl FnOnce(&Event<'_>) -> Result<T, E>,
    ) -> Option<Result<T, E>> {
        let stored = self.with_next(seq, store)?;
        if stored.is_ok() {
            self.complete_next(seq);
        }
        Some(stored)
    }

    fn with_next<T>(&self, seq: u32, then: impl FnOnce(&Event<'_>) -> T) -> Option<T> {
        let &PendingEvent { subject, change } = self.outbox.front()?;
        let sale = self.sale(subject)?;
        let number = sale.number.unwrap_or(seq);
        let order_id = self.ids.id('o', number, 1);
        let address = sale.deliver_to.as_ref();
        let lines = match subject {
            Subject::Current => Lines::from_source(&self.cart),
            Subject::Last | Subject::Parcel(_) => Lines::from_slice(&[]),
        };
        // Declared here to outlive the event. One call of `then` keeps the image small.
        let id;
        let event = match change {
            StatusChange::Order(status) => Event::Order(Order {
                order_id: &order_id,
                customer_name: &sale.customer,
                customer_email: sale.email.as_deref(),
                product: &sale.product,
                currency: self.currency,
                amount: sale.amount,
                status,
                address: address.map(|(address, _)| address.as_str()),
                lines,
            }),
            StatusChange::Payment(method, status) => {
                id = self.ids.id('p', number, sale.attempts);
                Event::Payment(PaymentEvent {
                    payment_id: &id,
                    order_id: &order_id,
                    currency: self.currency,
                    amount: sale.amount,
                    method,
                    status,
                })
            }
            StatusChange::Delivery(status) => {
                let (address, estimated_date) = address?;
                id = self.ids.id('d', number, 1);
                Event::Delivery(Delivery {
                    delivery_id: &id,
                    order_id: &order_id,
                    address,
                    status,
                    estimated_date: *estimated_date,
                })
            }
        };
        Some(then(&event))
    }

    /// The next event is stored under `seq`: the act takes effect.
    fn complete_next(&mut self, seq: u32) {
        let Some(PendingEvent { subject, change }) = self.outbox.pop_front() else {
            return;
        };
        match (subject, change) {
            (Subject::Current, StatusChange::Order(OrderStatus::Pending)) => {
                if let Some(sale) = &mut self.current {
                    sale.number = Some(seq);
                }
            }
            (Subject::Current, StatusChange::Order(OrderStatus::Completed)) => {
                self.last = self.current.take();
                self.cart.clear();
            }
            (Subject::Current, StatusChange::Order(OrderStatus::Cancelled)) => {
                self.current = None;
                self.cart.clear();
            }
            (Subject::Current, StatusChange::Delivery(status)) => {
                if let Some(sale) = self.current.take() {
                    // `check_out` made sure that there is room, and nothing else adds parcels.
                    let _ = self.parcels.push(Parcel { sale, status });
                }
                self.cart.clear();
            }
            (Subject::Last, _) => self.last = None,
            (Subject::Parcel(at), StatusChange::Order(_)) if at < self.parcels.len() => {
                self.parcels.remove(at);
            }
            _ => {}
        }
    }

    fn sale(&self, subject: Subject) -> Option<&Sale> {
        match subject {
            Subject::Current => self.current.as_ref(),
            Subject::Last => self.last.as_ref(),
            Subject::Parcel(at) => self.parcels.get(at).map(|parcel| &parcel.sale),
        }
    }

    /// Refuses a new act while events of the last one are not stored.
    pub(crate) fn check_outbox_empty(&self) -> Result<(), TillError> {
        if self.outbox.is_empty() {
            Ok(())
        } else {
            Err(TillError::NotStored)
        }
    }

    pub(crate) fn announce<const N: usize>(&mut self, events: [(Subject, StatusChange); N]) {
        for (subject, change) in events {
            // An act begins with an empty outbox and announces at most MAX_EVENTS events, so there is room.
            let _ = self.outbox.push_back(PendingEvent { subject, change });
        }
    }
}
