//! What a customer is about to buy.

use comptoir_wire::{Line, LineSource, MAX_AMOUNT, MAX_LINES, MAX_PRODUCT};
use heapless::{String, Vec};

use crate::catalogue::Product;

/// One line of a cart. The name is its own: a price list may change the catalogue meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CartLine {
    /// What.
    pub name: String<MAX_PRODUCT>,
    /// Pieces, at least 1.
    pub quantity: u32,
    /// Of one piece, in minor units.
    pub unit_price: u64,
}

/// What is taken off the sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Discount {
    /// Nothing.
    #[default]
    None,
    /// Percent, 0 to 100, rounded in the customer's favour.
    Percent(u8),
    /// Minor units. More than the sum makes it 0.
    Amount(u64),
}

/// Why a cart could not be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CartError {
    /// [`MAX_LINES`] lines are in it.
    Full,
    /// The total would be above [`MAX_AMOUNT`].
    TooDear,
    /// No such line.
    NoLine,
    /// More than 100 percent.
    Percent,
}

/// Lines, each with its own price, and a discount.
#[derive(Clone, Debug, Default)]
pub struct Cart {
    lines: Vec<CartLine, MAX_LINES>,
    discount: Discount,
}

/// As an order has them.
impl LineSource for Cart {
    fn count(&self) -> usize {
        self.lines.len()
    }

    fn line(&self, at: usize) -> Option<Line<'_>> {
        self.lines.get(at).map(|line| Line {
            product: &line.name,
            quantity: line.quantity,
            unit_price: line.unit_price,
        })
    }
}

impl Cart {
    /// Nothing in it.
    pub const fn new() -> Self {
        Self {
            lines: Vec::new(),
            discount: Discount::None,
        }
    }

    /// Adds pieces of an article. The same article at the same price is one line. No pieces add nothing.
    ///
    /// # Errors
    /// No room, or too dear: then the cart is as before.
    pub fn add(&mut self, product: &Product, quantity: u32) -> Result<(), CartError> {
        if quantity == 0 {
            return Ok(());
        }
        let same = |line: &CartLine| line.name == product.name && line.unit_price == product.unit_price;
        if let Some(at) = self.lines.iter().position(same) {
            let quantity = self.lines[at]
                .quantity
                .checked_add(quantity)
                .ok_or(CartError::TooDear)?;
            return self.set_quantity(at, quantity);
        }
        self.check(product.unit_price, quantity, 0)?;
        let line = CartLine {
            name: product.name.clone(),
            quantity,
            unit_price: product.unit_price,
        };
        self.lines.push(line).map_err(|_| CartError::Full)
    }

    /// Sets how many pieces a line has; 0 removes it.
    ///
    /// # Errors
    /// No such line, or too dear: then the cart is as before.
    pub fn set_quantity(&mut self, at: usize, quantity: u32) -> Result<(), CartError> {
        let line = self.lines.get(at).ok_or(CartError::NoLine)?;
        if quantity == 0 {
            self.lines.remove(at);
            return Ok(());
        }
        // Below the bound, by the check before it came in.
        let old = line.unit_price.saturating_mul(u64::from(line.quantity));
        self.check(line.unit_price, quantity, old)?;
        self.lines[at].quantity = quantity;
        Ok(())
    }

    /// Removes a line.
    ///
    /// # Errors
    /// No such line.
    pub fn remove(&mut self, at: usize) -> Result<(), CartError> {
        self.set_quantity(at, 0)
    }

    /// Sets the discount, instead of the one before.
    ///
    /// # Errors
    /// More than 100 percent.
    pub fn set_discount(&mut self, discount: Discount) -> Result<(), CartError> {
        if matches!(discount, Discount::Percent(percent) if percent > 100) {
            return Err(CartError::Percent);
        }
        self.discount = discount;
        Ok(())
    }

    /// Empties it.
    pub fn clear(&mut self) {
        self.lines.clear();
        self.discount = Discount::None;
    }

    /// What is in it.
    pub fn lines(&self) -> &[CartLine] {
        &self.lines
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The sum of the lines in minor units, at most [`MAX_AMOUNT`].
    pub fn sum(&self) -> u64 {
        self.lines
            .iter()
            .map(|line| line.unit_price * u64::from(line.quantity))
            .sum()
    }

    /// What is taken off the sum, in minor units: never more than it.
    pub fn discount(&self) -> u64 {
        let sum = self.sum();
        match self.discount {
            Discount::None => 0,
            Discount::Percent(percent) => (sum * u64::from(percent)).div_ceil(100).min(sum),
            Discount::Amount(amount) => amount.min(sum),
        }
    }

    /// What is to be paid, in minor units.
    pub fn total(&self) -> u64 {
        self.sum() - self.discount()
    }

    /// Whether the sum stays in its bound with so many pieces of that price instead of `old` minor units.
    fn check(&self, unit_price: u64, quantity: u32, old: u64) -> Result<(), CartError> {
        let line = unit_price
            .checked_mul(u64::from(quantity))
            .ok_or(CartError::TooDear)?;
        let sum = (self.sum() - old).checked_add(line).ok_or(CartError::TooDear)?;
        if sum > MAX_AMOUNT {
            Err(CartError::TooDear)
        } else {
            Ok(())
        }
    }
}
