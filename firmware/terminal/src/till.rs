//! The acts at a till, and the events that they leave.

use core::iter::{Chain, RepeatN, repeat_n};

use comptoir_wire::{
    Date, Delivery, DeliveryStatus, Event, Lines, MAX_ADDRESS, MAX_EMAIL, MAX_FRAME, MAX_ID, MAX_NAME,
    MAX_PRODUCT, Order, OrderStatus, Payment as PaymentEvent, PaymentMethod, PaymentStatus,
};
use heapless::{Deque, String, Vec};

use crate::cart::Cart;
use crate::ids::{Ids, OrderNumber};

/// Deliveries under way, at most.
pub const MAX_PARCELS: usize = 8;
/// Attempts to pay an order, at most: what may come of an order is bounded.
pub const MAX_ATTEMPTS: u8 = 10;
/// Bytes of a frame without lines, at most: header, texts, and numbers.
const SMALL: usize = 900;
const _: () = assert!(2 * MAX_ID + MAX_NAME + MAX_EMAIL + MAX_PRODUCT + MAX_ADDRESS + 100 < SMALL);
/// Small frames of an order, at most: its payments, then a delivery's three and its order's end.
const SMALL_OF_ORDER: usize = MAX_ATTEMPTS as usize + 4;
/// And of a delivery under way: two of its own, and its order's end.
const SMALL_OF_PARCEL: usize = 3;
/// Events that one act leaves, at most.
const MAX_EVENTS: usize = 3;
/// What an order of no named customer says.
const WALK_IN: &str = "Walk-in";

/// Why an act was not taken. Nothing changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TillError {
    /// Events of the act before are not yet in the queue.
    NotQueued,
    /// Nothing is in the cart.
    EmptyCart,
    /// An order is being paid: pay or cancel it first.
    Paying,
    /// No order is being paid.
    NotPaying,
    /// Less cash than is to be paid; so much is missing, in minor units.
    TooLittle(u64),
    /// A name or address that is too long, or an address that is empty.
    Text,
    /// [`MAX_PARCELS`] deliveries are under way.
    TooManyParcels,
    /// No such delivery, or no order to refund.
    Unknown,
    /// [`MAX_ATTEMPTS`] to pay are used up: cancel.
    TooManyAttempts,
}

/// Who buys.
#[derive(Clone, Copy, Debug, Default)]
pub struct Customer<'a> {
    /// At most [`MAX_NAME`] bytes; `None`: nobody asked.
    pub name: Option<&'a str>,
    /// At most [`MAX_EMAIL`] bytes.
    pub email: Option<&'a str>,
}

/// A name and nothing else.
impl<'a> From<Option<&'a str>> for Customer<'a> {
    fn from(name: Option<&'a str>) -> Self {
        Self { name, email: None }
    }
}

/// Where and when an order is to be delivered.
#[derive(Clone, Copy, Debug)]
pub struct DeliverTo<'a> {
    /// 1 to [`MAX_ADDRESS`] bytes.
    pub address: &'a str,
    /// When it is to arrive.
    pub date: Date,
}

/// An attempt to pay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payment {
    /// So much was handed over, in minor units.
    Cash(u64),
    /// What the card's bank said. Any method but cash.
    Remote {
        /// How.
        method: PaymentMethod,
        /// Whether it was declined.
        accepted: bool,
    },
}

/// What goes back to the customer in cash, in minor units.
pub type Change = u64;

/// An order beyond its lines: what the till remembers of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sale {
    /// `None` until its first event is queued.
    pub number: Option<OrderNumber>,
    /// In minor units.
    pub amount: u64,
    /// Sums up the lines.
    pub product: String<MAX_PRODUCT>,
    /// Who buys.
    pub customer: String<MAX_NAME>,
    /// Where to write to.
    pub email: Option<String<MAX_EMAIL>>,
    /// Where and when to deliver.
    pub deliver_to: Option<(String<MAX_ADDRESS>, Date)>,
    /// Attempts to pay so far.
    pub attempts: u8,
}

/// A delivery under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// What is delivered.
    pub sale: Sale,
    /// Where it stands.
    pub status: DeliveryStatus,
}

/// Which order an event is about.
#[derive(Clone, Copy, Debug)]
enum Subject {
    /// The one being paid.
    Current,
    /// The one that was paid last.
    Last,
    /// The parcel at this place.
    Parcel(usize),
}

#[derive(Clone, Copy, Debug)]
enum What {
    Order(OrderStatus),
    Payment(PaymentMethod, PaymentStatus),
    Delivery(DeliveryStatus),
}

/// See [`frames_ahead`].
pub type FramesAhead = Chain<RepeatN<usize>, RepeatN<usize>>;

/// Bytes of the frames that may come of another order and of so many deliveries under way, each at its largest.
pub fn frames_ahead(parcels: usize) -> FramesAhead {
    let small = SMALL_OF_ORDER + SMALL_OF_PARCEL * parcels;
    repeat_n(MAX_FRAME, 2).chain(repeat_n(SMALL, small))
}

/// A till. See the crate's documentation for its states.
#[derive(Debug)]
pub struct Till {
    ids: Ids,
    currency: comptoir_wire::Currency,
    cart: Cart,
    current: Option<Sale>,
    last: Option<Sale>,
    parcels: Vec<Parcel, MAX_PARCELS>,
    events: Deque<(Subject, What), MAX_EVENTS>,
}

impl Till {
    /// A till with nothing in its cart.
    pub const fn new(ids: Ids, currency: comptoir_wire::Currency) -> Self {
        Self {
            ids,
            currency,
            cart: Cart::new(),
            current: None,
            last: None,
            parcels: Vec::new(),
            events: Deque::new(),
        }
    }

    /// The cart, to be changed.
    ///
    /// # Errors
    /// What is in it is being paid.
    pub fn cart_mut(&mut self) -> Result<&mut Cart, TillError> {
        match self.current {
            Some(_) => Err(TillError::Paying),
            None => Ok(&mut self.cart),
        }
    }

    /// The cart.
    pub fn cart(&self) -> &Cart {
        &self.cart
    }

    /// The order that is being paid.
    pub fn current(&self) -> Option<&Sale> {
        self.current.as_ref()
    }

    /// The order that was paid last.
    pub fn last(&self) -> Option<&Sale> {
        self.last.as_ref()
    }

    /// Deliveries under way.
    pub fn parcels(&self) -> &[Parcel] {
        &self.parcels
    }

    /// Whether nothing is at the till that a restart would end: no cart, no order being paid, no delivery under way.
    pub fn is_idle(&self) -> bool {
        self.cart.is_empty() && self.current.is_none() && self.parcels.is_empty() && self.events.is_empty()
    }

    /// The ids of this till's orders.
    pub fn ids(&self) -> &Ids {
        &self.ids
    }

    /// As [`frames_ahead`], with this till's deliveries under way: a full queue is to be noticed before
    /// [`check_out`](Self::check_out), since an order that is half paid can neither be kept nor forgotten.
    pub fn frames_ahead(&self) -> FramesAhead {
        frames_ahead(self.parcels.len())
    }

    /// Makes an order of the cart; to be done only if the queue has room for [`frames_ahead`](Self::frames_ahead).
    ///
    /// # Errors
    /// An empty cart, an order that is being paid, texts out of their bounds, or too many deliveries.
    pub fn check_out<'a>(
        &mut self,
        customer: impl Into<Customer<'a>>,
        to: Option<DeliverTo<'_>>,
    ) -> Result<(), TillError> {
        self.ready()?;
        if self.current.is_some() {
            return Err(TillError::Paying);
        }
        if self.cart.is_empty() {
            return Err(TillError::EmptyCart);
        }
        if to.is_some() && self.parcels.is_full() {
            return Err(TillError::TooManyParcels);
        }
        let deliver_to = match to {
            Some(DeliverTo { address: "", .. }) => return Err(TillError::Text),
            Some(to) => Some((
                String::try_from(to.address).map_err(|_| TillError::Text)?,
                to.date,
            )),
            None => None,
        };
        let Customer { name, email } = customer.into();
        let customer = String::try_from(name.unwrap_or(WALK_IN)).map_err(|_| TillError::Text)?;
        let email = email
            .map(String::try_from)
            .transpose()
            .map_err(|_| TillError::Text)?;
        self.current = Some(Sale {
            number: None,
            amount: self.cart.total(),
            product: self.summary(),
            customer,
            email,
            deliver_to,
            attempts: 0,
        });
        self.leave([(Subject::Current, What::Order(OrderStatus::Pending))]);
        Ok(())
    }

    /// Takes an attempt to pay; the change.
    ///
    /// # Errors
    /// No order is being paid, too little cash, or too many attempts.
    pub fn pay(&mut self, payment: Payment) -> Result<Change, TillError> {
        self.ready()?;
        let sale = self.current.as_mut().ok_or(TillError::NotPaying)?;
        let attempts = sale.attempts + 1;
        if attempts > MAX_ATTEMPTS {
            return Err(TillError::TooManyAttempts);
        }
        let (method, status, change) = match payment {
            Payment::Cash(given) if given < sale.amount => {
                return Err(TillError::TooLittle(sale.amount - given));
            }
            Payment::Cash(given) => (PaymentMethod::Cash, PaymentStatus::Success, given - sale.amount),
            Payment::Remote {
                method,
                accepted: true,
            } => (method, PaymentStatus::Success, 0),
            Payment::Remote {
                method,
                accepted: false,
            } => (method, PaymentStatus::Failed, 0),
        };
        sale.attempts = attempts;
        let delivered = sale.deliver_to.is_some();
        self.leave([(Subject::Current, What::Payment(method, status))]);
        match (status, delivered) {
            (PaymentStatus::Failed, _) => {}
            (PaymentStatus::Success, false) => {
                self.leave([(Subject::Current, What::Order(OrderStatus::Completed))]);
            }
            (PaymentStatus::Success, true) => self.leave([
                (Subject::Current, What::Order(OrderStatus::Processing)),
                (Subject::Current, What::Delivery(DeliveryStatus::Pending)),
            ]),
        }
        Ok(change)
    }

    /// Gives up the order that is being paid.
    ///
    /// # Errors
    /// There is none.
    pub fn cancel(&mut self) -> Result<(), TillError> {
        self.ready()?;
        self.current.as_ref().ok_or(TillError::NotPaying)?;
        self.leave([(Subject::Current, What::Order(OrderStatus::Cancelled))]);
        Ok(())
    }

    /// Takes back the order that was paid last and not delivered; the minor units to be handed back.
    ///
    /// # Errors
    /// There is none, or it is taken back already.
    pub fn refund(&mut self) -> Result<u64, TillError> {
        self.ready()?;
        let sale = self.last.as_ref().ok_or(TillError::Unknown)?;
        let amount = sale.amount;
        self.leave([(Subject::Last, What::Order(OrderStatus::Cancelled))]);
        Ok(amount)
    }

    /// A parcel's next step: on its way, then with the customer, which completes its order.
    ///
    /// # Errors
    /// No such parcel.
    pub fn move_parcel(&mut self, at: usize) -> Result<DeliveryStatus, TillError> {
        self.ready()?;
        let parcel = self.parcels.get_mut(at).ok_or(TillError::Unknown)?;
        parcel.status = match parcel.status {
            DeliveryStatus::Pending => DeliveryStatus::InTransit,
            DeliveryStatus::InTransit | DeliveryStatus::Delivered => DeliveryStatus::Delivered,
        };
        let status = parcel.status;
        self.leave([(Subject::Parcel(at), What::Delivery(status))]);
        if status == DeliveryStatus::Delivered {
            self.leave([(Subject::Parcel(at), What::Order(OrderStatus::Completed))]);
        }
        Ok(status)
    }

    /// Whether events are to be queued.
    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// The next event to be queued, under the queue's next number; `then` gets it. `None`: there is none.
    pub fn event<T>(&self, seq: u32, then: impl FnOnce(&Event<'_>) -> T) -> Option<T> {
        let &(subject, what) = self.events.front()?;
        let sale = self.sale(subject)?;
        let number = sale.number.unwrap_or(seq);
        let order_id = self.ids.id('o', number, 1);
        let address = sale.deliver_to.as_ref();
        let lines = match subject {
            Subject::Current => Lines::from_source(&self.cart),
            Subject::Last | Subject::Parcel(_) => Lines::from_slice(&[]),
        };
        Some(match what {
            What::Order(status) => then(&Event::Order(Order {
                order_id: &order_id,
                customer_name: &sale.customer,
                customer_email: sale.email.as_deref(),
                product: &sale.product,
                currency: self.currency,
                amount: sale.amount,
                status,
                address: address.map(|(address, _)| address.as_str()),
                lines,
            })),
            What::Payment(method, status) => then(&Event::Payment(PaymentEvent {
                payment_id: &self.ids.id('p', number, sale.attempts),
                order_id: &order_id,
                currency: self.currency,
                amount: sale.amount,
                method,
                status,
            })),
            What::Delivery(status) => {
                let (address, estimated_date) = address?;
                then(&Event::Delivery(Delivery {
                    delivery_id: &self.ids.id('d', number, 1),
                    order_id: &order_id,
                    address,
                    status,
                    estimated_date: *estimated_date,
                }))
            }
        })
    }

    /// The event that [`event`](Self::event) gave is in the queue for good, under `seq`.
    pub fn queued(&mut self, seq: u32) {
        let Some((subject, what)) = self.events.pop_front() else {
            return;
        };
        match (subject, what) {
            (Subject::Current, What::Order(OrderStatus::Pending)) => {
                if let Some(sale) = &mut self.current {
                    sale.number = Some(seq);
                }
            }
            (Subject::Current, What::Order(OrderStatus::Completed)) => {
                self.last = self.current.take();
                self.cart.clear();
            }
            (Subject::Current, What::Order(OrderStatus::Cancelled)) => {
                self.current = None;
                self.cart.clear();
            }
            (Subject::Current, What::Delivery(status)) => {
                if let Some(sale) = self.current.take() {
                    // There is room: it was asked for at the check-out, and only this adds.
                    let _ = self.parcels.push(Parcel { sale, status });
                }
                self.cart.clear();
            }
            (Subject::Last, _) => self.last = None,
            (Subject::Parcel(at), What::Order(_)) if at < self.parcels.len() => {
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

    fn ready(&self) -> Result<(), TillError> {
        if self.events.is_empty() {
            Ok(())
        } else {
            Err(TillError::NotQueued)
        }
    }

    fn leave<const N: usize>(&mut self, events: [(Subject, What); N]) {
        for event in events {
            // There is room: acts begin with none, and leave at most as many as fit.
            let _ = self.events.push_back(event);
        }
    }

    /// The first line's article, and how many lines there are besides.
    fn summary(&self) -> String<MAX_PRODUCT> {
        use core::fmt::Write;
        let (mut summary, lines) = (String::new(), self.cart.lines());
        let Some(first) = lines.first() else {
            return summary;
        };
        if lines.len() == 1 {
            return first.name.clone();
        }
        // What does not fit with the rest is left out: " + 255 more" takes 11 bytes.
        let mut end = first.name.len().min(MAX_PRODUCT - 11);
        while !first.name.is_char_boundary(end) {
            end -= 1;
        }
        let _ = write!(summary, "{} + {} more", &first.name[..end], lines.len() - 1);
        summary
    }
}
