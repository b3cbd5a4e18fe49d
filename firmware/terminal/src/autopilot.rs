//! A simulated shop assistant: the same seed gives the same day on any machine.
//!
//! It serves demonstrations, boards without a keyboard, and the test that the same code produces the same bytes
//! everywhere.

use comptoir_wire::{Date, PaymentMethod};

use crate::cart::Discount;
use crate::catalogue::Catalogue;
use crate::sale::{DeliverTo, Payment};
use crate::till::Till;

/// SplitMix64: small, and good enough for simulated customers. Not for cryptography.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator whose numbers depend on the seed alone.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Uniform over all of `u64`.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Uniform over all of `u32`.
    pub fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }

    /// A number below `bound`; a bound of 0 counts as 1.
    pub fn below(&mut self, bound: u32) -> u32 {
        self.next_u32() % bound.max(1)
    }
}

/// The articles of the autopilot's shop, with prices in minor units.
const ARTICLES: [(&str, u64); 8] = [
    ("Espresso", 250),
    ("Croissant", 180),
    ("Baguette", 135),
    ("Café crème", 420),
    ("Tarte au citron", 480),
    ("Orangina", 350),
    ("Croque-monsieur", 890),
    ("Madeleines", 560),
];
/// The estimated date of each delivery; the autopilot has no calendar.
const DELIVERY_DATE: Option<Date> = Date::new(2030, 1, 1);

/// Performs one act after another at a till.
#[derive(Clone, Debug)]
pub struct Autopilot {
    random: Random,
    /// Every n-th order has [`Autopilot::LONG`] lines; 0: none has.
    long_every: u32,
    orders: u32,
}

impl Autopilot {
    /// Number of lines of a long order.
    pub const LONG: u32 = 250;

    /// `from` is the queue's newest number, so that other customers come after a restart.
    pub fn new(seed: u64, from: u32, long_every: u32) -> Self {
        Self {
            random: Random::new(seed ^ (u64::from(from) << 32)),
            long_every,
            orders: 0,
        }
    }

    /// Fills a catalogue with the autopilot's articles.
    pub fn fill<const PRODUCTS: usize>(catalogue: &mut Catalogue<PRODUCTS>) {
        for (name, unit_price) in ARTICLES {
            // A small catalogue gets only the first articles.
            let _ = catalogue.set(name, unit_price);
        }
    }

    /// Performs the next act, if the events of the last one are stored. `has_room` tells whether the queue has room for
    /// [`Till::max_frame_sizes`]; without it no order begins.
    pub fn act<const PRODUCTS: usize>(
        &mut self,
        till: &mut Till,
        catalogue: &Catalogue<PRODUCTS>,
        has_room: bool,
    ) {
        if till.has_events() {
            return;
        }
        // The till may refuse an act (for too many deliveries, say). Then nothing happened, and the next call tries another.
        let _ = match till.current().map(|sale| sale.attempts) {
            Some(attempts) => self.pay(till, attempts),
            None if !till.parcels().is_empty() && self.random.below(3) == 0 => {
                till.advance_parcel(0).map(drop)
            }
            None if !has_room => Ok(()),
            None if till.last().is_some() && self.random.below(40) == 0 => till.refund().map(drop),
            None => self.sell(till, catalogue),
        };
    }

    fn pay(&mut self, till: &mut Till, attempts: u8) -> Result<(), crate::TillError> {
        let amount = till.current().map_or(0, |sale| sale.amount);
        match self.random.below(10) {
            0 if attempts > 1 => till.cancel(),
            0..=1 => till
                .pay(Payment::Remote {
                    method: PaymentMethod::DebitCard,
                    accepted: false,
                })
                .map(drop),
            2..=5 => till.pay(Payment::Cash(amount.next_multiple_of(500))).map(drop),
            _ => till
                .pay(Payment::Remote {
                    method: PaymentMethod::CreditCard,
                    accepted: true,
                })
                .map(drop),
        }
    }

    fn sell<const PRODUCTS: usize>(
        &mut self,
        till: &mut Till,
        catalogue: &Catalogue<PRODUCTS>,
    ) -> Result<(), crate::TillError> {
        self.orders = self.orders.wrapping_add(1);
        let long = self.long_every > 0 && self.orders.is_multiple_of(self.long_every);
        let lines = if long {
            Self::LONG
        } else {
            1 + self.random.below(4)
        };
        let count = u32::try_from(catalogue.products().len()).unwrap_or(u32::MAX);
        let cart = till.cart_mut()?;
        for line in 0..lines {
            let at = self.random.below(count) as usize;
            let Some(product) = catalogue.get(at) else {
                continue;
            };
            let mut product = product.clone();
            if long {
                // A different price for each, as for weighed goods, makes each a line of its own.
                product.unit_price += u64::from(line);
            }
            // A cart that cannot take more is sold as it is.
            let _ = cart.add(&product, 1 + self.random.below(3));
        }
        if self.random.below(8) == 0 {
            let _ = cart.set_discount(Discount::Percent(10));
        }
        let to = DELIVERY_DATE
            .filter(|_| self.random.below(6) == 0)
            .map(|date| DeliverTo {
                address: "1 Rue de Rivoli, 75001 Paris",
                date,
            });
        till.check_out(None, to)
    }
}
