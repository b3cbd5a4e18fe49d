//! Resumes the MQTT session after a reset of the board.
//!
//! The MQTT broker keeps the session of a disconnected till, and with it the commands for the till. minimq always sets
//! Clean Start in the first CONNECT after a reset and has no option for it, so this transport clears the bit in the
//! bytes. The till itself needs nothing from the old session: it resends unacked events from flash, and a client keeps
//! no state for messages that it receives at QoS 1.

use embedded_io_async::{ErrorType, Read, Write};

/// Session expiry in seconds: how long the MQTT broker keeps the session of a disconnected till.
pub const SESSION_EXPIRY: u32 = 24 * 60 * 60;

/// The first byte of a CONNECT packet, the beginning of its variable header, and the Clean Start bit of the flags after it.
const CONNECT: u8 = 0x10;
const PROTOCOL: [u8; 7] = [0, 4, b'M', b'Q', b'T', b'T', 5];
const CLEAN_START: u8 = 0b10;
/// Maximum number of bytes up to the flags: the remaining length takes up to four of them.
const MAX_PREFIX: usize = 1 + 4 + PROTOCOL.len() + 1;

/// The transport of one MQTT connection, from its first byte on.
pub struct ResumeSession<C> {
    inner: C,
    has_written: bool,
}

impl<C> ResumeSession<C> {
    /// Wraps a transport to which nothing was written yet.
    pub fn new(inner: C) -> Self {
        Self {
            inner,
            has_written: false,
        }
    }
}

/// The beginning of the CONNECT packet in `bytes` with Clean Start cleared, and its length. `None` if `bytes` do not begin
/// with a CONNECT packet.
fn without_clean_start(bytes: &[u8]) -> Option<([u8; MAX_PREFIX], usize)> {
    let (&CONNECT, rest) = bytes.split_first()? else {
        return None;
    };
    // The last byte of the remaining length is the first one without the highest bit.
    let length = rest.iter().take(4).position(|byte| byte & 0x80 == 0)? + 1;
    let (protocol, rest) = rest.get(length..)?.split_first_chunk()?;
    let flags = rest.first()?;
    if *protocol != PROTOCOL {
        return None;
    }
    let len = 1 + length + PROTOCOL.len() + 1;
    let mut start = [0; MAX_PREFIX];
    start.get_mut(..len)?.copy_from_slice(bytes.get(..len)?);
    *start.get_mut(len - 1)? = flags & !CLEAN_START;
    Some((start, len))
}

impl<C: ErrorType> ErrorType for ResumeSession<C> {
    type Error = C::Error;
}

impl<C: Read> Read for ResumeSession<C> {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, C::Error> {
        self.inner.read(buffer).await
    }
}

impl<C: Write> Write for ResumeSession<C> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, C::Error> {
        if !core::mem::replace(&mut self.has_written, true)
            && let Some((start, len)) = without_clean_start(bytes)
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
    fn a_connect_packet_of_any_length_loses_clean_start_and_nothing_else() {
        for length in [&[60][..], &[0x9c, 1], &[0xff, 0xff, 0xff, 1]] {
            let bytes = [&[CONNECT], length, &PROTOCOL, &[FLAGS, 0, 60]].concat();
            let (start, len) = without_clean_start(&bytes).unwrap();
            assert_eq!(start[..len - 1], bytes[..len - 1]);
            assert_eq!((start[len - 1], len), (FLAGS & !CLEAN_START, bytes.len() - 2));
        }
    }

    #[test]
    fn other_packets_and_protocol_versions_are_left_alone() {
        let other = [&[0x30, 60][..], &PROTOCOL, &[FLAGS]].concat();
        assert_eq!(without_clean_start(&other), None);
        assert_eq!(without_clean_start(&[CONNECT, 60]), None);
        assert_eq!(
            without_clean_start(&[CONNECT, 60, 0, 4, b'M', b'Q', b'T', b'T', 4, FLAGS]),
            None
        );
    }
}
