//! Commands from head office: the payloads of a till's `commands` topic.

use crate::codec::{Reader, Record, Writer, bad};
use crate::seq::Seq;
use crate::value::{Currency, OrderStatus};
use crate::{DecodeError, EncodeError, Fault, MAX_AMOUNT, MAX_MESSAGE, MAX_PRICES, MAX_PRODUCT, Version};

/// The prices of a [`PriceList`], at most [`MAX_PRICES`].
pub type Prices<'a> = Seq<'a, Price<'a>>;

/// A command. A variant's number on the wire is its position here, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// A message for the till's screen.
    Message(Message<'a>),
    /// New prices; products that the list does not name keep theirs.
    PriceList(PriceList<'a>),
    /// The new status of an order.
    OrderStatus(OrderStatusChange<'a>),
}

/// A message for the till's screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// At most [`MAX_MESSAGE`] bytes.
    pub text: &'a str,
}

/// New prices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriceList<'a> {
    /// The currency of all prices.
    pub currency: Currency,
    /// At most [`MAX_PRICES`] prices.
    pub prices: Prices<'a>,
}

/// The price of one product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price<'a> {
    /// At most [`MAX_PRODUCT`] bytes.
    pub product: &'a str,
    /// Price of one piece in minor units, at most [`MAX_AMOUNT`].
    pub unit_price: u64,
}

/// The new status of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderStatusChange<'a> {
    /// 1 to [`MAX_ID`](crate::MAX_ID) bytes.
    pub order_id: &'a str,
    /// The order's status.
    pub status: OrderStatus,
}

impl<'a> Command<'a> {
    /// Maximum size of a command in bytes. The largest is a price list: version, variant, currency and count, and for each
    /// price the name's length, the name, and an amount of up to 40 bits.
    pub const MAX_BYTES: usize = 1 + 1 + 3 + 2 + MAX_PRICES * (1 + MAX_PRODUCT + 6);

    /// Encodes the command at the start of `buffer`, and returns the encoded bytes.
    ///
    /// # Errors
    /// A field is out of bounds, or the buffer is too small; [`MAX_BYTES`](Self::MAX_BYTES) always suffice.
    pub fn encode<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8], EncodeError> {
        self.encode_as(Version::CURRENT, buffer)
    }

    /// Like [`encode`](Self::encode), in the given version.
    ///
    /// # Errors
    /// Same as [`encode`](Self::encode).
    pub fn encode_as<'b>(&self, version: Version, buffer: &'b mut [u8]) -> Result<&'b [u8], EncodeError> {
        let mut w = Writer::version(buffer, version.byte())?;
        match self {
            Self::Message(message) => {
                w.u32(0)?;
                w.text("text", message.text, MAX_MESSAGE)?;
            }
            Self::PriceList(list) => {
                w.u32(1)?;
                list.currency.write(&mut w)?;
                list.prices.write(&mut w, "prices", MAX_PRICES)?;
            }
            Self::OrderStatus(change) => {
                w.u32(2)?;
                w.id("order_id", change.order_id)?;
                change.status.write(&mut w)?;
            }
        }
        Ok(w.finish())
    }

    /// Decodes the whole payload of a `commands` topic.
    ///
    /// # Errors
    /// A field is invalid. The error names the first one.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::frame(bytes)?;
        let command = match r.u32("command")? {
            0 => Self::Message(Message {
                text: r.text("text", MAX_MESSAGE)?,
            }),
            1 => Self::PriceList(PriceList {
                currency: Currency::read(&mut r)?,
                prices: Prices::read(&mut r, "prices", MAX_PRICES)?,
            }),
            2 => Self::OrderStatus(OrderStatusChange {
                order_id: r.id("order_id")?,
                status: OrderStatus::read(&mut r)?,
            }),
            number => return Err(bad("command", Fault::UnknownVariant(number))),
        };
        r.finish()?;
        Ok(command)
    }
}

impl<'a> Record<'a> for Price<'a> {
    fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.text("prices.product", self.product, MAX_PRODUCT)?;
        w.at_most("prices.unit_price", self.unit_price, MAX_AMOUNT)
    }

    fn read(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            product: r.text("prices.product", MAX_PRODUCT)?,
            unit_price: r.at_most("prices.unit_price", MAX_AMOUNT)?,
        })
    }
}
