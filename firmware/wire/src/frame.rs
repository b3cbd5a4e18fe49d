//! The frame of an event: its name and its time, then what happened.

use crate::codec::{Reader, Record, Writer, bad};
use crate::{DecodeError, EncodeError, Event, Fault, ReframeError};

/// Names an event, together with the topic's store and device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Drawn at random when the terminal's queue was formatted; never 0, which is the gateway's own.
    pub epoch: u32,
    /// Counts 1, 2, 3 … without holes within the epoch.
    pub seq: u32,
    /// The lowest seq that the terminal still holds unacked, this event's at most. What lies below it was
    /// acked to the terminal by some gateway, so one with a new journal does not wait for it for ever.
    pub oldest: u32,
    /// Unix time in milliseconds; 0: the terminal has no clock. Any value is legal: a wrong clock must not
    /// lose a sale.
    pub time_ms: u64,
}

/// An event as it was read; borrows the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its name and time.
    pub header: Header,
    /// What happened.
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

/// Writes a frame of the [`CURRENT`](crate::CURRENT) version to the start of `buffer` and gives back what was
/// written.
///
/// # Errors
/// A field out of its bounds, or a buffer too small; [`MAX_FRAME`](crate::MAX_FRAME) bytes always suffice.
pub fn encode<'b>(header: &Header, event: &Event<'_>, buffer: &'b mut [u8]) -> Result<&'b [u8], EncodeError> {
    let mut writer = Writer::frame(buffer)?;
    header.write(&mut writer)?;
    event.write(&mut writer)?;
    Ok(writer.finish())
}

/// Bytes before the event at most: the version, three numbers of 32 bits and one of 64.
const MAX_HEAD: usize = 1 + 3 * 5 + 10;

/// Gives the frame of `len` bytes at the start of `buffer` another `oldest`, in its place; gives it back.
///
/// A terminal keeps whole frames, and acks arrive between the sale and the moment a frame is sent or sent
/// again: the `oldest` on the air has to be that of the moment. The version and what is behind the header
/// stay as they are. In its place, because a terminal has no memory to spare for a second frame.
///
/// # Errors
/// A frame whose header cannot be read, an `oldest` out of its bounds, or a buffer too small: then the frame is
/// as before.
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

/// Reads the payload of an `orders`, `payments` or `deliveries` topic, all of it.
///
/// # Errors
/// The first thing wrong with it, by the name of the field.
pub fn decode(bytes: &[u8]) -> Result<Frame<'_>, DecodeError> {
    let mut reader = Reader::frame(bytes)?;
    let header = Header::read(&mut reader)?;
    let event = Event::read(&mut reader)?;
    reader.finish()?;
    Ok(Frame { header, event })
}

/// Reads only the name and time, whatever follows them and however much of it: an event that cannot be read
/// can still be filed under its name.
///
/// # Errors
/// As [`decode`], for the header's fields.
pub fn peek_header(bytes: &[u8]) -> Result<Header, DecodeError> {
    Header::read(&mut Reader::head(bytes)?)
}
