//! One invented till: its customers' orders, payments and deliveries, several under way at a time.
//!
//! ```text
//! order Pending → payment ─ SUCCESS → order Completed                                  (taken along)
//!                    │ ▲              └→ order Processing → delivery Pending → In Transit → Delivered → order Completed
//!                    └─┘ FAILED: mostly tried again with another payment_id, else order Cancelled
//! ```

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use comptoir_wire::topic::Name;
use comptoir_wire::{
    Currency, Delivery, DeliveryStatus, Event, Line, Lines, MAX_ID, Order, OrderStatus, Payment,
    PaymentMethod, PaymentStatus,
};

use crate::invent;

/// Orders under way at one till, at most.
const MOST_OPEN: usize = 8;
/// Attempts to pay for one order, at most.
const MOST_ATTEMPTS: u32 = 3;

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

/// A till that invents its sales.
pub struct Till {
    ids: Ids,
    rng: Xoshiro256PlusPlus,
    open: Vec<Journey>,
}

/// One order on its way through the shop.
struct Journey {
    /// Distinguishes the order at this till, and is part of its ids: the seq of its first event.
    number: u32,
    order: invent::Order,
    next: Step,
}

enum Step {
    Open,
    Pay {
        attempt: u32,
    },
    Cancel,
    Complete,
    Prepare,
    Deliver {
        status: DeliveryStatus,
        date: Option<Date>,
    },
    Done,
}

impl Till {
    /// A till with no order under way.
    pub fn new(store: Name<'_>, device: Name<'_>, epoch: u32, rng: Xoshiro256PlusPlus) -> Self {
        Self {
            ids: Ids::new(store, device, epoch),
            rng,
            open: Vec::new(),
        }
    }

    /// The next thing to happen at this till, as event number `seq`, at `time_ms` (Unix); `then` gets it.
    pub fn next<T>(&mut self, seq: u32, time_ms: u64, then: impl FnOnce(&Event<'_>) -> T) -> T {
        let at = match self.open.len() {
            0 => self.enter(seq),
            open if open < MOST_OPEN && self.rng.random_ratio(3, 10) => self.enter(seq),
            open => self.rng.random_range(0..open),
        };
        let journey = &mut self.open[at];
        let result = journey.advance(&self.ids, &mut self.rng, time_ms, then);
        if let Step::Done = journey.next {
            self.open.swap_remove(at);
        }
        result
    }

    fn enter(&mut self, number: u32) -> usize {
        self.open.push(Journey {
            number,
            order: invent::order(&mut self.rng),
            next: Step::Open,
        });
        self.open.len() - 1
    }
}

impl Journey {
    fn advance<T>(
        &mut self,
        ids: &Ids,
        rng: &mut Xoshiro256PlusPlus,
        time_ms: u64,
        then: impl FnOnce(&Event<'_>) -> T,
    ) -> T {
        let order_id = ids.id("o", self.number, 1);
        match self.next {
            Step::Open => {
                self.next = Step::Pay { attempt: 1 };
                self.order(&order_id, OrderStatus::Pending, then)
            }
            Step::Pay { attempt } => {
                let paid = rng.random_bool(invent::SUCCESS_RATE);
                let method: PaymentMethod = invent::payment_method(rng);
                self.next = match () {
                    () if paid && self.order.address.is_some() => Step::Prepare,
                    () if paid => Step::Complete,
                    () if attempt < MOST_ATTEMPTS && rng.random_bool(0.8) => {
                        Step::Pay { attempt: attempt + 1 }
                    }
                    () => Step::Cancel,
                };
                then(&Event::Payment(Payment {
                    payment_id: &ids.id("p", self.number, attempt),
                    order_id: &order_id,
                    currency: Currency::EUR,
                    amount: self.order.amount,
                    method,
                    status: if paid {
                        PaymentStatus::Success
                    } else {
                        PaymentStatus::Failed
                    },
                }))
            }
            Step::Prepare => {
                self.next = Step::Deliver {
                    status: DeliveryStatus::Pending,
                    date: None,
                };
                self.order(&order_id, OrderStatus::Processing, then)
            }
            Step::Deliver { status, date } => {
                let date = date.unwrap_or_else(|| invent::delivery_date(rng, today(time_ms)));
                let status_after = match status {
                    DeliveryStatus::Pending => Some(DeliveryStatus::InTransit),
                    DeliveryStatus::InTransit => Some(DeliveryStatus::Delivered),
                    DeliveryStatus::Delivered => None,
                };
                self.next = match status_after {
                    Some(status) => Step::Deliver {
                        status,
                        date: Some(date),
                    },
                    None => Step::Complete,
                };
                then(&Event::Delivery(Delivery {
                    delivery_id: &ids.id("d", self.number, 1),
                    order_id: &order_id,
                    address: self.order.address.as_deref().unwrap_or_default(),
                    status,
                    estimated_date: wire_date(date),
                }))
            }
            Step::Cancel => {
                self.next = Step::Done;
                self.order(&order_id, OrderStatus::Cancelled, then)
            }
            Step::Complete | Step::Done => {
                self.next = Step::Done;
                self.order(&order_id, OrderStatus::Completed, then)
            }
        }
    }

    fn order<T>(&self, order_id: &str, status: OrderStatus, then: impl FnOnce(&Event<'_>) -> T) -> T {
        let order = &self.order;
        let lines: Vec<Line<'_>> = order
            .lines
            .iter()
            .map(|line| Line {
                product: &line.product,
                quantity: line.quantity,
                unit_price: line.unit_price,
            })
            .collect();
        then(&Event::Order(Order {
            order_id,
            customer_name: &order.customer_name,
            customer_email: order.customer_email.as_deref(),
            product: &order.product,
            currency: Currency::EUR,
            amount: order.amount,
            status,
            address: order.address.as_deref(),
            lines: Lines::from_slice(&lines),
        }))
    }
}

/// The ids of one till and epoch, unique in the chain: `o-{store}-{device}-{epoch}-{number}`.
struct Ids {
    terminal: String,
}

impl Ids {
    /// `o-`, the dash and ten digits of a number, a dash and a digit of an attempt.
    const AROUND: usize = 2 + 11 + 2;

    fn new(store: Name<'_>, device: Name<'_>, epoch: u32) -> Self {
        let mut terminal = format!("{store}-{device}-{epoch:x}");
        if terminal.len() + Self::AROUND > MAX_ID {
            let mut random = generator(0, store, device, 0);
            terminal = format!("{:016x}-{epoch:x}", random.random::<u64>());
        }
        Self { terminal }
    }

    fn id(&self, kind: &str, number: u32, attempt: u32) -> String {
        if attempt == 1 {
            format!("{kind}-{}-{number}", self.terminal)
        } else {
            format!("{kind}-{}-{number}-{attempt}", self.terminal)
        }
    }
}

fn today(time_ms: u64) -> Date {
    let time = i64::try_from(time_ms)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok());
    time.unwrap_or_default().to_zoned(TimeZone::UTC).date()
}

fn wire_date(date: Date) -> comptoir_wire::Date {
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
    use comptoir_wire::{Header, MAX_FRAME, encode};
    use std::collections::HashMap;

    fn till(device: &str, from: u32) -> Till {
        let (store, device) = (Name::new("paris-1").unwrap(), Name::new(device).unwrap());
        Till::new(store, device, 0xabcd, generator(42, store, device, from))
    }

    fn frames(till: &mut Till, from: u32, count: u32) -> Vec<Vec<u8>> {
        let mut buffer = [0; MAX_FRAME];
        (from..from + count)
            .map(|seq| {
                let header = Header {
                    epoch: 0xabcd,
                    seq,
                    oldest: 1,
                    time_ms: 1_700_000_000_000 + u64::from(seq),
                };
                till.next(seq, header.time_ms, |event| {
                    encode(&header, event, &mut buffer).unwrap().to_vec()
                })
            })
            .collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        assert_eq!(
            frames(&mut till("till-1", 0), 1, 2_000),
            frames(&mut till("till-1", 0), 1, 2_000)
        );
        assert_ne!(
            frames(&mut till("till-1", 0), 1, 20),
            frames(&mut till("till-2", 0), 1, 20)
        );
        assert_ne!(
            frames(&mut till("till-1", 0), 21, 20),
            frames(&mut till("till-1", 20), 21, 20)
        );
    }

    /// Follows every order through the picture above.
    #[test]
    fn lives_of_orders_keep_their_order_and_interleave() {
        let mut lives: HashMap<String, Vec<String>> = HashMap::new();
        let (mut payments, mut paid, mut interleaved, mut last) = (0, 0, 0, String::new());
        let mut till = till("till-1", 0);
        for seq in 1..=20_000 {
            till.next(seq, 0, |event| {
                let word = match event {
                    Event::Order(order) => format!("order {}", order.status),
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
        }
        for life in lives.values() {
            let whole = "order Pending,payment SUCCESS,order Completed";
            let delivered = "order Pending,payment SUCCESS,order Processing,delivery Pending,delivery In Transit,\
                             delivery Delivered,order Completed";
            let story = life.join(",").replace("payment FAILED,", "");
            let cancelled = "order Pending,order Cancelled";
            let known = [whole, delivered, cancelled]
                .iter()
                .any(|known| known.starts_with(story.trim_end_matches(",payment FAILED")));
            assert!(known, "{story}");
        }
        let rate = f64::from(paid) / f64::from(payments);
        assert!((0.88..0.92).contains(&rate), "{rate}");
        assert!(interleaved > 10_000, "{interleaved}");
        assert!(
            lives
                .values()
                .any(|life| life.iter().filter(|word| *word == "payment FAILED").count() == 2)
        );
    }

    #[test]
    fn ids_of_the_longest_names_fit() {
        let long = "x".repeat(32);
        let ids = Ids::new(Name::new(&long).unwrap(), Name::new(&long).unwrap(), u32::MAX);
        assert!(ids.id("o", u32::MAX, MOST_ATTEMPTS).len() <= MAX_ID);
        let ids = Ids::new(
            Name::new("paris-1").unwrap(),
            Name::new("till-1").unwrap(),
            0xabcd,
        );
        assert_eq!(ids.id("p", 12, 2), "p-paris-1-till-1-abcd-12-2");
    }
}
