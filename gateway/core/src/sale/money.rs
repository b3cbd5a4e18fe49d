//! Amounts of money: an integer number of minor units and a currency. Never a float.

use std::cmp::Ordering;
use std::fmt;
use std::io::{Cursor, Write as _};
use std::str::FromStr;

use iso_currency::{Currency as Iso, IntoEnumIterator as _};
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// An ISO 4217 currency, which fixes how many decimals an amount has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency(Iso);

impl Currency {
    pub const EUR: Currency = Currency(Iso::EUR);

    /// Every currency of ISO 4217, including metals and funds.
    pub fn all() -> impl Iterator<Item = Currency> {
        Iso::iter().map(Currency)
    }

    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// Decimals of the minor unit: 2 for EUR, 0 for JPY, 3 for TND.
    pub fn decimals(self) -> u32 {
        u32::from(self.0.exponent().unwrap_or(0))
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    fn from_str(code: &str) -> Result<Self, MoneyError> {
        Iso::from_code(code)
            .map(Currency)
            .ok_or_else(|| MoneyError::UnknownCurrency(code.chars().take(16).collect()))
    }
}

/// By code.
impl Ord for Currency {
    fn cmp(&self, other: &Self) -> Ordering {
        self.code().cmp(other.code())
    }
}

impl PartialOrd for Currency {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = std::borrow::Cow::<str>::deserialize(deserializer)?;
        code.parse().map_err(serde::de::Error::custom)
    }
}

/// Why a number is not a valid amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    #[error("{0:?} is not an ISO 4217 currency code")]
    UnknownCurrency(String),
    #[error("must not be negative")]
    Negative,
    #[error("more than the {decimals} decimals of {currency}")]
    TooPrecise { currency: &'static str, decimals: u32 },
    #[error("above the maximum of {max}")]
    TooLarge { max: Money },
}

/// An amount: `minor` units (cents) of `currency`, between 0 and [`Money::MAX_MINOR`] unless it is a
/// [`Money::sum`] or [paid out](Money::paid_out).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Money {
    minor: i64,
    currency: Currency,
}

impl Money {
    /// Ten thousand million in a currency with two decimals, the same limit as on the till. A larger amount is a typing
    /// error.
    pub const MAX_MINOR: i64 = comptoir_wire::MAX_AMOUNT as i64;

    /// Creates an amount from minor units.
    ///
    /// # Errors
    ///
    /// `minor` is above [`Money::MAX_MINOR`].
    pub fn from_minor(minor: u64, currency: Currency) -> Result<Self, MoneyError> {
        match i64::try_from(minor) {
            Ok(minor) if minor <= Self::MAX_MINOR => Ok(Self { minor, currency }),
            _ => Err(MoneyError::TooLarge {
                max: Self {
                    minor: Self::MAX_MINOR,
                    currency,
                },
            }),
        }
    }

    /// Creates an amount from a decimal number: `12.5` and `12.50` are both 1250 cents.
    ///
    /// # Errors
    ///
    /// The amount is negative, too large, or has more decimals than the currency: `12.505` is rejected, not rounded.
    pub fn from_decimal(amount: Decimal, currency: Currency) -> Result<Self, MoneyError> {
        if amount.is_sign_negative() && !amount.is_zero() {
            return Err(MoneyError::Negative);
        }
        let amount = amount.normalize();
        let decimals = currency.decimals();
        if amount.scale() > decimals {
            return Err(MoneyError::TooPrecise {
                currency: currency.code(),
                decimals,
            });
        }
        // scale() <= decimals <= 4, so the factor is at most 10^4; an overflow saturates into TooLarge.
        let factor = 10u64.pow(decimals - amount.scale());
        let minor = u64::try_from(amount.mantissa())
            .ok()
            .and_then(|mantissa| mantissa.checked_mul(factor))
            .unwrap_or(u64::MAX);
        Self::from_minor(minor, currency)
    }

    /// The amount that is paid out: `12.50` becomes `-12.50`.
    #[must_use]
    pub fn paid_out(self) -> Self {
        Self {
            minor: -self.minor,
            currency: self.currency,
        }
    }

    /// An amount from minor units, negative if it is paid out. `None` beyond [`Money::MAX_MINOR`].
    pub fn from_signed(minor: i64, currency: Currency) -> Option<Self> {
        let is_valid = minor.unsigned_abs() <= Self::MAX_MINOR as u64;
        is_valid.then_some(Self { minor, currency })
    }

    /// Like [`Money::from_decimal`], and negative if it is paid out.
    ///
    /// # Errors
    ///
    /// The amount is too large, or has more decimals than the currency.
    pub fn from_signed_decimal(amount: Decimal, currency: Currency) -> Result<Self, MoneyError> {
        let money = Self::from_decimal(amount.abs(), currency)?;
        Ok(if amount.is_sign_negative() {
            money.paid_out()
        } else {
            money
        })
    }

    /// A sum of amounts, which may be negative or above the maximum of a single amount.
    pub fn sum(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// A sum from its exact decimal number. `None` if it is too large, or has more decimals than the currency.
    pub fn sum_of(amount: Amount, currency: Currency) -> Option<Self> {
        let factor = 10_i64.pow(currency.decimals());
        let minor = amount.0.checked_mul(factor.into())?.normalize();
        match minor.scale() {
            0 => Some(Self::sum(i64::try_from(minor.mantissa()).ok()?, currency)),
            _ => None,
        }
    }

    pub fn minor(self) -> i64 {
        self.minor
    }

    pub fn currency(self) -> Currency {
        self.currency
    }
}

/// The exact decimal number, with all decimals of the currency: `12.50`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(self.minor, self.currency.decimals(), f)
    }
}

fn write_decimal(minor: i64, decimals: u32, out: &mut impl fmt::Write) -> fmt::Result {
    let unit = 10u64.pow(decimals);
    if decimals == 0 {
        write!(out, "{minor}")
    } else {
        let (sign, minor) = (if minor < 0 { "-" } else { "" }, minor.unsigned_abs());
        let width = decimals as usize;
        write!(out, "{sign}{}.{:0width$}", minor / unit, minor % unit)
    }
}

/// An exact JSON number, serialised as raw text, so that no float is involved.
impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::Error;
        // At most 19 digits, a sign and a decimal point.
        let mut text = Cursor::new([0; 24]);
        write!(text, "{self}").map_err(S::Error::custom)?;
        let written = text.position() as usize;
        serde_json::from_slice::<&RawValue>(&text.get_ref()[..written])
            .map_err(S::Error::custom)?
            .serialize(serializer)
    }
}

/// The exact decimal value of a JSON number whose currency is not yet known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount(pub Decimal);

/// Why a text is not an [`Amount`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseAmountError {
    #[error("expected a number, like 12.50")]
    NotANumber,
    #[error("too large, or too many digits")]
    OutOfRange,
}

impl FromStr for Amount {
    type Err = ParseAmountError;

    fn from_str(text: &str) -> Result<Self, ParseAmountError> {
        if !text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
            return Err(ParseAmountError::NotANumber);
        }
        Decimal::from_str_exact(text)
            .or_else(|_| Decimal::from_scientific(text))
            .map(Amount)
            .map_err(|_| ParseAmountError::OutOfRange)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        raw.get().parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn eur(text: &str) -> Result<Money, MoneyError> {
        Money::from_decimal(text.parse().unwrap(), Currency::EUR)
    }

    #[test]
    fn decimals_are_exact_and_never_left_out() {
        assert_eq!(eur("12.5").unwrap().to_string(), "12.50");
        assert_eq!(eur("0").unwrap().to_string(), "0.00");
        assert_eq!(eur("-0.00").unwrap().minor(), 0);
        assert_eq!(eur("1200").unwrap().minor(), 120_000);
        let yen = Money::from_decimal(Decimal::from(1200), "JPY".parse().unwrap()).unwrap();
        assert_eq!(yen.to_string(), "1200");
    }

    #[test]
    fn an_invalid_amount_is_rejected_with_its_reason() {
        assert_eq!(eur("-0.01"), Err(MoneyError::Negative));
        assert!(matches!(eur("12.505"), Err(MoneyError::TooPrecise { .. })));
        assert!(matches!(eur("10000000000.01"), Err(MoneyError::TooLarge { .. })));
        assert!(matches!(
            eur("79228162514264337593543950335"),
            Err(MoneyError::TooLarge { .. })
        ));
        assert!("EURO".parse::<Currency>().is_err());
    }

    #[test]
    fn an_amount_that_is_paid_out_is_negative_within_the_same_limits() {
        let signed = |text: &str| Money::from_signed_decimal(text.parse().unwrap(), Currency::EUR);
        assert_eq!(signed("-12.5").unwrap().to_string(), "-12.50");
        assert_eq!(signed("-12.5").unwrap(), eur("12.50").unwrap().paid_out());
        assert_eq!(signed("3").unwrap().minor(), 300);
        assert!(matches!(signed("-12.505"), Err(MoneyError::TooPrecise { .. })));
        assert!(matches!(
            signed("-10000000000.01"),
            Err(MoneyError::TooLarge { .. })
        ));
        assert_eq!(
            Money::from_signed(-Money::MAX_MINOR, Currency::EUR)
                .unwrap()
                .minor(),
            -Money::MAX_MINOR
        );
        assert_eq!(Money::from_signed(i64::MIN, Currency::EUR), None);
    }

    #[test]
    fn json_numbers_are_read_exactly() {
        let read = |text| serde_json::from_str::<Amount>(text).map(|amount| amount.0);
        assert_eq!(read("12.50").unwrap(), Decimal::new(1250, 2));
        assert_eq!(read("1.25e1").unwrap(), Decimal::new(125, 1));
        for bad in ["\"12.50\"", "true", "1e400", "null", "[1]"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sums_are_written_exactly_at_the_limits_and_below_zero() {
        let written = |minor, code: &str| {
            let sum = Money::sum(minor, code.parse().unwrap());
            serde_json::to_string(&sum).unwrap()
        };
        assert_eq!(written(-5, "EUR"), "-0.05");
        assert_eq!(written(-150, "EUR"), "-1.50");
        assert_eq!(written(-150, "JPY"), "-150");
        assert_eq!(written(1_035, "KWD"), "1.035");
        assert_eq!(written(40_001, "CLF"), "4.0001");
        assert_eq!(written(i64::MAX, "CLF"), "922337203685477.5807");
        assert_eq!(written(i64::MIN, "CLF"), "-922337203685477.5808");
        assert_eq!(written(i64::MIN, "JPY"), "-9223372036854775808");
    }

    #[test]
    fn every_currency_has_a_largest_amount_and_rejects_more_decimals_than_its_own() {
        for currency in Currency::all() {
            let decimals = currency.decimals();
            assert!(decimals <= 4, "{currency}");
            let largest = Money::from_minor(Money::MAX_MINOR as u64, currency).unwrap();
            let written: Decimal = largest.to_string().parse().unwrap();
            assert_eq!(Money::from_decimal(written, currency), Ok(largest));
            let finer = Decimal::new(1, decimals + 1);
            assert!(
                matches!(
                    Money::from_decimal(finer, currency),
                    Err(MoneyError::TooPrecise { .. })
                ),
                "{currency}"
            );
        }
    }

    proptest! {
        #[test]
        fn minor_units_survive_json(
            minor in 0..=Money::MAX_MINOR,
            code in prop::sample::select(vec!["JPY", "EUR", "KWD", "CLF", "UYW"]),
        ) {
            let currency: Currency = code.parse().unwrap();
            let money = Money::from_minor(minor as u64, currency).unwrap();
            let json = serde_json::to_string(&money).unwrap();
            let amount: Amount = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(Money::from_decimal(amount.0, currency).unwrap(), money);
            // Pages parse it as a float.
            let float: f64 = json.parse().unwrap();
            prop_assert_eq!((float * 10f64.powi(currency.decimals() as i32)).round() as i64, minor);
        }
    }
}
