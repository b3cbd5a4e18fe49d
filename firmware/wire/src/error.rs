//! Why a frame could not be read or made. Errors name the field, for whoever reads the dead letters.

use core::{error::Error, fmt};

/// What is wrong with one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The frame ends inside the field.
    Truncated,
    /// The text is not UTF-8.
    NotUtf8,
    /// The varint has more bits than the field's integer.
    NotANumber,
    /// The byte before an optional field is neither 0 nor 1.
    NotAnOption(u8),
    /// No variant has this number.
    UnknownVariant(u32),
    /// A text of `len` bytes where `max` are allowed.
    TooLong {
        /// Bytes it has.
        len: usize,
        /// Bytes it may have.
        max: usize,
    },
    /// A list of `count` elements where `max` are allowed.
    TooMany {
        /// Elements it has.
        count: usize,
        /// Elements it may have.
        max: usize,
    },
    /// A number above its bound.
    TooLarge {
        /// The number.
        value: u64,
        /// The largest allowed.
        max: u64,
    },
    /// The value breaks the rule that the text states, e.g. "must not be 0".
    Rule(&'static str),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("the frame ends here"),
            Self::NotUtf8 => f.write_str("not UTF-8"),
            Self::NotANumber => f.write_str("not a number of this size"),
            Self::NotAnOption(byte) => write!(f, "0 or 1 expected before it, not {byte}"),
            Self::UnknownVariant(number) => write!(f, "no variant has the number {number}"),
            Self::TooLong { len, max } => write!(f, "{len} bytes, at most {max}"),
            Self::TooMany { count, max } => write!(f, "{count} elements, at most {max}"),
            Self::TooLarge { value, max } => write!(f, "{value}, at most {max}"),
            Self::Rule(rule) => f.write_str(rule),
        }
    }
}

/// Why bytes are not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// No byte at all.
    Empty,
    /// A version this crate does not read (or no frame: 0x7b is JSON's `{`).
    Version(u8),
    /// More than [`MAX_FRAME`](crate::MAX_FRAME) bytes.
    Oversized {
        /// Bytes it has.
        len: usize,
    },
    /// A field is wrong.
    Field {
        /// Its name, e.g. `order_id` or `lines.unit_price`.
        field: &'static str,
        /// What is wrong with it.
        fault: Fault,
    },
    /// The frame was whole before the payload's end.
    Trailing {
        /// Bytes left over.
        bytes: usize,
    },
}

impl DecodeError {
    /// The field that is wrong, where it is one.
    pub fn field(&self) -> Option<&'static str> {
        match self {
            Self::Field { field, .. } => Some(field),
            _ => None,
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("empty payload"),
            Self::Version(version) => {
                write!(
                    f,
                    "format version {version}, known are {} to {}",
                    crate::MIN,
                    crate::CURRENT
                )
            }
            Self::Oversized { len } => write!(f, "frame: {len} bytes, at most {}", crate::MAX_FRAME),
            Self::Field { field, fault } => write!(f, "{field}: {fault}"),
            Self::Trailing { bytes } => write!(f, "{bytes} bytes after the frame's end"),
        }
    }
}

impl Error for DecodeError {}

/// Why a frame could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// A field is out of its bounds.
    Field {
        /// Its name, e.g. `order_id` or `lines.unit_price`.
        field: &'static str,
        /// What is wrong with it.
        fault: Fault,
    },
    /// The frame needs more than the buffer given; [`MAX_FRAME`](crate::MAX_FRAME) bytes always suffice.
    BufferFull,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field { field, fault } => write!(f, "{field}: {fault}"),
            Self::BufferFull => f.write_str("the frame does not fit the buffer"),
        }
    }
}

impl Error for EncodeError {}

/// Why a frame could not be copied with another `oldest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReframeError {
    /// What is there is no frame.
    Decode(DecodeError),
    /// The other header could not be written.
    Encode(EncodeError),
}

impl fmt::Display for ReframeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decode(error) => error.fmt(f),
            Self::Encode(error) => error.fmt(f),
        }
    }
}

impl Error for ReframeError {}
