//! Postcard, one field at a time, so that an error can name the field.
//!
//! [`Writer`] and [`Reader`] mirror each other: a type lists its fields once for each, in the same order and with the same
//! bounds. Postcard has no framing, so the encoded fields one after another are the encoded struct.

use crate::{DecodeError, EncodeError, Fault, LineSource};

/// A type that is encoded inside a frame.
pub trait Record<'a>: Copy {
    fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError>;
    fn read(r: &mut Reader<'a>) -> Result<Self, DecodeError>;
    /// The element at an index of a [`LineSource`]. Only lines have a source.
    fn from_source(_: &'a dyn LineSource, _at: usize) -> Option<Self> {
        None
    }
}

pub struct Writer<'b> {
    buffer: &'b mut [u8],
    len: usize,
}

impl<'b> Writer<'b> {
    /// Begins a frame in the current version.
    pub fn frame(buffer: &'b mut [u8]) -> Result<Self, EncodeError> {
        Self::version(buffer, crate::CURRENT)
    }

    pub fn version(buffer: &'b mut [u8], version: u8) -> Result<Self, EncodeError> {
        let mut writer = Self { buffer, len: 0 };
        writer.byte(version)?;
        Ok(writer)
    }

    pub fn finish(self) -> &'b [u8] {
        &self.buffer[..self.len]
    }

    pub fn byte(&mut self, byte: u8) -> Result<(), EncodeError> {
        self.bytes(&[byte])
    }

    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        let end = self.len + bytes.len();
        let room = self
            .buffer
            .get_mut(self.len..end)
            .ok_or(EncodeError::BufferFull)?;
        room.copy_from_slice(bytes);
        self.len = end;
        Ok(())
    }

    pub fn u32(&mut self, value: u32) -> Result<(), EncodeError> {
        self.u64(u64::from(value))
    }

    pub fn u64(&mut self, value: u64) -> Result<(), EncodeError> {
        let room = &mut self.buffer[self.len..];
        // A full buffer is the only error that postcard can return for an integer and a slice.
        let written = postcard::to_slice(&value, room)
            .map_err(|_| EncodeError::BufferFull)?
            .len();
        self.len += written;
        Ok(())
    }

    pub fn at_most(&mut self, field: &'static str, value: u64, max: u64) -> Result<(), EncodeError> {
        check_value(value, max).map_err(|fault| EncodeError::Field { field, fault })?;
        self.u64(value)
    }

    pub fn text(&mut self, field: &'static str, text: &str, max: usize) -> Result<(), EncodeError> {
        check_len(text.len(), max).map_err(|fault| EncodeError::Field { field, fault })?;
        self.u64(text.len() as u64)?;
        self.bytes(text.as_bytes())
    }

    pub fn id(&mut self, field: &'static str, id: &str) -> Result<(), EncodeError> {
        check_id(id).map_err(|fault| EncodeError::Field { field, fault })?;
        self.text(field, id, crate::MAX_ID)
    }

    pub fn option(&mut self, field: &'static str, text: Option<&str>, max: usize) -> Result<(), EncodeError> {
        match text {
            None => self.byte(0),
            Some(text) => {
                self.byte(1)?;
                self.text(field, text, max)
            }
        }
    }
}

#[derive(Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Begins a complete frame: checks its size and version.
    pub fn frame(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let (&version, rest) = bytes.split_first().ok_or(DecodeError::Empty)?;
        if !(crate::MIN..=crate::CURRENT).contains(&version) {
            return Err(DecodeError::Version(version));
        }
        if bytes.len() > crate::MAX_FRAME {
            return Err(DecodeError::Oversized { len: bytes.len() });
        }
        Ok(Self { rest })
    }

    /// Begins a frame of any size, for reading its header only.
    pub fn head(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        Self::frame(&bytes[..bytes.len().min(crate::MAX_FRAME)])
    }

    /// Continues with bytes returned by [`Reader::rest`].
    pub fn within(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub fn finish(self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            bytes => Err(DecodeError::Trailing { bytes }),
        }
    }

    pub fn byte(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        let (&byte, rest) = self
            .rest
            .split_first()
            .ok_or_else(|| bad(field, Fault::Truncated))?;
        self.rest = rest;
        Ok(byte)
    }

    pub fn bytes(&mut self, field: &'static str, len: usize) -> Result<&'a [u8], DecodeError> {
        let (bytes, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or_else(|| bad(field, Fault::Truncated))?;
        self.rest = rest;
        Ok(bytes)
    }

    pub fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        let (value, rest) = postcard::take_from_bytes(self.rest).map_err(|error| bad_number(field, error))?;
        self.rest = rest;
        Ok(value)
    }

    pub fn u64(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        let (value, rest) = postcard::take_from_bytes(self.rest).map_err(|error| bad_number(field, error))?;
        self.rest = rest;
        Ok(value)
    }

    pub fn at_most(&mut self, field: &'static str, max: u64) -> Result<u64, DecodeError> {
        let value = self.u64(field)?;
        check_value(value, max).map_err(|fault| bad(field, fault))?;
        Ok(value)
    }

    pub fn text(&mut self, field: &'static str, max: usize) -> Result<&'a str, DecodeError> {
        // Read as u32 first: on a 32-bit machine a longer length must not wrap into the bound.
        let len = self.u32(field)? as usize;
        check_len(len, max).map_err(|fault| bad(field, fault))?;
        core::str::from_utf8(self.bytes(field, len)?).map_err(|_| bad(field, Fault::NotUtf8))
    }

    pub fn id(&mut self, field: &'static str) -> Result<&'a str, DecodeError> {
        let id = self.text(field, crate::MAX_ID)?;
        check_id(id).map_err(|fault| bad(field, fault))?;
        Ok(id)
    }

    pub fn option(&mut self, field: &'static str, max: usize) -> Result<Option<&'a str>, DecodeError> {
        match self.byte(field)? {
            0 => Ok(None),
            1 => self.text(field, max).map(Some),
            byte => Err(bad(field, Fault::NotAnOption(byte))),
        }
    }
}

pub fn bad(field: &'static str, fault: Fault) -> DecodeError {
    DecodeError::Field { field, fault }
}

fn bad_number(field: &'static str, error: postcard::Error) -> DecodeError {
    bad(
        field,
        if error == postcard::Error::DeserializeUnexpectedEnd {
            Fault::Truncated
        } else {
            Fault::NotANumber
        },
    )
}

fn check_value(value: u64, max: u64) -> Result<(), Fault> {
    if value > max {
        Err(Fault::TooLarge { value, max })
    } else {
        Ok(())
    }
}

fn check_len(len: usize, max: usize) -> Result<(), Fault> {
    if len > max {
        Err(Fault::TooLong { len, max })
    } else {
        Ok(())
    }
}

fn check_id(id: &str) -> Result<(), Fault> {
    if id.is_empty() {
        Err(Fault::Rule("must not be empty"))
    } else {
        Ok(())
    }
}
