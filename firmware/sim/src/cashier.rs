//! A simulated cashier: the firmware's [`Till`] with invented customers.
//!
//! Customers fill the cart, sometimes change their minds or get a discount, and pay. Nine payments in ten succeed; after a
//! failed one they usually try again, or give up. Deliveries advance in between.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use comptoir_terminal::{
    Customer, DeliverTo, Discount, FrameSizes, Ids, MAX_PARCELS, Payment, Product, Till, TillError,
};
use comptoir_wire::topic::Name;
use comptoir_wire::{Currency, Event, PaymentMethod};

use comptoir_invent as invent;

/// Maximum number of payment attempts for one order.
const MAX_ATTEMPTS: u8 = 3;
/// Probability that a payment is declined, unless it is in cash, which always succeeds. A quarter of the payments are
/// in cash, so that [`invent::SUCCESS_RATE`] of all payments succeed.
const DECLINED: f64 = (1.0 - invent::SUCCESS_RATE) / 0.76;
/// Cash is paid in whole notes of this many cents.
const NOTE: u64 = 500;

/// The random number generator of one till, derived from the seed of the whole run.
///
/// `from` is the number of events sold before (after a restart it is not 0), so that a restarted till does not repeat the
/// same customers.
pub fn generator(seed: u64, store: Name<'_>, device: Name<'_>, from: u32) -> Xoshiro256PlusPlus {
    // FNV-1a: similar names must give unrelated generators.
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let name = store
        .bytes()
        .chain([b'/'])
        .chain(device.bytes())
        .chain(from.to_le_bytes());
    Xoshiro256PlusPlus::seed_from_u64(seed ^ name.fold(0xcbf2_9ce4_8422_2325, mix))
}

/// A till with its cashier.
pub struct Cashier {
    till: Till,
    rng: Xoshiro256PlusPlus,
}

impl Cashier {
    /// A till with an empty cart.
    pub fn new(store: Name<'_>, device: Name<'_>, epoch: u32, rng: Xoshiro256PlusPlus) -> Self {
        Self {
            till: Till::new(Ids::new(store, device, epoch), Currency::EUR),
            rng,
        }
    }

    /// Restarts the till under the given epoch. An order being paid and deliveries in progress are forgotten.
    pub fn restart(&mut self, store: Name<'_>, device: Name<'_>, epoch: u32) {
        self.till = Till::new(Ids::new(store, device, epoch), Currency::EUR);
    }

    /// Passes the till's next event to `store`, under the number `seq`, as [`Till::store_next`] does; performs an act first
    /// if there is no event. `time_ms` is Unix time. Returns `None` if the till has no event after all.
    ///
    /// # Errors
    /// The error of `store`.
    pub fn store_next<T, E>(
        &mut self,
        seq: u32,
        time_ms: u64,
        store: impl FnOnce(&Event<'_>) -> Result<T, E>,
    ) -> Option<Result<T, E>> {
        // The till may refuse an act (an amount above the wire's bound, say). Then nothing happened, and another follows.
        for _ in 0..100 {
            if self.till.has_events() || self.act(time_ms).is_ok() {
                break;
            }
        }
        self.till.store_next(seq, store)
    }

    /// The sizes of all frames that the next order can produce; `None` in the middle of an order.
    pub fn max_frame_sizes(&self) -> Option<FrameSizes> {
        let is_midway = self.till.has_events() || self.till.current().is_some();
        (!is_midway).then(|| self.till.max_frame_sizes())
    }

    fn act(&mut self, time_ms: u64) -> Result<(), TillError> {
        if let Some(attempts) = self.till.current().map(|sale| sale.attempts) {
            return self.settle(attempts);
        }
        let parcels = self.till.parcels().len();
        if parcels == MAX_PARCELS || (parcels > 0 && self.rng.random_ratio(3, 10)) {
            let at = self.rng.random_range(0..parcels);
            return self.till.advance_parcel(at).map(drop);
        }
        if self.till.last().is_some() && self.rng.random_ratio(1, 80) {
            return self.till.refund().map(drop);
        }
        self.sell(time_ms)
    }

    fn settle(&mut self, attempts: u8) -> Result<(), TillError> {
        if attempts > 0 && (attempts == MAX_ATTEMPTS || self.rng.random_ratio(1, 5)) {
            return self.till.cancel();
        }
        let amount = self.till.current().map_or(0, |sale| sale.amount);
        let payment = match invent::payment_method(&mut self.rng) {
            PaymentMethod::Cash => Payment::Cash(amount.next_multiple_of(NOTE)),
            method => Payment::Remote {
                method,
                accepted: !self.rng.random_bool(DECLINED),
            },
        };
        self.till.pay(payment).map(drop)
    }

    fn sell(&mut self, time_ms: u64) -> Result<(), TillError> {
        let order = invent::order(&mut self.rng);
        let cart = self.till.cart_mut()?;
        cart.clear();
        for line in &order.lines {
            let Ok(name) = line.product.as_str().try_into() else {
                continue;
            };
            let product = Product {
                name,
                unit_price: line.unit_price,
            };
            // A cart that cannot take more is sold as it is.
            let _ = cart.add(&product, line.quantity);
        }
        let lines = cart.lines().len();
        // The customer changes their mind.
        if lines > 1 && self.rng.random_ratio(1, 15) {
            let _ = cart.remove(self.rng.random_range(0..lines));
        } else if self.rng.random_ratio(1, 15) {
            let _ = cart.set_quantity(self.rng.random_range(0..lines), self.rng.random_range(1..=4));
        }
        if self.rng.random_ratio(1, 12) {
            let percent = [5, 10, 20][self.rng.random_range(0..3)];
            let _ = cart.set_discount(Discount::Percent(percent));
        }
        let date = invent::delivery_date(&mut self.rng, today(time_ms));
        let customer = Customer {
            name: Some(&order.customer_name),
            email: order.customer_email.as_deref(),
        };
        let to = order.address.as_deref().map(|address| DeliverTo {
            address,
            date: wire_date(date),
        });
        self.till.check_out(customer, to)
    }
}

pub(crate) fn today(time_ms: u64) -> Date {
    let time = i64::try_from(time_ms)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok());
    time.unwrap_or_default().to_zoned(TimeZone::UTC).date()
}

pub(crate) fn wire_date(date: Date) -> comptoir_wire::Date {
    let part = |part: i8| u8::try_from(part).unwrap_or(1);
    comptoir_wire::Date::new(
        u16::try_from(date.year()).unwrap_or(1),
        part(date.month()),
        part(date.day()),
    )
    .unwrap_or(FIRST_DAY)
}

/// Stands in for dates before the common era, which no till's clock shows.
const FIRST_DAY: comptoir_wire::Date = match comptoir_wire::Date::new(1, 1, 1) {
    Some(date) => date,
    None => panic!("the calendar has a first day"),
};

#[cfg(test)]
mod tests {
    use super::*;
    use comptoir_wire::{EncodeError, Header, MAX_FRAME, PaymentStatus, encode};
    use std::collections::HashMap;
    use std::convert::Infallible;

    fn cashier(device: &str, from: u32) -> Cashier {
        let (store, device) = (Name::new("paris-1").unwrap(), Name::new(device).unwrap());
        Cashier::new(store, device, 0xabcd, generator(42, store, device, from))
    }

    fn frames(cashier: &mut Cashier, from: u32, count: u32) -> Vec<Vec<u8>> {
        let mut buffer = [0; MAX_FRAME];
        (from..from + count)
            .map(|seq| {
                let header = Header {
                    epoch: 0xabcd,
                    seq,
                    oldest: 1,
                    time_ms: 1_700_000_000_000 + u64::from(seq),
                };
                let frame = cashier.store_next(seq, header.time_ms, |event| {
                    Ok::<_, EncodeError>(encode(&header, event, &mut buffer)?.to_vec())
                });
                frame.unwrap().unwrap()
            })
            .collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        assert_eq!(
            frames(&mut cashier("till-1", 0), 1, 2_000),
            frames(&mut cashier("till-1", 0), 1, 2_000)
        );
        assert_ne!(
            frames(&mut cashier("till-1", 0), 1, 20),
            frames(&mut cashier("till-2", 0), 1, 20)
        );
        assert_ne!(
            frames(&mut cashier("till-1", 0), 21, 20),
            frames(&mut cashier("till-1", 20), 21, 20)
        );
    }

    #[test]
    fn an_event_stays_the_same_until_it_is_stored() {
        let mut cashier = cashier("till-1", 0);
        let mut fail = || cashier.store_next(1, 0, |event| Err::<(), _>(format!("{event:?}")));
        assert_eq!(fail(), fail());
    }

    #[test]
    fn orders_interleave_and_each_goes_through_a_valid_sequence_of_statuses() {
        let mut histories: HashMap<String, Vec<String>> = HashMap::new();
        let (mut payments, mut paid, mut interleaved, mut last) = (0, 0, 0, String::new());
        let mut cashier = cashier("till-1", 0);
        let (mut discounts, mut long) = (0, 0);
        for seq in 1..=20_000 {
            let stored = cashier.store_next(seq, 0, |event| {
                let change = match event {
                    Event::Order(order) => {
                        let sum: u64 = order
                            .lines
                            .iter()
                            .map(|l| l.unit_price * u64::from(l.quantity))
                            .sum();
                        discounts += u32::from(order.amount < sum);
                        long += u32::from(order.lines.len() > 50);
                        format!("order {}", order.status)
                    }
                    Event::Payment(payment) => {
                        payments += 1;
                        paid += u32::from(payment.status == PaymentStatus::Success);
                        format!("payment {}", payment.status)
                    }
                    Event::Delivery(delivery) => format!("delivery {}", delivery.status),
                };
                interleaved += u32::from(last != event.order_id());
                last = event.order_id().to_owned();
                histories.entry(last.clone()).or_default().push(change);
                Ok::<_, Infallible>(())
            });
            assert!(stored.is_some());
        }
        let mut refunds = 0;
        for history in histories.values() {
            let refunded = "order Pending,payment SUCCESS,order Completed,order Cancelled";
            let delivered = "order Pending,payment SUCCESS,order Processing,delivery Pending,delivery In Transit,\
                             delivery Delivered,order Completed";
            let changes = history.join(",").replace("payment FAILED,", "");
            let cancelled = "order Pending,order Cancelled";
            let is_valid = [refunded, delivered, cancelled]
                .iter()
                .any(|valid| valid.starts_with(changes.trim_end_matches(",payment FAILED")));
            assert!(is_valid, "{changes}");
            refunds += u32::from(changes == refunded);
        }
        let rate = f64::from(paid) / f64::from(payments);
        assert!((0.88..0.92).contains(&rate), "{rate}");
        assert!(interleaved > 5_000 && refunds > 10, "{interleaved} {refunds}");
        assert!(discounts > 200 && long > 20, "{discounts} {long}");
        let failures = |history: &Vec<String>| {
            history
                .iter()
                .filter(|change| *change == "payment FAILED")
                .count()
        };
        assert!(histories.values().any(|history| failures(history) == 2));
    }
}
