//! A connection whose MQTT session outlives the board's reset.
//!
//! The MQTT broker keeps the session of a till that is away, and with it the commands for it. minimq asks for a new one in
//! the first CONNECT after a reset, and cannot be told otherwise: so the bit that says so is cleared on its way. Nothing
//! of the session is missed on this side: events that are not acked end to end are sent again from the flash, and of what
//! comes in at QoS 1 a client keeps nothing.

use embedded_io_async::{ErrorType, Read, Write};

/// Seconds for which the MQTT broker keeps the session of a till that is away.
pub const SESSION_EXPIRY: u32 = 24 * 60 * 60;

/// The first byte of a CONNECT, what begins its variable header, and in the byte after that the bit for a new session.
const CONNECT: u8 = 0x10;
const PROTOCOL: [u8; 7] = [0, 4, b'M', b'Q', b'T', b'T', 5];
const CLEAN_START: u8 = 0b10;
/// Bytes up to that bit, at most: the packet's length takes four of them.
const MOST: usize = 1 + 4 + PROTOCOL.len() + 1;

/// A transport of one MQTT connection, from its first byte on.
pub struct Resume<C> {
    inner: C,
    began: bool,
}

impl<C> Resume<C> {
    /// Nothing was written yet.
    pub fn new(inner: C) -> Self {
        Self { inner, began: false }
    }
}

/// The beginning of a CONNECT that goes on with the session, and its length. `None`: these bytes are none.
fn resumed(bytes: &[u8]) -> Option<([u8; MOST], usize)> {
    let (&CONNECT, rest) = bytes.split_first()? else {
        return None;
    };
    // The length ends with the first byte without the highest bit.
    let length = rest.iter().take(4).position(|byte| byte & 0x80 == 0)? + 1;
    let (protocol, rest) = rest.get(length..)?.split_first_chunk()?;
    let flags = rest.first()?;
    if *protocol != PROTOCOL {
        return None;
    }
    let len = 1 + length + PROTOCOL.len() + 1;
    let mut start = [0; MOST];
    start.get_mut(..len)?.copy_from_slice(bytes.get(..len)?);
    *start.get_mut(len - 1)? = flags & !CLEAN_START;
    Some((start, len))
}

impl<C: ErrorType> ErrorType for Resume<C> {
    type Error = C::Error;
}

impl<C: Read> Read for Resume<C> {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, C::Error> {
        self.inner.read(buffer).await
    }
}

impl<C: Write> Write for Resume<C> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, C::Error> {
        if !core::mem::replace(&mut self.began, true)
            && let Some((start, len)) = resumed(bytes)
        {
            let mut rest = &start[..len];
            while !rest.is_empty() {
                let written = self.inner.write(rest).await?;
                rest = rest.get(written..).unwrap_or_default();
            }
            return Ok(len);
        }
        self.inner.write(bytes).await
    }

    async fn flush(&mut self) -> Result<(), C::Error> {
        self.inner.flush().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: u8 = 0b1110_1110;

    #[test]
    fn a_connect_of_any_length_goes_on_with_its_session() {
        for length in [&[60][..], &[0x9c, 1], &[0xff, 0xff, 0xff, 1]] {
            let bytes = [&[CONNECT], length, &PROTOCOL, &[FLAGS, 0, 60]].concat();
            let (start, len) = resumed(&bytes).unwrap();
            assert_eq!(start[..len - 1], bytes[..len - 1]);
            assert_eq!((start[len - 1], len), (FLAGS & !CLEAN_START, bytes.len() - 2));
        }
    }

    #[test]
    fn nothing_else_is_touched() {
        let other = [&[0x30, 60][..], &PROTOCOL, &[FLAGS]].concat();
        assert_eq!(resumed(&other), None);
        assert_eq!(resumed(&[CONNECT, 60]), None);
        assert_eq!(
            resumed(&[CONNECT, 60, 0, 4, b'M', b'Q', b'T', b'T', 4, FLAGS]),
            None
        );
    }
}
