//! The shopping cart.

use comptoir_wire::{Line, LineSource, MAX_AMOUNT, MAX_LINES, MAX_PRODUCT};
use heapless::{String, Vec};

use crate::catalogue::Product;

/// One line of a cart. It owns its name and price, because a price list may change the catalogue in the meantime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CartLine {
    /// The article's name.
    pub name: String<MAX_PRODUCT>,
    /// Number of pieces, at least 1.
    pub quantity: u32,
    /// Price of one piece in minor units.
    pub unit_price: u64,
}

/// A reduction of the sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Discount {
    /// No discount.
    #[default]
    None,
    /// Percent, 0 to 100.
    Percent(u8),
    /// Minor units; the total does not fall below 0.
    Amount(u64),
}

/// Why the cart refused a change. The cart is as before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CartError {
    /// The cart has [`MAX_LINES`] lines.
    Full,
    /// The sum would exceed [`MAX_AMOUNT`].
    TooExpensive,
    /// There is no such line.
    NoSuchLine,
    /// The discount is above 100 percent.
    InvalidPercent,
}

/// Lines and a discount.
#[derive(Clone, Debug, Default)]
pub struct Cart {
    lines: Vec<CartLine, MAX_LINES>,
    discount: Discount,
}

/// The lines of the order that the cart becomes.
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
    /// An empty cart.
    pub const fn new() -> Self {
        Self {
            lines: Vec::new(),
            discount: Discount::None,
        }
    }

    /// Adds pieces of an article; 0 pieces change nothing. The same article at the same price is one line.
    ///
    /// # Errors
    /// The cart is full or would become too expensive.
    pub fn add(&mut self, product: &Product, quantity: u32) -> Result<(), CartError> {
        if quantity == 0 {
            return Ok(());
        }
        let same = |line: &CartLine| line.name == product.name && line.unit_price == product.unit_price;
        if let Some(at) = self.lines.iter().position(same) {
            let quantity = self.lines[at]
                .quantity
                .checked_add(quantity)
                .ok_or(CartError::TooExpensive)?;
            return self.set_quantity(at, quantity);
        }
        self.check_sum(product.unit_price, quantity, 0)?;
        let line = CartLine {
            name: product.name.clone(),
            quantity,
            unit_price: product.unit_price,
        };
        self.lines.push(line).map_err(|_| CartError::Full)
    }

    /// Sets the number of pieces of a line; 0 removes the line.
    ///
    /// # Errors
    /// There is no such line, or the cart would become too expensive.
    pub fn set_quantity(&mut self, at: usize, quantity: u32) -> Result<(), CartError> {
        let line = self.lines.get(at).ok_or(CartError::NoSuchLine)?;
        if quantity == 0 {
            self.lines.remove(at);
            return Ok(());
        }
        // The check before it was added keeps this below MAX_AMOUNT.
        let old = line.unit_price.saturating_mul(u64::from(line.quantity));
        self.check_sum(line.unit_price, quantity, old)?;
        self.lines[at].quantity = quantity;
        Ok(())
    }

    /// Removes a line.
    ///
    /// # Errors
    /// There is no such line.
    pub fn remove(&mut self, at: usize) -> Result<(), CartError> {
        self.set_quantity(at, 0)
    }

    /// Replaces the discount.
    ///
    /// # Errors
    /// The discount is above 100 percent.
    pub fn set_discount(&mut self, discount: Discount) -> Result<(), CartError> {
        if matches!(discount, Discount::Percent(percent) if percent > 100) {
            return Err(CartError::InvalidPercent);
        }
        self.discount = discount;
        Ok(())
    }

    /// Removes all lines and the discount.
    pub fn clear(&mut self) {
        self.lines.clear();
        self.discount = Discount::None;
    }

    /// The lines.
    pub fn lines(&self) -> &[CartLine] {
        &self.lines
    }

    /// Whether the cart has no lines.
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

    /// The discount in minor units, at most the sum. A percentage is rounded in the customer's favour.
    pub fn discount(&self) -> u64 {
        let sum = self.sum();
        match self.discount {
            Discount::None => 0,
            Discount::Percent(percent) => (sum * u64::from(percent)).div_ceil(100).min(sum),
            Discount::Amount(amount) => amount.min(sum),
        }
    }

    /// The amount to pay, in minor units.
    pub fn total(&self) -> u64 {
        self.sum() - self.discount()
    }

    /// Checks that the sum stays within its bound if `old` minor units are replaced by that line.
    fn check_sum(&self, unit_price: u64, quantity: u32, old: u64) -> Result<(), CartError> {
        let line = unit_price
            .checked_mul(u64::from(quantity))
            .ok_or(CartError::TooExpensive)?;
        let sum = (self.sum() - old)
            .checked_add(line)
            .ok_or(CartError::TooExpensive)?;
        if sum > MAX_AMOUNT {
            Err(CartError::TooExpensive)
        } else {
            Ok(())
        }
    }
}
