//! The text of a receipt.

use core::fmt;

use comptoir_wire::Currency;

use crate::cart::Cart;
use crate::money::Money;
use crate::till::Till;

/// Width of a receipt printer's paper, in characters.
const COLUMNS: usize = 40;

/// The receipt of the order being paid. `Display` writes lines of at most 40 columns.
pub struct Receipt<'t> {
    till: &'t Till,
    currency: Currency,
    given: Option<u64>,
}

impl<'t> Receipt<'t> {
    /// `given` is the cash handed over, in minor units.
    pub fn new(till: &'t Till, currency: Currency, given: Option<u64>) -> Self {
        Self {
            till,
            currency,
            given,
        }
    }

    fn money(&self, amount: u64) -> PaddedMoney {
        PaddedMoney(Money::of(amount, self.currency))
    }

    fn row(&self, f: &mut fmt::Formatter<'_>, label: &str, amount: u64) -> fmt::Result {
        writeln!(f, "{label:<24}{:>16}", self.money(amount))
    }

    /// Writes a text over as many lines as needed.
    fn wrap(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some((at, _)) = rest.char_indices().nth(COLUMNS) {
            writeln!(f, "{}", &rest[..at])?;
            rest = &rest[at..];
        }
        writeln!(f, "{rest}")
    }
}

/// An amount that honours width and alignment, which `Money` does not.
struct PaddedMoney(Money);

impl fmt::Display for PaddedMoney {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        let mut text = heapless::String::<24>::new();
        write!(text, "{}", self.0)?;
        f.pad(&text)
    }
}

impl fmt::Display for Receipt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cart: &Cart = self.till.cart();
        if let Some(number) = self.till.current().and_then(|sale| sale.number) {
            Self::wrap(f, &self.till.ids().id('o', number, 1))?;
        }
        for line in cart.lines() {
            Self::wrap(f, &line.name)?;
            let each = self.money(line.unit_price);
            let sum = self.money(line.unit_price * u64::from(line.quantity));
            writeln!(f, "{:>6} x {each:>15}{sum:>16}", line.quantity)?;
        }
        writeln!(f, "{:-<COLUMNS$}", "")?;
        if cart.discount() > 0 {
            self.row(f, "Sum", cart.sum())?;
            self.row(f, "Discount", cart.discount())?;
        }
        writeln!(f, "Total {:<18}{:>16}", self.currency, self.money(cart.total()))?;
        if let Some(given) = self.given {
            self.row(f, "Cash", given)?;
            self.row(f, "Change", given.saturating_sub(cart.total()))?;
        }
        Ok(())
    }
}
