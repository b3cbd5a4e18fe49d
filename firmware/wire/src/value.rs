//! The small values in events: currencies, dates, statuses and payment methods.

use core::fmt;

use crate::codec::{Reader, Record, Writer, bad};
use crate::{DecodeError, EncodeError, Fault};

/// An ISO 4217 code: three letters, `A` to `Z`. The gateway checks whether the currency exists.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// The euro.
    pub const EUR: Self = Self(*b"EUR");

    /// `None` unless the code is three upper-case ASCII letters.
    pub const fn new(code: [u8; 3]) -> Option<Self> {
        let [a, b, c] = code;
        if a.is_ascii_uppercase() && b.is_ascii_uppercase() && c.is_ascii_uppercase() {
            Some(Self(code))
        } else {
            None
        }
    }

    /// `None` unless the text is three upper-case ASCII letters.
    pub fn parse(code: &str) -> Option<Self> {
        Self::new(code.as_bytes().try_into().ok()?)
    }

    /// The code, e.g. `EUR`.
    pub fn as_str(&self) -> &str {
        // ASCII by construction, so this is never the default.
        core::str::from_utf8(&self.0).unwrap_or_default()
    }

    pub(crate) fn write(self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.bytes(&self.0)
    }

    pub(crate) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const FIELD: &str = "currency";
        let &[a, b, c] = r.bytes(FIELD, 3)? else {
            return Err(bad(FIELD, Fault::Truncated));
        };
        Self::new([a, b, c]).ok_or(bad(FIELD, Fault::Rule("three upper-case letters expected")))
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A day of the Gregorian calendar. On the wire it is the year (varint), the month and the day (a byte each).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// `None` if the calendar has no such day, or the year is not 1 to 9999.
    pub const fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let days = match month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            _ => return None,
        };
        if year == 0 || year > 9999 || day == 0 || day > days {
            return None;
        }
        Some(Self { year, month, day })
    }

    /// 1 to 9999.
    pub const fn year(self) -> u16 {
        self.year
    }

    /// 1 to 12.
    pub const fn month(self) -> u8 {
        self.month
    }

    /// 1 to 31.
    pub const fn day(self) -> u8 {
        self.day
    }

    pub(crate) fn write(self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.u32(u32::from(self.year))?;
        w.byte(self.month)?;
        w.byte(self.day)
    }

    pub(crate) fn read(r: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        let year = r.u32(field)?;
        let (month, day) = (r.byte(field)?, r.byte(field)?);
        let year = u16::try_from(year).map_err(|_| bad(field, Fault::NotANumber))?;
        Self::new(year, month, day).ok_or(bad(field, Fault::Rule("the calendar has no such day")))
    }
}

/// `YYYY-MM-DD`.
impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// Defines an enum whose variants have a number on the wire, which is their position, and a word in JSON.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $field:literal { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// Every value, in the order of the numbers on the wire.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word used in JSON, and so in Kafka.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The inverse of [`as_str`](Self::as_str); the case matters.
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl<'a> Record<'a> for $name {
            fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
                w.u32(*self as u32)
            }

            fn read(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
                let number = r.u32($field)?;
                Self::ALL.get(number as usize).copied().ok_or(bad($field, Fault::UnknownVariant(number)))
            }
        }
    };
}

words! {
    /// The status of an order.
    OrderStatus, "status" {
        /// Not paid yet.
        Pending = "Pending",
        /// Paid, and being prepared or delivered.
        Processing = "Processing",
        /// Handed over to the customer.
        Completed = "Completed",
        /// Cancelled or refunded.
        Cancelled = "Cancelled",
    }
}

words! {
    /// A means of payment.
    PaymentMethod, "method" {
        /// Credit card.
        CreditCard = "Credit Card",
        /// Debit card.
        DebitCard = "Debit Card",
        /// PayPal.
        PayPal = "PayPal",
        /// Bank transfer.
        BankTransfer = "Bank Transfer",
        /// Cash.
        Cash = "Cash",
    }
}

words! {
    /// The result of a payment attempt.
    PaymentStatus, "status" {
        /// The payment succeeded.
        Success = "SUCCESS",
        /// The payment was declined.
        Failed = "FAILED",
    }
}

words! {
    /// The status of a delivery.
    DeliveryStatus, "status" {
        /// Not sent yet.
        Pending = "Pending",
        /// On the way to the customer.
        InTransit = "In Transit",
        /// Received by the customer.
        Delivered = "Delivered",
    }
}
