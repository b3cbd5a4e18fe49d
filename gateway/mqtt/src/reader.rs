//! From received bytes to packets.

use bytes::BytesMut;
use rumqttc::v5::mqttbytes::Error as PacketError;

use crate::error::Error;
use crate::packet::{self, BrokerPacket};

/// Collects received bytes and cuts them into packets.
pub struct PacketReader {
    buffer: BytesMut,
    /// Bytes of the largest packet that is accepted.
    max_packet: u32,
    /// Bytes that are made free for a read.
    read_size: u32,
}

impl PacketReader {
    pub fn new(max_packet: u32, read_size: u32) -> Self {
        Self {
            buffer: BytesMut::new(),
            max_packet,
            read_size,
        }
    }

    /// Takes the next packet out of the buffer. `None`: it is not complete, and the buffer has room for more
    /// bytes.
    ///
    /// # Errors
    /// The bytes are not MQTT 5, or the packet is larger than this client accepts.
    pub fn next_packet(&mut self) -> Result<Option<BrokerPacket>, Error> {
        match packet::decode(&mut self.buffer, self.max_packet) {
            Ok(packet) => Ok(Some(packet)),
            Err(PacketError::InsufficientBytes(missing)) => {
                self.buffer.reserve(missing.max(self.read_size as usize));
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Where received bytes are appended.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }
}
