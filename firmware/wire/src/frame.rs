//! The frame of an event: a header with its name and time, then the event.

use crate::codec::{Reader, Record, Writer, bad};
use crate::{DecodeError, EncodeError, Event, Fault, ReframeError};

/// The event's name (together with the store and device of the topic) and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Drawn at random when the till's queue was formatted; never 0, which is the gateway's own epoch.
    pub epoch: u32,
    /// Counts 1, 2, 3 … without gaps within the epoch.
    pub seq: u32,
    /// The lowest unacked `seq` on the till, at most this event's. A gateway has acked everything below it, so a
    /// gateway with an empty journal does not wait for those events.
    pub oldest: u32,
    /// Unix time in milliseconds; 0 if the till has no clock. Any value is valid, because a wrong clock must not lose a sale.
    pub time_ms: u64,
}

/// A decoded event, which borrows the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The event's name and time.
    pub header: Header,
    /// The event.
    pub event: Event<'a>,
}

impl Header {
    fn check(&self) -> Result<(), (&'static str, Fault)> {
        if self.epoch == 0 {
            Err(("epoch", Fault::Rule("must not be 0")))
        } else if self.seq == 0 {
            Err(("seq", Fault::Rule("counts from 1")))
        } else if self.oldest == 0 || self.oldest > self.seq {
            Err(("oldest", Fault::Rule("must be from 1 to seq")))
        } else {
            Ok(())
        }
    }

    fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        self.check()
            .map_err(|(field, fault)| EncodeError::Field { field, fault })?;
        w.u32(self.epoch)?;
        w.u32(self.seq)?;
        w.u32(self.oldest)?;
        w.u64(self.time_ms)
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let header = Self {
            epoch: r.u32("epoch")?,
            seq: r.u32("seq")?,
            oldest: r.u32("oldest")?,
            time_ms: r.u64("time_ms")?,
        };
        header.check().map_err(|(field, fault)| bad(field, fault))?;
        Ok(header)
    }
}

/// Encodes a frame in the [`CURRENT`](crate::CURRENT) version at the start of `buffer`, and returns the encoded bytes.
///
/// # Errors
/// A field is out of bounds, or the buffer is too small; [`MAX_FRAME`](crate::MAX_FRAME) bytes always suffice.
pub fn encode<'b>(header: &Header, event: &Event<'_>, buffer: &'b mut [u8]) -> Result<&'b [u8], EncodeError> {
    let mut writer = Writer::frame(buffer)?;
    header.write(&mut writer)?;
    event.write(&mut writer)?;
    Ok(writer.finish())
}

/// Maximum number of bytes before the event: the version, three numbers of 32 bits and one of 64.
const MAX_HEAD: usize = 1 + 3 * 5 + 10;

/// Changes `oldest` in the frame of `len` bytes at the start of `buffer`, and returns the frame.
///
/// A till stores complete frames. Acks arrive between the sale and the (re)transmission, so a frame gets the current
/// `oldest` when it is sent. The version and the event do not change. The frame is changed in place, because a till has no
/// memory for a second frame.
///
/// # Errors
/// The header cannot be decoded, `oldest` is out of bounds, or the buffer is too small. The frame does not change then.
pub fn set_oldest(buffer: &mut [u8], len: usize, oldest: u32) -> Result<&[u8], ReframeError> {
    let frame = buffer.get(..len).unwrap_or_default();
    let mut reader = Reader::frame(frame).map_err(ReframeError::Decode)?;
    let header = Header::read(&mut reader).map_err(ReframeError::Decode)?;
    let event = len - reader.rest().len()..len;
    let mut head = [0; MAX_HEAD];
    let mut writer = Writer::version(&mut head, frame[0]).map_err(ReframeError::Encode)?;
    Header { oldest, ..header }
        .write(&mut writer)
        .map_err(ReframeError::Encode)?;
    let head = writer.finish();
    let end = head.len() + event.len();
    if end > buffer.len() {
        return Err(ReframeError::Encode(EncodeError::BufferFull));
    }
    buffer.copy_within(event, head.len());
    buffer[..head.len()].copy_from_slice(head);
    Ok(&buffer[..end])
}

/// Decodes the whole payload of an `orders`, `payments` or `deliveries` topic.
///
/// # Errors
/// A field is invalid. The error names the first one.
pub fn decode(bytes: &[u8]) -> Result<Frame<'_>, DecodeError> {
    let mut reader = Reader::frame(bytes)?;
    let header = Header::read(&mut reader)?;
    let event = Event::read(&mut reader)?;
    reader.finish()?;
    Ok(Frame { header, event })
}

/// Decodes only the header of a payload of any size, so that an event that cannot be decoded can be stored as a dead letter
/// under its name.
///
/// # Errors
/// Same as [`decode`], for the header's fields.
pub fn peek_header(bytes: &[u8]) -> Result<Header, DecodeError> {
    Header::read(&mut Reader::head(bytes)?)
}
