//! The wire format between a till and the gateway.
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
//! Integers are postcard varints (LEB128). A text is its length in bytes, then its UTF-8. An option is a byte, 0 or 1,
//! then the value if there is one. An enum is the number of its variant. A list is the number of its elements, then the
//! elements. The MQTT topic tells which of the three frames a payload is; the frames carry no tag of their own.
//!
//! # Bounds
//!
//! The `MAX_…` constants bound every text, list and amount, and [`MAX_FRAME`] bounds the whole frame. The encoder and
//! the decoder both check them, so a till cannot store an event that the gateway would refuse. The largest frame that
//! the other bounds allow is smaller than [`MAX_FRAME`], which a test verifies.
//!
//! # Versions
//!
//! The first byte is the format's version: [`MIN`]`..=`[`CURRENT`]. It is always below 0x20, because a payload that begins
//! with `{` (0x7b) or white space is JSON. Tills are updated at different times, some never. Therefore:
//!
//! * The meaning of a version never changes: its golden bytes in `tests/golden/` stay readable, byte for byte.
//! * Any change of the bytes (a field, a variant, the order of either, a wider integer) is a new version. So is a looser
//!   bound, because an older gateway would refuse the frame.
//! * Gateways are updated first: they read all of `MIN..=CURRENT`. A till writes one version, and reads acks and commands
//!   in that version.
//! * The version byte and the four numbers of the [`Header`] keep their place in every version. So a gateway knows the
//!   name (store, device, epoch, seq) of an event that it cannot decode, stores it as a dead letter, and goes on.
//! * `MIN` rises only when no till that writes the older version can hold an unsent event any more.
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

/// The version that this crate writes.
pub const CURRENT: u8 = 1;
/// The oldest version that this crate reads.
pub const MIN: u8 = 1;

/// A version in which this crate can write acks and commands: one of [`MIN`]`..=`[`CURRENT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version(u8);

impl Version {
    /// The version of a till built with this crate.
    pub const CURRENT: Self = Self(CURRENT);

    /// The version for a till whose frames begin with this byte. If the till's version is newer or older than this crate
    /// supports, the nearest supported one is the best guess.
    pub const fn of(first_byte: u8) -> Self {
        if first_byte < MIN {
            Self(MIN)
        } else if first_byte > CURRENT {
            Self(CURRENT)
        } else {
            Self(first_byte)
        }
    }

    /// The first byte of frames in this version.
    pub const fn byte(self) -> u8 {
        self.0
    }
}

/// Maximum size of a frame, in bytes.
pub const MAX_FRAME: usize = 20 * 1024;
/// Maximum length of an order, payment or delivery id, in bytes; the minimum is 1.
pub const MAX_ID: usize = 64;
/// Maximum length of a product's name, and of an order's summary of its lines, in bytes.
pub const MAX_PRODUCT: usize = 64;
/// Maximum length of a customer's name, in bytes.
pub const MAX_NAME: usize = 96;
/// Maximum length of an e-mail address, in bytes.
pub const MAX_EMAIL: usize = 128;
/// Maximum length of a postal address, in bytes.
pub const MAX_ADDRESS: usize = 192;
/// Maximum number of lines of an order.
pub const MAX_LINES: usize = 256;
/// Maximum number of prices in a price list.
pub const MAX_PRICES: usize = 256;
/// Maximum length of a message to a till's screen, in bytes.
pub const MAX_MESSAGE: usize = 256;
/// Maximum amount of money in minor units: ten billion euros. The sum of nine million such amounts fits an `i64`.
pub const MAX_AMOUNT: u64 = 1_000_000_000_000;
