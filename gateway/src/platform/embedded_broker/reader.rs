//! Reads a client's packets from its connection.

use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::connection::End;
use super::packet;

/// Bytes read at a time.
pub const CHUNK: usize = 16 << 10;

/// Reads from a client's connection, one complete header at a time.
pub struct PacketReader<R> {
    input: R,
    /// Bytes received but not forwarded yet.
    pub buffer: BytesMut,
}

/// The fixed header of a packet.
pub struct Header {
    pub first: u8,
    /// Number of bytes after the fixed header.
    pub remaining: usize,
    /// Length of the fixed header, in bytes.
    pub length: usize,
}

impl<R: AsyncRead + Unpin> PacketReader<R> {
    pub fn new(input: R) -> Self {
        Self {
            input,
            buffer: BytesMut::new(),
        }
    }

    /// Reads until the buffer has at least `count` bytes.
    pub async fn fill(&mut self, count: usize) -> io::Result<()> {
        while self.buffer.len() < count {
            self.buffer.reserve(CHUNK);
            if self.input.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    /// Waits for a packet to begin.
    pub async fn begin(&mut self) -> io::Result<u8> {
        self.fill(1).await?;
        Ok(self.buffer[0])
    }

    pub async fn header(&mut self) -> Result<Header, End> {
        let mut wanted = 2;
        loop {
            self.fill(wanted).await?;
            if let Some((remaining, length)) = packet::fixed_header(&self.buffer[..wanted])? {
                return Ok(Header {
                    first: self.buffer[0],
                    remaining,
                    length,
                });
            }
            wanted += 1;
        }
    }
}
