//! A receipt's text.

use core::fmt;

use comptoir_wire::Currency;

use crate::cart::Cart;
use crate::money::Money;
use crate::till::Till;

/// Columns of a receipt printer's paper.
const COLUMNS: usize = 40;

/// What is printed for the order that is being paid. `Display` writes it, a line each, 40 columns wide.
pub struct Receipt<'t> {
    till: &'t Till,
    currency: Currency,
    given: Option<u64>,
}

impl<'t> Receipt<'t> {
    /// `given` is the cash that was handed over, in minor units.
    pub fn new(till: &'t Till, currency: Currency, given: Option<u64>) -> Self {
        Self {
            till,
            currency,
            given,
        }
    }

    fn money(&self, amount: u64) -> Padded {
        Padded(Money::of(amount, self.currency))
    }

    fn row(&self, f: &mut fmt::Formatter<'_>, label: &str, amount: u64) -> fmt::Result {
        writeln!(f, "{label:<24}{:>16}", self.money(amount))
    }

    /// A text over as many lines as it takes.
    fn wrap(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some((at, _)) = rest.char_indices().nth(COLUMNS) {
            writeln!(f, "{}", &rest[..at])?;
            rest = &rest[at..];
        }
        writeln!(f, "{rest}")
    }
}

/// A sum right-aligned: `Money` itself knows nothing of columns.
struct Padded(Money);

impl fmt::Display for Padded {
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
