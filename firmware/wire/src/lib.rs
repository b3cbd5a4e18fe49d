//! Every byte that a terminal and the gateway exchange.
//!
//! # Layout
//!
//! A frame is one MQTT payload: a version byte, then [postcard] fields without separators or padding.
//!
//! ```text
//! event    version  epoch seq oldest time_ms  kind(0 order, 1 payment, 2 delivery)  fields of the kind
//! ack      version  epoch seq
//! command  version  kind(0 message, 1 price list, 2 order status)  fields of the kind
//! ```
//!
//! Integers are postcard varints (LEB128), a text is its length in bytes and UTF-8, an option is a byte 0 or
//! 1 before its value, an enum is the number of its variant, a list is the number of its elements before
//! them. The topic says which of the three frames a payload is; the frames do not say it themselves.
//!
//! # Bounds
//!
//! The `MAX_…` constants bound every text, list and sum, and [`MAX_FRAME`] the whole. They are checked where
//! a frame is made and where it is read, so that a terminal cannot queue what a gateway will not take. The
//! largest frame the other bounds allow is smaller than [`MAX_FRAME`] (a test adds it up).
//!
//! # Versions
//!
//! The first byte is the format's version: [`MIN`]`..=`[`CURRENT`], and always below 0x20, because a payload
//! that begins with `{` (0x7b) or white space is JSON. Terminals are updated at different times, some never.
//! Therefore:
//!
//! * What a version means is never changed: its golden bytes in `tests/golden/` stay readable, byte for byte.
//! * Anything that changes the bytes (a field, a variant, the order of either, a wider integer) is a new
//!   version. Loosening a bound is one too: an older gateway would refuse the frame.
//! * Gateways are updated first: they read all of `MIN..=CURRENT`. A terminal writes one version, and reads
//!   acks and commands in the version it writes.
//! * The version byte and the four numbers of the [`Header`] keep their place in every version, so that a
//!   gateway can name (store, device, epoch, seq) an event it cannot read, file it as a dead letter, and go
//!   on to the next.
//! * `MIN` rises only when no terminal that writes the older version can hold an unsent event any more.
//!
//! [postcard]: https://postcard.jamesmunns.com/wire-format

#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod ack;
mod codec;
mod command;
mod error;
mod event;
mod frame;
mod seq;
pub mod topic;
mod value;

pub use ack::Ack;
pub use command::{Command, Message, OrderStatusChange, Price, PriceList, Prices};
pub use error::{DecodeError, EncodeError, Fault, ReframeError};
pub use event::{Delivery, Event, Line, Lines, Order, Payment};
pub use frame::{Frame, Header, decode, encode, peek_header, set_oldest};
pub use seq::{LineSource, Seq, SeqIter};
pub use value::{Currency, Date, DeliveryStatus, OrderStatus, PaymentMethod, PaymentStatus};

/// The version this crate writes.
pub const CURRENT: u8 = 1;
/// The oldest version this crate reads.
pub const MIN: u8 = 1;

/// A version in which this crate writes acks and commands: one of [`MIN`]`..=`[`CURRENT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version(u8);

impl Version {
    /// Of every terminal that is built with this crate, which also reads those from [`MIN`] on.
    pub const CURRENT: Self = Self(CURRENT);

    /// Of a terminal whose frames begin with this byte. Of one that is ahead of this crate, or behind it, no version is known
    /// that it reads: the nearest is the best guess.
    pub const fn of(first_byte: u8) -> Self {
        if first_byte < MIN {
            Self(MIN)
        } else if first_byte > CURRENT {
            Self(CURRENT)
        } else {
            Self(first_byte)
        }
    }

    /// The byte that its frames begin with.
    pub const fn byte(self) -> u8 {
        self.0
    }
}

/// Bytes of a whole frame, of any kind.
pub const MAX_FRAME: usize = 20 * 1024;
/// Bytes of an order, payment or delivery id; at least 1.
pub const MAX_ID: usize = 64;
/// Bytes of a product's name, and of an order's summary of its lines.
pub const MAX_PRODUCT: usize = 64;
/// Bytes of a customer's name.
pub const MAX_NAME: usize = 96;
/// Bytes of an e-mail address.
pub const MAX_EMAIL: usize = 128;
/// Bytes of a postal address.
pub const MAX_ADDRESS: usize = 192;
/// Lines of an order.
pub const MAX_LINES: usize = 256;
/// Prices of a price list.
pub const MAX_PRICES: usize = 256;
/// Bytes of a message to a terminal's screen.
pub const MAX_MESSAGE: usize = 256;
/// A sum of money, in minor units (ten thousand million euros): nine million such sums add up within an
/// `i64`.
pub const MAX_AMOUNT: u64 = 1_000_000_000_000;
