//! Amounts of money as text.

use core::fmt;

use comptoir_wire::Currency;

/// An amount in minor units. `Display` writes it in the main unit, for example `12.50`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Money {
    minor: u64,
    digits: u8,
}

impl Money {
    /// An amount in hundredths, as most currencies have.
    pub const fn new(minor: u64) -> Self {
        Self { minor, digits: 2 }
    }

    /// An amount with another number of digits after the decimal point, 0 to 4.
    pub const fn with_digits(minor: u64, digits: u8) -> Self {
        let digits = if digits > 4 { 4 } else { digits };
        Self { minor, digits }
    }
}

/// The ISO 4217 currencies without minor units, and those with thousandths.
const WHOLE: [&str; 16] = [
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF",
    "XPF",
];
const THOUSANDTHS: [&str; 7] = ["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"];

impl Money {
    /// An amount in the currency's minor units.
    pub fn of(minor: u64, currency: Currency) -> Self {
        let digits = match currency.as_str() {
            code if WHOLE.contains(&code) => 0,
            code if THOUSANDTHS.contains(&code) => 3,
            _ => 2,
        };
        Self { minor, digits }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = 10u64.pow(u32::from(self.digits));
        if self.digits == 0 {
            return write!(f, "{}", self.minor);
        }
        let width = usize::from(self.digits);
        write!(f, "{}.{:0width$}", self.minor / unit, self.minor % unit)
    }
}
