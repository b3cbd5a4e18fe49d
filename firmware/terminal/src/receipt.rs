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

    fn row(f: &mut fmt::Formatter<'_>, label: &str, amount: u64) -> fmt::Result {
        writeln!(f, "{label:<28}{:>12}", Padded(Money::new(amount)))
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
            writeln!(f, "{}", self.till.ids().id('o', number, 1))?;
        }
        for line in cart.lines() {
            writeln!(f, "{}", line.name)?;
            let each = Padded(Money::new(line.unit_price));
            let sum = Padded(Money::new(line.unit_price * u64::from(line.quantity)));
            writeln!(f, "{:>8} x {each:>14}{sum:>15}", line.quantity)?;
        }
        writeln!(f, "{:-<COLUMNS$}", "")?;
        if cart.discount() > 0 {
            Self::row(f, "Sum", cart.sum())?;
            Self::row(f, "Discount", cart.discount())?;
        }
        writeln!(
            f,
            "Total {:<22}{:>12}",
            self.currency,
            Padded(Money::new(cart.total()))
        )?;
        if let Some(given) = self.given {
            Self::row(f, "Cash", given)?;
            Self::row(f, "Change", given.saturating_sub(cart.total()))?;
        }
        Ok(())
    }
}
