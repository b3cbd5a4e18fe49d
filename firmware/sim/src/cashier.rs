//! Somebody who works at one of the simulated tills: the firmware's [`Till`], and invented customers before it.
//!
//! They fill the cart, change their minds, get a discount now and then; they pay (nine times in ten it succeeds, else
//! they mostly try again, or give up), and what is to be delivered goes its way in between.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use comptoir_terminal::{
    Customer, DeliverTo, Discount, FramesAhead, Ids, MAX_PARCELS, Payment, Product, Till, TillError,
};
use comptoir_wire::topic::Name;
use comptoir_wire::{Currency, Event, PaymentMethod};

use crate::invent;

/// Attempts to pay for one order, at most.
const MOST_ATTEMPTS: u8 = 3;
/// Of those who pay by anything but cash, which always succeeds: with a quarter of cash, nine of ten payments
/// succeed ([`invent::SUCCESS_RATE`]).
const DECLINED: f64 = (1.0 - invent::SUCCESS_RATE) / 0.76;
/// Who pays cash hands over whole notes of so many cents.
const NOTE: u64 = 500;

/// Draws all that is random about one terminal from the seed of the whole run.
///
/// `from` is the number of events that went before (not 0 after a restart), so that a restarted till does not
/// invent the same customers again.
pub fn generator(seed: u64, store: Name<'_>, device: Name<'_>, from: u32) -> Xoshiro256PlusPlus {
    // FNV-1a: the names of terminals may be close to one another, their generators may not.
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let name = store
        .bytes()
        .chain([b'/'])
        .chain(device.bytes())
        .chain(from.to_le_bytes());
    Xoshiro256PlusPlus::seed_from_u64(seed ^ name.fold(0xcbf2_9ce4_8422_2325, mix))
}

/// A till and whoever works at it.
pub struct Cashier {
    till: Till,
    rng: Xoshiro256PlusPlus,
}

impl Cashier {
    /// A till with nothing in its cart.
    pub fn new(store: Name<'_>, device: Name<'_>, epoch: u32, rng: Xoshiro256PlusPlus) -> Self {
        Self {
            till: Till::new(Ids::new(store, device, epoch), Currency::EUR),
            rng,
        }
    }

    /// The till starts anew, under another epoch or the same: what was under way at it is forgotten.
    pub fn restart(&mut self, store: Name<'_>, device: Name<'_>, epoch: u32) {
        self.till = Till::new(Ids::new(store, device, epoch), Currency::EUR);
    }

    /// The next event at this till, which is to be queued as number `seq`, at `time_ms` (Unix); `then` gets it. The
    /// same one again until [`queued`](Self::queued). `None` if the till has none after all.
    pub fn event<T>(&mut self, seq: u32, time_ms: u64, then: impl FnOnce(&Event<'_>) -> T) -> Option<T> {
        // An act that the till refuses (a sale above the bound of the wire, say) is nothing done; another follows.
        for _ in 0..100 {
            if self.till.has_events() || self.act(time_ms).is_ok() {
                break;
            }
        }
        self.till.event(seq, then)
    }

    /// The largest frames that may come of the next act, if it may begin an order.
    pub fn frames_ahead(&self) -> Option<FramesAhead> {
        let is_midway = self.till.has_events() || self.till.current().is_some();
        (!is_midway).then(|| self.till.frames_ahead())
    }

    /// The event is in the queue for good, as number `seq`.
    pub fn queued(&mut self, seq: u32) {
        self.till.queued(seq);
    }

    fn act(&mut self, time_ms: u64) -> Result<(), TillError> {
        if let Some(attempts) = self.till.current().map(|sale| sale.attempts) {
            return self.settle(attempts);
        }
        let parcels = self.till.parcels().len();
        if parcels == MAX_PARCELS || (parcels > 0 && self.rng.random_ratio(3, 10)) {
            let at = self.rng.random_range(0..parcels);
            return self.till.move_parcel(at).map(drop);
        }
        if self.till.last().is_some() && self.rng.random_ratio(1, 80) {
            return self.till.refund().map(drop);
        }
        self.sell(time_ms)
    }

    fn settle(&mut self, attempts: u8) -> Result<(), TillError> {
        if attempts > 0 && (attempts == MOST_ATTEMPTS || self.rng.random_ratio(1, 5)) {
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
            // A cart that is full, or too dear, is sold as it is.
            let _ = cart.add(&product, line.quantity);
        }
        let lines = cart.lines().len();
        // Somebody changes their mind.
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

/// For a clock before the common era, which no till has.
const FIRST_DAY: comptoir_wire::Date = match comptoir_wire::Date::new(1, 1, 1) {
    Some(date) => date,
    None => panic!("the calendar has a first day"),
};

#[cfg(test)]
mod tests {
    use super::*;
    use comptoir_wire::{Header, MAX_FRAME, PaymentStatus, encode};
    use std::collections::HashMap;

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
                let frame = cashier.event(seq, header.time_ms, |event| {
                    encode(&header, event, &mut buffer).unwrap().to_vec()
                });
                cashier.queued(seq);
                frame.unwrap()
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
    fn an_event_stays_the_same_until_it_is_queued() {
        let mut cashier = cashier("till-1", 0);
        let mut once = || cashier.event(1, 0, |event| format!("{event:?}"));
        assert_eq!(once(), once());
    }

    /// Follows every order to its end.
    #[test]
    fn lives_of_orders_keep_their_order_and_interleave() {
        let mut lives: HashMap<String, Vec<String>> = HashMap::new();
        let (mut payments, mut paid, mut interleaved, mut last) = (0, 0, 0, String::new());
        let mut cashier = cashier("till-1", 0);
        let (mut discounts, mut long) = (0, 0);
        for seq in 1..=20_000 {
            cashier.event(seq, 0, |event| {
                let word = match event {
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
                lives.entry(last.clone()).or_default().push(word);
            });
            cashier.queued(seq);
        }
        let mut refunds = 0;
        for life in lives.values() {
            let whole = "order Pending,payment SUCCESS,order Completed,order Cancelled";
            let delivered = "order Pending,payment SUCCESS,order Processing,delivery Pending,delivery In Transit,\
                             delivery Delivered,order Completed";
            let story = life.join(",").replace("payment FAILED,", "");
            let cancelled = "order Pending,order Cancelled";
            let known = [whole, delivered, cancelled]
                .iter()
                .any(|known| known.starts_with(story.trim_end_matches(",payment FAILED")));
            assert!(known, "{story}");
            refunds += u32::from(story == whole);
        }
        let rate = f64::from(paid) / f64::from(payments);
        assert!((0.88..0.92).contains(&rate), "{rate}");
        assert!(interleaved > 5_000 && refunds > 10, "{interleaved} {refunds}");
        assert!(discounts > 200 && long > 20, "{discounts} {long}");
        let failures = |life: &Vec<String>| life.iter().filter(|word| *word == "payment FAILED").count();
        assert!(lives.values().any(|life| failures(life) == 2));
    }
}
