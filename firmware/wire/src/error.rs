//! Errors of encoding and decoding. They name the field, because they are shown with dead letters.

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
    /// The enum has no variant with this number.
    UnknownVariant(u32),
    /// The text is too long.
    TooLong {
        /// Its length in bytes.
        len: usize,
        /// The maximum length in bytes.
        max: usize,
    },
    /// The list has too many elements.
    TooMany {
        /// The number of elements.
        count: usize,
        /// The maximum number of elements.
        max: usize,
    },
    /// The number is too large.
    TooLarge {
        /// The number.
        value: u64,
        /// The maximum.
        max: u64,
    },
    /// The value violates this rule, e.g. "must not be 0".
    Rule(&'static str),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("the frame ends in this field"),
            Self::NotUtf8 => f.write_str("not UTF-8"),
            Self::NotANumber => f.write_str("the number does not fit the field"),
            Self::NotAnOption(byte) => write!(f, "the presence byte must be 0 or 1, not {byte}"),
            Self::UnknownVariant(number) => write!(f, "unknown variant {number}"),
            Self::TooLong { len, max } => write!(f, "{len} bytes, at most {max}"),
            Self::TooMany { count, max } => write!(f, "{count} elements, at most {max}"),
            Self::TooLarge { value, max } => write!(f, "{value}, at most {max}"),
            Self::Rule(rule) => f.write_str(rule),
        }
    }
}

/// Why bytes cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// The payload is empty.
    Empty,
    /// This crate does not read the version (or the payload is not a frame: 0x7b is JSON's `{`).
    Version(u8),
    /// The payload has more than [`MAX_FRAME`](crate::MAX_FRAME) bytes.
    Oversized {
        /// Its size in bytes.
        len: usize,
    },
    /// A field is invalid.
    Field {
        /// Its name, e.g. `order_id` or `lines.unit_price`.
        field: &'static str,
        /// What is wrong with it.
        fault: Fault,
    },
    /// The payload continues after the end of the frame.
    Trailing {
        /// Number of extra bytes.
        bytes: usize,
    },
}

impl DecodeError {
    /// The invalid field, if the error is about one.
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
                    "unsupported format version {version}; supported are {} to {}",
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

/// Why a frame cannot be encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// A field is out of bounds.
    Field {
        /// Its name, e.g. `order_id` or `lines.unit_price`.
        field: &'static str,
        /// What is wrong with it.
        fault: Fault,
    },
    /// The buffer is too small; [`MAX_FRAME`](crate::MAX_FRAME) bytes always suffice.
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

/// Why a frame's `oldest` cannot be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReframeError {
    /// The buffer does not hold a frame.
    Decode(DecodeError),
    /// The new header cannot be encoded.
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
