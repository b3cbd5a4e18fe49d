//! The acts at a till: check out, pay, cancel, refund, advance a delivery.

use comptoir_wire::{DeliveryStatus, MAX_PRODUCT, OrderStatus, PaymentMethod, PaymentStatus};
use heapless::{String, Vec};

use crate::cart::Cart;
use crate::ids::Ids;
use crate::outbox::{Outbox, StatusChange, Subject};
use crate::room::{FrameSizes, MAX_ATTEMPTS, MAX_PARCELS, max_frame_sizes};
use crate::sale::{Change, Customer, DeliverTo, Parcel, Payment, Sale};

/// The name of an anonymous customer.
const WALK_IN: &str = "Walk-in";

/// Why the till refused an act. The till is as before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TillError {
    /// Events of the previous act are not stored yet.
    NotStored,
    /// The cart is empty.
    EmptyCart,
    /// An order is being paid: pay or cancel it first.
    Paying,
    /// No order is being paid.
    NotPaying,
    /// The cash does not cover the amount; the missing sum in minor units.
    InsufficientCash(u64),
    /// A text is too long, or the address is empty.
    InvalidText,
    /// [`MAX_PARCELS`] deliveries are in progress.
    TooManyParcels,
    /// There is no such delivery, or no order to refund.
    NotFound,
    /// The order had [`MAX_ATTEMPTS`] payment attempts: cancel it.
    TooManyAttempts,
}

/// A till. The crate's documentation has its states.
#[derive(Debug)]
pub struct Till {
    pub(crate) ids: Ids,
    pub(crate) currency: comptoir_wire::Currency,
    pub(crate) cart: Cart,
    pub(crate) current: Option<Sale>,
    pub(crate) last: Option<Sale>,
    pub(crate) parcels: Vec<Parcel, MAX_PARCELS>,
    pub(crate) outbox: Outbox,
}

impl Till {
    /// A till with an empty cart.
    pub const fn new(ids: Ids, currency: comptoir_wire::Currency) -> Self {
        Self {
            ids,
            currency,
            cart: Cart::new(),
            current: None,
            last: None,
            parcels: Vec::new(),
            outbox: Outbox::new(),
        }
    }

    /// Mutable access to the cart.
    ///
    /// # Errors
    /// The cart is being paid.
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

    /// The order being paid.
    pub fn current(&self) -> Option<&Sale> {
        self.current.as_ref()
    }

    /// The order that was paid last.
    pub fn last(&self) -> Option<&Sale> {
        self.last.as_ref()
    }

    /// The deliveries in progress.
    pub fn parcels(&self) -> &[Parcel] {
        &self.parcels
    }

    /// Whether a restart would lose nothing: no cart, no order being paid, no delivery in progress.
    pub fn is_idle(&self) -> bool {
        self.cart.is_empty() && self.current.is_none() && self.parcels.is_empty() && self.outbox.is_empty()
    }

    /// The id generator of this till and epoch.
    pub fn ids(&self) -> &Ids {
        &self.ids
    }

    /// [`max_frame_sizes`] with this till's deliveries in progress. The queue must have room for all of them before
    /// [`check_out`](Self::check_out).
    pub fn max_frame_sizes(&self) -> FrameSizes {
        max_frame_sizes(self.parcels.len())
    }

    /// Turns the cart into an order. Call it only if the queue has room for [`max_frame_sizes`](Self::max_frame_sizes).
    ///
    /// # Errors
    /// The cart is empty, an order is being paid, a text is out of bounds, or there are too many deliveries.
    pub fn check_out<'a>(
        &mut self,
        customer: impl Into<Customer<'a>>,
        to: Option<DeliverTo<'_>>,
    ) -> Result<(), TillError> {
        self.check_outbox_empty()?;
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
            Some(DeliverTo { address: "", .. }) => return Err(TillError::InvalidText),
            Some(to) => Some((
                String::try_from(to.address).map_err(|_| TillError::InvalidText)?,
                to.date,
            )),
            None => None,
        };
        let Customer { name, email } = customer.into();
        let customer = String::try_from(name.unwrap_or(WALK_IN)).map_err(|_| TillError::InvalidText)?;
        let email = email
            .map(String::try_from)
            .transpose()
            .map_err(|_| TillError::InvalidText)?;
        self.current = Some(Sale {
            number: None,
            amount: self.cart.total(),
            product: self.summary(),
            customer,
            email,
            deliver_to,
            attempts: 0,
        });
        self.announce([(Subject::Current, StatusChange::Order(OrderStatus::Pending))]);
        Ok(())
    }

    /// Records a payment attempt; returns the change.
    ///
    /// # Errors
    /// No order is being paid, the cash does not cover the amount, or there were too many attempts.
    pub fn pay(&mut self, payment: Payment) -> Result<Change, TillError> {
        self.check_outbox_empty()?;
        let sale = self.current.as_mut().ok_or(TillError::NotPaying)?;
        let attempts = sale.attempts + 1;
        if attempts > MAX_ATTEMPTS {
            return Err(TillError::TooManyAttempts);
        }
        let (method, status, change) = match payment {
            Payment::Cash(given) if given < sale.amount => {
                return Err(TillError::InsufficientCash(sale.amount - given));
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
        self.announce([(Subject::Current, StatusChange::Payment(method, status))]);
        match (status, delivered) {
            (PaymentStatus::Failed, _) => {}
            (PaymentStatus::Success, false) => {
                self.announce([(Subject::Current, StatusChange::Order(OrderStatus::Completed))]);
            }
            (PaymentStatus::Success, true) => self.announce([
                (Subject::Current, StatusChange::Order(OrderStatus::Processing)),
                (Subject::Current, StatusChange::Delivery(DeliveryStatus::Pending)),
            ]),
        }
        Ok(change)
    }

    /// Cancels the order being paid.
    ///
    /// # Errors
    /// No order is being paid.
    pub fn cancel(&mut self) -> Result<(), TillError> {
        self.check_outbox_empty()?;
        self.current.as_ref().ok_or(TillError::NotPaying)?;
        self.announce([(Subject::Current, StatusChange::Order(OrderStatus::Cancelled))]);
        Ok(())
    }

    /// Refunds the order that was paid last, unless it is delivered; returns the sum to hand back in minor units.
    ///
    /// # Errors
    /// There is no such order, or it was refunded already.
    pub fn refund(&mut self) -> Result<u64, TillError> {
        self.check_outbox_empty()?;
        let sale = self.last.as_ref().ok_or(TillError::NotFound)?;
        let amount = sale.amount;
        self.announce([(Subject::Last, StatusChange::Order(OrderStatus::Cancelled))]);
        Ok(amount)
    }

    /// Advances a parcel: to in transit, then to delivered, which completes its order.
    ///
    /// # Errors
    /// There is no parcel at that index.
    pub fn advance_parcel(&mut self, at: usize) -> Result<DeliveryStatus, TillError> {
        self.check_outbox_empty()?;
        let parcel = self.parcels.get_mut(at).ok_or(TillError::NotFound)?;
        parcel.status = match parcel.status {
            DeliveryStatus::Pending => DeliveryStatus::InTransit,
            DeliveryStatus::InTransit | DeliveryStatus::Delivered => DeliveryStatus::Delivered,
        };
        let status = parcel.status;
        self.announce([(Subject::Parcel(at), StatusChange::Delivery(status))]);
        if status == DeliveryStatus::Delivered {
            self.announce([(Subject::Parcel(at), StatusChange::Order(OrderStatus::Completed))]);
        }
        Ok(status)
    }

    /// The first line's article, and the number of further lines.
    fn summary(&self) -> String<MAX_PRODUCT> {
        use core::fmt::Write;
        let (mut summary, lines) = (String::new(), self.cart.lines());
        let Some(first) = lines.first() else {
            return summary;
        };
        if lines.len() == 1 {
            return first.name.clone();
        }
        // The name is cut so that the suffix fits: " + 255 more" takes 11 bytes.
        let mut end = first.name.len().min(MAX_PRODUCT - 11);
        while !first.name.is_char_boundary(end) {
            end -= 1;
        }
        let _ = write!(summary, "{} + {} more", &first.name[..end], lines.len() - 1);
        summary
    }
}
