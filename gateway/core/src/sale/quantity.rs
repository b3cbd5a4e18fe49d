//! Quantities of goods and VAT rates: exact decimal numbers with few decimals.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::Money;
use super::money::Amount;

/// A number of pieces, or an amount of goods in a unit: up to three decimals, at most [`Quantity::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantity {
    thousandths: u64,
}

impl Quantity {
    /// The largest number of pieces that a till can send.
    pub const MAX: u32 = u32::MAX;
    pub const ONE: Quantity = Quantity { thousandths: 1_000 };

    pub fn pieces(count: u32) -> Self {
        Self {
            thousandths: u64::from(count) * 1_000,
        }
    }

    pub fn is_zero(self) -> bool {
        self.thousandths == 0
    }

    pub fn decimal(self) -> Decimal {
        Decimal::from_i128_with_scale(i128::from(self.thousandths), 3)
    }

    /// The price of this quantity in minor units, rounded half up. A price above the largest amount is one more than that,
    /// which is no valid amount.
    pub fn price(self, of_one: Money) -> i64 {
        let exact = i128::from(self.thousandths) * i128::from(of_one.minor());
        i64::try_from((exact + 500).div_euclid(1_000))
            .map_or(Money::MAX_MINOR + 1, |price| price.min(Money::MAX_MINOR + 1))
    }
}

/// A share in percent with up to two decimals, from 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent {
    hundredths: u16,
}

impl Percent {
    pub fn decimal(self) -> Decimal {
        Decimal::new(i64::from(self.hundredths), 2)
    }

    /// The tax that an amount in minor units includes, rounded half up. Negative for a negative amount.
    pub fn tax_in(self, gross: i64) -> i64 {
        let rate = i128::from(self.hundredths);
        let whole = 10_000 + rate;
        let tax = (2 * i128::from(gross) * rate + whole).div_euclid(2 * whole);
        i64::try_from(tax).unwrap_or_default()
    }
}

/// Reads a number that is at least 0 and at most `max`, with at most `decimals` decimals, in units of the last decimal.
fn read(number: Decimal, decimals: u32, max: u64) -> Option<u64> {
    let number = number.normalize();
    if number.is_sign_negative() && !number.is_zero() || number.scale() > decimals {
        return None;
    }
    let units = number
        .checked_mul(Decimal::from(10_u32.pow(decimals)))?
        .to_u64()?;
    (units <= max).then_some(units)
}

/// Writes the number without trailing zeros, so that whole numbers stay as they always were: `2`, `1.25`.
fn write<S: Serializer>(number: Decimal, serializer: S) -> Result<S::Ok, S::Error> {
    use serde::ser::Error;
    RawValue::from_string(number.normalize().to_string())
        .map_err(S::Error::custom)?
        .serialize(serializer)
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.thousandths.is_multiple_of(1_000) {
            return serializer.serialize_u64(self.thousandths / 1_000);
        }
        write(self.decimal(), serializer)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let Amount(number) = Amount::deserialize(deserializer)?;
        let thousandths = read(number, 3, u64::from(Self::MAX) * 1_000).ok_or_else(|| {
            D::Error::custom(
                "expected a number from 0 to 4294967295 with at most three decimals, like 2 or 0.25",
            )
        })?;
        Ok(Self { thousandths })
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write(self.decimal(), serializer)
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let Amount(number) = Amount::deserialize(deserializer)?;
        read(number, 2, 10_000)
            .and_then(|hundredths| u16::try_from(hundredths).ok())
            .map(|hundredths| Self { hundredths })
            .ok_or_else(|| {
                D::Error::custom("expected a percentage from 0 to 100 with at most two decimals, like 5.5")
            })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Currency;
    use super::*;

    fn quantity(json: &str) -> Result<Quantity, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn a_quantity_keeps_three_decimals_and_whole_numbers_are_written_without() {
        for (json, written) in [
            ("2", "2"),
            ("2.0", "2"),
            ("0", "0"),
            ("0.250", "0.25"),
            ("1.005", "1.005"),
            ("1e3", "1000"),
        ] {
            assert_eq!(
                serde_json::to_string(&quantity(json).unwrap()).unwrap(),
                written,
                "{json}"
            );
        }
        assert_eq!(quantity("4294967295").unwrap(), Quantity::pieces(u32::MAX));
        for json in ["-1", "0.0001", "4294967296", "\"2\"", "1e30"] {
            assert!(quantity(json).is_err(), "{json}");
        }
    }

    #[test]
    fn the_price_of_a_quantity_is_rounded_half_up() {
        let euros = |minor| Money::from_minor(minor, Currency::EUR).unwrap();
        let price = |json, minor| quantity(json).unwrap().price(euros(minor));
        assert_eq!(price("0.25", 1_990), 498, "4.975");
        assert_eq!(price("0.333", 300), 100, "0.999");
        assert_eq!(price("0.001", 499), 0);
        assert_eq!(price("0.001", 500), 1);
        assert_eq!(price("4294967295", Money::MAX_MINOR as u64), Money::MAX_MINOR + 1);
    }

    #[test]
    fn a_tax_rate_is_a_percentage_and_its_tax_is_part_of_the_amount() {
        let percent = |json| serde_json::from_str::<Percent>(json);
        let tax = |json, gross| percent(json).unwrap().tax_in(gross);
        assert_eq!(tax("20", 1_200), 200);
        assert_eq!(tax("5.5", 10_000), 521, "521.327");
        assert_eq!(tax("20", -1_200), -200);
        assert_eq!(tax("0", 1_200), 0);
        assert_eq!(serde_json::to_string(&percent("5.50").unwrap()).unwrap(), "5.5");
        for json in ["-1", "100.01", "5.555", "null"] {
            assert!(percent(json).is_err(), "{json}");
        }
    }
}
